//! What is read at a state beside registers, code and stack: what a debugger that stops there asks for first.

use crate::addr::Addr;
use crate::event::Vcpu;
use crate::guest::{self, Task};
use crate::session::target::{Registers, Target};
use crate::symbols::Symbols;
use crate::symbols::unwind::RegisterSet;

/// Bytes behind a pointer whose length nobody tells, and at most.
pub(super) const POINTED: usize = 256;
const MOST_POINTED: u64 = 4096;
/// From an argument to an iovec's buffer is one, of a message two; the places that are followed, and the words
/// of each.
const LEVELS: usize = 3;
const MOST_PLACES: usize = 32;
const MEMBERS: usize = 8;
/// What lies below is no address.
const LOWEST: u64 = 0x1000;
/// A system call's arguments, and what the fourth one of a plain call is in.
const ARGUMENTS: [&str; 7] = ["rdi", "rsi", "rdx", "r10", "r8", "r9", "rcx"];

/// What the arguments point to. A length follows its buffer, where there is one.
pub(super) fn pointed(registers: &Registers) -> Vec<(Addr, usize)> {
    let values = ARGUMENTS.map(|name| registers.get(name));
    let next = values.iter().skip(1).chain([&None]);
    let each = values.iter().zip(next).filter_map(|(value, next)| {
        let addr = (*value).filter(|value| is_address(*value))?;
        let told = next.filter(|next| (1..LOWEST).contains(next));
        let len = told.map_or(POINTED, |len| {
            usize::try_from(len.min(MOST_POINTED)).unwrap_or(POINTED)
        });
        Some((Addr(addr), len.max(POINTED)))
    });
    each.collect()
}

/// Those places, and what lies behind the addresses that they begin with: the buffers of an iovec, of a
/// message.
pub(super) fn read_pointed(target: &mut Target, pointed: &[(Addr, usize)]) {
    let mut level = pointed.to_vec();
    for _ in 0..LEVELS {
        let read = target.read_many(&level);
        let words = read.iter().flatten().flat_map(|bytes| {
            let words = bytes.as_chunks().0.iter().take(MEMBERS);
            words.map(|word| u64::from_le_bytes(*word))
        });
        let mut next: Vec<_> = words
            // A structure of the kernel's may lead to a device, where each read does something.
            .filter(|word| is_address(*word) && !Addr(*word).in_kernel_half())
            .map(|word| (Addr(word), POINTED))
            .collect();
        next.sort_unstable();
        next.dedup();
        next.truncate(MOST_PLACES);
        level = next;
    }
}

/// As a pointer of the application's or of the kernel's would be.
const fn is_address(word: u64) -> bool {
    let above = word >> 47;
    word >= LOWEST && (above == 0 || above == u64::MAX >> 47)
}

/// The task that a vCPU runs, and its stacks, as a stop asks for them.
pub(super) fn read_task(
    target: &mut Target,
    symbols: &Symbols,
    vcpus: u32,
    (vcpu, registers): (Vcpu, &Registers),
) -> Option<Task> {
    let mut set = RegisterSet::from_names(|name| registers.get(name));
    let mut memory = |at: Addr, bytes: &mut [u8]| target.read(at, bytes).is_ok();
    let areas = guest::cpu_areas(symbols, vcpus, &mut memory).unwrap_or_default();
    let area = usize::try_from(vcpu.0).ok().and_then(|at| areas.get(at));
    set.gs_base = area.map(|area| area.start.0);
    let current = guest::current(symbols, &set, &mut memory).ok();
    // For what they read.
    let _ = guest::Stacks::of(symbols, &set, current.as_ref(), &mut memory);
    current
}

/// The file that a call is about.
pub(super) fn read_file(target: &mut Target, symbols: &Symbols, task: &Task, fd: u64) {
    let mut memory = |at: Addr, bytes: &mut [u8]| target.read(at, bytes).is_ok();
    let _ = guest::file_behind(symbols, task.addr, fd, &mut memory);
}
