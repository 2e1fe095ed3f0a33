//! Compilation units: which source file an address was compiled from, without reading lines.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use gimli::AttributeValue;

use super::dies::ends_soundly;
use super::heads::{Head, head};
use super::image::Slice;
use crate::addr::{Addr, AddrRange, Slide};

#[derive(Debug, Default)]
pub(super) struct Units {
    /// By their place in the file.
    pub(super) list: Vec<Unit>,
    /// Sorted by start; as the file has them.
    ranges: Vec<UnitRange>,
    /// What the guest's addresses are above the file's.
    pub(super) slide: Slide,
    dwarf: Arc<gimli::Dwarf<Slice>>,
}

#[derive(Debug)]
pub(super) struct Unit {
    pub(super) header: gimli::UnitHeader<Slice>,
    head: OnceCell<Option<Head>>,
    parsed: OnceCell<Option<Box<gimli::Unit<Slice>>>>,
}

#[derive(Clone, Copy, Debug)]
struct UnitRange {
    start: u64,
    end: u64,
    unit: u32,
}

/// All units, in the file's order; up to one whose header is damaged.
pub(super) fn headers(
    dwarf: &gimli::Dwarf<Slice>,
) -> impl Iterator<Item = gimli::UnitHeader<Slice>> + use<> {
    let mut headers = dwarf.units();
    std::iter::from_fn(move || headers.next().ok().flatten())
}

impl Units {
    pub(super) fn read(dwarf: &Arc<gimli::Dwarf<Slice>>) -> Self {
        let list: Vec<Unit> = headers(dwarf)
            .map(|header| Unit {
                header,
                head: OnceCell::new(),
                parsed: OnceCell::new(),
            })
            .collect();
        let starts: Vec<_> = list.iter().map(|unit| start_of(&unit.header)).collect();
        let mut units = Self {
            list,
            dwarf: Arc::clone(dwarf),
            ..Self::default()
        };
        let mut told = HashSet::new();
        units.read_table(dwarf, &starts, &mut told);
        for number in 0..starts.len() {
            if !told.contains(&number) {
                units.read_ranges(dwarf, number);
            }
        }
        units.ranges.sort_by_key(|range| range.start);
        units
    }

    /// `.debug_aranges`, which tells the ranges of most units in little room.
    fn read_table(
        &mut self,
        dwarf: &gimli::Dwarf<Slice>,
        starts: &[usize],
        told: &mut HashSet<usize>,
    ) {
        let mut tables = dwarf.debug_aranges.headers();
        while let Ok(Some(table)) = tables.next() {
            let Ok(number) = starts.binary_search(&table.debug_info_offset().0) else {
                continue;
            };
            let mut entries = table.entries();
            loop {
                match entries.next() {
                    Ok(Some(entry)) => {
                        let range = entry.range();
                        self.add(number, range.begin, range.end);
                        told.insert(number);
                    }
                    Ok(None) => break,
                    // Of a damaged table the unit itself is asked.
                    Err(_) => {
                        told.remove(&number);
                        break;
                    }
                }
            }
        }
    }

    /// Of the unit itself; where it tells none, those its lines cover.
    fn read_ranges(&mut self, dwarf: &gimli::Dwarf<Slice>, number: usize) {
        let Ok(unit) = dwarf.unit(self.list[number].header) else {
            return;
        };
        let before = self.ranges.len();
        let mut entries = unit.header.entries(&unit.abbreviations);
        let sound = entries.next_dfs().is_ok()
            && entries
                .current()
                .is_some_and(|root| ends_soundly(dwarf, &unit, root));
        if sound && let Ok(mut ranges) = dwarf.unit_ranges(&unit) {
            while let Ok(Some(range)) = ranges.next() {
                self.add(number, range.begin, range.end);
            }
        }
        if self.ranges.len() > before {
            return;
        }
        let lines = unit.line_program.and_then(|lines| lines.sequences().ok());
        for sequence in lines.map(|(_, sequences)| sequences).unwrap_or_default() {
            self.add(number, sequence.start, sequence.end);
        }
    }

    fn add(&mut self, number: usize, start: u64, end: u64) {
        // Discarded sections leave ranges at 0.
        if start != 0 && start < end {
            self.ranges.push(UnitRange {
                start,
                end,
                unit: u32::try_from(number).unwrap_or(u32::MAX),
            });
        }
    }

    /// The number of the unit that covers an address.
    pub(super) fn number_at(&self, addr: Addr) -> Option<u32> {
        self.range_at(addr).map(|range| range.unit)
    }

    /// The unit that covers an address; none where that is damaged.
    pub(super) fn at(&self, addr: Addr) -> Option<Head> {
        self.head(self.number_at(addr)?)
    }

    pub(super) fn head(&self, number: u32) -> Option<Head> {
        let unit = self.list.get(number as usize)?;
        *unit.head.get_or_init(|| head(&self.dwarf, &unit.header))
    }

    /// The number of the unit that holds an offset into `.debug_info`.
    pub(super) fn number_holding(&self, offset: usize) -> Option<u32> {
        let after = self
            .list
            .partition_point(|unit| start_of(&unit.header) <= offset);
        u32::try_from(after.checked_sub(1)?).ok()
    }

    fn range_at(&self, addr: Addr) -> Option<&UnitRange> {
        let addr = self.slide.linked(addr);
        let after = self.ranges.partition_point(|range| range.start <= addr.0);
        // Ranges of one unit may lie inside another's; look a few back.
        let near = self.ranges[after.saturating_sub(4)..after].iter().rev();
        near.into_iter().find(|range| addr.0 < range.end)
    }

    /// The units that cover anything for which `wanted` holds, each once.
    pub(super) fn covering(&self, wanted: impl Fn(Addr) -> bool) -> Vec<Head> {
        let start = |range: &UnitRange| self.slide.moved(Addr(range.start));
        let ranges = self.ranges.iter().filter(|range| wanted(start(range)));
        let mut numbers: Vec<u32> = ranges.map(|range| range.unit).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
            .iter()
            .filter_map(|number| self.head(*number))
            .collect()
    }

    /// All that these units cover, by number.
    pub(super) fn ranges_of(&self, numbers: &BTreeSet<u32>) -> impl Iterator<Item = AddrRange> {
        let ranges = self.ranges.iter();
        let theirs = ranges.filter(|range| numbers.contains(&range.unit));
        let moved = |addr| self.slide.moved(Addr(addr));
        theirs.map(move |range| AddrRange::new(moved(range.start), moved(range.end)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl Unit {
    /// Parsed once, when its entries are first looked into.
    pub(super) fn parsed(&self, dwarf: &gimli::Dwarf<Slice>) -> Option<&gimli::Unit<Slice>> {
        let parse = || dwarf.unit(self.header).ok().map(Box::new);
        self.parsed.get_or_init(parse).as_deref()
    }
}

/// Where a unit begins in `.debug_info`.
pub(super) fn start_of(header: &gimli::UnitHeader<Slice>) -> usize {
    header.debug_info_offset().map_or(0, |offset| offset.0)
}

pub(super) fn text(slice: Option<Slice>) -> &'static str {
    slice
        .and_then(|slice| std::str::from_utf8(slice.slice()).ok())
        .unwrap_or("")
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
