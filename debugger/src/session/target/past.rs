//! What was read of a machine at one stop, kept to be looked at when it stands elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::addr::Addr;
use crate::event::Vcpu;
use crate::gdb::registers::Registers;

use super::lines::{Gap, Lines};
use super::{Target, TargetError};

/// The registers and the memory that were looked at while the machine stood at one stop. What
/// nobody looked at is not in it.
#[derive(Clone, Debug)]
pub struct Kept {
    registers: BTreeMap<Vcpu, Registers>,
    lines: Lines,
    own: usize,
}

impl Kept {
    /// Of memory alone.
    #[cfg(test)]
    pub(crate) fn of(lines: &[(u64, [u8; 4])], before: Option<&Self>) -> Self {
        let mut read = Lines::new(4);
        for (at, bytes) in lines {
            read.read.insert(*at, Ok(Arc::from(&bytes[..])));
            read.asked.insert(*at);
        }
        let (lines, own) = read.shared_with(before.map(|before| &before.lines));
        Self {
            registers: BTreeMap::new(),
            lines,
            own,
        }
    }

    #[must_use]
    pub fn registers(&self, vcpu: Vcpu) -> Option<&Registers> {
        self.registers.get(&vcpu)
    }

    /// Whether all of these bytes were looked at, and could be read.
    pub fn read(&self, addr: Addr, bytes: &mut [u8]) -> bool {
        self.lines.copy(addr, bytes).is_ok()
    }

    /// What could be read of the memory that was looked at.
    pub fn memory(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let lines = self.lines.read.iter();
        lines.filter_map(|(at, line)| Some((*at, &**line.as_ref().ok()?)))
    }

    /// The lines that are likely to be read at the next stop too.
    pub(super) fn expected(&self) -> impl Iterator<Item = u64> {
        self.lines.expected.iter().copied()
    }

    /// Bytes of memory it holds, those included that it shares with the stop before.
    #[must_use]
    pub fn size(&self) -> usize {
        self.lines.size()
    }

    /// Bytes of memory that it does not share with the stop before.
    #[must_use]
    pub const fn own_size(&self) -> usize {
        self.own
    }
}

/// A stop that is looked at instead of the machine.
#[derive(Clone, Debug)]
pub(super) struct Past {
    stop: u64,
    kept: Arc<Kept>,
}

impl Past {
    pub(super) fn registers(&self, vcpu: Vcpu) -> Result<Registers, TargetError> {
        let known = self.kept.registers(vcpu).cloned();
        known.ok_or(TargetError::RegistersNotKept {
            vcpu,
            stop: self.stop,
        })
    }

    pub(super) fn read(&self, addr: Addr, bytes: &mut [u8]) -> Result<(), TargetError> {
        let read = self.kept.lines.copy(addr, bytes);
        read.map_err(|(addr, gap)| match gap {
            Gap::NotRead => TargetError::NotKept {
                addr,
                stop: self.stop,
            },
            Gap::Unreadable(found) => TargetError::Unreadable { addr, found },
            Gap::End => TargetError::Unreadable {
                addr,
                found: "the address space ends before it".to_owned(),
            },
        })
    }

    pub(super) fn refuses(&self, tried: &str) -> TargetError {
        TargetError::LookingBack {
            tried: tried.to_owned(),
            stop: self.stop,
        }
    }
}

impl Target {
    /// What was read since the machine stopped, for [`Self::look_at`]. Memory that is as `before`
    /// holds it is shared with that.
    #[must_use]
    pub fn keep(&self, before: Option<&Kept>) -> Kept {
        let before = before.map(|before| &before.lines);
        let (lines, own) = self.memory.lines.shared_with(before);
        Kept {
            registers: self.registers.clone(),
            lines,
            own,
        }
    }

    /// Reads registers and memory from a stop of the past, by its number, until
    /// [`Self::look_at_machine`]. All that would need the machine is refused meanwhile.
    pub fn look_at(&mut self, stop: u64, kept: Arc<Kept>) {
        self.past = Some(Past { stop, kept });
        self.memory.epoch += 1;
    }

    pub fn look_at_machine(&mut self) {
        self.past = None;
        self.memory.epoch += 1;
    }

    /// Another number than before says that registers and memory may not be what they were.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.memory.epoch
    }

    /// Whether a stop of the past is looked at.
    #[must_use]
    pub const fn looks_back(&self) -> bool {
        self.past.is_some()
    }
}
