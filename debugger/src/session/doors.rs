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
    /// Where the interrupted or calling instruction's address is to be found.
    pub(super) from: From,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// `syscall` leaves it in rcx.
    Rcx,
    /// So many bytes above the stack pointer: a call's return address, or a fault's frame.
    Stack(u64),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Doors {
    pub(super) into: BTreeMap<Addr, Door>,
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
            .filter(|symbol| symbol.name.starts_with("asm_exc_") && symbol.name != "asm_exc_nmi")
            .map(|symbol| symbol.name.to_owned())
            .collect();
        for name in exceptions {
            let above = if ERROR_CODE.contains(&name.as_str()) {
                8
            } else {
                0
            };
            doors.enter(symbols, &name, CrossingKind::Fault, From::Stack(above));
        }
        if !symbols.has_twin() {
            doors.calls_out_of(symbols, symbols.boundary().app_text);
        }
        doors.exits(symbols, entry);
        doors
    }

    fn enter(&mut self, symbols: &Symbols, name: &str, kind: CrossingKind, from: From) {
        if let Some(addr) = symbols.address_of(name) {
            let name = name.to_owned();
            self.into.insert(addr, Door { kind, name, from });
        }
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
            self.into.entry(target).or_insert_with(|| Door {
                kind: CrossingKind::Shortcut,
                name: symbol.name.to_owned(),
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
