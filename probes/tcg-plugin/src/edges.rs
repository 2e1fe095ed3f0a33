//! Two clocks of one vCPU, compared from each record to the next one.

use std::sync::atomic::Ordering;

use wire::layout::DIFFERENCES;
use wire::{Checks, Word};

/// Both clocks at a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamps {
    pub by_block: u64,
    pub by_instruction: u64,
}

#[derive(Debug)]
pub struct Edges {
    checks: &'static Checks,
    last: Option<(Stamps, Word)>,
}

impl Edges {
    #[must_use]
    pub const fn new(checks: &'static Checks) -> Self {
        Self { checks, last: None }
    }

    /// Counts the edge from the record before, which ends here.
    pub fn end(&mut self, stamps: Stamps, word: Word) {
        let Some((before, from)) = self.last.replace((stamps, word)) else {
            return;
        };
        self.checks.edges.fetch_add(1, Ordering::Relaxed);
        let by_block = stamps.by_block.wrapping_sub(before.by_block);
        let by_instruction = stamps.by_instruction.wrapping_sub(before.by_instruction);
        if by_block == by_instruction {
            return;
        }
        let nth = self.checks.differing.fetch_add(1, Ordering::Relaxed);
        let free = usize::try_from(nth).ok().filter(|nth| *nth < DIFFERENCES);
        if let Some(difference) = free.map(|nth| &self.checks.first[nth]) {
            difference.from.store(from.0, Ordering::Relaxed);
            difference.to.store(word.0, Ordering::Relaxed);
            difference.by_block.store(by_block, Ordering::Relaxed);
            difference
                .by_instruction
                .store(by_instruction, Ordering::Relaxed);
        }
    }
}
