//! A recording with the machine at its crossings is a target: for the session, and for stock gdb.

mod debuggee;
mod peers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use debuggee::Debuggee;
use debugger::addr::Addr;
use debugger::crossing::{CrossingKind, Mode};
use debugger::event::{Event, StopReason};
use debugger::gdb::description::Description;
use debugger::gdb::registers::Registers;
use debugger::qemu::image::Image;
use debugger::session::store::Store;
use debugger::session::stub_trace::trace_by_stub;
use debugger::session::trace::{TraceOptions, trace};
use debugger::session::trace_file::{self, head};
use debugger::session::trace_keep::{Keeper, Kept};
use debugger::session::{Session, StatesOptions};
use debugger::symbols::Symbols;
use debugger::trace::recording::{Side, State};
use peers::{Raw, Served};

fn image(name: &str) -> Image {
    let image = Store::open().and_then(|store| store.image(name));
    image.unwrap_or_else(|error| panic!("{error}"))
}

fn recorded(root: &Path, mode: Mode) -> (PathBuf, Kept) {
    let cancel = Arc::new(AtomicBool::new(false));
    record(
        root,
        "hello",
        &TraceOptions::new(mode),
        &cancel,
        &mut |_| {},
    )
}

fn record(
    root: &Path,
    image_name: &str,
    options: &TraceOptions,
    cancel: &Arc<AtomicBool>,
    tell: &mut dyn FnMut(Event),
) -> (PathBuf, Kept) {
    let path = root.join("states.uklrec");
    let image = image(image_name);
    let mut keeper = Keeper::begin(&path, &head(&image), Arc::clone(cancel))
        .unwrap_or_else(|error| panic!("{error}"));
    trace_by_stub(&image, options, Some(&mut keeper), cancel, tell)
        .unwrap_or_else(|error| panic!("{error}"));
    let kept = keeper.finish().unwrap_or_else(|error| panic!("{error}"));
    (path, kept)
}

/// All that a recording holds.
struct States {
    description: Arc<Description>,
    list: Vec<State>,
}

impl States {
    fn of(path: &Path) -> Self {
        let stored = trace_file::open(path).unwrap_or_else(|error| panic!("{error}"));
        let machine = stored.machine(0).expect("it is described");
        let document = |name: &str| machine.documents.get(name).cloned().ok_or_else(String::new);
        let xml = document("target.xml").expect("it is there");
        let description = Description::parse(&xml, &mut |name| document(name));
        let blocks = (0..stored.state_blocks(0)).map(|block| stored.states(0, block));
        Self {
            description: Arc::new(description.expect("it is one")),
            list: blocks
                .flat_map(|block| block.expect("it is whole"))
                .collect(),
        }
    }

    fn registers(&self, bytes: &[Option<u8>]) -> Registers {
        Registers::new(Arc::clone(&self.description), bytes.to_vec())
    }

    /// A register of the vCPU that crosses.
    fn get(&self, state: &State, name: &str) -> u64 {
        let found = self.registers(&state.registers).get(name);
        found.unwrap_or_else(|| panic!("{name} at {}", state.passed))
    }

    /// Every crossing that came back, with the states at its sides.
    fn returned(&self) -> Vec<(&State, &State)> {
        let mut entries = BTreeMap::new();
        let mut pairs = Vec::new();
        for state in &self.list {
            match state.passed.side {
                Side::Entry => {
                    let known = entries.insert(state.passed.crossing, state);
                    assert!(known.is_none(), "entered twice: {}", state.passed);
                }
                Side::Exit => {
                    let entry = entries.remove(&state.passed.crossing);
                    pairs.push((entry.expect("it was entered before"), state));
                }
            }
        }
        pairs
    }

    fn entries(&self, kind: CrossingKind) -> impl Iterator<Item = &State> {
        let entries = self.list.iter();
        entries.filter(move |state| state.passed.side == Side::Entry && state.passed.kind == kind)
    }

    /// Where a fault or an interrupt came: what the processor has pushed, above an error code if there is one.
    fn interrupted(&self, state: &State, above: u64) -> Addr {
        let at = self.get(state, "rsp") + above;
        let piece = state.memory.piece(at).expect("the stack is kept");
        let at = usize::try_from(at % 64).expect("it is less than 64");
        let word = piece[at..].first_chunk().expect("it is aligned");
        Addr(u64::from_le_bytes(*word))
    }
}

const HISTORY_ENDS: &str = "No more reverse-execution history";

