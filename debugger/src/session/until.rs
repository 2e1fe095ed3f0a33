//! `until`: to an origin or a place. Traps where traps will do, single steps where they are near.

use super::engine::Engine;
use super::run::Ran;
use super::trouble::Trouble;
use crate::addr::{Addr, AddrRange};
use crate::command::{Location, Until};
use crate::count::{counted, either};
use crate::event::{Event, Stop, StopReason};
use crate::origin::Origin;

/// Single steps before traps are set instead; about 0.6 s of them. A system call reaches the
/// subsystem that serves it in some hundred.
const STEPS: u64 = 3_000;

/// The most traps to set at once; QEMU looks through all of them at each new block.
const TRAPS: usize = 6_000;

impl Engine {
    pub(super) fn until(&mut self, goal: &Until) -> Result<Stop, Trouble> {
        let pc = self.pc()?;
        let reason = match goal {
            Until::App if self.is_app(pc) => StopReason::Arrived,
            Until::Kernel if !self.is_app(pc) => StopReason::Arrived,
            Until::App => arrived(self.cross_out()?),
            Until::Kernel => arrived(self.cross_in()?),
            Until::Location(location) => self.until_location(location)?,
            Until::Origin(origin) => self.until_origin(*origin)?,
        };
        self.stopped(reason)
    }

    /// To a place, of the selected frame's own function in this frame alone; or to where the frame
    /// returns to, if that comes first.
    fn until_location(&mut self, location: &Location) -> Result<StopReason, Trouble> {
        let places = self.locate_stops(location)?.places;
        let (function, caller) = self.selected_and_caller()?;
        let space = self.address_space()?;
        let mut traps = places.clone();
        traps.extend(caller.map(|(at, _)| at).filter(|at| !places.contains(at)));
        let ran = self.run_to(&traps, &mut |engine| {
            let pc = engine.pc()?;
            let Some((at, sp)) = caller else {
                return Ok(true);
            };
            if places.contains(&pc) {
                let in_another =
                    function.contains(pc) && engine.cfa().is_some_and(|cfa| cfa != sp.0);
                return Ok(!in_another);
            }
            Ok(pc == at && engine.is_frame(Some(sp), space)?)
        })?;
        if let Ran::Stopped(reason) = ran {
            return Ok(reason);
        }
        let pc = self.pc()?;
        if !places.contains(&pc) {
            let note = "the frame has returned before that place came";
            self.course.note = Some(note.to_owned());
        }
        Ok(StopReason::Arrived)
    }

    /// The function of the selected frame, and where with which stack pointer it returns to.
    fn selected_and_caller(&mut self) -> Result<(AddrRange, Option<(Addr, Addr)>), Trouble> {
        let pc = self.pc()?;
        let frames = self.frames(None).unwrap_or_default();
        let selected = usize::try_from(self.frame).unwrap_or(usize::MAX);
        let Some(frame) = frames.get(selected) else {
            return Ok((self.function_around(pc), None));
        };
        let caller = frames.iter().find(|outer| outer.level > frame.level);
        let caller = caller.and_then(|caller| Some((caller.place.addr, caller.sp?)));
        Ok((self.function_around(frame.place.addr), caller))
    }

    fn until_origin(&mut self, origin: Origin) -> Result<StopReason, Trouble> {
        let pc = self.pc()?;
        if self.origin(pc) == origin {
            return Ok(StopReason::Arrived);
        }
        // First to the right side of the boundary: all that lies before it is passed at full speed.
        let app = self.is_app(pc);
        let passed = if app && origin.is_kernel_side() {
            Some(self.cross_in()?)
        } else if !app && origin.is_app_side() {
            Some(self.cross_out()?)
        } else {
            None
        };
        if let Some(reason) = passed
            && !matches!(reason, StopReason::Crossing { .. })
        {
            return Ok(reason);
        }
        for _ in 0..STEPS {
            let pc = self.pc()?;
            if self.origin(pc) == origin {
                return Ok(StopReason::Arrived);
            }
            if let Some(reason) = self.advance(false)? {
                return Ok(reason);
            }
            let pc = self.pc()?;
            if let Some(reason) = self.hit(pc)? {
                return Ok(reason);
            }
        }
        self.trap_origin(origin)
    }

    /// A trap at each function of that origin, and where the stack returns to it.
    fn trap_origin(&mut self, origin: Origin) -> Result<StopReason, Trouble> {
        let tried = || format!("running until {origin}");
        let mut traps: Vec<Addr> = self
            .symbols_or(tried)?
            .functions()
            .filter(|function| function.origin == origin)
            .map(|function| function.addr)
            .collect();
        let frames = self.frames(None).unwrap_or_default();
        traps.extend(
            frames
                .iter()
                .map(|frame| frame.place.addr)
                .filter(|at| self.origin(*at) == origin),
        );
        traps.sort_unstable();
        traps.dedup();
        if traps.is_empty() || traps.len() > TRAPS {
            return Err(Trouble::new(
                tried(),
                format!(
                    "it did not come in {STEPS} instructions, and {} would be needed",
                    counted(traps.len(), "trap")
                ),
                "'until LOCATION' runs to one function",
            ));
        }
        let notice = format!(
            "until {origin}: not in {STEPS} single steps; {} {} set",
            counted(traps.len(), "trap"),
            either(traps.len(), "is", "are")
        );
        self.port.send(Event::Notice(notice));
        Ok(match self.run_to(&traps, &mut |_| Ok(true))? {
            Ran::Arrived => StopReason::Arrived,
            Ran::Stopped(reason) => reason,
        })
    }
}

/// The crossing was the goal.
fn arrived(reason: StopReason) -> StopReason {
    match reason {
        StopReason::Crossing { .. } => StopReason::Arrived,
        other => other,
    }
}
