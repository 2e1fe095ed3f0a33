//! The screen on a real guest.

use std::fs;
use std::path::Path;

mod pty;

use pty::Terminal;

fn opened() -> Terminal {
    opened_with(&[])
}

fn opened_with(more: &[&str]) -> Terminal {
    let program = Path::new(env!("CARGO_BIN_EXE_uklscope"));
    let arguments = [&["run", "syscalls", "--mode", "ukl"], more].concat();
    let mut terminal = Terminal::start(program, &arguments, &[]);
    terminal.until("■ arrived");
    terminal.until("int main(");
    terminal
}

/// The processes that `parent` has started and that are not reaped, by their names.
fn children(parent: u32) -> Vec<(u32, String)> {
    let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let is_child = |pid: &u32| {
        stat(*pid)
            .and_then(|text| {
                let after = text.rsplit_once(')')?.1;
                after.split_whitespace().nth(1)?.parse::<u32>().ok()
            })
            .is_some_and(|found| found == parent)
    };
    fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(is_child)
        .filter_map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            Some((pid, name.trim().to_owned()))
        })
        .collect()
}

fn qemu_of(terminal: &Terminal) -> u32 {
    let children = children(terminal.pid());
    let qemu = children.iter().find(|(_, name)| name.starts_with("qemu"));
    qemu.unwrap_or_else(|| panic!("no QEMU among {children:?}"))
        .0
}

fn assert_gone(pid: u32) {
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "QEMU is gone");
}

#[test]
#[ignore = "boots an image"]
fn main_is_shown_and_stepped_and_the_guest_ends_with_the_screen() {
    let mut terminal = opened();
    let qemu = qemu_of(&terminal);
    assert!(terminal.is_on_the_alternate_screen());
    terminal.press("n");
    terminal.until("■ step");
    terminal.resize(50, 200);
    terminal.until("7 Console");
    terminal.resize(24, 80);
    terminal.press(":b ksys_write\r");
    terminal.until("planted");
    terminal.press("c");
    terminal.until("■ breakpoint 1");
    let screen = terminal.until("══ syscall");
    assert!(screen.contains("k▶ 0 ksys_write"), "{screen}");
    terminal.press(":p $_task->se.vr\t");
    terminal.until(":p $_task->se.vruntime");
    terminal.press("\r");
    terminal.until("$_task->se.vruntime = ");
    terminal.press("2");
    let screen = terminal.until("pgd");
    assert!(screen.contains("k all physical memory"), "{screen}");
    terminal.press("q");
    terminal.until("Leave?");
    terminal.press("y");
    let (code, _) = terminal.until_ended();
    assert_eq!(code, 0);
    terminal.assert_given_back();
    assert_gone(qemu);
}

#[test]
#[ignore = "boots an image"]
fn what_is_set_up_is_kept_for_the_next_run() {
    let state = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_uklscope"));
    let folder = state.path().to_str().expect("a path");
    let open = || {
        let arguments = ["run", "syscalls", "--mode", "ukl"];
        Terminal::start(program, &arguments, &[("XDG_STATE_HOME", folder)])
    };
    let mut terminal = open();
    terminal.until("■ arrived");
    terminal.press(":b ksys_write\r");
    terminal.until("planted");
    // The watch, a border one row up, and the panel that is left open.
    terminal.press(":display/x $_task->pid\r");
    terminal.until("1: /x $_task->pid = 0x");
    terminal.press("1\t\t\t\t\t\t");
    terminal.until("▶[watches 1]");
    let rule = |screen: &str| {
        screen
            .lines()
            .position(|line| line.contains("▶[watches 1]"))
    };
    let before = rule(&terminal.until("/x $_task->pid 0x"));
    terminal.press("\x1b[1;2A\x1b[1;2A");
    let up = Some(before.expect("the panel is there") - 2);
    let screen = terminal.until_that("the moved border", |screen| rule(screen) == up);
    let moved = rule(&screen);
    terminal.press("qy");
    assert_eq!(terminal.until_ended().0, 0);
    let file = state.path().join("uklscope/syscalls.json");
    let kept = fs::read_to_string(&file).expect("a file");
    assert!(kept.contains("\"break ksys_write\""), "{kept}");
    assert!(kept.contains("\"display/x $_task->pid\""), "{kept}");
    let mut terminal = open();
    // Before the target stands.
    terminal.until("○ $_task->pid");
    terminal.until("set again as the last run left them: 2");
    let screen = terminal.until("/x $_task->pid 0x");
    assert_eq!(rule(&screen), moved);
    terminal.press("c");
    terminal.until("■ breakpoint 1");
    // A value opened with keys stays open over a step.
    terminal.press("\x1b[Z");
    terminal.until("▶[locals of ksys_write]");
    terminal.press("j\r");
    terminal.until("▾ buf");
    terminal.press("n");
    terminal.until("■ step");
    terminal.until("▾ buf");
    terminal.press("qy");
    assert_eq!(terminal.until_ended().0, 0);
    // A damaged file: the line of messages holds its beginning, the console all of it.
    fs::write(&file, "{\"breakpoints\": [1").expect("a file");
    let mut terminal = open();
    terminal.until("reading what was kept of the last run");
    terminal.press("qy");
    assert_eq!(terminal.until_ended().0, 0);
}

#[test]
#[ignore = "boots an image"]
fn memory_is_shown_and_written_in_place() {
    let mut terminal = opened();
    terminal.press("8");
    terminal.until("memory from $rsp at");
    // The marked bytes stand in the prompt: away with them.
    terminal.press("e");
    terminal.until("bytes (hex");
    terminal.press("\x15\"ukl here\"\r");
    terminal.until(" 75 6b 6c 20 68 65 72 65 ukl here");
    terminal.press("qy");
    assert_eq!(terminal.until_ended().0, 0);
}

#[test]
#[ignore = "boots an image"]
fn a_running_guest_is_stopped_by_a_key() {
    let mut terminal = opened_with(&["--append", "n=100000000"]);
    terminal.press("c");
    terminal.until("▶ running");
    terminal.press("\x03");
    terminal.until("■ interrupted");
    terminal.press("qy");
    assert_eq!(terminal.until_ended().0, 0);
    terminal.assert_given_back();
}

#[test]
#[ignore = "boots an image"]
fn a_signal_ends_the_guest_and_gives_the_terminal_back() {
    let mut terminal = opened();
    let qemu = qemu_of(&terminal);
    terminal.signal("TERM");
    terminal.until_ended();
    terminal.assert_given_back();
    assert_gone(qemu);
}

#[test]
#[ignore = "boots an image"]
fn even_killed_it_leaves_no_guest_behind() {
    let mut terminal = opened();
    let qemu = qemu_of(&terminal);
    terminal.signal("KILL");
    terminal.until_ended();
    // The kernel sends QEMU its signal when its parent is gone; init reaps it a moment later.
    let alive = || {
        fs::read_to_string(format!("/proc/{qemu}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    };
    for _ in 0..500 {
        if !alive() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("QEMU outlives the program");
}

#[test]
#[ignore = "boots an image"]
fn crossings_are_counted_live() {
    let mut terminal = opened();
    terminal.press("3t");
    let screen = terminal.until("getppid");
    assert!(screen.contains("lost 0"), "{screen}");
    terminal.press("qy");
    assert_eq!(terminal.until_ended().0, 0);
    terminal.assert_given_back();
}
