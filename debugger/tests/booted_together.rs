//! Several at one target: whose turn it is, whose breakpoints are whose, and what is left of one that
//! vanishes.

mod debuggee;
mod peers;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use debugger::crossing::Mode;
use debugger::event::{Answer, BreakpointInfo, StopReason};
use debugger::session::store;
use debugger::session::trace::{TraceOptions, trace};
use peers::{Raw, Served};

fn address(served: &mut Served, name: &str) -> u64 {
    served.debuggee.number(&format!("&{name}"))
}

fn breakpoints(served: &mut Served) -> Vec<BreakpointInfo> {
    match served.debuggee.ask("info breakpoints") {
        Answer::Breakpoints(list) => list,
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "boots an image"]
fn each_sees_every_stop_it_waits_for_and_nobody_moves_what_it_has_not_seen() {
    let mut served = Served::at_main("syscalls", Mode::Ukl, 1);
    let write = address(&mut served, "ksys_write");
    let read = address(&mut served, "ksys_read");
    let mut first = Raw::joined(&served.socket);
    let mut second = Raw::joined(&served.socket);
    assert_eq!(first.ask(&format!("Z0,{write:x},1")), "OK");
    first.send("vCont;c");
    // It runs for the first: the second waits with it, its own breakpoint planted meanwhile.
    assert_eq!(second.ask(&format!("Z0,{read:x},1")), "OK");
    second.send("vCont;c");
    let (mine, other) = (first.stop(), second.stop());
    let at = |client: &mut Raw| client.ask("p10");
    let stands = at(&mut first);
    assert_eq!(stands, at(&mut second));
    let swapped = format!("{:016x}", write.swap_bytes());
    let (hit, missed) = match stands == swapped {
        true => (mine, other),
        false => (other, mine),
    };
    assert!(hit.contains("swbreak"), "{hit}");
    assert!(missed.starts_with("T02"), "{missed}");
    // The screen moves it; who has not seen that is told before it moves anything.
    served.debuggee.stop("si");
    let moved = served.debuggee.pc();
    first.send("vCont;s:p1.1");
    assert!(first.stop().starts_with("T02"), "it was moved meanwhile");
    assert_eq!(served.debuggee.pc(), moved, "nothing was moved");
    first.send("vCont;s:p1.1");
    assert!(first.stop().starts_with("T05"), "its own step");
    assert_ne!(served.debuggee.pc(), moved);
}

#[test]
#[ignore = "boots an image"]
fn the_screen_stops_at_anothers_breakpoint_and_cannot_remove_it() {
    let mut served = Served::at_main("syscalls", Mode::Ukl, 1);
    let write = address(&mut served, "ksys_write");
    served.debuggee.ask("b ksys_read");
    let mut client = Raw::joined(&served.socket);
    assert_eq!(client.ask(&format!("Z0,{write:x},1")), "OK");
    let list = breakpoints(&mut served);
    let owners: Vec<_> = list.iter().map(|one| one.owner.as_deref()).collect();
    assert_eq!(owners, [None, Some("client 1")]);
    assert!(list[1].typed.is_empty(), "the next run has nothing of it");
    let failure = served.debuggee.try_ask("delete 2").unwrap_err();
    assert!(failure.found.contains("client 1"), "{failure}");
    served.debuggee.ask("delete");
    assert_eq!(breakpoints(&mut served).len(), 1);
    let stop = served.debuggee.stop("c");
    assert_eq!(stop.reason, StopReason::Breakpoint { number: 2 });
    drop(client);
    served.until_alone();
    assert!(breakpoints(&mut served).is_empty());
}

/// QEMU's stub tells it once more when the machine next runs.
#[test]
#[ignore = "boots an image"]
fn a_watched_write_of_a_single_step_is_told_once() {
    let mut served = Served::at_main("syscalls", Mode::Ukl, 1);
    let write = address(&mut served, "ksys_write");
    let below = served.debuggee.number("$rsp") - 8;
    let mut client = Raw::joined(&served.socket);
    // Where main keeps the first register of its caller's.
    let watch = format!("2,{below:x},8");
    assert_eq!(client.ask(&format!("Z{watch}")), "OK");
    let written = (0..20).any(|_| {
        client.send("vCont;s:p1.1");
        client.stop().contains("watch:")
    });
    assert!(written, "no step has written there");
    assert_eq!(client.ask(&format!("z{watch}")), "OK");
    assert_eq!(client.ask(&format!("Z0,{write:x},1")), "OK");
    client.send("vCont;c");
    let stop = client.stop();
    assert!(stop.contains("swbreak"), "{stop}");
    assert_eq!(served.debuggee.pc().0, write);

    // As well where the screen steps.
    served
        .debuggee
        .ask("watch -location *(unsigned long *)($rsp - 8)");
    let number = breakpoints(&mut served).last().map(|one| one.number);
    let stop = served.debuggee.stop("si 50");
    assert!(
        matches!(stop.reason, StopReason::Watchpoint { .. }),
        "{stop:?}"
    );
    served
        .debuggee
        .ask(&format!("delete {}", number.expect("it is listed")));
    served.debuggee.ask("b ksys_read");
    let stop = served.debuggee.stop("c");
    assert!(
        matches!(stop.reason, StopReason::Breakpoint { .. }),
        "{stop:?}"
    );
}

/// As gdb's `jump` does.
#[test]
#[ignore = "boots an image"]
fn a_breakpoint_that_the_program_counter_is_set_to_is_met() {
    let mut served = Served::at_main("syscalls", Mode::Ukl, 1);
    let main = served.debuggee.pc().0;
    let mut client = Raw::joined(&served.socket);
    client.send("vCont;s:p1.1");
    assert!(client.stop().starts_with("T05"));
    let swapped = format!("{:016x}", main.swap_bytes());
    assert_eq!(client.ask(&format!("P10={swapped}")), "OK");
    assert_eq!(client.ask(&format!("Z0,{main:x},1")), "OK");
    client.send("vCont;c");
    let stop = client.stop();
    assert!(stop.contains("swbreak"), "{stop}");
    assert_eq!(served.debuggee.pc().0, main);
}

#[test]
#[ignore = "boots an image"]
fn one_that_vanishes_while_it_runs_leaves_nothing_planted_and_the_run_goes_on() {
    let mut served = Served::endless("syscalls", Mode::Ukl);
    let never = address(&mut served, "start_kernel");
    let mut client = Raw::joined(&served.socket);
    for kind in ["Z0", "Z1", "Z2"] {
        assert_eq!(client.ask(&format!("{kind},{never:x},1")), "OK");
    }
    client.send("vCont;c");
    served.until_running();
    assert_eq!(breakpoints(&mut served).len(), 3);
    drop(client);
    served.until_alone();
    assert!(breakpoints(&mut served).is_empty());
    served.debuggee.ask("interrupt");
    served.until("it stops", |event| {
        use debugger::event::{Event, Run};
        matches!(event, Event::Run(Run::Stopped(_))).then_some(())
    });
}

#[test]
#[ignore = "boots an image"]
fn a_closed_server_hangs_up() {
    let mut served = Served::at_main("syscalls", Mode::Ukl, 1);
    let _client = Raw::joined(&served.socket);
    assert_eq!(served.joined(), ["client 1"]);
    served.close();
    served.until_alone();
    assert!(!served.socket.exists());
    served.debuggee.stop("si");
}

/// Calls of each kind that the traced run makes.
const EACH: u64 = 3000;

/// One that comes, does what it should not, and is gone.
fn misbehave(socket: &Path, how: usize, at: u64) {
    match how {
        0 => drop(Raw::connect(socket)),
        1 => Raw::connect(socket).write(b"GET / HTTP/1.1\r\n\r\n"),
        2 => Raw::connect(socket).write(b"$qSupported:multi"),
        3 => Raw::connect(socket).send("k"),
        4 => {
            // It asks and never listens.
            let mut client = Raw::joined(socket);
            for _ in 0..200 {
                client.send(&format!("m{at:x},400"));
            }
        }
        5 => {
            let mut client = Raw::joined(socket);
            client.ask(&format!("Z0,{at:x},1"));
            client.send("vCont;c");
        }
        6 => {
            let mut client = Raw::joined(socket);
            client.ask(&format!("Z2,{at:x},8"));
            client.send("vCont;c");
            client.write(&[3, 3, 3]);
        }
        7 => {
            let mut client = Raw::joined(socket);
            client.send("vCont;c");
            // Nothing may be said to one that runs.
            client.send("g");
            client.send("vCont;c");
        }
        8 => {
            let mut client = Raw::joined(socket);
            client.write(&[b'$'; 4000]);
            client.write(&vec![b'x'; 300_000]);
        }
        _ => {
            let mut client = Raw::joined(socket);
            client.send("vCont;s:p1.1");
            // It waits with whoever moves it, who may be gone by then.
            client.write(&[3]);
            client.stop();
            client.ask("D;1");
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn ten_come_misbehave_and_vanish_while_a_trace_runs_and_nothing_is_lost() {
    let mut served = Served::endless("syscalls", Mode::Ukl);
    let at = address(&mut served, "start_kernel");
    let tracing = std::thread::spawn(|| {
        let image = store::image("syscalls").unwrap();
        let mut options = TraceOptions::new(Mode::Ukl);
        options.calls = Some(EACH);
        trace(&image, &options, &AtomicBool::new(false), &mut |_| ()).unwrap()
    });
    for round in 0..3 {
        let socket = &served.socket;
        std::thread::scope(|scope| {
            for how in 0..10 {
                scope.spawn(move || misbehave(socket, (how + round) % 10, at));
            }
        });
    }
    // What they said is done, and that they are gone is known.
    served.close();
    let report = tracing.join().unwrap().report;
    assert_eq!(report.lost, 0);
    let writes = report.classes.iter().filter(|class| class.call == "write");
    let writes: u64 = writes.map(|class| class.count).sum();
    assert!(writes >= EACH, "{writes} of {EACH}");
    // The session is as whole: it runs and stops, and nothing of them is left in it.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        served.debuggee.ask("interrupt");
        if let Ok(Answer::Breakpoints(list)) = served.debuggee.try_ask("info breakpoints")
            && list.is_empty()
            && served.debuggee.try_ask("p $pc").is_ok()
        {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "something is left");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    served.debuggee.stop("si");
}
