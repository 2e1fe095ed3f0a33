//! Functions whose instructions were counted by hand: `kernel/tests/known`.

use std::sync::atomic::AtomicBool;

use debugger::crossing::Mode;
use debugger::session::store;
use debugger::session::trace::{TraceOptions, trace};
use debugger::trace::requests::{Request, Requests};

const ROUNDS: u64 = 20;

/// Kind, and what the fast and the slow clock count of its function, the return with it.
///
/// A REP counts for each of its 64 rounds and for the one that finds none left. A block that a fault leaves in its middle is counted whole by the
/// fast clock, and once more from the instruction that faulted; by the slow one that instruction twice.
const KNOWN: [(&str, u64, u64); 5] = [
    ("plain", 101, 101),
    ("rep", 2 + 65 + 1, 2 + 65 + 1),
    ("across", 10, 10),
    ("fault", 24 + 22, 24 + 1),
    ("loop", 8_000_002, 8_000_002),
];

fn requests(mode: Mode, slow_clock: bool) -> Requests {
    let image = store::image("known").unwrap_or_else(|error| panic!("{error}"));
    let options = TraceOptions {
        calls: Some(ROUNDS),
        slow_clock,
        ..TraceOptions::new(mode)
    };
    let traced = trace(&image, &options, &AtomicBool::new(false), &mut |_| ())
        .unwrap_or_else(|error| panic!("{error}"));
    let serial = String::from_utf8_lossy(&traced.serial);
    assert!(serial.contains("known: ok"), "{mode}:\n{serial}");
    traced.report.requests.unwrap_or_default()
}

fn app(requests: &Requests, kind: &str) -> u64 {
    let request = requests
        .kind(kind)
        .unwrap_or_else(|| panic!("there is no {kind}"));
    let Request { count, parts, .. } = request;
    assert_eq!(*count, ROUNDS, "{kind}");
    assert!(parts.app.is_exact(), "{kind}: {:?}", parts.app);
    parts.app.min
}

#[test]
#[ignore = "boots an image"]
fn both_clocks_count_what_was_counted_by_hand() {
    for mode in Mode::ALL {
        let [fast, slow] = [false, true].map(|slow| requests(mode, slow));
        for (kind, by_fast, by_slow) in KNOWN {
            for (clock, requests, expected) in [("fast", &fast, by_fast), ("slow", &slow, by_slow)]
            {
                let counted = app(requests, kind) - app(requests, "nothing") + 1;
                assert_eq!(
                    counted, expected,
                    "{kind} by the {clock} clock in mode {mode}"
                );
            }
        }
        // What interrupts execute between two blocks is beside the loop's.
        let interrupts = fast.kind("loop").map(|request| request.interrupts);
        assert!(
            interrupts.is_some_and(|interrupts| interrupts > 0),
            "{mode}"
        );
    }
}
