//! The machine at both sides of each crossing, kept in the recording: it can be opened there.
//!
//! What is read at a side is what a debugger that stops there asks for first: the code, the stack, the
//! task, and what the call's arguments point to.

use std::collections::HashMap;

use super::StubTracer;
use super::interrupts::Interrupts;
use super::looks::{POINTED, pointed, read_file, read_pointed, read_task};
use super::machine::machine;
use crate::addr::Addr;
use crate::crossing::CrossingKind;
use crate::event::Vcpu;
use crate::session::doors::{Door, Doors, From};
use crate::session::target::{Registers, Target, TargetError, Trap};
use crate::session::trace_keep::Keeper;
use crate::symbols::Symbols;
use crate::trace::recording::{Memory, Other, Passed, Side, State};

/// Below the stack pointer a function without calls may keep its own (System V ABI).
const RED_ZONE: u64 = 128;
/// Above it.
const STACK: usize = 4096;
/// Bytes of code at the program counter.
const CODE: usize = 64;
/// Leaves the faulting address in cr2.
const PAGE_FAULT: &str = "asm_exc_page_fault";

/// Where states go, and the crossings that have not returned.
pub(super) struct Keeping<'a> {
    keeper: &'a mut Keeper,
    symbols: &'a Symbols,
    doors: Doors,
    calls: HashMap<u64, String>,
    vcpus: u32,
    machine_is_kept: bool,
    crossings: u64,
    open: Vec<Open>,
    interrupts: Interrupts,
    /// Interrupts and exceptions that were kept.
    arrivals: u64,
}

/// Where a crossing comes back to: the same place in another task is another crossing's.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Back {
    pc: Addr,
    sp: Addr,
    task: Option<Addr>,
    /// The root of the page tables: it tells processes apart where tasks are not known.
    space: Option<u64>,
}

/// A crossing that has not returned.
struct Open {
    back: Back,
    passed: Passed,
    /// Places that are kept at its exit as well.
    places: Vec<(Addr, usize)>,
}

/// What the processor pushes for an interrupt or an exception: rip, cs, rflags, rsp, ss.
struct Frame {
    ip: Addr,
    sp: Addr,
}

impl<'a> Keeping<'a> {
    pub(super) fn new(
        keeper: &'a mut Keeper,
        symbols: &'a Symbols,
        vcpus: u32,
        by_instructions: bool,
    ) -> Self {
        Self {
            keeper,
            symbols,
            doors: Doors::of(symbols),
            calls: symbols.calls().collect(),
            vcpus,
            machine_is_kept: false,
            crossings: 0,
            open: Vec::new(),
            interrupts: Interrupts::new(by_instructions),
            arrivals: 0,
        }
    }

    /// Waits for exceptions from now on, and for interrupts when the application is seen to run.
    pub(super) fn plant(&mut self, target: &mut Target) -> Result<(), TargetError> {
        let doors = self.doors.ways_in().filter(|(_, door)| arrives(door));
        let arrivals: Vec<_> = doors
            .map(|(at, door)| (Trap::soft(at), door.kind))
            .collect();
        for (trap, kind) in arrivals {
            target.insert(trap)?;
            if kind == CrossingKind::Interrupt {
                self.interrupts.add(trap);
            }
        }
        self.interrupts.take_out(target)
    }

    /// A call's entry, at which the target stands.
    fn entry(&mut self, target: &mut Target, vcpu: Vcpu) -> Result<(), TargetError> {
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
        let back = match from {
            From::Rcx | From::Saved => registers.get("rcx").map(|back| (Addr(back), sp)),
            From::Stack(above) => {
                let mut bytes = [0; 8];
                let read = target.read(sp + above, &mut bytes);
                let back = read.is_ok().then(|| Addr(u64::from_le_bytes(bytes)));
                back.map(|back| (back, sp.wrapping_add(above + 8)))
            }
        };
        let places = pointed(&registers);
        self.enter(target, (vcpu, &registers), (kind, call), back, places)
    }

