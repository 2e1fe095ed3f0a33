//! The commands that go back.

use super::point::Point;
use super::search::{Found, Users};
use crate::addr::Addr;
use crate::command::{Back, WatchKind};
use crate::event::{Stop, StopReason};
use crate::session::engine::Engine;
use crate::session::run::Halt;
use crate::session::target::Trap;
use crate::session::trouble::Trouble;

impl Engine {
    pub(in crate::session) fn go_back(&mut self, back: &Back) -> Result<Stop, Trouble> {
        self.needs_replay("going back in time")?;
        let reason = match back {
            Back::Instructions { count } => self.back_instructions(*count)?,
            Back::Lines { count, over } => self.back_lines(*count, *over)?,
            Back::Continue => self.back_to_breakpoint()?,
            Back::Finish => self.back_to_call()?,
            Back::Cross => self.back_to_crossing()?,
            Back::Written(expression) => self.back_to_write(expression)?,
            Back::Crossed(expression) => self.back_to_setting(expression)?,
            Back::To(place) => self.go_to(place)?,
        };
        self.stopped(reason)
    }

    pub(super) fn needs_replay(&self, tried: &str) -> Result<(), Trouble> {
        match self.replay {
            Some(_) => Ok(()),
            None => Err(Trouble::new(
                tried,
                "this machine does not replay a recording: what it did is gone",
                "'uklscope record IMAGE -o FOLDER' records it, 'uklscope replay FOLDER' opens that; 'back' looks at the stops before",
            )),
        }
    }

    fn back_instructions(&mut self, count: u64) -> Result<StopReason, Trouble> {
        let at = self.target.position()?;
        let to = match count {
            0 => self.point()?,
            1 => self.point_before()?,
            _ => at.saturating_sub(count).into(),
        };
        self.arrive(to, StopReason::Step, at < count)
    }

    /// Goes there, and says why it stopped there.
    pub(super) fn arrive(
        &mut self,
        to: impl Into<Point>,
        reason: StopReason,
        beginning: bool,
    ) -> Result<StopReason, Trouble> {
        Ok(match self.seek(to)? {
            true if beginning => StopReason::Beginning,
            true => reason,
            false => StopReason::Interrupted,
        })
    }

    fn back_to_breakpoint(&mut self) -> Result<StopReason, Trouble> {
        let mut reason = StopReason::Beginning;
        let found = self.last_before(&[], Users::Heard, &mut |engine, halt| {
            let Some(why) = engine.would_stop(halt)? else {
                return Ok(None);
            };
            // The machine stops behind the instruction that has written.
            let at = match why {
                StopReason::Watchpoint { .. } => engine.point_before()?,
                _ => engine.point()?,
            };
            reason = why;
            Ok(Some(Found::At(at)))
        })?;
        match found {
            Found::At(_) => Ok(reason),
            Found::Interrupted => Ok(StopReason::Interrupted),
            Found::Nothing | Found::Unsure => self.arrive(0, StopReason::Beginning, true),
        }
    }

    /// Whether one of the user's own stops the machine here; nothing is counted or written.
    fn would_stop(&mut self, halt: &Halt) -> Result<Option<StopReason>, Trouble> {
        match halt {
            Halt::Trap { .. } => {
                let pc = self.pc()?;
                for number in self.book.at(pc) {
                    let is_log = self.book.get(number).is_some_and(|one| one.log.is_some());
                    if !is_log && self.is_meant_here(number)? {
                        return Ok(Some(StopReason::Breakpoint { number }));
                    }
                }
                Ok(None)
            }
            Halt::Watch(kind, addr) => {
                for number in self.book.watching(*kind, *addr) {
                    if self.is_meant_here(number)? {
                        let addr = *addr;
                        return Ok(Some(StopReason::Watchpoint { number, addr }));
                    }
                }
                Ok(None)
            }
            Halt::Interrupted | Halt::Position => Ok(None),
        }
    }

    /// To the call that the selected frame was made by.
    fn back_to_call(&mut self) -> Result<StopReason, Trouble> {
        const TRIED: &str = "going back to the call of this frame";
        let frames = self.frames(None)?;
        let selected = usize::try_from(self.frame).unwrap_or(usize::MAX);
        let frame = frames.get(selected).filter(|frame| !frame.inlined);
        let (Some(frame), Some(caller)) = (
            frame,
            frames
                .iter()
                .find(|other| frame.is_some_and(|frame| other.level > frame.level)),
        ) else {
            return Err(Trouble::new(
                TRIED,
                "it has no caller that is known, or is inlined into it",
                "'reverse-step' goes back by lines, 'rsi' by instructions",
            ));
        };
        let entry = self.function_around(frame.place.addr).start;
        let at_entry = caller.sp.map(|sp| sp.0.wrapping_sub(8));
        if self.is_entered(entry, at_entry)? {
            let before = self.point_before()?;
            return self.arrive(before, StopReason::Arrived, false);
        }
        let found = self.last_before(&[Trap::soft(entry)], Users::Passed, &mut |engine, _| {
            Ok(match engine.is_entered(entry, at_entry)? {
                true => Some(Found::At(engine.point_before()?)),
                false => None,
            })
        })?;
        self.found(
            found,
            TRIED,
            &format!("nothing has called {entry:?} before"),
        )
    }

    /// Whether a function begins here, with this stack pointer.
    fn is_entered(&mut self, entry: Addr, sp: Option<u64>) -> Result<bool, Trouble> {
        Ok(self.pc()? == entry && sp.is_none_or(|sp| self.sp().ok() == Some(sp)))
    }

    /// To the instruction that has written it last, which is executed next.
    pub(super) fn back_to_write(&mut self, expression: &str) -> Result<StopReason, Trouble> {
        let traps = self.watched_memory(expression, WatchKind::Write)?;
        // Another process may have memory at the same address.
        let space = match traps.iter().any(|trap| !trap.addr.in_kernel_half()) {
            true => Some(self.address_space()?),
            false => None,
        };
        let covers = |kind, at: Addr| {
            traps.iter().any(|trap| {
                trap.kind == kind && at.wrapping_sub(trap.addr.0).0 < u64::from(trap.len)
            })
        };
        let found = self.last_before(&traps, Users::Passed, &mut |engine, halt| {
            let Halt::Watch(kind, at) = halt else {
                return Ok(None);
            };
            if !covers(*kind, *at) || space.is_some() && space != Some(engine.address_space()?) {
                return Ok(None);
            }
            Ok(Some(Found::At(engine.point_before()?)))
        })?;
        self.course.note = Some(format!("the next instruction writes {expression}"));
        let tried = format!("going back to the last write of {expression}");
        self.found(
            found,
            &tried,
            "nothing has written it since the machine's reset",
        )
    }

    pub(super) fn found(
        &mut self,
        found: Found,
        tried: &str,
        nothing: &str,
    ) -> Result<StopReason, Trouble> {
        match found {
            Found::At(_) => Ok(StopReason::Arrived),
            Found::Interrupted => {
                self.course.note = None;
                Ok(StopReason::Interrupted)
            }
            Found::Nothing | Found::Unsure => {
                self.course.note = None;
                Err(Trouble::new(
                    tried,
                    nothing,
                    "'goto 0' goes to the machine's reset",
                ))
            }
        }
    }
}
