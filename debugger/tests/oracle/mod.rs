//! What an instruction must do to control, worked out before it is executed: from its bytes, the
//! registers, memory, the page tables and the interrupt table.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;

use debugger::addr::{Addr, PhysAddr};
use debugger::disasm::{Decoded, Flow, Next, State, decode};
use debugger::event::{Answer, Register};
use debugger::space::{Access, Root, walk};
use iced_x86::{
    Decoder, DecoderOptions, Instruction, InstructionInfoFactory, OpAccess, Register as Named,
    UsedMemory,
};

use crate::debuggee::Debuggee;

/// Where all of physical memory is mapped, without KASLR (Documentation/x86/x86_64/mm.rst).
const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;

const PROTECTION: u8 = 13;
const PAGE_FAULT: u8 = 14;

/// What must come of a step, and why.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) next: Addr,
    /// `branch`, `page fault`: for the count.
    pub(crate) rule: &'static str,
    /// As the disassembly has it.
    pub(crate) text: String,
    pub(crate) mnemonic: String,
    /// The counter, where this is one round of a `rep` that goes on.
    pub(crate) left: Option<u64>,
    /// It leaves the function by a call that comes back behind it.
    pub(crate) call: Option<Addr>,
}

pub(crate) struct Oracle {
    gates: Vec<Addr>,
    syscall: Addr,
}

/// The machine as it stands, asked as a user would.
struct Before<'a> {
    debuggee: &'a mut Debuggee,
    registers: BTreeMap<String, u64>,
    /// By page, what was walked to.
    walked: BTreeMap<u64, Option<Access>>,
}

impl Oracle {
    pub(crate) fn of(debuggee: &mut Debuggee) -> Self {
        let Answer::Text(lines) = debuggee.ask("monitor info registers") else {
            panic!("text was asked for");
        };
        let table = lines.iter().find(|line| line.starts_with("IDT=")).unwrap();
        let base = table[4..].split_whitespace().next().unwrap();
        let base = u64::from_str_radix(base, 16).unwrap();
        let mut before = Before::of(debuggee);
        let mut bytes = vec![0; 4096];
        assert!(before.read(Addr(base), &mut bytes), "the IDT is readable");
        let half = |gate: &[u8], at: usize| u64::from(u16::from_le_bytes([gate[at], gate[at + 1]]));
        let handler = |gate: &[u8]| {
            Addr(half(gate, 0) | half(gate, 6) << 16 | half(gate, 8) << 32 | half(gate, 10) << 48)
        };
        let gates = bytes.chunks(16).map(handler).collect();
        // The register that holds it is not shown by the stub; the kernel sets it to this.
        let syscall = Addr(debuggee.number("&entry_SYSCALL_64"));
        Self { gates, syscall }
    }

    /// What `si` must do now.
    pub(crate) fn expect(&self, debuggee: &mut Debuggee) -> Expected {
        let line = debuggee.instruction();
        let mut before = Before::of(debuggee);
        let pc = Addr(before.known("rip"));
        let mut expected = Expected {
            next: pc,
            rule: "halted",
            text: format!("{} {}", line.mnemonic, line.operands),
            mnemonic: line.mnemonic,
            left: None,
            call: None,
        };
        if before.is_halted(pc) {
            return expected;
        }
        let Some((found, code)) = before.fetch(pc) else {
            return self.gate(expected, PAGE_FAULT, "page fault (fetch)");
        };
        let mut decoder = Decoder::with_ip(64, &code, pc.0, DecoderOptions::NONE);
        let instruction = decoder.decode();
        if let Some(vector) = before.faults(&found, &instruction) {
            let rule = if vector == PAGE_FAULT {
                "page fault"
            } else {
                "protection"
            };
            return self.gate(expected, vector, rule);
        }
        let next = found.next(&mut before);
        let next = next.unwrap_or_else(|| panic!("{pc:?} {}: nothing known", expected.text));
        expected.rule = match found.flow {
            Flow::Next if found.repeats => "rep",
            Flow::Next => "next",
            Flow::Jump | Flow::IndirectJump => "jump",
            Flow::Branch => "branch",
            Flow::Call | Flow::IndirectCall => "call",
            Flow::Return => "return",
            Flow::Syscall => "syscall",
            Flow::Sysret => "sysret",
            Flow::InterruptReturn => "iret",
            Flow::Interrupt | Flow::Trap => "trap",
            Flow::Halt => "hlt",
            Flow::Invalid => "invalid",
        };
        if matches!(found.flow, Flow::Call | Flow::IndirectCall) {
            expected.call = Some(pc + found.len as u64);
        }
        match next {
            Next::To(at) | Next::Waits(at) => expected.next = at,
            Next::Again => expected.left = Some(before.known("rcx") - 1),
            Next::Syscall => expected.next = self.syscall,
            Next::Gate(vector) => expected.next = self.gates[usize::from(vector)],
        }
        expected
    }

    fn gate(&self, expected: Expected, vector: u8, rule: &'static str) -> Expected {
        Expected {
            next: self.gates[usize::from(vector)],
            rule,
            ..expected
        }
    }
}

impl<'a> Before<'a> {
    fn of(debuggee: &'a mut Debuggee) -> Self {
        let registers = registers(debuggee);
        Self {
            debuggee,
            registers,
            walked: BTreeMap::new(),
        }
    }

    fn known(&self, name: &str) -> u64 {
        self.registers[name]
    }

