//! Where an interrupt or a fault comes, two points of a recorded run have one position: both are gone back to as they
//! were.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod debuggee;
mod recorded;

use debuggee::Debuggee;
use debugger::addr::Addr;
use debugger::crossing::Mode;
use debugger::event::{Stop, StopReason};
use debugger::session::{ReplayOptions, Session};

/// The position, and what is executed next.
type Point = (u64, Addr);

fn point(stop: &Stop) -> Point {
    (stop.position.unwrap(), stop.place.addr)
}

fn check_entry(debuggee: &mut Debuggee, handler: &str) {
    debuggee.stop("goto 0");
    debuggee.ask(&format!("b {handler}"));
    let stops: Vec<Point> = (0..6).map(|_| point(&debuggee.stop("c"))).collect();
    let entry = stops[0].1;
    for (at, before) in stops.iter().rev().skip(1).zip(stops.iter().rev()) {
        let back = debuggee.stop("rc");
        assert!(
            matches!(back.reason, StopReason::Breakpoint { .. }),
            "{back:?}"
        );
        assert_eq!(point(&back), *at, "{handler}, back from {before:?}");
    }
    let first = stops[0];
    debuggee.ask("mark entry");
    let on = point(&debuggee.stop("si"));
    assert_eq!(on.0, first.0 + 1, "{handler}");
    assert_eq!(point(&debuggee.stop("rsi")), first, "{handler}");
    // What it came before has the same position.
    let interrupted = point(&debuggee.stop("rsi"));
    assert_eq!(interrupted.0, first.0, "{handler}");
    assert_ne!(interrupted.1, entry);
    assert_eq!(point(&debuggee.stop("c")), first, "{handler}");
    // By lines as well: that one's lies before the handler's.
    let line = point(&debuggee.stop("rs"));
    assert!(
        line.0 <= interrupted.0 && line.1 != entry,
        "{handler}: {line:?}"
    );
    debuggee.stop("goto 0");
    assert_eq!(point(&debuggee.stop("goto entry")), first, "{handler}");
    let by_number = format!("goto {}", first.0);
    assert_eq!(point(&debuggee.stop(&by_number)), interrupted, "{handler}");
    assert_eq!(point(&debuggee.stop(&by_number)), interrupted, "{handler}");
    // From there the entry lies ahead, not behind.
    let earlier = debuggee.stop("rc");
    assert_eq!(
        earlier.reason,
        StopReason::Beginning,
        "{handler}: {earlier:?}"
    );
    debuggee.ask("delete");
}

#[test]
#[ignore = "boots an image"]
fn the_first_instruction_of_a_handler_is_gone_back_to_and_what_it_came_before() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    recorded::syscalls(&folder, Mode::Ukl, 10, None);
    let handle = Session::replay(folder, ReplayOptions::default());
    let mut debuggee = Debuggee::opened(handle).unwrap_or_else(|why| panic!("{why}"));
    check_entry(&mut debuggee, "asm_sysvec_apic_timer_interrupt");
    check_entry(&mut debuggee, "asm_exc_page_fault");
}
