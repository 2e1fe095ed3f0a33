//! The machine at both sides of each crossing, kept in the recording: it can be opened there.
//!
//! What is read at a side is what a debugger that stops there asks for first: the code, the stack, the
//! task, and what the call's arguments point to.

use std::collections::{BTreeSet, HashMap};

use super::StubTracer;
use crate::addr::{Addr, AddrRange};
use crate::crossing::CrossingKind;
use crate::event::Vcpu;
use crate::guest;
use crate::session::doors::{Doors, From};
use crate::session::target::{Registers, Target, TargetError, Trap};
use crate::session::trace_keep::Keeper;
use crate::symbols::unwind::RegisterSet;
use crate::symbols::{Contents, Symbols};
use crate::trace::recording::{Machine, Memory, PIECE, Passed, Side, State};

/// Below the stack pointer a function without calls may keep its own (System V ABI).
const RED_ZONE: u64 = 128;
/// Above it.
const STACK: usize = 4096;
/// Bytes behind a pointer whose length nobody tells, and at most.
const POINTED: usize = 256;
const MOST_POINTED: u64 = 4096;
/// From an argument to an iovec's buffer is one, of a message two; the places that are followed, and the words
/// of each.
const LEVELS: usize = 3;
const MOST_PLACES: usize = 32;
const MEMBERS: usize = 8;
/// Bytes of code at the program counter.
const CODE: usize = 64;
/// Bytes of one look at the kernel's code.
const LOOK: u64 = 0x400;
/// Of the interrupt descriptor table.
const TABLE: usize = 4096;
/// What lies below is no address.
const LOWEST: u64 = 0x1000;
/// A system call's arguments, and what the fourth one of a plain call is in.
const ARGUMENTS: [&str; 7] = ["rdi", "rsi", "rdx", "r10", "r8", "r9", "rcx"];

/// Where states go, and the crossings that have not returned.
pub(super) struct Keeping<'a> {
    keeper: &'a mut Keeper,
    symbols: &'a Symbols,
    doors: Doors,
    calls: HashMap<u64, String>,
    machine_is_kept: bool,
    crossings: u64,
    open: Vec<Open>,
    /// Where calls come back to.
    returns: BTreeSet<Addr>,
}

/// A crossing that has not returned.
struct Open {
    back: Addr,
    sp: u64,
    /// The root of its page tables: a child of fork() comes back to the same place.
    space: Option<u64>,
    passed: Passed,
    /// What its arguments point to.
    pointed: Vec<(Addr, usize)>,
}

impl<'a> Keeping<'a> {
    pub(super) fn new(keeper: &'a mut Keeper, symbols: &'a Symbols) -> Self {
        Self {
            keeper,
            symbols,
            doors: Doors::of(symbols),
            calls: symbols.calls().collect(),
            machine_is_kept: false,
            crossings: 0,
            open: Vec::new(),
            returns: BTreeSet::new(),
        }
    }

    fn entry(&mut self, target: &mut Target, vcpu: Vcpu) -> Result<(), TargetError> {
        if !self.machine_is_kept {
            self.machine_is_kept = true;
            let machine = machine(target, self.symbols)?;
            self.keeper.machine(machine);
        }
        let registers = target.registers(vcpu)?;
        let (Some(pc), Some(sp)) = (registers.pc(), registers.sp()) else {
            return Ok(());
        };
        let door = self.doors.way_in(pc);
        let from = door.map_or(From::Stack(0), |door| door.from);
        let kind = door.map_or(CrossingKind::Syscall, |door| door.kind);
        let called = registers.get("rax").and_then(|rax| self.calls.get(&rax));
        let call = match (kind, called, door) {
            (CrossingKind::Syscall | CrossingKind::Bypass, Some(call), _) => call.clone(),
            (_, _, Some(door)) => self.symbols.profile().shortcut(&door.name).to_owned(),
            _ => String::new(),
        };
        let (back, sp_then) = match from {
            From::Rcx | From::Saved => (registers.get("rcx").map(Addr), sp.0),
            From::Stack(above) => {
                let mut bytes = [0; 8];
                let read = target.read(sp + above, &mut bytes);
                let back = read.is_ok().then(|| Addr(u64::from_le_bytes(bytes)));
                (back, sp.0.wrapping_add(above + 8))
            }
        };
        self.crossings += 1;
        let pointed = pointed(&registers);
        let passed = Passed {
            crossing: self.crossings,
            side: Side::Entry,
            kind,
            call,
        };
        self.keep(target, vcpu, passed.clone(), &pointed)?;
        if let Some(back) = back {
            if self.returns.insert(back) {
                target.insert(Trap::soft(back))?;
            }
            self.open.push(Open {
                back,
                sp: sp_then,
                space: registers.get("cr3"),
                passed,
                pointed,
            });
        }
        Ok(())
    }

