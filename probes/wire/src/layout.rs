//! The shared mapping: header, control lines and chunks, with offsets that both ends compute alike.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::record::Record;
use crate::site::SITE_BYTES;
use crate::{MAGIC, VERSION};

pub const HEADER_BYTES: usize = 4096;
pub const CONTROL_BYTES: usize = 256;
pub const CHUNK_HEADER_BYTES: usize = 64;
pub const RECORD_BYTES: usize = 8;

/// What a probe does when the ring is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Policy {
    /// The guest waits; the time is counted.
    #[default]
    Lossless = 0,
    /// The oldest records make room; each is counted.
    Flight = 1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Made by the debugger; no probe yet.
    Made = 0,
    Running = 1,
    /// The probe has published its last chunk.
    Finished = 2,
}

/// At offset 0. Written by the debugger before the probe starts, but for the atomics.
#[derive(Debug)]
#[repr(C)]
pub struct Header {
    pub magic: u64,
    pub version: u32,
    pub vcpus: u32,
    pub chunk_records: u32,
    /// Chunks of each vCPU's ring.
    pub chunks: u32,
    pub policy: u32,
    /// The reader's process: a probe does not wait for a ring that nobody reads any more.
    pub reader: u32,
    pub sites_offset: u64,
    pub sites: u64,
    pub total_bytes: u64,
    pub state: AtomicU32,
    /// Set by the reader to say that it takes nothing more: the probe drops what comes.
    pub closed: AtomicU32,
    /// Instructions executed by all vCPUs, written at the end.
    pub insns: AtomicU64,
    /// Raised by one to start recording and to stop it: odd is on. Either end may.
    pub gate: AtomicU32,
}

/// In the header's page: what a probe found of its own clocks. All zero at first; the probe alone writes it.
#[derive(Debug)]
#[repr(C)]
pub struct Checks {
    /// Exceptions whose handler was entered before the instruction that caused them was executed.
    pub faults: AtomicU64,
    /// Those of which it was not found out which instruction that was: each is counted, and so is the rest of
    /// the block that it lies in.
    pub unplaced: AtomicU64,
    /// From one record of a vCPU to its next one, by two clocks; 0 where the probe has but one.
    pub edges: AtomicU64,
    /// Edges on which the two do not agree.
    pub differing: AtomicU64,
    /// The first of those.
    pub first: [Difference; DIFFERENCES],
    /// Blocks that were left for an access to a device, and what of them was counted and not executed taken back.
    pub left: AtomicU64,
    /// Calls that were not recorded since nobody asked for them.
    pub calls_left_out: AtomicU64,
    /// Records of them, and of tasks that nobody asked for.
    pub records_left_out: AtomicU64,
    /// Blocks that may lead to an instruction that repeats itself and is counted by what lies before it: one instruction
    /// is missing each time they do.
    pub led_elsewhere: AtomicU64,
    /// Faults at an address where several pages had code, of which not the same is left: that of the block translated last
    /// was taken back.
    pub ambiguous: AtomicU64,
}

/// In the header's page: the tasks that are recorded. Written by the debugger, before the probe starts.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Choice {
    /// How many names there are; none: every task is recorded.
    pub names: u64,
    /// Where a task's name lies, from where its stack pointer is kept.
    pub name_offset: i64,
    /// Each filled up with zeros.
    pub name: [[u8; NAME_BYTES]; MOST_NAMES],
}

/// Of a task's name in the kernel (`TASK_COMM_LEN`), a zero at its end among them.
pub const NAME_BYTES: usize = 16;
pub const MOST_NAMES: usize = 16;

/// Differing edges that are told in full.
pub const DIFFERENCES: usize = 16;

/// An edge of a path of which two clocks tell different lengths.
#[derive(Debug)]
#[repr(C)]
pub struct Difference {
    /// The words of the two records.
    pub from: AtomicU32,
    pub to: AtomicU32,
    pub by_block: AtomicU64,
    pub by_instruction: AtomicU64,
}

/// Where in the header's page the checks lie.
pub const CHECKS_OFFSET: usize = 1024;

/// Where in the header's page the choice of tasks lies.
pub const CHOICE_OFFSET: usize = 2048;

