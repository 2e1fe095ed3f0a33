//! Stock gdb goes back in a recorded run, over a server as with a stub of its own.

mod debuggee;
mod peers;
mod qemus;
mod recorded;

use std::path::{Path, PathBuf};

use debugger::crossing::Mode;
use debugger::session::ReplayOptions;
use peers::{Raw, Served, has};

const HELLO: &str = "qSupported:multiprocess+";

fn recorded(root: &Path, qemu: Option<&PathBuf>) -> PathBuf {
    let folder = root.join("run");
    recorded::syscalls(&folder, Mode::Ukl, 10, qemu);
    folder
}

#[test]
#[ignore = "boots an image"]
fn gdb_goes_back_by_instruction_line_call_breakpoint_and_write() {
    check_back(None);
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn gdb_goes_back_by_other_qemus() {
    for qemu in qemus::others() {
        check_back(Some(&qemu));
    }
}

fn check_back(qemu: Option<&PathBuf>) {
    let root = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let options = ReplayOptions {
        qemu: qemu.cloned(),
        ..ReplayOptions::default()
    };
    let served = Served::replayed("syscalls", recorded(root.path(), qemu), options);
    let text = served.gdb(&[
        // What the application has in its buffer was written by the kernel.
        "tbreak bench_read",
        "continue",
        "next",
        "next",
        "echo in the application:\\n",
        "backtrace 1",
        "awatch -location c",
        "reverse-continue",
        "backtrace 2",
        "x/i $pc",
        "delete",
        "echo by breakpoints:\\n",
        "break ksys_read",
        "continue",
        "continue",
        "set $there = $pc",
        "stepi",
        "set $behind = $pc",
        "stepi",
        "reverse-stepi",
        "echo one back:\\n",
        "p $pc == $behind",
        // The one it has left, then the one before.
        "reverse-continue",
        "p $pc == $there",
        "reverse-continue",
        "next",
        "next",
        "echo lines back:\\n",
        "reverse-next",
        "reverse-step",
        "echo to the call:\\n",
        "reverse-finish",
        "detach",
    ]);
    has(
        &text,
        &[
            "in the application:\n#0  bench_read",
            "Hardware access (read/write) watchpoint 2: -location c",
            "clear_user",
            "#1  0x",
            "in __clear_user",
            "<clear_user",
            "mov",
            "by breakpoints:",
            "Breakpoint 3, ksys_read",
            "Breakpoint 3, ksys_read",
            "one back:\n$1 = 1",
            "Breakpoint 3, ksys_read",
            "$2 = 1",
            "Breakpoint 3, ksys_read",
            "lines back:\n",
            "to the call:\n",
            "in ksys_read",
            "detached",
        ],
    );
    packets(&served);
}

/// The same byte by byte, and to both ends.
fn packets(served: &Served) {
    let mut client = Raw::joined(&served.socket);
    has(&client.ask(HELLO), &["ReverseContinue+", "ReverseStep+"]);
    let start = client.ask("g");
    client.send("vCont;s:p1.1");
    assert!(client.stop().starts_with("T05"));
    client.send("bs");
    assert!(client.stop().starts_with("T05"));
    assert_eq!(client.ask("g"), start, "as it was, in every register");
    // Nothing that was can be changed.
    assert!(client.ask("P0=0000000000000000").starts_with('E'));
    client.send("vCont;c");
    has(&client.stop(), &["T05", "replaylog:end;"]);
    for back in ["bc", "bs"] {
        client.send(back);
        has(&client.stop(), &["T05", "replaylog:begin;"]);
    }
}

#[test]
#[ignore = "boots an image"]
fn a_machine_that_runs_for_the_first_time_is_not_said_to_go_back() {
    let served = Served::at_main("syscalls", Mode::Ukl, 1);
    let mut client = Raw::joined(&served.socket);
    assert!(!client.ask(HELLO).contains("Reverse"));
    assert_eq!((client.ask("bs"), client.ask("bc")), Default::default());
}
