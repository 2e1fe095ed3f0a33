//! Every demo tells what it shows, and its script prints what it must.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What lies in each demo's folder, to be read and tried.
const FILES: [&str; 3] = ["README.md", "script.uks", "expect.txt"];

fn demos() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demos");
    let mut demos: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("demo.toml").exists())
        .collect();
    demos.sort();
    demos
}

fn name(demo: &Path) -> String {
    demo.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn every_demo_has_a_page_a_script_and_what_it_prints() {
    assert!(!demos().is_empty());
    for demo in demos() {
        for file in FILES {
            let path = demo.join(file);
            let text = fs::read_to_string(&path).unwrap_or_default();
            assert!(!text.trim().is_empty(), "{} is missing", path.display());
        }
        let page = fs::read_to_string(demo.join("README.md")).unwrap();
        for command in ["cargo xtask image", "uklscope exec", "script.uks"] {
            let name = name(&demo);
            assert!(
                page.contains(command),
                "{name}: its page has no '{command}'"
            );
        }
    }
}

/// What the page says to give `uklscope exec`, after the image: a mode, calls, the script.
fn options(demo: &Path) -> Vec<String> {
    let page = fs::read_to_string(demo.join("README.md")).unwrap();
    let start = format!("uklscope exec {} ", name(demo));
    let line = page
        .lines()
        .find_map(|line| line.trim().strip_prefix(&start))
        .unwrap_or_else(|| panic!("the page of {} has no line '{start}...'", name(demo)));
    line.split_whitespace().map(str::to_owned).collect()
}

/// The lines of `expect.txt` occur in what is printed, in this order.
#[test]
#[ignore = "boots an image"]
fn every_script_prints_what_it_must() {
    // `cargo xtask test --debug-kernel` sets what follows the names of images.
    let suffix = std::env::var("UKLSCOPE_TEST_IMAGES").unwrap_or_default();
    for demo in demos() {
        let image = format!("{}{suffix}", name(&demo));
        let output = Command::new(env!("CARGO_BIN_EXE_uklscope"))
            .current_dir(demo.join("../.."))
            .args(["exec", &image])
            .args(options(&demo))
            .output()
            .expect("uklscope starts");
        let printed = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{image}: {said}\nafter\n{printed}");
        let expected = fs::read_to_string(demo.join("expect.txt")).unwrap();
        let mut rest = &printed[..];
        for line in expected.lines().filter(|line| !line.trim().is_empty()) {
            let Some(at) = rest.find(line) else {
                panic!("{image}: no '{line}' where it was expected in\n{printed}");
            };
            rest = &rest[at + line.len()..];
        }
    }
}
