//! `why`: how control came to be on this side of the boundary.

use super::arguments::{AppSide, prototype_text};
use super::engine::Engine;
use super::passage::{Passage, convention};
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::crossing::CrossingKind;
use crate::crossing::errors::answer;
use crate::event::{CallArgument, Side, Why};
use crate::known::Known;
use crate::symbols::unwind::{Reg, RegisterSet, Saved};

/// What is known of the crossing under the running code.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: CrossingKind,
    pub(super) call: String,
    /// The application's registers, as far as the stack has them.
    app: RegisterSet,
    from: Addr,
    saved: Option<Saved>,
    side: Option<AppSide>,
}

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
        for (level, pair) in (1..).zip(backtrace.frames.windows(2)) {
            let [inner, frame] = pair else {
                break;
            };
            if self.is_app(frame.pc) && !self.is_app(inner.pc) {
                if let Some(crossing) = &frame.crossing {
                    found = Some(Entry {
                        kind: crossing.kind,
                        call: crossing.call.clone(),
                        app: frame.registers.clone(),
                        from: frame.pc,
                        saved: frame.saved.clone(),
                        side: self.app_side(&backtrace, level, &crossing.call),
                    });
                }
                break;
            }
        }
        Ok(match found {
            Some(mut entry) => {
                if entry.saved.is_none() && entry.app.get(Reg::RDI).is_none() {
                    entry.saved = self.finished_by_stub()?;
                }
                self.why_kernel(entry, ring, stack)?
            }
            None => Why {
                side: Side::Kernel,
                kind: Known::no(end.clone()),
                call: Known::no(end.clone()),
                arguments: Vec::new(),
                kernel_prototype: Known::no(end.clone()),
                app_prototype: Known::no(end.clone()),
                result: Known::no(end.clone()),
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
        let back = self.just_back(pc).cloned();
        let result = match &back {
            Some(_) => self
                .register("rax")
                .map(answer)
                .map_err(|trouble| trouble.to_string()),
            None => Err("control has not just come back from the kernel".to_owned()),
        };
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
        if let (Some(passage), Ok(result)) = (&back, &result) {
            sentences.push(format!(
                "It has just come back from the kernel: the {} {} has answered {result}.",
                passage.kind, passage.call
            ));
        }
        let none = || "control is in the application".to_owned();
        Why {
            side: Side::App,
            kind: back.as_ref().map(|back| back.kind).ok_or_else(none).into(),
            call: back.map(|back| back.call).ok_or_else(none).into(),
            arguments: Vec::new(),
            kernel_prototype: Known::No(none()),
            app_prototype: Known::No(none()),
            result: result.into(),
            from: Known::No(none()),
            stack: Known::Yes(stack),
            since: Known::No(none()),
            ring: Known::Yes(ring_words(ring, None)),
            sentences,
        }
    }

    fn why_kernel(&mut self, entry: Entry, ring: u64, stack: String) -> Result<Why, Trouble> {
        let from = self.place(entry.from);
        let passage = self.passage()?;
        let arguments = match &passage {
            Some(passage) if !passage.beside.is_empty() => self.told_beside(passage),
            // At the boundary itself nothing is saved yet, or no longer.
            Some(passage) if passage.is_call() => {
                let registers = convention(entry.kind);
                self.call_arguments(&entry, &passage.values, &registers, entry.side.as_ref())
            }
            _ => self.arguments(&entry),
        };
        let kernel_prototype = self
            .prototype(entry.kind, &entry.call)
            .map(|parameters| prototype_text(&entry.call, &parameters));
        let app_prototype = entry
            .side
            .as_ref()
            .map(|side| prototype_text(&side.function, &side.parameters));
        let result = match passage {
            Some(passage) if !passage.into_kernel && passage.is_call() => {
                Known::Yes(answer(self.register("rax")?))
            }
            _ => Known::no("the call is not on its way back"),
        };
        let saved_cs = entry.saved.as_ref().map(|saved| saved.cs);
        let how = match entry.kind {
            CrossingKind::Syscall => "by the syscall instruction".to_owned(),
            CrossingKind::Bypass => format!(
                "by a call to {}, without entry and exit work,",
                self.profile().bypass_door(&entry.call)
            ),
            CrossingKind::Shortcut => "by a direct call of a kernel function".to_owned(),
            CrossingKind::Fault => "by a fault".to_owned(),
            CrossingKind::Interrupt => "by an interrupt".to_owned(),
            CrossingKind::Signal => "for a signal".to_owned(),
            CrossingKind::Start => "at the start of the task".to_owned(),
            CrossingKind::Exit => "at the end of the task".to_owned(),
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
            format!(
                "Entered {how} ({}); control returns to {at}{line}.",
                entry.call
            ),
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
        if let Known::Yes(result) = &result {
            sentences.push(format!("The call is on its way back, with {result}."));
        }
        let since = self.instructions_since(&entry.call);
        if let Known::Yes(count) = since {
            sentences.push(match count.0 {
                0 => "No instruction of the kernel has been executed since.".to_owned(),
                1 => "1 instruction was stepped since.".to_owned(),
                count => format!("{count} instructions were stepped since."),
            });
        }
        Ok(Why {
            side: Side::Kernel,
            kind: Known::Yes(entry.kind),
            call: Known::Yes(entry.call),
            arguments,
            kernel_prototype: kernel_prototype
                .ok_or_else(|| "debug information does not tell what it takes".to_owned())
                .into(),
            app_prototype: app_prototype
                .ok_or_else(|| "it was not found in the application's debug information".to_owned())
                .into(),
            result,
            from: Known::Yes(from),
            stack: Known::Yes(stack),
            since,
            ring: Known::Yes(words),
            sentences,
        })
    }

    /// The call's arguments by the names that its implementation gives them, where it has debug
    /// information, else by their registers.
    fn arguments(&mut self, entry: &Entry) -> Vec<CallArgument> {
        let registers = match entry.kind {
            CrossingKind::Syscall | CrossingKind::Bypass | CrossingKind::Shortcut => {
                convention(entry.kind)
            }
            _ => return Vec::new(),
        };
        let values = Self::argument_values(entry, &registers);
        self.call_arguments(entry, &values, &registers, entry.side.as_ref())
    }

    /// What the processor has told of a fault or an interrupt.
    fn told_beside(&mut self, passage: &Passage) -> Vec<CallArgument> {
        let mut told = Vec::new();
        for &(name, bits) in &passage.beside {
            let address = name == "address";
            let page_fault = passage.call == "asm_exc_page_fault";
            told.push(CallArgument {
                name: name.to_owned(),
                value: format!("{bits:#x}"),
                holds: match name {
                    "error_code" if page_fault => vec![page_fault_text(bits)],
                    _ => Vec::new(),
                },
                memory: address.then(|| self.whose_memory(Addr(bits))).flatten(),
                ..CallArgument::default()
            });
        }
        told
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

    /// As [`Self::saved_by_stub`], but not while the stub is still writing it: what lies there then is
    /// the call's before.
    fn finished_by_stub(&mut self) -> Result<Option<Saved>, Trouble> {
        let sp = Addr(self.sp()?);
        let saved = self.saved_by_stub();
        Ok(saved.filter(|saved| sp.in_kernel_half() && sp <= saved.at))
    }

    /// The `pt_regs` at the top of the current task's stack.
    pub(super) fn saved_by_stub(&mut self) -> Option<Saved> {
        let top = self.task_stack()?;
        self.saved_at(Addr(
            top.0.checked_sub(crate::symbols::unwind::PT_REGS_SIZE)?,
        ))
    }

    /// The `pt_regs` at an address.
    pub(super) fn saved_at(&mut self, at: Addr) -> Option<Saved> {
        let target = &mut self.target;
        let mut memory = |at: Addr, bytes: &mut [u8]| target.read(at, bytes).is_ok();
        Saved::read(at, &mut memory)
    }

    /// What the call's number was, as the entry has saved it; all ones for what is no system call.
    pub(super) fn original_rax(&mut self) -> Option<u64> {
        self.saved_by_stub().map(|saved| saved.orig_ax)
    }
}

fn ring_words(ring: u64, saved_cs: Option<u64>) -> String {
    match saved_cs {
        None => format!("ring {ring}"),
        Some(cs) => format!("ring {ring}; the saved CS is {cs:#x}"),
    }
}

/// The bits of a page fault's error code (Intel SDM vol. 3, 4.7), in words.
fn page_fault_text(code: u64) -> String {
    let by = if code & 4 != 0 { "ring 3" } else { "ring 0" };
    let what = match code {
        code if code & 16 != 0 => "an instruction fetch",
        code if code & 2 != 0 => "a write",
        _ => "a read",
    };
    let how = match code {
        code if code & 8 != 0 => "through a page table with reserved bits set",
        code if code & 1 != 0 => "which the page table does not permit",
        _ => "where no page is present",
    };
    format!("{what} by {by}, {how}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_code_is_told_in_words() {
        let check = |code, expected: &str| assert_eq!(page_fault_text(code), expected);
        check(0, "a read by ring 0, where no page is present");
        check(6, "a write by ring 3, where no page is present");
        check(3, "a write by ring 0, which the page table does not permit");
        check(
            0x14,
            "an instruction fetch by ring 3, where no page is present",
        );
    }
}
