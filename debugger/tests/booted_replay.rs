//! A recorded run: the same twice, forwards and backwards, to the instruction.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod debuggee;
mod qemus;
mod recorded;

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use debuggee::Debuggee;
use debugger::addr::{Addr, Insns};
use debugger::crossing::Mode;
use debugger::event::{Answer, Event, Register, Stop, StopReason};
use debugger::origin::Origin;
use debugger::session::replay::{RecordOptions, Recorded, RecordedRun, record};
use debugger::session::store::Store;
use debugger::session::trace::TraceOptions;
use debugger::session::trace_keep::trace_and_keep;
use debugger::session::{ReplayOptions, Session};
use debugger::trace::recording::Search;

/// Enough for each of the demo's loops.
const CALLS: u64 = 200;

/// The QEMU that records and replays; the installed one where none is named.
type Qemu<'a> = Option<&'a PathBuf>;

fn by_others(check: fn(Qemu<'_>)) {
    for qemu in qemus::others() {
        check(Some(&qemu));
    }
}

fn recorded(folder: &Path, mode: Mode, qemu: Qemu<'_>) -> Recorded {
    let (recorded, serial) = recorded::syscalls(folder, mode, CALLS, qemu);
    assert!(serial.contains("syscalls: 0 wrong results"), "{serial}");
    recorded
}

fn replayed(folder: PathBuf, qemu: Qemu<'_>) -> Debuggee {
    let options = ReplayOptions {
        qemu: qemu.cloned(),
        ..ReplayOptions::default()
    };
    Debuggee::opened(Session::replay(folder, options)).unwrap_or_else(|why| panic!("{why}"))
}

fn stop(debuggee: &mut Debuggee, line: &str) -> Stop {
    match debuggee.ask(line) {
        Answer::Stopped(stop) => stop,
        other => panic!("{line}: {other:?}"),
    }
}

fn position(stop: &Stop) -> u64 {
    stop.position
        .unwrap_or_else(|| panic!("no position: {stop:?}"))
}

/// To behind the first read of the application's loop, where `c` is what it has read. The stop in the kernel on the way.
fn behind_a_read(debuggee: &mut Debuggee, mode: Mode) -> Stop {
    debuggee.ask("b ksys_read");
    let work = stop(debuggee, "c");
    stop(debuggee, "until app");
    let frames = debuggee.frames();
    let bench = frames
        .iter()
        .find(|frame| frame.place.symbol.as_deref() == Some("bench_read"))
        .unwrap_or_else(|| panic!("{mode}: {frames:?}"));
    debuggee.ask(&format!("frame {}", bench.n));
    work
}

fn registers(debuggee: &mut Debuggee) -> Vec<(String, String)> {
    let Answer::Registers(list) = debuggee.ask("info registers") else {
        panic!("registers");
    };
    let plain = |register: Register| (register.name, register.value);
    list.into_iter().map(plain).collect()
}

#[test]
#[ignore = "boots an image"]
fn a_run_is_gone_back_in_to_the_instruction() {
    check_back(None);
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn a_run_is_gone_back_in_by_other_qemus() {
    by_others(check_back);
}

fn check_back(qemu: Qemu<'_>) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    let run = recorded(&folder, Mode::Ukl, qemu);
    assert!(run.whole, "{run:?}");
    let mut debuggee = replayed(folder.clone(), qemu);
    debuggee.ask("b ksys_read");
    let first = stop(&mut debuggee, "c");
    let second = stop(&mut debuggee, "c");
    assert!(position(&first) < position(&second), "{first:?} {second:?}");

    // Each instruction on, then each of them back: the machine is the same at every one.
    let mut way = vec![(position(&second), registers(&mut debuggee))];
    for _ in 0..8 {
        let on = stop(&mut debuggee, "si");
        way.push((position(&on), registers(&mut debuggee)));
    }
    for (at, then) in way.iter().rev().skip(1) {
        let back = stop(&mut debuggee, "rsi");
        assert_eq!(position(&back), *at);
        assert_eq!(registers(&mut debuggee), *then);
    }
    // The breakpoint before this one; the one that it stands on is not met again.
    let back = stop(&mut debuggee, "rc");
    assert_eq!(position(&back), position(&first));
    assert_eq!(back.reason, StopReason::Breakpoint { number: 1 });
    let on = stop(&mut debuggee, "c");
    assert_eq!(position(&on), position(&second));
    // A breakpoint one instruction back is not passed over.
    stop(&mut debuggee, "si");
    assert_eq!(position(&stop(&mut debuggee, "rc")), position(&second));

    // To the call, and by lines.
    let call = stop(&mut debuggee, "reverse-finish");
    assert_eq!(position(&call), position(&second) - 1);
    assert_eq!(call.place.symbol.as_deref(), Some("__x64_sys_read"));
    stop(&mut debuggee, "si 12");
    let line = stop(&mut debuggee, "rn");
    let before = stop(&mut debuggee, "rn");
    assert!(position(&before) < position(&line), "{before:?} {line:?}");

    // Nothing that was can be changed; what is not there is said.
    for line in ["set $rax = 1", "set jiffies_64 = 1"] {
        let refused = debuggee.try_ask(line).unwrap_err();
        assert!(
            refused.to_string().contains("this is a replay"),
            "{refused}"
        );
    }
    let refused = debuggee.try_ask("goto 999,999,999,999").unwrap_err();
    assert!(refused.found.contains("the recording ends at"), "{refused}");

    debuggee.ask("mark here");
    let end = stop(&mut debuggee, "goto end");
    assert_eq!(end.reason, StopReason::End, "{end:?} {run:?}");
    // Nothing leads behind it.
    for line in ["c", "si", "si 3", "ni", "s", "n", "cross"] {
        let still = stop(&mut debuggee, line);
        assert_eq!(
            (still.reason, still.position),
            (StopReason::End, end.position),
            "{line}"
        );
    }
    let Answer::Text(lines) = debuggee.ask("marks") else {
        panic!("marks");
    };
    let at = Insns(position(&end));
    assert_eq!(
        lines[0],
        format!("position {at} of {at}, where the recording ends")
    );
    // Nor do the instructions before it.
    stop(&mut debuggee, "rsi 5");
    let again = stop(&mut debuggee, "si 20");
    assert_eq!(
        (again.reason, again.position, again.stepped),
        (StopReason::End, end.position, Some(Insns(5)))
    );
    let marked = stop(&mut debuggee, "goto here");
    assert_eq!(position(&marked), position(&before));
    let reset = stop(&mut debuggee, "goto 0");
    assert_eq!(reset.reason, StopReason::Beginning);
    drop(debuggee);

    // Snapshots and marks are kept with the run.
    let mut again = replayed(folder, qemu);
    let marked = stop(&mut again, "goto here");
    assert_eq!(position(&marked), position(&before));
    assert_eq!(marked.place.addr, before.place.addr);
}

/// What the application reads was written by the kernel: found from the application's side.
#[test]
#[ignore = "boots an image"]
fn the_write_of_what_a_call_gave_is_found_across_the_boundary() {
    check_write(None);
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn the_write_of_what_a_call_gave_is_found_by_other_qemus() {
    by_others(check_write);
}

fn check_write(qemu: Qemu<'_>) {
    for mode in [Mode::Linux, Mode::Ukl, Mode::Bypass] {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run");
        recorded(&folder, mode, qemu);
        let mut debuggee = replayed(folder, qemu);
        behind_a_read(&mut debuggee, mode);
        let written = stop(&mut debuggee, "written c");
        assert!(
            matches!(written.place.origin, Origin::Kernel(_)),
            "{mode}: {written:?}"
        );
        // It writes the zero that is read, with its next instruction.
        let before = stop(&mut debuggee, "si");
        assert_eq!(position(&before), position(&written) + 1, "{mode}");
    }
}

/// Back by crossings: in and out by turns, each of them where `cross` makes it.
#[test]
#[ignore = "boots an image"]
fn the_boundary_is_crossed_backwards() {
    check_crossings(None);
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn the_boundary_is_crossed_backwards_by_other_qemus() {
    by_others(check_crossings);
}

fn check_crossings(qemu: Qemu<'_>) {
    for mode in [Mode::Linux, Mode::Ukl, Mode::Bypass] {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run");
        recorded(&folder, mode, qemu);
        let mut debuggee = replayed(folder, qemu);
        let work = behind_a_read(&mut debuggee, mode);
        let call = stop(&mut debuggee, "crossed c");
        let note = call.note.clone().unwrap_or_default();
        assert!(note.contains("enters the kernel"), "{mode}: {call:?}");
        assert!(note.ends_with("read"), "{mode}: {call:?}");
        assert!(position(&call) < position(&work), "{mode}: {call:?}");
        let over = stop(&mut debuggee, "cross");
        assert_eq!(position(&over), position(&call) + 1, "{mode}: {over:?}");

        let again = stop(&mut debuggee, "reverse-cross");
        assert_eq!(position(&again), position(&call), "{mode}: {again:?}");
        let mut last = again;
        for way in ["leaves", "enters", "leaves", "enters"] {
            let back = stop(&mut debuggee, "reverse-cross");
            let note = back.note.clone().unwrap_or_default();
            assert!(note.contains(way), "{mode}: {back:?}");
            assert!(
                position(&back) < position(&last),
                "{mode}: {back:?} {last:?}"
            );
            last = back;
        }
        // A task that ends has no address space of its own any more.
        debuggee.ask("b exit_fs");
        stop(&mut debuggee, "goto end");
        let ends = stop(&mut debuggee, "rc");
        assert_eq!(ends.place.symbol.as_deref(), Some("exit_fs"), "{ends:?}");
        let exit = stop(&mut debuggee, "reverse-cross");
        let note = exit.note.clone().unwrap_or_default();
        assert!(note.ends_with("exit_group"), "{mode}: {exit:?}");
    }
}

/// A clock of its trace is a position of the run.
#[test]
#[ignore = "boots an image"]
fn a_recorded_run_is_traced_by_its_positions() {
    check_traced(None);
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn a_recorded_run_is_traced_by_other_qemus() {
    by_others(check_traced);
}

fn check_traced(qemu: Qemu<'_>) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    recorded(&folder, Mode::Ukl, qemu);
    let run = RecordedRun::open(&folder).unwrap();
    let options = TraceOptions {
        qemu: qemu.cloned(),
        ..TraceOptions::of(run.clone())
    };
    let cancel = Arc::default();
    let stored = trace_and_keep(&run.image, &options, &cancel, &mut |_| {}).unwrap();
    let traced = &stored.runs()[0];
    let mut debuggee = replayed(folder, qemu);
    for name in ["ksys_read", "ksys_write", "tcp_sendmsg", "exc_page_fault"] {
        let function = traced.functions.iter().position(|one| one.name == name);
        let function = u32::try_from(function.unwrap()).unwrap();
        let mut from = 0;
        for _ in 0..3 {
            let found = stored.search(0, 0, from, &[function], false);
            let Search::Found { clock, .. } = found else {
                panic!("{name} after {from}: {found:?}");
            };
            let there = stop(&mut debuggee, &format!("goto {clock}"));
            assert_eq!(there.place.symbol.as_deref(), Some(name), "{there:?}");
            assert_eq!(there.place.offset, 0, "{there:?}");
            from = clock;
        }
    }
}

/// Where the machine can go back, a past stop is more than what was kept of it.
#[test]
#[ignore = "boots an image"]
fn past_stops_are_gone_back_to() {
    check_past(None);
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn past_stops_are_gone_back_to_by_other_qemus() {
    by_others(check_past);
}

fn check_past(qemu: Qemu<'_>) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    recorded(&folder, Mode::Ukl, qemu);
    let mut debuggee = replayed(folder, qemu);
    let main = stop(&mut debuggee, "si");
    debuggee.ask("b ksys_read");
    stop(&mut debuggee, "c");
    stop(&mut debuggee, "si");
    // Nothing of this was looked at then.
    debuggee.ask("past 2");
    debuggee.ask("x/64gx $rsp");
    debuggee.ask("space $rip");
    debuggee.ask("now");
    let Answer::Stops(list) = debuggee.ask("stops") else {
        panic!("stops");
    };
    assert_eq!((list.kept, list.looked_at), (4, 4), "{list:?}");
    // What is done there goes on from there.
    debuggee.ask("past 2");
    let on = stop(&mut debuggee, "si");
    assert_eq!(position(&on), position(&main) + 1);
    let Answer::Stops(list) = debuggee.ask("stops") else {
        panic!("stops");
    };
    assert_eq!((list.kept, list.looked_at), (3, 3), "{list:?}");
}

/// What the guest is told to have written while this is carried out.
fn written_during(debuggee: &mut Debuggee, line: &str) -> String {
    let asked = debuggee.send(line);
    let mut written = Vec::new();
    loop {
        match debuggee.event() {
            Event::Serial(bytes) => written.extend(bytes),
            Event::Answer(answered, answer) if answered == asked => {
                answer.unwrap_or_else(|failure| panic!("{line}: {failure}"));
                return String::from_utf8_lossy(&written).into_owned();
            }
            _ => {}
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn what_the_guest_writes_is_told_once() {
    check_told(None);
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn what_the_guest_writes_is_told_once_by_other_qemus() {
    by_others(check_told);
}

fn check_told(qemu: Qemu<'_>) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    recorded(&folder, Mode::Ukl, qemu);
    let mut debuggee = replayed(folder.clone(), qemu);
    let in_main = position(&stop(&mut debuggee, "si"));
    let on = written_during(&mut debuggee, "c");
    assert_eq!(on.matches("syscalls: mode ukl").count(), 1, "{on}");
    for line in [
        format!("goto {in_main}"),
        "goto end".to_owned(),
        "goto 1000".to_owned(),
        "c".to_owned(),
    ] {
        let again = written_during(&mut debuggee, &line);
        assert_eq!(again, "", "{line}");
    }
    drop(debuggee);

    // Another session begins by a snapshot that the first has kept, and tells what lies before it when it comes there.
    let mut debuggee = replayed(folder, qemu);
    let on = written_during(&mut debuggee, "goto end");
    let back = written_during(&mut debuggee, &format!("goto {in_main}"));
    let again = written_during(&mut debuggee, "c");
    let all = [on, back, again].concat();
    assert_eq!(all.matches("syscalls: mode ukl").count(), 1, "{all}");
}

#[test]
#[ignore = "boots an image"]
fn a_recording_ended_from_outside_is_whole_up_to_there() {
    check_ended(None);
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn a_recording_ended_from_outside_is_whole_by_other_qemus() {
    by_others(check_ended);
}

fn check_ended(qemu: Qemu<'_>) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    let image = Store::open()
        .and_then(|store| store.image("syscalls"))
        .unwrap_or_else(|error| panic!("{error}"));
    let options = RecordOptions {
        calls: Some(100_000_000),
        qemu: qemu.cloned(),
        ..RecordOptions::default()
    };
    let serial = RefCell::new(Vec::new());
    let run = record(
        &image,
        &options,
        &folder,
        &mut |_| (),
        &mut || String::from_utf8_lossy(&serial.borrow()).contains("ring 0"),
        &mut |bytes| serial.borrow_mut().extend_from_slice(bytes),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert!(!run.whole, "{run:?}");
    let mut debuggee = replayed(folder.clone(), qemu);
    let end = stop(&mut debuggee, "c");
    assert_eq!(end.reason, StopReason::End);
    assert!(
        position(&end) <= run.end && run.end - position(&end) < 10_000,
        "{end:?} {run:?}"
    );
    drop(debuggee);
    let exists = record(
        &image,
        &options,
        &folder,
        &mut |_| (),
        &mut || true,
        &mut |_| {},
    );
    let error = exists.unwrap_err().to_string();
    assert!(error.contains("it is there already"), "{error}");
}

#[test]
#[ignore = "boots an image"]
fn a_recording_that_ends_before_the_kernel_begins_is_opened_where_it_ends() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    let image = Store::open()
        .and_then(|store| store.image("syscalls"))
        .unwrap_or_else(|error| panic!("{error}"));
    let options = RecordOptions::default();
    let (mut begins, mut stops) = (|_: &[_]| (), || true);
    let run = record(
        &image,
        &options,
        &folder,
        &mut begins,
        &mut stops,
        &mut |_| {},
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let mut debuggee = replayed(folder, None);
    let end = stop(&mut debuggee, "c");
    assert_eq!(end.reason, StopReason::End, "{run:?}");
    assert!(position(&end) <= run.end, "{end:?} {run:?}");
    assert_eq!(stop(&mut debuggee, "goto 0").place.addr, Addr(0xfff0));
}

/// Asks the guest's redis for this, until it answers.
fn ask_redis(port: u16, line: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(line.as_bytes())?;
        let mut answer = [0; 64];
        let read = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
    };
    let began = Instant::now();
    loop {
        match ask() {
            // QEMU listens before the guest does, and hangs up then.
            Ok(answer) if !answer.is_empty() => return answer,
            _ if began.elapsed() < Duration::from_secs(120) => {
                std::thread::sleep(Duration::from_millis(100));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Waiting takes as long as it took when it was recorded, and what came by the network comes again.
#[test]
#[ignore = "boots an image"]
fn a_server_that_was_asked_from_outside_is_gone_back_in() {
    check_server(None);
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn a_server_that_was_asked_is_gone_back_in_by_other_qemus() {
    by_others(check_server);
}

fn check_server(qemu: Qemu<'_>) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    let image = Store::open()
        .and_then(|store| store.image("redis"))
        .unwrap_or_else(|error| panic!("{error}"));
    let options = RecordOptions {
        qemu: qemu.cloned(),
        ..RecordOptions::default()
    };
    let client: RefCell<Option<JoinHandle<Vec<String>>>> = RefCell::default();
    let run = record(
        &image,
        &options,
        &folder,
        &mut |forwards| {
            let port = forwards[0].host;
            *client.borrow_mut() = Some(std::thread::spawn(move || {
                let ask = |n| ask_redis(port, &format!("SET key{n} value\r\n"));
                (0..3).map(ask).collect()
            }));
        },
        &mut || {
            client
                .borrow()
                .as_ref()
                .is_some_and(JoinHandle::is_finished)
        },
        &mut |_| (),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let answers = client.take().unwrap().join().unwrap();
    assert_eq!(answers, ["+OK\r\n"; 3]);

    // Nobody is there to ask now.
    let mut debuggee = replayed(folder, qemu);
    debuggee.ask("b setCommand");
    let asked: Vec<u64> = (0..3)
        .map(|_| position(&stop(&mut debuggee, "c")))
        .collect();
    assert!(asked.is_sorted() && asked[2] < run.end, "{asked:?} {run:?}");
    // Snapshots are gone back to in which the card is at work.
    assert_eq!(position(&stop(&mut debuggee, "rc")), asked[1]);
    assert_eq!(position(&stop(&mut debuggee, "rsi")), asked[1] - 1);
    let crossing = stop(&mut debuggee, "reverse-cross");
    assert!(
        asked[0] < position(&crossing) && position(&crossing) < asked[1],
        "{crossing:?} {asked:?}"
    );
    assert_eq!(position(&stop(&mut debuggee, "c")), asked[1]);
    assert_eq!(position(&stop(&mut debuggee, "c")), asked[2]);
    let end = stop(&mut debuggee, "c");
    assert_eq!(end.reason, StopReason::End, "{end:?}");
}