    fn is_halted(&mut self, pc: Addr) -> bool {
        let mut byte = [0];
        if !self.read(pc.wrapping_sub(1), &mut byte) || byte != [0xf4] {
            return false;
        }
        let Answer::Threads(threads) = self.debuggee.ask("info threads") else {
            panic!("threads were asked for");
        };
        let current = threads.iter().find(|thread| thread.current);
        current.is_some_and(|thread| thread.state.contains("halted"))
    }

    /// The instruction, where it may be fetched.
    fn fetch(&mut self, pc: Addr) -> Option<(Decoded, Vec<u8>)> {
        let mut code = vec![0; 15];
        if !self.read(pc, &mut code) {
            let in_page = 0x1000 - usize::try_from(pc.0 & 0xfff).unwrap();
            code.truncate(in_page.min(15));
            if !self.read(pc, &mut code) {
                return None;
            }
        }
        let found = decode(&code, pc);
        let last = found.as_ref().map_or(14, |found| found.len as u64 - 1);
        let pages = [pc, pc + last];
        let fetched = pages.iter().all(|at| self.may(*at, Want::Fetch));
        fetched.then(|| (found.expect("an instruction"), code))
    }

    /// The exception that its operands raise, if any.
    fn faults(&mut self, found: &Decoded, instruction: &Instruction) -> Option<u8> {
        let rounds =
            !found.repeats || !instruction.is_string_instruction() || self.known("rcx") != 0;
        let mut factory = InstructionInfoFactory::new();
        let used: Vec<UsedMemory> = factory.info(instruction).used_memory().to_vec();
        for memory in used.iter().filter(|_| rounds) {
            let wants: &[Want] = match memory.access() {
                OpAccess::Read | OpAccess::CondRead => &[Want::Read],
                OpAccess::Write | OpAccess::CondWrite => &[Want::Write],
                OpAccess::ReadWrite | OpAccess::ReadCondWrite => &[Want::Read, Want::Write],
                _ => continue,
            };
            let at = memory.virtual_address(0, |register, _, _| self.value(register));
            let at = at.expect("its registers are known");
            let last = at.wrapping_add(memory.memory_size().size().max(1) as u64 - 1);
            for end in [at, last] {
                if end.cast_signed() << 16 >> 16 != end.cast_signed() {
                    return Some(PROTECTION);
                }
                if wants.iter().any(|want| !self.may(Addr(end), *want)) {
                    return Some(PAGE_FAULT);
                }
            }
        }
        None
    }

    /// A general register or a segment's base.
    fn value(&self, register: Named) -> Option<u64> {
        match register {
            Named::FS => return Some(self.known("fs_base")),
            Named::GS => return Some(self.known("gs_base")),
            _ if register.is_segment_register() => return Some(0),
            _ => {}
        }
        let name = format!("{:?}", register.full_register()).to_lowercase();
        let value = *self.registers.get(&name)?;
        Some(match register.size() {
            4 => value & 0xffff_ffff,
            2 => value & 0xffff,
            _ => value,
        })
    }

    /// What the page tables allow there; none where nothing is mapped.
    fn access(&mut self, at: Addr) -> Option<Access> {
        let page = at.0 >> 12;
        if let Some(known) = self.walked.get(&page) {
            return *known;
        }
        let root = Root::of(self.known("cr0"), self.known("cr3"), self.known("cr4"));
        let mut physical =
            |at: PhysAddr, bytes: &mut [u8]| self.read(Addr(DIRECT_MAP + at.0), bytes);
        let Ok(found) = walk(root.expect("paging is on"), at, &mut physical) else {
            panic!("page tables are in the direct map");
        };
        self.walked.insert(page, found.access);
        found.access
    }

    /// Whether the page tables let it, as the CPU stands (Intel SDM vol. 3, 4.6).
    fn may(&mut self, at: Addr, want: Want) -> bool {
        let Some(access) = self.access(at) else {
            return false;
        };
        let (cr0, cr4) = (self.known("cr0"), self.known("cr4"));
        let user = self.known("cs") & 3 == 3;
        let bit = |word: u64, bit: u32| word >> bit & 1 == 1;
        if user && !access.user {
            return false;
        }
        match want {
            Want::Fetch => access.execute && (user || !access.user || !bit(cr4, 20)),
            _ if !user && access.user && bit(cr4, 21) && !bit(self.known("eflags"), 18) => false,
            Want::Read => true,
            Want::Write => access.write || !user && !bit(cr0, 16),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Fetch,
    Read,
    Write,
}

impl State for Before<'_> {
    fn register(&mut self, name: &str) -> Option<u64> {
        self.registers.get(name).copied()
    }

    fn read(&mut self, at: Addr, bytes: &mut [u8]) -> bool {
        let line = format!("x/{}bx {:#x}", bytes.len(), at.0);
        match self.debuggee.try_ask(&line) {
            Ok(Answer::Memory(memory)) => {
                bytes.copy_from_slice(&memory.bytes);
                true
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => false,
        }
    }
}

/// Those of at most 64 bits.
pub(crate) fn registers(debuggee: &mut Debuggee) -> BTreeMap<String, u64> {
    let Answer::Registers(list) = debuggee.ask("info registers") else {
        panic!("registers were asked for");
    };
    let number = |register: &Register| {
        let digits = register.value.strip_prefix("0x")?;
        u64::from_str_radix(digits, 16).ok()
    };
    list.iter()
        .filter_map(|register| Some((register.name.clone(), number(register)?)))
        .collect()
}
