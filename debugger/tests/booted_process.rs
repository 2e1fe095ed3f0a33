//! A QEMU of our own begins, is asked, and ends with us: with the whole of its traces.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod machine;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use debugger::crossing::Mode;
use debugger::session::process::Qemu;

use machine::PATIENCE;

/// Set in the process that [`qemu_ends_with_a_parent_that_is_killed`] starts and kills.
const CHILD: &str = "UKLSCOPE_TEST_CHILD";

/// The folder that holds a machine's sockets.
fn folder(qemu: &Qemu) -> PathBuf {
    let path = qemu.gdb().unwrap().to_string();
    Path::new(&path).parent().unwrap().to_owned()
}

/// Its first thread may be a zombie, which only waits for its parent, while others still hold the sockets.
fn is_alive(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    threads.flatten().any(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().unwrap_or_default();
        !state.is_empty() && !state.starts_with('Z') && !state.starts_with('X')
    })
}

fn wait_until_dead(pid: u32) {
    let started = Instant::now();
    while is_alive(pid) {
        assert!(started.elapsed() < PATIENCE, "QEMU {pid} lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[ignore = "boots an image"]
fn dropping_it_leaves_nothing_behind() {
    let mut qemu = Qemu::start(&machine::machine(Mode::Bypass)).unwrap();
    assert!(qemu.ended().is_none());
    let (pid, folder) = (qemu.pid(), folder(&qemu));
    assert!(is_alive(pid) && folder.is_dir());
    drop(qemu);
    assert!(!is_alive(pid));
    assert!(!folder.exists());
}

#[test]
#[ignore = "boots an image"]
fn its_monitor_answers_and_refuses() {
    let mut qemu = Qemu::start(&machine::machine(Mode::Bypass)).unwrap();
    let mut monitor = qemu.monitor();
    assert!(
        monitor.version().split('.').count() == 3,
        "{}",
        monitor.version()
    );
    assert!(!monitor.status().unwrap().running);
    let text = monitor.human("info registers").unwrap();
    assert!(text.contains("IP="), "{text}");
    let error = monitor.execute("no-such-command", None).unwrap_err();
    assert!(error.to_string().contains("CommandNotFound"), "{error}");
    monitor.execute("cont", None).unwrap();
    assert!(monitor.status().unwrap().running);
    assert!(monitor.events().count() > 0, "RESUME is an event");
}

/// Started on a thread that ends at once: the machine goes on.
#[test]
#[ignore = "boots an image"]
fn it_outlives_the_thread_that_started_it() {
    let qemu = std::thread::spawn(|| Qemu::start(&machine::machine(Mode::Bypass)).unwrap())
        .join()
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(is_alive(qemu.pid()));
}

#[test]
#[ignore = "boots an image"]
fn qemu_ends_with_a_parent_that_is_killed() {
    if std::env::var_os(CHILD).is_some() {
        let qemu = Qemu::start(&machine::machine(Mode::Bypass)).unwrap();
        println!("pid {} in {}", qemu.pid(), folder(&qemu).display());
        std::thread::sleep(PATIENCE);
        return;
    }
    let name = "qemu_ends_with_a_parent_that_is_killed";
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--include-ignored", "--exact", "--nocapture", name])
        .env(CHILD, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(parent.stdout.take().unwrap());
    let line = std::io::BufRead::lines(output)
        .map(Result::unwrap)
        .find_map(|line| line.split_once("pid ").map(|(_, rest)| rest.to_owned()))
        .expect("it says what it started");
    let (pid, folder) = line.split_once(" in ").unwrap();
    let pid = pid.parse().unwrap();
    assert!(is_alive(pid));
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until_dead(pid);
    // Nobody was left to remove it: the next one does.
    drop(Qemu::start(&machine::machine(Mode::Bypass)).unwrap());
    assert!(!Path::new(folder).exists());
}
