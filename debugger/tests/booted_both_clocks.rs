//! The plugin's addition per block agrees with a count of every single instruction, on every edge of every
//! demo: both in one run, as interrupts fall differently in two.

mod qemus;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use debugger::crossing::Mode;
use debugger::session::store;
use debugger::session::trace::{Clock, TraceOptions, Traced, trace};

/// Long enough for most of them to end by themselves.
const LONGEST: Duration = Duration::from_secs(40);

fn check(name: &str, mode: Mode, change: impl FnOnce(&mut TraceOptions)) -> Traced {
    let image = store::image(name).unwrap_or_else(|error| panic!("{error}"));
    let mut options = TraceOptions {
        clock: Clock::Both,
        duration: Some(LONGEST),
        ..TraceOptions::new(mode)
    };
    change(&mut options);
    let traced = trace(&image, &options, &AtomicBool::new(false), &mut |_| ())
        .unwrap_or_else(|error| panic!("{name} in mode {mode}: {error}"));
    let report = &traced.report;
    let clocks = report.clocks.clone().unwrap_or_default();
    assert!(
        clocks.agree(),
        "{name} in mode {mode}: {} of {} edges: {:#?}",
        clocks.differing,
        clocks.edges,
        clocks.first
    );
    assert!(
        clocks.edges > 1_000_000,
        "{name} in mode {mode}: {clocks:?}"
    );
    assert!(clocks.faults > 0, "{name} in mode {mode}: {clocks:?}");
    assert_eq!(clocks.unplaced, 0, "{name} in mode {mode}: {clocks:?}");
    // An opening of the gate and what follows it apart, every record ends an edge.
    assert_eq!(report.lost, 0, "{name} in mode {mode}");
    traced
}

#[test]
#[ignore = "boots an image"]
fn on_every_edge_of_the_demos() {
    for name in ["syscalls", "echo", "hello", "exceptions", "crowd"] {
        for mode in Mode::ALL {
            check(name, mode, |_| ());
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn on_every_edge_of_the_servers() {
    for name in ["redis", "memcached"] {
        for mode in Mode::ALL {
            check(name, mode, |_| ());
        }
    }
}

/// Where time goes by instructions every QEMU leaves a block at an access to a device; those from 8.2 on always do.
#[test]
#[ignore = "boots an image"]
fn on_every_edge_where_blocks_are_left_for_devices() {
    for mode in [Mode::Linux, Mode::Bypass] {
        let traced = check("syscalls", mode, |options| options.repeatable = true);
        let left = traced.report.clocks.map_or(0, |clocks| clocks.left);
        assert!(left > 1000, "mode {mode}: {left}");
    }
}

/// From 8.2 on they leave blocks in their middle, which the installed one may not do.
#[test]
#[ignore = "boots an image in another QEMU"]
fn on_every_edge_by_other_qemus() {
    for qemu in qemus::others() {
        let mut left = 0;
        let both = [Mode::Linux, Mode::Shortcut];
        let of_kernel = ["known", "calls", "threads", "hello"].map(|name| (name, &both[..]));
        let demos = ["syscalls", "echo", "exceptions"].map(|name| (name, &Mode::ALL[..]));
        for (name, modes) in of_kernel.into_iter().chain(demos) {
            for mode in modes {
                let traced = check(name, *mode, |options| options.qemu = Some(qemu.clone()));
                left += traced.report.clocks.map_or(0, |clocks| clocks.left);
            }
        }
        check("threads", Mode::Bypass, |options| {
            options.qemu = Some(qemu.clone());
            options.smp = 2;
        });
        println!("{}: {left} blocks were left for a device", qemu.display());
    }
}

/// These do in each mode nearly the same.
#[test]
#[ignore = "boots an image"]
fn on_every_edge_of_the_kernel_s_tests() {
    for name in ["posix", "calls", "threads", "stress", "differ", "known"] {
        for mode in [Mode::Linux, Mode::Shortcut] {
            check(name, mode, |_| ());
        }
    }
    check("confined", Mode::Ukl, |_| ());
}

/// Without stacks of their own for exceptions.
#[test]
#[ignore = "boots an image"]
fn on_every_edge_where_stacks_are_populated() {
    check("exceptions", Mode::Ukl, |options| {
        let setup = "ukl+fault=populate".parse();
        options.setup = setup.unwrap_or_else(|error| panic!("{error}"));
    });
}

/// There QEMU's counters are every vCPU's own, or are added to by calls.
#[test]
#[ignore = "boots an image"]
fn on_several_vcpus() {
    for mode in [Mode::Linux, Mode::Bypass] {
        check("threads", mode, |options| options.smp = 2);
    }
}
