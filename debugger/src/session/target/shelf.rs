//! What was read of the machine since it stopped, for threads other than the session's.
//!
//! Whoever asks for the same again has it from here, without waking that thread; so has who reads the
//! kernel's memory, where the machine shares it. It is emptied before anything that may change the machine is
//! sent to it, and a reader is waited for: what lies here is what the stub would answer.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::addr::Addr;
use crate::event::Vcpu;
use crate::gdb::registers::Registers;

use super::Target;
use super::lines::{Line, Lines, starts};
use super::window::View;

/// Bytes of one read.
const MOST: usize = 1 << 20;

#[derive(Debug, Default)]
pub struct Shelf(RwLock<Laid>);

#[derive(Debug, Default)]
struct Laid {
    /// Bytes of a line.
    len: u64,
    /// As a vCPU sees them, by the address of the first byte.
    lines: HashMap<(Vcpu, u64), Arc<[u8]>>,
    registers: HashMap<Vcpu, Registers>,
    /// Where the machine shares its memory.
    view: Option<View>,
    /// How often it was.
    emptied: u64,
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
        laid.view = None;
        laid.emptied += 1;
    }

    /// Another number where the machine may have changed since; none where nothing lies here, as while it runs.
    pub fn stop(&self) -> Option<u64> {
        let laid = self.laid();
        let stands = !laid.registers.is_empty() || !laid.lines.is_empty() || laid.view.is_some();
        stands.then_some(laid.emptied)
    }

    /// Memory as a vCPU sees it; none where the session is to be asked.
    pub fn read(&self, vcpu: Vcpu, addr: Addr, len: usize) -> Option<Vec<u8>> {
        let laid = self.laid();
        laid.read(vcpu, addr, len).or_else(|| laid.look(addr, len))
    }

    /// As a `g` reply has them.
    pub fn registers(&self, vcpu: Vcpu) -> Option<Vec<Option<u8>>> {
        let laid = self.laid();
        Some(laid.registers.get(&vcpu)?.all_bytes().to_vec())
    }
}

impl Laid {
    fn put(&mut self, vcpu: Vcpu, lines: &Lines, wanted: impl Iterator<Item = u64>) {
        self.len = lines.len;
        for start in wanted {
            // What cannot be read is asked for again: the stub says why.
            if let Some(Line::Ok(line)) = lines.read.get(&start) {
                self.lines.insert((vcpu, start), Arc::clone(line));
            }
        }
    }

    fn read(&self, vcpu: Vcpu, addr: Addr, len: usize) -> Option<Vec<u8>> {
        if self.lines.is_empty() || len == 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(len);
        for start in starts(addr, len, self.len) {
            let line = self.lines.get(&(vcpu, start))?;
            let skip = usize::try_from(addr.0.saturating_sub(start)).ok()?;
            let rest = line.get(skip..)?;
            bytes.extend_from_slice(&rest[..rest.len().min(len - bytes.len())]);
        }
        (bytes.len() == len).then_some(bytes)
    }

    /// Memory of the kernel that nobody has asked for so far.
    fn look(&self, addr: Addr, len: usize) -> Option<Vec<u8>> {
        let view = self.view.as_ref().filter(|_| len > 0 && len <= MOST)?;
        let mut bytes = vec![0; len];
        view.read(addr, &mut bytes).then_some(bytes)
    }
}

impl Target {
    /// Where other threads find what was read of the machine.
    #[must_use]
    pub const fn shelf(&self) -> &Arc<Shelf> {
        &self.memory.shelf
    }

    /// Lays out memory of the stopped machine that was just read, and the way to the rest of its kernel's.
    pub(super) fn lay_out(&self, vcpu: Vcpu, addr: Addr, len: usize) {
        if self.is_running() {
            return;
        }
        let lines = &self.memory.lines;
        let mut laid = self.memory.shelf.lay();
        laid.view = self.view();
        laid.put(vcpu, lines, lines.starts(addr, len));
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
        let wanted = [0x10, 0x18, 0x20, 0x28];
        shelf.lay().put(Vcpu(0), &lines, wanted.into_iter());
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
        let stop = shelf.stop();
        assert!(stop.is_some());
        shelf.clear();
        assert_eq!(shelf.stop(), None);
        none(0, 0x10, 1);
        assert_eq!(shelf.registers(Vcpu(0)), None);
        let registers = Registers::new(Arc::default(), Vec::new());
        shelf.lay().registers.insert(Vcpu(0), registers);
        assert!(shelf.stop().is_some_and(|next| Some(next) != stop));
    }
}
