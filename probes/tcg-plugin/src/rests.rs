//! How many instructions are left of a block at each of its instructions: what a fault there leaves undone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::led::{Repeating, counted};
use crate::plan::Listed;

const PAGE_BYTES: usize = 0x1000;

/// The bytes of an instruction, at most.
const LONGEST: u64 = 15;

/// By byte of a page; 0 where no instruction was translated.
type Page = Box<[u16; PAGE_BYTES]>;

/// Of every instruction that was translated, by its address. Several blocks may have it: all of them end at
/// the same jump, or at the same end of a page. Where the bytes have changed the last block counts.
#[derive(Debug, Default)]
pub struct Rests {
    pages: Mutex<HashMap<u64, Page>>,
}

impl Rests {
    /// Of one that repeats itself and is led to nothing is left: it stays counted.
    pub fn keep(&self, block: &[Listed], repeating: Repeating) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let end = counted(block.len(), repeating);
        let stays = repeating == Repeating::Last { led: true };
        let mut done = 0;
        while done < block.len() {
            let rest = &block[done..];
            let number = page(rest[0].address);
            let here = rest
                .iter()
                .take_while(|listed| page(listed.address) == number);
            let page = pages
                .entry(number)
                .or_insert_with(|| Box::new([0; PAGE_BYTES]));
            for listed in here {
                let place = &mut page[offset(listed.address)];
                let left = match done + 1 == block.len() && stays {
                    true => 0,
                    false => end - done,
                };
                // Some single instructions are executed again as blocks of their own: those that write to
                // their own block, and atomic ones that the host cannot do beside others.
                if block.len() > 1 || *place == 0 {
                    *place = u16::try_from(left).unwrap_or(u16::MAX);
                }
                done += 1;
            }
        }
    }

    /// The instruction itself is one of them.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<u16> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let left = pages.get(&page(address))?[offset(address)];
        (left > 0).then_some(left)
    }

    /// Whether a byte from `to` on may lie in a block with the instruction at `at`: one begins in the same page, and
    /// ends behind what is left of it there.
    #[must_use]
    pub fn reaches(&self, at: u64, to: u64, bytes: u64) -> bool {
        let left = u64::from(self.at(at).unwrap_or(0));
        let first = at - offset(at) as u64;
        let end = at.saturating_add(left * LONGEST);
        to < end && first < to.saturating_add(bytes)
    }
}

const fn page(address: u64) -> u64 {
    address / PAGE_BYTES as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits")]
const fn offset(address: u64) -> usize {
    address as usize % PAGE_BYTES
}