    /// The entry of an interrupt or an exception, if the target stands at one. Those that come while the
    /// application runs are crossings.
    fn arrival(
        &mut self,
        target: &mut Target,
        vcpu: Vcpu,
        is_apps: impl Fn(Addr) -> bool,
    ) -> Result<bool, TargetError> {
        let registers = target.registers(vcpu)?;
        let pc = registers.pc();
        let door = pc.and_then(|pc| self.doors.way_in(pc));
        let (Some(door), Some(sp)) = (door.filter(|door| arrives(door)), registers.sp()) else {
            return Ok(false);
        };
        let above = match door.from {
            From::Stack(above) => above,
            From::Rcx | From::Saved => 0,
        };
        let frame = frame(target, sp + above).filter(|frame| is_apps(frame.ip));
        let (kind, mut call) = (door.kind, door.name.clone());
        let Some(frame) = frame else {
            if kind == CrossingKind::Interrupt {
                self.interrupts.take_out(target)?;
            }
            return Ok(true);
        };
        let mut places = vec![(frame.ip, CODE), (frame.sp.wrapping_sub(RED_ZONE), STACK)];
        if kind == CrossingKind::Interrupt {
            self.interrupts.one_came();
        }
        if kind == CrossingKind::Interrupt && above > 0 {
            // Its stub has pushed the vector, as a signed byte.
            let mut vector = [0; 1];
            if target.read(sp, &mut vector).is_ok() {
                call = format!("{call} vector {}", vector[0]);
            }
        }
        if call == PAGE_FAULT {
            places.extend(registers.get("cr2").map(|at| (Addr(at), POINTED)));
        }
        self.arrivals += 1;
        let back = Some((frame.ip, frame.sp));
        self.enter(target, (vcpu, &registers), (kind, call), back, places)?;
        Ok(true)
    }

    fn enter(
        &mut self,
        target: &mut Target,
        (vcpu, registers): (Vcpu, &Registers),
        (kind, call): (CrossingKind, String),
        back: Option<(Addr, Addr)>,
        places: Vec<(Addr, usize)>,
    ) -> Result<(), TargetError> {
        if !self.machine_is_kept {
            self.machine_is_kept = true;
            let machine = machine(target, self.symbols)?;
            self.keeper.machine(machine);
        }
        self.crossings += 1;
        let passed = Passed {
            crossing: self.crossings,
            side: Side::Entry,
            kind,
            call,
        };
        let task = self.keep(target, vcpu, passed.clone(), &places)?;
        let Some((pc, sp)) = back else {
            return Ok(());
        };
        if !self.open.iter().any(|open| open.back.pc == pc) {
            target.insert(Trap::soft(pc))?;
        }
        let space = registers.get("cr3");
        self.open.push(Open {
            back: Back {
                pc,
                sp,
                task,
                space,
            },
            passed,
            places,
        });
        Ok(())
    }

    /// Whether the target stands where calls come back. Each that does now has its exit: an interrupt may come
    /// before the first instruction after another crossing, and both are back then.
    fn exit(&mut self, target: &mut Target, vcpu: Vcpu) -> Result<bool, TargetError> {
        let registers = target.registers(vcpu)?;
        let (Some(pc), Some(sp)) = (registers.pc(), registers.sp()) else {
            return Ok(false);
        };
        if !self.open.iter().any(|open| open.back.pc == pc) {
            return Ok(false);
        }
        let task = read_task(target, self.symbols, self.vcpus, (vcpu, &registers));
        let here = Back {
            pc,
            sp,
            task: task.map(|task| task.addr),
            space: registers.get("cr3"),
        };
        while let Some(at) = self.open.iter().rposition(|open| open.back == here) {
            let open = self.open.remove(at);
            if open.passed.kind != CrossingKind::Interrupt {
                self.interrupts.another_came();
            }
            let passed = Passed {
                side: Side::Exit,
                ..open.passed
            };
            self.keep(target, vcpu, passed, &open.places)?;
        }
        // A trap that nobody waits at any more need not be stepped off.
        if !self.open.iter().any(|open| open.back.pc == pc) {
            target.remove(Trap::soft(pc))?;
        }
        self.interrupts.application_runs(target)?;
        Ok(true)
    }

