//! Units looked through for what stands at their top, and for their source files.
//!
//! Every name of a distribution's kernel comes by here, a million of them: entries are not decoded but
//! passed over, by way of their [`shapes`].

mod files;
mod shapes;

use std::cell::OnceCell;

use gimli::Section as _;

use super::cursor::Cursor;
use super::image::Slice;
use super::index::{Named, What};
use super::units::start_of;
use shapes::{Name, Shape, Sizes, shapes};

pub(super) use files::{Files, files};

/// Looks through one unit after another; what is damaged is left out.
pub(super) struct Scanner<'a> {
    dwarf: &'a gimli::Dwarf<Slice>,
    texts: Texts,
    shapes: Vec<Option<Shape>>,
    /// Whose they are: where they stand, and what sizes they were read with.
    shapes_of: Option<(usize, Sizes)>,
    /// The unit that is looked through, where a name has to be asked of it.
    whole: OnceCell<Option<Box<gimli::Unit<Slice>>>>,
    pub(super) found: Vec<Named>,
}

/// Where in the file the sections of texts lie.
#[derive(Clone, Copy)]
struct Texts {
    data: &'static [u8],
    shared: usize,
    of_lines: usize,
}

impl Texts {
    fn of(dwarf: &gimli::Dwarf<Slice>, data: &'static [u8]) -> Self {
        let place =
            |section: &[u8]| (section.as_ptr() as usize).wrapping_sub(data.as_ptr() as usize);
        Self {
            data,
            shared: place(dwarf.debug_str.reader().slice()),
            of_lines: place(dwarf.debug_line_str.reader().slice()),
        }
    }

    /// The place of a text in the file; that of an empty one as well.
    fn checked(self, place: usize) -> Option<u32> {
        let inside = place < self.data.len();
        inside.then(|| u32::try_from(place).ok())?
    }

    fn place(self, text: &[u8]) -> Option<u32> {
        self.checked((text.as_ptr() as usize).checked_sub(self.data.as_ptr() as usize)?)
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn new(dwarf: &'a gimli::Dwarf<Slice>, data: &'static [u8]) -> Self {
        Self {
            dwarf,
            texts: Texts::of(dwarf, data),
            shapes: Vec::new(),
            shapes_of: None,
            whole: OnceCell::new(),
            found: Vec::new(),
        }
    }

    /// `None` where the unit is damaged: what came before the damage is kept.
    pub(super) fn unit(&mut self, header: &gimli::UnitHeader<Slice>) -> Option<()> {
        let start = start_of(header);
        let end = start.checked_add(header.length_including_self())?;
        let unit: &'static [u8] = self.dwarf.debug_info.reader().slice().get(start..end)?;
        let sizes = Sizes {
            address: header.address_size(),
            version: header.version(),
            format: header.format(),
        };
        let table = header.debug_abbrev_offset().0;
        if self.shapes_of != Some((table, sizes)) {
            self.shapes_of = None;
            let abbreviations = self.dwarf.debug_abbrev.reader().slice();
            shapes(abbreviations.get(table..)?, sizes, &mut self.shapes)?;
            self.shapes_of = Some((table, sizes));
        }
        self.whole = OnceCell::new();
        let mut rest = Cursor(unit.get(header.root_offset().0..)?);
        let root = self.shape(rest.number()?)?;
        root.read(unit, &mut rest, sizes)?;
        let mut nested = 0_u32;
        while !rest.0.is_empty() {
            let at = unit.len() - rest.0.len();
            let code = rest.number()?;
            if code == 0 {
                match nested.checked_sub(1) {
                    Some(outer) => nested = outer,
                    None => break,
                }
                continue;
            }
            let shape = self.shape(code)?;
            let (what, has_children) = (shape.what, shape.has_children);
            let told = shape.read(unit, &mut rest, sizes)?;
            if nested == 0
                && let Some(what) = what.and_then(|what| defined(what, told.declared))
                && let Some(text) = self.text(header, unit, told.name, told.definition_of, sizes)
                && let Ok(entry) = u32::try_from(start + at)
            {
                self.found.push(Named {
                    text,
                    entry,
                    size: told.size,
                    what,
                });
            }
            if has_children {
                match told.sibling.filter(|sibling| *sibling > at) {
                    Some(sibling) => rest = Cursor(unit.get(sibling..)?),
                    None => nested += 1,
                }
            }
        }
        Some(())
    }

    fn shape(&self, code: u64) -> Option<&Shape> {
        let at = usize::try_from(code.checked_sub(1)?).ok()?;
        self.shapes.get(at)?.as_ref()
    }

    /// The place of an entry's name; a definition behind its declaration has it there.
    fn text(
        &self,
        header: &gimli::UnitHeader<Slice>,
        unit: &'static [u8],
        name: Name,
        definition_of: Option<usize>,
        sizes: Sizes,
    ) -> Option<u32> {
        let texts = self.texts;
        match name {
            Name::None => {
                let mut rest = Cursor(unit.get(definition_of?..)?);
                let told = self.shape(rest.number()?)?.read(unit, &mut rest, sizes)?;
                match told.name {
                    Name::None => None,
                    name => self.text(header, unit, name, None, sizes),
                }
            }
            Name::Inline(at) => texts.place(unit.get(at..)?),
            Name::Shared(at) => texts.checked(texts.shared.checked_add(at)?),
            Name::OfLines(at) => texts.checked(texts.of_lines.checked_add(at)?),
            Name::Numbered(number) => {
                let whole = || self.dwarf.unit(*header).ok().map(Box::new);
                let whole = self.whole.get_or_init(whole).as_deref()?;
                let number = gimli::DebugStrOffsetsIndex(number);
                let value = gimli::AttributeValue::DebugStrOffsetsIndex(number);
                texts.place(self.dwarf.attr_string(whole, value).ok()?.slice())
            }
        }
    }
}

fn defined(what: What, declared: bool) -> Option<What> {
    match (what, declared) {
        (What::Variable, true) => Some(What::Declaration),
        (_, true) => None,
        (what, false) => Some(what),
    }
}
