//! Page tables: one address's way through them, and all that they map.
//!
//! ```text
//! entry: 63 no-execute │ 62..52 │ 51..12 frame │ 8 global │ 7 large │ 6 dirty │ 5 accessed │ 2 user │ 1 write │ 0 present
//! ```

use super::pages::{self, PageSize, Resident, Run};
use crate::addr::{Addr, AddrRange, PhysAddr};

/// Reads physical memory; false where not all of it could be read.
pub type Physical<'a> = dyn FnMut(PhysAddr, &mut [u8]) -> bool + 'a;

/// Which tables the CPU uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    pub table: PhysAddr,
    /// 4 or 5.
    pub levels: u32,
}

/// One level of a walk, outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `pgd`, `p4d`, `pud`, `pmd`, `pte`.
    pub level: &'static str,
    pub index: u16,
    pub entry: u64,
    pub at: PhysAddr,
    /// `present, writable, no-execute, 2 MiB page`.
    pub meaning: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    pub entries: Vec<Entry>,
    /// What the address means, where it is mapped.
    pub physical: Option<PhysAddr>,
    /// What all levels together allow, where it is mapped.
    pub access: Option<Access>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    pub write: bool,
    pub execute: bool,
    /// Ring 3 may use it.
    pub user: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    pub range: AddrRange,
    pub access: Access,
}

/// What the tables map in a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mappings {
    pub ranges: Vec<Mapped>,
    /// The same in more detail.
    pub runs: Vec<Run>,
    pub tables_read: usize,
    /// Tables that could not be read, so that what they map is missing here.
    pub unreadable: Vec<PhysAddr>,
    /// Ended before all tables were read.
    pub cut: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    #[error("reading the page table at {at}: the target does not let physical memory be read")]
    Unreadable { at: PhysAddr },
    #[error("paging is off (cr0 {cr0:#x}): addresses are physical")]
    PagingOff { cr0: u64 },
}

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const GLOBAL: u64 = 1 << 8;
const NO_EXECUTE: u64 = 1 << 63;
const FRAME: u64 = 0x000f_ffff_ffff_f000;

const LEVELS: [&str; 5] = ["pte", "pmd", "pud", "p4d", "pgd"];

impl Root {
    /// From the control registers: cr0's bit 31 is paging, cr4's bit 12 the fifth level.
    pub fn of(cr0: u64, cr3: u64, cr4: u64) -> Result<Self, WalkError> {
        if cr0 >> 31 & 1 == 0 {
            return Err(WalkError::PagingOff { cr0 });
        }
        Ok(Self {
            table: PhysAddr(cr3 & FRAME),
            levels: if cr4 >> 12 & 1 == 1 { 5 } else { 4 },
        })
    }
}

impl Mappings {
    /// How much of a range is there.
    #[must_use]
    pub fn resident(&self, range: AddrRange) -> Resident {
        pages::resident(&self.runs, range)
    }
}

impl Access {
    const ALL: Self = Self {
        write: true,
        execute: true,
        user: true,
    };

    #[cfg(test)]
    pub(super) const NONE: Self = Self {
        write: false,
        execute: false,
        user: false,
    };

    fn and(self, entry: u64) -> Self {
        Self {
            write: self.write && entry & WRITE != 0,
            execute: self.execute && entry & NO_EXECUTE == 0,
            user: self.user && entry & USER != 0,
        }
    }

    /// `r-x`, `rw-`.
    #[must_use]
    pub fn text(self) -> String {
        let letter = |on, letter| if on { letter } else { '-' };
        ['r', letter(self.write, 'w'), letter(self.execute, 'x')]
            .iter()
            .collect()
    }
}

/// `level` counts from 0, the innermost. The outermost of four levels is called pgd as well.
fn name(level: u32, levels: u32) -> &'static str {
    match level + 1 == levels {
        true => LEVELS[4],
        false => LEVELS[level as usize],
    }
}

fn shift(level: u32) -> u32 {
    12 + 9 * level
}

fn is_page(entry: u64, level: u32) -> bool {
    level == 0 || (level <= 2 && entry & LARGE != 0)
}

fn meaning(entry: u64, level: u32) -> String {
    if entry & PRESENT == 0 {
        return match entry {
            0 => "empty".to_owned(),
            _ => "not present".to_owned(),
        };
    }
    let mut words = vec!["present"];
    let page = is_page(entry, level);
    words.push(match entry & WRITE {
        0 => "read-only",
        _ => "writable",
    });
    if entry & NO_EXECUTE != 0 {
        words.push("no-execute");
    }
    words.push(match entry & USER {
        0 => "supervisor",
        _ => "user",
    });
    if entry & ACCESSED != 0 {
        words.push("accessed");
    }
    if page && entry & DIRTY != 0 {
        words.push("dirty");
    }
    if page && entry & GLOBAL != 0 {
        words.push("global");
    }
    match (page, level) {
        (true, 0) => words.push("4 KiB page"),
        (true, 1) => words.push("2 MiB page"),
        (true, _) => words.push("1 GiB page"),
        (false, _) => words.push("table"),
    }
    words.join(", ")
}

