//! The guest's memory, mapped into this process as well: read while the guest runs, without a word to
//! its stub.
//!
//! A machine of ours has it in anonymous memory with a file descriptor, which QEMU opens through
//! `/proc`: no file is ever there to be left behind.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapMut, MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::addr::PhysAddr;

/// Where QEMU's PC has no memory but devices, below 4 GiB: with more than 3.5 GiB of memory the rest
/// lies above (hw/i386/pc_piix.c).
const HOLE: u64 = 0xc000_0000;
const FULL: u64 = 0xe000_0000;
const ABOVE: u64 = 1 << 32;

#[derive(Debug)]
pub struct SharedMemory {
    file: File,
    map: MmapRaw,
    /// Bytes.
    size: u64,
    /// Someone else may cut it short.
    is_foreign: bool,
}

impl SharedMemory {
    /// For a machine that is about to start.
    ///
    /// # Errors
    /// When there is not so much memory to be had.
    pub fn new(bytes: u64) -> io::Result<Self> {
        let file = File::from(memfd_create("uklscope-guest", MemfdFlags::CLOEXEC)?);
        file.set_len(bytes)?;
        Self::of(file, bytes, false)
    }

    /// Of a machine that someone else started.
    ///
    /// # Errors
    /// When the file is not there, is not ours to read, or has another size.
    pub fn open(path: &Path, bytes: u64) -> io::Result<Self> {
        let file = File::options().read(true).open(path)?;
        let found = file.metadata()?.len();
        if found != bytes {
            let words = format!("it has {found} bytes, the machine {bytes}");
            return Err(io::Error::other(words));
        }
        Self::of(file, bytes, true)
    }

    fn of(file: File, size: u64, is_foreign: bool) -> io::Result<Self> {
        let len = usize::try_from(size).map_err(io::Error::other)?;
        // Only read through pointers, as atomic words: the guest writes it meanwhile.
        let map = MmapOptions::new().len(len).map_raw_read_only(&file)?;
        Ok(Self {
            file,
            map,
            size,
            is_foreign,
        })
    }

    /// Whether all of it is still in its file. A look at what is missing would end this process (SIGBUS), so
    /// each begins with this question.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let whole = |found: std::fs::Metadata| found.len() >= self.size;
        !self.is_foreign || self.file.metadata().is_ok_and(whole)
    }

    /// A path by which another process of this user opens it, as long as this process lives.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.file.as_raw_fd()
        ))
    }

    /// What is there at this moment: each aligned word is of one moment, several words need not be. False
    /// where not all of it is memory, or the file was cut short.
    pub fn read(&self, at: PhysAddr, bytes: &mut [u8]) -> bool {
        if !self.is_whole() {
            return false;
        }
        let Some(start) = self.offset(at, bytes.len() as u64) else {
            return false;
        };
        let mut at = start & !7;
        let mut skip = start - at;
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(word) = self.word(at) else {
                return false;
            };
            let word = &word.to_le_bytes()[skip..];
            let (now, later) = rest.split_at_mut(word.len().min(rest.len()));
            now.copy_from_slice(&word[..now.len()]);
            rest = later;
            (at, skip) = (at + 8, 0);
        }
        true
    }

    /// Whole pages of it, to be written as well.
    ///
    /// # Errors
    /// When not all of it is memory, or it is not ours to write.
    pub(super) fn map(&self, at: PhysAddr, len: usize) -> io::Result<MmapMut> {
        let none = || io::Error::other(format!("{len} bytes at {at} are not all memory"));
        let offset = self.offset(at, len as u64).filter(|_| self.is_whole());
        let offset = offset.ok_or_else(none)?;
        // SAFETY: the file keeps its length. The guest writes it meanwhile: whoever maps it says which
        // words both ends use, and how.
        unsafe {
            MmapOptions::new()
                .offset(offset as u64)
                .len(len)
                .map_mut(&self.file)
        }
    }

    /// Which physical memory lies at a place of the file.
    #[must_use]
    pub const fn physical(&self, offset: u64) -> PhysAddr {
        let below = self.below();
        PhysAddr(if offset < below {
            offset
        } else {
            ABOVE + (offset - below)
        })
    }

    /// Bytes that lie below the devices.
    const fn below(&self) -> u64 {
        if self.size >= FULL { HOLE } else { self.size }
    }

    fn word(&self, offset: usize) -> Option<u64> {
        if offset.checked_add(8)? > self.map.len() {
            return None;
        }
        // SAFETY: within the mapping, which lives as long as `self` and begins at a page, so that a
        // multiple of 8 is aligned; an atomic load is right beside whatever writes to it.
        let word = unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(offset).cast()) };
        Some(word.load(Ordering::Relaxed))
    }

    /// Where a stretch of physical memory lies in the file.
    fn offset(&self, at: PhysAddr, len: u64) -> Option<usize> {
        let below = self.below();
        let end = at.0.checked_add(len)?;
        let start = if end <= below {
            at.0
        } else {
            let beyond = at.0.checked_sub(ABOVE)?.checked_add(below)?;
            if beyond.checked_add(len)? > self.size {
                return None;
            }
            beyond
        };
        usize::try_from(start).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn bytes_are_read_at_any_place_and_not_beyond_the_end() {
        let memory = SharedMemory::new(0x2000).unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        memory.file.write_all_at(&bytes, 0x1f00).unwrap();
        for (at, len) in [(0, 256), (1, 3), (7, 9), (9, 6), (250, 6), (3, 0)] {
            let mut found = vec![0; len];
            assert!(memory.read(PhysAddr(0x1f00 + at as u64), &mut found));
            assert_eq!(found, bytes[at..at + len], "{at} {len}");
        }
        assert!(!memory.read(PhysAddr(0x1fff), &mut [0; 2]));
        assert!(!memory.read(PhysAddr(u64::MAX), &mut [0; 2]));
        let again = SharedMemory::open(&memory.path(), 0x2000).unwrap();
        let mut found = [0; 2];
        assert!(again.read(PhysAddr(0x1f05), &mut found));
        assert_eq!(found, [5, 6]);
        assert!(SharedMemory::open(&memory.path(), 0x3000).is_err());
    }

    #[test]
    fn a_file_that_was_cut_short_is_not_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory");
        let file = File::create(&path).unwrap();
        file.set_len(0x4000).unwrap();
        let memory = SharedMemory::open(&path, 0x4000).unwrap();
        let mut byte = [0];
        assert!(memory.read(PhysAddr(0x3fff), &mut byte));
        file.set_len(0x1000).unwrap();
        assert!(!memory.is_whole());
        assert!(!memory.read(PhysAddr(0x3fff), &mut byte));
        assert!(memory.map(PhysAddr(0x3000), 0x1000).is_err());
    }

    #[test]
    fn memory_beyond_the_devices_lies_behind_the_rest_in_the_file() {
        // Sparse: nothing of it is ever there.
        let memory = SharedMemory::new(5 << 30).unwrap();
        let at = |at, len| memory.offset(PhysAddr(at), len).map(|at| at as u64);
        assert_eq!(at(HOLE - 8, 8), Some(HOLE - 8));
        assert_eq!(at(HOLE - 8, 9), None);
        assert_eq!(at(ABOVE, 8), Some(HOLE));
        assert_eq!(at(ABOVE - 1, 8), None);
        assert_eq!(memory.physical(HOLE + 8), PhysAddr(ABOVE + 8));
        assert_eq!(memory.physical(HOLE - 8), PhysAddr(HOLE - 8));
        assert_eq!(at(ABOVE + (5 << 30) - HOLE, 1), None);
    }
}
