//! Lines and inlined calls, a unit at a time.
//!
//! addr2line's `Context` reads the abbreviations of every unit before its first answer. Here each unit
//! has a context of its own, made when an address in it is first asked for, and dropped again when
//! many others have been.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

use addr2line::Context;
use gimli::{EndianSlice, LittleEndian, Section};

use super::heads::has_form;
use super::image::Slice;
use super::units::start_of;

#[derive(Default)]
pub(super) struct Contexts {
    held: RefCell<Held>,
    /// Of all units at once: for those that refer to entries of others.
    whole: OnceCell<Option<Box<Context<Slice>>>>,
}

#[derive(Default)]
struct Held {
    by_unit: HashMap<u32, Kept>,
    /// Counts the questions.
    now: u64,
}

struct Kept {
    what: What,
    asked: u64,
}

enum What {
    Own(Box<Context<Slice>>),
    /// The whole file's context has to be asked.
    Whole,
    Damaged,
}

/// A distribution's kernel has about two thousand units; with their lines and inlined calls read
/// they take some 100 KiB each.
const MOST: usize = 512;

impl Contexts {
    /// Asks the context of a unit.
    pub(super) fn ask<T>(
        &self,
        dwarf: &gimli::Dwarf<Slice>,
        unit: u32,
        header: &gimli::UnitHeader<Slice>,
        ask: impl FnOnce(&Context<Slice>) -> T,
    ) -> Option<T> {
        let mut held = self.held.borrow_mut();
        held.now += 1;
        let now = held.now;
        if !held.by_unit.contains_key(&unit) {
            held.make_room();
            let what = match refers_to_others(dwarf, header) {
                Some(true) => What::Whole,
                Some(false) => context_of(dwarf, header)
                    .map_or(What::Damaged, |context| What::Own(Box::new(context))),
                None => What::Damaged,
            };
            held.by_unit.insert(unit, Kept { what, asked: now });
        }
        let kept = held.by_unit.get_mut(&unit)?;
        kept.asked = now;
        match &kept.what {
            What::Own(context) => Some(ask(context)),
            What::Damaged => None,
            What::Whole => {
                let make = || Context::from_dwarf(again(dwarf)).ok().map(Box::new);
                self.whole.get_or_init(make).as_deref().map(ask)
            }
        }
    }
}

impl Held {
    fn make_room(&mut self) {
        if self.by_unit.len() < MOST {
            return;
        }
        let oldest = self.by_unit.iter().min_by_key(|(_, kept)| kept.asked);
        if let Some(unit) = oldest.map(|(unit, _)| *unit) {
            self.by_unit.remove(&unit);
        }
    }
}

/// A context that knows one unit, which refers to no entries of others.
pub(super) fn context_of(
    dwarf: &gimli::Dwarf<Slice>,
    header: &gimli::UnitHeader<Slice>,
) -> Option<Context<Slice>> {
    let start = start_of(header);
    let end = start.checked_add(header.length_including_self())?;
    let unit = dwarf.debug_info.reader().slice().get(start..end)?;
    let mut sections = again(dwarf);
    sections.debug_info = EndianSlice::new(unit, LittleEndian).into();
    // It tells units by their place in the whole section.
    sections.debug_aranges = EndianSlice::new(&[], LittleEndian).into();
    Context::from_dwarf(sections).ok()
}

/// The same sections, as far as lines and inlined calls need them.
fn again(dwarf: &gimli::Dwarf<Slice>) -> gimli::Dwarf<Slice> {
    gimli::Dwarf {
        debug_abbrev: dwarf.debug_abbrev,
        debug_addr: dwarf.debug_addr,
        debug_aranges: dwarf.debug_aranges,
        debug_info: dwarf.debug_info,
        debug_line: dwarf.debug_line,
        debug_line_str: dwarf.debug_line_str,
        debug_str: dwarf.debug_str,
        debug_str_offsets: dwarf.debug_str_offsets,
        ranges: dwarf.ranges,
        ..gimli::Dwarf::default()
    }
}

pub(super) fn refers_to_others(
    dwarf: &gimli::Dwarf<Slice>,
    header: &gimli::UnitHeader<Slice>,
) -> Option<bool> {
    let table = dwarf.debug_abbrev.reader().slice();
    has_form(
        table.get(header.debug_abbrev_offset().0..)?,
        gimli::DW_FORM_ref_addr,
    )
}
