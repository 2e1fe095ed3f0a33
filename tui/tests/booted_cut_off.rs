//! A recording whose writer was killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[expect(dead_code, reason = "tests of live screens need the rest")]
mod pty;

use pty::Terminal;

/// The recording under the name that it has until it is whole, and how many bytes it has.
fn part(folder: &Path) -> Option<(PathBuf, u64)> {
    let files = fs::read_dir(folder).ok()?.flatten();
    let mut parts = files.filter(|file| file.path().extension().is_some_and(|end| end == "part"));
    let part = parts.next()?;
    Some((part.path(), part.metadata().ok()?.len()))
}

#[test]
#[ignore = "boots an image"]
fn what_was_written_before_the_kill_is_folded_and_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_uklscope"));
    let mut tracing = Command::new(program)
        .args(["trace", "syscalls", "--mode", "ukl", "--calls", "10000000"])
        .args(["--start-at", "bench_getppid", "-o"])
        .arg(folder.path().join("run.uklrec"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let until = Instant::now() + Duration::from_secs(120);
    // What was recorded follows the names of functions, and is handed on every second.
    let mut sizes = BTreeSet::new();
    let part = loop {
        if let Some((part, size)) = part(folder.path()) {
            sizes.insert(size);
            if sizes.len() > 4 {
                break part;
            }
        }
        let ended = tracing.try_wait().expect("it is a child");
        assert_eq!(ended, None, "it has ended: {sizes:?}");
        if Instant::now() > until {
            let _ = tracing.kill();
            panic!("nothing is recorded: {sizes:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    tracing.kill().expect("SIGKILL is sent");
    tracing.wait().expect("it has ended");
    let name = part.to_str().expect("a path");

    let mut terminal = Terminal::start(program, &["open", name], &[]);
    // At once, while it is folded.
    terminal.until("6 Timeline");
    terminal.press("3");
    let screen = terminal.until("syscall   getppid");
    assert!(screen.contains("crossings in ukl"), "{screen}");
    // What is missing is in the console.
    terminal.press("1");
    terminal.press("\x1b[Z");
    terminal.until("records that are there");
    terminal.press("q");
    terminal.until_ended();

    let told = Command::new(program)
        .args(["report", name])
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&told.stdout);
    assert!(text.contains("getppid"), "{text}");
    assert!(text.contains("was not written to its end"), "{text}");
}
