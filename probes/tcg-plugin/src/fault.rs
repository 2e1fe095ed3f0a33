//! Where in its block an instruction faulted. The block was counted when it was begun, and what is left of it
//! was not executed.
//!
//! No register is read: the CPU has pushed the instruction's address before the handler was entered, and the
//! first push since tells where.

use std::ops::Range;
use std::sync::OnceLock;

use wire::layout::NAME_BYTES;

use crate::led::{Repeating, Text};
use crate::memory::Memory;
use crate::plan::{Frame, Listed};
use crate::qemu::{Access, Api};
use crate::rests::{PAGE_BYTES, Rest, Rests};

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
    /// So much of a block was not executed, the instruction that faulted being the first of it.
    Inside(Rest),
    /// No instruction was begun.
    Between,
    /// In one that repeats itself and stays counted: what follows are further rounds.
    Repeating(u64),
    Unknown,
}

impl Place {
    /// So many instructions were counted since the last record. Where more are left of a block, it is another one that
    /// was translated at the same address: another program's, or one that lay there before. A call or a return is recorded
    /// as if it were done, so one instruction more may be left.
    #[must_use]
    pub fn within(self, counted: u64) -> Self {
        match self {
            Self::Inside(rest) if u64::from(rest.insns) > counted.max(1) => Self::Unknown,
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

/// `in_host`: where something of the guest's memory lies in this process.
pub fn find_memory(in_host: *const u8) {
    let Some(faults) = FAULTS.get() else { return };
    faults.memory.get_or_init(|| {
        let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
        Memory::around(&maps, in_host)
    });
}

/// A block is translated; `in_host`: where it lies in this process. Returns whether its last instruction was in a block
/// before.
pub fn translated(block: &[Listed], in_host: *const u8, repeating: Repeating) -> bool {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "to be told from others at one address"
    )]
    let page = (in_host.addr() / PAGE_BYTES) as u32;
    let faults = FAULTS.get();
    faults.is_some_and(|faults| faults.rests.keep(block, page, repeating))
}

/// What lies at these addresses of the kernel's image, as far as the guest has that memory; `in_host`: where in this
/// process the one at `address` lies.
#[must_use]
pub fn text(address: u64, in_host: *const u8, range: Range<u64>) -> Option<Text> {
    let memory = FAULTS.get()?.memory.get()?.as_ref()?;
    let (start, bytes) = memory.near(in_host, address, range)?;
    Some(Text { start, bytes })
}

/// How many instructions are to the end of the block that the one there lies in, itself among them; 0 where
/// none was translated.
#[must_use]
pub fn rest(address: u64) -> u16 {
    let faults = FAULTS.get();
    faults
        .and_then(|faults| faults.rests.at(address))
        .map_or(0, |rest| rest.insns)
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
/// an instruction lies that it may have come into, between its rounds.
#[must_use]
pub fn place(access: Access, pushed: u64, own: u64, frame: Frame, repeating: Option<u64>) -> Place {
    let Some(faults) = FAULTS.get() else {
        return Place::Unknown;
    };
    let above = pushed.wrapping_add(own * WORD_BYTES);
    let place = if frame == Frame::Interrupt {
        faults.place_of_interrupt(access, above, repeating)
    } else {
        faults.place(access, above, frame, repeating)
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
        if self.read(access, above)? != repeating {
            return Some(Place::Between);
        }
        let counted_before = self.rests.at(repeating).is_none();
        Some(match counted_before {
            true => Place::Repeating(repeating),
            false => Place::Inside(Rest {
                insns: 1,
                ambiguous: false,
            }),
        })
    }

    /// As there.
    fn place(
        &self,
        access: Access,
        mut above: u64,
        frame: Frame,
        repeating: Option<u64>,
    ) -> Option<Place> {
        let read = |address| self.read(access, address);
        if frame != Frame::Plain {
            if frame == Frame::PageFault && read(above)? & FETCH != 0 {
                return Some(Place::Between);
            }
            above = above.wrapping_add(WORD_BYTES);
        }
        // What was never translated was not begun: the CPU could not go there.
        let at = read(above)?;
        Some(match self.rests.at(at) {
            Some(rest) => Place::Inside(rest),
            None if repeating == Some(at) => Place::Repeating(at),
            None => Place::Between,
        })
    }
}
