//! Instructions that repeat themselves, and that nothing leads to but the instruction before.
//!
//! QEMU begins such an instruction anew for its further rounds, as a block of its own. Where control comes to it from
//! elsewhere too, a call has to tell whether that block is a first round. Where it does not, the block is always a further
//! one: it is not counted, and nothing is called. What leads to it counts it: the block that ends in it, or the one that
//! ends right before it.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind};

use crate::plan::{Listed, decoder, repeats};

/// Where the kernel's image lies, before its modules: next to each other in the guest's memory as here.
const IMAGE: Range<u64> = 0xffff_ffff_8000_0000..0xffff_ffff_a000_0000;

/// How far from the instruction jumps to it are looked for.
const AROUND: u64 = 64 << 10;

/// How far before a byte one begins to read, to see whether an instruction begins at it.
const READ_BEFORE: usize = 256;

/// The bytes of an instruction, at most.
const LONGEST: usize = 15;

/// What was found of blocks translated so far, on whichever vCPU.
#[derive(Debug, Default)]
pub struct Led(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Instructions that repeat themselves: whether they are led to so. Decided once, as QEMU keeps blocks.
    repeating: HashMap<u64, bool>,
    /// Where a block does not just go on to.
    targets: HashSet<u64>,
}

/// Whether the only instruction of a block, which counts the repeating one behind it, accesses memory.
#[must_use]
pub fn is_access(only: &Listed) -> bool {
    accesses_memory(&decoder(only).decode())
}

/// Bytes of the guest's text.
#[derive(Debug)]
pub struct Text {
    pub start: u64,
    pub bytes: Vec<u8>,
}

/// How a block stands to an instruction that repeats itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeating {
    /// It neither ends in one nor right before one that it leads to.
    None,
    /// It ends in one. `led`: nothing leads there but the instruction before.
    Last { led: bool },
    /// It ends right before one that it alone leads to.
    Next,
}

/// How many instructions a block of `executed` counts, with what it leads to and without what repeats itself.
#[must_use]
pub const fn counted(executed: usize, repeating: Repeating) -> usize {
    match repeating {
        Repeating::Last { led: true } if executed == 1 => 0,
        Repeating::Next => executed + 1,
        Repeating::Last { .. } | Repeating::None => executed,
    }
}

impl Led {
    /// How a block that is translated stands to such an instruction. `text`: bytes of the image around an address, asked
    /// for where it has to be decided. `Err`: it leads to one of which it was decided that no such block does.
    pub fn translated(
        &self,
        block: &[Listed],
        text: impl Fn(Range<u64>) -> Option<Text>,
    ) -> Result<Repeating, Elsewhere> {
        let [.., last] = block else {
            return Ok(Repeating::None);
        };
        if !is_in_image(last) {
            // Where what lies before and behind it is, is not known.
            let led = false;
            return Ok(match repeats(last) {
                true => Repeating::Last { led },
                false => Repeating::None,
            });
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = last.address.wrapping_add(last.size as u64);
        if repeats(last) {
            let before = block.len().checked_sub(2).map(|before| &block[before]);
            let led = known.decide(last.address, before, text);
            return Ok(Repeating::Last { led });
        }
        let instruction = decoder(last).decode();
        if instruction.flow_control() == FlowControl::Next {
            let next =
                text(end..end.saturating_add(4)).filter(|next| begins_repeating(&next.bytes));
            let led = next.is_some() && known.decide(end, Some(last), text);
            return Ok(if led {
                Repeating::Next
            } else {
                Repeating::None
            });
        }
        let mut elsewhere = false;
        for target in [end, instruction.near_branch_target()] {
            known.targets.insert(target);
            elsewhere |= known.repeating.get(&target) == Some(&true);
        }
        if elsewhere {
            Err(Elsewhere)
        } else {
            Ok(Repeating::None)
        }
    }
}

/// A block may lead to an instruction that is counted by what lies before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elsewhere;

impl Known {
    fn decide(
        &mut self,
        at: u64,
        before: Option<&Listed>,
        text: impl Fn(Range<u64>) -> Option<Text>,
    ) -> bool {
        let targets = &self.targets;
        *self.repeating.entry(at).or_insert_with(|| {
            before.is_some_and(goes_on_to_it)
                && !targets.contains(&at)
                && text(at.saturating_sub(AROUND)..at.saturating_add(AROUND))
                    .is_some_and(|text| !jumps_to(&text, at))
        })
    }
}

/// Whether it lies in the kernel's image, which is next to each other in the guest's memory.
#[must_use]
pub fn is_in_image(listed: &Listed) -> bool {
    IMAGE.contains(&listed.address)
}

/// Nothing but what comes next is executed behind the instruction, and it has no access that a block of its own is not
/// watched for. A NOP may become a call.
fn goes_on_to_it(before: &Listed) -> bool {
    let instruction = decoder(before).decode();
    let mut operands = instruction.op_kinds();
    let moves = instruction.mnemonic() == Mnemonic::Mov;
    let is_fine = |kind| match kind {
        OpKind::Register | OpKind::Memory => true,
        kind => is_immediate(kind),
    };
    instruction.flow_control() == FlowControl::Next
        && !instruction.is_stack_instruction()
        && instruction.mnemonic() != Mnemonic::Nop
        && operands.all(is_fine)
        && (moves || !accesses_memory(&instruction))
}

fn accesses_memory(instruction: &Instruction) -> bool {
    let named = instruction.op_kinds().any(|kind| kind == OpKind::Memory);
    named && instruction.mnemonic() != Mnemonic::Lea
}

const fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

/// A prefix that repeats, and a string instruction.
fn begins_repeating(bytes: &[u8]) -> bool {
    let mut listed = Listed {
        address: 0,
        bytes: [0; 16],
        size: bytes.len().min(4),
    };
    listed.bytes[..listed.size].copy_from_slice(&bytes[..listed.size]);
    repeats(&listed)
}

/// Whether something in there may be a jump or a call to `at`.
fn jumps_to(text: &Text, at: u64) -> bool {
    let bytes = &text.bytes;
    let lands = |behind: usize, offset: i64| {
        let from = text.start.wrapping_add(behind as u64);
        from.wrapping_add(offset.cast_unsigned()) == at
    };
    let short = |i: usize| {
        let offset = bytes.get(i).map(|byte| i64::from(byte.cast_signed()));
        offset.is_some_and(|offset| lands(i + 1, offset))
    };
    let near = |i: usize| {
        let offset = bytes.get(i..).and_then(|rest| rest.first_chunk());
        let offset = offset.map(|bytes| i64::from(i32::from_le_bytes(*bytes)));
        offset.is_some_and(|offset| lands(i + 4, offset))
    };
    let reads_so = |i: usize| match bytes[i] {
        0x70..=0x7f | 0xe0..=0xe3 | 0xeb => short(i + 1),
        0xe8 | 0xe9 => near(i + 1),
        0x0f => near(i + 2),
        _ => false,
    };
    (0..bytes.len()).any(|i| reads_so(i) && may_begin(bytes, i))
}

/// Whether an instruction may begin there: so it is by some of the ways to read what lies before, which soon are one.
fn may_begin(bytes: &[u8], at: usize) -> bool {
    let first = at.saturating_sub(READ_BEFORE);
    (first..=at).take(LONGEST).any(|start| {
        let mut decoder = Decoder::new(64, &bytes[start..], DecoderOptions::NONE);
        while decoder.position() < at - start {
            let _ = decoder.decode();
        }
        decoder.position() == at - start
    })
}
