//! Snapshots on the way: close enough that going back takes a moment, far enough apart that going on
//! is not held up.

use std::time::{Duration, Instant};

use crate::qemu::replay::{START, Snapshot};
use crate::session::engine::Engine;
use crate::session::trouble::Trouble;

/// The replayed time between two snapshots: what going back has to do again at most.
const APART: Duration = Duration::from_secs(1);

/// Taking them may cost this part of the run.
const SHARE: u32 = 4;

/// Instructions to the first one, before anything is measured.
const FIRST: u64 = 20_000_000;

/// Fewer instructions are not worth one.
const LEAST: u64 = 1_000_000;

/// More snapshots than these take too much room, 10 to 60 MB each: every other one is dropped.
const MOST: usize = 128;

/// How fast the machine runs and is kept, as measured.
#[derive(Debug)]
pub(super) struct Pace {
    /// Instructions between two snapshots.
    apart: u64,
    /// Not less, since too many were kept.
    floor: u64,
    /// Where the stretch under way began.
    began: Option<(Instant, u64)>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            apart: FIRST,
            floor: LEAST,
            began: None,
        }
    }
}

impl Pace {
    /// After so many instructions in this time, and a snapshot that took that long.
    fn measured(&mut self, instructions: u64, took: Duration, saving: Duration) {
        if took.is_zero() {
            return;
        }
        let wanted = APART.max(saving * SHARE);
        // Loops that wait run a hundred times slower than others: no jump to either.
        let next = u128::from(instructions) * wanted.as_nanos() / took.as_nanos();
        let next = u64::try_from(next).unwrap_or(u64::MAX);
        self.apart = next
            .clamp(self.apart / 4, self.apart.saturating_mul(4))
            .max(self.floor);
    }
}

impl Engine {
    /// Before the machine runs: says where it is to stop by itself. `false` where it is there already.
    pub(in crate::session) fn set_stop(&mut self) -> Result<bool, Trouble> {
        if self.replay.is_none() {
            return Ok(true);
        }
        let at = self.target.position()?;
        let Some(replay) = &mut self.replay else {
            return Ok(true);
        };
        replay.runs();
        replay.pace.began = Some((Instant::now(), at));
        let last = [replay.goal, replay.end].into_iter().flatten().min();
        if last.is_some_and(|last| at >= last) {
            return Ok(false);
        }
        let due = at + replay.pace.apart;
        self.target
            .stop_at(last.map_or(due, |last| last.min(due)))?;
        Ok(true)
    }

    /// The replay has stopped by itself: keeps a snapshot where one is due. Whether it is where it
    /// was to go.
    pub(in crate::session) fn is_there(&mut self) -> Result<bool, Trouble> {
        let at = self.target.position()?;
        self.keep_here(at)?;
        Ok(!self.set_stop()?)
    }

    fn keep_here(&mut self, at: u64) -> Result<(), Trouble> {
        let Some(replay) = &mut self.replay else {
            return Ok(());
        };
        let ran = replay
            .pace
            .began
            .map(|(then, from)| (then.elapsed(), at - from));
        let near = replay.pace.apart / 2;
        let is_kept = |one: &Snapshot| one.position <= at && at - one.position < near;
        if replay.snapshots.iter().any(is_kept) {
            return Ok(());
        }
        let saving = self.keep_at(at)?;
        if let (Some(replay), Some((took, instructions))) = (&mut self.replay, ran) {
            replay.pace.measured(instructions, took, saving);
        }
        self.thin()
    }

    /// Keeps the machine, which stands there.
    pub(super) fn keep_at(&mut self, at: u64) -> Result<Duration, Trouble> {
        let began = Instant::now();
        self.take_serial();
        let written = self.replay.as_ref().and_then(|replay| replay.told.at());
        let one = Snapshot::at(at, written);
        self.target.save(&one.name)?;
        if let Some(replay) = &mut self.replay {
            let next = replay
                .snapshots
                .partition_point(|other| other.position < at);
            replay.snapshots.insert(next, one);
        }
        Ok(began.elapsed())
    }

    /// Drops every other one where there are too many, and takes fewer from then on.
    fn thin(&mut self) -> Result<(), Trouble> {
        let Some(replay) = self
            .replay
            .as_mut()
            .filter(|one| one.snapshots.len() > MOST)
        else {
            return Ok(());
        };
        let all = std::mem::take(&mut replay.snapshots);
        replay.pace.floor = (replay.pace.apart * 2).max(LEAST);
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for (number, one) in all.into_iter().enumerate() {
            match one.name == START || number % 2 == 0 {
                true => kept.push(one),
                false => dropped.push(one),
            }
        }
        replay.snapshots = kept;
        for one in dropped {
            self.target.drop_snapshot(&one.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn snapshots_are_a_second_apart_or_four_times_what_one_takes() {
        let mut pace = Pace::default();
        pace.measured(FIRST, Duration::from_millis(500), SECOND / 10);
        assert_eq!(pace.apart, 2 * FIRST);
        let mut pace = Pace::default();
        pace.measured(FIRST, Duration::from_millis(500), SECOND / 2);
        assert_eq!(pace.apart, 4 * FIRST);
    }

    #[test]
    fn a_stretch_of_waiting_changes_the_distance_step_by_step() {
        let mut pace = Pace::default();
        pace.measured(1000, SECOND, Duration::ZERO);
        assert_eq!(pace.apart, FIRST / 4);
        for _ in 0..10 {
            pace.measured(1000, SECOND, Duration::ZERO);
        }
        assert_eq!(pace.apart, LEAST);
        pace.measured(0, Duration::ZERO, Duration::ZERO);
        assert_eq!(pace.apart, LEAST);
    }
}
