//! What kind of step lies between two frames, and what it is called.

use super::super::Symbols;
use super::registers::{Reg, RegisterSet};
use super::saved::{self, Saved};
use super::{Caller, FoundBy, Memory, UnwoundFrame};
use crate::addr::Addr;
use crate::crossing::CrossingKind;
use crate::origin::Origin;
use crate::profile::EntryCode;

/// Bytes into the processor's task-state segment: the stack pointer that ring 3 is left with.
const RSP0: u64 = 4;

/// Bytes of `call rel32`.
const CALL_SIZE: usize = 5;

/// What a `call rel32` calls, from the address behind it.
fn called(code: &[u8], behind: Addr) -> Option<Addr> {
    match *code {
        [0xe8, a, b, c, d] => Some(relative([a, b, c, d], behind)),
        _ => None,
    }
}

fn relative(bytes: [u8; 4], behind: Addr) -> Addr {
    let displacement = i32::from_le_bytes(bytes);
    Addr(behind.0.wrapping_add_signed(i64::from(displacement)))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    pub kind: CrossingKind,
    /// `write`, `asm_exc_page_fault`, `tcp_sendmsg`.
    pub call: String,
}

impl Symbols {
    /// Whether this is the assembly of a system call's entry, whose frame the tables do not tell at its
    /// beginning and end.
    pub(super) fn is_call_entry(&self, name: &str) -> bool {
        self.profile.calls.entry.has(name)
    }

    /// Whether this is in one of the stubs of bypass and shortcuts, which save a part of the registers
    /// only.
    pub(super) fn is_stub(&self, name: &str) -> bool {
        let code = self.profile.entry_code(name);
        code.is_some_and(|code| code != EntryCode::Frame)
    }

    /// In the first instructions of the system-call entry there is no frame yet, and in the last of
    /// its exit none any more: the return address is in rcx, and the application's stack pointer is
    /// still in place, or set aside in a field of the CPU's task-state segment.
    pub(super) fn before_any_frame(
        &self,
        name: &str,
        frame: &UnwoundFrame,
        memory: &mut Memory<'_>,
    ) -> Option<Caller> {
        if !self.is_call_entry(name) {
            return None;
        }
        let mut registers = frame.registers.clone();
        if registers.sp()?.in_kernel_half() {
            let sp = self.set_aside(&registers, frame.pc, memory)?;
            registers.set(Reg::RSP, Some(sp));
        }
        if self.profile.calls.entry_by_call.has(name) {
            let sp = registers.sp()?;
            registers.set(Reg::RIP, Some(super::read_u64(memory, sp)?));
            registers.set(Reg::RSP, Some(sp.0.wrapping_add(8)));
            let mut caller = Caller::by_entry_frame(registers);
            caller.by_convention = true;
            caller.after_call = true;
            return Some(caller);
        }
        registers.set(Reg::RIP, registers.get(Reg::RCX));
        let mut caller = Caller::by_entry_frame(registers);
        caller.by_convention = true;
        Some(caller)
    }

    /// The application's stack pointer while the CPU is on one of the kernel's stacks and no frame
    /// holds it where the tables say. The processor's task-state segment is {reserved 4, rsp0 8,
    /// rsp1 8, rsp2 8}; the entry keeps it in rsp2, the exit as the first word below rsp0.
    fn set_aside(&self, registers: &RegisterSet, pc: Addr, memory: &mut Memory<'_>) -> Option<u64> {
        const RSP2: u64 = 20;
        let gs_base = registers.gs_base.filter(|base| base >> 63 == 1)?;
        let segment = Addr(gs_base).wrapping_add(self.address_of("cpu_tss_rw")?.0);
        let whole = self.address_of("entry_SYSCALL_64_after_hwframe")?;
        let end = self.at(whole.wrapping_sub(1)).map(|s| s.addr + s.size)?;
        let leaving = pc > whole && pc < end && self.past_pushes(whole, pc);
        if !leaving {
            return super::read_u64(memory, segment + RSP2);
        }
        let top = super::read_u64(memory, segment + RSP0)?;
        let sp = registers.sp()?.0;
        if sp == top {
            // rdi points at the saved rdi: rdi, orig_ax, rip, cs, eflags, rsp.
            return super::read_u64(memory, Addr(registers.get(Reg::RDI)?) + 40);
        }
        let pushed = matches!(top.wrapping_sub(sp), 8..=16);
        pushed.then(|| super::read_u64(memory, Addr(top).wrapping_sub(8)))?
    }

