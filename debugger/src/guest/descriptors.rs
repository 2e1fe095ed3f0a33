//! The processor's descriptor tables (Intel SDM vol. 3, 3.4.5, 6.14 and 7.2): the bytes of gates and
//! segments, decoded.
//!
//! ```text
//! gate, 16 bytes:  0..2 offset │ 2..4 selector │ 4 stack │ 5 P·DPL·0·type │ 6..8 offset │ 8..12 offset │ 0
//! segment, 8:      0..2 limit │ 2..5 base │ 5 P·DPL·S·type │ 6 G·D·L·A·limit │ 7 base; of the system, 16: 8..12 base
//! ```

use crate::addr::Addr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    pub handler: Addr,
    pub selector: u16,
    /// Of the interrupt stack table, from 1; 0 keeps the stack.
    pub stack: u8,
    /// The least privileged ring that may ask for it by an instruction.
    pub ring: u8,
    pub kind: GateKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateKind {
    /// Enters with interrupts held back.
    Interrupt,
    /// Leaves them as they are.
    Trap,
    /// No type that 64-bit mode knows.
    Odd(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub selector: u16,
    pub base: Addr,
    /// The last byte of it.
    pub limit: u64,
    pub ring: u8,
    pub kind: SegmentKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    Code {
        bits: u8,
    },
    Data {
        writable: bool,
    },
    /// The task state segment: stacks to change to.
    TaskState {
        busy: bool,
    },
    LocalTable,
    Odd(u8),
}

fn word(bytes: &[u8], at: usize, len: usize) -> u64 {
    let part = bytes.get(at..at + len).unwrap_or(&[]);
    part.iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Bytes of a gate.
pub const GATE: usize = 16;

/// None where the entry is not present, or the bytes are not as many.
#[must_use]
pub fn gate(bytes: &[u8]) -> Option<Gate> {
    let access = *bytes.get(5)?;
    if bytes.len() != GATE || access >> 7 == 0 {
        return None;
    }
    let handler = word(bytes, 0, 2) | word(bytes, 6, 2) << 16 | word(bytes, 8, 4) << 32;
    Some(Gate {
        handler: Addr(handler),
        selector: u16::from_le_bytes([bytes[2], bytes[3]]),
        stack: bytes[4] & 7,
        ring: access >> 5 & 3,
        kind: match access & 0x1f {
            0xe => GateKind::Interrupt,
            0xf => GateKind::Trap,
            odd => GateKind::Odd(odd),
        },
    })
}

/// Those of a table that are present, by their selectors.
#[must_use]
pub fn segments(table: &[u8]) -> Vec<Segment> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(bytes) = table.get(at..at + 8) {
        let access = bytes[5];
        // Descriptors of the system are twice as long in 64-bit mode.
        let system = access >> 4 & 1 == 0;
        let present = access >> 7 == 1;
        if present && let Ok(selector) = u16::try_from(at) {
            let high = if system {
                word(table, at + 8, 4) << 32
            } else {
                0
            };
            let limit = word(bytes, 0, 2) | (word(bytes, 6, 1) & 0xf) << 16;
            let pages = bytes[6] >> 7 == 1;
            found.push(Segment {
                selector,
                base: Addr(word(bytes, 2, 3) | word(bytes, 7, 1) << 24 | high),
                limit: if pages { limit << 12 | 0xfff } else { limit },
                ring: access >> 5 & 3,
                kind: kind(access, bytes[6]),
            });
        }
        at += if system && present { 16 } else { 8 };
    }
    found
}

const fn kind(access: u8, flags: u8) -> SegmentKind {
    let of = access & 0xf;
    match (access >> 4 & 1, of) {
        (1, 8..) => SegmentKind::Code {
            bits: match (flags >> 5 & 1, flags >> 6 & 1) {
                (1, _) => 64,
                (0, 1) => 32,
                _ => 16,
            },
        },
        (1, _) => SegmentKind::Data {
            writable: of & 2 != 0,
        },
        (_, 0x9) => SegmentKind::TaskState { busy: false },
        (_, 0xb) => SegmentKind::TaskState { busy: true },
        (_, 0x2) => SegmentKind::LocalTable,
        _ => SegmentKind::Odd(of),
    }
}

/// The stacks of a task state segment's bytes: of ring 0, then the seven of the interrupt stack table.
#[must_use]
pub fn stacks(bytes: &[u8]) -> [Addr; 8] {
    let mut stacks = [Addr(0); 8];
    for (i, stack) in stacks.iter_mut().enumerate() {
        let at = if i == 0 { 4 } else { 36 + (i - 1) * 8 };
        *stack = Addr(word(bytes, at, 8));
    }
    stacks
}

/// What the first 32 interrupts are (SDM vol. 3, table 6-1).
#[must_use]
pub const fn exception(vector: usize) -> &'static str {
    match vector {
        0 => "divide error",
        1 => "debug",
        2 => "NMI",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range",
        6 => "invalid opcode",
        7 => "no FPU",
        8 => "double fault",
        9 => "coprocessor overrun",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack fault",
        13 => "general protection",
        14 => "page fault",
        16 => "x87 error",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD error",
        20 => "virtualization",
        21 => "control protection",
        29 => "VMM communication",
        30 => "security",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gate_is_put_together_from_its_parts() {
        let bytes = 0x0000_0000_ffff_ffff_8160_8e03_0010_0ac0_u128.to_le_bytes();
        let gate = gate(&bytes).unwrap();
        assert_eq!(gate.handler, Addr(0xffff_ffff_8160_0ac0));
        assert_eq!((gate.selector, gate.stack, gate.ring), (0x10, 3, 0));
        assert_eq!(gate.kind, GateKind::Interrupt);
        assert_eq!(super::gate(&[0; 16]), None);
    }

    #[test]
    fn linuxs_segments_are_told_apart() {
        let mut table = Vec::new();
        let words = [0, 0x00cf_9b00_0000_ffff, 0x00af_9b00_0000_ffff_u64];
        let more = [
            0x00cf_9300_0000_ffff,
            0x0000_8b00_3000_4087,
            0xffff_fe00_u64,
        ];
        for word in words.into_iter().chain(more) {
            table.extend(word.to_le_bytes());
        }
        let found = segments(&table);
        let kinds: Vec<_> = found.iter().map(|one| (one.selector, one.kind)).collect();
        assert_eq!(
            kinds,
            [
                (0x8, SegmentKind::Code { bits: 32 }),
                (0x10, SegmentKind::Code { bits: 64 }),
                (0x18, SegmentKind::Data { writable: true }),
                (0x20, SegmentKind::TaskState { busy: true }),
            ]
        );
        assert_eq!(found[3].base, Addr(0xffff_fe00_0000_3000));
        assert_eq!((found[0].limit, found[3].limit), (0xffff_ffff, 0x4087));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (gate(&bytes), stacks(&bytes));
            for segment in segments(&bytes) {
                prop_assert!(usize::from(segment.selector) < bytes.len());
            }
        }
    }
}
