//! Records, read one after the other.

use std::ops::Range;

use wire::record::SWITCH_NUMBERS as NUMBERS;
use wire::{Kind, Record};

use super::layout::Stretch;
use super::stored::records;

/// One thing that a vCPU did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The vCPU's whole clock.
    pub clock: u64,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A function's number, by the run's table.
    Step { kind: Kind, function: u32 },
    /// From the task whose stack pointer was stored there (0: that was not seen) to the one whose was
    /// loaded from there.
    Switch { from: u64, to: u64 },
    /// So many records are missing before what follows: dropped, or not readable.
    Lost { records: u64 },
}

/// See [`Stored::events`](super::Stored::events).
#[derive(Debug)]
pub struct Events<'a> {
    bytes: &'a [u8],
    stretches: std::slice::Iter<'a, (usize, Stretch)>,
    range: Range<u64>,
    records: std::vec::IntoIter<u64>,
    clock: u64,
}

impl<'a> Events<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        stretches: &'a [(usize, Stretch)],
        range: Range<u64>,
    ) -> Self {
        Self {
            bytes,
            stretches: stretches.iter(),
            range,
            records: Vec::new().into_iter(),
            clock: 0,
        }
    }

    /// What is missing before the next stretch, or in it; `None` where there is none.
    fn turn(&mut self) -> Option<u64> {
        let (at, stretch) = self.stretches.next()?;
        self.clock = stretch.first;
        match records(self.bytes, *at, stretch) {
            Some((_, records)) => {
                self.records = records.into_iter();
                Some(stretch.lost)
            }
            None => Some(stretch.lost + u64::from(stretch.count)),
        }
    }
}

impl Iterator for Events<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let Some(raw) = self.records.next() else {
                let records = self.turn()?;
                if records > 0 && self.clock >= self.range.start {
                    return Some(Event {
                        clock: self.clock,
                        what: What::Lost { records },
                    });
                }
                continue;
            };
            let record = Record::decode(raw);
            #[expect(clippy::cast_possible_truncation, reason = "the low half")]
            let since = record.clock.wrapping_sub(self.clock as u32);
            self.clock += u64::from(since);
            if self.clock >= self.range.end {
                self.records = Vec::new().into_iter();
                self.stretches = [].iter();
                return None;
            }
            let Some(kind) = record.word.kind() else {
                continue;
            };
            let what = if kind == Kind::Switch {
                let mut numbers = [0; NUMBERS];
                for number in &mut numbers {
                    *number = self.records.next()?;
                }
                let [from, to, ..] = numbers;
                What::Switch { from, to }
            } else {
                What::Step {
                    kind,
                    function: record.word.function(),
                }
            };
            if self.clock >= self.range.start {
                return Some(Event {
                    clock: self.clock,
                    what,
                });
            }
        }
    }
}
