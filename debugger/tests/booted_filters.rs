//! What is left out and when it is recorded changes no count of what is recorded.

use std::sync::atomic::AtomicBool;

use debugger::crossing::Mode;
use debugger::session::store;
use debugger::session::trace::{TraceOptions, trace};
use debugger::trace::diff;
use debugger::trace::filter::{Filter, Wanted};
use debugger::trace::report::{Class, Node, Report};

const EACH: u64 = 2000;

fn traced(mode: Mode, filter: Filter) -> Report {
    let image = store::image("syscalls").unwrap_or_else(|error| panic!("{error}"));
    let mut options = TraceOptions::new(mode);
    options.calls = Some(EACH);
    options.filter = filter;
    let traced = trace(&image, &options, &AtomicBool::new(false), &mut |_| ())
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(traced.report.lost, 0);
    traced.report
}

fn wanted(list: &str) -> Vec<Wanted> {
    list.split(',')
        .map(|name| name.parse().unwrap_or_else(|never| match never {}))
        .collect()
}

fn dominant(report: &Report, call: &str) -> Option<Class> {
    let calls = diff::calls(report);
    calls.into_iter().find(|class| class.call == call).cloned()
}

fn symbols(node: &Node, out: &mut Vec<String>) {
    out.push(node.symbol.clone());
    node.children.iter().for_each(|child| symbols(child, out));
}

#[test]
#[ignore = "boots an image"]
fn functions_that_are_left_out_are_their_callers_instructions() {
    for mode in [Mode::Linux, Mode::Bypass] {
        let whole = traced(mode, Filter::default());
        let filter = Filter {
            not: wanted("vfs_*,kernel:net"),
            ..Filter::default()
        };
        let part = traced(mode, filter);
        assert!(part.events < whole.events);
        for call in ["getppid", "read", "write"] {
            let (whole, part) = (dominant(&whole, call), dominant(&part, call));
            let (whole, part) = whole
                .zip(part)
                .unwrap_or_else(|| panic!("{call} in {mode}"));
            assert_eq!(part.instructions, whole.instructions, "{call} in {mode}");
            assert!(part.exact, "{call} in {mode}");
            let mut names = Vec::new();
            symbols(&part.path, &mut names);
            assert!(
                !names.iter().any(|name| name.starts_with("vfs_")),
                "{names:?}"
            );
        }
        let mut names = Vec::new();
        dominant(&whole, "read")
            .iter()
            .for_each(|class| symbols(&class.path, &mut names));
        assert!(names.iter().any(|name| name == "vfs_read"), "{names:?}");
    }
}

/// The demo makes its calls one kind after the other: getppid, read, write, sendto, recvfrom.
#[test]
#[ignore = "boots an image"]
fn recording_starts_and_stops_where_it_is_told_to() {
    for mode in [Mode::Linux, Mode::Ukl, Mode::Bypass] {
        let whole = traced(mode, Filter::default());
        let filter = Filter {
            start_at: wanted("bench_read"),
            stop_at: wanted("bench_sendto_recvfrom"),
            ..Filter::default()
        };
        let part = traced(mode, filter);
        assert!(
            part.events < whole.events,
            "{} of {}",
            part.events,
            whole.events
        );
        assert!(part.insns > 0, "the clock goes on");
        for call in ["read", "write"] {
            let (whole, part) = (dominant(&whole, call), dominant(&part, call));
            let (whole, part) = whole
                .zip(part)
                .unwrap_or_else(|| panic!("{call} in {mode}"));
            assert_eq!(part.path, whole.path, "{call} in {mode}");
            assert!(
                part.count > EACH * 9 / 10,
                "{call} in {mode}: {}",
                part.count
            );
        }
        for call in ["getppid", "recvfrom"] {
            let found = dominant(&part, call).map_or(0, |class| class.count);
            assert!(found < 10, "{call} in {mode}: {found}");
        }
    }
}
