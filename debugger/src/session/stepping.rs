//! Steps: by instruction and by line, into calls and over them, out of frames. They are never
//! lost in an interrupt: a single step lets none come in between.

use super::engine::Engine;
use super::instruction::{Step, step_kind};
use super::run::{Ran, ended};
use super::target::StopCause;
use super::trouble::Trouble;
use crate::addr::{Addr, AddrRange};
use crate::event::{Event, Stop, StopReason};

/// What a step by line does at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    Into,
    Over,
    /// Into the application's own functions; the kernel is one opaque call.
    OverKernel,
}

/// Where a step by line began.
struct Began {
    /// File and line; none in code without.
    line: Option<(Option<String>, u32)>,
    function: AddrRange,
    /// The stack pointer that the caller will have again.
    cfa: Option<u64>,
}

/// Single steps through code without lines before it is said that none came.
const MOST_STEPS: u64 = 50_000;

impl Engine {
    /// One instruction; what it ran into, if anything.
    pub(super) fn step_once(&mut self) -> Result<Option<StopReason>, Trouble> {
        self.attend()?;
        if self.interrupted {
            return Ok(Some(StopReason::Interrupted));
        }
        let reply = self.target.step(self.vcpu)?;
        self.steps += 1;
        self.forward_serial();
        match reply.cause {
            StopCause::Signal(2) => Ok(Some(StopReason::Interrupted)),
            StopCause::Signal(_) => Ok(None),
            StopCause::Watch { addr, .. } => self.watched(addr),
            StopCause::Exited(_) | StopCause::Killed(_) => Err(ended(reply.cause)),
        }
    }

    /// One instruction, and all that a call, a `rep` or a `hlt` does at once where `over` says so.
    pub(super) fn advance(&mut self, over: bool) -> Result<Option<StopReason>, Trouble> {
        let pc = self.pc()?;
        let instruction = self.instruction(pc)?;
        let len = instruction.as_ref().map_or(1, |decoded| decoded.len);
        let next = pc + len as u64;
        match step_kind(instruction.as_ref()) {
            Step::Call | Step::Repeated if over => self.run_behind(next, true),
            Step::Halt => self.run_behind(next, false),
            _ => self.step_once(),
        }
    }

    fn run_behind(&mut self, next: Addr, same_frame: bool) -> Result<Option<StopReason>, Trouble> {
        let sp = self.sp()?;
        let reason = self.run_to_frame(next, same_frame.then_some(Addr(sp)))?;
        Ok(Some(reason).filter(|reason| *reason != StopReason::Arrived))
    }

    /// `stepi`, `nexti`
    pub(super) fn step_instructions(&mut self, count: u64, over: bool) -> Result<Stop, Trouble> {
        for done in 1..=count {
            if let Some(reason) = self.advance(over)? {
                return self.stopped(reason);
            }
            let pc = self.pc()?;
            if let Some(reason) = self.hit(pc)? {
                return self.stopped(reason);
            }
            if done % 1024 == 0 {
                let notice = format!("stepi: {done} of {count} instructions");
                self.port.send(Event::Notice(notice));
            }
        }
        self.stopped(StopReason::Step)
    }

    /// `step`, `next`, `over kernel`
    pub(super) fn step_lines(&mut self, count: u64, calls: Calls) -> Result<Stop, Trouble> {
        for _ in 0..count {
            if let Some(reason) = self.step_line(calls)? {
                return self.stopped(reason);
            }
        }
        self.stopped(StopReason::Step)
    }

    fn step_line(&mut self, calls: Calls) -> Result<Option<StopReason>, Trouble> {
        let began = self.here()?;
        let first = self.steps;
        loop {
            let pc = self.pc()?;
            let kind = step_kind(self.instruction(pc)?.as_ref());
            let was_app = self.is_app(pc);
            let over = match kind {
                Step::Call => calls == Calls::Over,
                _ => true,
            };
            if let Some(reason) = self.advance(over)? {
                return Ok(Some(reason));
            }
            let mut pc = self.pc()?;
            if calls == Calls::OverKernel && was_app && !self.is_app(pc) {
                match self.back()? {
                    StopReason::Arrived => pc = self.pc()?,
                    other => return Ok(Some(other)),
                }
            }
            if let Some(reason) = self.hit(pc)? {
                return Ok(Some(reason));
            }
            let inside = began.function.contains(pc) && !matches!(kind, Step::Call | Step::Return);
            let frame = if inside {
                Frame::Same
            } else {
                self.frame_since(&began, pc)?
            };
            let done = match frame {
                Frame::Same => self.begins_other_line(pc, &began),
                Frame::Caller | Frame::Other => self.has_line(pc),
            };
            if done {
                return Ok(None);
            }
            if self.steps - first > MOST_STEPS {
                return Err(Trouble::new(
                    "stepping to another source line",
                    format!("none came in {MOST_STEPS} instructions of code without lines"),
                    "'finish' leaves this function, 'until LOCATION' runs to a place",
                ));
            }
        }
    }

