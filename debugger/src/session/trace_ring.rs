//! The reading end of the mapping that a probe writes its records to.
//!
//! The mapping is anonymous memory with a file descriptor: the probe opens it through `/proc`, and
//! nothing is left behind however either end dies.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;

use memmap2::MmapMut;
use rustix::fs::{MemfdFlags, memfd_create};
use wire::layout::{CHUNK_HEADER_BYTES, RECORD_BYTES};
use wire::{ChunkHeader, Control, Header, Policy, Shape, Site};

use crate::trace::fold::Fold;

/// 64 chunks of 8,184 records (64 KiB with their header): 4 MiB, some ten milliseconds of a busy guest.
const CHUNKS: u32 = 64;
const CHUNK_RECORDS: u32 = 8184;

#[derive(Debug)]
pub(super) struct Ring {
    /// Keeps the descriptor open that the probe's path names.
    file: File,
    mapping: MmapMut,
    shape: Shape,
    taken: u64,
    /// Records dropped before the chunk taken last.
    lost: u64,
}

/// What the probe counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingCounts {
    /// Records dropped.
    pub lost: u64,
    /// Times the guest waited for room, and how long in all.
    pub waits: u64,
    pub waited_ns: u64,
    /// Instructions executed in all; 0 until the probe has ended.
    pub insns: u64,
}

impl Ring {
    pub(super) fn new(sites: &[Site], policy: Policy) -> io::Result<Self> {
        let shape = Shape {
            vcpus: 1,
            chunks: CHUNKS,
            chunk_records: CHUNK_RECORDS,
            sites: sites.len() as u64,
        };
        let file = File::from(memfd_create("uklscope-trace", MemfdFlags::CLOEXEC)?);
        file.set_len(shape.total_bytes())?;
        // SAFETY: the file is ours and keeps its length; the probe writes only what the layout gives it.
        let mut mapping = unsafe { MmapMut::map_mut(&file)? };
        let header = shape.header_bytes(policy, std::process::id());
        mapping[..header.len()].copy_from_slice(&header);
        let mut at = usize::try_from(shape.sites_offset()).unwrap_or(usize::MAX);
        for site in sites {
            let bytes = site.encode();
            mapping[at..at + bytes.len()].copy_from_slice(&bytes);
            at += bytes.len();
        }
        Ok(Self {
            file,
            mapping,
            shape,
            taken: 0,
            lost: 0,
        })
    }

    /// A path by which another process of this user opens the mapping, as long as this process lives.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Hands everything that is published to the fold; how many chunks that were.
    pub(super) fn drain(&mut self, fold: &mut Fold) -> u64 {
        let before = self.taken;
        while self.taken < self.control().head.load(Ordering::Acquire) {
            let offset = self.offset(self.shape.chunk_offset(0, self.taken));
            let header: ChunkHeader = self.read(offset);
            if header.sequence != self.taken || header.lost != self.lost {
                self.lost = header.lost;
                fold.gap();
            }
            let used = (header.used as usize).min(self.shape.chunk_records as usize);
            let start = offset + CHUNK_HEADER_BYTES;
            // SAFETY: inside the mapping, aligned by the layout, and the probe leaves a published chunk
            // alone until it is taken.
            let records = unsafe {
                let first = self.mapping.as_ptr().add(start).cast::<u64>();
                debug_assert!(start + used * RECORD_BYTES <= self.mapping.len());
                std::slice::from_raw_parts(first, used)
            };
            fold.take(records);
            self.taken += 1;
            self.control().tail.store(self.taken, Ordering::Release);
        }
        self.taken - before
    }

    /// Lets a probe that waits for room go on, without records.
    pub(super) fn close(&self) {
        self.header().closed.store(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> RingCounts {
        let control = self.control();
        RingCounts {
            lost: control.lost.load(Ordering::Relaxed),
            waits: control.waits.load(Ordering::Relaxed),
            waited_ns: control.waited_ns.load(Ordering::Relaxed),
            insns: self.header().insns.load(Ordering::Relaxed),
        }
    }

    fn header(&self) -> &Header {
        // SAFETY: at the mapping's start, page-aligned; what changes in it are atomics.
        unsafe { &*self.mapping.as_ptr().cast() }
    }

    fn control(&self) -> &Control {
        let offset = self.offset(self.shape.control_offset(0));
        // SAFETY: inside the mapping and aligned by the layout; what changes in it are atomics.
        unsafe { &*self.mapping.as_ptr().add(offset).cast() }
    }

    fn offset(&self, offset: u64) -> usize {
        usize::try_from(offset).unwrap_or(0)
    }

    fn read<T: Copy>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= self.mapping.len());
        // SAFETY: inside the mapping; any bytes are a valid header.
        unsafe {
            self.mapping
                .as_ptr()
                .add(offset)
                .cast::<T>()
                .read_unaligned()
        }
    }
}
