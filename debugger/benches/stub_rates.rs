//! How fast a target behind QEMU's stub is: round trips, reads, steps, breakpoints.
//!
//! `cargo bench -p uklscope-debugger --bench stub_rates`, on the image `syscalls` of the store.

#![expect(clippy::print_stdout, reason = "it reports")]
#![expect(clippy::unwrap_used, reason = "a benchmark that fails says where")]

use std::time::{Duration, Instant};

use debugger::addr::{Addr, PhysAddr};
use debugger::crossing::Mode;
use debugger::event::Vcpu;
use debugger::qemu::arguments::Machine;
use debugger::session::process::Qemu;
use debugger::session::store;
use debugger::session::target::{Target, Trap};
use object::{Object, ObjectSymbol};

const PATIENCE: Duration = Duration::from_secs(60);
const FIRST: Vcpu = Vcpu(0);

fn main() {
    let image = store::image("syscalls").unwrap_or_else(|error| panic!("{error}"));
    let bytes = std::fs::read(image.vmlinux()).unwrap();
    let file = object::File::parse(bytes.as_slice()).unwrap();
    let at = |name| Addr(file.symbol_by_name(name).unwrap().address());
    let text = at("_text");
    let machine = Machine::of(&image, Mode::Bypass, Some(100_000_000));
    let started = Instant::now();
    let qemu = Qemu::start(&machine).unwrap();
    let mut target = Target::connect(qemu.gdb().unwrap(), PATIENCE).unwrap();
    println!("start QEMU and connect: {:?}", started.elapsed());
    target.insert(Trap::soft(at("main"))).unwrap();
    target.resume().unwrap();
    target.wait(PATIENCE).unwrap().unwrap();
    println!("to main:                {:?}", started.elapsed());

    rate("steps", 5000, |_| {
        target.step(FIRST).unwrap();
    });
    rate("steps and all registers", 5000, |_| {
        target.step(FIRST).unwrap();
        target.registers(FIRST).unwrap();
    });
    rate("monitor commands", 2000, |_| {
        target.monitor("info status").unwrap();
    });
    rate("8-byte reads, one at a time, uncached", 10_000, |i| {
        let mut word = [0; 8];
        target.read(at_line(text, i), &mut word).unwrap();
    });
    let many: Vec<_> = (0..4000)
        .map(|i| (at_line(text, i + 10_000), 1024))
        .collect();
    let started = Instant::now();
    for read in target.read_many(&many) {
        let _ = read;
    }
    report("1 KiB reads in one batch", many.len(), started.elapsed());
    rate("8-byte physical reads", 5000, |i| {
        let mut word = [0; 8];
        let physical = PhysAddr(0x10_0000 + i * 8);
        target.read_physical(physical, &mut word).unwrap();
    });
    let hot = Trap::soft(at("__x64_sys_getppid"));
    target.insert(hot).unwrap();
    rate("breakpoint hits, stepped off", 3000, |_| {
        target.resume().unwrap();
        target.wait(PATIENCE).unwrap().unwrap();
    });
}

/// Lines of the target's cache, each new.
fn at_line(start: Addr, i: u64) -> Addr {
    start + (i % 12_000) * 1024
}

fn rate(what: &str, count: u32, mut act: impl FnMut(u64)) {
    let started = Instant::now();
    for i in 0..u64::from(count) {
        act(i);
    }
    report(what, count as usize, started.elapsed());
}

fn report(what: &str, count: usize, time: Duration) {
    let micros = time.as_secs_f64() * 1e6 / count as f64;
    println!("{what:40} {:>10.0} /s {micros:>8.1} µs", 1e6 / micros);
}
