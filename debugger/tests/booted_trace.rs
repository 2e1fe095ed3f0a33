//! What a traced boot must show, whatever the machine: exact counts, the same saving for every call.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use debugger::crossing::{CrossingKind, Mode, Setup};
use debugger::event::Event;
use debugger::qemu::image::Image;
use debugger::session::store;
use debugger::session::stub_trace::trace_by_stub;
use debugger::session::trace::{Clock, TraceOptions, Traced, trace};
use debugger::session::trace_compare::side_by_side;
use debugger::trace::diff;
use debugger::trace::report::{Class, Node, Phases, Report};

const CALLS: [&str; 5] = ["getppid", "read", "write", "sendto", "recvfrom"];
const EACH: u64 = 3000;

fn image() -> Image {
    store::image("syscalls").unwrap_or_else(|error| panic!("{error}"))
}

fn traced(mode: impl Into<Setup>, change: impl FnOnce(&mut TraceOptions)) -> Traced {
    let mut options = TraceOptions::new(mode);
    options.calls = Some(EACH);
    change(&mut options);
    let image = image();
    trace(&image, &options, &AtomicBool::new(false), &mut |_| ())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The class of a call that nothing interrupted.
fn dominant<'a>(report: &'a Report, call: &str) -> &'a Class {
    let calls = diff::calls(report);
    calls
        .into_iter()
        .find(|class| class.call == call)
        .unwrap_or_else(|| panic!("{call} is not in mode {}", report.mode))
}

#[test]
#[ignore = "boots an image"]
fn every_mode_takes_the_same_from_every_call() {
    let runs: Vec<Report> = Mode::ALL.map(|mode| traced(mode, |_| ()).report).into();
    for run in &runs {
        assert_eq!(run.lost, 0, "{}", run.mode);
        for call in CALLS {
            let class = dominant(run, call);
            let what = format!("{call} in mode {}", run.mode);
            assert!(
                !class.interrupted && class.exact,
                "{what}: {} to {}",
                class.min,
                class.max
            );
            assert!(
                class.count > EACH * 9 / 10,
                "{what}: {} of {EACH}",
                class.count
            );
            assert_eq!(class.path.total, class.instructions, "{what}");
            assert_eq!(class.phases.total(), class.instructions, "{what}");
        }
    }
    let saving = |from: usize, to: usize, call: &str| {
        let (from, to) = (dominant(&runs[from], call), dominant(&runs[to], call));
        from.instructions.checked_sub(to.instructions)
    };
    for step in [(0, 1), (1, 2)] {
        let first = saving(step.0, step.1, CALLS[0]);
        assert!(first.is_some_and(|saving| saving > 0), "{step:?}");
        for call in CALLS {
            assert_eq!(saving(step.0, step.1, call), first, "{call} {step:?}");
        }
    }
    let comparison = side_by_side("syscalls", runs);
    for pair in &comparison.pairs {
        assert!(
            pair.balanced,
            "{} from {} to {}",
            pair.call, pair.mode_a, pair.mode_b
        );
    }
    for call in CALLS {
        let pairs = comparison.pairs.iter().filter(|pair| pair.call == call);
        assert_eq!(pairs.count(), 6, "{call}: one pair for each two modes");
    }
    let tcp = comparison
        .pairs
        .iter()
        .find(|pair| pair.mode_a == Mode::Bypass && pair.kind_b == CrossingKind::Shortcut);
    let tcp = tcp.expect("a shortcut is paired with the call it stands for");
    assert!(tcp.b < tcp.a, "{}: {} to {}", tcp.call, tcp.a, tcp.b);
}

