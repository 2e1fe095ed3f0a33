//! The C header in the tree is the one this crate writes. `UKLSCOPE_BLESS=1` rewrites it.

use std::path::PathBuf;
use std::process::Command;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("include/uklscope_wire.h")
}

#[test]
fn the_c_header_in_the_tree_is_current() {
    let written = wire::header();
    if std::env::var_os("UKLSCOPE_BLESS").is_some() {
        std::fs::write(path(), &written).unwrap();
    }
    let found = std::fs::read_to_string(path()).unwrap_or_default();
    assert_eq!(
        found, written,
        "probes/wire/include/uklscope_wire.h is out of date: run this test with UKLSCOPE_BLESS=1"
    );
}

/// The sizes that C gives the structures are the ones that Rust does.
#[test]
fn c_lays_the_structures_out_alike() {
    let Ok(compiler) = Command::new("cc").arg("--version").output() else {
        return;
    };
    assert!(compiler.status.success());
    let check = format!(
        "#include \"{}\"\n\
         _Static_assert(sizeof(struct uklscope_header) == {}, \"header\");\n\
         _Static_assert(sizeof(struct uklscope_control) == {}, \"control\");\n\
         _Static_assert(sizeof(struct uklscope_chunk) == {}, \"chunk\");\n\
         _Static_assert(__builtin_offsetof(struct uklscope_header, state) == 56, \"state\");\n\
         _Static_assert(__builtin_offsetof(struct uklscope_header, gate) == 72, \"gate\");\n\
         _Static_assert(__builtin_offsetof(struct uklscope_control, tail) == 128, \"tail\");\n\
         _Static_assert(sizeof(struct uklscope_site) == {}, \"site\");\n",
        path().display(),
        size_of::<wire::Header>(),
        size_of::<wire::Control>(),
        size_of::<wire::ChunkHeader>(),
        size_of::<wire::Site>(),
    );
    let mut child = Command::new("cc")
        .args(["-fsyntax-only", "-x", "c", "-"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    use std::io::Write;
    child
        .stdin
        .take()
        .unwrap()
        .write_all(check.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}