    /// The state as it is now, and the task that the vCPU runs.
    fn keep(
        &mut self,
        target: &mut Target,
        vcpu: Vcpu,
        passed: Passed,
        places: &[(Addr, usize)],
    ) -> Result<Option<Addr>, TargetError> {
        let registers = target.registers(vcpu)?;
        // What cannot be read is not kept.
        target.read_many(&around(&registers));
        read_pointed(target, places);
        let task = read_task(target, self.symbols, self.vcpus, (vcpu, &registers));
        if let (Some(task), Some(fd)) = (&task, registers.get("rdi")) {
            read_file(target, self.symbols, task, fd);
        }
        let mut others = Vec::new();
        for other in (0..self.vcpus).map(Vcpu).filter(|other| *other != vcpu) {
            others.push(self.other(target, other, &registers)?);
        }
        let mut memory = Memory::default();
        for (addr, bytes) in target.keep(None).memory() {
            memory.put(addr, bytes);
        }
        self.keeper.state(State {
            passed,
            vcpu: vcpu.0,
            registers: registers.all_bytes().to_vec(),
            others,
            memory,
        });
        Ok(task.map(|task| task.addr))
    }

    /// Another vCPU at the same moment, with its code and stack: memory is one address space's, so that of another
    /// process's the kernel's half alone is.
    fn other(
        &self,
        target: &mut Target,
        vcpu: Vcpu,
        beside: &Registers,
    ) -> Result<Other, TargetError> {
        let registers = target.registers(vcpu)?;
        let is_same = registers.get("cr3") == beside.get("cr3");
        let mut places = around(&registers);
        places.retain(|(at, _)| is_same || at.in_kernel_half());
        target.read_many(&places);
        read_task(target, self.symbols, self.vcpus, (vcpu, &registers));
        Ok(Other {
            vcpu: vcpu.0,
            registers: registers.all_bytes().to_vec(),
        })
    }

    pub(super) fn arrivals_note(&self) -> String {
        let passed = self.interrupts.passed_note();
        format!(
            "{} interrupts and exceptions of the application are kept, and not in the counts below{passed}",
            self.arrivals
        )
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

    /// Keeps the interrupt or exception that the target stands at the entry of. Whether it does.
    pub(super) fn keep_arrival(&mut self, vcpu: Vcpu) -> Result<bool, TargetError> {
        let is_apps = self.interrupted_app();
        match &mut self.keeping {
            Some(keeping) => keeping.arrival(&mut self.target, vcpu, is_apps),
            None => Ok(false),
        }
    }
}

/// Whether the processor goes there by itself.
fn arrives(door: &Door) -> bool {
    matches!(door.kind, CrossingKind::Fault | CrossingKind::Interrupt)
}

fn frame(target: &mut Target, at: Addr) -> Option<Frame> {
    let mut bytes = [0; 40];
    target.read(at, &mut bytes).ok()?;
    let words = bytes.as_chunks().0;
    let word = |at: usize| words.get(at).map(|word| Addr(u64::from_le_bytes(*word)));
    Some(Frame {
        ip: word(0)?,
        sp: word(3)?,
    })
}

/// The code and the stack.
fn around(registers: &Registers) -> Vec<(Addr, usize)> {
    let code = registers.pc().map(|pc| (pc, CODE));
    let stack = registers.sp().map(|sp| (sp.wrapping_sub(RED_ZONE), STACK));
    code.into_iter().chain(stack).collect()
}
