//! String instructions that repeat themselves.
//!
//! QEMU executes a round, or many, and begins the instruction anew as a block of its own for the next ones; before
//! QEMU 10 once more, to find that none is left. A processor executes one instruction, and so it is counted.

/// A vCPU's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Repeats {
    /// Where the instruction lies that was begun last, and the clock then.
    at: u64,
    clock: u64,
}

impl Repeats {
    /// Such an instruction is begun. Whether it goes on with its rounds: then the clock is to be set back by one.
    pub const fn goes_on(&mut self, at: u64, clock: u64) -> bool {
        // Nothing was executed since but itself.
        let goes_on = at == self.at && clock == self.clock.wrapping_add(1);
        if !goes_on {
            (self.at, self.clock) = (at, clock);
        }
        goes_on
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
