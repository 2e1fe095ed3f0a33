//! The patched kernel, booted: every demo and test program in every mode it is for.

mod common;

use common::{Boot, clean, expect, image};
use debugger::crossing::Mode;

/// What a processor with SMEP, SMAP and FSGSBASE changes is seen with this one; QEMU's default has none of them.
const NEWEST_CPU: &[&str] = &["-cpu", "max"];

#[test]
#[ignore = "boots an image"]
fn hello_runs_in_ring_3_in_mode_linux_and_in_ring_0_in_the_others() {
    for mode in Mode::ALL {
        let ring = if mode == Mode::Linux { 3 } else { 0 };
        let greeting = format!("hello from ring {ring}, mode {mode}");
        let serial = expect("hello", &Boot::mode(mode), &greeting);
        assert!(serial.contains("hello: ok"), "{serial}");
    }
}

#[test]
#[ignore = "boots an image"]
fn an_unknown_mode_is_told_and_the_default_taken() {
    let boot = Boot {
        append: "ukl.mode=fast",
        ..Boot::mode(Mode::Ukl)
    };
    let serial = expect("hello", &boot, "ukl: no such mode: fast");
    assert!(serial.contains("hello: ok"), "{serial}");
}

#[test]
#[ignore = "boots an image"]
fn every_result_of_syscalls_is_right() {
    for mode in Mode::ALL {
        let boot = Boot {
            calls: Some(2000),
            ..Boot::mode(mode)
        };
        expect("syscalls", &boot, "0 wrong results, ok");
    }
}

#[test]
#[ignore = "boots an image"]
fn every_result_of_syscalls_is_right_under_a_fast_signal() {
    for mode in Mode::ALL {
        let boot = Boot {
            calls: Some(20_000),
            append: "alarm=1000",
            qemu: NEWEST_CPU,
            ..Boot::mode(mode)
        };
        let serial = expect("syscalls", &boot, "0 wrong results, ok");
        assert!(serial.contains("alarms came"), "{serial}");
    }
}

#[test]
#[ignore = "boots an image"]
fn echo_gets_back_what_it_sent() {
    for mode in Mode::ALL {
        for cpus in [1, 2] {
            let boot = Boot {
                calls: Some(500),
                cpus,
                ..Boot::mode(mode)
            };
            expect("echo", &boot, "500 messages, 0 wrong, ok");
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn awkward_calls_behave_as_in_ring_3() {
    for mode in Mode::ALL {
        for qemu in [&[], NEWEST_CPU] {
            let boot = Boot {
                qemu,
                ..Boot::mode(mode)
            };
            let serial = expect("calls", &boot, "calls: ok");
            assert!(!serial.contains("FAILED"), "{serial}");
            clean(&serial);
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn threads_share_and_end() {
    for mode in Mode::ALL {
        for cpus in [1, 2] {
            let boot = Boot {
                cpus,
                ..Boot::mode(mode)
            };
            clean(&expect("threads", &boot, "threads: ok"));
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn registers_survive_calls_that_sleep_under_signals() {
    for mode in Mode::ALL {
        for cpus in [1, 2] {
            let boot = Boot {
                calls: Some(2000),
                cpus,
                qemu: NEWEST_CPU,
                ..Boot::mode(mode)
            };
            clean(&expect("stress", &boot, "stress: ok"));
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn a_ring_3_process_beside_the_application_stays_confined() {
    for &mode in &image("confined").manifest.modes {
        for (cpus, qemu) in [(1, &[][..]), (2, NEWEST_CPU)] {
            let boot = Boot {
                cpus,
                qemu,
                ..Boot::mode(mode)
            };
            let serial = expect("confined", &boot, "confined: ok");
            let refused = serial
                .lines()
                .filter(|line| line.ends_with("EFAULT"))
                .count();
            assert_eq!(refused, 8, "kernel addresses refused:\n{serial}");
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn three_hundred_threads_work_at_once() {
    for mode in Mode::ALL {
        for cpus in [1, 4] {
            let boot = Boot {
                cpus,
                ..Boot::mode(mode)
            };
            clean(&expect("crowd", &boot, "0 out of order, sum off by 0, ok"));
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn exceptions_find_their_handlers() {
    for mode in Mode::ALL {
        for cpus in [1, 2] {
            let boot = Boot {
                cpus,
                ..Boot::mode(mode)
            };
            expect("exceptions", &boot, "0 wrong, ok");
        }
    }
}
