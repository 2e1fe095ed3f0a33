//! What is left out and when it is recorded changes no count of what is recorded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use debugger::crossing::{CrossingKind, Mode};
use debugger::event::Event;
use debugger::session::store;
use debugger::session::trace::{Clock, Scope, Snapshot, TraceOptions, trace, trace_and_record};
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

fn run(name: &str, mode: Mode, change: impl FnOnce(&mut TraceOptions)) -> Report {
    let image = store::image(name).unwrap_or_else(|error| panic!("{error}"));
    let mut options = TraceOptions::new(mode);
    change(&mut options);
    let traced = trace(&image, &options, &AtomicBool::new(false), &mut |_| ())
        .unwrap_or_else(|error| panic!("{name} in {mode}: {error}"));
    assert_eq!(traced.report.lost, 0, "{name} in {mode}");
    traced.report
}

const fn is_suffered(class: &Class) -> bool {
    matches!(class.kind, CrossingKind::Fault | CrossingKind::Interrupt)
}

/// How many crossings of each kind and call took how many instructions: without faults and interrupts, and without
/// bypasses that were not taken, of which it is not known which call they were.
fn calls_of(report: &Report) -> BTreeMap<(String, String), BTreeMap<u64, u64>> {
    let mut all: BTreeMap<_, BTreeMap<u64, u64>> = BTreeMap::new();
    for class in &report.classes {
        if is_suffered(class) || class.call == "(full path)" {
            continue;
        }
        let key = (class.kind.name().to_owned(), class.call.clone());
        let counts = all.entry(key).or_default();
        if class.counts.is_empty() {
            *counts.entry(class.instructions).or_default() += class.count;
        }
        for one in &class.counts {
            *counts.entry(one.instructions).or_default() += one.crossings;
        }
    }
    all
}

fn how_many(counts: &BTreeMap<u64, u64>) -> u64 {
    counts.values().sum()
}

/// Sites of the boundary alone: what is between is not recorded, and counted nevertheless.
#[test]
#[ignore = "boots an image"]
fn the_boundary_alone_has_the_same_crossings() {
    for mode in Mode::ALL {
        let [whole, boundary] = [Scope::Functions, Scope::Boundary].map(|scope| {
            run("syscalls", mode, |options| {
                options.calls = Some(300);
                options.scope = scope;
                options.repeatable = true;
            })
        });
        assert!(boundary.events * 20 < whole.events, "{mode}");
        let (whole, boundary) = (calls_of(&whole), calls_of(&boundary));
        let getppid = whole.iter().find(|(call, _)| call.1 == "getppid");
        assert_eq!(getppid.map(|(_, counts)| how_many(counts)), Some(300));
        // TCP's, too, to the instruction.
        assert_eq!(boundary, whole, "mode {mode}");
    }
}

