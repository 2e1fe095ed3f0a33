//! `uklscope exec` as a user runs it, on booted images.

use std::process::{Command, Output};

use serde_json::Value;

fn exec(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_uklscope"))
        .arg("exec")
        .args(arguments)
        .output()
        .expect("uklscope starts")
}

fn documents(arguments: &[&str]) -> Vec<Value> {
    let output = exec(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("one document a line"))
        .collect()
}

#[test]
#[ignore = "boots an image"]
fn a_backtrace_has_frames_of_both_origins_in_json() {
    for (mode, kind) in [
        ("linux", "syscall"),
        ("ukl", "syscall"),
        ("bypass", "bypass"),
    ] {
        let found = documents(&[
            "syscalls",
            "--mode",
            mode,
            "-c",
            "b ksys_write",
            "-c",
            "c",
            "-c",
            "bt",
            "--json",
        ]);
        let [planted, stopped, backtrace] = found.as_slice() else {
            panic!("{found:?}");
        };
        for document in [planted, stopped, backtrace] {
            assert_eq!(document["schema"], 1);
        }
        assert_eq!(stopped["stopped"]["reason"], "breakpoint");
        assert_eq!(stopped["stopped"]["symbol"], "ksys_write");
        let frames = backtrace["frames"].as_array().expect("frames");
        assert_eq!(frames[0]["symbol"], "ksys_write");
        assert_eq!(frames[0]["origin"], "kernel:fs");
        assert!(
            frames
                .iter()
                .any(|frame| frame["symbol"] == "main" && frame["origin"] == "app")
        );
        let crossings: Vec<_> = frames
            .iter()
            .filter(|frame| !frame["crossing"].is_null())
            .collect();
        assert_eq!(crossings.len(), 1, "{mode}");
        assert_eq!(crossings[0]["crossing"], kind);
        assert_eq!(crossings[0]["call"], "write");
    }
}

#[test]
#[ignore = "boots an image"]
fn a_script_is_carried_out_in_text_with_a_ruler_at_the_crossing() {
    let script = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(
        script.path(),
        "# to the write\ntb ksys_write\n\nc\nbt\ncross back\n",
    )
    .expect("it is written");
    let path = script.path().to_str().expect("text");
    let output = exec(&["syscalls", "--mode", "bypass", "-x", path]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("══ bypass write ══"), "{text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(last.starts_with("stopped: arrived"), "{last}");
}

#[test]
#[ignore = "boots an image"]
fn what_fails_says_so_and_exits_with_its_code() {
    let failed = exec(&["syscalls", "-c", "b no_such_function", "-c", "bt"]);
    let said = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("uklscope: looking for no_such_function: "),
        "{said}"
    );
    assert!(failed.stdout.is_empty());

    // Bad usage is told before anything is booted.
    let bad = exec(&["syscalls", "-c", "stpe"]);
    let said = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(2), "{said}");
    assert!(said.contains("nearest: step"), "{said}");
}
