//! Of each instruction how much of its block is left: what a fault there leaves undone. And how far its block reaches.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::plan::Listed;

const PAGE_BYTES: usize = 0x1000;

/// Where an instruction lies in its block.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Instructions to the block's end, with this one; 0 where none was translated.
    left: u16,
    /// Bytes from the block's start.
    before: u16,
    /// Bytes to its end, with its own.
    behind: u16,
}

/// By byte of a page.
type Page = Box<[Place; PAGE_BYTES]>;

/// Of every instruction that was translated, by its address. Several blocks may have it: all of them end at
/// the same jump, or at the same end of a page, and the longest of them counts. Where the bytes have changed the
/// last block counts.
#[derive(Debug, Default)]
pub struct Rests {
    pages: Mutex<HashMap<u64, Page>>,
}

impl Rests {
    /// Whether the block's last instruction was in one before.
    pub fn keep(&self, block: &[Listed]) -> bool {
        let mut pages = self.lock();
        let mut kept = false;
        let (Some(first), Some(last)) = (block.first(), block.last()) else {
            return kept;
        };
        let end = last.address.wrapping_add(last.size as u64);
        for (i, listed) in block.iter().enumerate() {
            let place = place(&mut pages, listed.address);
            kept = place.left > 0;
            // Some single instructions are executed again as blocks of their own: those that write to
            // their own block, and atomic ones that the host cannot do beside others.
            if block.len() > 1 || !kept {
                let left = short(block.len() - i);
                let longest = if place.left == left { place.before } else { 0 };
                *place = Place {
                    left,
                    before: longest.max(short(listed.address.wrapping_sub(first.address))),
                    behind: short(end.wrapping_sub(listed.address)),
                };
            }
        }
        kept
    }

    /// How many instructions are left, the one there among them.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<u16> {
        self.find(address).map(|place| place.left)
    }

    /// Whether what is written from `to` on lies in the block of the instruction at `at`.
    #[must_use]
    pub fn reaches(&self, at: u64, to: u64, bytes: u64) -> bool {
        self.find(at).is_some_and(|place| {
            let first = at - u64::from(place.before);
            let end = at.saturating_add(u64::from(place.behind));
            to < end && first < to.saturating_add(bytes)
        })
    }

    fn find(&self, address: u64) -> Option<Place> {
        let place = self.lock().get(&page(address))?[offset(address)];
        (place.left > 0).then_some(place)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(pages: &mut HashMap<u64, Page>, address: u64) -> &mut Place {
    let page = pages
        .entry(page(address))
        .or_insert_with(|| Box::new([Place::default(); PAGE_BYTES]));
    &mut page[offset(address)]
}

fn short(number: impl TryInto<u16>) -> u16 {
    number.try_into().unwrap_or(u16::MAX)
}

const fn page(address: u64) -> u64 {
    address / PAGE_BYTES as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits")]
const fn offset(address: u64) -> usize {
    address as usize % PAGE_BYTES
}