    /// Whether `pc` lies behind the entry's call into C, and so on the way out.
    fn past_pushes(&self, from: Addr, pc: Addr) -> bool {
        let call = self.lookup("do_syscall_64").first().map(|s| s.addr);
        let Some(code) = self.initial(from, usize::try_from(pc - from).unwrap_or(0)) else {
            return false;
        };
        call.is_some()
            && code
                .windows(CALL_SIZE)
                .enumerate()
                .any(|(i, window)| called(window, from + (i + CALL_SIZE) as u64) == call)
    }

    /// The shortcut that the application's instruction before `return_to` calls, or that the function it
    /// calls ends in by a jump: behind the stub, in the common exit work, nothing else tells it.
    #[must_use]
    pub fn shortcut_called_before(&self, return_to: Addr) -> Option<&str> {
        let code = self.initial(return_to.wrapping_sub(CALL_SIZE as u64), CALL_SIZE)?;
        let target = called(code, return_to)?;
        if let Some(stub) = self.shortcut_at(target) {
            return Some(stub);
        }
        let function = self.at(target)?;
        let size = usize::try_from(function.size).ok()?;
        let code = self.initial(function.addr, size)?;
        let mut stubs = code.windows(4).enumerate().filter_map(|(i, bytes)| {
            let behind = function.addr + (i + bytes.len()) as u64;
            self.shortcut_at(relative(bytes.try_into().ok()?, behind))
        });
        let first = stubs.next()?;
        stubs.all(|stub| stub == first).then_some(first)
    }

    /// The shortcut whose stub begins there.
    fn shortcut_at(&self, addr: Addr) -> Option<&str> {
        let stub = self.at(addr).filter(|symbol| symbol.addr == addr)?;
        let found = self.is_stub(stub.name) && !self.profile.calls.bypass.has(stub.name);
        found.then(|| self.profile.shortcut(stub.name))
    }

    /// An interrupt's entry has called `error_entry`, which has put the registers on a stack and
    /// answers where; the next instruction, `mov %rax,%rsp`, goes there, and the kernel's table is
    /// wrong for its length.
    pub(super) fn regs_in_rax(&self, name: &str, frame: &UnwoundFrame) -> Option<u64> {
        const MOVE: [u8; 3] = [0x48, 0x89, 0xc4];
        let here = name.starts_with("asm_") && self.initial(frame.pc, 3)? == MOVE;
        here.then(|| frame.registers.get(Reg::RAX))?
    }

    /// The stubs of bypass and shortcuts change to the task's stack in their second instruction
    /// and keep the application's stack pointer in r11 until the frame tables tell it.
    pub(super) fn stub_before_frame(
        &self,
        name: &str,
        frame: &UnwoundFrame,
        memory: &mut Memory<'_>,
    ) -> Option<Caller> {
        if !self.is_stub(name) || frame.after_call {
            return None;
        }
        if !self.boundary.entry_text.contains(frame.pc) || !frame.registers.sp()?.in_kernel_half() {
            return None;
        }
        let sp = frame.registers.get(Reg::R11)?;
        let return_to = super::read_u64(memory, Addr(sp))?;
        if !self.boundary.app_text.contains(Addr(return_to)) {
            return None;
        }
        let mut registers = frame.registers.clone();
        registers.forget_volatile();
        registers.set(Reg::RSP, Some(sp.wrapping_add(8)));
        registers.set(Reg::RIP, Some(return_to));
        Some(Caller {
            registers,
            after_call: true,
            found_by: FoundBy::Code,
            cfa: Some(sp.wrapping_add(8)),
            saved: None,
            crossing: None,
            switched: false,
            by_convention: false,
        })
    }

