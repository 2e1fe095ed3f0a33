//! How the application and the kernel end, and what the log tells of it: parts of `kernel/tests/posix` that run alone.

mod common;

use common::{Boot, clean, expect};
use debugger::crossing::Mode;

const RING_0: [Mode; 3] = [Mode::Ukl, Mode::Bypass, Mode::Shortcut];

fn boot(mode: Mode, append: &str) -> Boot<'_> {
    Boot {
        append,
        ..Boot::mode(mode)
    }
}

#[test]
#[ignore = "boots an image"]
fn init_tells_the_status_and_powers_off() {
    for mode in Mode::ALL {
        let exit = boot(mode, "tests=exit status=7");
        clean(&expect(
            "posix",
            &exit,
            "init: the application exited with status 7",
        ));
        let killed = boot(mode, "tests=exit status=killed");
        clean(&expect(
            "posix",
            &killed,
            "init: the application was killed by signal 9 (SIGKILL)",
        ));
    }
}

/// Three runs in one boot; each must find its data as they were linked.
#[test]
#[ignore = "boots an image"]
fn a_run_can_follow_a_run() {
    for mode in Mode::ALL {
        let serial = expect("posix", &boot(mode, "tests=again"), "posix: ok");
        clean(&serial);
        for round in 1..=3 {
            let line = format!("start {round}: data 41, bss 0, pointer to a");
            assert!(serial.contains(&line), "no '{line}' in\n{serial}");
        }
        let starts = serial.matches("ukl: starting the application").count();
        assert_eq!(starts, if mode == Mode::Linux { 0 } else { 3 }, "{serial}");
    }
}

#[test]
#[ignore = "boots an image"]
fn a_wild_pointer_is_reported_and_ends_the_application_alone() {
    let end = "init: the application was killed by signal 11 (SIGSEGV)";
    expect("posix", &boot(Mode::Linux, "tests=wild"), end);
    for mode in RING_0 {
        for append in ["tests=wild", "tests=wild ukl.fault=populate"] {
            let serial = expect("posix", &boot(mode, append), end);
            clean(&serial);
            for told in [
                "is ended by signal 11",
                "fault address 00000000dead0018",
                "RIP: 0013:store_through+0x",
                "RDI: 00000000dead0018",
                " main+0x",
            ] {
                assert!(serial.contains(told), "no '{told}' in\n{serial}");
            }
        }
    }
}

/// The stack for faults of the application must not hide a fault of the kernel's.
#[test]
#[ignore = "boots an image"]
fn a_double_fault_of_the_kernel_is_still_one() {
    for append in [
        "tests=doublefault ukl.fault=ist",
        "tests=doublefault ukl.fault=populate",
    ] {
        for mode in [Mode::Ukl, Mode::Bypass] {
            let serial = expect("posix", &boot(mode, append), "double fault: 0000");
            for told in ["RIP: 0010:_printk+0x0", "Kernel panic - not syncing"] {
                assert!(serial.contains(told), "no '{told}' in\n{serial}");
            }
            assert!(!serial.contains("init: the application"), "{serial}");
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn an_overflow_of_the_kernels_stack_is_told_as_one() {
    for append in [
        "tests=overflow ukl.fault=ist",
        "tests=overflow ukl.fault=populate",
    ] {
        let serial = expect(
            "posix",
            &boot(Mode::Ukl, append),
            "stack guard page was hit",
        );
        for told in ["RIP: 0010:_printk+0x", "Kernel panic - not syncing"] {
            assert!(serial.contains(told), "no '{told}' in\n{serial}");
        }
    }
}
