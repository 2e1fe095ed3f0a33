//! The truth about breakpoints and watchpoints: a stub forgets them whenever it is asked why it
//! stopped, so they are kept here and planted again.

use std::collections::BTreeMap;

use crate::addr::Addr;
use crate::gdb::request::Trap;

/// What is known of a trap. A stub's OK says that it took the request, no more: QEMU plants on
/// addresses where nothing is mapped, and there is no way to ask it what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrapState {
    /// The stub answered OK.
    Planted {
        /// Whether a byte could be read at the address then: if not, it waits for something to be
        /// mapped there.
        mapped: bool,
    },
    /// It could not be planted again after a reconnect.
    Lost(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planted {
    pub trap: Trap,
    pub state: TrapState,
    /// How often it was inserted and not removed.
    pub users: u32,
}

#[derive(Clone, Debug, Default)]
pub struct TrapTable {
    traps: BTreeMap<Trap, (u32, TrapState)>,
}

impl TrapTable {
    /// Counts one more user of a trap that stands; `false` when it does not stand yet.
    pub fn share(&mut self, trap: Trap) -> bool {
        match self.traps.get_mut(&trap) {
            Some((users, TrapState::Planted { .. })) => {
                *users += 1;
                true
            }
            _ => false,
        }
    }

    /// Notes what became of planting a trap, for one more user.
    pub fn planted(&mut self, trap: Trap, state: TrapState) {
        let entry = self.traps.entry(trap).or_insert((0, state.clone()));
        entry.0 += 1;
        entry.1 = state;
    }

    /// Notes what became of planting it again, for the users it has.
    pub fn replanted(&mut self, trap: Trap, state: TrapState) {
        if let Some(entry) = self.traps.get_mut(&trap) {
            entry.1 = state;
        }
    }

    /// Counts one user less. `Some(true)`: that was the last, and the stub has it.
    pub fn release(&mut self, trap: Trap) -> Option<bool> {
        let (users, state) = self.traps.get_mut(&trap)?;
        *users -= 1;
        if *users > 0 {
            return Some(false);
        }
        let stands = matches!(state, TrapState::Planted { .. });
        self.traps.remove(&trap);
        Some(stands)
    }

    /// The traps that stop execution at this address and stand now.
    pub fn breakpoints_at(&self, addr: Addr) -> impl Iterator<Item = Trap> {
        self.standing()
            .filter(move |trap| trap.addr == addr && trap.kind.is_breakpoint())
    }

    pub fn standing(&self) -> impl Iterator<Item = Trap> {
        self.traps
            .iter()
            .filter(|(_, (_, state))| matches!(state, TrapState::Planted { .. }))
            .map(|(trap, _)| *trap)
    }

    pub fn iter(&self) -> impl Iterator<Item = Planted> {
        self.traps.iter().map(|(trap, (users, state))| Planted {
            trap: *trap,
            state: state.clone(),
            users: *users,
        })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.traps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gdb::request::TrapKind;

    const MAPPED: TrapState = TrapState::Planted { mapped: true };

    #[test]
    fn a_trap_stands_until_its_last_user_leaves() {
        let mut table = TrapTable::default();
        let trap = Trap::soft(Addr(16));
        assert!(!table.share(trap));
        table.planted(trap, MAPPED);
        assert!(table.share(trap));
        assert_eq!(table.breakpoints_at(Addr(16)).count(), 1);
        assert_eq!(table.release(trap), Some(false));
        assert_eq!(table.release(trap), Some(true));
        assert_eq!(table.release(trap), None);
        assert!(table.is_empty());
    }

    #[test]
    fn a_lost_trap_is_kept_and_can_be_planted_again() {
        let mut table = TrapTable::default();
        let trap = Trap::soft(Addr(16));
        table.planted(trap, MAPPED);
        table.replanted(trap, TrapState::Lost("error 22".to_owned()));
        assert_eq!(table.standing().count(), 0);
        assert!(!table.share(trap), "it must be planted first");
        table.planted(trap, MAPPED);
        assert_eq!(table.iter().next().unwrap().users, 2);
    }

    #[test]
    fn watchpoints_do_not_stop_execution_at_their_address() {
        let mut table = TrapTable::default();
        let watch = Trap {
            kind: TrapKind::Write,
            addr: Addr(16),
            len: 8,
        };
        table.planted(watch, MAPPED);
        assert_eq!(table.breakpoints_at(Addr(16)).count(), 0);
    }
}
