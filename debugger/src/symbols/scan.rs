//! One unit looked through for what stands at its top, and for its source files.

use std::collections::HashMap;
use std::sync::Arc;

use gimli::{Abbreviations, AttributeValue, DwTag, EntriesRaw, UnitOffset};

use super::image::Slice;
use super::index::{Named, What};
use super::units::start_of;

/// What one thread has found so far.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) names: Vec<Named>,
    /// Units by folder of compilation, folder and name: each the place of its text in the file.
    pub(super) files: HashMap<(u32, u32, u32), Vec<u32>>,
}

pub(super) fn scan(
    dwarf: &gimli::Dwarf<Slice>,
    data: &'static [u8],
    header: gimli::UnitHeader<Slice>,
    number: u32,
    found: &mut Scan,
) -> Option<()> {
    let abbreviations = dwarf.abbreviations(&header).ok()?;
    let unit =
        gimli::Unit::new_with_abbreviations(dwarf, header, Arc::clone(&abbreviations)).ok()?;
    files(dwarf, data, &unit, number, found);
    let unit = Top {
        dwarf,
        data,
        unit: &unit,
        abbreviations: &abbreviations,
        start: start_of(&header),
    };
    unit.entries(&mut found.names)
}

struct Top<'a> {
    dwarf: &'a gimli::Dwarf<Slice>,
    data: &'static [u8],
    unit: &'a gimli::Unit<Slice>,
    abbreviations: &'a Abbreviations,
    start: usize,
}

/// What an entry says of itself, as far as it was read.
#[derive(Default)]
struct Told {
    name: Option<AttributeValue<Slice>>,
    declared: bool,
    size: u32,
    definition_of: Option<UnitOffset>,
    sibling: Option<UnitOffset>,
}

impl<'a> Top<'a> {
    fn entries(&self, names: &mut Vec<Named>) -> Option<()> {
        let header = &self.unit.header;
        let mut raw = header.entries_raw(self.abbreviations, None).ok()?;
        // The unit's own entry; its children stand one deeper.
        let first = raw.read_abbreviation().ok()??;
        raw.skip_attributes(first.attributes()).ok()?;
        let mut nested = 0_u32;
        while !raw.is_empty() {
            let at = raw.next_offset();
            let Some(abbreviation) = raw.read_abbreviation().ok()? else {
                match nested.checked_sub(1) {
                    Some(outer) => nested = outer,
                    None => break,
                }
                continue;
            };
            let kind = Some(abbreviation.tag())
                .filter(|_| nested == 0)
                .and_then(kind);
            let parent = abbreviation.has_children();
            if kind.is_none() && (!parent || nested > 0) {
                raw.skip_attributes(abbreviation.attributes()).ok()?;
                nested += u32::from(parent);
                continue;
            }
            let told = self.told(&mut raw, abbreviation, kind.is_some())?;
            if let Some(kind) = kind
                && let Some(what) = what(kind, told.declared)
                && let Some(text) = self.text(&told)
                && let Ok(entry) = u32::try_from(self.start + at.0)
            {
                names.push(Named {
                    text,
                    entry,
                    size: told.size,
                    what,
                });
            }
            if !parent {
                continue;
            }
            match told.sibling.filter(|sibling| *sibling > at) {
                Some(sibling) => raw = self.from(sibling)?,
                None => nested += 1,
            }
        }
        Some(())
    }

