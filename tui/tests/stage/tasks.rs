//! Two CPUs and a few tasks, one of them asleep in a futex.

use debugger::addr::{Addr, AddrRange};
use debugger::event::{Frame, TaskInfo, ThreadInfo, Vcpu};
use debugger::known::Known;
use debugger::origin::Origin;

use super::facts::place;

pub(crate) fn cpus() -> Vec<ThreadInfo> {
    let cpu = |vcpu, state: &str, symbol: &str, file: &str| ThreadInfo {
        vcpu: Vcpu(vcpu),
        current: vcpu == 0,
        state: state.to_owned(),
        place: place(
            0xffff_ffff_8112_a4e0 + u64::from(vcpu),
            symbol,
            file,
            636,
            Origin::kernel_source(file),
        ),
    };
    vec![
        cpu(0, "running", "ksys_write", "fs/read_write.c"),
        cpu(1, "halted", "default_idle", "arch/x86/kernel/process.c"),
    ]
}

pub(crate) fn all() -> Vec<TaskInfo> {
    let task = |pid, comm: &str, letter, kind, waits_in: Known<String>, waits_for| TaskInfo {
        pid,
        tgid: pid,
        comm: comm.to_owned(),
        state: if letter == 'R' { "running" } else { "sleeping" }.to_owned(),
        letter,
        cpu: Known::Yes(0),
        kind,
        addr: Addr(0xffff_8880_0300_0000 + pid * 0x2000),
        stack: AddrRange {
            start: Addr(0xffff_c900_0000_0000),
            end: Addr(0xffff_c900_0000_4000),
        },
        waits_in,
        waits_for,
    };
    let asleep = |name: &str| Known::Yes(name.to_owned());
    vec![
        task(0, "swapper/0", 'R', "idle task", Known::no("it runs"), None),
        task(0, "swapper/1", 'R', "idle task", Known::no("it runs"), None),
        task(
            1,
            "init",
            'S',
            "process",
            asleep("do_wait"),
            Some("a child to end"),
        ),
        task(
            2,
            "kthreadd",
            'S',
            "kernel thread",
            asleep("kthreadd"),
            None,
        ),
        task(
            80,
            "syscalls",
            'R',
            "application thread",
            Known::no("it runs"),
            None,
        ),
        task(
            81,
            "syscalls",
            'S',
            "application thread",
            asleep("futex_wait_queue"),
            Some("a futex"),
        ),
    ]
}

pub(crate) fn stack() -> Vec<Frame> {
    let frame = |n, symbol: &str, file: &str, line| Frame {
        n,
        place: place(
            0xffff_ffff_8100_0000 + u64::from(n) * 0x100,
            symbol,
            file,
            line,
            Origin::kernel_source(file),
        ),
        found_by: "orc",
        certainty: "certain",
        ..Frame::default()
    };
    vec![
        frame(0, "__schedule", "kernel/sched/core.c", 6534),
        frame(1, "schedule", "kernel/sched/core.c", 6610),
        frame(2, "futex_wait_queue", "kernel/futex/waitwake.c", 355),
    ]
}