/// Entries by call.
fn counts<'a>(states: impl Iterator<Item = &'a State>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for state in states {
        *counts.entry(state.passed.call.clone()).or_default() += 1;
    }
    counts
}

fn has(text: &str, wanted: &[&str]) {
    // What gdb 16 calls it.
    let text = &text.replace("Reached end of recorded history", HISTORY_ENDS);
    let mut rest = text.as_str();
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
        // An interrupt may come before the first instruction there.
        "echo back from it:\\n",
        "tbreak *(unsigned long) $rcx",
        "continue",
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
            // Its C library touches its own data, which nobody has touched before.
            "at the first:\n=> 0x",
            "<asm_exc_page_fault>",
            "$1 = 1",
            HISTORY_ENDS,
            "to the write:",
            "Breakpoint 1,",
            "$2 = 1",
            "hello from ring 0",
            "back from it:\n",
            "__ukl_syscall_insn",
            "$3 = 1",
            "Breakpoint 1,",
            "$4 = 1",
            "not held:",
            HISTORY_ENDS,
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

#[test]
#[ignore = "boots an image"]
fn what_is_kept_is_what_the_plugin_counts() {
    for (mode, kind) in [
        (Mode::Linux, CrossingKind::Syscall),
        (Mode::Ukl, CrossingKind::Syscall),
        (Mode::Bypass, CrossingKind::Bypass),
    ] {
        let root = tempfile::tempdir().unwrap();
        let (path, _) = recorded(root.path(), mode);
        let states = States::of(&path);
        let options = TraceOptions::new(mode);
        let cancel = Arc::new(AtomicBool::new(false));
        let traced = trace(&image("hello"), &options, &cancel, &mut |_| {});
        let report = traced.unwrap_or_else(|error| panic!("{error}")).report;
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for class in report.classes.iter().filter(|class| class.kind == kind) {
            let call = class.call.split(':').next().unwrap_or_default();
            *counted.entry(call.to_owned()).or_default() += class.count;
        }
        assert!(counted.len() > 3, "{counted:?}");
        for (call, count) in counts(states.entries(kind)) {
            // What ends the program does not come back, and is no crossing of the plugin's; of a bypass that is the
            // way to the full path.
            let ends = call.starts_with("exit") || call == "reboot";
            let call = match (ends, kind) {
                (true, CrossingKind::Bypass) => "(full path)".to_owned(),
                _ => call,
            };
            assert!(
                (ends && kind == CrossingKind::Syscall) || counted.get(&call) == Some(&count),
                "{mode} {call}: {count}, {counted:?}"
            );
            counted.remove(&call);
        }
        assert_eq!(counted, BTreeMap::new(), "not kept in mode {mode}");
    }
}

#[test]
#[ignore = "boots an image"]
fn faults_and_interrupts_of_the_application_are_crossings() {
    const TURNS: u64 = 5;
    let root = tempfile::tempdir().unwrap();
    let options = TraceOptions {
        calls: Some(TURNS),
        ..TraceOptions::new(Mode::Ukl)
    };
    let cancel = Arc::new(AtomicBool::new(false));
    let (path, _) = record(root.path(), "known", &options, &cancel, &mut |_| {});
    let states = States::of(&path);
    let symbols = Symbols::open(&image("known").vmlinux(), None).unwrap();
    let at = |name| {
        symbols
            .address_of(name)
            .unwrap_or_else(|| panic!("no {name}"))
    };
    // Its third instruction stores to a page that is not there.
    let stores = at("known_fault") + 2;
    let pairs = states.returned();
    let faults: Vec<_> = pairs
        .iter()
        .filter(|(entry, _)| entry.passed.kind == CrossingKind::Fault)
        .collect();
    let traced = trace(&image("known"), &options, &cancel, &mut |_| {});
    let report = traced.unwrap_or_else(|error| panic!("{error}")).report;
    let of_faults = report.classes.iter();
    let of_faults = of_faults.filter(|class| class.kind == CrossingKind::Fault);
    let counted: u64 = of_faults.map(|class| class.count).sum();
    assert_eq!(faults.len() as u64, counted, "as the plugin counts them");
    let known: Vec<_> = faults
        .iter()
        .filter(|(entry, _)| states.interrupted(entry, 8) == stores)
        .collect();
    assert_eq!(known.len() as u64, TURNS, "of {} faults", faults.len());
    for (entry, exit) in known {
        assert_eq!(entry.passed.call, "asm_exc_page_fault");
        assert_eq!(states.get(entry, "rip"), at("asm_exc_page_fault").0);
        assert_eq!(states.get(exit, "rip"), stores.0, "it is done again");
        assert_eq!(states.get(entry, "cr2"), states.get(exit, "rdi"));
    }
    // It runs for longer than the time between two ticks.
    let looping = at("known_loop");
    let ticks: Vec<_> = pairs
        .iter()
        .filter(|(entry, _)| entry.passed.kind == CrossingKind::Interrupt)
        .filter(|(_, exit)| (looping.0..looping.0 + 10).contains(&states.get(exit, "rip")))
        .collect();
    assert!(
        ticks.len() as u64 >= TURNS,
        "{} of {} crossings",
        ticks.len(),
        pairs.len()
    );
    for (entry, exit) in &ticks {
        assert!(
            entry.passed.call.starts_with("asm_sysvec_"),
            "{}",
            entry.passed
        );
        assert_eq!(states.interrupted(entry, 0).0, states.get(exit, "rip"));
        for register in ["rcx", "rdi", "rbx", "fs_base"] {
            assert_eq!(
                states.get(entry, register),
                states.get(exit, register),
                "{register}"
            );
        }
    }
    // The session goes there by the handler's name, and back.
    let handle = Session::states(path, StatesOptions::default());
    let mut debuggee = Debuggee::opened(handle).unwrap_or_else(|why| panic!("{why}"));
    let tick = &ticks[0].0.passed;
    debuggee.ask(&format!("b *{}", tick.call));
    let entry = debuggee.stop("c");
    assert!(
        matches!(entry.reason, StopReason::Breakpoint { .. }),
        "{entry:?}"
    );
    let exit = debuggee.stop("cross");
    let call = tick.call.clone();
    let back = StopReason::Crossing {
        kind: CrossingKind::Interrupt,
        call,
        into_kernel: false,
    };
    assert_eq!(exit.reason, back);
    assert_eq!(debuggee.stop("rc").position, entry.position);
    assert_eq!(debuggee.stop("si").place, exit.place);
}

#[test]
#[ignore = "boots an image"]
fn several_vcpus_are_kept_and_each_task_comes_back_to_itself() {
    // Seconds of two vCPUs with four threads: half a second apart.
    const NEWS: u32 = 8;
    let root = tempfile::tempdir().unwrap();
    let options = TraceOptions {
        smp: 2,
        ..TraceOptions::new(Mode::Ukl)
    };
    let cancel = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&cancel);
    let mut seen = 0;
    let (path, _) = record(root.path(), "threads", &options, &cancel, &mut |event| {
        if let Event::Trace(news) = event {
            let classes = &news.report.classes;
            seen += u32::from(classes.iter().any(|class| class.call == "getppid"));
            ends.store(seen >= NEWS, Ordering::Relaxed);
        }
    });
    let states = States::of(&path);
    for vcpu in [0, 1] {
        assert!(
            states.list.iter().any(|state| state.vcpu == vcpu),
            "nothing crosses on {vcpu}"
        );
    }
    for state in &states.list {
        let [other] = &state.others[..] else {
            panic!("{}: {} others", state.passed, state.others.len());
        };
        assert_eq!(other.vcpu, 1 - state.vcpu);
        assert!(states.registers(&other.registers).pc().is_some());
    }
    let pairs = states.returned();
    let threads: std::collections::BTreeSet<_> = pairs
        .iter()
        .filter(|(entry, _)| entry.passed.call == "getppid")
        .map(|(entry, _)| states.get(entry, "fs_base"))
        .collect();
    assert!(threads.len() >= 2, "{threads:x?}");
    for (entry, exit) in &pairs {
        if entry.passed.call == "getppid" {
            for register in ["fs_base", "rsp", "rbx"] {
                let sides = [entry, exit].map(|state| states.get(state, register));
                assert_eq!(sides[0], sides[1], "{register} at {}", exit.passed);
            }
            assert_eq!(states.get(entry, "rcx"), states.get(exit, "rip"));
        }
    }
    let handle = Session::states(path, StatesOptions::default());
    let mut debuggee = Debuggee::opened(handle).unwrap_or_else(|why| panic!("{why}"));
    let number = states
        .list
        .iter()
        .position(|state| state.vcpu == 1)
        .unwrap();
    let stop = debuggee.stop(&format!("goto {number}"));
    assert_eq!(stop.vcpu.0, 1);
    assert_eq!(stop.place.addr.0, states.get(&states.list[number], "rip"));
    let other = states.registers(&states.list[number].others[0].registers);
    debuggee.ask("vcpu 0");
    assert_eq!(Some(debuggee.pc()), other.pc());
}
