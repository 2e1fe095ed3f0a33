//! What gdbstub is told of the processor: nothing. Registers are the bytes that the target's own
//! description lays out.

use std::num::NonZeroUsize;

use gdbstub::arch::{Arch, RegId, Registers};

#[derive(Debug)]
pub(super) enum Described {}

impl Arch for Described {
    type Usize = u64;
    type Registers = Bytes;
    type BreakpointKind = usize;
    type RegId = Number;
}

/// A `g` reply; `None` where the target does not have a byte.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bytes(pub(super) Vec<Option<u8>>);

impl Registers for Bytes {
    type ProgramCounter = u64;

    /// Nobody asks: only a stub that runs the program itself needs it.
    fn pc(&self) -> u64 {
        0
    }

    fn gdb_serialize(&self, write: impl FnMut(Option<u8>)) {
        self.0.iter().copied().for_each(write);
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.0 = bytes.iter().copied().map(Some).collect();
        Ok(())
    }
}

/// The protocol's number of a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) u32);

impl RegId for Number {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        Some((Self(u32::try_from(id).ok()?), None))
    }
}
