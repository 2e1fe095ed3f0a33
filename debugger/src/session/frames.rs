//! The stack across the boundary: what `bt` shows, and where a frame returns to.

use std::sync::Arc;

use super::engine::{Engine, place_of};
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::crossing::CrossingKind;
use crate::event::{Frame, Place, StackEnd};
use crate::guest::{self, GIVE_VMLINUX, Stacks};
use crate::symbols::unwind::{Backtrace, End, RegisterSet, ShownFrame};

/// Deeper than any stack of the kernel's size goes.
const DEEPEST: usize = 128;

/// Fewer frames than this are worth following alone.
const FEW: usize = 16;

/// The innermost frame on the application's side, seen from the kernel.
#[derive(Clone, Debug)]
pub(super) struct AppFrame {
    /// Where control returns to, and with which stack pointer.
    pub(super) pc: Addr,
    pub(super) sp: u64,
    /// It called a function of the kernel like any other.
    pub(super) by_call: bool,
    pub(super) kind: Option<CrossingKind>,
    pub(super) call: String,
}

impl Engine {
    /// The stack as it is found, innermost first.
    ///
    /// It is followed once, however many ask, until the target moves.
    pub(super) fn unwind(&mut self, limit: Option<usize>) -> Result<Arc<Backtrace>, Trouble> {
        let when = (self.target.epoch(), self.vcpu);
        if let Some((then, backtrace)) = &self.unwound
            && *then == when
        {
            return Ok(Arc::clone(backtrace));
        }
        let limit = limit.filter(|limit| *limit < FEW);
        let registers = self.registers()?;
        let Some(symbols) = &self.symbols else {
            return Err(Trouble::new(
                "following the stack",
                "no vmlinux was given, so its frames are not known",
                GIVE_VMLINUX,
            ));
        };
        let set = RegisterSet::from_names(|name| registers.get(name));
        let target = &mut self.target;
        let mut memory = |at: Addr, bytes: &mut [u8]| target.read(at, bytes).is_ok();
        let backtrace = symbols.backtrace(&set, &mut memory, limit.unwrap_or(DEEPEST));
        let backtrace = Arc::new(backtrace);
        if limit.is_none() {
            self.unwound = Some((when, Arc::clone(&backtrace)));
        }
        Ok(backtrace)
    }

    pub(super) fn frames(&mut self, limit: Option<usize>) -> Result<Vec<ShownFrame>, Trouble> {
        let backtrace = self.unwind(limit)?;
        Ok(self
            .symbols
            .as_ref()
            .map_or_else(Vec::new, |symbols| symbols.shown_frames(&backtrace)))
    }

