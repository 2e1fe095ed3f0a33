//! The places at which control passes between the application and the kernel, as the symbols and
//! the code in vmlinux give them.

use std::collections::BTreeMap;

use crate::addr::{Addr, AddrRange, AddrRanges};
use crate::crossing::CrossingKind;
use crate::disasm::{Decoded, Flow, decode};
use crate::profile::{EntryCode, FromPlace};
use crate::symbols::{Kind, Pattern, Symbol, Symbols};

/// A first instruction in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) kind: CrossingKind,
    pub(super) name: String,
    /// What does the work behind it; of a system call its number tells.
    pub(super) implementation: Option<Addr>,
    /// Where the interrupted or calling instruction's address is to be found.
    pub(super) from: From,
    /// It leads to another, which is passed as well.
    pub(super) jumps_on: bool,
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

/// How a door is passed.
#[derive(Clone, Copy)]
struct Passed {
    kind: CrossingKind,
    from: From,
    jumps_on: bool,
}

impl Passed {
    const fn by(kind: CrossingKind, from: From) -> Self {
        Self {
            kind,
            from,
            jumps_on: false,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Doors {
    pub(super) into: BTreeMap<Addr, Door>,
    /// Passed without the application's doing: interrupts, and where a signal's handler is set up.
    pub(super) unasked: BTreeMap<Addr, Door>,
    /// Last instructions in the kernel: `iretq`, `sysretq`, and the `ret` of bypass, shortcuts and
    /// `ukl.ret=1`.
    pub(super) out: BTreeMap<Addr, From>,
    /// Where the work of each system call begins, whichever way it came.
    pub(super) work: BTreeMap<Addr, String>,
}

/// Called when a signal's handler is set up: the task's saved registers lead to it already.
const SIGNAL: &str = "signal_setup_done";

impl Doors {
    pub(super) fn of(symbols: &Symbols) -> Self {
        let mut doors = Self::default();
        for rule in &symbols.profile().doors {
            let from = match rule.from {
                FromPlace::Rcx => From::Rcx,
                FromPlace::Stack => From::Stack(0),
            };
            let passed = Passed {
                kind: rule.kind,
                from,
                jumps_on: rule.jumps_on,
            };
            for name in rule.names.iter() {
                doors.enter(symbols, name, passed);
            }
            for beginning in rule.names.beginnings() {
                for symbol in functions(symbols, beginning) {
                    doors.enter(symbols, symbol.name, passed);
                }
            }
        }
        let entry = symbols.boundary().entry_text;
        let exceptions = symbols
            .starting_in(entry)
            .filter_map(|symbol| Some((symbol.name, symbols.profile().arrival(symbol.name)?)));
        for (name, arrival) in exceptions {
            let passed = Passed::by(arrival.kind, From::Stack(arrival.above));
            doors.enter(symbols, name, passed);
        }
        doors.enter(
            symbols,
            SIGNAL,
            Passed::by(CrossingKind::Signal, From::Saved),
        );
        if !symbols.has_twin() {
            doors.calls_out_of(symbols, &symbols.boundary().app_text);
        }
        doors.exits(symbols, entry);
        let work = symbols.calls().filter_map(|(number, name)| {
            let implementation = symbols.call_implementation(number)?;
            Some((implementation, name))
        });
        doors.work.extend(work);
        doors
    }

    fn enter(&mut self, symbols: &Symbols, name: &str, passed: Passed) {
        let Some(addr) = symbols.address_of(name) else {
            return;
        };
        let behind = symbols.profile().behind(name);
        let door = Door {
            kind: passed.kind,
            name: name.to_owned(),
            implementation: behind.and_then(|behind| symbols.address_of(behind)),
            from: passed.from,
            jumps_on: passed.jumps_on,
        };
        match passed.kind {
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
            .filter(|(_, door)| !door.jumps_on)
            .map(|(at, door)| (*at, door))
    }

    /// The kernel's functions that the application's code calls or jumps to directly.
    fn calls_out_of(&mut self, symbols: &Symbols, app: &AddrRanges) {
        let helpers = &symbols.profile().calls.helpers;
        let mut call = |instruction: &Decoded| {
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
            if helpers.has(symbol.name) {
                return;
            }
            let behind = symbols.profile().behind(symbol.name);
            let implementation = behind.and_then(|behind| symbols.address_of(behind));
            self.into.entry(target).or_insert_with(|| Door {
                kind: CrossingKind::Shortcut,
                name: symbol.name.to_owned(),
                implementation: implementation.or(Some(symbol.addr)),
                from: From::Stack(0),
                jumps_on: false,
            });
        };
        for range in app.iter() {
            each(symbols, range, &mut call);
        }
    }

    fn exits(&mut self, symbols: &Symbols, entry: AddrRange) {
        let way_back = &symbols.profile().calls.returns_to_app;
        let way_back: Vec<Addr> = symbols
            .starting_in(entry)
            .filter(|symbol| way_back.has(symbol.name))
            .map(|symbol| symbol.addr)
            .collect();
        let is_way_back = |addr| {
            symbols
                .at(addr)
                .is_some_and(|at| way_back.contains(&at.addr))
        };
        each(symbols, entry, |instruction| {
            let from = match instruction.flow {
                Flow::Return if is_way_back(instruction.addr) => From::Stack(0),
                Flow::InterruptReturn => From::Stack(0),
                Flow::Sysret => From::Rcx,
                _ => return,
            };
            self.out.insert(instruction.addr, from);
        });
        let beginnings = symbols.profile().calls.returns_to_app.beginnings();
        for symbol in beginnings.flat_map(|beginning| functions(symbols, beginning)) {
            let code = AddrRange::new(symbol.addr, symbol.addr + symbol.size);
            each(symbols, code, |instruction| {
                if instruction.flow == Flow::Return {
                    self.out.insert(instruction.addr, From::Stack(0));
                }
            });
        }
        let app = &symbols.boundary().app_text;
        for symbol in symbols.starting_in(entry) {
            let returns = symbols.profile().entry_code(symbol.name) == Some(EntryCode::StubReturn);
            if returns && !app.contains(symbol.addr) {
                self.out.insert(symbol.addr, From::Stack(0));
            }
        }
    }
}

/// The kernel's functions of such names, outside of its entry code.
fn functions<'a>(
    symbols: &'a Symbols,
    pattern: &str,
) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
    let found = symbols.matching(&Pattern::new(pattern));
    let entry = symbols.boundary().entry_text;
    let whole = move |symbol: &Symbol<'a>| {
        symbol.kind == Kind::Function
            && !symbol.origin.is_app_side()
            && !entry.contains(symbol.addr)
    };
    found.filter(whole)
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
