//! What is not recorded though the sites tell it: calls that nobody asked for, and tasks.
//!
//! Both are about the task that runs on a vCPU. That it is in a call that is left out is kept while it sleeps.
//! Its name is read where it is switched to, and again while it is left out: a task may change its name.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use wire::Kind;
use wire::layout::NAME_BYTES;

use crate::fault;
use crate::qemu::Access;

/// Tasks that sleep in calls that are left out, by where their stack pointers are kept; on whichever vCPU they
/// go on.
static ASLEEP: Mutex<Option<HashSet<u64>>> = Mutex::new(None);

/// Whether there were any: nobody looks for them before.
static ANY: AtomicBool = AtomicBool::new(false);

static NAMES: OnceLock<Names> = OnceLock::new();

#[derive(Debug)]
struct Names {
    wanted: Vec<[u8; NAME_BYTES]>,
    /// From where a task's stack pointer is kept.
    offset: i64,
}

/// Once, before any vCPU runs.
pub fn set_up(choice: &wire::Choice) {
    let count = usize::try_from(choice.names).unwrap_or(0);
    if count > 0 {
        NAMES.get_or_init(|| Names {
            wanted: choice.name.iter().take(count).copied().collect(),
            offset: choice.name_offset,
        });
    }
}

/// A vCPU's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// Its task is in a call that is left out.
    call: bool,
    /// Its task has no name that was asked for.
    other: bool,
    /// Where the name lies in physical memory.
    name_at: Option<u64>,
    /// Records that were not written, since they were told last.
    records: u64,
}

impl Choice {
    /// Before it is known which task runs.
    #[must_use]
    pub fn new() -> Self {
        Self {
            other: NAMES.get().is_some(),
            ..Self::default()
        }
    }

    #[must_use]
    pub const fn leaves_out(&self) -> bool {
        self.call || self.other
    }

    /// The call that the task is in is left out to its end.
    pub const fn leave_call_out(&mut self) {
        self.call = true;
    }

    /// Whether a record of that kind is left out, while some are: calls end where the application is seen.
    pub fn leaves_out_record(&mut self, kind: Option<Kind>) -> bool {
        let in_app = matches!(
            kind,
            Some(
                Kind::SyscallEntry
                    | Kind::AppEntry
                    | Kind::AppReturn
                    | Kind::AppJump
                    | Kind::AppCall
            )
        );
        if in_app || kind == Some(Kind::TaskStart) {
            self.call = false;
        }
        if in_app && self.other {
            self.read_name();
        }
        // Who runs is followed all the time.
        let always = matches!(kind, Some(Kind::Switch | Kind::TaskStart));
        let left_out = self.leaves_out() && !always;
        self.records += u64::from(left_out);
        left_out
    }

    /// Another task runs: its stack pointer was read at `to`, by that access, and the one's before is at `from`.
    pub fn switch(&mut self, access: Access, from: u64, to: u64) {
        if self.call || ANY.load(Ordering::Relaxed) {
            let mut asleep = ASLEEP.lock().unwrap_or_else(PoisonError::into_inner);
            let asleep = asleep.get_or_insert_default();
            if self.call {
                ANY.store(true, Ordering::Relaxed);
                asleep.insert(from);
            }
            self.call = asleep.remove(&to);
        }
        if let Some(names) = NAMES.get() {
            let at = fault::physical(access, to);
            // The kernel keeps all of a task in one piece.
            self.name_at = at.and_then(|at| at.checked_add_signed(names.offset));
            self.read_name();
        }
    }

    fn read_name(&mut self) {
        let Some(names) = NAMES.get() else { return };
        let name = self.name_at.and_then(fault::name);
        let wanted = name.is_some_and(|name| names.wanted.iter().any(|one| is_same(one, &name)));
        self.other = !wanted;
    }

    /// How many records were left out since this was asked last.
    pub const fn take_records(&mut self) -> u64 {
        std::mem::replace(&mut self.records, 0)
    }
}

/// Up to the zero at the end: what follows it may be anything.
fn is_same(one: &[u8; NAME_BYTES], other: &[u8; NAME_BYTES]) -> bool {
    let text = |name: &[u8; NAME_BYTES]| name.iter().take_while(|byte| **byte != 0).count();
    let length = text(one);
    length == text(other) && one[..length] == other[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_left_out_until_the_application_is_seen_again() {
        let mut choice = Choice::new();
        assert!(!choice.leaves_out());
        choice.leave_call_out();
        for inside in [Kind::Entry, Kind::Return, Kind::InterruptEntry, Kind::Iret] {
            assert!(choice.leaves_out_record(Some(inside)), "{inside:?}");
        }
        assert!(!choice.leaves_out_record(Some(Kind::Switch)));
        assert!(choice.leaves_out(), "a switch ends no call");
        assert!(!choice.leaves_out_record(Some(Kind::AppReturn)));
        assert!(!choice.leaves_out_record(Some(Kind::Entry)));
        assert_eq!((choice.take_records(), choice.take_records()), (4, 0));
        for end in [Kind::SyscallEntry, Kind::AppCall, Kind::TaskStart] {
            choice.leave_call_out();
            assert!(!choice.leaves_out_record(Some(end)), "{end:?}");
        }
    }

    #[test]
    fn names_are_the_same_up_to_their_ends() {
        let name = |text: &[u8]| {
            let mut name = [0; NAME_BYTES];
            name[..text.len()].copy_from_slice(text);
            name
        };
        let mut old = name(b"ab\0tail");
        assert!(is_same(&name(b"ab"), &old));
        old[2] = b'c';
        assert!(!is_same(&name(b"ab"), &old));
        assert!(!is_same(&name(b"abc"), &name(b"ab")));
    }
}
