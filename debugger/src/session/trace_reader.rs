//! The reading end of one vCPU's ring.
//!
//! Under the lossless policy a chunk is read where it lies: the probe waits until it is taken. Under the
//! flight policy the probe may take its room back at any time, so it is copied first, and the copy counts
//! if what was copied is still there afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use wire::layout::{CHUNK_HEADER_BYTES, SEQUENCE_OFFSET, USED_OFFSET};
use wire::{Control, Policy, Shape, Taken};

use super::trace_clock::TraceClock;
use crate::trace::fold::Fold;
use crate::trace::places::Places;
use crate::trace::recording::Chunk;
use crate::trace::records::Recorder;

#[derive(Debug)]
pub(super) struct Reader {
    /// The mapping's start; whoever has the reader keeps the mapping.
    mapping: *const u8,
    shape: Shape,
    policy: Policy,
    vcpu: u32,
    taken: Taken,
    /// Records dropped before those taken last.
    lost: u64,
    copied: Copied,
    clock: TraceClock,
    /// Records with other clocks than the ring's.
    told: Vec<u64>,
    /// What the numbers of functions in the records mean, where they are not the site table's.
    places: Option<Arc<Places>>,
    placed: Vec<u64>,
}

/// What was copied and not taken by the fold yet.
#[derive(Debug, Default)]
struct Copied {
    head: Head,
    records: Vec<u64>,
    taken: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    sequence: u64,
    clock: u64,
}

impl Reader {
    /// # Safety
    /// `mapping` is a mapping of that shape as long as the reader is used, and nobody else reads the ring.
    pub(super) unsafe fn new(mapping: *const u8, shape: Shape, policy: Policy, vcpu: u32) -> Self {
        Self {
            mapping,
            shape,
            policy,
            vcpu,
            taken: Taken {
                chunks: 0,
                records: 0,
            },
            lost: 0,
            copied: Copied {
                head: Head {
                    sequence: 0,
                    clock: 0,
                },
                records: Vec::new(),
                taken: 0,
            },
            clock: TraceClock::default(),
            told: Vec::new(),
            places: None,
            placed: Vec::new(),
        }
    }

    /// The records name functions by where they lie.
    #[must_use]
    pub(super) fn with_places(self, places: Arc<Places>) -> Self {
        Self {
            places: Some(places),
            ..self
        }
    }

    /// Hands over what there is, a ring's length at most; how many records that were.
    pub(super) fn drain(&mut self, fold: &mut Fold, recorder: &mut dyn Recorder) -> u64 {
        let mut drained = 0;
        for _ in 0..self.shape.chunks {
            let Some((there, taken)) = self.hand_over(fold, recorder) else {
                break;
            };
            drained += taken as u64;
            if taken < there {
                // The rest waits for another vCPU's.
                break;
            }
        }
        drained
    }

    /// Records that were there, and how many of them were taken; `None`: there are none.
    fn hand_over(
        &mut self,
        fold: &mut Fold,
        recorder: &mut dyn Recorder,
    ) -> Option<(usize, usize)> {
        if self.policy == Policy::Flight && self.copied.taken == self.copied.records.len() {
            self.copy_more(fold);
        }
        let (head, raw) = match self.policy {
            Policy::Lossless => self.there(fold)?,
            Policy::Flight => (self.copied.head, &self.copied.records[self.copied.taken..]),
        };
        if raw.is_empty() {
            return None;
        }
        let raw = match &self.places {
            Some(places) => {
                places.replace(raw, &mut self.placed);
                &self.placed
            }
            None => raw,
        };
        let after = self.clock.after(head.clock, raw);
        let told = match after {
            Some(_) => raw,
            None => {
                let mut clock = self.clock;
                clock.put_right(head.clock, raw, &mut self.told);
                &self.told
            }
        };
        let clock = self.clock.told(head.clock);
        let taken = fold.take(self.vcpu as usize, clock, told);
        if taken > 0 {
            recorder.take(Chunk {
                vcpu: self.vcpu,
                sequence: head.sequence,
                clock,
                lost: self.lost,
                records: &told[..taken],
            });
        }
        let there = raw.len();
        self.clock = match after {
            Some(after) if taken == there => after,
            // The rest is read again.
            _ => self.clock_after(head.clock, &raw[..taken], fold),
        };
        match self.policy {
            Policy::Lossless => {
                self.move_on(taken);
            }
            Policy::Flight => self.copied.taken += taken,
        }
        Some((there, taken))
    }

