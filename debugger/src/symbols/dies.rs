//! Debugging information entries: a unit's, by place and by name.

use std::cell::OnceCell;

use gimli::{AttributeValue, DwAt, DwTag, UnitOffset};

use super::Symbols;
use super::image::{Image, Slice};
use super::units::string;

pub(super) type Entry = gimli::DebuggingInformationEntry<Slice>;
pub(super) type Value = AttributeValue<Slice>;

/// Where an entry lies: in which file, which unit, and where in the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct DieId {
    /// 0 is vmlinux, 1 the twin.
    pub(super) image: u8,
    pub(super) unit: u32,
    pub(super) offset: usize,
}

/// The named things at the top of every unit.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Sorted by name.
    list: Vec<Named>,
}

#[derive(Clone, Copy, Debug)]
struct Named {
    name: &'static str,
    what: What,
    unit: u32,
    offset: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Variable,
    /// A variable that is defined elsewhere, perhaps by the linker script.
    Declaration,
    Struct,
    Union,
    Enum,
    /// A typedef or a base type: named without a keyword.
    Type,
}

/// An entry with all that is needed to read its attributes.
#[derive(Clone)]
pub(super) struct Die<'a> {
    pub(super) id: DieId,
    pub(super) image: &'a Image,
    pub(super) unit: &'a gimli::Unit<Slice>,
    pub(super) entry: Entry,
}

impl Symbols {
    pub(super) fn numbered(&self, image: u8) -> Option<&Image> {
        match image {
            0 => Some(&self.kernel),
            _ => self.twin.as_ref(),
        }
    }

    pub(super) fn die(&self, id: DieId) -> Option<Die<'_>> {
        let image = self.numbered(id.image)?;
        let unit = image.unit(id.unit)?;
        let entry = unit.entry(UnitOffset(id.offset)).ok()?;
        Some(Die {
            id,
            image,
            unit,
            entry,
        })
    }

    /// Entries of a kind and name, in every file: homonyms all come.
    pub(super) fn dies_named(&self, name: &str, what: &[What]) -> Vec<DieId> {
        let mut found = Vec::new();
        for (number, image) in (0_u8..).zip(self.images()) {
            let list = &image.names().list;
            let first = list.partition_point(|named| named.name < name);
            let same = list[first..].iter().take_while(|named| named.name == name);
            found.extend(
                same.filter(|named| what.contains(&named.what))
                    .map(|named| DieId {
                        image: number,
                        unit: named.unit,
                        offset: named.offset as usize,
                    }),
            );
        }
        found
    }
}

impl Image {
    pub(super) fn unit(&self, number: u32) -> Option<&gimli::Unit<Slice>> {
        self.units().list.get(number as usize)?.parsed(self.dwarf())
    }

    pub(super) fn names(&self) -> &Names {
        self.names.get_or_init(|| {
            let mut names = Names::default();
            for number in 0..u32::try_from(self.units().list.len()).unwrap_or(0) {
                names.read_unit(self, number);
            }
            names
                .list
                .sort_by_key(|named| (named.name, named.what, named.unit, named.offset));
            names
        })
    }
}

impl Names {
    fn read_unit(&mut self, image: &Image, number: u32) -> Option<()> {
        let dwarf = image.dwarf();
        // Not kept: most units are never looked into again.
        let header = image.units().list.get(number as usize)?.header?;
        let abbreviations = dwarf.abbreviations(&header).ok()?;
        let unit: OnceCell<Option<gimli::Unit<Slice>>> = OnceCell::new();
        let mut entries = header.entries(&abbreviations);
        entries.next_dfs().ok()?;
        entries.next_dfs().ok()?;
        while let Some(entry) = entries.current() {
            let declared = entry.has_attr(gimli::DW_AT_declaration);
            if let Some(what) = what(entry.tag(), declared) {
                let name = match entry.attr_value(gimli::DW_AT_name) {
                    Some(AttributeValue::DebugStrRef(at)) => text(dwarf.string(at).ok()),
                    Some(AttributeValue::String(slice)) => text(Some(slice)),
                    Some(other) => {
                        let unit = unit.get_or_init(|| dwarf.unit(header).ok());
                        unit.as_ref().map_or("", |u| string(dwarf, u, Some(other)))
                    }
                    // A definition after its declaration refers to it for the name.
                    None => match entry.attr_value(gimli::DW_AT_specification) {
                        Some(AttributeValue::UnitRef(at)) => header
                            .entry(&abbreviations, at)
                            .ok()
                            .and_then(|e| match e.attr_value(gimli::DW_AT_name) {
                                Some(AttributeValue::DebugStrRef(at)) => dwarf.string(at).ok(),
                                Some(AttributeValue::String(slice)) => Some(slice),
                                _ => None,
                            })
                            .map_or("", |slice| text(Some(slice))),
                        _ => "",
                    },
                };
                if !name.is_empty()
                    && let Ok(offset) = u32::try_from(entry.offset().0)
                {
                    self.list.push(Named {
                        name,
                        what,
                        unit: number,
                        offset,
                    });
                }
            }
            entries.next_sibling().ok()??;
        }
        Some(())
    }
}

