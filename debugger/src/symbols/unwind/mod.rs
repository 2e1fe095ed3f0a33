//! From a frame to its caller, across the boundary, until the stack's beginning.
//!
//! Tried in this order: a signal handler's return code; the DWARF frame tables, which give every
//! register a C function must keep; the kernel's ORC tables, which cover the entry assembly and
//! know where it has saved all registers; the code's own way to its return; the frame pointer.

mod certainty;
mod cfi;
mod code;
mod crossings;
mod end;
mod orc;
mod registers;
mod saved;

use super::lines::{InlineFrame, PlaceData};
use super::{Symbol, Symbols};
use crate::addr::{Addr, AddrRange};
use crate::origin::Origin;

pub use certainty::Certainty;
pub(super) use cfi::Cfi;
pub use crossings::Crossing;
pub use end::End;
pub(super) use orc::refused as orc_refused;
pub use registers::{Reg, RegisterSet};
pub use saved::{SIZE as PT_REGS_SIZE, Saved};

/// Fills the buffer from guest memory; false where not all of it could be read.
pub type Memory<'a> = dyn FnMut(Addr, &mut [u8]) -> bool + 'a;

/// How a frame was found, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// The CPU's own state.
    Registers,
    Cfi,
    Orc,
    /// All registers, or the CPU's part of them, saved by entry code.
    EntryFrame,
    /// Saved by the kernel for a signal handler.
    SignalFrame,
    /// The function's own instructions.
    Code,
    FramePointer,
}

/// A frame as the stack has it; inlined calls are not yet told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnwoundFrame {
    pub registers: RegisterSet,
    pub pc: Addr,
    /// `pc` is where a call returns to: the call's line and tables are those of the byte before.
    pub after_call: bool,
    pub found_by: FoundBy,
    pub certainty: Certainty,
    /// How control came from this frame into the one above it, where that was no plain call inside
    /// one side.
    pub crossing: Option<Crossing>,
    /// The value of the stack pointer in the caller before its call, where known: what locals of
    /// this frame are told relative to.
    pub cfa: Option<Addr>,
    /// Registers saved by entry code that this frame was read from.
    pub saved: Option<Saved>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backtrace {
    /// Innermost first.
    pub frames: Vec<UnwoundFrame>,
    /// Why it ends there.
    pub end: End,
}

/// A frame or a call inlined into one, as a backtrace shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownFrame {
    /// Index into [`Backtrace::frames`].
    pub level: usize,
    /// `symbol` is the function's name, `file` and `line` those of the statement or the call.
    pub place: PlaceData,
    pub inlined: bool,
    pub crossing: Option<Crossing>,
    pub found_by: FoundBy,
    pub certainty: Certainty,
    pub sp: Option<Addr>,
}

struct Caller {
    registers: RegisterSet,
    after_call: bool,
    found_by: FoundBy,
    cfa: Option<u64>,
    saved: Option<Saved>,
    /// A signal, or the end of an entry path, which only the step itself can tell.
    crossing: Option<Crossing>,
    /// The frame left is that of a stub that has changed the stack and saved registers on it.
    switched: bool,
    /// No frame was read: the registers are where the processor's convention has them.
    by_convention: bool,
}

impl Caller {
    /// Found by the frame that the entry code stored.
    const fn by_entry_frame(registers: RegisterSet) -> Self {
        Self {
            registers,
            after_call: false,
            found_by: FoundBy::EntryFrame,
            cfa: None,
            saved: None,
            crossing: None,
            switched: false,
            by_convention: false,
        }
    }

    fn by_code(registers: RegisterSet, cfa: u64) -> Self {
        Self {
            after_call: true,
            found_by: FoundBy::Code,
            cfa: Some(cfa),
            ..Self::by_entry_frame(registers)
        }
    }
}

enum Stepped {
    To(Box<Caller>),
    End(End),
}

impl FoundBy {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registers => "registers",
            Self::Cfi => "cfi",
            Self::Orc => "orc",
            Self::EntryFrame => "entry frame",
            Self::SignalFrame => "signal frame",
            Self::Code => "code",
            Self::FramePointer => "frame pointer",
        }
    }
}

impl UnwoundFrame {
    /// The address to look lines, inlined calls and tables up by.
    #[must_use]
    pub fn lookup(&self) -> Addr {
        match self.after_call {
            true => self.pc.wrapping_sub(1),
            false => self.pc,
        }
    }

    fn new(pc: Addr, caller: Caller, crossing: Option<Crossing>) -> Self {
        Self {
            registers: caller.registers,
            pc,
            after_call: caller.after_call,
            found_by: caller.found_by,
            certainty: Certainty::Certain,
            crossing,
            cfa: None,
            saved: caller.saved,
        }
    }
}

