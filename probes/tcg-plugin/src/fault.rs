//! Where in its block an instruction faulted. The block was counted when it was begun, and what is left of it
//! was not executed.
//!
//! No register is read: the CPU has pushed the instruction's address before the handler was entered, and the
//! first push since tells where.

use std::sync::OnceLock;

use wire::layout::NAME_BYTES;

use crate::memory::Memory;
use crate::plan::{Frame, Listed};
use crate::qemu::{Access, Api, Instruction};
use crate::rests::Rests;

/// The bit of a page fault's error code that says that the instruction could not be read.
const FETCH: u64 = 1 << 4;
const WORD_BYTES: u64 = 8;

#[derive(Debug)]
pub struct Faults {
    api: Api,
    memory: OnceLock<Option<Memory>>,
    rests: Rests,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// So many instructions of a block were not executed, the one that faulted being the first of them.
    Inside(u16),
    /// No instruction was begun.
    Between,
    Unknown,
}

impl Place {
    /// So many instructions were counted since the last record. Where more are left of a block, it is another one that
    /// was translated at the same address: another program's, or one that lay there before.
    #[must_use]
    pub fn within(self, counted: u64) -> Self {
        match self {
            Self::Inside(rest) if u64::from(rest) > counted => Self::Unknown,
            place => place,
        }
    }
}

static FAULTS: OnceLock<Faults> = OnceLock::new();

/// Once, before anything is translated.
pub fn set_up(api: Api) {
    FAULTS.get_or_init(|| Faults {
        api,
        memory: OnceLock::new(),
        rests: Rests::default(),
    });
}

/// A block is translated. `kernel`: its first instruction, where that is in a function of the kernel. Returns whether
/// its last instruction was in a block before.
pub fn translated(block: &[Listed], kernel: Option<Instruction>) -> bool {
    let Some(faults) = FAULTS.get() else {
        return false;
    };
    let before = faults.rests.keep(block);
    if let Some(instruction) = kernel {
        faults.memory.get_or_init(|| {
            let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
            Memory::around(&maps, faults.api.in_host(instruction))
        });
    }
    before
}

/// How many instructions are to the end of the block that the one there lies in, itself among them; 0 where
/// none was translated.
#[must_use]
pub fn rest(address: u64) -> u16 {
    let faults = FAULTS.get();
    faults
        .and_then(|faults| faults.rests.at(address))
        .unwrap_or(0)
}

/// Whether an access writes into the block that the instruction at `at` was translated in.
#[must_use]
pub fn overwrites(access: Access, to: u64, at: u64) -> bool {
    FAULTS.get().is_some_and(|faults| {
        let written = faults.api.written(access);
        written.is_some_and(|bytes| faults.rests.reaches(at, to, bytes))
    })
}

/// The physical address of one that was just accessed.
#[must_use]
pub fn physical(access: Access, address: u64) -> Option<u64> {
    FAULTS.get()?.api.physical(access, address)
}

/// The name of a task, at a physical address.
#[must_use]
pub fn name(physical: u64) -> Option<[u8; NAME_BYTES]> {
    FAULTS.get()?.memory.get()?.as_ref()?.bytes(physical)
}

/// Of the fault or interrupt since which `own` words were pushed, the last of them to `pushed`. `repeating`: where
/// an instruction lies that an interrupt may have come into, between its rounds.
#[must_use]
pub fn place(access: Access, pushed: u64, own: u64, frame: Frame, repeating: Option<u64>) -> Place {
    let Some(faults) = FAULTS.get() else {
        return Place::Unknown;
    };
    let above = pushed.wrapping_add(own * WORD_BYTES);
    let place = if frame == Frame::Interrupt {
        faults.place_of_interrupt(access, above, repeating)
    } else {
        faults.place(access, above, frame)
    };
    place.unwrap_or(Place::Unknown)
}

impl Faults {
    fn read(&self, access: Access, address: u64) -> Option<u64> {
        let memory = self.memory.get()?.as_ref()?;
        memory.read(self.api.physical(access, address)?)
    }

    /// `above`: what the CPU has pushed last.
    fn place_of_interrupt(
        &self,
        access: Access,
        above: u64,
        repeating: Option<u64>,
    ) -> Option<Place> {
        let Some(repeating) = repeating else {
            return Some(Place::Between);
        };
        let goes_on = self.read(access, above)? == repeating;
        Some(if goes_on {
            Place::Inside(1)
        } else {
            Place::Between
        })
    }

    /// As there.
    fn place(&self, access: Access, mut above: u64, frame: Frame) -> Option<Place> {
        let read = |address| self.read(access, address);
        if frame != Frame::Plain {
            if frame == Frame::PageFault && read(above)? & FETCH != 0 {
                return Some(Place::Between);
            }
            above = above.wrapping_add(WORD_BYTES);
        }
        // What was never translated was not begun: the CPU could not go there.
        let rest = self.rests.at(read(above)?);
        Some(rest.map_or(Place::Between, Place::Inside))
    }
}
