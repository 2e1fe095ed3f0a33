//! `uklscope bundle` and `unpack` as a user runs them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn uklscope(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_uklscope"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("uklscope starts")
}

fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[test]
fn a_recording_and_its_notes_are_the_same_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/builtin.uklrec");
    std::fs::copy(&recording, at.join("seen.uklrec")).expect("it is copied");
    std::fs::write(at.join("notes.md"), "# What was seen\n").expect("it is written");
    let pack = [
        "bundle",
        "seen.uklrec",
        "--notes",
        "notes.md",
        "-o",
        "a.bundle",
    ];
    let packed = uklscope(at, &pack);
    assert!(
        packed.status.success(),
        "{}",
        String::from_utf8_lossy(&packed.stderr)
    );
    let said = refused(&uklscope(at, &pack));
    assert!(said.contains("it is there already"), "{said}");

    let unpacked = uklscope(at, &["unpack", "a.bundle", "-o", "there", "--json"]);
    let document: Value = serde_json::from_slice(&unpacked.stdout).expect("a document");
    assert_eq!(
        document["files"][0]["name"], "recordings/seen.uklrec",
        "{document}"
    );
    let read = |path: &Path| std::fs::read(path).expect("a file");
    assert_eq!(
        read(&at.join("there/recordings/seen.uklrec")),
        read(&recording)
    );
    assert_eq!(read(&at.join("there/notes.md")), read(&at.join("notes.md")));

    let whole = read(&at.join("a.bundle"));
    std::fs::write(at.join("half.bundle"), &whole[..whole.len() / 2]).expect("it is written");
    let said = refused(&uklscope(at, &["unpack", "half.bundle", "-o", "half"]));
    assert!(said.contains("damaged"), "{said}");
    assert!(!at.join("half").exists());
}

#[test]
fn what_cannot_be_packed_says_so_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    std::fs::write(at.join("text.txt"), "no recording").expect("it is written");
    for (arguments, found) in [
        (&["bundle", "-o", "a.bundle"] as &[&str], "packing nothing"),
        (&["bundle", "text.txt", "-o", "a.bundle"], "text.txt"),
        (
            &["bundle", "missing.uklrec", "-o", "a.bundle"],
            "missing.uklrec",
        ),
        (
            &["bundle", "--image", "no-such-image", "-o", "a.bundle"],
            "no-such-image",
        ),
        (&["unpack", "text.txt", "-o", "there"], "it is none"),
    ] {
        let said = refused(&uklscope(at, arguments));
        assert!(said.contains(found), "{said}");
        assert!(!at.join("a.bundle").exists() && !at.join("there").exists());
    }
}
