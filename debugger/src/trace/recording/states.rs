//! The machine at its crossings: registers, and the memory that was read there.
//!
//! Memory is kept in pieces. A block holds each piece that differs once, and for each state the pieces it
//! consists of: most of a state is as the one before has it. Each block can be read without the others.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::crossing::CrossingKind;

/// Bytes of a piece; each begins at a multiple of it.
pub const PIECE: u64 = 64;
const BYTES: usize = 64;

/// States of a block: what is unpacked to see any of them.
pub(super) const STATES_PER_BLOCK: usize = 256;

/// What holds at every state of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The stub's target description: how a state's registers lie.
    pub documents: BTreeMap<String, String>,
    /// Questions to QEMU's monitor, and what it said: the tables that the processor was told.
    pub said: BTreeMap<String, String>,
    /// Address and length of memory that is as the image's vmlinux has it, but for `memory`.
    pub of_file: Vec<(u64, u64)>,
    pub memory: Memory,
}

/// Where control stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Before the first instruction in the kernel.
    Entry,
    /// Before the first instruction back in the application.
    Exit,
}

/// Which crossing it is, and on which side of it the machine stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Counts those that were seen, from 1.
    pub crossing: u64,
    pub side: Side,
    pub kind: CrossingKind,
    /// As far as it is known.
    pub call: String,
}

/// `crossing 7: into the kernel by syscall write`
impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.side {
            Side::Entry => "into the kernel by",
            Side::Exit => "back from",
        };
        write!(
            f,
            "crossing {}: {way} {} {}",
            self.crossing, self.kind, self.call
        )
    }
}

/// The machine at a side of a crossing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub passed: Passed,
    /// Which vCPU crosses.
    pub vcpu: u32,
    /// Its registers, as a `g` reply; `None` where the stub did not have a byte.
    pub registers: Vec<Option<u8>>,
    pub others: Vec<Other>,
    /// As the vCPU that crosses sees it.
    pub memory: Memory,
}

/// A vCPU beside the one that crosses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    pub vcpu: u32,
    pub registers: Vec<Option<u8>>,
}

/// Memory as far as it is known, by the address of each piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory(BTreeMap<u64, Arc<[u8; BYTES]>>);

impl Memory {
    /// Keeps the pieces that lie whole in these bytes.
    pub fn put(&mut self, addr: u64, bytes: &[u8]) {
        let skip = addr.next_multiple_of(PIECE).wrapping_sub(addr);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let whole = bytes.get(skip..).unwrap_or_default();
        let starts = (0..).map_while(|i| addr.checked_add(skip as u64)?.checked_add(i * PIECE));
        for (start, piece) in starts.zip(whole.as_chunks().0) {
            self.0.insert(start, Arc::new(*piece));
        }
    }

    /// The bytes of the piece that holds this address.
    #[must_use]
    pub fn piece(&self, addr: u64) -> Option<&[u8]> {
        Some(&self.0.get(&(addr & !(PIECE - 1)))?[..])
    }

    /// Pieces that are known.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.0.len()
    }
}

/// A block's states, and behind them [`Beside`], which a reader that knows of one vCPU alone leaves out.
#[derive(Serialize, Deserialize)]
struct Packed {
    pieces: Vec<u8>,
    states: Vec<One>,
}

/// Of each state the vCPU that crosses, and the others. Not there where the only one is 0.
type Beside = Vec<(u32, Vec<(u32, Known)>)>;

/// Registers. Those bytes are 0 that `unknown` names.
#[derive(Serialize, Deserialize)]
struct Known {
    bytes: Vec<u8>,
    unknown: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
struct One {
    passed: Passed,
    registers: Known,
    /// Pieces between the last one's end and this one, and which of the block's it is.
    memory: Vec<(u64, u32)>,
}

/// # Errors
/// When there is too much of it.
pub(super) fn encode(states: &[State]) -> Result<Vec<u8>, postcard::Error> {
    let mut pieces: Pieces<'_> = Pieces::default();
    let packed = states.iter().map(|state| One {
        passed: state.passed.clone(),
        registers: Known::of(&state.registers),
        memory: pieces.numbered(&state.memory),
    });
    let packed = packed.collect();
    let mut bytes = postcard::to_stdvec(&Packed {
        pieces: pieces.bytes,
        states: packed,
    })?;
    let is_one = |state: &State| state.vcpu == 0 && state.others.is_empty();
    if !states.iter().all(is_one) {
        bytes.extend(postcard::to_stdvec(&beside(states))?);
    }
    Ok(bytes)
}

fn beside(states: &[State]) -> Beside {
    let other = |other: &Other| (other.vcpu, Known::of(&other.registers));
    let of = |state: &State| (state.vcpu, state.others.iter().map(other).collect());
    states.iter().map(of).collect()
}

/// `None`: they are damaged.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<State>> {
    let (Packed { pieces, states }, rest) = postcard::take_from_bytes(bytes).ok()?;
    let mut beside: Beside = match rest {
        [] => Vec::new(),
        rest => postcard::from_bytes(rest).ok()?,
    };
    if beside.is_empty() {
        beside.resize_with(states.len(), Default::default);
    }
    let (pieces, rest) = pieces.as_chunks::<BYTES>();
    let pieces: Vec<_> = pieces.iter().map(|piece| Arc::new(*piece)).collect();
    if !rest.is_empty() || beside.len() != states.len() {
        return None;
    }
    let other = |(vcpu, registers): (u32, Known)| {
        let registers = registers.bytes()?;
        Some(Other { vcpu, registers })
    };
    let state = |(one, (vcpu, others)): (One, (u32, Vec<_>))| {
        Some(State {
            passed: one.passed,
            vcpu,
            registers: one.registers.bytes()?,
            others: others.into_iter().map(other).collect::<Option<_>>()?,
            memory: memory(&one.memory, &pieces)?,
        })
    };
    states.into_iter().zip(beside).map(state).collect()
}

