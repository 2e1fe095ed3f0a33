//! `why`: how control came to be on this side of the boundary.

use super::engine::Engine;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::crossing::CrossingKind;
use crate::event::{Side, Why};
use crate::known::Known;
use crate::symbols::unwind::{Reg, RegisterSet, Saved};

/// What is known of the crossing under the running code.
#[derive(Debug)]
struct Entry {
    kind: CrossingKind,
    call: String,
    /// The application's registers, as far as the stack has them.
    app: RegisterSet,
    from: Addr,
    saved: Option<Saved>,
}

/// The registers a system call takes its arguments in, and a function.
const CALL: [Reg; 6] = [Reg::RDI, Reg::RSI, Reg::RDX, Reg::R10, Reg::R8, Reg::R9];
const FUNCTION: [Reg; 6] = [Reg::RDI, Reg::RSI, Reg::RDX, Reg::RCX, Reg::R8, Reg::R9];

impl Engine {
    pub(super) fn why(&mut self) -> Result<Why, Trouble> {
        let pc = self.pc()?;
        let sp = self.sp()?;
        let stack = self.stack(sp);
        let ring = self.register("cs").map(|cs| cs & 3)?;
        if self.is_app(pc) {
            return Ok(self.why_app(pc, ring, stack));
        }
        let backtrace = self.unwind(None)?;
        let end = backtrace.end.to_string();
        let mut found = None;
        for (inner, frame) in backtrace.frames.iter().zip(backtrace.frames.iter().skip(1)) {
            if self.is_app(frame.pc) && !self.is_app(inner.pc) {
                found = frame.crossing.clone().map(|crossing| Entry {
                    kind: crossing.kind,
                    call: crossing.call,
                    app: frame.registers.clone(),
                    from: frame.pc,
                    saved: frame.saved.clone(),
                });
                break;
            }
        }
        Ok(match found {
            Some(mut entry) => {
                if entry.saved.is_none() {
                    entry.saved = self.saved_by_stub();
                }
                self.why_kernel(entry, ring, stack)
            }
            None => Why {
                side: Side::Kernel,
                kind: Known::no(end.clone()),
                call: Known::no(end.clone()),
                arguments: Vec::new(),
                from: Known::no(end.clone()),
                stack: Known::Yes(stack.clone()),
                since: Known::no("no crossing lies under it"),
                ring: Known::Yes(ring_words(ring, None)),
                sentences: vec![
                    "The kernel runs for itself: no application's frame lies under this one."
                        .to_owned(),
                    format!("As for the stack, {end}."),
                    format!("It runs on: {stack}."),
                ],
            },
        })
    }

    fn why_app(&mut self, pc: Addr, ring: u64, stack: String) -> Why {
        let place = self.place(pc);
        let linked = pc.in_kernel_half();
        let mut sentences = vec![format!(
            "Control is in the application ({}), in ring {ring}.",
            place.origin
        )];
        sentences.push(if linked {
            "It is linked into the kernel: its code lies in the kernel's image, and no ring is changed on the way in.".to_owned()
        } else {
            "It is a program of its own in the user half: each call changes the ring.".to_owned()
        });
        sentences.push(format!("It runs on: {stack}."));
        let none = || "control is in the application".to_owned();
        Why {
            side: Side::App,
            kind: Known::No(none()),
            call: Known::No(none()),
            arguments: Vec::new(),
            from: Known::No(none()),
            stack: Known::Yes(stack),
            since: Known::No(none()),
            ring: Known::Yes(ring_words(ring, None)),
            sentences,
        }
    }

    fn why_kernel(&mut self, entry: Entry, ring: u64, stack: String) -> Why {
        let from = self.place(entry.from);
        let arguments = self.arguments(&entry);
        let saved_cs = entry.saved.as_ref().map(|saved| saved.cs);
        let how = match entry.kind {
            CrossingKind::Syscall => "Entered by the syscall instruction",
            CrossingKind::Bypass => {
                "Entered by a call to ukl_bypass_syscall, without entry and exit work,"
            }
            CrossingKind::Shortcut => "Entered by a direct call of a kernel function",
            CrossingKind::Fault => "Entered by a fault",
            CrossingKind::Interrupt => "Entered by an interrupt",
            CrossingKind::Signal => "Entered for a signal",
            CrossingKind::Start => "Entered at the start of the task",
            CrossingKind::Exit => "Entered at the end of the task",
        };
        let at = from.symbol.as_ref().map_or_else(
            || format!("{:#x}", from.addr.0),
            |name| format!("{name}+{:#x}", from.offset),
        );
        let line = match (&from.file, from.line) {
            (Some(file), Some(line)) => format!(" ({file}:{line})"),
            _ => String::new(),
        };
        let mut sentences = vec![
            format!("{how} ({}); control returns to {at}{line}.", entry.call),
            format!("It runs on: {stack}."),
        ];
        let words = ring_words(ring, saved_cs);
        sentences.push(match saved_cs {
            Some(cs) if cs & 3 == 3 && entry.from.in_kernel_half() => format!(
                "No ring changed: the saved CS {cs:#x} is marked with privilege level 3, over a selector of the kernel."
            ),
            Some(cs) if cs & 3 == 3 => {
                format!("The ring changed from 3 to {ring}: the saved CS is {cs:#x}.")
            }
            _ if entry.from.in_kernel_half() => {
                "No ring changed: both sides run in ring 0.".to_owned()
            }
            _ => format!("The ring is {ring}."),
        });
        let since = Known::no("they are counted by a trace, not by breakpoints");
        Why {
            side: Side::Kernel,
            kind: Known::Yes(entry.kind),
            call: Known::Yes(entry.call),
            arguments,
            from: Known::Yes(from),
            stack: Known::Yes(stack),
            since,
            ring: Known::Yes(words),
            sentences,
        }
    }

