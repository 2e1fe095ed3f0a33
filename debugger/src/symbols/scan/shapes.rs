//! The abbreviations of a unit, boiled down to what the index asks of an entry.
//!
//! Nine in ten bytes of an entry are passed over, most of them in one step.

use gimli::{DwAt, DwForm, DwTag, Format};

use super::super::cursor::Cursor;
use super::super::index::What;

/// One abbreviation.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// What its entries define, if they do.
    pub(super) what: Option<What>,
    pub(super) has_children: bool,
    /// What every such entry says, for it stands in the abbreviation.
    pub(super) told: Told,
    steps: Vec<Step>,
}

/// What an entry says of itself, as far as the index asks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) name: Name,
    pub(super) declared: bool,
    pub(super) size: u32,
    /// From the unit's start.
    pub(super) definition_of: Option<usize>,
    /// From the unit's start.
    pub(super) sibling: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Name {
    #[default]
    None,
    /// From the entry's start.
    Inline(usize),
    /// In `.debug_str`.
    Shared(usize),
    /// In `.debug_line_str`.
    OfLines(usize),
    /// The how-many-th of the unit's own table.
    Numbered(usize),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Skip(usize),
    Pass(DwForm),
    /// A number of so many bytes.
    Fixed(Attribute, DwForm, usize),
    Take(Attribute, DwForm),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    Name,
    Declared,
    Size,
    DefinitionOf,
    Sibling,
}

/// Sizes that the unit's header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) address: u8,
    pub(super) version: u16,
    pub(super) format: Format,
}

/// Codes above this one are taken for damage: compilers count from 1.
const HIGHEST: u64 = 1 << 16;

/// By code less 1; `None` where the table is damaged.
pub(super) fn shapes(table: &[u8], sizes: Sizes, shapes: &mut Vec<Option<Shape>>) -> Option<()> {
    shapes.clear();
    let mut rest = Cursor(table);
    loop {
        let code = rest.number()?;
        let Some(at) = code.checked_sub(1) else {
            return Some(());
        };
        if code > HIGHEST {
            return None;
        }
        let at = usize::try_from(at).ok()?;
        let shape = shape(&mut rest, sizes)?;
        if shapes.len() <= at {
            shapes.resize(at + 1, None);
        }
        shapes[at] = Some(shape);
    }
}

fn shape(rest: &mut Cursor<'_>, sizes: Sizes) -> Option<Shape> {
    let what = what(rest.number()?);
    let has_children = rest.byte()? != 0;
    let mut shape = Shape {
        what,
        has_children,
        ..Shape::default()
    };
    loop {
        let (name, form) = (rest.number()?, rest.number()?);
        if name == 0 && form == 0 {
            return Some(shape);
        }
        let form = DwForm(u16::try_from(form).ok()?);
        let attribute = attribute(name).filter(|attribute| match attribute {
            Attribute::Sibling => has_children,
            _ => what.is_some(),
        });
        if form == gimli::DW_FORM_implicit_const {
            let value = rest.number()?;
            if let Some(attribute) = attribute {
                shape.told.set(attribute, form, value);
            }
            continue;
        }
        if form == gimli::DW_FORM_flag_present {
            if let Some(attribute) = attribute {
                shape.told.set(attribute, form, 1);
            }
            continue;
        }
        let step = match (attribute, fixed_size(form, sizes)) {
            (Some(attribute), Some(size)) if is_number(form) => Step::Fixed(attribute, form, size),
            (Some(attribute), _) => Step::Take(attribute, form),
            (None, Some(0)) => continue,
            (None, Some(size)) => match shape.steps.last_mut() {
                Some(Step::Skip(so_far)) => {
                    *so_far += size;
                    continue;
                }
                _ => Step::Skip(size),
            },
            (None, None) => Step::Pass(form),
        };
        shape.steps.push(step);
    }
}

fn what(tag: u64) -> Option<What> {
    Some(match DwTag(u16::try_from(tag).ok()?) {
        gimli::DW_TAG_variable => What::Variable,
        gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => What::Struct,
        gimli::DW_TAG_union_type => What::Union,
        gimli::DW_TAG_enumeration_type => What::Enum,
        gimli::DW_TAG_typedef | gimli::DW_TAG_base_type => What::Type,
        gimli::DW_TAG_subprogram => What::Function,
        _ => return None,
    })
}