/// `ukl.ret=1` changes the way back of a call and nothing else. It takes more instructions, not fewer: what it
/// leaves out is the IRET, one instruction, whose time no count shows.
#[test]
#[ignore = "boots an image"]
fn a_return_by_ret_changes_the_exit_alone_and_by_the_same_for_every_call() {
    let by_ret: Setup = "ukl+ret".parse().unwrap();
    let runs = vec![
        traced(Mode::Ukl, |_| ()).report,
        traced(by_ret, |_| ()).report,
    ];
    assert_eq!((runs[0].lost, runs[1].lost), (0, 0));
    let mut differences = BTreeSet::new();
    for call in CALLS {
        let [by_iret, by_ret] = [&runs[0], &runs[1]].map(|run| {
            let class = dominant(run, call);
            let what = format!("{call} in mode {}", run.mode);
            assert!(class.exact && !class.interrupted, "{what}");
            assert_eq!(class.path.total, class.instructions, "{what}");
            assert_eq!(class.phases.total(), class.instructions, "{what}");
            class
        });
        assert!(!passes(&by_iret.path, "ukl_ret_to_app"), "{call}");
        assert!(passes(&by_ret.path, "ukl_ret_to_app"), "{call}");
        let without_exit = |class: &Class| Phases {
            exit: 0,
            ..class.phases
        };
        assert_eq!(without_exit(by_ret), without_exit(by_iret), "{call}");
        differences.insert(by_ret.phases.exit.abs_diff(by_iret.phases.exit));
    }
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(!differences.contains(&0), "the way back is another one");
    let comparison = side_by_side("syscalls", runs);
    for call in CALLS {
        let pair = comparison.pairs.iter().find(|pair| pair.call == call);
        let pair = pair.unwrap_or_else(|| panic!("{call} is in both runs"));
        let difference = pair.a.abs_diff(pair.b);
        assert!(pair.balanced && differences.contains(&difference), "{call}");
    }
}

fn passes(node: &Node, symbol: &str) -> bool {
    node.symbol == symbol || node.children.iter().any(|child| passes(child, symbol))
}

/// The fast clock is one addition per block; the slow one an addition per instruction.
#[test]
#[ignore = "boots an image"]
fn the_fast_clock_agrees_with_a_count_of_every_instruction() {
    for mode in Mode::ALL {
        let fast = traced(mode, |_| ()).report;
        let slow = traced(mode, |options| options.clock = Clock::Slow).report;
        for call in CALLS {
            let (fast, slow) = (dominant(&fast, call), dominant(&slow, call));
            assert_eq!(fast.path, slow.path, "{call} in mode {mode}");
            assert_eq!(fast.id, slow.id, "{call} in mode {mode}");
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn the_stub_engine_counts_what_the_plugin_counts() {
    let image = image();
    let mut options = TraceOptions::new(Mode::Bypass);
    options.calls = Some(20);
    // What comes after these calls is long and adds nothing: the run ends once each was stepped.
    let cancel = AtomicBool::new(false);
    let by_stub = trace_by_stub(&image, &options, None, &cancel, &mut |event| {
        if let Event::Trace(news) = event {
            let classes = &news.report.classes;
            let stepped = |call: &str| {
                classes
                    .iter()
                    .any(|class| class.call == call && class.count >= 3)
            };
            cancel.store(CALLS.iter().all(|call| stepped(call)), Ordering::Relaxed);
        }
    })
    .unwrap();
    let by_plugin = traced(Mode::Bypass, |_| ());
    assert_eq!(by_stub.report.engine, "stub");
    for call in CALLS {
        let stub = dominant(&by_stub.report, call);
        let plugin = dominant(&by_plugin.report, call);
        assert_eq!(stub.path, plugin.path, "{call}");
    }
    assert!(
        by_stub
            .report
            .notes
            .iter()
            .any(|note| note.contains("a second"))
    );
}

/// A run that is told to end gives what it has.
#[test]
#[ignore = "boots an image"]
fn a_run_that_is_ended_early_is_reported_as_far_as_it_came() {
    let image = image();
    let mut options = TraceOptions::new(Mode::Ukl);
    options.calls = Some(100_000_000);
    let cancel = AtomicBool::new(false);
    let mut seen = 0;
    let traced = trace(&image, &options, &cancel, &mut |event| {
        if let Event::Trace(news) = event
            && news.report.classes.iter().any(|class| class.count > 1000)
        {
            seen += 1;
            cancel.store(true, Ordering::Relaxed);
        }
    });
    let report = traced.unwrap().report;
    assert!(seen > 0);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("ended before the guest"))
    );
    assert!(report.insns > 0, "the plugin handed over its last chunk");
}
