//! Where control goes from an instruction, as registers and memory say before it is executed.

use iced_x86::{Code, ConditionCode, Mnemonic, OpKind, Register};

use super::flow::{Decoded, Flow};
use crate::addr::Addr;

/// The machine before the instruction.
pub trait State {
    /// By gdb's name: `rax`, `eflags`, `fs_base`.
    fn register(&mut self, name: &str) -> Option<u64>;
    /// False where not all of it can be read.
    fn read(&mut self, at: Addr, bytes: &mut [u8]) -> bool;
}

/// What the instruction does to control, unless it faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    To(Addr),
    /// Another round of the `rep` that stands there.
    Again,
    /// To the entry that the kernel has told the CPU.
    Syscall,
    /// Through the gate of this vector.
    Gate(u8),
    /// Here, once an interrupt has come and was handled.
    Waits(Addr),
}

const CARRY: u64 = 1;
const PARITY: u64 = 1 << 2;
const ZERO: u64 = 1 << 6;
const SIGN: u64 = 1 << 7;
const OVERFLOW: u64 = 1 << 11;

impl Decoded {
    /// `None` where what it depends on cannot be read: the instruction then faults, or it is one
    /// that is not known here (a far jump, `sysenter`).
    pub fn next(&self, state: &mut dyn State) -> Option<Next> {
        let behind = self.addr + self.len as u64;
        Some(match self.flow {
            Flow::Next if self.is_string() => match self.another_round(state)? {
                true => Next::Again,
                false => Next::To(behind),
            },
            Flow::Next => Next::To(behind),
            Flow::Jump | Flow::Call => Next::To(self.target?),
            Flow::Branch if self.taken(state)? => Next::To(self.target?),
            Flow::Branch => Next::To(behind),
            Flow::IndirectJump | Flow::IndirectCall => Next::To(self.indirect(state)?),
            Flow::Return | Flow::InterruptReturn => Next::To(Addr(self.saved_ip(state)?)),
            Flow::Sysret => Next::To(Addr(self.value(state, self.return_register())?)),
            // It has an entry of its own.
            Flow::Syscall if self.instruction.mnemonic() == Mnemonic::Sysenter => return None,
            Flow::Syscall => Next::Syscall,
            Flow::Interrupt => Next::Gate(self.vector()),
            Flow::Trap => Next::Gate(INVALID_OPCODE),
            Flow::Halt => Next::Waits(behind),
            Flow::Invalid => return None,
        })
    }

    /// Whether a branch is taken.
    pub fn taken(&self, state: &mut dyn State) -> Option<bool> {
        let instruction = &self.instruction;
        let counter = |state: &mut dyn State, register| self.value(state, register);
        // `loop` counts first.
        let left = |state: &mut dyn State| {
            let register = match instruction.code() {
                Code::Loop_rel8_64_ECX | Code::Loope_rel8_64_ECX | Code::Loopne_rel8_64_ECX => {
                    Register::ECX
                }
                _ => Register::RCX,
            };
            counter(state, register).map(|count| count != 1)
        };
        match instruction.mnemonic() {
            Mnemonic::Jrcxz => return Some(counter(state, Register::RCX)? == 0),
            Mnemonic::Jecxz => return Some(counter(state, Register::ECX)? == 0),
            Mnemonic::Loop => return left(state),
            Mnemonic::Loope => return Some(left(state)? && state.register("eflags")? & ZERO != 0),
            Mnemonic::Loopne => return Some(left(state)? && state.register("eflags")? & ZERO == 0),
            _ => {}
        }
        holds(instruction.condition_code(), state.register("eflags")?)
    }

    fn is_string(&self) -> bool {
        self.repeats && self.instruction.is_string_instruction()
    }

    /// Whether a `rep` stands where it is after one round of it.
    fn another_round(&self, state: &mut dyn State) -> Option<bool> {
        let short = (0..self.instruction.op_count()).any(|i| {
            matches!(
                self.instruction.op_kind(i),
                OpKind::MemorySegESI | OpKind::MemorySegEDI | OpKind::MemoryESEDI
            )
        });
        let count = if short { Register::ECX } else { Register::RCX };
        if self.value(state, count)? <= 1 {
            return Some(false);
        }
        let compared = match self.instruction.mnemonic() {
            Mnemonic::Cmpsb
            | Mnemonic::Cmpsw
            | Mnemonic::Cmpsd
            | Mnemonic::Cmpsq
            | Mnemonic::Scasb
            | Mnemonic::Scasw
            | Mnemonic::Scasd
            | Mnemonic::Scasq => [self.operand(state, 0)?, self.operand(state, 1)?],
            _ => return Some(true),
        };
        let equal = compared[0] == compared[1];
        Some(equal != self.instruction.has_repne_prefix())
    }