    /// Whether a call has come back here.
    fn exit(&mut self, target: &mut Target, vcpu: Vcpu) -> Result<bool, TargetError> {
        let registers = target.registers(vcpu)?;
        let Some(pc) = registers.pc().filter(|pc| self.returns.contains(pc)) else {
            return Ok(false);
        };
        let (sp, space) = (registers.sp(), registers.get("cr3"));
        let is_it =
            |open: &Open| open.back == pc && Some(Addr(open.sp)) == sp && open.space == space;
        if let Some(at) = self.open.iter().rposition(is_it) {
            let open = self.open.remove(at);
            let passed = Passed {
                side: Side::Exit,
                ..open.passed
            };
            self.keep(target, vcpu, passed, &open.pointed)?;
        }
        Ok(true)
    }

    fn keep(
        &mut self,
        target: &mut Target,
        vcpu: Vcpu,
        passed: Passed,
        pointed: &[(Addr, usize)],
    ) -> Result<(), TargetError> {
        let registers = target.registers(vcpu)?;
        let mut places: Vec<_> = registers.pc().map(|pc| (pc, CODE)).into_iter().collect();
        let stack = registers.sp().map(|sp| sp.wrapping_sub(RED_ZONE));
        places.extend(stack.map(|stack| (stack, STACK)));
        // What cannot be read is not kept.
        target.read_many(&places);
        read_pointed(target, pointed);
        read_task(target, self.symbols, &registers);
        let mut memory = Memory::default();
        for (addr, bytes) in target.keep(None).memory() {
            memory.put(addr, bytes);
        }
        self.keeper.state(State {
            passed,
            registers: registers.all_bytes().to_vec(),
            memory,
        });
        Ok(())
    }

    /// Crossings that were entered and did not come back.
    pub(super) fn still_open(&self) -> usize {
        self.open.len()
    }
}

impl StubTracer<'_> {
    /// Keeps the entry that the target stands at.
    pub(super) fn keep_entry(&mut self, vcpu: Vcpu) -> Result<(), TargetError> {
        match &mut self.keeping {
            Some(keeping) => keeping.entry(&mut self.target, vcpu),
            None => Ok(()),
        }
    }

    /// Keeps the exit that the target stands at, if it does. Whether it does.
    pub(super) fn keep_exit(&mut self, vcpu: Vcpu) -> Result<bool, TargetError> {
        match &mut self.keeping {
            Some(keeping) => keeping.exit(&mut self.target, vcpu),
            None => Ok(false),
        }
    }
}

/// What the arguments point to. A length follows its buffer, where there is one.
fn pointed(registers: &Registers) -> Vec<(Addr, usize)> {
    let values = ARGUMENTS.map(|name| registers.get(name));
    let next = values.iter().skip(1).chain([&None]);
    let each = values.iter().zip(next).filter_map(|(value, next)| {
        let addr = (*value).filter(|value| is_address(*value))?;
        let told = next.filter(|next| (1..LOWEST).contains(next));
        let len = told.map_or(POINTED, |len| {
            usize::try_from(len.min(MOST_POINTED)).unwrap_or(POINTED)
        });
        Some((Addr(addr), len.max(POINTED)))
    });
    each.collect()
}

/// Those places, and what lies behind the addresses that they begin with: the buffers of an iovec, of a
/// message.
fn read_pointed(target: &mut Target, pointed: &[(Addr, usize)]) {
    let mut level = pointed.to_vec();
    for _ in 0..LEVELS {
        let read = target.read_many(&level);
        let words = read.iter().flatten().flat_map(|bytes| {
            let words = bytes.as_chunks().0.iter().take(MEMBERS);
            words.map(|word| u64::from_le_bytes(*word))
        });
        let mut next: Vec<_> = words
            // A structure of the kernel's may lead to a device, where each read does something.
            .filter(|word| is_address(*word) && !Addr(*word).in_kernel_half())
            .map(|word| (Addr(word), POINTED))
            .collect();
        next.sort_unstable();
        next.dedup();
        next.truncate(MOST_PLACES);
        level = next;
    }
}

