//! Accesses to devices in the middle of a block.
//!
//! Since QEMU 8.2 a block's last instruction alone may access a device. At any other one QEMU leaves the block,
//! executes the instruction again as a block of its own, of which it tells a plugin the accesses and nothing
//! else, and begins the next block behind it. The first block was counted whole when it was begun, and what is
//! left of it behind the access is going to be counted again: it is taken back at the access.

/// A vCPU's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Devices {
    /// The clock in a block of one instruction that was counted as it should be.
    right: u64,
}

impl Devices {
    /// A block of one instruction is executed, and QEMU tells all of it.
    pub const fn begun(&mut self, clock: u64) {
        self.right = clock;
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
        behind
    }
}