impl Known {
    fn of(registers: &[Option<u8>]) -> Self {
        let unknown = (0..).zip(registers).filter(|(_, byte)| byte.is_none());
        Self {
            bytes: registers.iter().map(|one| one.unwrap_or(0)).collect(),
            unknown: unknown.map(|(at, _)| at).collect(),
        }
    }

    /// `None`: there are not so many.
    fn bytes(self) -> Option<Vec<Option<u8>>> {
        let mut bytes: Vec<Option<u8>> = self.bytes.into_iter().map(Some).collect();
        for at in self.unknown {
            *bytes.get_mut(usize::try_from(at).ok()?)? = None;
        }
        Some(bytes)
    }
}

fn memory(list: &[(u64, u32)], pieces: &[Arc<[u8; BYTES]>]) -> Option<Memory> {
    let mut memory = Memory::default();
    let mut next = 0_u64;
    for (between, number) in list {
        let at = next.checked_add(*between)?;
        let piece = Arc::clone(pieces.get(*number as usize)?);
        memory.0.insert(at.checked_mul(PIECE)?, piece);
        next = at + 1;
    }
    Some(memory)
}

/// Those of a block, each once.
#[derive(Default)]
struct Pieces<'a> {
    known: HashMap<&'a [u8; BYTES], u32>,
    bytes: Vec<u8>,
}

impl<'a> Pieces<'a> {
    fn numbered(&mut self, memory: &'a Memory) -> Vec<(u64, u32)> {
        let mut next = 0;
        let each = memory.0.iter().map(|(start, piece)| {
            let at = start / PIECE;
            let between = at - next;
            next = at + 1;
            let new = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
            let number = *self.known.entry(piece).or_insert_with(|| {
                self.bytes.extend(piece.iter());
                new
            });
            (between, number)
        });
        each.collect()
    }
}

impl Serialize for Memory {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut pieces = Pieces::default();
        let list = pieces.numbered(self);
        (list, pieces.bytes).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (list, bytes) = <(Vec<(u64, u32)>, Vec<u8>)>::deserialize(from)?;
        let pieces = bytes.as_chunks::<BYTES>().0.iter();
        let pieces: Vec<_> = pieces.map(|piece| Arc::new(*piece)).collect();
        memory(&list, &pieces).ok_or_else(|| serde::de::Error::custom("a piece is missing"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn states() -> impl Strategy<Value = Vec<State>> {
        let memory = prop::collection::vec((0..1_u64 << 58, 0..4_u8), 0..8).prop_map(|list| {
            let mut memory = Memory::default();
            for (at, fill) in list {
                memory.put(at * PIECE, &[fill; BYTES]);
            }
            memory
        });
        let registers = || prop::collection::vec(any::<Option<u8>>(), 0..40);
        let other = (any::<u32>(), registers());
        let other = other.prop_map(|(vcpu, registers)| Other { vcpu, registers });
        let passed = (any::<u64>(), any::<bool>(), "[a-z_]{0,9}");
        let others = prop::collection::vec(other, 0..3);
        let one = (passed, 0..3_u32, registers(), others, memory);
        let state = one.prop_map(
            |((crossing, exit, call), vcpu, registers, others, memory)| State {
                passed: Passed {
                    crossing,
                    side: if exit { Side::Exit } else { Side::Entry },
                    kind: CrossingKind::Syscall,
                    call,
                },
                vcpu,
                registers,
                others,
                memory,
            },
        );
        prop::collection::vec(state, 0..6)
    }

    proptest! {
        #[test]
        fn states_read_back(states in states()) {
            let bytes = encode(&states).unwrap();
            prop_assert_eq!(decode(&bytes), Some(states));
        }

        #[test]
        fn any_bytes_are_states_or_damage(bytes: Vec<u8>, states in states(), cut: prop::sample::Index) {
            let _ = decode(&bytes);
            let whole = encode(&states).unwrap();
            let _ = decode(&whole[..cut.index(whole.len())]);
        }

        #[test]
        fn what_was_put_is_there_and_nothing_else(addr: u64, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut memory = Memory::default();
            memory.put(addr, &bytes);
            let end = u128::from(addr) + bytes.len() as u128;
            for at in (addr.saturating_sub(PIECE)..addr.saturating_add(300 + PIECE)).step_by(7) {
                let start = at & !(PIECE - 1);
                let whole = start >= addr && u128::from(start) + u128::from(PIECE) <= end;
                let expected = whole.then(|| {
                    let from = usize::try_from(start - addr).unwrap();
                    &bytes[from..from + BYTES]
                });
                prop_assert_eq!(memory.piece(at), expected);
            }
        }
    }

    #[test]
    fn what_is_the_same_is_written_once() {
        let mut memory = Memory::default();
        memory.put(0x1000, &[7; 4096]);
        let state = State {
            passed: Passed {
                crossing: 1,
                side: Side::Entry,
                kind: CrossingKind::Bypass,
                call: "write".to_owned(),
            },
            vcpu: 0,
            registers: vec![Some(1); 600],
            others: Vec::new(),
            memory,
        };
        let one = encode(std::slice::from_ref(&state)).unwrap().len();
        let two = encode(&[state.clone(), state]).unwrap().len();
        // Registers, two bytes for each piece, and few others.
        assert!(two - one < 600 + 2 * 64 + 20, "{one} {two}");
    }
}
