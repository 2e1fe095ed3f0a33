//! The symbol table: by address and by name, with homonyms, parts and inferred sizes.

use std::cell::OnceCell;

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, SymbolFlags, SymbolKind};

use super::by_name::ByName;
use crate::addr::{Addr, AddrRange, Slide};

/// What kind of thing a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Function,
    Data,
    /// A place in code without a type of its own: the labels inside assembly.
    Label,
    /// An offset into each CPU's area, not an address.
    PerCpu,
    /// A number, not an address.
    Absolute,
    /// An offset into each thread's storage.
    ThreadLocal,
}

impl Kind {
    /// Whether the symbol's value is an address of the one address space.
    #[must_use]
    pub const fn is_address(self) -> bool {
        matches!(self, Self::Function | Self::Data | Self::Label)
    }

    #[must_use]
    pub const fn is_code(self) -> bool {
        matches!(self, Self::Function | Self::Label)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) addr: u64,
    /// From the table, or up to the next symbol of the section where the table says 0.
    pub(super) size: u64,
    pub(super) inferred: bool,
    pub(super) kind: Kind,
    pub(super) global: bool,
    /// The source file's base name, for local symbols that follow one.
    pub(super) file: Option<&'static str>,
    section: u32,
}

/// What a section says of the symbols in it.
#[derive(Clone, Copy)]
struct Place {
    end: u64,
    per_cpu: bool,
    code: bool,
}

/// A symbol of which no size is known.
pub(super) struct Bare {
    pub(super) name: &'static str,
    pub(super) addr: u64,
    pub(super) kind: Kind,
    pub(super) global: bool,
    /// Symbols of one section follow one another.
    pub(super) section: u32,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    /// Sorted by address, the name to show first among equals; what is no address comes in `others`.
    entries: Vec<Entry>,
    others: Vec<Entry>,
    /// The furthest end of any entry up to and including this one: bounds the search to the left.
    reach: Vec<u64>,
    by_name: OnceCell<ByName>,
    /// Names that are not UTF-8, left out.
    pub(super) unreadable: usize,
}

impl Table {
    pub(super) fn read(elf: &ElfFile64<'static, LittleEndian, &'static [u8]>) -> Self {
        let mut table = Self::default();
        // By number, as symbols name them.
        let mut sections: Vec<Option<Place>> = Vec::new();
        for section in elf.sections() {
            let number = section.index().0;
            if sections.len() <= number {
                sections.resize(number + 1, None);
            }
            sections[number] = Some(Place {
                end: section.address().saturating_add(section.size()),
                per_cpu: section.name() == Ok(".data..percpu"),
                code: section.kind() == object::SectionKind::Text,
            });
        }
        let section_of = |index: usize| sections.get(index).copied().flatten();
        let mut file = None;
        for symbol in elf.symbols() {
            let Ok(name) = symbol.name() else {
                table.unreadable += 1;
                continue;
            };
            if symbol.kind() == SymbolKind::File {
                file = Some(name);
                continue;
            }
            if symbol.is_undefined() || symbol.kind() == SymbolKind::Section || name.is_empty() {
                continue;
            }
            let section = symbol.section_index();
            let found = section.and_then(|section| section_of(section.0));
            let kind = match (symbol.kind(), found) {
                (SymbolKind::Tls, _) => Kind::ThreadLocal,
                (_, None) => Kind::Absolute,
                (_, Some(place)) if place.per_cpu => Kind::PerCpu,
                (SymbolKind::Text, Some(_)) if elf_type(&symbol) != 0 => Kind::Function,
                (_, Some(place)) if place.code && elf_type(&symbol) == 0 => Kind::Label,
                (SymbolKind::Text, Some(_)) => Kind::Label,
                _ => Kind::Data,
            };
            let entry = Entry {
                name,
                addr: symbol.address(),
                size: symbol.size(),
                inferred: false,
                kind,
                global: symbol.is_global(),
                file: if symbol.is_local() { file } else { None },
                section: section.map_or(u32::MAX, |s| u32::try_from(s.0).unwrap_or(u32::MAX)),
            };
            if kind.is_address() {
                table.entries.push(entry);
            } else {
                table.others.push(entry);
            }
        }
        table.sort();
        table.infer_sizes(|section| section_of(section as usize).map_or(0, |place| place.end));
        table
    }

