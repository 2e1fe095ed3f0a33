//! The guest's memory, where QEMU has mapped it into this process.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Memory above this physical address is not at the same place in QEMU's mapping: the devices' addresses lie
/// between. QEMU's machines begin them here or higher.
const BELOW_DEVICES: u64 = 3 << 30;

/// Less is the firmware's, or a device's.
const LEAST: u64 = 16 << 20;

/// The guest's RAM from physical address 0 on.
#[derive(Debug)]
pub struct Memory {
    start: *const u8,
    bytes: u64,
}

// SAFETY: QEMU keeps the mapping as long as it runs, and every thread may read it.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// The mapping that holds an address of this process, by the process's `maps`.
    #[must_use]
    pub fn around(maps: &str, address: *const u8) -> Option<Self> {
        let address = address as u64;
        maps.lines().find_map(|line| {
            let (start, end) = line.split(' ').next()?.split_once('-')?;
            let start = u64::from_str_radix(start, 16).ok()?;
            let end = u64::from_str_radix(end, 16).ok()?;
            let bytes = end.checked_sub(start)?;
            let there = (start..end).contains(&address) && bytes >= LEAST;
            there.then_some(Self {
                start: start as *const u8,
                bytes: bytes.min(BELOW_DEVICES),
            })
        })
    }

    /// What lies at a range of addresses that are next to each other in the guest's memory, as far as that goes, and its
    /// first address; `at`: where the one at `address` lies here.
    #[must_use]
    pub fn near(&self, at: *const u8, address: u64, range: Range<u64>) -> Option<(u64, Vec<u8>)> {
        let inside = (at as u64).checked_sub(self.start as u64)?;
        let (below, above) = (inside, self.bytes.checked_sub(inside)?);
        let start = range.start.max(address.saturating_sub(below));
        let end = range.end.min(address.saturating_add(above));
        let bytes = (start..end).map(|one| {
            let offset = inside.wrapping_add(one.wrapping_sub(address));
            let offset = usize::try_from(offset).unwrap_or(0);
            // SAFETY: inside the mapping; the guest's vCPUs may write it.
            unsafe { &*self.start.add(offset).cast::<AtomicU8>() }.load(Ordering::Relaxed)
        });
        Some((start, bytes.collect()))
    }

    /// Bytes of the guest's; `None` where they are not all in its memory.
    #[must_use]
    pub fn bytes<const N: usize>(&self, physical: u64) -> Option<[u8; N]> {
        let end = physical.checked_add(N as u64)?;
        if end > self.bytes {
            return None;
        }
        let offset = usize::try_from(physical).ok()?;
        // SAFETY: inside the mapping; the guest's vCPUs may write it.
        let byte = |i| unsafe { &*self.start.add(offset + i).cast::<AtomicU8>() };
        Some(std::array::from_fn(|i| byte(i).load(Ordering::Relaxed)))
    }

    /// A number of the guest's; `None` where it is not in its memory, or lies across its words.
    #[must_use]
    pub fn read(&self, physical: u64) -> Option<u64> {
        const WORD: u64 = size_of::<u64>() as u64;
        let end = physical.checked_add(WORD)?;
        if end > self.bytes || !physical.is_multiple_of(WORD) {
            return None;
        }
        let offset = usize::try_from(physical).ok()?;
        // SAFETY: inside the mapping, which begins at a page, and aligned; the guest's vCPUs may write it.
        let word = unsafe { &*self.start.add(offset).cast::<AtomicU64>() };
        Some(word.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_by_its_physical_address() {
        let memory: Vec<u64> = (0..LEAST / 8 + 1).collect();
        let start = memory.as_ptr() as u64;
        let (end, inside) = (start + LEAST, (start + 4096) as *const u8);
        let maps = format!("0-1000 r--p 0 0:0 0\n{start:x}-{end:x} rw-p 00000000 00:00 0 \n");
        let found = Memory::around(&maps, inside).expect("it is listed");
        assert_eq!(found.read(0), Some(0));
        assert_eq!(found.read(LEAST - 8), Some(LEAST / 8 - 1));
        assert_eq!(found.read(LEAST), None, "behind it");
        assert_eq!(found.read(4), None, "across two numbers");
        assert_eq!(found.bytes(7), Some([0, 1, 0, 0]));
        assert_eq!(found.bytes::<4>(LEAST - 3), None, "in part behind it");
        assert!(Memory::around(&maps, 8 as *const u8).is_none(), "too small");
        assert!(Memory::around("", inside).is_none());
    }
}