    /// A signal handler returns to code that makes the call rt_sigreturn: `mov $15,%rax; syscall`.
    pub(super) fn signal(&self, frame: &UnwoundFrame, memory: &mut Memory<'_>) -> Option<Caller> {
        // Before the first instruction, the call, and while the call is served.
        let here = [0, 7, 9]
            .into_iter()
            .any(|done| self.is_restorer(frame.pc.wrapping_sub(done)));
        if !here {
            return None;
        }
        Some(Caller {
            registers: saved::signal_context(frame.registers.sp()?, memory)?,
            after_call: false,
            found_by: FoundBy::SignalFrame,
            cfa: None,
            saved: None,
            crossing: Some(Crossing {
                kind: CrossingKind::Signal,
                call: "signal".to_owned(),
            }),
            switched: false,
            by_convention: false,
        })
    }

    /// The common way out to ring 3 leaves the task's stack for the small one of the entry area, pushes
    /// what `iret` takes there and drops the registers; the tables tell nothing of that stretch.
    ///
    /// ```text
    /// mov sp0,%rsp; push ss, sp, flags, cs, ip, di from (%rdi); change of page tables; pop %rdi; swapgs; iretq
    /// ```
    /// Until the pop, rdi points at the saved rdi: {rdi, orig_ax, ip, cs, flags, sp, ss}.
    pub(super) fn on_the_way_out(
        &self,
        name: &str,
        frame: &UnwoundFrame,
        memory: &mut Memory<'_>,
    ) -> Option<Caller> {
        if !name.starts_with("common_interrupt_return") && !name.starts_with("swapgs_restore_regs")
        {
            return None;
        }
        let registers = &frame.registers;
        let sp = registers.sp().filter(|sp| sp.in_kernel_half())?;
        let gs_base = registers.gs_base.filter(|base| base >> 63 == 1)?;
        let segment = Addr(gs_base).wrapping_add(self.address_of("cpu_tss_rw")?.0);
        let top = super::read_u64(memory, segment + RSP0)?;
        let pushed = registers.get(Reg::RDI).map(Addr).filter(|at| {
            let mut bytes = [[0; 40]; 2];
            let [below, here] = &mut bytes;
            at.in_kernel_half()
                && memory(at.wrapping_add(16), below)
                && (top.wrapping_sub(sp.0) != 40 || memory(sp, here) && below == here)
        });
        let frame_at = match pushed {
            Some(at) => at.wrapping_add(16),
            None if top.wrapping_sub(sp.0) == 40 => sp,
            None => return None,
        };
        let mut before = saved::pushed_by_cpu(frame_at, registers, memory)?;
        if let Some(at) = pushed {
            before.set(Reg::RDI, super::read_u64(memory, at));
        }
        Some(Caller::by_entry_frame(before))
    }

    pub(super) fn is_restorer(&self, pc: Addr) -> bool {
        const RETURN: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
        self.initial(pc, RETURN.len()) == Some(&RETURN[..])
    }

    /// How control came from the frame at `pc` into `inner`, unless by a plain call inside one side.
    pub(super) fn crossing(
        &self,
        inner: &UnwoundFrame,
        pc: Addr,
        caller: &Caller,
        memory: &mut Memory<'_>,
    ) -> Option<Crossing> {
        if caller.crossing.is_some() {
            return caller.crossing.clone();
        }
        let name = self.at(inner.lookup()).map_or("", |s| s.name);
        let entry = self.origin(inner.lookup()) == Origin::Entry && !self.is_stub(name);
        let from_app = self.origin(pc.wrapping_sub(1)).is_app_side();
        if caller.found_by == FoundBy::EntryFrame || (entry && from_app) {
            return Some(self.entered(name, inner, caller.saved.as_ref(), memory));
        }
        let in_kernel = self.origin(inner.lookup()).is_kernel_side();
        if !from_app || !in_kernel {
            return None;
        }
        // Entry assembly with unwind tables of its own: while it calls, its stack pointer stands at
        // the registers it has saved.
        if name.contains("entry_SYSCALL_64") || name.starts_with("asm_") {
            let saved = inner
                .registers
                .sp()
                .filter(|_| inner.after_call)
                .and_then(|sp| Saved::read(sp, memory));
            return Some(self.entered(name, inner, saved.as_ref(), memory));
        }
        // A call from the application into the kernel, through one of the stubs or directly.
        let calls = &self.profile.calls;
        let number = match caller.switched {
            true => inner
                .registers
                .sp()
                .and_then(|sp| Saved::orig_ax(sp, memory)),
            // Later the register holds the result.
            false => inner
                .registers
                .get(Reg::RAX)
                .filter(|_| !calls.bypass_return.has(name)),
        };
        let bypass = calls.bypass.has(name)
            || (calls.exit_work.has(name) && number.is_some_and(|n| n != u64::MAX));
        if bypass {
            let named = Some(name).filter(|_| !calls.bypass_prefix.is_empty());
            let named = named.and_then(|name| name.strip_prefix(calls.bypass_prefix.as_str()));
            let call = number.and_then(|number| self.call_name(number));
            let call = named.map(str::to_owned).or(call);
            let call = call.unwrap_or_else(|| "a bypassed call".to_owned());
            return Some(Crossing {
                kind: CrossingKind::Bypass,
                call,
            });
        }
        if calls.full_path.has(name) {
            return None;
        }
        let call = match calls.exit_work.has(name) {
            true => self.shortcut_called_before(pc).unwrap_or("a shortcut"),
            false => {
                let call = self.profile.shortcut(name);
                call.strip_suffix("_return").unwrap_or(call)
            }
        };
        Some(Crossing {
            kind: CrossingKind::Shortcut,
            call: call.to_owned(),
        })
    }