    /// The call's arguments by the names that its implementation gives them, where it has debug
    /// information, else by their registers.
    fn arguments(&mut self, entry: &Entry) -> Vec<(String, String)> {
        let (registers, parameters) = match entry.kind {
            CrossingKind::Syscall | CrossingKind::Bypass => {
                (CALL, self.parameters(&entry.call, true))
            }
            CrossingKind::Shortcut => (FUNCTION, self.parameters(&entry.call, false)),
            _ => return Vec::new(),
        };
        let values = Self::argument_values(entry, &registers);
        let name = |i: usize| {
            parameters.as_ref().map_or_else(
                || Some((registers[i].name().to_owned(), String::new())),
                |list| list.get(i).cloned(),
            )
        };
        (0..registers.len())
            .map_while(name)
            .zip(values)
            .map(|((name, type_), value)| {
                let text = match value {
                    Some(bits) => self.argument_text(bits, &type_),
                    None => "(not kept by the entry code)".to_owned(),
                };
                (name, text)
            })
            .collect()
    }

    /// From the registers saved at the entry, which for bypass and shortcuts lie on the task's
    /// stack as well.
    fn argument_values(entry: &Entry, registers: &[Reg; 6]) -> Vec<Option<u64>> {
        let set = match &entry.saved {
            Some(saved) => &saved.registers,
            None => &entry.app,
        };
        // Where a call leaves rcx, the stubs for it put the address that a restart returns to.
        let lost = |register: &Reg| entry.saved.is_some() && *register == Reg::RCX;
        registers
            .iter()
            .map(|register| set.get(*register).filter(|_| !lost(register)))
            .collect()
    }

    fn argument_text(&mut self, bits: u64, type_: &str) -> String {
        let type_ = super::expression::Type::named(type_);
        if type_.size().is_some_and(|size| size < 8) || type_.signed() {
            let bits = type_.extend(bits);
            return if type_.signed() {
                bits.cast_signed().to_string()
            } else {
                bits.to_string()
            };
        }
        let text = matches!(&type_, super::expression::Type::Pointer(to) if to.to_string().contains("char"));
        if text && let Some(string) = super::expression::string(Addr(bits), self) {
            return format!("{bits:#x} {string}");
        }
        if bits < 0x10000 {
            return bits.to_string();
        }
        match self.near(Addr(bits)).or_else(|| self.told(Addr(bits))) {
            Some(near) => format!("{bits:#x} {near}"),
            None => format!("{bits:#x}"),
        }
    }

    /// The `pt_regs` at the top of the current task's stack.
    pub(super) fn saved_by_stub(&mut self) -> Option<Saved> {
        let top = self.task_stack()?;
        let at = Addr(top.0.checked_sub(crate::symbols::unwind::PT_REGS_SIZE)?);
        let target = &mut self.target;
        let mut memory = |at: Addr, bytes: &mut [u8]| target.read(at, bytes).is_ok();
        Saved::read(at, &mut memory)
    }

    /// What the call's number was, as the entry has saved it; all ones for what is no system call.
    pub(super) fn original_rax(&mut self) -> Option<u64> {
        self.saved_by_stub().map(|saved| saved.orig_ax)
    }

    /// Names and types of a call's parameters: a system call's, or those of a kernel function that
    /// the stub `ukl_NAME` calls as `__ukl_NAME`.
    fn parameters(&self, call: &str, system_call: bool) -> Option<Vec<(String, String)>> {
        let symbols = self.symbols.as_ref()?;
        if system_call {
            return symbols.call_parameters(call);
        }
        [format!("__ukl_{call}"), call.to_owned()]
            .iter()
            .find_map(|name| symbols.parameters(name))
    }
}

fn ring_words(ring: u64, saved_cs: Option<u64>) -> String {
    match saved_cs {
        None => format!("ring {ring}"),
        Some(cs) => format!("ring {ring}; the saved CS is {cs:#x}"),
    }
}
