//! `finish`: out of the selected frame, inlined or not; and what there is to say where no way leads out.

use super::engine::Engine;
use super::run::Ran;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::event::{Stop, StopReason};
use crate::symbols::InlinedCall;
use crate::symbols::unwind::ShownFrame;

/// Where C++'s runtime says which handler an exception goes to: in rsi, its stack above rdi's.
const UNWIND_HOOK: &str = "_Unwind_DebugHook";

/// These do not return, but a handler may be behind them.
const THROWS: [&str; 5] = [
    "__cxa_throw",
    "__cxa_rethrow",
    "_Unwind_Resume",
    "_Unwind_RaiseException",
    "_Unwind_Resume_or_Rethrow",
];

impl Engine {
    /// `finish`
    pub(super) fn finish(&mut self) -> Result<Stop, Trouble> {
        let frames = self.frames(None)?;
        let selected = usize::try_from(self.frame).unwrap_or(usize::MAX);
        let Some(frame) = frames.get(selected) else {
            return Err(no_caller());
        };
        let reason = match frame.inlined {
            true => self.finish_inlined(&frames, selected)?,
            false => self.finish_frame(&frames, frame.level)?,
        };
        self.stopped(reason)
    }

    /// Until the frame of the stack at this level returns.
    fn finish_frame(&mut self, frames: &[ShownFrame], level: usize) -> Result<StopReason, Trouble> {
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
        self.run_to_frame(caller.place.addr, caller.sp)
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
        let caught = THROWS.contains(&name) && !self.hooks().is_empty();
        (!caught).then(|| name.to_owned())
    }

    /// Of the application; in mode `linux` its twin in the kernel's file has one as well.
    fn hooks(&self) -> Vec<Addr> {
        let found = self.symbols.as_ref().map(|all| all.lookup(UNWIND_HOOK));
        let hooks = found.into_iter().flatten();
        hooks.map(|symbol| symbol.addr).collect()
    }

    /// Runs to an instruction in a frame, or to the handler in it or further out that an exception
    /// on the way goes to: then no return comes.
    pub(super) fn run_behind_or_caught(
        &mut self,
        next: Addr,
        sp: Addr,
    ) -> Result<StopReason, Trouble> {
        let pc = self.pc()?;
        let hooks = match self.is_app(pc) {
            true => self.hooks(),
            false => Vec::new(),
        };
        if hooks.is_empty() {
            return self.run_to_frame(next, Some(sp));
        }
        let space = self.address_space()?;
        // Another thread's exceptions pass the same places: each has a base of its own.
        let thread = self.register("fs_base")?;
        let mut handlers: Vec<Addr> = Vec::new();
        loop {
            let mut traps = vec![next];
            traps.extend(hooks.iter().chain(&handlers));
            let ran = self.run_to(&traps, &mut |engine| {
                let pc = engine.pc()?;
                if pc == next {
                    return engine.is_frame(Some(sp), space);
                }
                // A handler further in is the callee's own affair.
                let here = engine.is_frame(None, space)? && engine.register("fs_base")? == thread;
                Ok(here && (hooks.contains(&pc) || engine.sp()? >= sp.0))
            })?;
            if let Ran::Stopped(reason) = ran {
                return Ok(reason);
            }
            let pc = self.pc()?;
            if !hooks.contains(&pc) {
                return Ok(StopReason::Arrived);
            }
            let handler = Addr(self.register("rsi")?);
            if !handlers.contains(&handler) {
                handlers.push(handler);
            }
        }
    }
}

fn no_caller() -> Trouble {
    Trouble::new(
        "running until the frame returns",
        "no caller of it was found",
        "'backtrace' shows the frames, 'until LOCATION' runs to a place",
    )
}