    /// Reads an entry as far as needed: one with children and a sibling is left at the sibling's name.
    fn told(
        &self,
        raw: &mut EntriesRaw<'_, Slice>,
        abbreviation: &gimli::Abbreviation,
        named: bool,
    ) -> Option<Told> {
        let mut told = Told::default();
        for spec in abbreviation.attributes() {
            let wanted = match spec.name() {
                gimli::DW_AT_sibling => true,
                gimli::DW_AT_name
                | gimli::DW_AT_byte_size
                | gimli::DW_AT_declaration
                | gimli::DW_AT_specification => named,
                _ => false,
            };
            if !wanted {
                raw.skip_attributes(std::slice::from_ref(spec)).ok()?;
                continue;
            }
            let value = raw.read_attribute(*spec).ok()?.value();
            match (spec.name(), value) {
                (gimli::DW_AT_name, value) => told.name = Some(value),
                (gimli::DW_AT_declaration, AttributeValue::Flag(declared)) => {
                    told.declared = declared;
                }
                (gimli::DW_AT_byte_size, value) => {
                    let size = value
                        .udata_value()
                        .and_then(|size| u32::try_from(size).ok());
                    told.size = size.unwrap_or(u32::MAX);
                }
                (gimli::DW_AT_specification, AttributeValue::UnitRef(of)) => {
                    told.definition_of = Some(of);
                }
                (gimli::DW_AT_sibling, AttributeValue::UnitRef(at)) => told.sibling = Some(at),
                _ => {}
            }
        }
        Some(told)
    }

    fn from(&self, at: UnitOffset) -> Option<EntriesRaw<'a, Slice>> {
        let header = &self.unit.header;
        let input = header.range_from(at..).ok()?;
        Some(EntriesRaw::new(
            input,
            header.encoding(),
            self.abbreviations,
            at,
        ))
    }

    fn text(&self, told: &Told) -> Option<u32> {
        let name = match (&told.name, told.definition_of) {
            (Some(name), _) => *name,
            // A definition behind its declaration has its name there.
            (None, Some(of)) => {
                let declaration = self.unit.entry(of).ok()?;
                declaration.attr_value(gimli::DW_AT_name)?
            }
            (None, None) => return None,
        };
        place(self.data, self.dwarf.attr_string(self.unit, name).ok()?)
    }
}

/// Where in the file a text lies.
fn place(data: &'static [u8], text: Slice) -> Option<u32> {
    let at = (text.slice().as_ptr() as usize).checked_sub(data.as_ptr() as usize)?;
    (at < data.len() && !text.slice().is_empty())
        .then(|| u32::try_from(at).ok())
        .flatten()
}

fn files(
    dwarf: &gimli::Dwarf<Slice>,
    data: &'static [u8],
    unit: &gimli::Unit<Slice>,
    number: u32,
    found: &mut Scan,
) {
    let Some(lines) = &unit.line_program else {
        return;
    };
    // Place 0 is the ELF header, where no text lies: it stands for none.
    let text = |value: AttributeValue<Slice>| {
        let slice = dwarf.attr_string(unit, value).ok();
        slice.and_then(|slice| place(data, slice)).unwrap_or(0)
    };
    let header = lines.header();
    let compiled_in = unit
        .comp_dir
        .and_then(|slice| place(data, slice))
        .unwrap_or(0);
    let mut folder: (u64, u32) = (u64::MAX, 0);
    for file in header.file_names() {
        let index = file.directory_index();
        if folder.0 != index {
            folder = (index, file.directory(header).map_or(0, &text));
        }
        let units = found
            .files
            .entry((compiled_in, folder.1, text(file.path_name())))
            .or_default();
        if units.last() != Some(&number) {
            units.push(number);
        }
    }
}

fn kind(tag: DwTag) -> Option<What> {
    Some(match tag {
        gimli::DW_TAG_variable => What::Variable,
        gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => What::Struct,
        gimli::DW_TAG_union_type => What::Union,
        gimli::DW_TAG_enumeration_type => What::Enum,
        gimli::DW_TAG_typedef | gimli::DW_TAG_base_type => What::Type,
        gimli::DW_TAG_subprogram => What::Function,
        _ => return None,
    })
}

fn what(kind: What, declared: bool) -> Option<What> {
    match (kind, declared) {
        (What::Variable, true) => Some(What::Declaration),
        (_, true) => None,
        (kind, false) => Some(kind),
    }
}
