//! What programs expect of an ordinary kernel, of the patched one: the parts of `kernel/tests/posix`. Mode linux is the judge of the
//! program itself: what does not hold there is a fault of the test.

mod common;

use common::{Boot, clean, expect};
use debugger::crossing::Mode;

/// SMEP, FSGSBASE and AVX.
const NEWEST_CPU: &[&str] = &["-cpu", "max"];

const RING_0: [Mode; 3] = [Mode::Ukl, Mode::Bypass, Mode::Shortcut];

/// All that does not need stacks and mappings that are filled in on demand.
const WITHOUT_FAULTS: &str = "ukl.fault=populate populate=1 \
    tests=threads,locks,cancel,processes,exec,stack,signals,timers,state,network,clocks,bypass";

fn holds(boot: &Boot<'_>) {
    let serial = expect("posix", boot, "posix: ok");
    clean(&serial);
    assert_eq!(
        serial.contains("ukl: the application runs already"),
        boot.mode != Mode::Linux,
        "a second start is refused, in {boot:?}:\n{serial}"
    );
}

fn holds_on(cpus: u32, qemu: &[&str]) {
    for mode in Mode::ALL {
        holds(&Boot {
            cpus,
            qemu,
            ..Boot::mode(mode)
        });
    }
}

#[test]
#[ignore = "boots an image"]
fn every_part_holds_in_every_mode() {
    holds_on(1, &[]);
}

#[test]
#[ignore = "boots an image"]
fn every_part_holds_on_two_new_processors() {
    holds_on(2, NEWEST_CPU);
}

#[test]
#[ignore = "boots an image"]
fn every_part_holds_on_four_processors() {
    holds_on(4, &[]);
}

#[test]
#[ignore = "boots an image"]
fn every_part_holds_where_calls_return_by_ret() {
    for mode in RING_0 {
        for (cpus, qemu) in [(1, NEWEST_CPU), (2, &[])] {
            holds(&Boot {
                cpus,
                qemu,
                append: "ukl.ret=1",
                ..Boot::mode(mode)
            });
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn every_part_holds_where_some_calls_take_the_full_way() {
    for (mode, append) in [
        (Mode::Bypass, "ukl.bypass_limit=10 limit=10"),
        (Mode::Shortcut, "ukl.bypass_limit=3 limit=3 ukl.ret=1"),
    ] {
        holds(&Boot {
            append,
            ..Boot::mode(mode)
        });
    }
}

#[test]
#[ignore = "boots an image"]
fn what_needs_no_demand_paging_holds_where_all_is_populated() {
    for mode in RING_0 {
        holds(&Boot {
            append: WITHOUT_FAULTS,
            ..Boot::mode(mode)
        });
    }
}