/// Where nothing is counted a crossing is found by what is recorded alone.
#[test]
#[ignore = "boots an image"]
fn the_boundary_by_time_has_the_same_crossings() {
    for mode in Mode::ALL {
        let [counted, timed] = [Clock::Fast, Clock::Time].map(|clock| {
            run("syscalls", mode, |options| {
                options.calls = Some(300);
                options.scope = Scope::Boundary;
                options.clock = clock;
                options.repeatable = true;
            })
        });
        assert!(counted.times.is_none() && counted.insns > 0);
        assert_eq!(timed.insns, 0, "{mode}");
        let made = |report: &Report| -> BTreeMap<(String, bool), (String, u64)> {
            let made = report.classes.iter().filter(|class| !is_suffered(class));
            let of = |class: &Class| (class.call.clone(), class.count);
            made.map(|class| ((class.id.clone(), class.interrupted), of(class)))
                .collect()
        };
        let (counted, by_time) = (made(&counted), made(&timed));
        assert_eq!(by_time, counted, "{mode}");
        let getppid = counted.values().filter(|(call, _)| call == "getppid");
        let count: u64 = getppid.map(|(_, count)| count).sum();
        assert_eq!(count, 300, "{mode}");
        let times = timed.times.unwrap_or_else(|| panic!("{mode}: no times"));
        assert_eq!(times.classes.len(), timed.classes.len(), "{mode}");
        for (class, times) in timed.classes.iter().zip(&times.classes) {
            let whole = &times.path.times;
            assert_eq!((&class.id, class.count), (&times.id, whole.count), "{mode}");
            // None is as short as two looks at the clock.
            assert!(whole.min > 5.0, "{} in {mode}: {whole:?}", class.call);
            let sorted = [whole.min, whole.p50, whole.p90, whole.p99, whole.max];
            assert!(sorted.is_sorted(), "{} in {mode}: {whole:?}", class.call);
            assert!(whole.own <= whole.mean && whole.cost == 0.0);
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn calls_that_nobody_asked_for_are_left_out_and_counted() {
    for mode in Mode::ALL {
        let whole = traced(mode, Filter::default());
        let filter = Filter {
            only_calls: wanted("read,recv*"),
            ..Filter::default()
        };
        let part = traced(mode, filter);
        assert!(part.events < whole.events, "{mode}");
        let told = part
            .notes
            .iter()
            .any(|note| note.starts_with("left out as asked"));
        assert!(told, "{mode}: {:?}", part.notes);
        let (whole, part) = (calls_of(&whole), calls_of(&part));
        for (call, there) in &whole {
            let name = call.1.split(':').next().unwrap_or_default();
            let is_wanted = name == "read" || name.starts_with("recv");
            let always = ["execve", "rt_sigreturn"].contains(&name);
            match part.get(call) {
                Some(found) => {
                    assert!(is_wanted || always, "{call:?} in {mode}");
                    assert_eq!(how_many(found), how_many(there), "{call:?} in {mode}");
                    // TCP's costs depend on the time.
                    let most = |counts: &BTreeMap<u64, u64>| {
                        let most = counts.iter().max_by_key(|(_, crossings)| **crossings);
                        most.map(|(instructions, _)| *instructions)
                    };
                    let exact = how_many(there) >= EACH && !call.1.contains("tcp");
                    assert!(!exact || most(found) == most(there), "{call:?} in {mode}");
                }
                None => assert!(!is_wanted, "{call:?} in {mode}"),
            }
        }
    }
}

/// The image's threads have one name, the kernel's own others.
#[test]
#[ignore = "boots an image"]
fn tasks_that_nobody_asked_for_are_left_out_and_counted() {
    for (mode, smp) in [(Mode::Linux, 1), (Mode::Bypass, 2)] {
        // So that no class is too rare to be told.
        let of = |names: &[&str]| {
            run("threads", mode, |options| {
                options.smp = smp;
                options.scope = Scope::Boundary;
                options.filter.only_tasks = names.iter().map(|name| (*name).to_owned()).collect();
            })
        };
        let made = |report: &Report| -> u64 {
            let all = calls_of(report).into_iter();
            let getppid = all.filter(|(call, _)| call.1 == "getppid");
            getppid.map(|(_, counts)| how_many(&counts)).sum()
        };
        let whole = of(&[]);
        assert_eq!(made(&whole), 40_000, "{mode}");
        let busiest = whole.uses.iter().max_by_key(|one| one.count);
        let name = busiest.and_then(|one| {
            let task = whole.tasks.iter().find(|task| task.task == one.task)?;
            task.comm.clone()
        });
        let name = name.unwrap_or_else(|| panic!("{mode}: {:?}", whole.tasks));
        let part = of(&[&name, "nobody"]);
        assert_eq!(made(&part), 40_000, "{name} in {mode}");
        let told = |report: &Report| {
            let mut notes = report.notes.iter();
            notes.any(|note| note.starts_with("left out as asked"))
        };
        assert!(told(&part) && !told(&whole), "{mode}: {:?}", part.notes);
        let none = of(&["kthreadd"]);
        assert_eq!(made(&none), 0, "{mode}");
        // How much else runs beside them depends on the time a run takes: no run is compared by that.
        assert!(none.events < part.events, "{mode}");
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
