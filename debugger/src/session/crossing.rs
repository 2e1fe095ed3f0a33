//! `cross`, `cross back`, `over kernel`: from one side of the boundary to the other.

use std::sync::Arc;

use super::doors::{Door, Doors, From};
use super::engine::Engine;
use super::run::Ran;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::crossing::CrossingKind;
use crate::disasm::Flow;
use crate::event::{Stop, StopReason};
use crate::guest::GIVE_VMLINUX;
use crate::origin::Origin;
use crate::profile::EntryCode;
use crate::symbols::unwind::Reg;

/// Instructions of a stub that lies in the application's code.
const MOST_STUB: u32 = 4;

/// What became of the instruction that leaves the kernel.
enum Left {
    /// The application has control.
    Out,
    Held,
    Stopped(StopReason),
}

impl Engine {
    pub(super) fn doors(&mut self) -> Result<Arc<Doors>, Trouble> {
        if self.doors.is_none() {
            let Some(symbols) = &self.symbols else {
                return Err(Trouble::new(
                    "finding the boundary",
                    "no vmlinux was given, so its places are not known",
                    GIVE_VMLINUX,
                ));
            };
            self.doors = Some(Arc::new(Doors::of(symbols)));
        }
        Ok(self.doors.clone().unwrap_or_default())
    }

    /// To the first instruction on the other side. Interrupts are passed over: the application
    /// did not ask for them.
    pub(super) fn cross(&mut self) -> Result<Stop, Trouble> {
        let pc = self.pc()?;
        let ran = if self.is_app(pc) {
            self.cross_in()?
        } else {
            self.cross_out()?
        };
        self.stopped(ran)
    }

    /// The application's next way into the kernel that it asked for, or a fault.
    pub(super) fn cross_in(&mut self) -> Result<StopReason, Trouble> {
        let doors = self.doors()?;
        let traps: Vec<Addr> = doors.into.keys().copied().collect();
        if traps.is_empty() {
            return Err(no_doors());
        }
        let space = self.app_space()?;
        let ran = self.run_to(&traps, &mut |engine| {
            let pc = engine.pc()?;
            match doors.into.get(&pc) {
                Some(door) => engine.comes_from_app(door.from, space),
                None => Ok(false),
            }
        })?;
        match ran {
            Ran::Stopped(reason) => Ok(reason),
            Ran::Arrived => {
                let pc = self.pc()?;
                match doors.into.get(&pc) {
                    Some(door) => self.entered(door),
                    None => Ok(StopReason::Arrived),
                }
            }
        }
    }

    pub(super) fn entered(&mut self, door: &Door) -> Result<StopReason, Trouble> {
        let call = match door.kind {
            CrossingKind::Syscall | CrossingKind::Bypass => {
                let number = self.register("rax")?;
                self.call_name(number)
                    .unwrap_or_else(|| format!("call {number}"))
            }
            CrossingKind::Shortcut => self.profile().shortcut(&door.name).to_owned(),
            _ => door.name.clone(),
        };
        Ok(StopReason::Crossing {
            kind: door.kind,
            call,
            into_kernel: true,
        })
    }

