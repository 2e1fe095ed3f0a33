//! `finish`: out of the selected frame, inlined or not; and what there is to say where no way leads out.

use super::engine::Engine;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::crossing::CrossingKind;
use crate::disasm::Flow;
use crate::event::{Stop, StopReason};
use crate::origin::Origin;
use crate::symbols::InlinedCall;
use crate::symbols::unwind::ShownFrame;

/// Instructions of the code that a signal's handler returns to: it makes one call.
const MOST_RESTORER: u32 = 4;

impl Engine {
    /// `finish`
    pub(super) fn finish(&mut self) -> Result<Stop, Trouble> {
        let frames = self.frames(None)?;
        let selected = usize::try_from(self.frame).unwrap_or(usize::MAX);
        let Some(frame) = frames.get(selected) else {
            return Err(no_caller());
        };
        if frame.inlined {
            let reason = self.finish_inlined(&frames, selected)?;
            return self.stopped(reason);
        }
        // A return address may lie behind the last instruction of the function.
        let pc = frame.place.addr;
        let inside = if frame.level == 0 {
            pc
        } else {
            pc.wrapping_sub(1)
        };
        let leaving = self.being_left(inside);
        let returns_to = frames.iter().find(|other| other.level > frame.level);
        let returns_to = returns_to.map(|caller| caller.place.addr);
        let reason = self.finish_frame(&frames, frame.level)?;
        // An exception or a jump that leads elsewhere returns nothing.
        if let (StopReason::Arrived, Some(leaving)) = (&reason, &leaving)
            && self.course.note.is_none()
            && Some(self.pc()?) == returns_to
        {
            self.course.note = self.returned(leaving);
        }
        self.stopped(reason)
    }

    /// Until the frame of the stack at this level returns.
    fn finish_frame(&mut self, frames: &[ShownFrame], level: usize) -> Result<StopReason, Trouble> {
        // What a signal's handler returns to is no function of the user's.
        if interrupted_behind(frames, level) {
            return match level.checked_sub(1) {
                Some(handler) => self.finish_frame(frames, handler),
                None => self.return_from_signal(),
            };
        }
        let Some(caller) = frames.iter().find(|frame| frame.level > level) else {
            return Err(no_caller());
        };
        // What one of the frames within never comes back from, this one does not either.
        let within = frames.iter().filter(|frame| frame.level <= level);
        let places: Vec<Addr> = within
            .filter(|frame| !frame.inlined)
            .map(|frame| frame.place.addr)
            .collect();
        for at in places {
            if let Some(name) = self.never_returns(at) {
                return Err(Trouble::new(
                    "running until the frame returns",
                    format!("{name} does not return"),
                    "'continue' runs on, 'until LOCATION' runs to a place",
                ));
            }
        }
        let arrived = match caller.sp {
            Some(sp) => self.run_behind_or_caught(caller.place.addr, sp)?,
            None => self.run_to_frame(caller.place.addr, None)?,
        };
        let returned = arrived == StopReason::Arrived && self.pc()? == caller.place.addr;
        match returned && interrupted_behind(frames, caller.level) {
            true => self.return_from_signal(),
            false => Ok(arrived),
        }
    }

    /// From where a signal's handler returns to on to what the signal has interrupted, as the handler has
    /// left it. Signals that waited till then come first.
    fn return_from_signal(&mut self) -> Result<StopReason, Trouble> {
        let frames = self.frames(None)?;
        match interrupted(&frames) {
            Some((at, Some(sp))) => self.run_behind_or_caught(at, sp),
            _ => Ok(self.make_the_return()?.unwrap_or(StopReason::Arrived)),
        }
    }

    /// The few instructions that a handler returns to.
    fn make_the_return(&mut self) -> Result<Option<StopReason>, Trouble> {
        for _ in 0..MOST_RESTORER {
            let pc = self.pc()?;
            let flow = self.instruction(pc)?.map(|found| found.flow);
            if let Some(reason) = self.advance(true)? {
                return Ok(Some(reason));
            }
            if flow == Some(Flow::Syscall) {
                break;
            }
        }
        Ok(None)
    }

    /// Until the inlined call is left: by single steps, over the calls in it.
    fn finish_inlined(
        &mut self,
        frames: &[ShownFrame],
        selected: usize,
    ) -> Result<StopReason, Trouble> {
        let level = frames[selected].level;
        let outer = frames[selected..]
            .iter()
            .filter(|frame| frame.level == level && frame.inlined)
            .count();
        // A return address may lie behind the last instruction of the inlined call.
        let pc = frames[selected].place.addr;
        let inside = if level == 0 { pc } else { pc.wrapping_sub(1) };
        let left: Vec<InlinedCall> = self.inlined(inside).into_iter().take(outer).collect();
        if level > 0 {
            match self.finish_frame(frames, level - 1)? {
                StopReason::Arrived => {}
                other => return Ok(other),
            }
        }
        let cfa = self.cfa();
        loop {
            let pc = self.pc()?;
            if !self.inlined(pc).starts_with(&left) || self.cfa() != cfa {
                return Ok(StopReason::Arrived);
            }
            if let Some(reason) = self.advance(true)? {
                return Ok(reason);
            }
            let pc = self.pc()?;
            if let Some(reason) = self.hit(pc)? {
                return Ok(reason);
            }
        }
    }

    /// The name of the function around an address, where it never returns.
    pub(super) fn never_returns(&self, at: Addr) -> Option<String> {
        let symbols = self.symbols.as_ref()?;
        if !symbols.never_returns(at) {
            return None;
        }
        let name = symbols.at(at)?.name;
        (!self.may_be_caught(name)).then(|| name.to_owned())
    }
}

/// Whether the frame at this level is what a signal's handler returns to.
fn interrupted_behind(frames: &[ShownFrame], level: usize) -> bool {
    let outer = frames.iter().find(|frame| frame.level > level);
    let crossing = outer.and_then(|frame| frame.crossing.as_ref());
    crossing.is_some_and(|crossing| crossing.kind == CrossingKind::Signal)
}

/// What the innermost signal has interrupted: where, and with which stack pointer. A call's own stub is
/// left in the same go.
fn interrupted(frames: &[ShownFrame]) -> Option<(Addr, Option<Addr>)> {
    let mut outer = frames.iter().skip_while(|frame| {
        let crossing = frame.crossing.as_ref();
        crossing.is_none_or(|crossing| crossing.kind != CrossingKind::Signal)
    });
    let frame = outer.find(|frame| frame.place.origin != Origin::Entry)?;
    Some((frame.place.addr, frame.sp))
}

fn no_caller() -> Trouble {
    Trouble::new(
        "running until the frame returns",
        "no caller of it was found",
        "'backtrace' shows the frames, 'until LOCATION' runs to a place",
    )
}
