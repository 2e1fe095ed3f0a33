//! Calls that end elsewhere than behind themselves: at an exception's handler, or where a `longjmp` goes.

use super::engine::Engine;
use super::run::Ran;
use super::trouble::Trouble;
use crate::addr::{Addr, AddrRange};
use crate::event::StopReason;

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

/// Nor do these, but a `setjmp` may be further out.
const JUMPS: [&str; 5] = [
    "longjmp",
    "_longjmp",
    "siglongjmp",
    "__longjmp_chk",
    "__longjmp",
];

/// What is at work last in a `longjmp` of glibc; musl's is one function.
const LAST_OF_A_JUMP: [&str; 2] = ["__longjmp", "____longjmp_chk"];

/// musl's restores the signal mask before it returns anew.
const SAVES_THE_MASK: [&str; 2] = ["sigsetjmp", "__sigsetjmp"];

/// Instructions of such a function: most are moves of a register.
const MOST: u32 = 200;

impl Engine {
    /// Whether control may go on from a function that is known never to return.
    pub(super) fn may_be_caught(&self, name: &str) -> bool {
        THROWS.contains(&name) && !self.hooks().is_empty()
            || JUMPS.contains(&name) && !self.long_jumps().is_empty()
    }

    /// Of the application; in mode `linux` its twin in the kernel's file has one as well.
    fn hooks(&self) -> Vec<Addr> {
        self.app_code(UNWIND_HOOK)
    }

    fn long_jumps(&self) -> Vec<Addr> {
        let last = LAST_OF_A_JUMP.iter();
        let last: Vec<Addr> = last.flat_map(|name| self.app_code(name)).collect();
        match last.is_empty() {
            true => self.app_code(JUMPS[0]),
            false => last,
        }
    }

    fn app_code(&self, name: &str) -> Vec<Addr> {
        let found = self.symbols.as_ref().map(|all| all.lookup(name));
        let found = found.into_iter().flatten();
        found
            .filter(|symbol| symbol.kind.is_code() && symbol.origin.is_app_side())
            .map(|symbol| symbol.addr)
            .collect()
    }

    /// Runs to an instruction in a frame, or to where control goes in it or further out without a
    /// return: to an exception's handler, or behind a `setjmp`.
    pub(super) fn run_behind_or_caught(
        &mut self,
        next: Addr,
        sp: Addr,
    ) -> Result<StopReason, Trouble> {
        let (hooks, jumps) = match self.is_app(next) {
            true => (self.hooks(), self.long_jumps()),
            false => (Vec::new(), Vec::new()),
        };
        if hooks.is_empty() && jumps.is_empty() {
            return self.run_to_frame(next, Some(sp));
        }
        let space = self.address_space()?;
        // Another thread passes the same places: each has a base of its own.
        let thread = self.register("fs_base")?;
        let mut handlers: Vec<Addr> = Vec::new();
        loop {
            let mut traps = vec![next];
            traps.extend(hooks.iter().chain(&jumps).chain(&handlers));
            let ran = self.run_to(&traps, &mut |engine| {
                let pc = engine.pc()?;
                if pc == next {
                    return engine.is_frame(Some(sp), space);
                }
                // A handler further in is the callee's own affair.
                let on_the_way = hooks.contains(&pc) || jumps.contains(&pc);
                let here = engine.is_frame(None, space)? && engine.register("fs_base")? == thread;
                Ok(here && (on_the_way || engine.sp()? >= sp.0))
            })?;
            if let Ran::Stopped(reason) = ran {
                return Ok(reason);
            }
            let pc = self.pc()?;
            if jumps.contains(&pc) {
                if let Some(reason) = self.follow_jump(pc)? {
                    return Ok(reason);
                }
                // As with handlers.
                if self.sp()? >= sp.0 {
                    return Ok(StopReason::Arrived);
                }
            } else if hooks.contains(&pc) {
                let handler = Addr(self.register("rsi")?);
                if !handlers.contains(&handler) {
                    handlers.push(handler);
                }
            } else {
                return Ok(StopReason::Arrived);
            }
        }
    }

    /// From the first instruction of a `longjmp` to behind the call of the `setjmp` that it goes to.
    fn follow_jump(&mut self, pc: Addr) -> Result<Option<StopReason>, Trouble> {
        if let Some(reason) = self.hit(pc)? {
            return Ok(Some(reason));
        }
        if let Some(reason) = self.step_out_of(self.function_around(pc))? {
            return Ok(Some(reason));
        }
        let pc = self.pc()?;
        let symbol = self.place(pc).symbol.unwrap_or_default();
        if !SAVES_THE_MASK.contains(&symbol.as_str()) {
            return Ok(None);
        }
        // It ends with a jump to a function that returns in its place.
        if let Some(reason) = self.step_out_of(self.function_around(pc))? {
            return Ok(Some(reason));
        }
        let sp = Addr(self.sp()?);
        let returns_to = Addr(self.word(sp)?);
        let reason = self.run_to_frame(returns_to, Some(sp + 8))?;
        Ok(Some(reason).filter(|reason| *reason != StopReason::Arrived))
    }

    fn step_out_of(&mut self, function: AddrRange) -> Result<Option<StopReason>, Trouble> {
        for _ in 0..MOST {
            if let Some(reason) = self.step_once()? {
                return Ok(Some(reason));
            }
            let pc = self.pc()?;
            if !function.contains(pc) {
                return Ok(None);
            }
        }
        Err(Trouble::new(
            "following a longjmp",
            format!("it did not jump in {MOST} instructions"),
            "'stepi' executes one after another",
        ))
    }
}