    /// `backtrace`
    pub(super) fn backtrace(&mut self, limit: Option<u32>) -> Result<Vec<Frame>, Trouble> {
        if self.symbols.is_none() {
            let (pc, sp) = (self.pc()?, self.sp()?);
            return Ok(vec![bare(pc, sp)]);
        }
        let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(DEEPEST).max(1));
        let backtrace = self.unwind(limit)?;
        let stacks = self.stacks().unwrap_or_default();
        Ok(self.event_frames(&backtrace, &stacks, limit))
    }

    pub(super) fn event_frames(
        &self,
        backtrace: &Backtrace,
        stacks: &Stacks,
        limit: Option<usize>,
    ) -> Vec<Frame> {
        let Some(symbols) = &self.symbols else {
            return Vec::new();
        };
        let shown = symbols.shown_frames(backtrace);
        let most = limit.unwrap_or(usize::MAX);
        let cut = shown.len() > most;
        let mut frames: Vec<Frame> = (0..)
            .zip(shown.into_iter().take(most))
            .map(|(n, frame)| event_frame(n, frame, stacks))
            .collect();
        if let Some(last) = frames.last_mut() {
            let end = if cut { &End::Limit } else { &backtrace.end };
            let complete = end.is_complete();
            let what = match self.not_kept() {
                Some(why) if !complete && !cut => format!("{end} ({why})"),
                _ => end.to_string(),
            };
            last.end = Some(StackEnd { complete, what });
        }
        frames
    }

    /// The registers of the CPU in focus, with the base of its own area.
    pub(super) fn cpu_registers(&mut self) -> Result<RegisterSet, Trouble> {
        let registers = self.registers()?;
        let mut set = RegisterSet::from_names(|name| registers.get(name));
        set.gs_base = self.per_cpu_base().map(|base| base.0);
        Ok(set)
    }

    /// The stacks of the CPU in focus, and of its task.
    pub(super) fn stacks(&mut self) -> Option<Stacks> {
        let set = self.cpu_registers().ok()?;
        self.reading(|symbols, memory| {
            let current = guest::current(symbols, &set, memory).ok();
            Stacks::of(symbols, &set, current.as_ref(), memory)
        })
    }

    /// The registers of the selected frame, as far as they are known in it.
    pub(super) fn selected_registers(&mut self) -> Result<RegisterSet, Trouble> {
        let registers = self.registers()?;
        if self.frame == 0 {
            return Ok(RegisterSet::from_names(|name| registers.get(name)));
        }
        let backtrace = self.unwind(None)?;
        let level = self.selected(&backtrace)?.level;
        Ok(backtrace
            .frames
            .get(level)
            .map(|frame| frame.registers.clone())
            .unwrap_or_default())
    }

    pub(super) fn selected(&self, backtrace: &Backtrace) -> Result<ShownFrame, Trouble> {
        let shown = self
            .symbols
            .as_ref()
            .map_or_else(Vec::new, |symbols| symbols.shown_frames(backtrace));
        let count = shown.len();
        let n = usize::try_from(self.frame).unwrap_or(usize::MAX);
        shown
            .into_iter()
            .nth(n)
            .ok_or_else(|| no_frame(self.frame, count))
    }

    /// The place of the selected frame: a caller's line is that of its call.
    pub(super) fn selected_place(&mut self) -> Result<Place, Trouble> {
        if self.frame == 0 {
            let pc = self.pc()?;
            return Ok(self.place(pc));
        }
        let backtrace = self.unwind(None)?;
        self.selected(&backtrace).map(|frame| place_of(frame.place))
    }

    /// `frame`, `up`, `down`
    pub(super) fn select(&mut self, n: u32) -> Result<Vec<Frame>, Trouble> {
        let frames = self.backtrace(None)?;
        let count = frames.len();
        let frame = frames.into_iter().find(|frame| frame.n == n);
        let frame = frame.ok_or_else(|| no_frame(n, count))?;
        self.frame = n;
        Ok(vec![frame])
    }

    /// The stack pointer that the caller of the running function will have again.
    pub(super) fn cfa(&mut self) -> Option<u64> {
        let backtrace = self.unwind(Some(2)).ok()?;
        let caller = backtrace.frames.get(1)?;
        caller.registers.sp().map(|sp| sp.0)
    }

    /// The application's frame that control will return to.
    pub(super) fn app_frame(&mut self) -> Result<AppFrame, Trouble> {
        let backtrace = self.unwind(None)?;
        let mut found = None;
        for (inner, frame) in backtrace.frames.iter().zip(backtrace.frames.iter().skip(1)) {
            if self.is_app(frame.pc) && !self.is_app(inner.pc) {
                found = Some((inner, frame));
                break;
            }
        }
        let Some((inner, frame)) = found else {
            return Err(Trouble::new(
                "looking for the application's frame",
                format!("there is none on this stack; {}", backtrace.end),
                "'until app' runs until the application does",
            ));
        };
        let Some(sp) = frame.registers.sp() else {
            return Err(Trouble::new(
                "looking for the application's frame",
                "its stack pointer was not found",
                "'until app' runs until the application does",
            ));
        };
        let crossing = frame.crossing.clone();
        let stub = self.place(inner.pc).symbol.unwrap_or_default();
        Ok(AppFrame {
            pc: frame.pc,
            sp: sp.0,
            by_call: crossing
                .as_ref()
                .is_some_and(|crossing| crossing.kind == CrossingKind::Shortcut)
                && self.profile().entry_code(&stub).is_none(),
            kind: crossing.as_ref().map(|crossing| crossing.kind),
            call: crossing.map_or_else(String::new, |crossing| crossing.call),
        })
    }
}

fn event_frame(n: u32, frame: ShownFrame, stacks: &Stacks) -> Frame {
    Frame {
        n,
        place: place_of(frame.place),
        inlined: frame.inlined,
        crossing: frame.crossing.as_ref().map(|crossing| crossing.kind),
        call: frame.crossing.map(|crossing| crossing.call),
        found_by: frame.found_by.name(),
        sp: frame.sp,
        certainty: frame.certainty.name(),
        doubt: frame.certainty.doubt().map(str::to_owned),
        stack: frame.sp.map(|sp| stacks.at(sp).to_string()),
        end: None,
    }
}

fn bare(pc: Addr, sp: u64) -> Frame {
    Frame {
        n: 0,
        place: Place {
            addr: pc,
            ..Place::default()
        },
        found_by: "registers",
        sp: Some(Addr(sp)),
        certainty: "certain",
        end: Some(StackEnd {
            complete: false,
            what: "without a vmlinux no more of the stack is known".to_owned(),
        }),
        ..Frame::default()
    }
}

fn no_frame(n: u32, count: usize) -> Trouble {
    Trouble::new(
        format!("selecting frame {n}"),
        format!("there are {count}, counted from 0"),
        "'backtrace' lists them",
    )
}
