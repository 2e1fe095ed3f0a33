//! The source files that each unit's lines may come from.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use gimli::{AttributeValue, EndianSlice, LittleEndian};

use super::super::heads::head;
use super::super::image::Slice;
use super::Texts;

/// Units by folder of compilation, folder and name: each the place of its text in the file.
pub(in super::super) type Files = HashMap<(u32, u32, u32), Vec<u32>, BuildHasherDefault<OfPlaces>>;

/// Adds those of the unit of this number.
pub(in super::super) fn files(
    dwarf: &gimli::Dwarf<Slice>,
    data: &'static [u8],
    unit_header: &gimli::UnitHeader<Slice>,
    number: u32,
    found: &mut Files,
) -> Option<()> {
    let head = head(dwarf, unit_header)?;
    let text = |text: &'static str| EndianSlice::new(text.as_bytes(), LittleEndian);
    let program = dwarf.debug_line.program(
        head.lines?,
        unit_header.address_size(),
        Some(text(head.folder)),
        Some(text(head.name)),
    );
    let program = program.ok()?;
    let header = program.header();
    let texts = Texts::of(dwarf, data);
    // Place 0 is the ELF header, where no text lies: it stands for none.
    let place = |value: AttributeValue<Slice>| match value {
        AttributeValue::DebugLineStrRef(at) => texts.checked(texts.of_lines.wrapping_add(at.0)),
        AttributeValue::DebugStrRef(at) => texts.checked(texts.shared.wrapping_add(at.0)),
        AttributeValue::String(text) => texts.place(text.slice()),
        other => {
            let unit = dwarf.unit(*unit_header).ok()?;
            texts.place(dwarf.attr_string(&unit, other).ok()?.slice())
        }
    };
    let compiled_in = texts.place(head.folder.as_bytes()).unwrap_or(0);
    let mut folder: (u64, u32) = (u64::MAX, 0);
    for file in header.file_names() {
        let index = file.directory_index();
        if folder.0 != index {
            folder = (index, file.directory(header).and_then(place).unwrap_or(0));
        }
        let name = place(file.path_name()).unwrap_or(0);
        let units = found.entry((compiled_in, folder.1, name)).or_default();
        if units.last() != Some(&number) {
            units.push(number);
        }
    }
    Some(())
}

/// For places of texts, which nobody chooses to collide.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct OfPlaces(u64);

impl Hasher for OfPlaces {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, place: u32) {
        let mixed = (self.0.rotate_left(5) ^ u64::from(place)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed;
    }

    fn finish(&self) -> u64 {
        // The table looks at the lowest and the highest bits.
        self.0 ^ (self.0 >> 32)
    }
}