/// One per vCPU. A ring holds the chunks from the tail's to the head's, which is being filled.
#[derive(Debug)]
#[repr(C)]
pub struct Control {
    /// Chunks that are finished.
    pub head: AtomicU64,
    /// Times the guest waited for the reader.
    pub waits: AtomicU64,
    pub waited_ns: AtomicU64,
    /// Records dropped.
    pub lost: AtomicU64,
    probe_line: [u64; 12],
    /// What was taken, as [`Taken`] packs it. The debugger moves it on; under [`Policy::Flight`] the probe
    /// does too, by compare and exchange, to drop the oldest chunk.
    pub tail: AtomicU64,
    reader_line: [u64; 15],
}

/// At each chunk's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ChunkHeader {
    /// Counts a vCPU's chunks from 0. Written, with release, when the chunk is begun, after `used`.
    pub sequence: u64,
    /// The whole clock when the chunk was begun; its records lie less than 2³² after it.
    pub clock: u64,
    /// Records dropped by this vCPU before the chunk was begun.
    pub lost: u64,
    /// Records that can be read. Raised by the probe, with release, while it fills the chunk.
    pub used: u32,
    pub vcpu: u32,
    reserved: [u64; 4],
}

/// Where in a chunk its sequence number and its count of records lie, for ends that share them.
pub const SEQUENCE_OFFSET: usize = 0;
pub const USED_OFFSET: usize = 24;

/// How far a ring was read: so many whole chunks, and records of the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub chunks: u64,
    pub records: u32,
}

/// A chunk has fewer records than this.
const RECORDS_BITS: u32 = 24;

impl Taken {
    #[must_use]
    pub const fn pack(self) -> u64 {
        self.chunks << RECORDS_BITS | self.records as u64
    }

    #[must_use]
    pub const fn unpack(packed: u64) -> Self {
        Self {
            chunks: packed >> RECORDS_BITS,
            records: (packed & ((1 << RECORDS_BITS) - 1)) as u32,
        }
    }
}

const _: () = assert!(core::mem::offset_of!(ChunkHeader, sequence) == SEQUENCE_OFFSET);
const _: () = assert!(core::mem::offset_of!(ChunkHeader, used) == USED_OFFSET);
const _: () = assert!(size_of::<Control>() == CONTROL_BYTES);
const _: () = assert!(size_of::<ChunkHeader>() == CHUNK_HEADER_BYTES);
const _: () = assert!(size_of::<Header>() <= CHECKS_OFFSET);
const _: () = assert!(CHECKS_OFFSET + size_of::<Checks>() <= CHOICE_OFFSET);
const _: () = assert!(CHOICE_OFFSET + size_of::<Choice>() <= HEADER_BYTES);

/// The numbers that every offset follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub vcpus: u32,
    pub chunks: u32,
    pub chunk_records: u32,
    pub sites: u64,
}

/// Why bytes are no mapping or chunk of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    Short {
        needed: u64,
        found: u64,
    },
    Magic(u64),
    Version(u32),
    /// A size that no debugger sets.
    Size(&'static str, u64),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { needed, found } => write!(f, "{found} bytes where {needed} are needed"),
            Self::Magic(found) => write!(f, "it begins with {found:#x}, not with UKLTRACE"),
            Self::Version(found) => write!(f, "its layout is {found}, this one is {VERSION}"),
            Self::Size(what, found) => write!(f, "{found} is no possible number of {what}"),
        }
    }
}

impl core::error::Error for Damage {}

impl Shape {
    #[must_use]
    pub const fn chunk_bytes(self) -> u64 {
        CHUNK_HEADER_BYTES as u64 + self.chunk_records as u64 * RECORD_BYTES as u64
    }

    #[must_use]
    pub const fn control_offset(self, vcpu: u32) -> u64 {
        HEADER_BYTES as u64 + vcpu as u64 * CONTROL_BYTES as u64
    }

    /// `chunk` counts on: it is taken modulo the ring's length.
    #[must_use]
    pub const fn chunk_offset(self, vcpu: u32, chunk: u64) -> u64 {
        let index = vcpu as u64 * self.chunks as u64 + chunk % self.chunks as u64;
        self.chunks_offset() + index * self.chunk_bytes()
    }

    #[must_use]
    pub const fn sites_offset(self) -> u64 {
        self.chunks_offset() + self.vcpus as u64 * self.chunks as u64 * self.chunk_bytes()
    }