/// The way of one address. Where it is not mapped the walk ends at the entry that says so.
pub fn walk(root: Root, addr: Addr, read: &mut Physical<'_>) -> Result<Walk, WalkError> {
    let mut walk = Walk {
        entries: Vec::new(),
        physical: None,
        access: None,
    };
    let mut table = root.table;
    let mut access = Access::ALL;
    for level in (0..root.levels).rev() {
        let index = addr.0 >> shift(level) & 0x1ff;
        let at = PhysAddr(table.0 + index * 8);
        let mut bytes = [0; 8];
        if !read(at, &mut bytes) {
            return Err(WalkError::Unreadable { at });
        }
        let entry = u64::from_le_bytes(bytes);
        walk.entries.push(Entry {
            level: name(level, root.levels),
            index: u16::try_from(index).unwrap_or(0),
            entry,
            at,
            meaning: meaning(entry, level),
        });
        if entry & PRESENT == 0 {
            return Ok(walk);
        }
        access = access.and(entry);
        if is_page(entry, level) {
            let within = (1 << shift(level)) - 1;
            let frame = entry & FRAME & !within;
            walk.physical = Some(PhysAddr(frame | addr.0 & within));
            walk.access = Some(access);
            return Ok(walk);
        }
        table = PhysAddr(entry & FRAME);
    }
    Ok(walk)
}

/// What an address means, without the way there; none where it is not mapped or a table cannot be read.
pub fn translate(root: Root, addr: Addr, read: &mut Physical<'_>) -> Option<PhysAddr> {
    let mut table = root.table;
    for level in (0..root.levels).rev() {
        let index = addr.0 >> shift(level) & 0x1ff;
        let mut bytes = [0; 8];
        if !read(PhysAddr(table.0 + index * 8), &mut bytes) {
            return None;
        }
        let entry = u64::from_le_bytes(bytes);
        if entry & PRESENT == 0 {
            return None;
        }
        if is_page(entry, level) {
            let within = (1 << shift(level)) - 1;
            return Some(PhysAddr(entry & FRAME & !within | addr.0 & within));
        }
        table = PhysAddr(entry & FRAME);
    }
    None
}

/// All that is mapped in a range, neighbours of equal access as one. `go_on` is asked before each
/// table, with the number read so far, and ends the search by false.
pub fn mapped(
    root: Root,
    range: AddrRange,
    read: &mut Physical<'_>,
    go_on: &mut dyn FnMut(usize) -> bool,
) -> Mappings {
    let mut mappings = Mappings::default();
    let mut search = Search {
        range,
        read,
        go_on,
        found: &mut mappings,
        levels: root.levels,
    };
    search.table(root.table, root.levels - 1, 0, Access::ALL);
    mappings
}

struct Search<'a, 'b> {
    range: AddrRange,
    read: &'a mut Physical<'b>,
    go_on: &'a mut dyn FnMut(usize) -> bool,
    found: &'a mut Mappings,
    levels: u32,
}

impl Search<'_, '_> {
    /// The table of a level, whose first entry maps `start`.
    fn table(&mut self, table: PhysAddr, level: u32, start: u64, access: Access) {
        if self.found.cut || !(self.go_on)(self.found.tables_read) {
            self.found.cut = true;
            return;
        }
        self.found.tables_read += 1;
        let mut bytes = vec![0; 4096];
        if !(self.read)(table, &mut bytes) {
            self.found.unreadable.push(table);
            return;
        }
        for (index, entry) in (0_u64..).zip(bytes.chunks_exact(8)) {
            let entry = entry.try_into().map_or(0, u64::from_le_bytes);
            if entry & PRESENT == 0 {
                continue;
            }
            let low = start | index << shift(level);
            let low = match level + 1 == self.levels && index >= 256 {
                // The upper half's addresses carry the sign on.
                true => low | u64::MAX << shift(self.levels),
                false => low,
            };
            // The last page ends beyond the last address; it is never mapped in Linux.
            let high = low.saturating_add(1 << shift(level));
            if Addr(high) <= self.range.start || Addr(low) >= self.range.end {
                continue;
            }
            let access = access.and(entry);
            if is_page(entry, level) {
                self.add(Run {
                    range: AddrRange::new(Addr(low), Addr(high)),
                    access,
                    size: PageSize::at(level),
                    accessed: entry & ACCESSED != 0,
                    dirty: entry & DIRTY != 0,
                });
            } else {
                self.table(PhysAddr(entry & FRAME), level - 1, low, access);
            }
        }
    }

