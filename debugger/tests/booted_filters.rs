//! What is left out and when it is recorded changes no count of what is recorded.

use std::sync::atomic::{AtomicBool, Ordering};

use debugger::crossing::Mode;
use debugger::event::Event;
use debugger::session::store;
use debugger::session::trace::{Snapshot, TraceOptions, trace, trace_and_record};
use debugger::trace::diff;
use debugger::trace::filter::{Filter, Wanted};
use debugger::trace::recording::Chunk;
use debugger::trace::records::Recorder;
use debugger::trace::report::{Class, Node, Report};
use debugger::trace::sites::SiteTable;
use wire::{Kind, Record};

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

/// While the guest runs, from another thread or, as here, from where the news come.
#[test]
#[ignore = "boots an image"]
fn recording_is_paused_and_goes_on_while_the_guest_runs() {
    let image = store::image("syscalls").unwrap_or_else(|error| panic!("{error}"));
    let mut options = TraceOptions::new(Mode::Bypass);
    options.calls = Some(100_000_000);
    options.paused = true;
    let switch = options.switch.clone();
    let cancel = AtomicBool::new(false);
    // What was seen of getppid when it was paused, and the pieces of news since the last turn.
    let (mut seen, mut since, mut turns) = (0, 0, 0);
    let traced = trace(&image, &options, &cancel, &mut |event| {
        let Event::Trace(news) = event else { return };
        let count = dominant(&news.report, "getppid").map_or(0, |class| class.count);
        since += 1;
        let turned = match turns {
            // The guest has started meanwhile: nothing of it was recorded.
            0 => {
                assert!(!news.recording && count == 0, "{count}");
                since == 12
            }
            1 | 3 => news.recording && count > seen + 1000,
            // What was in the ring when it was paused is folded first; then nothing more comes.
            2 if count != seen => {
                (seen, since) = (count, 0);
                false
            }
            2 => {
                assert!(!news.recording);
                since == 6
            }
            _ => return cancel.store(true, Ordering::Relaxed),
        };
        if turned {
            (turns, since) = (turns + 1, 0);
            switch.turn();
        }
    });
    let report = traced.unwrap_or_else(|error| panic!("{error}")).report;
    assert!(turns >= 4, "{turns}");
    let class = dominant(&report, "getppid").unwrap_or_else(|| panic!("{:?}", report.notes));
    assert!(class.exact && !class.interrupted && class.count > seen);
    assert_eq!(report.lost, 0);
}

/// Keeps what it is given.
#[derive(Default)]
struct Seen(Vec<u64>);

impl Recorder for Seen {
    fn begin(&mut self, _table: &SiteTable) {}

    fn take(&mut self, chunk: Chunk<'_>) {
        self.0.extend(chunk.records);
    }
}

#[test]
#[ignore = "boots an image"]
fn a_run_ends_after_the_crossing_that_is_waited_for() {
    let image = store::image("syscalls").unwrap_or_else(|error| panic!("{error}"));
    for mode in [Mode::Linux, Mode::Bypass] {
        let mut options = TraceOptions::new(mode);
        options.calls = Some(EACH);
        // The demo's getppids come before its reads, and its sends after.
        let when = "call=read interrupted=false".parse();
        options.snapshot = Some(Snapshot {
            when: when.unwrap_or_else(|error| panic!("{error}")),
            records: 1000,
        });
        let mut seen = Seen::default();
        let cancel = AtomicBool::new(false);
        let traced = trace_and_record(&image, &options, &cancel, &mut |_| (), &mut seen)
            .unwrap_or_else(|error| panic!("{error}"));
        let class = traced.triggered.expect("it came");
        let report = &traced.report;
        assert_eq!((class.call.as_str(), class.count), ("read", 1));
        let count = |call: &str| -> u64 {
            // One that was interrupted was not waited for.
            let meant = |class: &&Class| class.call == call && !class.interrupted;
            let classes = report.classes.iter().filter(meant);
            classes.map(|class| class.count).sum()
        };
        assert_eq!([count("read"), count("sendto")], [1, 0], "mode {mode}");
        assert_eq!(report.lost, 0, "mode {mode}");
        // The way out is the last that is recorded.
        let last = seen.0.last().copied().map(Record::decode);
        let kind = last.and_then(|last| last.word.kind());
        assert!(
            matches!(kind, Some(Kind::Return | Kind::Sysret | Kind::Iret)),
            "{kind:?}"
        );
        assert_eq!(seen.0.len() as u64, report.events, "mode {mode}");
    }
}