    /// Of symbols without sizes. `section_end` tells where a section ends.
    pub(super) fn of(
        symbols: impl Iterator<Item = Bare>,
        section_end: impl Fn(u32) -> u64,
    ) -> Self {
        let mut table = Self::default();
        for bare in symbols.filter(|bare| !bare.name.is_empty()) {
            let entry = Entry {
                name: bare.name,
                addr: bare.addr,
                size: 0,
                inferred: false,
                kind: bare.kind,
                global: bare.global,
                file: None,
                section: bare.section,
            };
            match bare.kind.is_address() {
                true => table.entries.push(entry),
                false => table.others.push(entry),
            }
        }
        table.sort();
        table.infer_sizes(section_end);
        table
    }

    /// Adds to every address; the order is kept, as all of a kernel lies in one half.
    pub(super) fn move_by(&mut self, slide: Slide) {
        for entry in &mut self.entries {
            entry.addr = slide.moved(Addr(entry.addr)).0;
        }
        for reach in &mut self.reach {
            *reach = slide.moved(Addr(*reach)).0;
        }
    }

    fn sort(&mut self) {
        // Places are sorted, not entries, which are large.
        let numbered = self.entries.iter().enumerate();
        let mut order: Vec<(u64, usize)> = numbered.map(|(i, entry)| (entry.addr, i)).collect();
        order.sort_unstable();
        let place = |(_, i): &(u64, usize)| self.entries[*i];
        let mut sorted: Vec<Entry> = order.iter().map(place).collect();
        for group in sorted.chunk_by_mut(|a, b| a.addr == b.addr) {
            if group.len() > 1 {
                group.sort_by(|a, b| (rank(a), a.name).cmp(&(rank(b), b.name)));
            }
        }
        self.entries = sorted;
    }

    fn infer_sizes(&mut self, section_end: impl Fn(u32) -> u64) {
        let mut next: Option<(u64, u32)> = None;
        let mut group_end = self.entries.len();
        while group_end > 0 {
            let addr = self.entries[group_end - 1].addr;
            let same = self.entries[..group_end].iter().rev();
            let first = group_end - same.take_while(|e| e.addr == addr).count();
            for entry in &mut self.entries[first..group_end] {
                if entry.size == 0 {
                    let end = match next {
                        Some((next_addr, section)) if section == entry.section => next_addr,
                        _ => section_end(entry.section),
                    };
                    entry.size = end.saturating_sub(addr);
                    entry.inferred = true;
                }
            }
            next = Some((addr, self.entries[first].section));
            group_end = first;
        }
        let mut furthest = 0;
        self.reach = self
            .entries
            .iter()
            .map(|entry| {
                if !entry.inferred {
                    furthest = furthest.max(entry.addr.saturating_add(entry.size));
                }
                furthest
            })
            .collect();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What to call an address: a symbol that starts there, else the innermost that covers it by a
    /// size of its own, else the last one before it whose size was inferred.
    pub(super) fn at(&self, addr: u64) -> Option<&Entry> {
        let after = self.entries.partition_point(|e| e.addr <= addr);
        let last = self.entries.get(after.checked_sub(1)?)?;
        let first = self.entries[..after].partition_point(|e| e.addr < last.addr);
        if last.addr == addr {
            return self.entries.get(first);
        }
        let mut i = after;
        while i > 0 && self.reach[i - 1] > addr {
            i -= 1;
            let entry = &self.entries[i];
            if !entry.inferred && addr - entry.addr < entry.size {
                let same = self.entries[..=i].partition_point(|e| e.addr < entry.addr);
                let covers = |e: &&Entry| !e.inferred && addr - e.addr < e.size;
                return self.entries[same..=i].iter().find(covers);
            }
        }
        let covers = |e: &&Entry| addr - e.addr < e.size;
        self.entries[first..after].iter().find(covers)
    }

    /// Every symbol of this name, by address; those that are no addresses last.
    pub(super) fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Entry> {
        let by_name = self.by_name.get_or_init(|| {
            let names: Vec<&str> = self.iter().map(|entry| entry.name).collect();
            ByName::of(names.into_iter())
        });
        by_name
            .like(name)
            .map(|i| self.nth(i))
            .filter(move |entry| entry.name == name)
    }

    /// Every symbol whose name begins so, by name.
    pub(super) fn prefixed(&self, prefix: &str) -> impl Iterator<Item = &Entry> {
        let all = self.iter().filter(|entry| entry.name.starts_with(prefix));
        let mut found: Vec<&Entry> = all.collect();
        found.sort_by_key(|entry| entry.name);
        found.into_iter()
    }

    /// By address; those that are no addresses last.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().chain(&self.others)
    }

    /// The entries that start in a range, by address.
    pub(super) fn starting_in(&self, range: AddrRange) -> &[Entry] {
        let first = self.entries.partition_point(|e| e.addr < range.start.0);
        let end = self.entries.partition_point(|e| e.addr < range.end.0);
        &self.entries[first..end.max(first)]
    }