    /// Runs until the kernel is left for the application, by whichever of its threads.
    pub(super) fn cross_out(&mut self) -> Result<StopReason, Trouble> {
        let doors = self.doors()?;
        let mut traps: Vec<Addr> = doors.out.keys().copied().collect();
        if traps.is_empty() {
            return Err(no_doors());
        }
        // A kernel function called directly, by no stub of its own, returns with a plain `ret`.
        let direct = self.app_frame().ok().filter(|frame| frame.by_call);
        traps.extend(direct.as_ref().map(|frame| frame.pc));
        let space = self.app_space()?;
        let mut accept = |engine: &mut Self| {
            let pc = engine.pc()?;
            if let Some(from) = doors.out.get(&pc) {
                return engine.comes_from_app(*from, space);
            }
            match &direct {
                Some(frame) => Ok(engine.sp()? == frame.sp),
                None => Ok(false),
            }
        };
        loop {
            // The instruction under the program counter may be the one that leaves.
            let pc = self.pc()?;
            if !(doors.out.contains_key(&pc) && accept(self)?) {
                match self.run_to(&traps, &mut accept)? {
                    Ran::Arrived => {}
                    Ran::Stopped(reason) => return Ok(reason),
                }
            }
            let pc = self.pc()?;
            if !doors.out.contains_key(&pc) {
                return Ok(StopReason::Crossing {
                    kind: CrossingKind::Shortcut,
                    call: direct.map_or_else(String::new, |frame| frame.call),
                    into_kernel: false,
                });
            }
            let (kind, call) = self.leaving(pc)?;
            match self.leave(&doors)? {
                Left::Stopped(reason) => return Ok(reason),
                Left::Out => {
                    return Ok(StopReason::Crossing {
                        kind,
                        call,
                        into_kernel: false,
                    });
                }
                Left::Held => self.course.passed += 1,
            }
        }
    }

    /// Executes the instruction that leaves, and what of the stubs lies behind it: a bypassed call
    /// that comes back by IRET passes a stub's `ret` on its way.
    ///
    /// The way may be closed: the `ret` faults on the application's stack, or an interrupt had come
    /// in the middle of a stub, which goes on into the kernel. Then the application is not reached
    /// yet, and the next way out is waited for.
    fn leave(&mut self, doors: &Doors) -> Result<Left, Trouble> {
        for _ in 0..MOST_STUB {
            if let Some(reason) = self.step_once()? {
                return Ok(Left::Stopped(reason));
            }
            let pc = self.pc()?;
            let stub = self.origin(pc) == Origin::Entry;
            match self.is_app(pc) {
                true if !stub => return Ok(Left::Out),
                false if !doors.out.contains_key(&pc) => return Ok(Left::Held),
                _ => {}
            }
        }
        Ok(Left::Held)
    }

    /// The address space whose crossings count: the one in front of us, where it is the
    /// application's, else the one its main was reached in. Init is a program as well, whose code may
    /// lie at the same addresses, and it may run at any time until it waits.
    pub(super) fn app_space(&mut self) -> Result<Option<u64>, Trouble> {
        let pc = self.pc()?;
        let app = match self.is_app(pc) {
            true => Some(pc),
            false => self.app_frame().ok().map(|frame| frame.pc),
        };
        match app {
            // One that ends has given its address space up: another's is in front of us.
            Some(_) if self.running_task().is_ok_and(|task| task.mm.is_none()) => {
                Ok(self.app_space)
            }
            Some(app) if app.in_kernel_half() || self.runs_the_twin(app) => {
                self.address_space().map(Some)
            }
            _ => Ok(self.app_space),
        }
    }

    /// Whether the address saved there is the application's, in this address space.
    pub(super) fn comes_from_app(
        &mut self,
        from: From,
        space: Option<u64>,
    ) -> Result<bool, Trouble> {
        if let Some(space) = space
            && self.address_space()? != space
        {
            return Ok(false);
        }
        let addr = self.other_side(from)?;
        Ok(addr.is_some_and(|addr| self.is_app(addr)))
    }

    /// The address saved there; none where nothing is saved, or can be read.
    pub(super) fn other_side(&mut self, from: From) -> Result<Option<Addr>, Trouble> {
        Ok(match from {
            From::Rcx => Some(Addr(self.register("rcx")?)),
            From::Saved => {
                let saved = self.saved_by_stub();
                saved.and_then(|saved| saved.registers.get(Reg::RIP).map(Addr))
            }
            From::Stack(above) => {
                let sp = self.sp()?;
                match self.word(Addr(sp) + above) {
                    Ok(addr) => Some(Addr(addr)),
                    // The instruction will fault.
                    Err(Trouble::Failed(_)) => None,
                    Err(other) => return Err(other),
                }
            }
        })
    }

