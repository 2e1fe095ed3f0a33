//! What to do at each instruction of a block that QEMU translates. Data in, data out: no QEMU here.
//!
//! Decided by the bytes at translation: static keys and alternatives change the kernel's text while it
//! runs, and QEMU translates the new bytes. The site table only says where functions begin.

use iced_x86::{
    Code, Decoder, DecoderError, DecoderOptions, FlowControl, Mnemonic, OpKind, Register,
};
use wire::{Kind, Site, SiteFlags, Word};

/// An instruction as QEMU lists it.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    pub address: u64,
    pub bytes: [u8; 16],
    pub size: usize,
}

/// A callback to be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Index into the block.
    pub at: usize,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Write a record. `after`: its stamp counts the instruction itself.
    Record { word: Word, after: bool },
    /// Write two: `word` before the block, and another one of the same function behind it, of how it ends.
    Whole { word: Word, end: Kind },
    /// The handler of a fault, or of an interrupt, is entered: its record is written when it is known where that
    /// was.
    Fault { word: Word, frame: Frame },
    /// What the handler calls first is entered: its record comes after that one.
    Framed { word: Word },
    /// The address that it writes, the first since the fault, tells where the CPU has pushed the faulting
    /// instruction's.
    Pushed,
    /// There is no such access.
    Unpushed,
    /// Start recording, or stop it.
    Gate { open: bool },
    /// What follows is not recorded, up to the application's next record.
    LeaveOut,
    /// The address it writes is where a task's stack pointer is kept.
    StackSaved,
    /// The address it reads is where the next task's stack pointer is kept.
    StackLoaded,
}

/// What the CPU has pushed: the faulting instruction's address, below that an error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// No error code.
    Plain,
    ErrorCode,
    /// An error code that tells whether the instruction was read.
    PageFault,
    /// An interrupt's: no error code, and the address of what is executed next.
    Interrupt,
}

impl Frame {
    pub const ALL: [Self; 4] = [
        Self::Plain,
        Self::ErrorCode,
        Self::PageFault,
        Self::Interrupt,
    ];
}

/// Where functions begin, sorted by address.
#[derive(Clone, Copy, Debug)]
pub struct Sites<'a>(pub &'a [Site]);

impl Sites<'_> {
    /// Index of the last site at or below the address.
    fn below(&self, address: u64) -> Option<usize> {
        self.0
            .partition_point(|site| site.address <= address)
            .checked_sub(1)
    }

    fn containing(&self, address: u64) -> Option<&Site> {
        let site = &self.0[self.below(address)?];
        (site.flags & SiteFlags::END == 0).then_some(site)
    }

    /// Whether what lies there is executed inside of crossings alone.
    #[must_use]
    pub fn is_within(&self, address: u64) -> bool {
        let site = self.containing(address);
        site.is_some_and(|site| site.flags & SiteFlags::WITHIN != 0)
    }

    fn starting_at(&self, address: u64) -> Option<&Site> {
        self.containing(address)
            .filter(|site| site.address == address)
    }
}

/// How many of the listed instructions the block executes.
///
/// QEMU 7.2 leaves a phantom at the end of the list: an instruction, not the block's only one, that
/// crosses into the next page is rolled back and translated in the next block, but stays listed with the
/// bytes read so far.
#[must_use]
pub fn executed(block: &[Listed]) -> usize {
    match block {
        [] | [_] => block.len(),
        [.., last] => {
            // No instruction is longer than 15 bytes.
            let near_the_end = last.address & 0xfff > 0x1000 - 15;
            block.len() - usize::from(near_the_end && is_cut(last))
        }
    }
}

/// A string instruction that repeats itself. It ends its block.
pub(crate) fn repeats(listed: &Listed) -> bool {
    let instruction = decoder(listed).decode();
    let prefixed = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    prefixed && instruction.is_string_instruction()
}

/// Whether a block may go on behind the instruction, and it accesses anything but the stack, if it does.
#[must_use]
pub fn goes_on(listed: &Listed) -> bool {
    let instruction = decoder(listed).decode();
    let next = instruction.flow_control() == FlowControl::Next;
    next && !instruction.is_stack_instruction() && !repeats(listed)
}

fn is_cut(listed: &Listed) -> bool {
    let mut decoder = decoder(listed);
    let _ = decoder.decode();
    decoder.last_error() == DecoderError::NoMoreBytes
}

pub(crate) fn decoder(listed: &Listed) -> Decoder<'_> {
    Decoder::with_ip(
        64,
        &listed.bytes[..listed.size.min(15)],
        listed.address,
        DecoderOptions::NONE,
    )
}