    #[must_use]
    pub const fn total_bytes(self) -> u64 {
        (self.sites_offset() + self.sites * SITE_BYTES as u64).next_multiple_of(4096)
    }

    const fn chunks_offset(self) -> u64 {
        self.control_offset(self.vcpus).next_multiple_of(4096)
    }

    /// A header for a new mapping, as bytes to be written at its start.
    #[must_use]
    pub fn header_bytes(self, policy: Policy, reader: u32) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        let words = [
            VERSION,
            self.vcpus,
            self.chunk_records,
            self.chunks,
            policy as u32,
            reader,
        ];
        for (i, word) in words.into_iter().enumerate() {
            bytes[8 + 4 * i..12 + 4 * i].copy_from_slice(&word.to_le_bytes());
        }
        let longs = [self.sites_offset(), self.sites, self.total_bytes()];
        for (i, long) in longs.into_iter().enumerate() {
            bytes[32 + 8 * i..40 + 8 * i].copy_from_slice(&long.to_le_bytes());
        }
        bytes
    }

    /// Reads and checks the start of a mapping that holds `available` bytes in all.
    ///
    /// # Errors
    /// When it is none, or its sizes cannot be.
    pub fn decode(bytes: &[u8], available: u64) -> Result<Self, Damage> {
        if bytes.len() < 64 {
            return Err(Damage::Short {
                needed: 64,
                found: bytes.len() as u64,
            });
        }
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let long = |at: usize| u64::from(word(at + 4)) << 32 | u64::from(word(at));
        if long(0) != MAGIC {
            return Err(Damage::Magic(long(0)));
        }
        if word(8) != VERSION {
            return Err(Damage::Version(word(8)));
        }
        let shape = Self {
            vcpus: word(12),
            chunk_records: word(16),
            chunks: word(20),
            sites: long(40),
        };
        shape.check()?;
        if shape.total_bytes() > available {
            return Err(Damage::Short {
                needed: shape.total_bytes(),
                found: available,
            });
        }
        Ok(shape)
    }

    /// Bounds that keep every product above far from overflow.
    fn check(self) -> Result<(), Damage> {
        let within = |what, value: u64, most: u64| {
            if value == 0 || value > most {
                Err(Damage::Size(what, value))
            } else {
                Ok(())
            }
        };
        within("vCPUs", self.vcpus.into(), 1 << 12)?;
        within("chunks", self.chunks.into(), 1 << 16)?;
        within(
            "records per chunk",
            self.chunk_records.into(),
            (1 << RECORDS_BITS) - 1,
        )?;
        if self.sites > 1 << 28 {
            return Err(Damage::Size("sites", self.sites));
        }
        Ok(())
    }
}

/// A chunk's records, taken from its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    pub header: ChunkHeader,
    records: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// # Errors
    /// When there are fewer bytes than the header or its count of records need.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Damage> {
        let short = |needed: usize| Damage::Short {
            needed: needed as u64,
            found: bytes.len() as u64,
        };
        let (head, rest) = bytes
            .split_at_checked(CHUNK_HEADER_BYTES)
            .ok_or_else(|| short(CHUNK_HEADER_BYTES))?;
        let long = |at: usize| {
            let mut raw = [0; 8];
            raw.copy_from_slice(&head[at..at + 8]);
            u64::from_le_bytes(raw)
        };
        #[expect(clippy::cast_possible_truncation, reason = "two words in one long")]
        let header = ChunkHeader {
            sequence: long(0),
            clock: long(8),
            lost: long(16),
            used: long(24) as u32,
            vcpu: (long(24) >> 32) as u32,
            reserved: [0; 4],
        };
        let length = (header.used as usize).saturating_mul(RECORD_BYTES);
        let records = rest
            .get(..length)
            .ok_or_else(|| short(CHUNK_HEADER_BYTES.saturating_add(length)))?;
        Ok(Self { header, records })
    }

    /// Each eight bytes as a number; the three after a switch are whole numbers.
    pub fn raw(&self) -> impl Iterator<Item = u64> + 'a {
        self.records.chunks_exact(RECORD_BYTES).map(|bytes| {
            let mut raw = [0; 8];
            raw.copy_from_slice(bytes);
            u64::from_le_bytes(raw)
        })
    }

    pub fn records(&self) -> impl Iterator<Item = Record> + 'a {
        self.raw().map(Record::decode)
    }
}
