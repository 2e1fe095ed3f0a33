//! Steps by source line, into calls and over them; inlined calls are calls.

use super::engine::Engine;
use super::instruction::{Step, step_kind};
use super::spin::Waits;
use super::trouble::Trouble;
use crate::addr::{Addr, AddrRange};
use crate::event::{Stop, StopReason};
use crate::symbols::InlinedCall;

/// What a step by line does at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    Into,
    Over,
    /// As [`Calls::Over`], and not back into a loop: gdb's `until`.
    Forward,
    /// Into the application's own functions; the kernel is one opaque call.
    OverKernel,
}

/// Where a step by line began.
struct Began {
    pc: Addr,
    /// File and line; none in code without.
    line: Option<(Option<String>, u32)>,
    function: AddrRange,
    /// The stack pointer that the caller will have again.
    cfa: Option<u64>,
    /// The inlined calls around it, outermost first.
    inlined: Vec<InlinedCall>,
}

enum Frame {
    Same,
    Caller,
    Other,
}

/// Single steps through code without lines before it is said that none came.
const MOST_STEPS: u64 = 50_000;

impl Calls {
    const fn over(self) -> bool {
        matches!(self, Self::Over | Self::Forward)
    }
}

impl Engine {
    /// `step`, `next`, `over kernel`
    pub(super) fn step_lines(&mut self, count: u64, calls: Calls) -> Result<Stop, Trouble> {
        for _ in 0..count {
            if let Some(reason) = self.step_line(calls)? {
                return self.stopped(reason);
            }
        }
        self.stopped(StopReason::Step)
    }

    /// `until` without a place
    pub(super) fn step_forward(&mut self) -> Result<Stop, Trouble> {
        self.step_lines(1, Calls::Forward)
    }

    fn step_line(&mut self, calls: Calls) -> Result<Option<StopReason>, Trouble> {
        let began = self.here()?;
        let first = self.course.steps;
        loop {
            let pc = self.pc()?;
            let kind = step_kind(self.instruction(pc)?.as_ref());
            let was_app = self.is_app(pc);
            let over = match kind {
                Step::Call => calls.over(),
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
                Frame::Same => self.begins_other_line(pc, &began, calls),
                Frame::Caller | Frame::Other => self.has_line(pc),
            };
            if done {
                return Ok(None);
            }
            self.check_that_it_ends(first)?;
        }
    }

    /// A line without an end is not stepped through for ever.
    fn check_that_it_ends(&mut self, first: u64) -> Result<(), Trouble> {
        const TRIED: &str = "stepping to another source line";
        if let Some(waits) = self.course.spinning.take() {
            return Err(Trouble::new(TRIED, waits.sentence(), Waits::NEXT));
        }
        if self.course.steps - first > MOST_STEPS {
            return Err(Trouble::new(
                TRIED,
                format!("none came in {MOST_STEPS} instructions"),
                "'finish' leaves this function, 'until LOCATION' runs to a place",
            ));
        }
        Ok(())
    }

    fn here(&mut self) -> Result<Began, Trouble> {
        let pc = self.pc()?;
        let place = self.place(pc);
        Ok(Began {
            pc,
            line: place.line.map(|line| (place.file, line)),
            function: self.function_around(pc),
            cfa: self.cfa(),
            inlined: self.inlined(pc),
        })
    }

    /// The instruction alone where no function is known.
    pub(super) fn function_around(&self, pc: Addr) -> AddrRange {
        let symbols = self.symbols.as_ref();
        let symbol = symbols.and_then(|symbols| symbols.at(pc));
        symbol.map_or(AddrRange::new(pc, pc + 1), |symbol| {
            AddrRange::new(symbol.addr, symbol.addr + symbol.size)
        })
    }

    pub(super) fn inlined(&self, pc: Addr) -> Vec<InlinedCall> {
        self.symbols
            .as_ref()
            .map_or_else(Vec::new, |symbols| symbols.inlined_calls(pc))
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
    fn begins_other_line(&self, pc: Addr, began: &Began, calls: Calls) -> bool {
        let place = self.place(pc);
        let Some(line) = place.line else {
            return false;
        };
        if began.line == Some((place.file, line)) || calls == Calls::Forward && pc < began.pc {
            return false;
        }
        // The middle of another line was jumped into: its rest belongs to what was left.
        let range = self
            .symbols
            .as_ref()
            .and_then(|symbols| symbols.line_range(pc));
        let begins = range.is_none_or(|range| range.start == pc);
        begins && !(calls.over() && went_deeper(&began.inlined, &self.inlined(pc)))
    }
}

/// Whether an inlined call has begun that there was not: a step over calls goes on through it.
fn went_deeper(began: &[InlinedCall], now: &[InlinedCall]) -> bool {
    let common = began.iter().zip(now).take_while(|(a, b)| a == b).count();
    now.len() > common
}