/// As a pointer of the application's or of the kernel's would be.
const fn is_address(word: u64) -> bool {
    let above = word >> 47;
    word >= LOWEST && (above == 0 || above == u64::MAX >> 47)
}

/// The task that runs and its stacks and the file that a call is about, as a stop asks for them.
fn read_task(target: &mut Target, symbols: &Symbols, registers: &Registers) {
    let mut set = RegisterSet::from_names(|name| registers.get(name));
    let mut memory = |at: Addr, bytes: &mut [u8]| target.read(at, bytes).is_ok();
    let areas = guest::cpu_areas(symbols, 1, &mut memory).unwrap_or_default();
    set.gs_base = areas.first().map(|area| area.start.0);
    let current = guest::current(symbols, &set, &mut memory).ok();
    // For what they read.
    let _ = guest::Stacks::of(symbols, &set, current.as_ref(), &mut memory);
    if let (Some(task), Some(fd)) = (current, registers.get("rdi")) {
        let _ = guest::file_behind(symbols, task.addr, fd, &mut memory);
    }
}

/// What holds at every state: the kernel's code and constants, of which only those pieces are kept that
/// are not as vmlinux has them.
fn machine(target: &mut Target, symbols: &Symbols) -> Result<Machine, TargetError> {
    let told = target.monitor("info registers").unwrap_or_default();
    let is_table = |line: &&str| {
        ["LDT=", "TR =", "GDT=", "IDT="]
            .iter()
            .any(|key| line.starts_with(key))
    };
    let tables: String = told
        .lines()
        .filter(is_table)
        .map(|line| format!("{line}\n"))
        .collect();
    let mut machine = Machine {
        documents: (**target.own_account()).clone(),
        said: [("info registers".to_owned(), tables)].into(),
        ..Machine::default()
    };
    if let Some(table) = crate::session::slide::interrupt_table(target) {
        let mut bytes = [0; TABLE];
        if target.read(table, &mut bytes).is_ok() {
            machine.memory.put(table.0, &bytes);
        }
    }
    let contents = symbols.contents();
    for range in constant(symbols) {
        compare(target, &contents, range, &mut machine)?;
    }
    Ok(machine)
}

/// Code and constants, which hardly change once the kernel is up.
fn constant(symbols: &Symbols) -> Vec<AddrRange> {
    let between = |from, to| {
        let (from, to) = (symbols.address_of(from)?, symbols.address_of(to)?);
        Some(AddrRange::new(from, to))
    };
    let kernel = [
        between("_stext", "_etext"),
        between("__start_rodata", "__end_rodata"),
    ];
    let mut ranges: Vec<AddrRange> = kernel.into_iter().flatten().collect();
    ranges.extend(symbols.boundary().app_text.iter());
    ranges
}

fn compare(
    target: &mut Target,
    contents: &Contents,
    range: AddrRange,
    machine: &mut Machine,
) -> Result<(), TargetError> {
    let first = range.start.0.next_multiple_of(LOOK);
    let places: Vec<Addr> = (first..range.end.0.saturating_sub(LOOK))
        .step_by(usize::try_from(LOOK).unwrap_or(1))
        .map(Addr)
        .collect();
    let len = usize::try_from(LOOK).unwrap_or(0);
    let read = target.probe(&places, len)?;
    for (start, bytes) in places.iter().zip(read) {
        let Some(bytes) = bytes else {
            continue;
        };
        match machine.of_file.last_mut() {
            Some((from, known)) if *from + *known == start.0 => *known += LOOK,
            _ => machine.of_file.push((start.0, LOOK)),
        }
        let pieces = bytes.chunks_exact(usize::try_from(PIECE).unwrap_or(1));
        for (at, piece) in (0..).map(|i| start.0 + i * PIECE).zip(pieces) {
            let mut same = vec![0; piece.len()];
            if !contents.read(Addr(at), &mut same) || same != piece {
                machine.memory.put(at, piece);
            }
        }
    }
    Ok(())
}
