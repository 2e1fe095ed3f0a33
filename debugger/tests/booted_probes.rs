//! What the probes in a guest's kernel must record: what the plugin does, with times, and only when asked.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod freshness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use debugger::crossing::{CrossingKind, Mode};
use debugger::qemu::arguments::{GdbServer, Machine};
use debugger::qemu::image::Image;
use debugger::session::guest_probes::{GuestProbes, ProbesError};
use debugger::session::process::Qemu;
use debugger::session::shared_memory::SharedMemory;
use debugger::session::store;
use debugger::session::trace::{TraceOptions, Traced, trace};
use debugger::session::trace_probes::trace_by_probes;
use debugger::symbols::Symbols;
use debugger::trace::diff;
use debugger::trace::report::{Class, Node, Report};
use debugger::trace::times::TimedNode;
use wire::guest::{WANT_BOUNDARY, WANT_FUNCTIONS};

const CALLS: [&str; 5] = ["getppid", "read", "write", "sendto", "recvfrom"];
const EACH: u64 = 2000;
const PATIENCE: Duration = Duration::from_secs(120);

fn image() -> Image {
    let image = store::image("syscalls+probes").unwrap_or_else(|error| panic!("{error}"));
    freshness::has_todays_probes(&image);
    image
}

fn options(mode: Mode, functions: &str) -> TraceOptions {
    let mut options = TraceOptions::new(mode);
    options.calls = Some(EACH);
    functions.clone_into(&mut options.functions);
    options
}

fn probed(mode: Mode, functions: &str) -> Traced {
    let cancel = AtomicBool::new(false);
    trace_by_probes(&image(), &options(mode, functions), &cancel, &mut |_| ())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn plugged(mode: Mode) -> Traced {
    let cancel = AtomicBool::new(false);
    trace(&image(), &options(mode, ""), &cancel, &mut |_| ())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Calls by kind and name, whatever interrupted them. A bypass that takes the full way is known to the plugin
/// alone: nothing can be written on the application's stack.
fn counts(report: &Report) -> BTreeMap<(CrossingKind, String), u64> {
    let mut counts = BTreeMap::new();
    let made = [
        CrossingKind::Syscall,
        CrossingKind::Bypass,
        CrossingKind::Shortcut,
    ];
    for class in report
        .classes
        .iter()
        .filter(|class| made.contains(&class.kind))
    {
        if class.call != "(full path)" {
            // Only functions tell one protocol's from another's.
            let call = class.call.split(':').next().unwrap_or_default();
            *counts.entry((class.kind, call.to_owned())).or_default() += class.count;
        }
    }
    counts
}

fn dominant<'a>(report: &'a Report, call: &str) -> &'a Class {
    let mut calls = diff::calls(report).into_iter();
    calls
        .find(|class| class.call == call)
        .unwrap_or_else(|| panic!("{call} is not in mode {}", report.mode))
}

fn times<'a>(report: &'a Report, class: &Class) -> &'a TimedNode {
    let measured = report.times.as_ref().expect("times");
    let mut found = measured.classes.iter();
    &found
        .find(|times| times.id == class.id)
        .expect("the class's")
        .path
}

/// The functions of a path that `keep` wants, with their depths among themselves.
fn outline(node: &Node, keep: &dyn Fn(&str) -> bool, depth: usize, out: &mut Vec<(usize, String)>) {
    let kept = keep(&node.symbol);
    if kept {
        let name = (depth, node.symbol.clone());
        out.extend(std::iter::repeat_n(
            name,
            usize::try_from(node.calls).unwrap_or(0).min(1),
        ));
    }
    for child in &node.children {
        outline(child, keep, depth + usize::from(kept), out);
    }
}