    fn here(&mut self) -> Result<Began, Trouble> {
        let pc = self.pc()?;
        let place = self.place(pc);
        let function = self
            .symbols
            .as_ref()
            .and_then(|symbols| symbols.at(pc))
            .map_or(AddrRange::new(pc, pc + 1), |symbol| {
                AddrRange::new(symbol.addr, symbol.addr + symbol.size)
            });
        Ok(Began {
            line: place.line.map(|line| (place.file, line)),
            function,
            cfa: self.cfa(),
        })
    }

    /// Which frame this is, seen from the one a step began in: the stack tells, so that a
    /// function that calls itself is not mistaken for itself.
    fn frame_since(&mut self, began: &Began, pc: Addr) -> Result<Frame, Trouble> {
        let Some(cfa) = began.cfa else {
            return Ok(if began.function.contains(pc) {
                Frame::Same
            } else {
                Frame::Other
            });
        };
        if self.sp()? == cfa {
            return Ok(Frame::Caller);
        }
        let same = began.function.contains(pc) && self.cfa() == Some(cfa);
        Ok(if same { Frame::Same } else { Frame::Other })
    }

    fn has_line(&self, pc: Addr) -> bool {
        self.place(pc).line.is_some()
    }

    /// In code without lines every instruction of another function counts, and none of this one.
    fn begins_other_line(&self, pc: Addr, began: &Began) -> bool {
        let place = self.place(pc);
        let Some(line) = place.line else {
            return false;
        };
        if began.line == Some((place.file, line)) {
            return false;
        }
        // The middle of another line was jumped into: its rest belongs to what was left.
        let range = self
            .symbols
            .as_ref()
            .and_then(|symbols| symbols.line_range(pc));
        range.is_none_or(|range| range.start == pc)
    }

    /// `finish`: until the selected frame returns.
    pub(super) fn finish(&mut self) -> Result<Stop, Trouble> {
        let frames = self.frames(None)?;
        let selected = usize::try_from(self.frame).unwrap_or(usize::MAX);
        // Inlined calls share one frame of the stack: the return is that frame's.
        let level = frames.get(selected).map(|frame| frame.level);
        let caller = frames.iter().find(|frame| Some(frame.level) > level);
        let (Some(_), Some(caller)) = (level, caller) else {
            return Err(Trouble::new(
                "running until the frame returns",
                "no caller of it was found",
                "'backtrace' shows the frames, 'until LOCATION' runs to a place",
            ));
        };
        let (pc, sp) = (caller.place.addr, caller.sp);
        let reason = self.run_to_frame(pc, sp)?;
        self.stopped(reason)
    }

    /// Runs until this instruction is reached with this stack pointer, in this address space: then
    /// it is the same frame, not another task's or another turn of a recursion.
    pub(super) fn run_to_frame(
        &mut self,
        pc: Addr,
        sp: Option<Addr>,
    ) -> Result<StopReason, Trouble> {
        let space = self.address_space()?;
        let ran = self.run_to(&[pc], &mut |engine| {
            let same_stack = match sp {
                Some(sp) => engine.sp()? == sp.0,
                None => true,
            };
            Ok(same_stack && engine.address_space()? == space)
        })?;
        Ok(match ran {
            Ran::Arrived => StopReason::Arrived,
            Ran::Stopped(reason) => reason,
        })
    }

    /// The root of the page tables, without the low bits that carry flags.
    fn address_space(&mut self) -> Result<u64, Trouble> {
        Ok(self.register("cr3")? >> 12)
    }
}

enum Frame {
    Same,
    Caller,
    Other,
}
