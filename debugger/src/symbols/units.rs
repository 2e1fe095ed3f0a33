//! Compilation units: which source file an address was compiled from, without reading lines.

use std::cell::OnceCell;

use gimli::AttributeValue;

use super::image::Slice;
use crate::addr::Addr;

#[derive(Debug, Default)]
pub(super) struct Units {
    pub(super) list: Vec<Unit>,
    /// Sorted by start.
    ranges: Vec<UnitRange>,
}

#[derive(Debug, Default)]
pub(super) struct Unit {
    /// As compiled: relative to `folder` or absolute.
    pub(super) name: &'static str,
    pub(super) folder: &'static str,
    pub(super) header: Option<gimli::UnitHeader<Slice>>,
    parsed: OnceCell<Option<Box<gimli::Unit<Slice>>>>,
}

#[derive(Clone, Copy, Debug)]
struct UnitRange {
    start: u64,
    end: u64,
    unit: u32,
}

impl Units {
    /// Damaged units are left out: their addresses then have no source.
    pub(super) fn read(dwarf: &gimli::Dwarf<Slice>) -> Self {
        let mut units = Self::default();
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            units.read_unit(dwarf, header);
        }
        units.ranges.sort_by_key(|range| range.start);
        units
    }

    fn read_unit(&mut self, dwarf: &gimli::Dwarf<Slice>, header: gimli::UnitHeader<Slice>) {
        let Ok(unit) = dwarf.unit(header) else {
            return;
        };
        let text = |slice: Option<Slice>| {
            slice
                .and_then(|s| std::str::from_utf8(s.slice()).ok())
                .unwrap_or("")
        };
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        if let Ok(mut ranges) = dwarf.unit_ranges(&unit) {
            while let Ok(Some(range)) = ranges.next() {
                // Discarded sections leave ranges at 0.
                if range.begin != 0 && range.begin < range.end {
                    self.ranges.push(UnitRange {
                        start: range.begin,
                        end: range.end,
                        unit: number,
                    });
                }
            }
        }
        self.list.push(Unit {
            name: text(unit.name),
            folder: text(unit.comp_dir),
            header: Some(header),
            parsed: OnceCell::new(),
        });
    }

    /// The number of the unit that covers an address.
    pub(super) fn number_at(&self, addr: Addr) -> Option<u32> {
        self.range_at(addr).map(|range| range.unit)
    }

    pub(super) fn at(&self, addr: Addr) -> Option<&Unit> {
        self.list.get(self.range_at(addr)?.unit as usize)
    }

    fn range_at(&self, addr: Addr) -> Option<&UnitRange> {
        let after = self.ranges.partition_point(|range| range.start <= addr.0);
        // Ranges of one unit may lie inside another's; look a few back.
        let near = self.ranges[after.saturating_sub(4)..after].iter().rev();
        near.into_iter().find(|range| addr.0 < range.end)
    }

    /// The units that cover anything for which `wanted` holds, each once.
    pub(super) fn covering(&self, wanted: impl Fn(Addr) -> bool) -> Vec<&Unit> {
        let ranges = self.ranges.iter().filter(|range| wanted(Addr(range.start)));
        let mut numbers: Vec<u32> = ranges.map(|range| range.unit).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let units = numbers.iter().map(|number| self.list.get(*number as usize));
        units.flatten().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl Unit {
    /// Parsed once, when its entries are first looked into.
    pub(super) fn parsed(&self, dwarf: &gimli::Dwarf<Slice>) -> Option<&gimli::Unit<Slice>> {
        let parse = || dwarf.unit(self.header?).ok().map(Box::new);
        self.parsed.get_or_init(parse).as_deref()
    }
}

/// The text of a string attribute; empty where there is none.
pub(super) fn string(
    dwarf: &gimli::Dwarf<Slice>,
    unit: &gimli::Unit<Slice>,
    value: Option<AttributeValue<Slice>>,
) -> &'static str {
    value
        .and_then(|value| dwarf.attr_string(unit, value).ok())
        .and_then(|slice| std::str::from_utf8(slice.slice()).ok())
        .unwrap_or("")
}

/// A file's path from its folder and name, without `.` and `..` steps.
pub(super) fn join(folder: &str, name: &str) -> String {
    let whole = if name.starts_with('/') || folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    };
    let mut steps: Vec<&str> = Vec::new();
    for step in whole.split('/') {
        match step {
            "" | "." => {}
            ".." if steps.last().is_some_and(|last| *last != "..") => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    let root = if whole.starts_with('/') { "/" } else { "" };
    format!("{root}{}", steps.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_their_detours() {
        assert_eq!(
            join("/k/linux", "./include/linux/fs.h"),
            "/k/linux/include/linux/fs.h"
        );
        assert_eq!(join("/k/linux", "fs/../mm/a.c"), "/k/linux/mm/a.c");
        assert_eq!(join("/k", "/a/b.c"), "/a/b.c");
        assert_eq!(join("", "a.c"), "a.c");
        assert_eq!(join("..", "a.c"), "../a.c");
    }
}
