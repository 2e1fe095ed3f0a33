//! `find`: bytes looked for in the guest's memory.

use super::engine::Engine;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::event::Found;

/// Read at once: a few packets.
const CHUNK: usize = 0x4000;
/// Places told at most.
const MOST: usize = 32;
/// The most that is looked through by one command.
const REACH: u64 = 1 << 30;

impl Engine {
    /// Looks through `len` bytes; pages that cannot be read are passed over.
    pub(super) fn find(&mut self, start: &str, len: u64, pattern: &[u8]) -> Result<Found, Trouble> {
        let start = self.address(start)?;
        if len > REACH {
            return Err(Trouble::new(
                format!("looking through {len} bytes at {:#x}", start.0),
                format!("one command looks through {REACH} at the most"),
                "give a shorter length",
            ));
        }
        // What the user stopped before was another command.
        let before = std::mem::take(&mut self.interrupted);
        let found = self.look_through(start, len, pattern);
        self.interrupted |= before;
        found
    }

    fn look_through(&mut self, start: Addr, len: u64, pattern: &[u8]) -> Result<Found, Trouble> {
        let end = start.0.saturating_add(len);
        let mut places = Vec::new();
        let mut at = start.0;
        // The end of what was read before: the pattern may lie over the seam.
        let mut tail: Vec<u8> = Vec::new();
        while at < end && places.len() < MOST {
            self.attend()?;
            if self.interrupted {
                return Err(Trouble::new(
                    format!("looking through the memory at {:#x}", start.0),
                    format!("you stopped it at {at:#x}, with {} found", places.len()),
                    "give a shorter length",
                ));
            }
            let step = CHUNK as u64 - at % CHUNK as u64;
            let size = usize::try_from(step.min(end - at)).unwrap_or(CHUNK);
            let mut bytes = vec![0; size];
            if self.target.read(Addr(at), &mut bytes).is_err() {
                tail.clear();
                let page = 0x1000 - at % 0x1000;
                let size = usize::try_from(page.min(end - at)).unwrap_or(0);
                let mut bytes = vec![0; size];
                if self.target.read(Addr(at), &mut bytes).is_ok() {
                    tail = self.look(at, &mut places, tail, &bytes, pattern);
                }
                at = at.saturating_add(page);
                continue;
            }
            tail = self.look(at, &mut places, tail, &bytes, pattern);
            at = at.saturating_add(size as u64);
        }
        places.truncate(MOST);
        Ok(Found {
            start,
            pattern: pattern.to_vec(),
            places,
        })
    }

    /// What is found in the bytes at `at` and in the seam before them; gives the next seam.
    fn look(
        &self,
        at: u64,
        places: &mut Vec<crate::event::Place>,
        mut tail: Vec<u8>,
        bytes: &[u8],
        pattern: &[u8],
    ) -> Vec<u8> {
        let before = tail.len() as u64;
        tail.extend_from_slice(bytes);
        let hits = tail
            .windows(pattern.len().max(1))
            .enumerate()
            .filter(|(_, window)| *window == pattern)
            .take(MOST)
            .map(|(offset, _)| self.place(Addr(at - before + offset as u64)));
        places.extend(hits);
        let keep = tail.len().min(pattern.len().saturating_sub(1));
        tail.split_off(tail.len() - keep)
    }
}
