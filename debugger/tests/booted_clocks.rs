//! The clocks of the C library do not enter the kernel in any mode where they do not in mode linux.

use std::sync::atomic::AtomicBool;

use debugger::crossing::Mode;
use debugger::session::store;
use debugger::session::trace::{TraceOptions, trace};
use debugger::trace::report::{Class, Report};

/// Of each clock.
const ROUNDS: u64 = 2000;

const CLOCKS: [&str; 4] = ["clock_gettime", "gettimeofday", "time", "getcpu"];

/// The part `ticking` of `kernel/tests/posix`, traced.
fn ticking(mode: Mode) -> Report {
    let image = store::image("posix").unwrap_or_else(|error| panic!("{error}"));
    let mut options = TraceOptions::new(mode);
    options.calls = Some(ROUNDS);
    trace(&image, &options, &AtomicBool::new(false), &mut |_| ())
        .unwrap_or_else(|error| panic!("{error}"))
        .report
}

/// How many calls of this name entered the kernel; a call may be told by what it was made on, as in `writev:tty`.
fn entered(report: &Report, call: &str) -> u64 {
    let of_that = |class: &&Class| class.call.split(':').next() == Some(call);
    let classes = report.classes.iter().filter(of_that);
    classes.map(|class| class.count).sum()
}

#[test]
#[ignore = "boots an image"]
fn clocks_enter_the_kernel_no_more_than_in_mode_linux() {
    let linux = ticking(Mode::Linux);
    for mode in [Mode::Ukl, Mode::Bypass, Mode::Shortcut] {
        let report = ticking(mode);
        assert_eq!(report.lost, 0, "{mode}");
        // That the tracer sees this program at all.
        assert!(entered(&report, "writev") > 0, "{mode}");
        for clock in CLOCKS {
            let (there, here) = (entered(&linux, clock), entered(&report, clock));
            assert!(
                here <= there + ROUNDS / 100,
                "{clock}: {here} of {ROUNDS} entered the kernel in mode {mode}, {there} in mode linux"
            );
        }
    }
}
