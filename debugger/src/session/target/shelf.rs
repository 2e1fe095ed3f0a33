//! What was read of the machine since it stopped, for threads other than the session's.
//!
//! Whoever asks for the same again has it from here, without waking that thread. It is emptied before
//! anything that may change the machine is sent to it, so what lies here is what the stub would answer.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::addr::Addr;
use crate::event::Vcpu;
use crate::gdb::registers::Registers;

use super::Target;
use super::lines::{Line, Lines, starts};

/// Lines that are laid out behind those that were asked for, where the ones before were read too: 32 KiB.
/// Only from memory that is shared: a read through the stub may be of a device.
const AHEAD: usize = 32;

#[derive(Debug, Default)]
pub struct Shelf(RwLock<Laid>);

#[derive(Debug, Default)]
struct Laid {
    /// Bytes of a line.
    len: u64,
    /// As a vCPU sees them, by the address of the first byte.
    lines: HashMap<(Vcpu, u64), Arc<[u8]>>,
    registers: HashMap<Vcpu, Registers>,
}

impl Shelf {
    fn laid(&self) -> RwLockReadGuard<'_, Laid> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lay(&self) -> RwLockWriteGuard<'_, Laid> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clear(&self) {
        let mut laid = self.lay();
        laid.lines.clear();
        laid.registers.clear();
    }

    /// Memory as a vCPU sees it; none where not all of it was read.
    pub fn read(&self, vcpu: Vcpu, addr: Addr, len: usize) -> Option<Vec<u8>> {
        let laid = self.laid();
        if laid.lines.is_empty() || len == 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(len);
        for start in starts(addr, len, laid.len) {
            let line = laid.lines.get(&(vcpu, start))?;
            let skip = usize::try_from(addr.0.saturating_sub(start)).ok()?;
            let rest = line.get(skip..)?;
            bytes.extend_from_slice(&rest[..rest.len().min(len - bytes.len())]);
        }
        (bytes.len() == len).then_some(bytes)
    }

    /// As a `g` reply has them.
    pub fn registers(&self, vcpu: Vcpu) -> Option<Vec<Option<u8>>> {
        let laid = self.laid();
        Some(laid.registers.get(&vcpu)?.all_bytes().to_vec())
    }

    fn put(&self, vcpu: Vcpu, lines: &Lines, wanted: &[u64]) {
        let mut laid = self.lay();
        laid.len = lines.len;
        for start in wanted {
            // What cannot be read is asked for again: the stub says why.
            if let Some(Line::Ok(line)) = lines.read.get(start) {
                laid.lines.insert((vcpu, *start), Arc::clone(line));
            }
        }
    }
}

impl Target {
    /// Where other threads find what was read of the machine.
    #[must_use]
    pub const fn shelf(&self) -> &Arc<Shelf> {
        &self.memory.shelf
    }

    /// Lays out memory of the stopped machine that was just read, and what somebody who reads on will ask
    /// for next.
    pub(super) fn lay_out(&mut self, vcpu: Vcpu, addr: Addr, len: usize) {
        if self.is_running() {
            return;
        }
        let lines = &self.memory.lines;
        let mut wanted: Vec<u64> = lines.starts(addr, len).collect();
        let (Some(&first), Some(&last)) = (wanted.first(), wanted.last()) else {
            return;
        };
        let line = lines.len;
        let reads_on = first
            .checked_sub(line)
            .is_some_and(|before| lines.read.contains_key(&before));
        if reads_on {
            let next = (1..=AHEAD as u64).map_while(|i| last.checked_add(i * line));
            let there =
                |start: &u64| self.memory.lines.read.contains_key(start) || self.peek_line(*start);
            let next: Vec<u64> = next.take_while(there).collect();
            wanted.extend(next);
        }
        self.memory.shelf.put(vcpu, &self.memory.lines, &wanted);
    }

    pub(super) fn lay_out_registers(&self, vcpu: Vcpu, registers: &Registers) {
        let mut laid = self.memory.shelf.lay();
        laid.registers.insert(vcpu, registers.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lines of 8 bytes from 0x10 on.
    fn shelf() -> Shelf {
        let mut lines = Lines::new(8);
        for start in [0x10_u64, 0x18] {
            let bytes: Vec<u8> = (0..8).map(|i| u8::try_from(start).unwrap() + i).collect();
            lines.read.insert(start, Ok(bytes.into()));
        }
        lines.read.insert(0x20, Err("E14".into()));
        let shelf = Shelf::default();
        shelf.put(Vcpu(0), &lines, &[0x10, 0x18, 0x20, 0x28]);
        shelf
    }

    #[test]
    fn what_was_read_is_there_at_any_place() {
        let shelf = shelf();
        for (at, len) in [(0x10, 16), (0x10, 1), (0x17, 2), (0x1f, 1), (0x12, 9)] {
            let expected: Vec<u8> = (at..at + len).collect();
            let found = shelf.read(Vcpu(0), Addr(at.into()), len.into());
            assert_eq!(found, Some(expected), "{at:#x} {len}");
        }
    }

    #[test]
    fn what_was_not_read_is_asked_for() {
        let shelf = shelf();
        let none = |vcpu, at, len| assert_eq!(shelf.read(Vcpu(vcpu), Addr(at), len), None);
        none(0, 0xf, 2);
        none(0, 0x1f, 2);
        none(0, 0x20, 1);
        none(0, 0x28, 1);
        none(1, 0x10, 1);
        none(0, 0x10, 0);
        none(0, u64::MAX, 2);
        shelf.clear();
        none(0, 0x10, 1);
        assert_eq!(shelf.registers(Vcpu(0)), None);
    }
}
