//! Where a function is entered next.

use wire::record::SWITCH_NUMBERS as NUMBERS;
use wire::{Kind, Record};

use super::stored::{Stored, records};

/// Stretches that one search unpacks: it is asked for by a key, and goes on at the next.
const MOST_UNPACKED: usize = 256;

/// What a search has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Entered at that clock.
    Found { clock: u64, function: u32 },
    /// To the end of the run it is not.
    Nowhere,
    /// Not up to that clock; it is to be asked again from there.
    Until(u64),
}

impl<B: AsRef<[u8]>> Stored<B> {
    /// Where a vCPU enters one of `functions` (by number, sorted) next after `from`, or before it.
    #[must_use]
    pub fn search(
        &self,
        run: usize,
        vcpu: u32,
        from: u64,
        functions: &[u32],
        back: bool,
    ) -> Search {
        let Some(run) = self.runs().get(run) else {
            return Search::Nowhere;
        };
        let range = if back { 0..from } else { from..u64::MAX };
        let all = run.touched(vcpu, &range);
        let mut unpacked = 0;
        for step in 0..all.len() {
            let (at, stretch) = &all[if back { all.len() - 1 - step } else { step }];
            if !functions
                .iter()
                .any(|function| stretch.functions.may_have(*function))
            {
                continue;
            }
            if unpacked == MOST_UNPACKED {
                return Search::Until(if back { stretch.last } else { stretch.first });
            }
            unpacked += 1;
            let Some((_, raw)) = records(self.bytes().as_ref(), *at, stretch) else {
                continue;
            };
            let mut found = entries(&raw, stretch.first).filter(|(clock, function)| {
                let there = if back { *clock < from } else { *clock > from };
                there && functions.binary_search(function).is_ok()
            });
            let found = if back { found.last() } else { found.next() };
            if let Some((clock, function)) = found {
                return Search::Found { clock, function };
            }
        }
        Search::Nowhere
    }
}

/// The whole clock and the function of each entry.
fn entries(raw: &[u64], first: u64) -> impl Iterator<Item = (u64, u32)> {
    let mut clock = first;
    let mut numbers = 0;
    raw.iter().filter_map(move |raw| {
        if numbers > 0 {
            numbers -= 1;
            return None;
        }
        let record = Record::decode(*raw);
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        let since = record.clock.wrapping_sub(clock as u32);
        clock += u64::from(since);
        let kind = record.word.kind()?;
        if kind == Kind::Switch {
            numbers = NUMBERS;
        }
        kind.enters().then(|| (clock, record.word.function()))
    })
}
