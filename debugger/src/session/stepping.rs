//! Steps by instruction, into calls and over them. They are never lost in an interrupt: a single
//! step lets none come in between, or what came is recognised and returned from.

use super::engine::Engine;
use super::instruction::{Step, step_kind};
use super::run::{Ran, ended};
use super::spin::Waits;
use super::target::StopCause;
use super::trouble::Trouble;
use crate::addr::{Addr, AddrRange};
use crate::disasm::{Decoded, Flow};
use crate::event::{Event, Stop, StopReason};

impl Engine {
    /// One instruction; what it ran into, if anything.
    pub(super) fn step_once(&mut self) -> Result<Option<StopReason>, Trouble> {
        self.attend()?;
        if self.interrupted {
            return Ok(Some(StopReason::Interrupted));
        }
        self.tell_progress();
        let leaves = self.before_step()?;
        let reason = match self.interrupts_come() {
            true => self.step_through_interrupts(),
            false => self.step_alone(),
        };
        if !matches!(reason, Ok(Some(StopReason::End))) {
            self.course.steps += 1;
        }
        self.take_serial();
        let reason = reason?;
        self.after_step(leaves)?;
        Ok(reason)
    }

    /// One instruction of the vCPU in focus, and whatever else was asked to go on meanwhile.
    pub(super) fn step_alone(&mut self) -> Result<Option<StopReason>, Trouble> {
        if self.at_the_end()? {
            return Ok(Some(StopReason::End));
        }
        let pc = self.pc()?;
        let instruction = self.instruction(pc).ok().flatten();
        if self.replay.is_some() && instruction.as_ref().is_some_and(Decoded::is_pause) {
            let behind = self.target.position()? + 1;
            let there = self.run_to_position(behind)?;
            return Ok((!there).then_some(StopReason::Interrupted));
        }
        if let Some(pause) = instruction.filter(|found| found.is_pause() && !self.others) {
            self.target.step_pause(self.vcpu, pc + pause.len as u64)?;
            return Ok(None);
        }
        let reply = match self.others {
            true => self.target.step_among(self.vcpu)?,
            false => self.target.step(self.vcpu)?,
        };
        match reply.cause {
            StopCause::INTERRUPT => Ok(Some(StopReason::Interrupted)),
            // Another vCPU met a breakpoint meanwhile.
            StopCause::Signal(_) if reply.vcpu != self.vcpu => {
                self.vcpu = reply.vcpu;
                let pc = self.pc()?;
                self.hit(pc)
            }
            StopCause::Signal(_) => Ok(None),
            StopCause::Watch { kind, addr } => self.watched(kind, addr),
            StopCause::Exited(_) | StopCause::Killed(_) => Err(ended(reply.cause)),
        }
    }

    /// One instruction, and all that a call, a `rep` or a `hlt` does at once where `over` says so.
    pub(super) fn advance(&mut self, over: bool) -> Result<Option<StopReason>, Trouble> {
        let pc = self.pc()?;
        if self.is_halted(pc) {
            self.course.halted = true;
            let reason = self.wait_for_interrupt(pc);
            self.course.halted = false;
            return reason;
        }
        let instruction = self.instruction(pc)?;
        self.watch_for_spinning(pc, instruction.as_ref());
        let len = instruction.as_ref().map_or(1, |decoded| decoded.len);
        let next = pc + len as u64;
        match step_kind(instruction.as_ref()) {
            Step::Call if over => self.step_over(instruction.as_ref(), next),
            Step::Repeated if over => self.run_behind(next),
            Step::Halt => self.wait_for_interrupt(next),
            _ => self.step_once(),
        }
    }

    /// A call, taken as one step. One that never comes back is refused: the way behind it is none.
    fn step_over(
        &mut self,
        call: Option<&Decoded>,
        next: Addr,
    ) -> Result<Option<StopReason>, Trouble> {
        if call.is_some_and(|call| call.flow == Flow::Syscall) {
            return self.step_over_syscall(next);
        }
        let target = call.and_then(|call| call.target);
        match target.and_then(|target| self.never_returns(target)) {
            Some(name) => Err(Trouble::new(
                "stepping over a call",
                format!("{name} does not return"),
                "'step' or 'stepi' goes into it, 'continue' runs on",
            )),
            None => self.run_behind(next),
        }
    }

    fn step_over_syscall(&mut self, next: Addr) -> Result<Option<StopReason>, Trouble> {
        let number = self.register("rax")?;
        // Back to where a signal came in between, which the saved frame says.
        if self.call_name(number).as_deref() == Some("rt_sigreturn") {
            return self.step_over_sigreturn();
        }
        self.run_behind(next)
    }

    fn step_over_sigreturn(&mut self) -> Result<Option<StopReason>, Trouble> {
        let thread = self.register("fs_base")?;
        if let Some(reason) = self.step_once()? {
            return Ok(Some(reason));
        }
        loop {
            match self.cross_out()? {
                // Another thread of the application may leave the kernel before.
                StopReason::Crossing { .. } if self.register("fs_base")? == thread => {
                    return Ok(None);
                }
                StopReason::Crossing { .. } => self.course.passed += 1,
                reason => return Ok(Some(reason)),
            }
        }
    }