    fn clock_after(&self, base: u64, raw: &[u64], fold: &mut Fold) -> TraceClock {
        self.clock.after(base, raw).unwrap_or_else(|| {
            let mut clock = self.clock;
            fold.went_back += clock.put_right(base, raw, &mut Vec::new());
            clock
        })
    }

    /// The records of the oldest chunk that were not taken yet, where they lie.
    fn there<'a>(&mut self, fold: &mut Fold) -> Option<(Head, &'a [u64])> {
        self.find_tail(fold);
        loop {
            let chunks = self.taken.chunks;
            let finished = self.control().head.load(Ordering::Acquire) > chunks;
            let sequence: &AtomicU64 = self.at(SEQUENCE_OFFSET);
            if sequence.load(Ordering::Acquire) != chunks {
                return None;
            }
            let used: &AtomicU32 = self.at(USED_OFFSET);
            let used = used.load(Ordering::Acquire).min(self.shape.chunk_records);
            if used > self.taken.records {
                if self.taken.records == 0 {
                    let lost: &AtomicU64 = self.at(16);
                    self.missing(lost.load(Ordering::Relaxed), fold);
                }
                let clock: &AtomicU64 = self.at(8);
                let head = Head {
                    sequence: chunks,
                    clock: clock.load(Ordering::Relaxed),
                };
                let first: &u64 =
                    self.at(CHUNK_HEADER_BYTES + self.taken.records as usize * size_of::<u64>());
                let count = (used - self.taken.records) as usize;
                // SAFETY: inside the chunk, aligned by the layout, and left alone by the probe until it is
                // taken; [`Self::copy_more`] says why it may look nevertheless.
                return Some((head, unsafe { std::slice::from_raw_parts(first, count) }));
            }
            if !finished || !self.go_to(chunks + 1, 0) {
                return None;
            }
        }
    }

    /// Under the flight policy: copies what there is, and takes it.
    fn copy_more(&mut self, fold: &mut Fold) {
        self.copied.records.clear();
        self.copied.taken = 0;
        let Some((head, raw)) = self.there(fold) else {
            return;
        };
        let words = raw.as_ptr().cast::<AtomicU64>();
        let copied = (0..raw.len()).map(|i| {
            // SAFETY: inside the slice. The probe may be writing there again: then what is read is thrown
            // away below.
            unsafe { (*words.add(i)).load(Ordering::Relaxed) }
        });
        self.copied.records.extend(copied);
        self.copied.head = head;
        if !self.move_on(raw.len()) {
            self.copied.records.clear();
        }
    }

    /// Where the probe has dropped chunks, they are missing here.
    fn find_tail(&mut self, fold: &mut Fold) {
        let control = self.control();
        let tail = Taken::unpack(control.tail.load(Ordering::Acquire));
        if tail != self.taken {
            self.taken = tail;
            let lost = control.lost.load(Ordering::Acquire);
            self.lost = self.lost.max(lost);
            fold.gap(self.vcpu as usize);
        }
    }

    fn missing(&mut self, lost: u64, fold: &mut Fold) {
        if lost > self.lost {
            self.lost = lost;
            fold.gap(self.vcpu as usize);
        }
    }

    fn move_on(&mut self, records: usize) -> bool {
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        self.go_to(self.taken.chunks, self.taken.records + records)
    }

    /// False: the probe has dropped what was there.
    fn go_to(&mut self, chunks: u64, records: u32) -> bool {
        let next = Taken { chunks, records };
        let mine = self.control().tail.compare_exchange(
            self.taken.pack(),
            next.pack(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if mine.is_ok() {
            self.taken = next;
        }
        mine.is_ok()
    }

    pub(super) fn control(&self) -> &'static Control {
        let offset = usize::try_from(self.shape.control_offset(self.vcpu)).unwrap_or(0);
        // SAFETY: inside the mapping and aligned by the layout; what changes in it are atomics. Used as
        // long as the reader.
        unsafe { &*self.mapping.add(offset).cast() }
    }

    /// Something in the chunk that is read next.
    fn at<'a, T>(&self, offset: usize) -> &'a T {
        let chunk = self.shape.chunk_offset(self.vcpu, self.taken.chunks);
        let chunk = usize::try_from(chunk).unwrap_or(0);
        // SAFETY: inside the chunk, aligned by the layout; used as long as the reader.
        unsafe { &*self.mapping.add(chunk + offset).cast() }
    }
}

#[cfg(test)]
mod tests;
