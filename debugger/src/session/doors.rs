//! The places at which control passes between the application and the kernel, as the symbols and
//! the code in vmlinux give them.

use std::collections::BTreeMap;

use crate::addr::{Addr, AddrRange};
use crate::crossing::CrossingKind;
use crate::crossing::entry_code::{EntryCode, entry_code};
use crate::disasm::{Decoded, Flow, decode};
use crate::symbols::Symbols;

/// A first instruction in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) kind: CrossingKind,
    pub(super) name: String,
    /// What does the work behind it; of a system call its number tells.
    pub(super) implementation: Option<Addr>,
    /// Where the interrupted or calling instruction's address is to be found.
    pub(super) from: From,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// `syscall` leaves it in rcx.
    Rcx,
    /// The kernel has written it into the registers that the task will continue with.
    Saved,
    /// So many bytes above the stack pointer: a call's return address, or a fault's frame.
    Stack(u64),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Doors {
    pub(super) into: BTreeMap<Addr, Door>,
    /// Passed without the application's doing: interrupts, and where a signal's handler is set up.
    pub(super) unasked: BTreeMap<Addr, Door>,
    /// Last instructions in the kernel: `iretq`, `sysretq`, and the `ret` of bypass, shortcuts and
    /// `ukl.ret=1`.
    pub(super) out: BTreeMap<Addr, From>,
}

/// Exceptions that push an error code, so that the frame lies 8 bytes higher (Intel SDM vol. 3, 6.15).
const ERROR_CODE: &[&str] = &[
    "asm_exc_double_fault",
    "asm_exc_invalid_tss",
    "asm_exc_segment_not_present",
    "asm_exc_stack_segment",
    "asm_exc_general_protection",
    "asm_exc_page_fault",
    "asm_exc_alignment_check",
    "asm_exc_control_protection",
];

/// Called when a signal's handler is set up: the task's saved registers lead to it already.
const SIGNAL: &str = "signal_setup_done";

/// What the application does not call: exceptions and interrupts, with where their frame lies.
fn by_itself(name: &str) -> Option<(CrossingKind, From)> {
    let pushed = |above| From::Stack(above);
    match name {
        "asm_exc_nmi" => Some((CrossingKind::Interrupt, pushed(0))),
        // The stub of each vector has pushed its number.
        "asm_common_interrupt" | "asm_spurious_interrupt" => {
            Some((CrossingKind::Interrupt, pushed(8)))
        }
        _ if name.starts_with("asm_sysvec_") => Some((CrossingKind::Interrupt, pushed(0))),
        _ if name.starts_with("asm_exc_") => {
            let above = if ERROR_CODE.contains(&name) { 8 } else { 0 };
            Some((CrossingKind::Fault, pushed(above)))
        }
        _ => None,
    }
}

impl Doors {
    pub(super) fn of(symbols: &Symbols) -> Self {
        let mut doors = Self::default();
        doors.enter(
            symbols,
            "entry_SYSCALL_64",
            CrossingKind::Syscall,
            From::Rcx,
        );
        for bypass in ["ukl_bypass_syscall", "ukl_bypass_limited_syscall"] {
            doors.enter(symbols, bypass, CrossingKind::Bypass, From::Stack(0));
        }
        let entry = symbols.boundary().entry_text;
        let exceptions: Vec<String> = symbols
            .starting_in(entry)
            .filter(|symbol| symbol.name.starts_with("asm_"))
            .map(|symbol| symbol.name.to_owned())
            .collect();
        for name in exceptions {
            if let Some((kind, from)) = by_itself(&name) {
                doors.enter(symbols, &name, kind, from);
            }
        }
        doors.enter(symbols, SIGNAL, CrossingKind::Signal, From::Saved);
        if !symbols.has_twin() {
            doors.calls_out_of(symbols, symbols.boundary().app_text);
        }
        doors.exits(symbols, entry);
        doors
    }

    fn enter(&mut self, symbols: &Symbols, name: &str, kind: CrossingKind, from: From) {
        let Some(addr) = symbols.address_of(name) else {
            return;
        };
        let plain = name.strip_prefix("asm_").or(name.strip_prefix("ukl_"));
        let door = Door {
            kind,
            name: name.to_owned(),
            implementation: plain.and_then(|plain| symbols.address_of(plain)),
            from,
        };
        match kind {
            CrossingKind::Interrupt | CrossingKind::Signal => self.unasked.insert(addr, door),
            _ => self.into.insert(addr, door),
        };
    }

    /// The way in that begins at this instruction, asked for or not.
    pub(super) fn way_in(&self, at: Addr) -> Option<&Door> {
        self.into.get(&at).or_else(|| self.unasked.get(&at))
    }

    /// Every way in with its first instruction; of the two ways to bypass, one leads to the other.
    pub(super) fn ways_in(&self) -> impl Iterator<Item = (Addr, &Door)> {
        self.into
            .iter()
            .chain(&self.unasked)
            .filter(|(_, door)| door.name != "ukl_bypass_limited_syscall")
            .map(|(at, door)| (*at, door))
    }

    /// The kernel's functions that the application's code calls or jumps to directly.
    fn calls_out_of(&mut self, symbols: &Symbols, app: AddrRange) {
        each(symbols, app, |instruction| {
            let target = match (instruction.flow, instruction.target) {
                (Flow::Call | Flow::Jump, Some(target)) => target,
                _ => return,
            };
            if !target.in_kernel_half() || app.contains(target) {
                return;
            }
            let Some(symbol) = symbols.at(target) else {
                return;
            };
            let plain = symbol.name.strip_prefix("ukl_");
            let implementation = plain.and_then(|plain| symbols.address_of(plain));
            self.into.entry(target).or_insert_with(|| Door {
                kind: CrossingKind::Shortcut,
                name: symbol.name.to_owned(),
                implementation: implementation.or(Some(symbol.addr)),
                from: From::Stack(0),
            });
        });
    }

    fn exits(&mut self, symbols: &Symbols, entry: AddrRange) {
        let way_back = symbols.address_of("ukl_ret_to_app");
        let is_way_back =
            |addr| way_back.is_some() && symbols.at(addr).map(|at| at.addr) == way_back;
        each(symbols, entry, |instruction| {
            let from = match instruction.flow {
                Flow::Return if is_way_back(instruction.addr) => From::Stack(0),
                Flow::InterruptReturn => From::Stack(0),
                Flow::Sysret => From::Rcx,
                _ => return,
            };
            self.out.insert(instruction.addr, from);
        });
        let app = symbols.boundary().app_text;
        for symbol in symbols.starting_in(entry) {
            let returns = entry_code(symbol.name) == Some(EntryCode::StubReturn);
            if returns && !app.contains(symbol.addr) {
                self.out.insert(symbol.addr, From::Stack(0));
            }
        }
    }
}

/// Each instruction of each piece of code between two symbols, as the file holds it.
fn each(symbols: &Symbols, range: AddrRange, mut visit: impl FnMut(&Decoded)) {
    let mut starts: Vec<Addr> = symbols
        .starting_in(range)
        .map(|symbol| symbol.addr)
        .collect();
    starts.dedup();
    for (i, &start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(range.end);
        let Some(bytes) = usize::try_from(end - start)
            .ok()
            .and_then(|len| symbols.initial(start, len))
        else {
            continue;
        };
        let mut at = 0;
        while at < bytes.len() {
            let Some(instruction) = decode(&bytes[at..], start + at as u64) else {
                at += 1;
                continue;
            };
            visit(&instruction);
            at += instruction.len;
        }
    }
}