/// The hooks of a block, in the order of its instructions; `block` without a phantom.
pub fn hooks(block: &[Listed], sites: Sites<'_>, out: &mut Vec<Hook>) {
    out.clear();
    let Some(first) = block.first() else { return };
    // One search per block: the rest follows from the next site's address.
    let mut next = sites.0.partition_point(|site| site.address < first.address);
    for (at, listed) in block.iter().enumerate() {
        while sites
            .0
            .get(next)
            .is_some_and(|site| site.address < listed.address)
        {
            next += 1;
        }
        if let Some(site) = sites
            .0
            .get(next)
            .filter(|site| site.address == listed.address)
            && site.flags & SiteFlags::END == 0
        {
            for (flag, open) in [(SiteFlags::STOPS, false), (SiteFlags::STARTS, true)] {
                if site.flags & flag != 0 {
                    let what = What::Gate { open };
                    out.push(Hook { at, what });
                }
            }
            let before = next.checked_sub(1).and_then(|i| sites.0.get(i));
            let from_quiet = before.is_some_and(is_quiet);
            if at > 0 && site.flags & (SiteFlags::LABEL | SiteFlags::QUIET) == 0 && !from_quiet {
                // Fallen into, not called: told as a jump to it.
                out.push(Hook {
                    at,
                    what: record(jump_kind(site), site, false),
                });
            }
            if !is_quiet(site) && site.flags & SiteFlags::INNER == 0 {
                enter(block, at, site, out);
            }
            if site.flags & SiteFlags::LEFT_OUT != 0 {
                let what = What::LeaveOut;
                out.push(Hook { at, what });
            }
        }
        let inside = next
            .checked_sub(usize::from(
                sites
                    .0
                    .get(next)
                    .is_none_or(|site| site.address > listed.address),
            ))
            .and_then(|i| sites.0.get(i));
        if inside.is_some_and(|site| site.flags & SiteFlags::SWITCHES != 0)
            && let Some(what) = stack_switch(listed)
        {
            out.push(Hook { at, what });
        }
    }
    // Whatever changes the flow ends a block.
    if let Some(last) = block.last() {
        let at = block.len() - 1;
        let both = [leaves_own(last, sites), flow(last, sites)];
        out.extend(both.into_iter().flatten().map(|what| Hook { at, what }));
    }
    // Where a handler pushes something was looked for ahead.
    out.sort_by_key(|hook| hook.at);
}

fn record(kind: Kind, site: &Site, after: bool) -> What {
    What::Record {
        word: Word::new(kind, site.word().function()),
        after,
    }
}

/// A function is entered at that instruction.
fn enter(block: &[Listed], at: usize, site: &Site, out: &mut Vec<Hook>) {
    let word = Word::new(entry_kind(site), site.word().function());
    let has = |flag| site.flags & flag != 0;
    let mut plant = |at, what| out.push(Hook { at, what });
    match first_push(block, at) {
        // The number in place of an error code; while the kernel starts, below an error code the exception's.
        Some((push, Mnemonic::Push)) if has(SiteFlags::FAULTS) => {
            let next = block.get(push + 1).map(|next| decoder(next).decode());
            let frame = match next.map(|next| next.mnemonic()) {
                Some(Mnemonic::Jmp) => Frame::ErrorCode,
                _ => Frame::Plain,
            };
            plant(at, What::Fault { word, frame });
            plant(push, What::Pushed);
        }
        Some((push, Mnemonic::Push)) if word.kind() == Some(Kind::InterruptEntry) => {
            let frame = Frame::Interrupt;
            plant(at, What::Fault { word, frame });
            plant(push, What::Pushed);
        }
        // An access of a block's last instruction is none to ask for: QEMU 7.2 goes on to tell of those of
        // other blocks, until it forgets where to.
        Some((_, Mnemonic::Call)) if has(SiteFlags::FAULTS) => {
            let frame = if has(SiteFlags::PAGE_FAULTS) {
                Frame::PageFault
            } else {
                Frame::ErrorCode
            };
            plant(at, What::Fault { word, frame });
        }
        Some((push, Mnemonic::Push)) if has(SiteFlags::FRAMES) => {
            plant(at, What::Framed { word });
            plant(push, What::Pushed);
        }
        _ => {
            if has(SiteFlags::FRAMES) {
                plant(at, What::Unpushed);
            }
            let after = false;
            plant(at, What::Record { word, after });
        }
    }
}

/// The first instruction from there on that uses the stack.
fn first_push(block: &[Listed], from: usize) -> Option<(usize, Mnemonic)> {
    let mut rest = block.iter().enumerate().skip(from);
    rest.find_map(|(at, listed)| {
        let instruction = decoder(listed).decode();
        let uses = instruction.is_stack_instruction();
        uses.then(|| (at, instruction.mnemonic()))
    })
}

fn is_quiet(site: &Site) -> bool {
    site.flags & SiteFlags::QUIET != 0
}

fn entry_kind(site: &Site) -> Kind {
    site.word().kind().unwrap_or(Kind::Entry)
}

