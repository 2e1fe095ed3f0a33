//! Tasks that go from one vCPU to another, and records that come from several vCPUs in any order.

use proptest::prelude::{any, proptest};
use proptest::{prop_assert, prop_assert_eq};

use super::tests::{Tape, functions, report};
use super::*;
use crate::trace::report::Report;

/// Sleeps in `vfs_read` of the task at `from`, for the one at `to`.
fn sleep(tape: &mut Tape, from: u64, to: u64, number: u64) {
    tape.read_up()
        .after(2, Kind::Entry, "__switch_to_asm")
        .numbered_switch(6, from, to, number);
}

/// And wakes, back to the application.
fn wake(tape: &mut Tape) {
    tape.after(4, Kind::Return, "__switch_to_asm").read_down();
}

/// A call that sleeps on vCPU 0 and wakes on vCPU 1, whose clock is another one.
fn moves() -> [Tape; 2] {
    let mut first = Tape::in_app();
    sleep(&mut first, 0xb0, 0xc0, 1);
    let mut second = Tape::at(77_000_000);
    second.numbered_switch(3, 0xd0, 0xb0, 2);
    wake(&mut second);
    [first, second]
}

fn reads(report: &Report) -> Vec<(u64, u64, bool, bool)> {
    let reads = report.classes.iter().filter(|class| class.call == "read");
    reads
        .map(|class| {
            (
                class.count,
                class.instructions,
                class.exact,
                class.interrupted,
            )
        })
        .collect()
}

#[test]
fn a_call_that_wakes_on_another_vcpu_keeps_its_path_and_its_count() {
    let [first, second] = moves();
    let mut fold = Fold::new(functions());
    assert_eq!(fold.take(1, 0, &second.raw), 0);
    assert!(fold.is_waiting());
    assert_eq!(fold.take(0, 0, &first.raw), first.raw.len());
    assert_eq!(fold.take(1, 0, &second.raw), second.raw.len());
    assert!(!fold.is_waiting());
    assert_eq!(fold.broken, 0);
    assert_eq!(reads(&report(&fold)), [(1, 47 + 12, true, true)]);
}

#[test]
fn a_switch_that_never_comes_stops_nothing_for_ever() {
    let [first, mut second] = moves();
    let mut fold = Fold::new(functions());
    // vCPU 0 has lost all of its own but the beginning.
    let start = fold.take(0, 0, &first.raw[..6]);
    assert_eq!(start, 6);
    fold.gap(0);
    second
        .after(4, Kind::AppReturn, "main")
        .read_up()
        .read_down();
    assert_eq!(fold.take(1, 0, &second.raw), 0);
    fold.pass_missing_switches();
    assert_eq!(fold.take(1, 0, &second.raw), second.raw.len());
    let report = report(&fold);
    // The call that slept is not known to have; the one after the application was seen again is counted.
    assert_eq!(reads(&report), [(1, 47, true, false)]);
    assert_eq!(fold.gaps, 1);
}

#[test]
fn a_gap_loses_what_its_own_vcpu_was_doing_alone() {
    let mut tapes = [Tape::in_app(), Tape::at(9)];
    tapes[1].numbered_switch(0, 0xd0, 0xe0, 1);
    tapes[1].after(1, Kind::AppEntry, "main").read_up();
    tapes[0].read_up();
    let mut fold = Fold::new(functions());
    for (vcpu, tape) in tapes.iter_mut().enumerate() {
        fold.take(vcpu, 0, &std::mem::take(&mut tape.raw));
    }
    fold.gap(0);
    for (vcpu, tape) in tapes.iter_mut().enumerate() {
        tape.read_down();
        fold.take(vcpu, 0, &tape.raw);
    }
    assert_eq!(reads(&report(&fold)), [(1, 47, true, false)]);
}

#[test]
fn what_happened_while_recording_was_off_is_not_made_up() {
    let [mut first, mut second] = moves();
    // Off while the task is on vCPU 1; vCPU 1 says so later than vCPU 0.
    first.resume(3).after(9, Kind::Return, "vfs_read");
    second
        .read_up()
        .numbered_switch(900, 0xb0, 0xd0, 3)
        .numbered_switch(40, 0xd0, 0xb0, 4)
        .resume(3)
        .after(4, Kind::Return, "__switch_to_asm")
        .read_down()
        .after(5, Kind::AppReturn, "main")
        .read_up()
        .read_down();
    let mut fold = Fold::new(functions());
    fold.take(0, 0, &first.raw);
    fold.take(1, 0, &second.raw);
    // The call that was on its way from one vCPU to the other is not known to have ended either.
    assert_eq!(reads(&report(&fold)), [(1, 47, true, false)]);
    assert_eq!((fold.pauses, fold.broken), (1, 0));
}

const VCPUS: usize = 3;
const TASKS: usize = 5;

proptest! {
    /// However tasks are moved about, and in whatever pieces the records come, each call costs what it
    /// costs.
    #[test]
    fn any_schedule_gives_each_call_its_own_count(
        choices in proptest::collection::vec((0..VCPUS, 0..TASKS), 1..120),
        pieces in proptest::collection::vec((0..VCPUS, 1usize..9), 0..400),
        clocks in any::<[u32; VCPUS]>(),
    ) {
        let mut tapes = clocks.map(Tape::at);
        let mut running: Vec<u64> = (0..VCPUS as u64).map(|vcpu| 0xf0 + vcpu).collect();
        let address = |task: usize| 0x1000 + task as u64;
        // What each task has begun: nothing, so it is first seen in the application; or a call.
        let mut begun = [false; TASKS];
        let mut number = 0;
        let mut calls = 0;
        for (vcpu, task) in choices {
            let to = address(task);
            if running.contains(&to) {
                continue;
            }
            let tape = &mut tapes[vcpu];
            tape.numbered_switch(6, running[vcpu], to, number);
            number += 1;
            running[vcpu] = to;
            if std::mem::replace(&mut begun[task], true) {
                wake(tape);
                calls += 1;
            } else {
                tape.after(4, Kind::AppEntry, "main");
            }
            tape.read_up().after(2, Kind::Entry, "__switch_to_asm");
        }
        let mut fold = Fold::new(functions());
        let mut taken = [0; VCPUS];
        let whole = (0..=number).flat_map(|_| (0..VCPUS).map(|vcpu| (vcpu, usize::MAX)));
        for (vcpu, length) in pieces.into_iter().chain(whole) {
            let rest = &tapes[vcpu].raw[taken[vcpu]..];
            taken[vcpu] += fold.take(vcpu, 0, &rest[..length.min(rest.len())]);
        }
        prop_assert_eq!(taken.to_vec(), tapes.iter().map(|tape| tape.raw.len()).collect::<Vec<_>>());
        prop_assert_eq!((fold.broken, fold.gaps), (0, 0));
        let found = reads(&report(&fold));
        if calls == 0 {
            prop_assert!(found.is_empty());
        } else {
            prop_assert_eq!(found, [(calls, 47 + 12, true, true)]);
        }
    }
}
