//! Debugging information entries, by place and by name.

use std::collections::HashSet;

use gimli::{AttributeValue, DwAt, DwTag, UnitOffset};

use super::Symbols;
use super::image::{Image, Slice};
use super::index::{Named, What};
use super::units::{start_of, string};
use crate::addr::Addr;

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

/// An entry with all that is needed to read its attributes.
#[derive(Clone)]
pub(super) struct Die<'a> {
    pub(super) id: DieId,
    pub(super) image: &'a Image,
    pub(super) unit: &'a gimli::Unit<Slice>,
    pub(super) entry: Entry,
    /// How many entries were gone down from the one that was looked up.
    depth: u8,
}

/// Below it no children are told: a damaged file may nest them without end, and no compiler does.
const DEEPEST: u8 = 128;

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
        Some(Die::of(id, image, unit, entry))
    }

    /// Entries of a kind and name, in every file: homonyms all come.
    pub(super) fn dies_named(&self, name: &str, what: &[What]) -> Vec<DieId> {
        let mut found = Vec::new();
        for (number, image) in (0_u8..).zip(self.images()) {
            let named = image.names().named(name, what);
            found.extend(named.iter().filter_map(|named| image.die_id(number, named)));
        }
        found
    }

    /// As [`Self::dies_named`], without most of those that are surely the same: a header's type lies
    /// in every unit that uses it. All of another size stay, and so do the first.
    pub(super) fn dies_to_compare(&self, name: &str, what: &[What]) -> Vec<DieId> {
        const ALL: usize = 64;
        let mut found = Vec::new();
        for (number, image) in (0_u8..).zip(self.images()) {
            let mut sizes = HashSet::new();
            for (i, named) in image.names().named(name, what).iter().enumerate() {
                let new = sizes.insert((named.what, named.size));
                if new || i < ALL {
                    found.extend(image.die_id(number, named));
                }
            }
        }
        found
    }
}

impl Image {
    pub(super) fn unit(&self, number: u32) -> Option<&gimli::Unit<Slice>> {
        self.units().list.get(number as usize)?.parsed(self.dwarf())
    }

    pub(super) fn die_id(&self, image: u8, named: &Named) -> Option<DieId> {
        let at = named.entry as usize;
        let unit = self.units().number_holding(at)?;
        let start = start_of(&self.units().list.get(unit as usize)?.header);
        Some(DieId {
            image,
            unit,
            offset: at.checked_sub(start)?,
        })
    }
}

impl<'a> Die<'a> {
    pub(super) const fn of(
        id: DieId,
        image: &'a Image,
        unit: &'a gimli::Unit<Slice>,
        entry: Entry,
    ) -> Self {
        Self {
            id,
            image,
            unit,
            entry,
            depth: 0,
        }
    }

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

    /// An address, as the file has it.
    pub(super) fn attr_addr(&self, name: DwAt) -> Option<u64> {
        let at = self.image.dwarf().attr_address(self.unit, self.own(name)?);
        at.ok().flatten()
    }

    /// Where a function begins, as the file has it.
    pub(super) fn start(&self) -> Option<u64> {
        let low = self.attr_addr(gimli::DW_AT_low_pc);
        low.or_else(|| {
            let mut ranges = self.image.dwarf().die_ranges(self.unit, &self.entry).ok()?;
            Some(ranges.next().ok()??.begin)
        })
    }

    /// Where the entry lies in `.debug_info`.
    pub(super) fn place(&self) -> Option<usize> {
        let unit = self.image.units().list.get(self.id.unit as usize)?;
        start_of(&unit.header).checked_add(self.id.offset)
    }

    pub(super) fn expression(&self, name: DwAt) -> Option<gimli::Expression<Slice>> {
        self.own(name)?.exprloc_value()
    }

    /// The entry an attribute refers to, in this unit or another.
    pub(super) fn refer(&self, name: DwAt) -> Option<Self> {
        match self.own(name)? {
            AttributeValue::UnitRef(at) => self.at(at),
            AttributeValue::DebugInfoRef(at) => {
                let unit_number = self.image.units().number_holding(at.0)?;
                let header = self.image.units().list.get(unit_number as usize)?.header;
                let offset = at.to_unit_offset(&header)?;
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
                    depth: self.depth,
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
            depth: self.depth,
        })
    }

    /// Its children, not theirs.
    pub(super) fn children(&self) -> Vec<Self> {
        let mut children = Vec::new();
        if !self.entry.has_children() || self.depth >= DEEPEST {
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
                depth: self.depth + 1,
            });
        }
        children
    }

    pub(super) fn covers(&self, addr: Addr) -> bool {
        let addr = self.image.slide.linked(addr).0;
        if !ends_soundly(self.image.dwarf(), self.unit, &self.entry) {
            return false;
        }
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

/// Whether start and length of an entry stay within the address space: gimli adds them unchecked.
pub(super) fn ends_soundly(
    dwarf: &gimli::Dwarf<Slice>,
    unit: &gimli::Unit<Slice>,
    entry: &Entry,
) -> bool {
    let start = entry.attr_value(gimli::DW_AT_low_pc);
    let start = start.and_then(|value| dwarf.attr_address(unit, value).ok()?);
    let length = entry
        .attr_value(gimli::DW_AT_high_pc)
        .and_then(|value| match value {
            AttributeValue::Udata(length) => Some(length),
            _ => None,
        });
    match (start, length) {
        (Some(start), Some(length)) => start.checked_add(length).is_some(),
        _ => true,
    }
}
