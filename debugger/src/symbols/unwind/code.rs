//! Where no table covers the code (a libc built without them): its own instructions up to its
//! return tell where the return address and the saved registers lie.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register,
};

use super::registers::{Reg, RegisterSet};
use super::{Memory, read_u64};
use crate::addr::{Addr, AddrRange};

/// Instructions looked at, over all branches tried.
const LIMIT: usize = 4000;

/// How far the code is from its return, in terms of the frame's own registers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Path {
    at: u64,
    /// Where the stack pointer is: this many bytes above a register of the frame as it is now.
    base: Base,
    offset: i64,
    /// Saved registers taken off the stack on the way, as `base + offset`.
    restored: Vec<(Reg, Base, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Sp,
    Bp,
}

/// The caller's registers, with the CFA.
pub(super) fn step(
    function: AddrRange,
    at: Addr,
    registers: &RegisterSet,
    code: &[u8],
    memory: &mut Memory<'_>,
) -> Option<(RegisterSet, u64)> {
    let path = to_return(function, at, code).or_else(|| from_start(function, at, code))?;
    let base = |base: Base| match base {
        Base::Sp => registers.get(Reg::RSP),
        Base::Bp => registers.get(Reg::RBP),
    };
    let return_at = base(path.base)?.wrapping_add_signed(path.offset);
    let mut caller = registers.clone();
    caller.forget_volatile();
    for (register, from, offset) in path.restored {
        let place = base(from)?.wrapping_add_signed(offset);
        caller.set(register, read_u64(memory, Addr(place)));
    }
    caller.set(Reg::RIP, read_u64(memory, Addr(return_at)));
    caller.set(Reg::RSP, Some(return_at.wrapping_add(8)));
    Some((caller, return_at.wrapping_add(8)))
}

/// Follows the code forward; a conditional branch is first not taken, then taken.
fn to_return(function: AddrRange, at: Addr, code: &[u8]) -> Option<Path> {
    let mut waiting = vec![Path {
        at: at.0,
        base: Base::Sp,
        offset: 0,
        restored: Vec::new(),
    }];
    let mut seen = Vec::new();
    let mut steps = 0;
    let mut instruction = Instruction::default();
    while let Some(mut path) = waiting.pop() {
        loop {
            steps += 1;
            if steps > LIMIT {
                return None;
            }
            if !function.contains(Addr(path.at)) || seen.contains(&path.at) {
                break;
            }
            seen.push(path.at);
            let skip = usize::try_from(path.at - function.start.0).ok()?;
            let rest = code.get(skip..).unwrap_or(&[]);
            let mut decoder = Decoder::with_ip(64, rest, path.at, DecoderOptions::NONE);
            decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                break;
            }
            path.at = instruction.next_ip();
            match instruction.flow_control() {
                FlowControl::Return => return Some(path),
                FlowControl::UnconditionalBranch => {
                    let target = instruction.near_branch_target();
                    if !function.contains(Addr(target)) || target == function.start.0 {
                        // A call in tail position: the stack is as at a return.
                        return Some(path);
                    }
                    path.at = target;
                }
                FlowControl::IndirectBranch => {
                    // A jump through a table keeps the frame, one to a function has left it. Where
                    // the frame is empty it is the latter.
                    if path.base == Base::Sp && path.offset == 0 && !path.restored.is_empty() {
                        return Some(path);
                    }
                    if instruction.op0_kind() == OpKind::Memory
                        && instruction.memory_index() == Register::None
                    {
                        return Some(path);
                    }
                    break;
                }
                FlowControl::ConditionalBranch => {
                    let mut taken = path.clone();
                    taken.at = instruction.near_branch_target();
                    waiting.push(taken);
                }
                FlowControl::Exception | FlowControl::Interrupt => break,
                FlowControl::Next
                | FlowControl::Call
                | FlowControl::IndirectCall
                | FlowControl::XbeginXabortXend => {
                    if apply(&mut path, &instruction).is_none() {
                        break;
                    }
                }
            }
        }
    }
    None
}

/// A function that never returns: what its beginning has put on the stack, read straight down to
/// here. Branches on the way are taken to leave the stack as it was.
fn from_start(function: AddrRange, at: Addr, code: &[u8]) -> Option<Path> {
    let mut path = Path {
        at: function.start.0,
        base: Base::Sp,
        offset: 0,
        restored: Vec::new(),
    };
    // Where saved registers lie, below the return address.
    let mut saved = Vec::new();
    let mut instruction = Instruction::default();
    let mut decoder = Decoder::with_ip(64, code, path.at, DecoderOptions::NONE);
    while path.at < at.0 {
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() {
            return None;
        }
        path.at = instruction.next_ip();
        apply(&mut path, &instruction)?;
        if path.base != Base::Sp {
            return None;
        }
        if instruction.mnemonic() == Mnemonic::Push
            && let Some(register) = callee_saved(instruction.op0_register())
        {
            saved.push((register, path.offset));
        }
    }
    if path.at != at.0 {
        return None;
    }
    // From here the return address lies as far above as the stack has grown.
    let depth = -path.offset;
    path.restored = saved
        .into_iter()
        .map(|(register, offset)| (register, Base::Sp, depth + offset))
        .collect();
    path.offset = depth;
    Some(path)
}

