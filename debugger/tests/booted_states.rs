//! A recording with the machine at its crossings is a target: for the session, and for stock gdb.

mod debuggee;
mod peers;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use debuggee::Debuggee;
use debugger::crossing::Mode;
use debugger::event::StopReason;
use debugger::qemu::image::Image;
use debugger::session::store::Store;
use debugger::session::stub_trace::trace_by_stub;
use debugger::session::trace::TraceOptions;
use debugger::session::trace_file::head;
use debugger::session::trace_keep::{Keeper, Kept};
use debugger::session::{Session, StatesOptions};
use peers::{Raw, Served};

fn image() -> Image {
    let image = Store::open().and_then(|store| store.image("hello"));
    image.unwrap_or_else(|error| panic!("{error}"))
}

fn recorded(root: &Path, mode: Mode) -> (PathBuf, Kept) {
    let path = root.join("states.uklrec");
    let image = image();
    let cancel = Arc::new(AtomicBool::new(false));
    let mut keeper = Keeper::begin(&path, &head(&image), Arc::clone(&cancel))
        .unwrap_or_else(|error| panic!("{error}"));
    let options = TraceOptions::new(mode);
    trace_by_stub(&image, &options, Some(&mut keeper), &cancel, &mut |_| {})
        .unwrap_or_else(|error| panic!("{error}"));
    let kept = keeper.finish().unwrap_or_else(|error| panic!("{error}"));
    (path, kept)
}

fn has(text: &str, wanted: &[&str]) {
    let mut rest = text;
    for part in wanted {
        let Some(at) = rest.find(part) else {
            panic!("no '{part}', or not behind the ones before, in\n{text}");
        };
        rest = &rest[at + part.len()..];
    }
}

#[test]
#[ignore = "boots an image"]
fn gdb_goes_back_and_forth_between_crossings() {
    let root = tempfile::tempdir().unwrap();
    let (path, kept) = recorded(root.path(), Mode::Ukl);
    assert!(
        kept.states > 10 && kept.bytes / kept.states < 10_000,
        "{kept:?}"
    );
    let served = Served::states("hello", path);
    let text = served.gdb(&[
        "echo at the first:\\n",
        "x/i $pc",
        "set $first = $rsp",
        "stepi",
        "reverse-stepi",
        "p $rsp == $first",
        "reverse-stepi",
        // The call that prints: what it is given was kept with it.
        "echo to the write:\\n",
        "break *entry_SYSCALL_64 if $rax == 20",
        "continue",
        "p $rdi",
        "x/s *(char **) $rsi",
        "monitor uklscope why",
        "monitor uklscope bt",
        "monitor uklscope marks",
        "echo back from it:\\n",
        "stepi",
        "p (long) $rax > 20",
        "reverse-continue",
        "p $rax == 20",
        "echo not held:\\n",
        "x/gx 0xffff888000000000",
        "set var $rax = 5",
        "monitor uklscope written $rsp",
        "delete",
        "continue",
        "detach",
    ]);
    has(
        &text,
        &[
            "at the first:\n=> 0x",
            "<entry_SYSCALL_64>",
            "$1 = 1",
            "No more reverse-execution history",
            "to the write:",
            "Breakpoint 1,",
            "$2 = 1",
            "hello from ring 0",
            "back from it:\n__ukl_syscall_insn",
            "$3 = 1",
            "Breakpoint 1,",
            "$4 = 1",
            "not held:",
            "No more reverse-execution history",
            "detached",
        ],
    );
    // What gdb writes to standard error, behind all of that.
    has(
        &text,
        &[
            "writev",
            "hello from ring 0",
            "main",
            "into the kernel by syscall writev",
            "Cannot access memory at address 0xffff888000000000",
            "Could not write register",
            "nothing in between",
        ],
    );
    let mut client = Raw::joined(&served.socket);
    has(
        &client.ask("qSupported:multiprocess+"),
        &["ReverseContinue+", "ReverseStep+"],
    );
    assert!(client.ask("P0=0000000000000000").starts_with('E'));
    assert!(client.ask("mffff888000000000,8").starts_with('E'));
}

#[test]
#[ignore = "boots an image"]
fn the_session_stands_at_each_side_with_all_its_commands() {
    let root = tempfile::tempdir().unwrap();
    let (path, kept) = recorded(root.path(), Mode::Linux);
    let handle = Session::states(path, StatesOptions::default());
    let mut debuggee = Debuggee::opened(handle).unwrap_or_else(|why| panic!("{why}"));
    let mut sides = 0;
    loop {
        let stop = debuggee.stop("cross");
        match stop.reason {
            StopReason::Crossing { into_kernel, .. } => {
                sides += 1;
                let there = debuggee.stop("rsi").place;
                let back = debuggee.stop("si").place;
                assert_eq!(back, stop.place, "from {there:?}");
                assert_eq!(into_kernel, stop.place.addr.in_kernel_half());
            }
            StopReason::End => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sides + 1, kept.states);
}