impl Symbols {
    /// At most `limit` frames, from the innermost: the state of a stopped CPU.
    pub fn backtrace(
        &self,
        registers: &RegisterSet,
        memory: &mut Memory<'_>,
        limit: usize,
    ) -> Backtrace {
        self.backtrace_from(registers, false, memory, limit)
    }

    /// As [`Self::backtrace`]; for a sleeping task `after_call`, since its code goes on where a call
    /// returns to.
    pub fn backtrace_from(
        &self,
        registers: &RegisterSet,
        after_call: bool,
        memory: &mut Memory<'_>,
        limit: usize,
    ) -> Backtrace {
        let mut frames: Vec<UnwoundFrame> = Vec::new();
        let Some(pc) = registers.pc() else {
            let end = End::Lost("the program counter is not known".to_owned());
            return Backtrace { frames, end };
        };
        let first = Caller {
            registers: registers.clone(),
            after_call,
            found_by: FoundBy::Registers,
            cfa: None,
            saved: None,
            crossing: None,
            switched: false,
            by_convention: false,
        };
        frames.push(UnwoundFrame::new(pc, first, None));
        let end = self.follow(&mut frames, memory, limit);
        self.named_end(Backtrace { frames, end })
    }

    fn follow(&self, frames: &mut Vec<UnwoundFrame>, memory: &mut Memory<'_>, limit: usize) -> End {
        loop {
            let depth = frames.len();
            let Some(current) = frames.last_mut() else {
                return End::Limit;
            };
            let mut caller = match self.step(current, memory) {
                Stepped::To(caller) => caller,
                Stepped::End(end) => return end,
            };
            current.cfa = caller.cfa.map(Addr);
            let Some(pc) = caller.registers.pc().filter(|pc| pc.0 != 0) else {
                return End::Lost(format!("no return address above {}", current.pc));
            };
            if pc == current.pc && caller.registers.sp() == current.registers.sp() {
                return End::Lost("the same frame again".to_owned());
            }
            if depth >= limit {
                return End::Limit;
            }
            // A task that starts is switched to with this for a return address: nothing called it.
            if self
                .at(pc)
                .is_some_and(|s| s.addr == pc && end::is_thread_start(s.name))
            {
                caller.after_call = false;
            }
            let crossing = self.crossing(current, pc, &caller, memory);
            let certainty = self.certainty(current, &caller, pc, memory);
            let mut frame = UnwoundFrame::new(pc, *caller, crossing);
            frame.certainty = certainty;
            frames.push(frame);
        }
    }

    /// Inlined calls told apart, innermost first: what `bt` shows.
    #[must_use]
    pub fn shown_frames(&self, backtrace: &Backtrace) -> Vec<ShownFrame> {
        let mut shown = Vec::new();
        for (level, frame) in backtrace.frames.iter().enumerate() {
            let mut place = self.place(frame.lookup());
            if frame.after_call && place.symbol.is_some() {
                place.offset += 1;
            }
            place.addr = frame.pc;
            let inlined = self.frames(frame.lookup());
            let count = inlined.len().max(1);
            for i in 0..count {
                let mut place = place.clone();
                if let Some(call) = inlined.get(i) {
                    name_call(&mut place, call);
                }
                shown.push(ShownFrame {
                    level,
                    place,
                    inlined: i + 1 < count,
                    crossing: frame.crossing.clone().filter(|_| i == 0),
                    found_by: frame.found_by,
                    certainty: frame.certainty.clone(),
                    sp: frame.registers.sp(),
                });
            }
        }
        shown
    }

