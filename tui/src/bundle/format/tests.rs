use proptest::prelude::*;

use super::*;

fn texts(members: &[(&str, &str)]) -> Vec<Named> {
    members
        .iter()
        .map(|(name, text)| ((*name).to_owned(), Content::Text((*text).to_owned())))
        .collect()
}

fn packed(members: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    pack(&mut bytes, None, &texts(members)).unwrap();
    bytes
}

/// Members by name, or what is wrong.
fn contents(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, BundleError> {
    let mut found = Vec::new();
    read(bytes, &mut |name, content| {
        let mut bytes = Vec::new();
        let count = content.read_to_end(&mut bytes).map_err(damaged)?;
        found.push((name.to_owned(), bytes));
        Ok(count as u64)
    })?;
    Ok(found)
}

/// As a bundle, with whatever manifest and members.
fn forged(manifest: &str, members: &[(&str, &[u8])]) -> Vec<u8> {
    let frame = zstd::Encoder::new(Vec::new(), LEVEL).unwrap();
    let mut archive = tar::Builder::new(frame);
    for (name, bytes) in [(MANIFEST, manifest.as_bytes())].iter().chain(members) {
        let mut header = tar::Header::new_gnu();
        // Past the library's own check of names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn what_is_packed_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large");
    fs::write(&large, vec![7; 300_000]).unwrap();
    let mut members = texts(&[
        ("notes.md", "# What happened\n"),
        ("run/replay.toml", "x = 1"),
    ]);
    members.push(("recordings/a-b.uklrec".to_owned(), Content::File(large)));
    let about = About {
        name: "syscalls".to_owned(),
        build_id: "1462".to_owned(),
        kernel: "6.1".to_owned(),
        bytes: 95,
        packed: false,
    };
    let mut bytes = Vec::new();
    let made = pack(&mut bytes, Some(about), &members).unwrap();
    let to = folder.path().join("there");
    let found = unpack(bytes.as_slice(), &to).unwrap();
    assert_eq!(found, made);
    assert_eq!(
        found.within("recordings").collect::<Vec<_>>(),
        ["a-b.uklrec"]
    );
    assert_eq!(
        fs::read(to.join("recordings/a-b.uklrec")).unwrap(),
        [7; 300_000]
    );
    assert_eq!(
        fs::read_to_string(to.join("notes.md")).unwrap(),
        "# What happened\n"
    );
    let again = unpack(bytes.as_slice(), &to);
    assert!(matches!(again, Err(BundleError::Exists(_))), "{again:?}");
}

#[test]
fn a_name_leads_nowhere_else() {
    for good in [
        "notes.md",
        "state.json",
        "run/events",
        "image/app.linux",
        "wire/a+b_1.wire",
    ] {
        assert!(is_name(good), "{good}");
    }
    for bad in [
        "",
        "run",
        "run/",
        "/run/events",
        "run/../x",
        "../notes.md",
        "run/a/b",
        "run/.x",
        "etc/passwd",
        "run/a b",
        "run\\x",
        "run/ä",
        "bundle.toml",
        "other.md",
        "run/\0",
    ] {
        assert!(!is_name(bad), "{bad}");
        let manifest =
            format!("schema = 1\nmade_by = \"x\"\n[[file]]\nname = {bad:?}\nbytes = 1\n");
        let bytes = forged(&manifest, &[(&bad.replace('\0', "?"), b"x")]);
        assert!(contents(&bytes).is_err(), "{bad}");
        assert!(
            pack(Vec::new(), None, &texts(&[(bad, "x")])).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn members_are_those_that_the_manifest_names() {
    let manifest = "schema = 1\nmade_by = \"x\"\n[[file]]\nname = \"notes.md\"\nbytes = 1\n";
    assert!(contents(&forged(manifest, &[("notes.md", b"x")])).is_ok());
    for members in [
        &[] as &[(&str, &[u8])],
        &[("notes.md", b"xy")],
        &[("state.json", b"x")],
        &[("../../x", b"x")],
        &[("notes.md", b"x"), ("state.json", b"x")],
    ] {
        let bytes = forged(manifest, members);
        assert!(contents(&bytes).is_err(), "{members:?}");
    }
    let newer = forged("schema = 2\nmade_by = \"x\"\n", &[]);
    assert!(matches!(contents(&newer), Err(BundleError::OtherSchema(2))));
    let huge = format!(
        "{manifest}[[file]]\nname = \"state.json\"\nbytes = {}\n",
        i64::MAX
    );
    assert!(matches!(
        contents(&forged(&huge, &[])),
        Err(BundleError::TooLarge(_))
    ));
    let twice = format!("{manifest}[[file]]\nname = \"notes.md\"\nbytes = 1\n");
    assert!(matches!(
        contents(&forged(&twice, &[])),
        Err(BundleError::Name(_))
    ));
}

#[test]
fn nothing_stays_of_one_that_is_cut_or_changed() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("there");
    let whole = packed(&[("notes.md", "some notes"), ("run/events", "and events")]);
    for cut in 0..whole.len() {
        assert!(unpack(&whole[..cut], &to).is_err(), "{cut}");
        assert!(!to.exists());
    }
    assert!(contents(&whole).is_ok());
}

proptest! {
    #[test]
    fn a_flipped_bit_is_seen(at in any::<prop::sample::Index>(), bit in 0_u32..8) {
        let whole = packed(&[("notes.md", "some notes"), ("run/events", "and events")]);
        let mut flipped = whole.clone();
        flipped[at.index(whole.len())] ^= 1_u8 << bit;
        // Bits of the frame's header that change nothing of what is read.
        if let Ok(found) = contents(&flipped) {
            prop_assert_eq!(found, contents(&whole).unwrap());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = contents(&bytes);
        let frame = zstd::encode_all(bytes.as_slice(), 1).unwrap();
        let _ = contents(&frame);
        if let Ok(text) = String::from_utf8(bytes) {
            let _ = Manifest::read(&text);
        }
    }
}