#[test]
#[ignore = "boots an image"]
fn the_ways_in_and_out_are_those_that_the_plugin_sees() {
    for mode in Mode::ALL {
        let (probes, plugin) = (probed(mode, ""), plugged(mode));
        assert_eq!(
            (probes.report.engine.as_str(), probes.report.lost),
            ("probes", 0)
        );
        assert_eq!(
            counts(&probes.report),
            counts(&plugin.report),
            "mode {mode}"
        );
        for call in CALLS {
            let class = dominant(&probes.report, call);
            assert_eq!((class.instructions, class.exact), (0, false));
            let times = times(&probes.report, class).times;
            assert_eq!(times.count, class.count, "{call} in mode {mode}");
            assert!(
                times.min <= times.p50 && times.p50 <= times.p99 && times.p99 <= times.max,
                "{call} in mode {mode}: {times:?}"
            );
            assert!(
                times.mean > 0.0 && times.cost > 0.0,
                "{call} in mode {mode}: {times:?}"
            );
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn chosen_functions_make_the_paths_that_the_plugin_sees() {
    const CHOSEN: [&str; 6] = [
        "vfs_write",
        "vfs_read",
        "ksys_write",
        "ksys_read",
        "__sys_sendto",
        "unix_dgram_sendmsg",
    ];
    for mode in [Mode::Ukl, Mode::Bypass] {
        let (probes, plugin) = (probed(mode, &CHOSEN.join(",")), plugged(mode));
        assert_eq!(
            counts(&probes.report),
            counts(&plugin.report),
            "mode {mode}"
        );
        // Pieces of the entry assembly follow each other: the door is no caller of the rest there.
        let keep = |name: &str| CHOSEN.contains(&name) || name.starts_with("__x64_sys_");
        let mut chosen = 0;
        for call in CALLS {
            let [a, b] = [&probes.report, &plugin.report].map(|report| {
                let mut found = Vec::new();
                outline(&dominant(report, call).path, &keep, 0, &mut found);
                found
            });
            assert_eq!(a, b, "{call} in mode {mode}");
            let door = &dominant(&probes.report, call).path.symbol;
            let (mut whole, is_door) = (Vec::new(), |name: &str| name == door);
            outline(
                &dominant(&plugin.report, call).path,
                &is_door,
                0,
                &mut whole,
            );
            assert_eq!(whole.len(), 1, "{call} in mode {mode} goes in by {door}");
            chosen += a
                .iter()
                .filter(|(_, name)| CHOSEN.contains(&name.as_str()))
                .count();
        }
        assert!(
            chosen >= 5,
            "{chosen} of the chosen functions were in the paths"
        );
        let costs = probes.report.times.expect("times").clock.cost;
        assert!(
            costs.probe > 0.0 && costs.inside > 0.0 && costs.between > 0.0,
            "{costs:?}"
        );
    }
}

#[test]
#[ignore = "boots an image"]
fn a_pattern_chooses_every_function_that_it_matches() {
    const PATTERNS: [&str; 2] = ["vfs_", "unix_stream_"];
    let (probes, plugin) = (probed(Mode::Ukl, "vfs_*,unix_stream_*"), plugged(Mode::Ukl));
    assert_eq!(probes.report.lost, 0);
    assert_eq!(counts(&probes.report), counts(&plugin.report));
    let keep = |name: &str| PATTERNS.iter().any(|start| name.starts_with(start));
    let mut chosen = BTreeSet::new();
    for call in CALLS {
        let [a, b] = [&probes.report, &plugin.report].map(|report| {
            let mut found = Vec::new();
            outline(&dominant(report, call).path, &keep, 0, &mut found);
            found
        });
        assert_eq!(a, b, "{call}");
        let class = dominant(&probes.report, call);
        let mut todo = vec![times(&probes.report, class)];
        while let Some(node) = todo.pop() {
            if keep(&node.symbol) {
                let made = class.count * node.calls;
                assert_eq!(node.times.count, made, "{} in {call}", node.symbol);
                chosen.insert(node.symbol.clone());
            }
            todo.extend(&node.children);
        }
    }
    for function in [
        "vfs_read",
        "vfs_write",
        "unix_stream_sendmsg",
        "unix_stream_recvmsg",
    ] {
        assert!(chosen.contains(function), "{function} is not in {chosen:?}");
    }
}

#[test]
#[ignore = "boots an image"]
fn a_name_that_no_function_has_is_refused() {
    let cancel = AtomicBool::new(false);
    let options = options(Mode::Ukl, "vfs_write,no_such_function");
    let error = trace_by_probes(&image(), &options, &cancel, &mut |_| ()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("'no_such_function'"), "{error}");
}

#[test]
#[ignore = "boots an image"]
fn an_image_without_probes_says_how_to_build_one() {
    let plain = store::image("syscalls").unwrap_or_else(|error| panic!("{error}"));
    let cancel = AtomicBool::new(false);
    let error = trace_by_probes(&plain, &options(Mode::Ukl, ""), &cancel, &mut |_| ());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("--probes"), "{error}");
}

/// A guest whose probes are told what to do by hand.
struct Guest {
    memory: SharedMemory,
    symbols: Symbols,
    _qemu: Qemu,
}

impl Guest {
    fn boot(image: &Image) -> Self {
        let options = TraceOptions {
            calls: Some(100_000_000),
            ..options(Mode::Bypass, "")
        };
        let machine = options.machine(image);
        let memory = SharedMemory::new(u64::from(machine.memory_mib) << 20).unwrap();
        let qemu = Qemu::start(&Machine {
            gdb: GdbServer::None,
            stopped_at_start: false,
            shared_memory: Some(memory.path()),
            append: machine.append.clone() + " ukl.probes=wait",
            ..machine
        });
        Self {
            memory,
            symbols: Symbols::open(&image.vmlinux(), None).unwrap(),
            _qemu: qemu.unwrap(),
        }
    }

    fn probes(&self) -> GuestProbes {
        GuestProbes::find(&self.memory, &self.symbols, PATIENCE, &|| false).unwrap()
    }
}

fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Counted by the plugin, on the same image.
#[test]
#[ignore = "boots an image"]
fn an_event_takes_the_same_instructions_in_every_call() {
    let mut recording = image();
    recording.manifest.append.push_str(" ukl.probes=start");
    for mode in [Mode::Linux, Mode::Ukl, Mode::Bypass] {
        let off = plugged(mode).report;
        // Few enough for all records to have room: nobody reads them.
        let options = options(mode, "");
        let cancel = AtomicBool::new(false);
        let on = trace(&recording, &options, &cancel, &mut |_| ()).unwrap();
        let takes = |call: &str| {
            let [off, on] = [dominant(&off, call), dominant(&on.report, call)];
            assert!(off.exact && on.exact, "{call} in {mode}");
            on.instructions - off.instructions
        };
        let all = ["getppid", "read", "write"].map(takes);
        assert!(all[0] > 100 && all[0] < 300, "{mode}: {all:?}");
        assert_eq!(all, [all[0]; 3], "{mode}");
    }
}

/// Nobody reads here: the ring fills, and what is beyond it is counted.
#[test]
#[ignore = "boots an image"]
fn records_come_only_while_they_are_asked_for_and_what_nobody_reads_is_counted() {
    let guest = Guest::boot(&image());
    let mut probes = guest.probes();
    let ring = probes.ring(&guest.memory).unwrap();
    assert_eq!(
        ring.counts(),
        (0, 0),
        "before it is asked the guest writes nothing"
    );
    probes.ask(0, "", PATIENCE).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(ring.counts(), (0, 0), "the application runs, unasked");
    let told = probes
        .ask(WANT_BOUNDARY | WANT_FUNCTIONS, "vfs_*", PATIENCE)
        .unwrap();
    assert!(told.tsc_khz > 0 && told.cost_probe > 0 && told.cost_inside > 0);
    until("chunks are finished while the guest runs", || {
        ring.counts().0 > 2
    });
    until("the ring is full, and records are lost", || {
        ring.counts().1 > 0
    });
    probes.ask(0, "", PATIENCE).unwrap();
    let stopped = ring.counts();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(ring.counts(), stopped, "after it was told to stop");
    for nothing in ["nothing_has_this_name", "nothing_*"] {
        let functions = format!("vfs_*,{nothing}");
        let refused = probes.ask(WANT_BOUNDARY | WANT_FUNCTIONS, &functions, PATIENCE);
        let name = match refused {
            Err(ProbesError::NoFunction(name)) => name,
            other => panic!("{functions}: {other:?}"),
        };
        assert_eq!(name, nothing);
    }
    probes.ask(WANT_BOUNDARY, "", PATIENCE).unwrap();
    until("it goes on", || ring.counts().1 > stopped.1);
}