fn attribute(name: u64) -> Option<Attribute> {
    Some(match DwAt(u16::try_from(name).ok()?) {
        gimli::DW_AT_name => Attribute::Name,
        gimli::DW_AT_declaration => Attribute::Declared,
        gimli::DW_AT_byte_size => Attribute::Size,
        gimli::DW_AT_specification => Attribute::DefinitionOf,
        gimli::DW_AT_sibling => Attribute::Sibling,
        _ => return None,
    })
}

impl Shape {
    /// Reads an entry from behind its code on. `unit` is all of the unit, and `rest` what is left of it.
    #[inline]
    pub(super) fn read(&self, unit: &[u8], rest: &mut Cursor<'_>, sizes: Sizes) -> Option<Told> {
        let mut told = self.told;
        for step in &self.steps {
            match *step {
                Step::Skip(count) => rest.skip(count)?,
                Step::Pass(form) => pass(form, rest, sizes)?,
                Step::Fixed(attribute, form, size) => {
                    told.set(attribute, form, rest.fixed(size)?);
                }
                Step::Take(attribute, form) => {
                    let at = unit.len() - rest.0.len();
                    told.take(attribute, form, at, rest, sizes)?;
                }
            }
        }
        Some(told)
    }
}

impl Told {
    fn take(
        &mut self,
        attribute: Attribute,
        form: DwForm,
        at: usize,
        rest: &mut Cursor<'_>,
        sizes: Sizes,
    ) -> Option<()> {
        match form {
            gimli::DW_FORM_udata
            | gimli::DW_FORM_ref_udata
            | gimli::DW_FORM_strx
            | gimli::DW_FORM_GNU_str_index => self.set(attribute, form, rest.number()?),
            gimli::DW_FORM_string if attribute == Attribute::Name => {
                self.name = Name::Inline(at);
                rest.text()?;
            }
            _ => pass(form, rest, sizes)?,
        }
        Some(())
    }

    #[inline]
    fn set(&mut self, attribute: Attribute, form: DwForm, value: u64) {
        let place = usize::try_from(value).ok();
        match attribute {
            Attribute::Name => {
                let name = place.map(|place| match form {
                    gimli::DW_FORM_strp => Name::Shared(place),
                    gimli::DW_FORM_line_strp => Name::OfLines(place),
                    _ => Name::Numbered(place),
                });
                self.name = name.unwrap_or_default();
            }
            Attribute::Declared => self.declared = value != 0,
            Attribute::Size => self.size = u32::try_from(value).unwrap_or(u32::MAX),
            Attribute::DefinitionOf => self.definition_of = place,
            Attribute::Sibling => self.sibling = place,
        }
    }
}

/// Whether a form of a fixed size is a whole number, a place in the unit or one in a table of texts.
fn is_number(form: DwForm) -> bool {
    matches!(
        form,
        gimli::DW_FORM_data1
            | gimli::DW_FORM_data2
            | gimli::DW_FORM_data4
            | gimli::DW_FORM_data8
            | gimli::DW_FORM_flag
            | gimli::DW_FORM_ref1
            | gimli::DW_FORM_ref2
            | gimli::DW_FORM_ref4
            | gimli::DW_FORM_ref8
            | gimli::DW_FORM_strx1
            | gimli::DW_FORM_strx2
            | gimli::DW_FORM_strx3
            | gimli::DW_FORM_strx4
            | gimli::DW_FORM_strp
            | gimli::DW_FORM_line_strp
    )
}

/// Bytes of the forms that always have as many (DWARF 5, 7.5.6).
fn fixed_size(form: DwForm, sizes: Sizes) -> Option<usize> {
    Some(match form {
        gimli::DW_FORM_flag_present | gimli::DW_FORM_implicit_const => 0,
        gimli::DW_FORM_data1
        | gimli::DW_FORM_flag
        | gimli::DW_FORM_ref1
        | gimli::DW_FORM_strx1
        | gimli::DW_FORM_addrx1 => 1,
        gimli::DW_FORM_data2
        | gimli::DW_FORM_ref2
        | gimli::DW_FORM_strx2
        | gimli::DW_FORM_addrx2 => 2,
        gimli::DW_FORM_strx3 | gimli::DW_FORM_addrx3 => 3,
        gimli::DW_FORM_data4
        | gimli::DW_FORM_ref4
        | gimli::DW_FORM_ref_sup4
        | gimli::DW_FORM_strx4
        | gimli::DW_FORM_addrx4 => 4,
        gimli::DW_FORM_data8
        | gimli::DW_FORM_ref8
        | gimli::DW_FORM_ref_sig8
        | gimli::DW_FORM_ref_sup8 => 8,
        gimli::DW_FORM_data16 => 16,
        gimli::DW_FORM_addr => sizes.address.into(),
        gimli::DW_FORM_ref_addr if sizes.version <= 2 => sizes.address.into(),
        gimli::DW_FORM_ref_addr
        | gimli::DW_FORM_strp
        | gimli::DW_FORM_line_strp
        | gimli::DW_FORM_strp_sup
        | gimli::DW_FORM_sec_offset
        | gimli::DW_FORM_GNU_ref_alt
        | gimli::DW_FORM_GNU_strp_alt => sizes.format.word_size().into(),
        _ => return None,
    })
}