    /// What ends with the instruction that leaves the kernel.
    pub(super) fn leaving(&mut self, pc: Addr) -> Result<(CrossingKind, String), Trouble> {
        let name = self.place(pc).symbol.unwrap_or_default();
        let profile = self.profile();
        let bypass_returns = profile.calls.bypass_return.has(&name);
        if profile.entry_code(&name) == Some(EntryCode::StubReturn)
            && let Some(stub) = name.strip_suffix("_return")
            && !bypass_returns
        {
            return Ok((CrossingKind::Shortcut, profile.shortcut(stub).to_owned()));
        }
        let flow = self.instruction(pc)?.map(|decoded| decoded.flow);
        let saved_ip = if flow == Some(Flow::InterruptReturn) {
            let sp = self.sp()?;
            Some(Addr(self.word(Addr(sp))?))
        } else {
            None
        };
        let address_of = |name| self.symbols.as_ref()?.address_of(name);
        let mut full = profile.calls.full_path_return.iter();
        let full = saved_ip.is_some() && full.any(|name| address_of(name) == saved_ip);
        let bypassed = bypass_returns || full;
        // 2^64-1: no system call.
        let number = self.original_rax();
        let call = number.and_then(|number| self.call_name(number));
        Ok(match (bypassed, call) {
            (true, Some(call)) => (CrossingKind::Bypass, call),
            (true, None) if number == Some(u64::MAX) => {
                let call = self.shortcut_left();
                let call = call.unwrap_or_else(|| "a shortcut".to_owned());
                (CrossingKind::Shortcut, call)
            }
            (true, None) => (CrossingKind::Bypass, "call".to_owned()),
            (false, Some(call)) => (CrossingKind::Syscall, call),
            (false, None) if number == Some(u64::MAX) => {
                (CrossingKind::Fault, "exception or interrupt".to_owned())
            }
            (false, None) => (CrossingKind::Syscall, "call".to_owned()),
        })
    }

    /// The shortcut that ends by IRET, after exit work that does not know its stub: by the application's
    /// call of it.
    fn shortcut_left(&mut self) -> Option<String> {
        let app_sp = self.saved_by_stub()?.registers.sp()?;
        let returns_to = self.word(app_sp).ok()?;
        let symbols = self.symbols.as_ref()?;
        let call = symbols.shortcut_called_before(Addr(returns_to))?;
        Some(call.to_owned())
    }

    /// `write`, for 1.
    pub(super) fn call_name(&self, number: u64) -> Option<String> {
        self.symbols.as_ref()?.call_name(number)
    }

    /// To the application instruction behind the call that led here, in the frame that made it.
    pub(super) fn cross_back(&mut self) -> Result<Stop, Trouble> {
        let pc = self.pc()?;
        if self.is_app(pc) {
            return Err(Trouble::new(
                "going back to the application",
                "control is in the application",
                "'cross' runs to its next way into the kernel, 'finish' to its caller",
            ));
        }
        let reason = self.back()?;
        self.stopped(reason)
    }

    /// `over kernel`: from the kernel back to the application; from the application on to its next
    /// line, with whatever the kernel does on the way taken as one call.
    pub(super) fn over_kernel(&mut self) -> Result<Stop, Trouble> {
        let pc = self.pc()?;
        if self.is_app(pc) {
            self.step_lines(1, super::lines::Calls::OverKernel)
        } else {
            self.cross_back()
        }
    }

    pub(super) fn back(&mut self) -> Result<StopReason, Trouble> {
        let frame = self.app_frame()?;
        let reason = self.run_to_frame(frame.pc, Some(Addr(frame.sp)))?;
        if let (StopReason::Arrived, Some(kind)) = (&reason, frame.kind) {
            self.came_back(kind, frame.call)?;
        }
        Ok(reason)
    }
}

fn no_doors() -> Trouble {
    Trouble::new(
        "finding the boundary",
        "vmlinux names neither entry_SYSCALL_64 nor a way of its own into the kernel",
        "give the vmlinux with its symbol table",
    )
}