    fn indirect(&self, state: &mut dyn State) -> Option<Addr> {
        self.operand(state, 0).map(Addr)
    }

    /// An operand of up to 64 bits, in a register or in memory.
    fn operand(&self, state: &mut dyn State, which: u32) -> Option<u64> {
        if self.instruction.op_kind(which) == OpKind::Register {
            return self.value(state, self.instruction.op_register(which));
        }
        let size = self.instruction.memory_size().size();
        let at = self
            .instruction
            .virtual_address(which, 0, |register, _, _| self.base_value(state, register))?;
        let mut bytes = [0; 8];
        let read = state.read(Addr(at), bytes.get_mut(..size)?);
        read.then(|| u64::from_le_bytes(bytes))
    }

    /// As an address is made of it: of a segment register its base.
    fn base_value(&self, state: &mut dyn State, register: Register) -> Option<u64> {
        match register {
            Register::FS => state.register("fs_base"),
            Register::GS => state.register("gs_base"),
            _ if register.is_segment_register() => Some(0),
            _ => self.value(state, register),
        }
    }

    fn value(&self, state: &mut dyn State, register: Register) -> Option<u64> {
        register_value(register, &mut |name| state.register(name))
    }

    /// Where `sysret` and `sysexit` find the address they return to.
    fn return_register(&self) -> Register {
        match self.instruction.mnemonic() {
            Mnemonic::Sysexitq => Register::RDX,
            Mnemonic::Sysexit => Register::EDX,
            Mnemonic::Sysret => Register::ECX,
            _ => Register::RCX,
        }
    }

    fn saved_ip(&self, state: &mut dyn State) -> Option<u64> {
        let whole = word(state, "rsp")?;
        Some(match self.instruction.code() {
            Code::Iretd | Code::Retfd | Code::Retfd_imm16 => whole & 0xffff_ffff,
            Code::Iretw | Code::Retfw | Code::Retfw_imm16 | Code::Retnw | Code::Retnw_imm16 => {
                whole & 0xffff
            }
            _ => whole,
        })
    }

    fn vector(&self) -> u8 {
        match self.instruction.mnemonic() {
            Mnemonic::Int3 => 3,
            Mnemonic::Int1 => 1,
            _ => self.instruction.immediate8(),
        }
    }
}

const INVALID_OPCODE: u8 = 6;

/// A general register or a part of one.
fn register_value(register: Register, whole: &mut dyn FnMut(&str) -> Option<u64>) -> Option<u64> {
    let name = format!("{:?}", register.full_register()).to_lowercase();
    let value = whole(&name)?;
    let high = matches!(
        register,
        Register::AH | Register::BH | Register::CH | Register::DH
    );
    Some(match register.size() {
        1 if high => value >> 8 & 0xff,
        1 => value & 0xff,
        2 => value & 0xffff,
        4 => value & 0xffff_ffff,
        _ => value,
    })
}

/// The word that a register points to.
fn word(state: &mut dyn State, register: &str) -> Option<u64> {
    let at = state.register(register)?;
    let mut bytes = [0; 8];
    let read = state.read(Addr(at), &mut bytes);
    read.then(|| u64::from_le_bytes(bytes))
}

