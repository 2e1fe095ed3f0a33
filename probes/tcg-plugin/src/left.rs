//! Blocks that QEMU leaves in their middle, to execute the instruction there again as a block of its own. The next
//! block begins behind it. The first block was counted whole when it was begun, so that what is executed again is
//! taken back.
//!
//! - For an access to a device, since QEMU 8.2: of the block of one instruction it tells a plugin the accesses and
//!   nothing else.
//! - For a write into the block itself, which is translated anew: all of that block is told, so that the instruction
//!   is counted twice.

/// A vCPU's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Left {
    /// The clock in a block of one instruction that was counted as it should be.
    right: u64,
    /// Such a block was begun, and nothing was taken back in it.
    whole: bool,
}

impl Left {
    /// A block of one instruction is executed, and QEMU tells all of it.
    pub const fn begun(&mut self, clock: u64) {
        self.right = clock;
        self.whole = true;
    }

    /// The only instruction of a block accesses memory, of which `rest` instructions are to the end of the
    /// block that it was first seen in, itself among them. Returns what is to be taken back.
    pub const fn accessed(&mut self, clock: u64, rest: u64) -> u64 {
        // It was told whole, or this is another access of the same instruction.
        if clock == self.right {
            return 0;
        }
        let behind = rest.saturating_sub(1);
        self.right = clock.wrapping_sub(behind);
        self.whole = false;
        behind
    }

    /// It writes into that block; `rest`: as the clock counts them. Whether they are to be taken back.
    pub const fn overwrote(&mut self, clock: u64, rest: u64) -> bool {
        let first = self.whole && clock == self.right;
        if first {
            self.right = clock.wrapping_sub(rest);
            self.whole = false;
        }
        first
    }
}