/// `None` where the stack pointer is lost.
fn apply(path: &mut Path, instruction: &Instruction) -> Option<()> {
    let first = instruction.op0_register();
    match instruction.mnemonic() {
        Mnemonic::Push => path.offset -= 8,
        Mnemonic::Pop => {
            if let Some(register) = callee_saved(first) {
                path.restored.retain(|(known, ..)| *known != register);
                path.restored.push((register, path.base, path.offset));
            }
            path.offset += 8;
        }
        Mnemonic::Leave => {
            (path.base, path.offset) = (Base::Bp, 8);
            path.restored.push((Reg::RBP, Base::Bp, 0));
        }
        Mnemonic::Add if first == Register::RSP => path.offset += constant(instruction)?,
        Mnemonic::Sub if first == Register::RSP => path.offset -= constant(instruction)?,
        Mnemonic::Mov if first == Register::RSP => match instruction.op1_register() {
            Register::RBP => (path.base, path.offset) = (Base::Bp, 0),
            _ => return None,
        },
        Mnemonic::Lea if first == Register::RSP => {
            if instruction.memory_index() != Register::None {
                return None;
            }
            let displacement = instruction.memory_displacement64().cast_signed();
            match instruction.memory_base() {
                Register::RSP => path.offset += displacement,
                Register::RBP => (path.base, path.offset) = (Base::Bp, displacement),
                _ => return None,
            }
        }
        _ if first == Register::RSP && writes_first(instruction) => return None,
        _ => {}
    }
    Some(())
}

fn constant(instruction: &Instruction) -> Option<i64> {
    let constant = matches!(
        instruction.op1_kind(),
        OpKind::Immediate8to64 | OpKind::Immediate32to64 | OpKind::Immediate8
    );
    constant.then(|| instruction.immediate(1).cast_signed())
}

fn writes_first(instruction: &Instruction) -> bool {
    !matches!(
        instruction.mnemonic(),
        Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push
    ) && instruction.code() != Code::INVALID
}

fn callee_saved(register: Register) -> Option<Reg> {
    Some(match register {
        Register::RBX => Reg::RBX,
        Register::RBP => Reg::RBP,
        Register::R12 => Reg::R12,
        Register::R13 => Reg::R13,
        Register::R14 => Reg::R14,
        Register::R15 => Reg::R15,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Shape = (Base, i64, Vec<(Reg, Base, i64)>);

    fn path(code: &[u8], at: u64) -> Option<Shape> {
        let end = 0x1000 + code.len() as u64;
        let function = AddrRange::new(Addr(0x1000), Addr(end));
        let path = to_return(function, Addr(0x1000 + at), code)?;
        Some((path.base, path.offset, path.restored))
    }

    #[test]
    fn an_epilogue_tells_the_frame() {
        // add rsp,0x18; pop rbx; ret
        let code = [0x48, 0x83, 0xc4, 0x18, 0x5b, 0xc3];
        assert_eq!(
            path(&code, 0),
            Some((Base::Sp, 0x20, vec![(Reg::RBX, Base::Sp, 0x18)]))
        );
        // syscall; ret
        assert_eq!(path(&[0x0f, 0x05, 0xc3], 0), Some((Base::Sp, 0, vec![])));
        // leave; ret
        assert_eq!(
            path(&[0xc9, 0xc3], 0),
            Some((Base::Bp, 8, vec![(Reg::RBP, Base::Bp, 0)]))
        );
    }

    #[test]
    fn branches_are_followed() {
        // je +1; hlt; pop r12; jmp far away (a tail call)
        let code = [0x74, 0x01, 0xf4, 0x41, 0x5c, 0xe9, 0, 1, 0, 0];
        assert_eq!(
            path(&code, 0),
            Some((Base::Sp, 8, vec![(Reg::R12, Base::Sp, 0)]))
        );
        // jmp to itself: no return.
        assert_eq!(path(&[0x90, 0xeb, 0xfe], 0), None);
        assert_eq!(path(&[0x90], 0), None);
    }

    #[test]
    fn a_function_without_return_is_read_from_its_start() {
        // push rbx; sub rsp,0x10; call; (never back)
        let code = [0x53, 0x48, 0x83, 0xec, 0x10, 0xe8, 0, 0, 0, 0, 0xf4];
        let function = AddrRange::new(Addr(0x1000), Addr(0x100b));
        assert_eq!(to_return(function, Addr(0x100a), &code), None);
        let path = from_start(function, Addr(0x100a), &code).unwrap();
        assert_eq!((path.base, path.offset), (Base::Sp, 0x18));
        assert_eq!(path.restored, [(Reg::RBX, Base::Sp, 0x10)]);
    }
}
