//! Going to a position, and looking backwards for the last stop before one.

use super::point::Point;
use crate::qemu::replay::Snapshot;
use crate::session::engine::Engine;
use crate::session::run::Halt;
use crate::session::target::Trap;
use crate::session::trouble::Trouble;

/// Instructions that are looked through first; then eight times as many, and so on: what is close is
/// found soon, and stops that nobody wants cost little.
const CLOSE: u64 = 1 << 16;
const WIDER: u64 = 8;

/// A run to a position that is longer leaves a snapshot before its end: whoever went there once may
/// go back from there by an instruction.
const FAR: u64 = 4_000_000;

/// Instructions before the end of it.
const BEFORE: u64 = 20_000;

/// What a search has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    At(Point),
    /// The recording begins before anything was.
    Nothing,
    /// More of what lies before has to be looked through to tell.
    Unsure,
    Interrupted,
}

impl Found {
    pub(super) fn at(position: u64) -> Self {
        Self::At(position.into())
    }
}

/// Which traps a search stops at, beside its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Users {
    Heard,
    Passed,
}

/// What is to be gone to as far as this stop tells; none where it tells nothing.
pub(super) type Wanted<'a> = dyn FnMut(&mut Engine, &Halt) -> Result<Option<Found>, Trouble> + 'a;

impl Engine {
    /// Goes to a point, past all breakpoints. `false` where it was interrupted on the way.
    pub(in crate::session) fn seek(&mut self, to: impl Into<Point>) -> Result<bool, Trouble> {
        let traps = self.target.take_out()?;
        let there = self.seek_bare(to.into());
        self.target.put_back(&traps)?;
        // As after a stop there: the next resume moves on.
        self.target.met(self.vcpu);
        there
    }

    /// As [`Self::seek`], with no trap planted.
    fn seek_bare(&mut self, to: Point) -> Result<bool, Trouble> {
        Ok(self.seek_position(to.position)? && self.settle(to)?)
    }

    /// To one of the points that have this position.
    pub(super) fn seek_position(&mut self, to: u64) -> Result<bool, Trouble> {
        self.unwound = None;
        let at = self.target.position()?;
        if let Some(snapshot) = self.closer(at, to) {
            self.take_serial();
            self.target.load(&snapshot.name)?;
            if let Some(replay) = &mut self.replay {
                replay.told.went_to(snapshot.written());
            }
        }
        let from = self.target.position()?;
        if to > from + FAR && !self.run_to_position(to - BEFORE)? {
            return Ok(false);
        }
        if to > from + FAR {
            self.keep_at(to - BEFORE)?;
        }
        self.run_to_position(to)
    }

    /// The snapshot that is the best place to begin at.
    fn closer(&self, at: u64, to: u64) -> Option<Snapshot> {
        let snapshots = &self.replay.as_ref()?.snapshots;
        let before = snapshots.iter().rfind(|one| one.position <= to)?;
        let is_closer = to < at || before.position > at;
        is_closer.then(|| before.clone())
    }

    /// On, until that position; `false` where it was interrupted.
    pub(in crate::session) fn run_to_position(&mut self, to: u64) -> Result<bool, Trouble> {
        self.set_goal(Some(to));
        let halt = self.go();
        self.set_goal(None);
        match halt? {
            Halt::Position => Ok(true),
            Halt::Interrupted => Ok(false),
            Halt::Trap { .. } | Halt::Watch(..) => Err(Trouble::new(
                format!("going to position {to}"),
                "something else stops the machine before it",
                "go to a position before it",
            )),
        }
    }

    fn set_goal(&mut self, goal: Option<u64>) {
        if let Some(replay) = &mut self.replay {
            replay.goal = goal;
        }
    }

    /// The last position before this one where the machine stops at one of `traps`, or of the user's,
    /// and `wanted` says that it is meant. It stands there afterwards, or where it was if there is
    /// none.
    pub(super) fn last_before(
        &mut self,
        traps: &[Trap],
        users: Users,
        wanted: &mut Wanted<'_>,
    ) -> Result<Found, Trouble> {
        let now = self.point()?;
        self.with_traps(traps, |engine| {
            let all = engine.target.take_out()?;
            let heard: Vec<Trap> = match users {
                Users::Heard => all.clone(),
                Users::Passed => traps.to_vec(),
            };
            let found = engine.search(now, &heard, wanted);
            engine.target.put_back(&all)?;
            engine.target.met(engine.vcpu);
            found
        })
    }

    /// With no trap planted outside of the windows that are looked through.
    fn search(
        &mut self,
        now: Point,
        heard: &[Trap],
        wanted: &mut Wanted<'_>,
    ) -> Result<Found, Trouble> {
        if heard.is_empty() {
            return Ok(Found::Nothing);
        }
        let (mut upper, mut width) = (now, CLOSE);
        loop {
            let lower = Point::from(upper.position.saturating_sub(width));
            if !self.seek_bare(lower)? {
                return Ok(Found::Interrupted);
            }
            self.target.put_back(heard)?;
            let found = self.last_within(upper, wanted);
            self.target.take_out_these(heard)?;
            match found? {
                Found::Nothing | Found::Unsure if lower.position == 0 => {
                    self.seek_bare(now)?;
                    return Ok(Found::Nothing);
                }
                Found::Nothing => upper = lower,
                Found::Unsure => {}
                Found::At(point) => {
                    let there = self.seek_bare(point)?;
                    return Ok(if there {
                        Found::At(point)
                    } else {
                        Found::Interrupted
                    });
                }
                Found::Interrupted => return Ok(Found::Interrupted),
            }
            width = width.saturating_mul(WIDER);
        }
    }

    /// The last stop from here to before `upper`.
    fn last_within(&mut self, upper: Point, wanted: &mut Wanted<'_>) -> Result<Found, Trouble> {
        let mut last = Found::Nothing;
        // One that stands here is met.
        self.target.not_met(self.vcpu);
        loop {
            self.set_goal(Some(upper.position));
            let halt = self.go();
            self.set_goal(None);
            match halt? {
                Halt::Position => return Ok(last),
                Halt::Interrupted => return Ok(Found::Interrupted),
                Halt::Trap { .. }
                    if self.target.position()? >= upper.position && !self.is_before(upper)? =>
                {
                    return Ok(last);
                }
                halt => {
                    self.course.passed += 1;
                    if let Some(found) = wanted(self, &halt)? {
                        last = found;
                    }
                    self.attend()?;
                    if self.interrupted {
                        return Ok(Found::Interrupted);
                    }
                }
            }
        }
    }
}
