//! Registers that entry code or a signal has put on a stack.
//!
//! The kernel's `pt_regs` is part of its user interface (ptrace hands it out), and what the CPU
//! pushes is the CPU's: these layouts do not change with the kernel's version or configuration.
//!
//! ```text
//! pt_regs: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_ax │ rip cs eflags rsp ss
//!          0                                                         120     │ 128: pushed by the CPU
//! ```

use super::registers::{Reg, RegisterSet};
use super::{Memory, read_u64};
use crate::addr::Addr;

/// Bytes of a `pt_regs`.
pub const SIZE: u64 = 168;
const ORIG_AX: u64 = 120;

const ORDER: [Reg; 15] = [
    Reg::R15,
    Reg::R14,
    Reg::R13,
    Reg::R12,
    Reg::RBP,
    Reg::RBX,
    Reg::R11,
    Reg::R10,
    Reg::R9,
    Reg::R8,
    Reg::RAX,
    Reg::RCX,
    Reg::RDX,
    Reg::RSI,
    Reg::RDI,
];

/// A `pt_regs` as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub at: Addr,
    pub registers: RegisterSet,
    /// The call's number while a system call runs, else −1 or an error code.
    pub orig_ax: u64,
    /// A code selector with privilege level 3 is a user's, or under UKL the application's mark.
    pub cs: u64,
    pub flags: u64,
}

impl Saved {
    pub fn read(at: Addr, memory: &mut Memory<'_>) -> Option<Self> {
        let mut bytes = [0; 168];
        if !memory(at, &mut bytes) {
            return None;
        }
        let mut registers = RegisterSet::default();
        let mut words = bytes.chunks_exact(8).map(word);
        for register in ORDER {
            registers.set(register, words.next());
        }
        let orig_ax = words.next()?;
        let rip = words.next();
        let (cs, flags) = (words.next()?, words.next()?);
        registers.set(Reg::RSP, words.next());
        registers.set(Reg::RIP, rip);
        Some(Self {
            at,
            registers,
            orig_ax,
            cs,
            flags,
        })
    }

    pub(super) fn orig_ax(at: Addr, memory: &mut Memory<'_>) -> Option<u64> {
        read_u64(memory, at + ORIG_AX)
    }
}

/// What the CPU pushes at an interrupt: {rip, cs, eflags, rsp, ss}. The other registers are as they
/// were.
pub(super) fn pushed_by_cpu(
    at: Addr,
    registers: &RegisterSet,
    memory: &mut Memory<'_>,
) -> Option<RegisterSet> {
    let mut bytes = [0; 40];
    if !memory(at, &mut bytes) {
        return None;
    }
    let mut words = bytes.chunks_exact(8).map(word);
    let mut before = registers.clone();
    before.set(Reg::RIP, words.next());
    before.set(Reg::RSP, words.nth(2));
    Some(before)
}

/// The `ucontext` that the kernel leaves on the application's stack for a signal handler; the stack
/// pointer stands at it when the handler has returned.
///
/// ```text
/// flags 8, link 8, stack 24 │ r8..r15 rdi rsi rbp rbx rdx rax rcx rsp rip eflags
/// ```
/// Source: arch/x86/include/uapi/asm/sigcontext.h.
pub(super) fn signal_context(at: Addr, memory: &mut Memory<'_>) -> Option<RegisterSet> {
    const ORDER: [Reg; 17] = [
        Reg::R8,
        Reg::R9,
        Reg::R10,
        Reg::R11,
        Reg::R12,
        Reg::R13,
        Reg::R14,
        Reg::R15,
        Reg::RDI,
        Reg::RSI,
        Reg::RBP,
        Reg::RBX,
        Reg::RDX,
        Reg::RAX,
        Reg::RCX,
        Reg::RSP,
        Reg::RIP,
    ];
    let mut bytes = [0; 136];
    if !memory(at + 40, &mut bytes) {
        return None;
    }
    let mut registers = RegisterSet::default();
    for (register, chunk) in ORDER.into_iter().zip(bytes.chunks_exact(8)) {
        registers.set(register, Some(word(chunk)));
    }
    Some(registers)
}

fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_come_back_from_their_places() {
        let mut stack = Vec::new();
        for i in 0..21_u64 {
            stack.extend((0x100 + i).to_le_bytes());
        }
        let mut memory = |addr: Addr, buffer: &mut [u8]| {
            let Some(at) = addr.0.checked_sub(0x1000) else {
                return false;
            };
            let at = usize::try_from(at).unwrap();
            let Some(bytes) = stack.get(at..at + buffer.len()) else {
                return false;
            };
            buffer.copy_from_slice(bytes);
            true
        };
        let saved = Saved::read(Addr(0x1000), &mut memory).unwrap();
        assert_eq!(saved.registers.get(Reg::R15), Some(0x100));
        assert_eq!(saved.registers.get(Reg::RDI), Some(0x10e));
        assert_eq!(saved.orig_ax, 0x10f);
        assert_eq!(saved.registers.pc(), Some(Addr(0x110)));
        assert_eq!((saved.cs, saved.flags), (0x111, 0x112));
        assert_eq!(saved.registers.sp(), Some(Addr(0x113)));
        assert_eq!(Saved::orig_ax(Addr(0x1000), &mut memory), Some(0x10f));
        let before = pushed_by_cpu(Addr(0x1080), &saved.registers, &mut memory).unwrap();
        assert_eq!(before, saved.registers);
        assert_eq!(Saved::read(Addr(0x1008), &mut memory), None);
    }
}