    fn step(&self, frame: &UnwoundFrame, memory: &mut Memory<'_>) -> Stepped {
        let at = frame.lookup();
        let Some(image) = self.image(at) else {
            return Stepped::End(End::Lost(format!(
                "{} lies in the user half and no program is known there",
                frame.pc
            )));
        };
        let symbol = self.at(at);
        let name = symbol.map_or("", |s| s.name);
        if let Some(what) = end::beginning(&self.profile.calls, name) {
            return Stepped::End(End::Start(what.to_owned()));
        }
        if let Some(caller) = self.signal(frame, memory) {
            return Stepped::To(Box::new(caller));
        }
        let registers = &frame.registers;
        let origin = self.origin(at);
        // Code of the application passes the kernel's tools unseen: the table then answers for
        // whatever stands before it.
        let orc = match origin.is_app_side() {
            true => None,
            false => orc::find(image, at),
        };
        // Where the ways in and out are described for debuggers too, the saved registers tell more:
        // all of them, and the call's number.
        let saved = orc.filter(|entry| {
            let regs = matches!(entry.kind, orc::Kind::Regs | orc::Kind::IretRegs);
            regs && origin == Origin::Entry && !self.is_stub(name)
        });
        if (self.is_call_entry(name) || saved.is_some())
            && let Some(stepped) = orc.and_then(|entry| self.orc(entry, frame, name, memory))
        {
            return stepped;
        }
        let cfa = orc
            .filter(|entry| entry.kind == orc::Kind::Call && !frame.after_call)
            .and_then(|entry| orc_sp(entry, registers, memory));
        if let Some(row) = image.cfi.step(image, at, cfa, registers, memory) {
            if !row.by_expression
                && let Some(caller) = self.stub_before_frame(name, frame, memory)
            {
                return Stepped::To(Box::new(caller));
            }
            if origin.is_app_side()
                && let Some(pc) = row.caller.pc()
                && self.follows_call(pc) != Some(true)
                && let Some((caller, cfa)) = self.by_code(symbol, frame, memory)
                && caller.pc().and_then(|pc| self.follows_call(pc)) == Some(true)
            {
                return Stepped::To(Box::new(Caller::by_code(caller, cfa)));
            }
            if row.caller.get(Reg::RIP).is_some() {
                return Stepped::To(Box::new(Caller {
                    registers: row.caller,
                    after_call: !self.is_call_entry(name),
                    found_by: FoundBy::Cfi,
                    cfa: Some(row.cfa),
                    saved: None,
                    crossing: None,
                    switched: row.by_expression,
                    by_convention: false,
                }));
            }
        }
        if let Some(stepped) = orc.and_then(|entry| self.orc(entry, frame, name, memory)) {
            return stepped;
        }
        if let Some((caller, cfa)) = self.by_code(symbol, frame, memory) {
            return Stepped::To(Box::new(Caller::by_code(caller, cfa)));
        }
        self.by_frame_pointer(frame, origin, memory)
    }

    fn orc(
        &self,
        entry: orc::Entry,
        frame: &UnwoundFrame,
        name: &str,
        memory: &mut Memory<'_>,
    ) -> Option<Stepped> {
        let registers = &frame.registers;
        if entry.kind == orc::Kind::End {
            if let Some(caller) = self.before_any_frame(name, frame, memory) {
                return Some(Stepped::To(Box::new(caller)));
            }
            if let Some(caller) = self.on_the_way_out(name, frame, memory) {
                return Some(Stepped::To(Box::new(caller)));
            }
            if self.is_call_entry(name) {
                let why = "between two stacks, at the end of a system call's exit: step on";
                return Some(Stepped::End(End::Lost(why.to_owned())));
            }
            // The child of a fork has its registers on the stack while it starts; a thread of the
            // kernel has none, but its function in rbx.
            if end::is_thread_start(name)
                && registers.get(Reg::RBX) == Some(0)
                && let Some(saved) = registers.sp().and_then(|sp| Saved::read(sp, memory))
            {
                let mut caller = Caller::by_entry_frame(saved.registers.clone());
                caller.registers.gs_base = registers.gs_base;
                caller.registers.fs_base = registers.fs_base;
                caller.saved = Some(saved);
                return Some(Stepped::To(Box::new(caller)));
            }
            return Some(Stepped::End(end::without_caller(name, frame)));
        }
        let (sp, kind) = match self.regs_in_rax(name, frame) {
            Some(regs) => (regs, orc::Kind::Regs),
            None => (orc_sp(entry, registers, memory)?, entry.kind),
        };
        let mut caller = Caller::by_entry_frame(registers.clone());
        match kind {
            orc::Kind::Regs => {
                let saved = Saved::read(Addr(sp), memory)?;
                caller.registers = saved.registers.clone();
                caller.saved = Some(saved);
            }
            orc::Kind::IretRegs => {
                caller.registers = saved::pushed_by_cpu(Addr(sp), registers, memory)?;
            }
            orc::Kind::Call | orc::Kind::End => {
                let base = match entry.bp_reg {
                    orc::REG_PREV_SP => Some(sp),
                    orc::REG_BP => registers.get(Reg::RBP),
                    _ => None,
                };
                let out = &mut caller.registers;
                out.forget_volatile();
                if let Some(base) = base {
                    let place = base.wrapping_add_signed(entry.bp_offset);
                    out.set(Reg::RBP, read_u64(memory, Addr(place)));
                }
                out.set(Reg::RSP, Some(sp));
                out.set(Reg::RIP, read_u64(memory, Addr(sp.wrapping_sub(8))));
                caller.after_call = true;
                caller.found_by = FoundBy::Orc;
                caller.cfa = Some(sp);
            }
        }
        if self.profile.calls.entry_by_call.has(name) {
            entered_by_call(&mut caller, memory);
        }
        caller.registers.gs_base = registers.gs_base;
        caller.registers.fs_base = registers.fs_base;
        Some(Stepped::To(Box::new(caller)))
    }

