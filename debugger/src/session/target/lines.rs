//! Memory as it was read, in lines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::addr::Addr;

/// Its bytes, or what the stub said where they cannot be read. Shared between the stops at which it
/// was the same.
pub(super) type Line = Result<Arc<[u8]>, Arc<str>>;

#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// Bytes of each; a power of two.
    pub(super) len: u64,
    /// By the address of the line's first byte.
    pub(super) read: BTreeMap<u64, Line>,
    /// Those that somebody asked for, and not only a guess.
    pub(super) asked: BTreeSet<u64>,
    /// Those of them that are likely to be asked for at the next stop too.
    pub(super) expected: BTreeSet<u64>,
}

/// Why bytes cannot be given from lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// Nobody has asked for them.
    NotRead,
    /// What the stub said.
    Unreadable(String),
    /// The address space ends before.
    End,
}

impl Lines {
    pub(super) fn new(len: u64) -> Self {
        Self {
            len,
            read: BTreeMap::new(),
            asked: BTreeSet::new(),
            expected: BTreeSet::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.read.clear();
        self.asked.clear();
        self.expected.clear();
    }

    /// The first addresses of the lines that hold these bytes, as far as the address space goes.
    pub(super) fn starts(&self, addr: Addr, bytes: usize) -> impl Iterator<Item = u64> + use<> {
        starts(addr, bytes, self.len)
    }

    /// # Errors
    /// With the first address that is not there, and why.
    pub(super) fn copy(&self, addr: Addr, bytes: &mut [u8]) -> Result<(), (Addr, Gap)> {
        let mut done = 0;
        for start in self.starts(addr, bytes.len()) {
            let at = addr + done as u64;
            let line = match self.read.get(&start) {
                Some(Ok(line)) => line,
                Some(Err(found)) => return Err((at, Gap::Unreadable(found.to_string()))),
                None => return Err((at, Gap::NotRead)),
            };
            let skip = usize::try_from(at.0 - start).unwrap_or(0);
            let part = (line.len() - skip).min(bytes.len() - done);
            bytes[done..done + part].copy_from_slice(&line[skip..skip + part]);
            done += part;
        }
        if done < bytes.len() {
            return Err((addr + done as u64, Gap::End));
        }
        Ok(())
    }

    /// The lines that were asked for; those that `before` holds unchanged are shared with it. How
    /// many bytes are not.
    pub(super) fn shared_with(&self, before: Option<&Self>) -> (Self, usize) {
        let mut own = 0;
        let mut lines = Self::new(self.len);
        lines.expected.clone_from(&self.expected);
        let asked = self.asked.iter();
        for (start, line) in asked.filter_map(|start| Some((start, self.read.get(start)?))) {
            let same = before
                .and_then(|before| before.read.get(start))
                .filter(|known| *known == line);
            if same.is_none() {
                own += size(line);
            }
            lines.read.insert(*start, same.unwrap_or(line).clone());
            lines.asked.insert(*start);
        }
        (lines, own)
    }

    /// Bytes of all lines.
    pub(super) fn size(&self) -> usize {
        self.read.values().map(size).sum()
    }
}

fn size(line: &Line) -> usize {
    match line {
        Ok(bytes) => bytes.len(),
        Err(found) => found.len(),
    }
}

pub(super) fn starts(addr: Addr, bytes: usize, len: u64) -> impl Iterator<Item = u64> {
    let first = addr.0 & !(len - 1);
    let count = match bytes {
        0 => 0,
        _ => (addr.0 - first).saturating_add(bytes as u64).div_ceil(len),
    };
    (0..count).map_while(move |i| first.checked_add(i.checked_mul(len)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cover_what_is_asked_for() {
        let check = |addr, bytes, expected: &[u64]| {
            let found: Vec<_> = starts(Addr(addr), bytes, 0x400).collect();
            assert_eq!(found, expected, "{addr:#x} {bytes}");
        };
        check(0x1000, 0, &[]);
        check(0x1000, 1, &[0x1000]);
        check(0x13ff, 1, &[0x1000]);
        check(0x13ff, 2, &[0x1000, 0x1400]);
        check(0x1400, 0x801, &[0x1400, 0x1800, 0x1c00]);
        check(u64::MAX, 1, &[u64::MAX - 0x3ff]);
        check(u64::MAX, 9, &[u64::MAX - 0x3ff]);
    }

    #[test]
    fn what_was_not_read_is_no_zero() {
        let mut lines = Lines::new(4);
        lines.read.insert(8, Ok([1, 2, 3, 4].into()));
        lines.read.insert(12, Err("E14".into()));
        let mut bytes = [0; 4];
        assert_eq!(lines.copy(Addr(8), &mut bytes), Ok(()));
        assert_eq!(bytes, [1, 2, 3, 4]);
        let unreadable = Gap::Unreadable("E14".to_owned());
        assert_eq!(
            lines.copy(Addr(10), &mut bytes),
            Err((Addr(12), unreadable))
        );
        assert_eq!(
            lines.copy(Addr(6), &mut bytes),
            Err((Addr(6), Gap::NotRead))
        );
        let last = Addr(u64::MAX - 3);
        lines.read.insert(last.0, Ok([0; 4].into()));
        let over = lines.copy(last, &mut [0; 5]);
        assert_eq!(over, Err((last + 4, Gap::End)));
    }

    #[test]
    fn lines_that_did_not_change_are_held_once() {
        let mut before = Lines::new(4);
        before.read.insert(0, Ok([1; 4].into()));
        before.read.insert(4, Ok([2; 4].into()));
        before.asked.extend([0, 4]);
        let mut now = Lines::new(4);
        now.read.insert(0, Ok([1; 4].into()));
        now.read.insert(4, Ok([3; 4].into()));
        now.read.insert(8, Ok([4; 4].into()));
        now.asked.extend([0, 4]);
        let (kept, own) = now.shared_with(Some(&before));
        assert_eq!(
            (own, kept.size()),
            (4, 8),
            "what was only guessed is not kept"
        );
        let of = |lines: &Lines, at: u64| lines.read[&at].clone().unwrap();
        assert!(Arc::ptr_eq(&of(&kept, 0), &of(&before, 0)));
        assert_eq!(*of(&kept, 4), [3; 4]);
    }
}
