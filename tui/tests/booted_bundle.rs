//! A bundle of a recording with the machine's states opens elsewhere, in the view that it was left in.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

#[expect(dead_code, reason = "tests of live screens need the rest")]
mod pty;

use pty::Terminal;

/// What the screen keeps is kept below `home`.
fn uklscope(folder: &Path, home: &Path, arguments: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_uklscope"))
        .args(arguments)
        .current_dir(folder)
        .env("XDG_STATE_HOME", home)
        .output()
        .expect("uklscope starts");
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&stdout).into_owned()
}

#[test]
#[ignore = "boots an image"]
fn a_bundle_of_states_opens_elsewhere_as_it_was_left() {
    let root = tempfile::tempdir().expect("a folder");
    let [here, there] = ["here", "there"].map(|name| root.path().join(name));
    let homes = [here.join("home"), there.join("home")];
    fs::create_dir_all(&here).expect("a folder");
    fs::create_dir_all(&there).expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_uklscope"));
    let trace = [
        "trace",
        "hello",
        "--engine",
        "stub",
        "--state",
        "-o",
        "hello.uklrec",
    ];
    let said = uklscope(&here, &homes[0], &trace);
    assert!(said.contains("states of the machine kept in"), "{said}");

    // One breakpoint, and the address space instead of the code.
    let recording = here.join("hello.uklrec");
    let recording = recording.to_str().expect("a path");
    let home = homes[0].to_str().expect("a path");
    let mut terminal =
        Terminal::start(program, &["replay", recording], &[("XDG_STATE_HOME", home)]);
    // Its C library's first touch of its data.
    terminal.until("asm_exc_page_fault");
    terminal.press(":b *entry_SYSCALL_64 if $rax == 231\r");
    terminal.until("planted, 0 hits");
    terminal.press("2");
    terminal.until("regions");
    terminal.press("q");
    terminal.until_ended();

    let bundle = there.join("hello.bundle");
    let bundle = bundle.to_str().expect("a path");
    let packed = uklscope(&here, &homes[0], &["bundle", recording, "-o", bundle]);
    assert!(packed.contains("state.json"), "{packed}");
    fs::remove_file(recording).expect("it is there");

    let home = homes[1].to_str().expect("a path");
    let mut terminal = Terminal::start(program, &["open", bundle], &[("XDG_STATE_HOME", home)]);
    terminal.until("regions");
    terminal.press("1");
    terminal.until("asm_exc_page_fault");
    terminal.press(":c\r");
    terminal.until("syscall exit_group");
    terminal.press("q");
    terminal.until_ended();

    let commands = ["exec", bundle, "-c", "goto end", "-c", "bt 1"];
    let said = uklscope(&there, &homes[1], &commands);
    assert!(said.contains("entry_SYSCALL_64"), "{said}");
}