/// Passes over a value; `None` for a form that nobody knows the length of.
fn pass(form: DwForm, rest: &mut Cursor<'_>, sizes: Sizes) -> Option<()> {
    if let Some(size) = fixed_size(form, sizes) {
        return rest.skip(size);
    }
    let length = match form {
        gimli::DW_FORM_string => return rest.text().map(|_| ()),
        gimli::DW_FORM_block1 => rest.fixed(1)?,
        gimli::DW_FORM_block2 => rest.fixed(2)?,
        gimli::DW_FORM_block4 => rest.fixed(4)?,
        gimli::DW_FORM_block | gimli::DW_FORM_exprloc => rest.number()?,
        gimli::DW_FORM_indirect => {
            let form = DwForm(u16::try_from(rest.number()?).ok()?);
            // One that is indirect again, or has its value elsewhere, is damage.
            let sound = ![gimli::DW_FORM_indirect, gimli::DW_FORM_implicit_const].contains(&form);
            return sound.then(|| pass(form, rest, sizes)).flatten();
        }
        gimli::DW_FORM_udata
        | gimli::DW_FORM_sdata
        | gimli::DW_FORM_ref_udata
        | gimli::DW_FORM_strx
        | gimli::DW_FORM_addrx
        | gimli::DW_FORM_loclistx
        | gimli::DW_FORM_rnglistx
        | gimli::DW_FORM_GNU_addr_index
        | gimli::DW_FORM_GNU_str_index => return rest.number().map(|_| ()),
        _ => return None,
    };
    rest.skip(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        address: 8,
        version: 5,
        format: Format::Dwarf32,
    };

    #[test]
    fn an_entry_tells_what_its_shape_asks() {
        // 1: a structure with children: name strp, byte_size data1, decl_file implicit_const 3,
        // decl_line data2, sibling ref4. 2: a variable: name string, declaration flag_present, exprloc.
        let table = [
            1, 0x13, 1, 0x03, 0x0e, 0x0b, 0x0b, 0x3a, 0x21, 3, 0x3b, 0x05, 0x01, 0x13, 0,
            0, //
            2, 0x34, 0, 0x03, 0x08, 0x3c, 0x19, 0x02, 0x18, 0, 0, //
            0,
        ];
        let mut all = Vec::new();
        shapes(&table, SIZES, &mut all).unwrap();
        let unit = [
            9, 9, 0x44, 0x33, 0x22, 0x11, 24, 5, 0, 77, 0, 0, 0, //
            b'i', b't', 0, 2, 0x91, 0x68, 0xff,
        ];
        let mut rest = Cursor(&unit[2..]);
        let told = all[0].as_ref().unwrap().read(&unit, &mut rest, SIZES);
        let told = told.unwrap();
        assert!(matches!(told.name, Name::Shared(0x1122_3344)), "{told:?}");
        assert_eq!((told.size, told.sibling), (24, Some(77)));
        let told = all[1].as_ref().unwrap().read(&unit, &mut rest, SIZES);
        let told = told.unwrap();
        assert!(matches!(told.name, Name::Inline(13)), "{told:?}");
        assert!(told.declared);
        assert_eq!(rest.0, [0xff]);
        // What is cut off is noticed.
        assert!(shapes(&table[..20], SIZES, &mut all).is_none());
        let mut cut = Cursor(&unit[2..6]);
        let shape = Shape {
            steps: vec![Step::Skip(5)],
            ..Shape::default()
        };
        assert!(shape.read(&unit, &mut cut, SIZES).is_none());
    }
}