/// Intel SDM vol. 1, appendix B.
fn holds(condition: ConditionCode, flags: u64) -> Option<bool> {
    let set = |flag| flags & flag != 0;
    let less = set(SIGN) != set(OVERFLOW);
    Some(match condition {
        ConditionCode::o => set(OVERFLOW),
        ConditionCode::no => !set(OVERFLOW),
        ConditionCode::b => set(CARRY),
        ConditionCode::ae => !set(CARRY),
        ConditionCode::e => set(ZERO),
        ConditionCode::ne => !set(ZERO),
        ConditionCode::be => set(CARRY) || set(ZERO),
        ConditionCode::a => !set(CARRY) && !set(ZERO),
        ConditionCode::s => set(SIGN),
        ConditionCode::ns => !set(SIGN),
        ConditionCode::p => set(PARITY),
        ConditionCode::np => !set(PARITY),
        ConditionCode::l => less,
        ConditionCode::ge => !less,
        ConditionCode::le => less || set(ZERO),
        ConditionCode::g => !less && !set(ZERO),
        ConditionCode::None => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::disasm::decode;

    const AT: Addr = Addr(0x1000);

    #[derive(Default)]
    struct Machine {
        registers: BTreeMap<&'static str, u64>,
        memory: BTreeMap<u64, u8>,
    }

    impl Machine {
        fn with(mut self, name: &'static str, value: u64) -> Self {
            self.registers.insert(name, value);
            self
        }

        fn holding(mut self, at: u64, bytes: &[u8]) -> Self {
            self.memory.extend((at..).zip(bytes.iter().copied()));
            self
        }
    }

    impl State for Machine {
        fn register(&mut self, name: &str) -> Option<u64> {
            Some(self.registers.get(name).copied().unwrap_or(0))
        }

        fn read(&mut self, at: Addr, bytes: &mut [u8]) -> bool {
            (at.0..).zip(bytes).all(|(at, byte)| {
                let found = self.memory.get(&at);
                *byte = found.copied().unwrap_or(0);
                found.is_some()
            })
        }
    }

    fn next(bytes: &[u8], mut machine: Machine) -> Option<Next> {
        decode(bytes, AT).unwrap().next(&mut machine)
    }

    fn machine() -> Machine {
        Machine::default()
    }

    const TO_2000: &[u8] = &[0x00, 0x20, 0, 0, 0, 0, 0, 0];

    #[test]
    fn jumps_calls_and_returns_go_where_they_say() {
        let to = |at| Some(Next::To(Addr(at)));
        assert_eq!(next(&[0x90], machine()), to(0x1001));
        assert_eq!(next(&[0xeb, 0x10], machine()), to(0x1012));
        assert_eq!(next(&[0xe8, 0, 0, 0, 0], machine()), to(0x1005));
        // jmp rax; call [rbx+8]; jmp gs:[rcx*8]
        assert_eq!(next(&[0xff, 0xe0], machine().with("rax", 7)), to(7));
        let called = machine().with("rbx", 0x5000).holding(0x5008, TO_2000);
        assert_eq!(next(&[0xff, 0x53, 8], called), to(0x2000));
        let jumped = machine()
            .with("gs_base", 0x9000)
            .with("rcx", 2)
            .holding(0x9010, TO_2000);
        let code = [0x65, 0xff, 0x24, 0xcd, 0, 0, 0, 0];
        assert_eq!(next(&code, jumped), to(0x2000));
        // ret, iretq
        let stack = || machine().with("rsp", 0x8000).holding(0x8000, TO_2000);
        assert_eq!(next(&[0xc3], stack()), to(0x2000));
        assert_eq!(next(&[0x48, 0xcf], stack()), to(0x2000));
        // lret, lretq: an offset of 4 bytes, and of 8
        let far = || {
            machine()
                .with("rsp", 0x8000)
                .holding(0x8000, &[0, 0x20, 0, 0, 0x10, 0, 0, 0])
        };
        assert_eq!(next(&[0xcb], far()), to(0x2000));
        assert_eq!(next(&[0x48, 0xcb], far()), to(0x10_0000_2000));
        // A stack that is not there: it faults.
        assert_eq!(next(&[0xc3], machine().with("rsp", 0x8000)), None);
        let left = || {
            machine()
                .with("rcx", 0x7_0040_1000)
                .with("rdx", 0x7_0040_2000)
        };
        // sysretq, sysret, sysexitq, sysexit
        assert_eq!(next(&[0x48, 0x0f, 0x07], left()), to(0x7_0040_1000));
        assert_eq!(next(&[0x0f, 0x07], left()), to(0x40_1000));
        assert_eq!(next(&[0x48, 0x0f, 0x35], left()), to(0x7_0040_2000));
        assert_eq!(next(&[0x0f, 0x35], left()), to(0x40_2000));
    }

    #[test]
    fn gates_and_waits_are_told() {
        assert_eq!(next(&[0x0f, 0x05], machine()), Some(Next::Syscall));
        assert_eq!(next(&[0x0f, 0x34], machine()), None, "sysenter");
        assert_eq!(next(&[0xcd, 0x80], machine()), Some(Next::Gate(0x80)));
        assert_eq!(next(&[0xcc], machine()), Some(Next::Gate(3)));
        assert_eq!(next(&[0x0f, 0x0b], machine()), Some(Next::Gate(6)));
        assert_eq!(next(&[0xf4], machine()), Some(Next::Waits(AT + 1)));
    }

    #[test]
    fn every_condition_is_the_flags_word() {
        // Bits of the condition: o b e be s p l le, each followed by its opposite.
        let truth = |flags: u64| {
            let set = |flag| flags & flag != 0;
            let less = set(SIGN) != set(OVERFLOW);
            [
                set(OVERFLOW),
                set(CARRY),
                set(ZERO),
                set(CARRY) || set(ZERO),
                set(SIGN),
                set(PARITY),
                less,
                less || set(ZERO),
            ]
        };
        for bits in 0..32_u64 {
            let mut flags = 0;
            for (i, flag) in [CARRY, PARITY, ZERO, SIGN, OVERFLOW].iter().enumerate() {
                flags |= if bits >> i & 1 == 1 { *flag } else { 0 };
            }
            for (i, expected) in truth(flags).into_iter().enumerate() {
                for (opposite, expected) in [(0, expected), (1, !expected)] {
                    let opcode = 0x70 + u8::try_from(2 * i).unwrap() + opposite;
                    let goes = next(&[opcode, 0x20], machine().with("eflags", flags));
                    let to = if expected { 0x1022 } else { 0x1002 };
                    assert_eq!(goes, Some(Next::To(Addr(to))), "{opcode:x} {flags:x}");
                }
            }
        }
    }

    #[test]
    fn counted_branches_look_at_the_counter() {
        let loops = |count, flags, opcode| {
            let state = machine().with("rcx", count).with("eflags", flags);
            next(&[opcode, 0x20], state) == Some(Next::To(Addr(0x1022)))
        };
        assert!(loops(2, 0, 0xe2) && !loops(1, 0, 0xe2) && loops(0, 0, 0xe2));
        assert!(loops(2, ZERO, 0xe1) && !loops(2, 0, 0xe1));
        assert!(loops(2, 0, 0xe0) && !loops(2, ZERO, 0xe0));
        assert!(loops(0, 0, 0xe3) && !loops(1, 0, 0xe3));
        // loop and jrcxz with the 32-bit counter
        let high = || machine().with("rcx", 1 << 32);
        let short = |opcode, state| next(&[0x67, opcode, 0x20], state);
        assert_eq!(short(0xe3, high()), Some(Next::To(Addr(0x1023))));
        assert_eq!(
            short(0xe2, high().with("rcx", 1 << 32 | 1)),
            Some(Next::To(Addr(0x1003)))
        );
    }

    #[test]
    fn a_rep_goes_on_while_it_counts_and_compares() {
        let again = |bytes: &[u8], state| next(bytes, state) == Some(Next::Again);
        let movs = &[0xf3, 0xa4];
        for (count, expected) in [(0, false), (1, false), (2, true)] {
            assert_eq!(again(movs, machine().with("rcx", count)), expected);
        }
        let bytes = |a: u8, b: u8| {
            machine()
                .with("rcx", 9)
                .with("rsi", 0x100)
                .with("rdi", 0x200)
                .holding(0x100, &[a])
                .holding(0x200, &[b])
        };
        // repe cmpsb, repne cmpsb
        assert!(again(&[0xf3, 0xa6], bytes(1, 1)) && !again(&[0xf3, 0xa6], bytes(1, 2)));
        assert!(again(&[0xf2, 0xa6], bytes(1, 2)) && !again(&[0xf2, 0xa6], bytes(1, 1)));
        // repne scasb
        let scas = |al| bytes(0, 3).with("rax", al);
        assert!(again(&[0xf2, 0xae], scas(0xff04)) && !again(&[0xf2, 0xae], scas(0xff03)));
        // `rep ret` and `pause` repeat nothing.
        let stack = machine().with("rsp", 0x8000).holding(0x8000, TO_2000);
        assert_eq!(next(&[0xf3, 0xc3], stack), Some(Next::To(Addr(0x2000))));
        let pause = next(&[0xf3, 0x90], machine().with("rcx", 9));
        assert_eq!(pause, Some(Next::To(Addr(0x1002))));
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer_or_none(
            bytes in proptest::collection::vec(any::<u8>(), 1..16), flags in any::<u64>(),
        ) {
            if let Some(found) = decode(&bytes, AT) {
                let mut state = machine().with("eflags", flags).with("rcx", 3);
                let next = found.next(&mut state);
                if found.flow == Flow::Branch && found.target.is_some() {
                    let unknown = found.instruction.condition_code() == ConditionCode::None;
                    prop_assert!(next.is_some() || unknown);
                }
            }
        }
    }
}
