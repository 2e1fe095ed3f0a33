//! What the plugin found of its own counting: by blocks, and of each instruction.

use serde::{Deserialize, Serialize};

/// Both counts of one run, compared from each record of a vCPU to its next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// Pairs of records that were compared.
    pub edges: u64,
    /// Between which the two counts are not the same.
    pub differing: u64,
    /// Faults, each of which leaves a block, or comes before one.
    pub faults: u64,
    /// Those of which the place was not found.
    pub unplaced: u64,
    /// Blocks that were left in their middle: for a write into the block itself, and by QEMU 8.2 and later for an access to
    /// a device.
    #[serde(default)]
    pub left: u64,
    /// Blocks that may lead to a repeating instruction which is counted by what lies before it: there one may be missing.
    #[serde(default)]
    pub led_elsewhere: u64,
    /// Faults where several programs, one after the other, had code that does not end its block alike: the one that was
    /// translated last was taken for the one that faulted.
    #[serde(default)]
    pub ambiguous: u64,
    /// The first edges that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<Difference>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The records at its ends: `ENTRY vfs_read`.
    pub from: String,
    pub to: String,
    pub by_block: u64,
    pub by_instruction: u64,
}

impl Clocks {
    /// What the counts are not exact for, in words.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.unplaced > 0 {
            notes.push(format!(
                "of {} of {} faults it is not known which instruction faulted: the rest of its block is counted",
                self.unplaced, self.faults
            ));
        }
        if self.ambiguous > 0 {
            notes.push(format!(
                "of {} of {} faults it is not sure how much of its block was executed: other code was executed at that address too, and the block that was translated there last is taken for it",
                self.ambiguous, self.faults
            ));
        }
        if self.led_elsewhere > 0 {
            notes.push(format!(
                "{} blocks may jump to a repeating instruction that is counted where it is fallen into: one may be missing each time",
                self.led_elsewhere
            ));
        }
        notes
    }

    /// The counts agree on every edge, and there are some.
    #[must_use]
    pub const fn agree(&self) -> bool {
        self.edges > 0 && self.differing == 0
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            from,
            to,
            by_block,
            by_instruction,
        } = self;
        write!(
            f,
            "{from} to {to}: {by_block} by blocks, {by_instruction} by instructions"
        )
    }
}