    /// Whether this is a system call's entry, and its number is in rax still.
    fn is_before_the_work(&self, name: &str, pc: Addr) -> bool {
        let whole = self.address_of("entry_SYSCALL_64_after_hwframe");
        // UKL's own beginning of it lies behind the whole of it, and goes on there.
        let behind = |from: Addr| {
            let end = self.at(from.wrapping_sub(1)).map(|s| s.addr + s.size);
            end.is_some_and(|end| pc >= end)
        };
        let is_out = |whole: Addr| {
            let own = self.at(pc).filter(|_| behind(whole));
            self.past_pushes(own.map_or(whole, |own| own.addr), pc)
        };
        self.is_call_entry(name)
            && (self.profile.calls.entry_by_call.has(name)
                || whole.is_none_or(|whole| pc <= whole || !is_out(whole)))
    }

    /// A call's number as its entry has saved it at the top of the task's stack: it stands there until the
    /// next one.
    fn kept_number(&self, inner: &UnwoundFrame, memory: &mut Memory<'_>) -> Option<u64> {
        let gs_base = inner.registers.gs_base.filter(|base| base >> 63 == 1)?;
        let top = Addr(gs_base).wrapping_add(self.address_of("cpu_current_top_of_stack")?.0);
        let top = super::read_u64(memory, top)?;
        Saved::orig_ax(Addr(top).wrapping_sub(saved::SIZE), memory)
    }

    /// By the entry code whose frame was read; on the common way out by what the frame says.
    fn entered(
        &self,
        name: &str,
        inner: &UnwoundFrame,
        saved: Option<&Saved>,
        memory: &mut Memory<'_>,
    ) -> Crossing {
        let syscall = |number: Option<u64>| {
            let name = number.and_then(|number| self.call_name(number));
            Crossing {
                kind: CrossingKind::Syscall,
                call: name.unwrap_or_else(|| match number {
                    Some(number) => format!("call {}", number.cast_signed()),
                    None => "a system call".to_owned(),
                }),
            }
        };
        let number = match saved {
            Some(saved) => Some(saved.orig_ax),
            None if inner.after_call => None,
            None if self.is_before_the_work(name, inner.pc) => inner.registers.get(Reg::RAX),
            // The register holds the result, or is the application's again.
            None => self.kept_number(inner, memory),
        };
        let named = |kind| Crossing {
            kind,
            call: name.to_owned(),
        };
        if self.is_call_entry(name) {
            return syscall(number);
        }
        if name == "ret_from_fork" {
            return named(CrossingKind::Start);
        }
        let interrupt = [
            "asm_sysvec_",
            "asm_common_interrupt",
            "asm_spurious_interrupt",
            "irq_entries",
        ]
        .iter()
        .any(|start| name.starts_with(start));
        if interrupt || name == "asm_exc_nmi" || name == "end_repeat_nmi" {
            return named(CrossingKind::Interrupt);
        }
        if name.starts_with("asm_exc_") {
            return named(CrossingKind::Fault);
        }
        match number {
            Some(number) if number != u64::MAX && self.call_name(number).is_some() => {
                syscall(Some(number))
            }
            _ => named(CrossingKind::Interrupt),
        }
    }
}
