//! Of each instruction how much of its block is left: what a fault there leaves undone. And how far its block reaches.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::led::{Repeating, counted};
use crate::plan::Listed;

pub(crate) const PAGE_BYTES: usize = 0x1000;

/// Where an instruction lies in its block.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The page of memory that it was translated from.
    page: u32,
    /// Of another page at the same address, something else was left.
    ambiguous: bool,
    /// Instructions to the block's end, with this one; 0 where none was translated.
    left: u16,
    /// Bytes from the block's start.
    before: u16,
    /// Bytes to its end, with its own.
    behind: u16,
}

/// What is left of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Instructions, with the one asked for.
    pub insns: u16,
    /// At that address lay other code too, of which something else is left: this is of the block that was translated last.
    pub ambiguous: bool,
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
    /// Of one that repeats itself and is led to nothing is left: it stays counted. `page`: of the guest's memory that the
    /// block lies in, however it is numbered. Returns whether the block's last instruction was in one before.
    pub fn keep(&self, block: &[Listed], page: u32, repeating: Repeating) -> bool {
        let mut pages = self.lock();
        let mut kept = false;
        let (Some(first), Some(last)) = (block.first(), block.last()) else {
            return kept;
        };
        let end = last.address.wrapping_add(last.size as u64);
        let insns = counted(block.len(), repeating);
        let stays = repeating == Repeating::Last { led: true };
        for (i, listed) in block.iter().enumerate() {
            let place = place(&mut pages, listed.address);
            kept = place.left > 0;
            // Some single instructions are executed again as blocks of their own: those that write to
            // their own block, and atomic ones that the host cannot do beside others.
            if block.len() > 1 || !kept {
                let left = match stays && i + 1 == block.len() {
                    true => 0,
                    false => short(insns - i),
                };
                let same = place.left == left;
                let longest = if same { place.before } else { 0 };
                let elsewhere = kept && place.page != page;
                *place = Place {
                    page,
                    ambiguous: place.ambiguous || elsewhere && !same,
                    left,
                    before: longest.max(short(listed.address.wrapping_sub(first.address))),
                    behind: short(end.wrapping_sub(listed.address)),
                };
            }
        }
        kept
    }

    /// How much is left, the instruction there with it.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<Rest> {
        self.find(address).map(|place| Rest {
            insns: place.left,
            ambiguous: place.ambiguous,
        })
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