    /// The per-CPU variable that covers an offset into the CPU's area.
    pub(super) fn per_cpu(&self, offset: u64) -> Option<&Entry> {
        let mut found = self.others.iter().filter(|e| e.kind == Kind::PerCpu);
        found.find(|e| offset >= e.addr && offset - e.addr < e.size.max(1))
    }

    fn nth(&self, i: u32) -> &Entry {
        let i = i as usize;
        self.entries
            .get(i)
            .unwrap_or_else(|| &self.others[i - self.entries.len()])
    }
}

impl Entry {
    pub(super) fn range(&self) -> AddrRange {
        let end = self.addr.saturating_add(self.size);
        AddrRange::new(Addr(self.addr), Addr(end))
    }
}

/// Of symbols at one address the first is shown: functions and data before labels, global before
/// local, the name a C programmer would write before its underscored and sized aliases.
fn rank(entry: &Entry) -> (Kind, bool, usize, bool, usize) {
    let underscores = entry.name.len() - entry.name.trim_start_matches('_').len();
    (
        entry.kind,
        !entry.global,
        underscores,
        entry.name.starts_with("dummy"),
        entry.name.len(),
    )
}

/// `st_type`: 0 where the assembler was told nothing.
fn elf_type<'a>(symbol: &impl ObjectSymbol<'a>) -> u8 {
    match symbol.flags() {
        SymbolFlags::Elf { st_info, .. } => st_info.0 & 0xf,
        _ => 0,
    }
}

/// The name a compiler's part was cut from: `foo` of `foo.cold`, `foo.isra.0`, `foo.part.0.cold`.
#[must_use]
pub fn stem(name: &str) -> &str {
    const PARTS: [&str; 5] = [".cold", ".isra.", ".part.", ".constprop.", ".llvm."];
    let cut = PARTS.iter().filter_map(|part| name.find(part)).min();
    match cut {
        Some(cut) if cut > 0 => &name[..cut],
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &'static str, addr: u64, size: u64, kind: Kind) -> Entry {
        Entry {
            name,
            addr,
            size,
            inferred: false,
            kind,
            global: true,
            file: None,
            section: 1,
        }
    }

    fn table(entries: Vec<Entry>) -> Table {
        let mut table = Table {
            entries,
            ..Table::default()
        };
        table.sort();
        table.infer_sizes(|_| 0x2000);
        table
    }

    #[test]
    fn an_address_is_named_by_what_covers_it() {
        let table = table(vec![
            entry("entry", 0x1000, 0x100, Kind::Function),
            entry("entry_inner", 0x1020, 0, Kind::Label),
            entry("asm_next", 0x1100, 0, Kind::Label),
            entry("asm_last", 0x1180, 0, Kind::Label),
        ]);
        let at = |addr| table.at(addr).map(|e| e.name);
        assert_eq!(at(0xfff), None);
        assert_eq!(at(0x1000), Some("entry"));
        assert_eq!(at(0x1020), Some("entry_inner"));
        assert_eq!(at(0x1021), Some("entry"));
        assert_eq!(at(0x10ff), Some("entry"));
        assert_eq!(at(0x1101), Some("asm_next"));
        assert_eq!(at(0x1fff), Some("asm_last"));
        assert_eq!(at(0x2000), None);
    }

    #[test]
    fn aliases_show_the_plain_name() {
        let table = table(vec![
            entry("__memcpy", 0x1000, 0x10, Kind::Function),
            entry("memcpy", 0x1000, 0x10, Kind::Function),
            entry("memcpy_label", 0x1000, 0, Kind::Label),
        ]);
        assert_eq!(table.at(0x1000).unwrap().name, "memcpy");
        assert_eq!(table.at(0x1008).unwrap().name, "memcpy");
    }

    #[test]
    fn homonyms_all_come() {
        let table = table(vec![
            entry("write", 0x1000, 0x10, Kind::Function),
            entry("write", 0x1800, 0x10, Kind::Function),
            entry("writes", 0x1900, 0x10, Kind::Function),
        ]);
        let found: Vec<_> = table.named("write").map(|e| e.addr).collect();
        assert_eq!(found, [0x1000, 0x1800]);
        assert_eq!(table.prefixed("write").count(), 3);
        assert_eq!(table.named("writ").count(), 0);
    }

    #[test]
    fn parts_know_their_function() {
        assert_eq!(stem("tcp_push.cold"), "tcp_push");
        assert_eq!(stem("pad.part.0"), "pad");
        assert_eq!(stem("a.isra.0.cold"), "a");
        assert_eq!(stem(".cold"), ".cold");
        assert_eq!(stem("v.0"), "v.0");
    }
}
