//! The first entry of every compilation unit, read without the rest of the unit's abbreviations:
//! they are most of the work where only a unit's name and folder are wanted.

use gimli::{
    AttributeValue, DebugAbbrev, DebugAbbrevOffset, DebugLineOffset, LittleEndian, Section as _,
};

use super::cursor::Cursor;
use super::image::Slice;
use super::units::text as text_of;

/// As the compiler wrote them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) name: &'static str,
    pub(super) folder: &'static str,
    /// Where its lines begin.
    pub(super) lines: Option<DebugLineOffset>,
}

/// `None` where the unit is damaged.
pub(super) fn head(dwarf: &gimli::Dwarf<Slice>, header: &gimli::UnitHeader<Slice>) -> Option<Head> {
    alone(dwarf, header).or_else(|| {
        let unit = dwarf.unit(*header).ok()?;
        Some(Head {
            name: text_of(unit.name),
            folder: text_of(unit.comp_dir),
            lines: unit.line_program.map(|program| program.header().offset()),
        })
    })
}

/// `None` where the entry is damaged, or needs more of its unit to be read.
fn alone(dwarf: &gimli::Dwarf<Slice>, header: &gimli::UnitHeader<Slice>) -> Option<Head> {
    let entries = header.range_from(header.root_offset()..).ok()?;
    let code = Cursor(entries.slice()).number()?;
    let abbreviations = dwarf.debug_abbrev.reader().slice();
    let declarations = abbreviations.get(header.debug_abbrev_offset().0..)?;
    let only = declaration(declarations, code)?;
    let parsed = DebugAbbrev::new(&only, LittleEndian)
        .abbreviations(DebugAbbrevOffset(0))
        .ok()?;
    let mut entries = header.entries_raw(&parsed, None).ok()?;
    let abbreviation = entries.read_abbreviation().ok()??;
    let mut head = Head::default();
    for attribute in abbreviation.attributes() {
        let value = entries.read_attribute(*attribute).ok()?.value();
        match attribute.name() {
            gimli::DW_AT_name => head.name = text(dwarf, value)?,
            gimli::DW_AT_comp_dir => head.folder = text(dwarf, value)?,
            gimli::DW_AT_stmt_list => match value {
                AttributeValue::DebugLineRef(at) => head.lines = Some(at),
                _ => return None,
            },
            _ => {}
        }
    }
    Some(head)
}

fn text(dwarf: &gimli::Dwarf<Slice>, value: AttributeValue<Slice>) -> Option<&'static str> {
    let slice = match value {
        AttributeValue::String(slice) => slice,
        AttributeValue::DebugStrRef(at) => dwarf.string(at).ok()?,
        AttributeValue::DebugLineStrRef(at) => dwarf.line_string(at).ok()?,
        _ => return None,
    };
    std::str::from_utf8(slice.slice()).ok()
}

/// The declaration of one code as a table of its own.
fn declaration(table: &[u8], wanted: u64) -> Option<Vec<u8>> {
    let mut rest = Cursor(table);
    loop {
        let start = rest.0;
        let code = rest.declaration(|_| {})?;
        if code == 0 {
            return None;
        }
        if code == wanted {
            let mut only = start[..start.len() - rest.0.len()].to_vec();
            only.push(0);
            return Some(only);
        }
    }
}

/// Whether an entry of a unit with this table may have an attribute of this form; `None` where the
/// table is damaged.
pub(super) fn has_form(table: &[u8], wanted: gimli::DwForm) -> Option<bool> {
    let mut rest = Cursor(table);
    let mut found = false;
    while !found && rest.declaration(|form| found |= form == u64::from(wanted.0))? != 0 {}
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_declaration_is_taken_out_of_the_table() {
        // 1: a compile unit with an implicit constant; 0x80: a base type with a name.
        let table = [
            1, 0x11, 1, 0x13, 0x21, 0x0c, 0x25, 0x0e, 0, 0, //
            0x80, 0x01, 0x24, 0, 0x03, 0x08, 0, 0, //
            0,
        ];
        assert_eq!(
            declaration(&table, 1).as_deref(),
            Some(&[&table[..10], &[0]].concat()[..])
        );
        assert_eq!(declaration(&table, 0x80).as_deref(), Some(&table[10..]));
        assert_eq!(declaration(&table, 2), None);
        assert_eq!(declaration(&table[..12], 0x80), None);
        assert_eq!(has_form(&table, gimli::DW_FORM_string), Some(true));
        assert_eq!(has_form(&table, gimli::DW_FORM_ref_addr), Some(false));
        assert_eq!(has_form(&table[..12], gimli::DW_FORM_ref_addr), None);
    }
}
