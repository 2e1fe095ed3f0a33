//! Functions whose instructions were counted by hand: `kernel/tests/known`.

mod qemus;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use debugger::crossing::Mode;
use debugger::session::store;
use debugger::session::trace::{Clock, TraceOptions, trace};
use debugger::trace::report::Report;
use debugger::trace::requests::{Request, Requests, Typical};

const ROUNDS: u64 = 20;

/// Kind, and what both clocks count of its function, the return with it.
///
/// A REP is one instruction, whatever its rounds. One that faults is executed once, after the fault.
const KNOWN: [(&str, u64); 11] = [
    ("plain", 101),
    ("rep", 2 + 1 + 1),
    ("rep_to", 3 + 1 + 1),
    ("rep_fault", 2 + 1 + 1),
    ("across", 10),
    ("fault", 24),
    ("loop", 8_000_002),
    ("own", 29),
    ("last", 6),
    ("alone", 3),
    ("beside", 8),
];

/// What a datagram takes more while a socket takes encapsulated ones.
const PATCHED: u64 = 2;

fn requests(name: &str, mode: Mode, clock: Clock, qemu: Option<PathBuf>) -> Requests {
    let report = report(name, mode, clock, qemu);
    report.requests.unwrap_or_default()
}

fn report(name: &str, mode: Mode, clock: Clock, qemu: Option<PathBuf>) -> Report {
    let image = store::image(name).unwrap_or_else(|error| panic!("{error}"));
    let options = TraceOptions {
        calls: Some(ROUNDS),
        clock,
        qemu,
        ..TraceOptions::new(mode)
    };
    let traced = trace(&image, &options, &AtomicBool::new(false), &mut |_| ())
        .unwrap_or_else(|error| panic!("{error}"));
    let serial = String::from_utf8_lossy(&traced.serial);
    let program = name.split('+').next().unwrap_or(name);
    let done = format!("{program}: ok");
    assert!(serial.contains(&done), "{mode}:\n{serial}");
    traced.report
}

fn app(requests: &Requests, kind: &str) -> u64 {
    let request = requests
        .kind(kind)
        .unwrap_or_else(|| panic!("there is no {kind}"));
    let Request { count, parts, .. } = request;
    assert_eq!(*count, ROUNDS, "{kind}");
    assert!(parts.app.is_exact(), "{kind}: {:?}", parts.app);
    parts.app.min
}

/// The kernel with probes has static keys that are code: `udp_encap_needed_key` is patched in and out again.
#[test]
#[ignore = "boots an image"]
fn code_that_the_kernel_patches_is_counted_as_it_is_then() {
    for mode in Mode::ALL {
        let runs = [Clock::Fast, Clock::Slow].map(|clock| {
            let requests = requests("known+probes", mode, clock, None);
            ["before", "patched", "after"].map(|kind| {
                let request = requests
                    .kind(kind)
                    .unwrap_or_else(|| panic!("there is no {kind}"));
                let Typical {
                    count,
                    instructions,
                    ..
                } = request.typical;
                assert_eq!(request.count, ROUNDS, "{kind}");
                assert!(count >= ROUNDS / 2, "{kind} in mode {mode}: {count}");
                instructions
            })
        });
        let [before, patched, after] = runs[0];
        assert_eq!(before, after, "mode {mode}");
        // A no-op and a jump over them; patched, a jump to them: a load, a test and a jump back.
        assert_eq!(patched, before + PATCHED, "mode {mode}");
        assert_eq!(runs[0], runs[1], "mode {mode}");
    }
}

/// `kernel/tests/swapped`: of the block that lay there last more is left than was counted, or less than of the one that
/// faults.
#[test]
#[ignore = "boots an image"]
fn a_fault_in_other_code_than_lay_there_last_is_told_with_its_count() {
    let counted = |report: &Report| {
        let requests = report.requests.as_ref().expect("it has requests");
        ["run", "long"].map(|kind| app(requests, kind) - app(requests, "nothing") + 1)
    };
    let told = |report: &Report| {
        ["which instruction faulted", "how much of its block"].map(|what| {
            let start = format!("of {ROUNDS} of ");
            let mut notes = report.notes.iter();
            notes.any(|note| note.starts_with(&start) && note.contains(what))
        })
    };
    let slow = report("swapped", Mode::Linux, Clock::Slow, None);
    assert_eq!(counted(&slow), [3, 103]);
    assert_eq!(told(&slow), [false; 2], "{:?}", slow.notes);
    for mode in Mode::ALL {
        let fast = report("swapped", mode, Clock::Fast, None);
        // What is left of the block in the first one, of which no more was counted; in the second one what is left in
        // the block beside, of 102.
        assert_eq!(counted(&fast), [3 + 2, 103 + 102 - 2], "mode {mode}");
        assert_eq!(told(&fast), [true; 2], "mode {mode}: {:?}", fast.notes);
    }
}

#[test]
#[ignore = "boots an image"]
fn both_clocks_count_what_was_counted_by_hand() {
    check_known(None);
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn what_was_counted_by_hand_is_counted_by_other_qemus() {
    for qemu in qemus::others() {
        check_known(Some(&qemu));
    }
}

fn check_known(qemu: Option<&PathBuf>) {
    for mode in Mode::ALL {
        let clocks = [Clock::Fast, Clock::Slow];
        let [fast, slow] = clocks.map(|clock| requests("known", mode, clock, qemu.cloned()));
        for (kind, expected) in KNOWN {
            for (clock, requests) in [("fast", &fast), ("slow", &slow)] {
                let counted = app(requests, kind) - app(requests, "nothing") + 1;
                assert_eq!(
                    counted, expected,
                    "{kind} by the {clock} clock in mode {mode}"
                );
            }
        }
        // What interrupts execute between two blocks is beside the loop's.
        let interrupts = fast.kind("loop").map(|request| request.interrupts);
        assert!(
            interrupts.is_some_and(|interrupts| interrupts > 0),
            "{mode}"
        );
    }
}