    /// The caller's registers and the CFA.
    fn by_code(
        &self,
        symbol: Option<Symbol<'_>>,
        frame: &UnwoundFrame,
        memory: &mut Memory<'_>,
    ) -> Option<(RegisterSet, u64)> {
        let symbol = symbol.filter(|s| s.size > 0)?;
        let range = AddrRange::new(symbol.addr, symbol.addr + symbol.size);
        let code = self.initial(symbol.addr, usize::try_from(symbol.size).ok()?)?;
        code::step(range, frame.pc, &frame.registers, code, memory)
    }

    fn by_frame_pointer(
        &self,
        frame: &UnwoundFrame,
        origin: Origin,
        memory: &mut Memory<'_>,
    ) -> Stepped {
        let lost = || {
            let place = self.place(frame.lookup());
            Stepped::End(End::Lost(match place.symbol {
                Some(name) => format!(
                    "no unwind table covers {name} ({origin}) and it keeps no frame pointer"
                ),
                None => format!(
                    "{} lies in no program that is known, and its frame keeps no frame pointer",
                    frame.pc
                ),
            }))
        };
        let (Some(sp), Some(bp)) = (frame.registers.sp(), frame.registers.get(Reg::RBP)) else {
            return lost();
        };
        // A frame pointer points a little above the stack pointer, at words.
        let near = bp.checked_sub(sp.0).is_some_and(|above| above < 0x4000);
        if !near || !bp.is_multiple_of(8) {
            return lost();
        }
        let Some(return_to) = read_u64(memory, Addr(bp).wrapping_add(8)) else {
            return lost();
        };
        if self.at(Addr(return_to)).is_none_or(|s| !s.kind.is_code()) {
            return lost();
        }
        let mut registers = frame.registers.clone();
        registers.forget_volatile();
        registers.set(Reg::RBP, read_u64(memory, Addr(bp)));
        registers.set(Reg::RSP, Some(bp.wrapping_add(16)));
        registers.set(Reg::RIP, Some(return_to));
        Stepped::To(Box::new(Caller {
            registers,
            after_call: true,
            found_by: FoundBy::FramePointer,
            cfa: Some(bp.wrapping_add(16)),
            saved: None,
            crossing: None,
            switched: false,
            by_convention: false,
        }))
    }
}

/// The caller's stack pointer, or where saved registers lie.
fn orc_sp(entry: orc::Entry, registers: &RegisterSet, memory: &mut Memory<'_>) -> Option<u64> {
    let get = |register| registers.get(register);
    let offset = |value: u64| value.wrapping_add_signed(entry.sp_offset);
    Some(match entry.sp_reg {
        orc::REG_SP => offset(get(Reg::RSP)?),
        orc::REG_BP => offset(get(Reg::RBP)?),
        orc::REG_SP_INDIRECT => offset(read_u64(memory, Addr(get(Reg::RSP)?))?),
        orc::REG_BP_INDIRECT => read_u64(memory, Addr(offset(get(Reg::RBP)?)))?,
        orc::REG_R10 => get(Reg::R10)?,
        orc::REG_R13 => get(Reg::R13)?,
        orc::REG_DI => get(Reg::RDI)?,
        orc::REG_DX => get(Reg::RDX)?,
        _ => return None,
    })
}

fn name_call(place: &mut PlaceData, call: &InlineFrame) {
    place.symbol = Some(call.function.clone());
    place.file.clone_from(&call.file);
    place.line = call.line;
    place.origin = call.origin;
}

pub(super) fn read_u64(memory: &mut Memory<'_>, addr: Addr) -> Option<u64> {
    let mut bytes = [0; 8];
    memory(addr, &mut bytes).then(|| u64::from_le_bytes(bytes))
}
/// An entry that was called has the return address copied into its frame, and the frame's stack pointer
/// stands below it, at the flags: `[flags][return address]`.
fn entered_by_call(caller: &mut Caller, memory: &mut Memory<'_>) {
    let Some(sp) = caller.registers.sp() else {
        return;
    };
    if read_u64(memory, sp + 8).is_some_and(|to| Some(to) == caller.registers.get(Reg::RIP)) {
        caller.registers.set(Reg::RSP, Some(sp.0.wrapping_add(16)));
        caller.after_call = true;
    }
}
