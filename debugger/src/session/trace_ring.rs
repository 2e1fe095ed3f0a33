//! The reading end of the mapping that a probe writes its records to.
//!
//! The mapping is anonymous memory with a file descriptor: the probe opens it through `/proc`, and
//! nothing is left behind however either end dies.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::MmapMut;
use rustix::fs::{MemfdFlags, memfd_create};
use wire::layout::{CHECKS_OFFSET, CHOICE_OFFSET};
use wire::{Checks, Choice, Header, Kind, Policy, Shape, Site, Word};

use super::guest_probes::GuestRing;
use super::trace_reader::Reader;
use crate::trace::clocks::{Clocks, Difference};
use crate::trace::fold::Fold;
use crate::trace::functions::Functions;
use crate::trace::places::Places;
use crate::trace::records::Recorder;

/// 64 chunks of 8,184 records (64 KiB with their header): 4 MiB for each vCPU, some ten milliseconds of a
/// busy guest.
const CHUNKS: u32 = 64;
const CHUNK_RECORDS: u32 = 8184;

#[derive(Debug)]
pub(super) struct Ring {
    /// Keeps the descriptor open that the probe's path names; none in a guest's memory.
    file: Option<File>,
    mapping: MmapMut,
    policy: Policy,
    /// By vCPU.
    readers: Vec<Reader>,
    /// How often nothing came while records waited for a switch.
    stuck: u32,
}

/// So often nothing must come before the switch that is waited for is taken for lost: its number is taken
/// a moment before it can be read.
const STUCK: u32 = 3;

/// What the probe counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingCounts {
    /// Records dropped.
    pub lost: u64,
    /// Times a vCPU waited for room, and how long in all.
    pub waits: u64,
    pub waited_ns: u64,
    /// Instructions executed by all vCPUs; 0 until the probe has ended.
    pub insns: u64,
    /// Calls that nobody asked for, and records of these and of other tasks, that were not written.
    pub calls_left_out: u64,
    pub records_left_out: u64,
}

impl Ring {
    /// `on`: it is recorded from the start.
    pub(super) fn new(vcpus: u32, sites: &[Site], policy: Policy, on: bool) -> io::Result<Self> {
        let shape = Self::shape(vcpus, sites.len() as u64);
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
        let readers = (0..vcpus)
            // SAFETY: a mapping of that shape, which lives as long as the readers.
            .map(|vcpu| unsafe { Reader::new(mapping.as_ptr(), shape, policy, vcpu) })
            .collect();
        let ring = Self {
            file: Some(file),
            mapping,
            policy,
            readers,
            stuck: 0,
        };
        ring.header().gate.store(u32::from(on), Ordering::Release);
        Ok(ring)
    }

    pub(super) const fn shape(vcpus: u32, sites: u64) -> Shape {
        Shape {
            vcpus,
            chunks: CHUNKS,
            chunk_records: CHUNK_RECORDS,
            sites,
        }
    }

    /// In a guest's memory, where its kernel has made it and writes it.
    pub(super) fn in_guest(ring: GuestRing, places: &Arc<Places>, policy: Policy) -> Self {
        let GuestRing { mapping, shape } = ring;
        let reader = |vcpu| {
            // SAFETY: a mapping of that shape, which lives as long as the readers.
            let reader = unsafe { Reader::new(mapping.as_ptr(), shape, policy, vcpu) };
            reader.with_places(Arc::clone(places))
        };
        Self {
            readers: (0..shape.vcpus).map(reader).collect(),
            file: None,
            mapping,
            policy,
            stuck: 0,
        }
    }

    /// The tasks that are recorded; before the probe starts.
    pub(super) fn choose(&mut self, choice: Choice) {
        // SAFETY: in the header's page, aligned; nobody else has the mapping yet.
        unsafe {
            self.mapping
                .as_mut_ptr()
                .add(CHOICE_OFFSET)
                .cast::<Choice>()
                .write(choice)
        };
    }

    /// A path by which another process of this user opens the mapping, as long as this process lives.
    pub(super) fn path(&self) -> String {
        let file = self.file.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        format!("/proc/{}/fd/{file}", std::process::id())
    }

