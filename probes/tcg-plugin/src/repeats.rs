//! String instructions that repeat themselves.
//!
//! QEMU executes a round, or many, and begins the instruction anew as a block of its own for the next ones; before
//! QEMU 10 once more, to find that none is left. A processor executes one instruction, and so it is counted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Those of whose rounds some are left, and how often, by where they lie: on whichever vCPU they go on.
static INTERRUPTED: Mutex<Option<HashMap<u64, u64>>> = Mutex::new(None);

/// A vCPU's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Repeats {
    /// Where the instruction lies that was begun last, and the clock then.
    at: u64,
    clock: u64,
    /// A block was executed that leads to it and counts it, and nothing since.
    only_led_to: bool,
}

impl Repeats {
    /// Such an instruction is begun, by a block that adds `own` to the clock. Whether it goes on with its rounds.
    pub const fn goes_on(&mut self, at: u64, clock: u64, own: u64) -> bool {
        // Nothing was executed since but itself.
        let goes_on = at == self.at && clock == self.clock.wrapping_add(own) && !self.only_led_to;
        if !goes_on {
            self.begun(at, clock);
        }
        goes_on
    }

    /// A block that leads to it is executed to its end.
    pub const fn led_to(&mut self, at: u64, clock: u64) {
        self.begun(at, clock);
        self.only_led_to = true;
    }

    /// It was counted by what leads to it, and not begun.
    #[must_use]
    pub const fn is_only_led_to(&self) -> bool {
        self.only_led_to
    }

    /// The instruction there is begun, or goes on after something else was executed.
    pub const fn begun(&mut self, at: u64, clock: u64) {
        (self.at, self.clock, self.only_led_to) = (at, clock, false);
    }

    /// Where it lies, if the clock stands where it was begun: it may not be at its end.
    #[must_use]
    pub const fn under_way(&self, clock: u64) -> Option<u64> {
        if clock == self.clock {
            Some(self.at)
        } else {
            None
        }
    }
}

/// Something came between the rounds of the instruction there.
pub fn interrupted(at: u64) {
    let mut all = INTERRUPTED.lock().unwrap_or_else(PoisonError::into_inner);
    *all.get_or_insert_default().entry(at).or_default() += 1;
}

/// Whether the instruction there, which is begun, has rounds left of such a time.
pub fn resumes(at: u64) -> bool {
    let mut all = INTERRUPTED.lock().unwrap_or_else(PoisonError::into_inner);
    let left = all.as_mut().and_then(|all| all.get_mut(&at));
    left.is_some_and(|left| {
        let some = *left > 0;
        *left -= u64::from(some);
        some
    })
}