    fn add(&mut self, run: Run) {
        let (range, access) = (run.range, run.access);
        match self.found.ranges.last_mut() {
            Some(last) if last.range.end == range.start && last.access == access => {
                last.range.end = range.end;
            }
            _ => self.found.ranges.push(Mapped { range, access }),
        }
        match self.found.runs.last_mut() {
            Some(last) if last.range.end == range.start && Run { range, ..*last } == run => {
                last.range.end = range.end;
            }
            _ => self.found.runs.push(run),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// pgd at 0x1000 → pud at 0x2000 → pmd at 0x3000 → pte at 0x4000, and a large page.
    fn tables() -> HashMap<u64, u64> {
        HashMap::from([
            (0x1000 + 511 * 8, 0x2000 | PRESENT | WRITE | USER),
            (0x2000 + 510 * 8, 0x3000 | PRESENT | WRITE | USER),
            (0x3000 + 8 * 8, 0x4000 | PRESENT | WRITE),
            (
                0x3000 + 9 * 8,
                0x60_0000 | PRESENT | WRITE | LARGE | NO_EXECUTE | DIRTY,
            ),
            (0x4000, 0x7000 | PRESENT | ACCESSED),
            (0x4000 + 8, 0x9000 | PRESENT),
            (0x4000 + 2 * 8, 0xa000 | PRESENT | WRITE),
        ])
    }

    fn read(tables: &HashMap<u64, u64>) -> impl FnMut(PhysAddr, &mut [u8]) -> bool {
        move |at, buffer| {
            for (i, chunk) in (0..).zip(buffer.chunks_mut(8)) {
                let entry = tables.get(&(at.0 + i * 8)).copied().unwrap_or(0);
                chunk.copy_from_slice(&entry.to_le_bytes());
            }
            at.0 < 0x10_0000
        }
    }

    const ROOT: Root = Root {
        table: PhysAddr(0x1000),
        levels: 4,
    };

    #[test]
    fn an_address_is_followed_to_its_page() {
        let tables = tables();
        let found = walk(ROOT, Addr(0xffff_ffff_8100_0123), &mut read(&tables)).unwrap();
        assert_eq!(found.physical, Some(PhysAddr(0x7123)));
        assert_eq!(found.access.unwrap().text(), "r-x");
        let levels: Vec<_> = found.entries.iter().map(|e| (e.level, e.index)).collect();
        assert_eq!(levels, [("pgd", 511), ("pud", 510), ("pmd", 8), ("pte", 0)]);
        assert_eq!(
            found.entries[3].meaning,
            "present, read-only, supervisor, accessed, 4 KiB page"
        );
        let found = walk(ROOT, Addr(0xffff_ffff_8120_1234), &mut read(&tables)).unwrap();
        assert_eq!(found.physical, Some(PhysAddr(0x60_1234)));
        for addr in [0xffff_ffff_8120_1234, 0xffff_ffff_8100_0123, 0x1000] {
            let found = walk(ROOT, Addr(addr), &mut read(&tables)).unwrap();
            let short = translate(ROOT, Addr(addr), &mut read(&tables));
            assert_eq!(short, found.physical, "{addr:#x}");
        }
        assert_eq!(found.access.unwrap().text(), "rw-");
    }

    #[test]
    fn an_unmapped_address_ends_where_it_is_said() {
        let tables = tables();
        let found = walk(ROOT, Addr(0x1000), &mut read(&tables)).unwrap();
        assert_eq!((found.entries.len(), found.physical), (1, None));
        assert_eq!(found.entries[0].meaning, "empty");
    }

    #[test]
    fn neighbours_of_equal_access_are_one() {
        let tables = tables();
        let all = AddrRange::new(Addr(0), Addr(u64::MAX));
        let found = mapped(ROOT, all, &mut read(&tables), &mut |_| true);
        let ranges: Vec<_> = found
            .ranges
            .iter()
            .map(|m| (m.range.start.0, m.range.end.0, m.access.text()))
            .collect();
        assert_eq!(
            ranges,
            [
                (
                    0xffff_ffff_8100_0000,
                    0xffff_ffff_8100_2000,
                    "r-x".to_owned()
                ),
                (
                    0xffff_ffff_8100_2000,
                    0xffff_ffff_8100_3000,
                    "rwx".to_owned()
                ),
                (
                    0xffff_ffff_8120_0000,
                    0xffff_ffff_8140_0000,
                    "rw-".to_owned()
                ),
            ]
        );
        assert_eq!((found.tables_read, found.cut), (4, false));
        let there = found.resident(all);
        assert_eq!((there.bytes, there.dirty), (0x20_3000, 0x20_0000));
        assert_eq!((there.accessed, there.large), (0x1000, 1));
        let found = mapped(ROOT, all, &mut read(&tables), &mut |read| read < 2);
        assert!(found.cut && found.ranges.is_empty());
    }

    #[test]
    fn tables_in_a_circle_end() {
        let mut tables = tables();
        tables.insert(0x4000, 0x1000 | PRESENT);
        let found = walk(ROOT, Addr(0xffff_ffff_8100_0000), &mut read(&tables)).unwrap();
        assert_eq!(found.entries.len(), 4);
    }

    #[test]
    fn without_paging_there_is_no_root() {
        assert!(Root::of(0, 0x1000, 0).is_err());
        let root = Root::of(1 << 31, 0x1fff, 1 << 12).unwrap();
        assert_eq!((root.table, root.levels), (PhysAddr(0x1000), 5));
    }
}