fn jump_kind(site: &Site) -> Kind {
    if site.is_app() {
        Kind::AppJump
    } else {
        Kind::Jump
    }
}

/// Whether the last instruction of a block leaves the application's own code by a call, or by a jump that
/// may stand for one: `leaving` in the debugger's trace/call_sites.rs lists the same.
fn leaves_own(last: &Listed, sites: Sites<'_>) -> Option<What> {
    let own = |site: &&Site| site.flags & SiteFlags::OWN != 0;
    sites.containing(last.address).filter(own)?;
    let instruction = decoder(last).decode();
    let stays = |to: Option<&Site>| to.filter(own).is_some();
    let target = instruction.near_branch_target();
    let leaves = match instruction.flow_control() {
        FlowControl::Call if instruction.mnemonic() == Mnemonic::Syscall => true,
        FlowControl::Call => !stays(sites.containing(target)),
        FlowControl::IndirectCall => true,
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            let to = sites.starting_at(target);
            to.is_some() && !stays(to)
        }
        FlowControl::IndirectBranch => instruction.memory_index() == Register::None,
        _ => false,
    };
    leaves.then(|| What::Record {
        word: Word::new(Kind::AppCall, Word::place(last.address)),
        after: true,
    })
}

/// What the last instruction of a block does, where it is to be recorded.
fn flow(last: &Listed, sites: Sites<'_>) -> Option<What> {
    let instruction = decoder(last).decode();
    let inside = sites.containing(last.address);
    let app = inside.is_some_and(|site| site.is_app());
    let function = inside.map_or(wire::record::NO_FUNCTION, |site| site.word().function());
    let after = |kind| {
        Some(What::Record {
            word: Word::new(kind, function),
            after: true,
        })
    };
    let has = |flag| inside.is_some_and(|site| site.flags & flag != 0);
    if inside.is_some_and(is_quiet) {
        let calls = has(SiteFlags::CALLS) && instruction.mnemonic() == Mnemonic::Syscall;
        // A function that it jumps to is its caller's call.
        return calls.then(|| after(Kind::AppJump)).flatten();
    }
    let kernel = inside.is_some() && !app;
    let (leaves, returns) = (has(SiteFlags::LEAVES), has(SiteFlags::RETURNS));
    match instruction.flow_control() {
        FlowControl::Return | FlowControl::IndirectBranch if returns => after(Kind::Iret),
        FlowControl::Return => match instruction.code() {
            Code::Sysretd | Code::Sysretq if leaves => after(Kind::Sysret),
            Code::Iretw | Code::Iretd | Code::Iretq if leaves => after(Kind::Iret),
            Code::Sysretd | Code::Sysretq | Code::Iretw | Code::Iretd | Code::Iretq => None,
            _ if app => after(Kind::AppReturn),
            _ if kernel => after(Kind::Return),
            // Outside every known function: a ring-3 program nobody asked about, or the firmware.
            _ => None,
        },
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            let target = sites.starting_at(instruction.near_branch_target())?;
            if target.flags & SiteFlags::LABEL != 0 {
                return None;
            }
            if is_quiet(target) {
                // What is executed there is the caller's of this one: as far as is recorded it returns.
                // Whether a conditional jump is taken is not seen.
                let always = instruction.flow_control() == FlowControl::UnconditionalBranch;
                let returns = if app { Kind::AppReturn } else { Kind::Return };
                return always.then(|| after(returns)).flatten();
            }
            after(if app { Kind::AppJump } else { Kind::Jump })
        }
        FlowControl::IndirectBranch if app => after(Kind::AppJump),
        FlowControl::IndirectBranch if kernel => after(Kind::Jump),
        _ => None,
    }
}

/// Whether what is recorded of the instruction happens whenever it is executed: a jump of the kernel's that may not be
/// taken, or lead anywhere, is one only if the next function is entered at the same clock.
#[must_use]
pub fn is_certain(listed: &Listed, what: What) -> bool {
    match what {
        What::Record { word, after: true } if word.kind() == Some(Kind::Jump) => {
            let flow = decoder(listed).decode().flow_control();
            flow == FlowControl::UnconditionalBranch
        }
        _ => true,
    }
}

/// `mov %rsp, offset(%reg)` and `mov offset(%reg), %rsp`.
fn stack_switch(listed: &Listed) -> Option<What> {
    let instruction = decoder(listed).decode();
    if instruction.mnemonic() != Mnemonic::Mov {
        return None;
    }
    match (instruction.op0_kind(), instruction.op1_kind()) {
        (OpKind::Memory, OpKind::Register) if instruction.op1_register() == Register::RSP => {
            Some(What::StackSaved)
        }
        (OpKind::Register, OpKind::Memory) if instruction.op0_register() == Register::RSP => {
            Some(What::StackLoaded)
        }
        _ => None,
    }
}