fn text(slice: Option<Slice>) -> &'static str {
    slice
        .and_then(|s| std::str::from_utf8(s.slice()).ok())
        .unwrap_or("")
}

fn what(tag: DwTag, declared: bool) -> Option<What> {
    Some(match tag {
        gimli::DW_TAG_variable if declared => What::Declaration,
        _ if declared => return None,
        gimli::DW_TAG_variable => What::Variable,
        gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => What::Struct,
        gimli::DW_TAG_union_type => What::Union,
        gimli::DW_TAG_enumeration_type => What::Enum,
        gimli::DW_TAG_typedef | gimli::DW_TAG_base_type => What::Type,
        _ => return None,
    })
}

impl<'a> Die<'a> {
    pub(super) fn tag(&self) -> DwTag {
        self.entry.tag()
    }

    pub(super) fn own(&self, name: DwAt) -> Option<Value> {
        self.entry.attr_value(name)
    }

    /// Its own attribute, or that of the entry it is an instance or the definition of.
    pub(super) fn attr(&self, name: DwAt) -> Option<(Value, Self)> {
        let mut die = self.clone();
        for _ in 0..8 {
            if let Some(value) = die.own(name) {
                return Some((value, die));
            }
            die = die
                .refer(gimli::DW_AT_abstract_origin)
                .or_else(|| die.refer(gimli::DW_AT_specification))?;
        }
        None
    }

    pub(super) fn name(&self) -> &'static str {
        self.attr(gimli::DW_AT_name).map_or("", |(value, die)| {
            string(die.image.dwarf(), die.unit, Some(value))
        })
    }

    pub(super) fn number(&self, name: DwAt) -> Option<u64> {
        let value = self.own(name)?;
        value
            .udata_value()
            .or_else(|| value.sdata_value().map(i64::cast_unsigned))
    }

    pub(super) fn signed(&self, name: DwAt) -> Option<i64> {
        let value = self.own(name)?;
        value
            .sdata_value()
            .or_else(|| value.udata_value().map(u64::cast_signed))
    }

    /// The entry an attribute refers to, in this unit or another.
    pub(super) fn refer(&self, name: DwAt) -> Option<Self> {
        match self.own(name)? {
            AttributeValue::UnitRef(at) => self.at(at),
            AttributeValue::DebugInfoRef(at) => {
                let list = &self.image.units().list;
                let starts_before = |unit: &super::units::Unit| {
                    let start = unit.header.and_then(|header| header.debug_info_offset());
                    start.is_some_and(|start| start <= at)
                };
                let after = list.partition_point(starts_before);
                let number = after.checked_sub(1)?;
                let header = list[number].header?;
                let offset = at.to_unit_offset(&header)?;
                let unit_number = u32::try_from(number).ok()?;
                let unit = self.image.unit(unit_number)?;
                Some(Self {
                    id: DieId {
                        image: self.id.image,
                        unit: unit_number,
                        offset: offset.0,
                    },
                    image: self.image,
                    unit,
                    entry: unit.entry(offset).ok()?,
                })
            }
            _ => None,
        }
    }

    pub(super) fn at(&self, at: UnitOffset) -> Option<Self> {
        Some(Self {
            id: DieId {
                offset: at.0,
                ..self.id
            },
            image: self.image,
            unit: self.unit,
            entry: self.unit.entry(at).ok()?,
        })
    }

    /// Its children, not theirs.
    pub(super) fn children(&self) -> Vec<Self> {
        let mut children = Vec::new();
        if !self.entry.has_children() {
            return children;
        }
        let Ok(mut tree) = self.unit.entries_tree(Some(self.entry.offset())) else {
            return children;
        };
        let Ok(root) = tree.root() else {
            return children;
        };
        let mut list = root.children();
        while let Ok(Some(child)) = list.next() {
            let entry = child.entry().clone();
            children.push(Self {
                id: DieId {
                    offset: entry.offset().0,
                    ..self.id
                },
                image: self.image,
                unit: self.unit,
                entry,
            });
        }
        children
    }

    pub(super) fn covers(&self, addr: u64) -> bool {
        let Ok(mut ranges) = self.image.dwarf().die_ranges(self.unit, &self.entry) else {
            return false;
        };
        while let Ok(Some(range)) = ranges.next() {
            if range.begin <= addr && addr < range.end {
                return true;
            }
        }
        false
    }
}
