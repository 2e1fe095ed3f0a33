//! What an instruction does to the flow of control: all a stepping command needs.

use iced_x86::{
    Decoder, DecoderError, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register,
};

use crate::addr::Addr;

/// Bytes of the longest x86 instruction.
pub(super) const LONGEST: usize = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// To the next instruction.
    Next,
    /// To one place, always.
    Jump,
    /// To a place held in a register or in memory.
    IndirectJump,
    /// To one place or the next instruction.
    Branch,
    Call,
    IndirectCall,
    Return,
    Syscall,
    Sysret,
    /// `int n`, `int3`.
    Interrupt,
    InterruptReturn,
    /// Waits for an interrupt.
    Halt,
    /// Raises an exception by design: `ud2`.
    Trap,
    /// No instruction.
    Invalid,
}

impl Flow {
    /// Whether control comes back to the next instruction in the ordinary course of things.
    #[must_use]
    pub const fn comes_back(self) -> bool {
        matches!(
            self,
            Self::Call | Self::IndirectCall | Self::Syscall | Self::Interrupt
        )
    }
}

#[derive(Clone, Debug)]
pub struct Decoded {
    pub addr: Addr,
    /// Bytes.
    pub len: usize,
    pub flow: Flow,
    /// Where a direct branch or call goes.
    pub target: Option<Addr>,
    /// The address of a memory operand that is known without registers (and without a segment base).
    pub memory: Option<Addr>,
    /// A memory operand relative to gs, and nothing else: an offset into the CPU's own area.
    pub per_cpu: Option<u64>,
    /// A `rep` that may repeat: one step is one round.
    pub repeats: bool,
    pub(super) instruction: Instruction,
}

impl Decoded {
    /// `rdtsc`, `rdtscp`
    #[must_use]
    pub fn reads_time_stamp(&self) -> bool {
        let mnemonic = self.instruction.mnemonic();
        matches!(mnemonic, Mnemonic::Rdtsc | Mnemonic::Rdtscp)
    }

    #[must_use]
    pub fn is_pause(&self) -> bool {
        self.instruction.mnemonic() == Mnemonic::Pause
    }
}

/// The instruction at the start of `bytes`; `None` where there is none or it is cut off.
#[must_use]
pub fn decode(bytes: &[u8], addr: Addr) -> Option<Decoded> {
    let mut decoder = Decoder::with_ip(64, bytes, addr.0, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    decoder.decode_out(&mut instruction);
    if instruction.is_invalid() {
        return None;
    }
    let flow = flow(&instruction);
    let near = matches!(
        instruction.op0_kind(),
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
    );
    let absolute =
        instruction.memory_base() == Register::None && instruction.memory_index() == Register::None;
    let has_memory = (0..instruction.op_count()).any(|i| instruction.op_kind(i) == OpKind::Memory);
    let segment = instruction.memory_segment();
    let plain = !matches!(segment, Register::FS | Register::GS);
    let displacement = instruction.memory_displacement64();
    let memory = match has_memory && plain {
        true if instruction.is_ip_rel_memory_operand() => {
            Some(Addr(instruction.ip_rel_memory_address()))
        }
        true if absolute => Some(Addr(displacement)),
        _ => None,
    };
    let per_cpu = match has_memory && segment == Register::GS {
        true if instruction.is_ip_rel_memory_operand() => Some(instruction.ip_rel_memory_address()),
        true if absolute => Some(displacement),
        _ => None,
    };
    Some(Decoded {
        addr,
        len: instruction.len(),
        flow,
        target: near.then(|| Addr(instruction.near_branch_target())),
        memory,
        per_cpu,
        repeats: instruction.has_rep_prefix() || instruction.has_repne_prefix(),
        instruction,
    })
}

/// Whether more bytes could make this an instruction.
pub(super) fn is_cut_off(bytes: &[u8]) -> bool {
    let mut decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    decoder.decode_out(&mut instruction);
    instruction.is_invalid() && decoder.last_error() == DecoderError::NoMoreBytes
}

fn flow(instruction: &Instruction) -> Flow {
    match instruction.mnemonic() {
        Mnemonic::Syscall | Mnemonic::Sysenter => return Flow::Syscall,
        Mnemonic::Sysret | Mnemonic::Sysretq | Mnemonic::Sysexit | Mnemonic::Sysexitq => {
            return Flow::Sysret;
        }
        Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq => return Flow::InterruptReturn,
        Mnemonic::Hlt => return Flow::Halt,
        _ => {}
    }
    match instruction.flow_control() {
        FlowControl::Next => Flow::Next,
        FlowControl::UnconditionalBranch => Flow::Jump,
        FlowControl::IndirectBranch => Flow::IndirectJump,
        FlowControl::ConditionalBranch | FlowControl::XbeginXabortXend => Flow::Branch,
        FlowControl::Return => Flow::Return,
        FlowControl::Call => Flow::Call,
        FlowControl::IndirectCall => Flow::IndirectCall,
        FlowControl::Interrupt => Flow::Interrupt,
        FlowControl::Exception => Flow::Trap,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Decoded {
        decode(bytes, Addr(0x1000)).unwrap()
    }

    #[test]
    fn flows_are_told() {
        assert_eq!(of(&[0x90]).flow, Flow::Next);
        assert_eq!(of(&[0xeb, 0]).flow, Flow::Jump);
        assert_eq!(of(&[0xff, 0xe0]).flow, Flow::IndirectJump);
        assert_eq!(of(&[0xff, 0xd1]).flow, Flow::IndirectCall);
        assert_eq!(of(&[0xcc]).flow, Flow::Interrupt);
        assert_eq!(of(&[0xf4]).flow, Flow::Halt);
        assert_eq!(of(&[0x0f, 0x0b]).flow, Flow::Trap);
        assert_eq!(
            of(&[0xe8, 0xfb, 0xff, 0xff, 0xff]).target,
            Some(Addr(0x1000))
        );
        assert!(of(&[0xf3, 0xa4]).repeats);
        assert!(decode(&[0x48], Addr(0)).is_none());
    }

    #[test]
    fn per_cpu_operands_are_told_from_plain_ones() {
        // mov rax,gs:[rip+1]: the kernel's way to a per-CPU variable near 0
        let found = of(&[0x65, 0x48, 0x8b, 5, 1, 0, 0, 0]);
        assert_eq!((found.memory, found.per_cpu), (None, Some(0x1009)));
        let found = of(&[0x48, 0x8b, 5, 1, 0, 0, 0]);
        assert_eq!((found.memory, found.per_cpu), (Some(Addr(0x1008)), None));
        // lea names an address too; mov rax,[rbx] none
        assert_eq!(of(&[0x48, 0x8b, 3]).memory, None);
    }
}