    /// Lets the CPU run until an interrupt has come and was handled.
    fn wait_for_interrupt(&mut self, next: Addr) -> Result<Option<StopReason>, Trouble> {
        if !self.takes_interrupts() {
            return Err(Trouble::new(
                "stepping over hlt",
                "interrupts are held back (IF is clear): nothing but an NMI ends it",
                "'continue' lets the CPU wait",
            ));
        }
        // Every idle CPU has a hlt there: this one's is meant, whatever ran on it meanwhile.
        let vcpu = self.vcpu;
        self.course.alone = true;
        let ran = self.run_to(&[next], &mut |engine| Ok(engine.vcpu == vcpu));
        self.course.alone = false;
        match ran? {
            Ran::Stopped(reason) => Ok(Some(reason)),
            Ran::Arrived => {
                let note = "the CPU waited at hlt until an interrupt came, which was handled";
                self.course.note = Some(note.to_owned());
                Ok(None)
            }
        }
    }

    /// Alone, as far as it goes: a step moves the vCPU in focus.
    fn run_behind(&mut self, next: Addr) -> Result<Option<StopReason>, Trouble> {
        let sp = Addr(self.sp()?);
        self.course.alone = true;
        let reason = self.run_behind_or_caught(next, sp);
        self.course.alone = false;
        Ok(Some(reason?).filter(|reason| *reason != StopReason::Arrived))
    }

    /// Notes once what a loop waits for that steps go round in.
    fn watch_for_spinning(&mut self, pc: Addr, instruction: Option<&Decoded>) {
        let jiffies = self.jiffies();
        let waits = instruction.and_then(|found| Waits::of(found, jiffies));
        if let Some(waits) = self.course.spin.step(pc, waits) {
            self.port.send(Event::Notice(waits.explanation()));
            self.course.spinning = Some(waits);
        }
    }

    fn jiffies(&mut self) -> Option<Addr> {
        if self.course.jiffies.is_none() {
            let symbols = self.symbols.as_ref();
            self.course.jiffies = Some(symbols.and_then(|symbols| symbols.address_of("jiffies")));
        }
        self.course.jiffies.flatten()
    }

    /// `stepi`, `nexti`
    pub(super) fn step_instructions(&mut self, count: u64, over: bool) -> Result<Stop, Trouble> {
        self.course.of = Some(count);
        for _ in 0..count {
            if let Some(reason) = self.advance(over)? {
                return self.stopped(reason);
            }
            let pc = self.pc()?;
            if let Some(reason) = self.hit(pc)? {
                return self.stopped(reason);
            }
        }
        self.stopped(StopReason::Step)
    }

    /// Instructions until one lies outside of these, or something stops it.
    pub(super) fn step_within(&mut self, range: AddrRange) -> Result<Stop, Trouble> {
        loop {
            if let Some(reason) = self.advance(false)? {
                return self.stopped(reason);
            }
            let pc = self.pc()?;
            if let Some(reason) = self.hit(pc)? {
                return self.stopped(reason);
            }
            if !range.contains(pc) {
                return self.stopped(StopReason::Step);
            }
        }
    }

    /// Runs until this instruction is reached with this stack pointer, in this address space: then
    /// it is the same frame, not another task's or another turn of a recursion.
    pub(super) fn run_to_frame(
        &mut self,
        pc: Addr,
        sp: Option<Addr>,
    ) -> Result<StopReason, Trouble> {
        let space = self.address_space()?;
        let ran = self.run_to(&[pc], &mut |engine| engine.is_frame(sp, space))?;
        Ok(match ran {
            Ran::Arrived => StopReason::Arrived,
            Ran::Stopped(reason) => reason,
        })
    }

    pub(super) fn is_frame(&mut self, sp: Option<Addr>, space: u64) -> Result<bool, Trouble> {
        let same_stack = match sp {
            Some(sp) => self.sp()? == sp.0,
            None => true,
        };
        // A stack in the kernel half is the same in every address space, and a thread of the kernel
        // comes back in whichever is in use then.
        let in_kernel = sp.is_some_and(Addr::in_kernel_half);
        Ok(same_stack && (in_kernel || self.address_space()? == space))
    }

    /// Which process's page tables are in use.
    pub(super) fn address_space(&mut self) -> Result<u64, Trouble> {
        let symbols = self.symbols.as_ref();
        let isolated = symbols.is_some_and(|symbols| symbols.address_of("pti_init").is_some());
        Ok(tables_of(self.register("cr3")?, isolated))
    }
}

/// The root of the page tables, without the low bits that carry flags. A kernel that is built to isolate
/// its tables from ring 3 has two roots for each process, side by side at a multiple of both.
const fn tables_of(cr3: u64, isolated: bool) -> u64 {
    if isolated { cr3 >> 13 } else { cr3 >> 12 }
}

#[cfg(test)]
mod tests {
    use super::tables_of;

    #[test]
    fn both_roots_of_a_process_are_one_space_and_neighbours_are_two() {
        assert_eq!(tables_of(0x1_2000, true), tables_of(0x1_3801, true));
        assert_ne!(tables_of(0x1_2000, true), tables_of(0x1_4000, true));
        assert_eq!(tables_of(0x1_2000, false), tables_of(0x1_2801, false));
        assert_ne!(tables_of(0x1_2000, false), tables_of(0x1_3000, false));
    }
}
