//! Calls that are not recorded to their ends.

use wire::record::LEFT_OUT;

use super::tests::{Tape, functions, plain_run};
use super::*;
use crate::crossing::CrossingKind;
use crate::trace::report::Report;

fn fold(tape: &Tape) -> Report {
    let mut fold = Fold::new(functions());
    assert_eq!(fold.take(0, 0, &tape.raw), tape.raw.len());
    fold.report(&plain_run(), 9)
}

fn counts(report: &Report) -> Vec<(CrossingKind, &str, u64, u64)> {
    let classes = report.classes.iter();
    classes
        .map(|class| {
            let call = class.call.as_str();
            (class.kind, call, class.count, class.instructions)
        })
        .collect()
}

#[test]
fn a_call_that_is_left_out_is_none_and_what_follows_is_whole() {
    let mut tape = Tape::in_app();
    tape.read_up().read_down();
    let read = (CrossingKind::Syscall, "read", 1, 47);
    assert_eq!(counts(&fold(&tape)), [read]);
    // The next one is entered without a word of the application's.
    tape.read_up().resume(LEFT_OUT);
    tape.read_up().read_down();
    assert_eq!(counts(&fold(&tape)), [(read.0, read.1, 2, read.3)]);
    // It sleeps meanwhile, and another one runs.
    tape.read_up().resume(LEFT_OUT);
    tape.switch_after(100, 0xb0, 0xa0)
        .switch_after(900, 0xa0, 0xb0);
    tape.after(70, Kind::AppReturn, "main");
    tape.read_up().read_down();
    let report = fold(&tape);
    assert_eq!(counts(&report), [(read.0, read.1, 3, read.3)]);
    let cut_off = report
        .notes
        .iter()
        .any(|note| note.contains("had not returned"));
    assert!(!cut_off, "{:?}", report.notes);
}

#[test]
fn outside_of_a_crossing_it_says_nothing() {
    let mut tape = Tape::in_app();
    tape.resume(LEFT_OUT).read_up().read_down();
    assert_eq!(fold(&tape).classes.len(), 1);
}
