//! The copies of a function that the compiler has put into its callers in place of a call.

use std::collections::{BTreeMap, BTreeSet};

use gimli::AttributeValue;

use super::Symbols;
use super::contexts::refers_to_others;
use super::dies::{Die, DieId};
use super::image::{Image, Slice};
use super::index::What;
use super::lines::ends_with_steps;
use super::units::start_of;
use crate::addr::Addr;

/// Where a function's copies are entered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// By address.
    pub entries: Vec<Addr>,
    /// There are others.
    pub more: bool,
}

impl Symbols {
    /// Of the functions of this name, at most so many, the first units' first; where a file is given, of
    /// those alone that are defined in one whose path ends so. Their own code is among them where
    /// another copy is.
    ///
    /// The index of names tells the units that have such a function: no others are looked through.
    #[must_use]
    pub fn copies(&self, name: &str, file: Option<&str>, most: usize) -> Copies {
        let mut of_images: BTreeMap<u8, Vec<Die<'_>>> = BTreeMap::new();
        for id in self.dies_named(name, &[What::Function]) {
            let inlined = self
                .die(id)
                .filter(|die| die.own(gimli::DW_AT_inline).is_some())
                .filter(|die| file.is_none_or(|file| self.is_declared_in(die, file)));
            if let Some(die) = inlined {
                of_images.entry(id.image).or_default().push(die);
            }
        }
        let mut entries = BTreeSet::new();
        'all: for (number, functions) in &of_images {
            let image = functions[0].image;
            let places: Vec<usize> = functions.iter().filter_map(Die::place).collect();
            for unit in units_with(image, functions) {
                for copy in copies_in(*number, image, unit, &places) {
                    entries.extend(self.entry_of(&copy));
                    if entries.len() > most {
                        break 'all;
                    }
                }
            }
        }
        let more = entries.len() > most;
        Copies {
            entries: entries.into_iter().take(most).collect(),
            more,
        }
    }

    fn is_declared_in(&self, die: &Die<'_>, file: &str) -> bool {
        self.declared_in(die)
            .is_some_and(|path| ends_with_steps(&path, file))
    }

    /// `None` where nothing is left of the copy, or its code was not linked.
    fn entry_of(&self, copy: &Die<'_>) -> Option<Addr> {
        let moved = |at| copy.image.slide.moved(Addr(at));
        let start = copy.start()?;
        let told = copy.attr_addr(gimli::DW_AT_entry_pc).or_else(|| {
            let above = copy.number(gimli::DW_AT_entry_pc)?;
            start.checked_add(above)
        });
        let entry = told
            .map(moved)
            .filter(|entry| copy.covers(*entry))
            .or_else(|| Some(moved(start)).filter(|entry| copy.covers(*entry)))?;
        let symbol = self.at(entry).filter(|symbol| symbol.kind.is_code())?;
        let own = copy.tag() == gimli::DW_TAG_subprogram;
        (!own || symbol.addr == entry).then_some(entry)
    }
}

/// The units of these functions, and those that may refer to entries of others.
fn units_with(image: &Image, functions: &[Die<'_>]) -> BTreeSet<u32> {
    let mut units: BTreeSet<u32> = functions.iter().map(|die| die.id.unit).collect();
    let refers = |header| refers_to_others(image.dwarf(), header) == Some(true);
    let others = (0..).zip(&image.units().list);
    units.extend(
        others
            .filter(|(_, unit)| refers(&unit.header))
            .map(|(number, _)| number),
    );
    units
}

/// The entries of a unit whose code is that of one of the functions at these places.
fn copies_in<'a>(
    number: u8,
    image: &'a Image,
    unit_number: u32,
    functions: &[usize],
) -> Vec<Die<'a>> {
    let Some(unit) = image.unit(unit_number) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    // What stands behind damage is left out.
    let _ = each_copy(unit, functions, &mut |offset| {
        let id = DieId {
            image: number,
            unit: unit_number,
            offset: offset.0,
        };
        let entry = unit.entry(offset).ok();
        found.extend(entry.map(|entry| Die::of(id, image, unit, entry)));
    });
    found
}

fn each_copy(
    unit: &gimli::Unit<Slice>,
    functions: &[usize],
    found: &mut impl FnMut(gimli::UnitOffset),
) -> gimli::Result<()> {
    let start = start_of(&unit.header);
    let mut entries = unit.entries_raw(None)?;
    while !entries.is_empty() {
        let offset = entries.next_offset();
        let Some(abbreviation) = entries.read_abbreviation()? else {
            continue;
        };
        if !matches!(
            abbreviation.tag(),
            gimli::DW_TAG_inlined_subroutine | gimli::DW_TAG_subprogram
        ) {
            entries.skip_attributes(abbreviation.attributes())?;
            continue;
        }
        let mut of = None;
        for attribute in abbreviation.attributes() {
            let attribute = entries.read_attribute(*attribute)?;
            if attribute.name() == gimli::DW_AT_abstract_origin {
                of = match attribute.value() {
                    AttributeValue::UnitRef(at) => start.checked_add(at.0),
                    AttributeValue::DebugInfoRef(at) => Some(at.0),
                    _ => None,
                };
            }
        }
        if of.is_some_and(|of| functions.contains(&of)) {
            found(offset);
        }
    }
    Ok(())
}