    /// Hands what there is of every vCPU to the fold and to the recorder; how many records that were.
    pub(super) fn drain(&mut self, fold: &mut Fold, recorder: &mut dyn Recorder) -> u64 {
        let readers = self.readers.iter_mut();
        let drained = readers.map(|reader| reader.drain(fold, recorder)).sum();
        if drained > 0 || !fold.is_waiting() {
            self.stuck = 0;
        } else {
            self.stuck += 1;
            // Under the lossless policy every switch comes.
            if self.policy == Policy::Flight && self.stuck >= STUCK {
                fold.pass_missing_switches();
            }
        }
        drained
    }

    /// After the probe's end: all that is left.
    pub(super) fn drain_last(&mut self, fold: &mut Fold, recorder: &mut dyn Recorder) {
        while self.drain(fold, recorder) > 0 || fold.is_waiting() {
            if self.stuck > 0 {
                fold.pass_missing_switches();
            }
        }
    }

    /// Whether it has been recorded at any time.
    pub(super) fn was_on(&self) -> bool {
        self.header().gate.load(Ordering::Relaxed) > 0
    }

    /// Whether what runs now is recorded.
    pub(super) fn is_on(&self) -> bool {
        self.header().gate.load(Ordering::Relaxed) % 2 == 1
    }

    /// Stops recording, or goes on with it.
    pub(super) fn turn_gate(&self) {
        self.header().gate.fetch_add(1, Ordering::AcqRel);
    }

    /// Lets a probe that waits for room go on, without records.
    pub(super) fn close(&self) {
        self.header().closed.store(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> RingCounts {
        let mut counts = RingCounts {
            insns: self.header().insns.load(Ordering::Relaxed),
            ..RingCounts::default()
        };
        if let Some(checks) = self.checks() {
            counts.calls_left_out = checks.calls_left_out.load(Ordering::Relaxed);
            counts.records_left_out = checks.records_left_out.load(Ordering::Relaxed);
        }
        for reader in &self.readers {
            let control = reader.control();
            counts.lost += control.lost.load(Ordering::Relaxed);
            counts.waits += control.waits.load(Ordering::Relaxed);
            counts.waited_ns += control.waited_ns.load(Ordering::Relaxed);
        }
        counts
    }

    /// What the plugin found of its own counting; nothing where another probe writes the ring.
    pub(super) fn clocks(&self, functions: &Functions) -> Clocks {
        let Some(checks) = self.checks() else {
            return Clocks::default();
        };
        let differing = checks.differing.load(Ordering::Relaxed);
        let told = usize::try_from(differing).unwrap_or(usize::MAX);
        let end = |word: &AtomicU32| name(Word(word.load(Ordering::Relaxed)), functions);
        let first = checks.first.iter().take(told).map(|one| Difference {
            from: end(&one.from),
            to: end(&one.to),
            by_block: one.by_block.load(Ordering::Relaxed),
            by_instruction: one.by_instruction.load(Ordering::Relaxed),
        });
        Clocks {
            edges: checks.edges.load(Ordering::Relaxed),
            differing,
            faults: checks.faults.load(Ordering::Relaxed),
            unplaced: checks.unplaced.load(Ordering::Relaxed),
            left: checks.left.load(Ordering::Relaxed),
            led_elsewhere: checks.led_elsewhere.load(Ordering::Relaxed),
            ambiguous: checks.ambiguous.load(Ordering::Relaxed),
            first: first.collect(),
        }
    }

    /// What the plugin tells of itself; none where another probe writes the ring.
    fn checks(&self) -> Option<&Checks> {
        self.file.as_ref()?;
        // SAFETY: in the header's page, aligned, and its fields are atomics.
        Some(unsafe { &*self.mapping.as_ptr().add(CHECKS_OFFSET).cast() })
    }

    fn header(&self) -> &Header {
        // SAFETY: at the mapping's start, page-aligned; what changes in it are atomics.
        unsafe { &*self.mapping.as_ptr().cast() }
    }
}

/// What a record tells: its kind, and its function where it names one.
fn name(word: Word, functions: &Functions) -> String {
    match word.kind() {
        None => "?".to_owned(),
        Some(kind @ (Kind::Switch | Kind::Resume | Kind::AppCall)) => kind.name().to_owned(),
        Some(kind) => format!("{} {}", kind.name(), functions.get(word.function()).name),
    }
}
