//! Source lines: of an address, of a function's inlined calls, and from a line to its addresses.

use std::collections::{BTreeMap, BTreeSet};

use addr2line::Context;
use gimli::{EndianSlice, LittleEndian};
use rayon::prelude::*;

use super::Symbols;
use super::contexts::{context_of, refers_to_others};
use super::dies::Die;
use super::image::{Image, Slice};
use super::index::File;
use super::units::{join, string, text as text_of};
use crate::addr::{Addr, AddrRange};
use crate::origin::Origin;

/// An address and what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceData {
    pub addr: Addr,
    pub symbol: Option<String>,
    /// Bytes from the symbol's start.
    pub offset: u64,
    pub origin: Origin,
    /// Relative to the kernel's tree for its files, else as compiled.
    pub file: Option<String>,
    pub line: Option<u32>,
}

/// A row of the line table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRow {
    /// 0 where the code comes from no line.
    pub line: u32,
    /// Recommended as a place for a breakpoint.
    pub begins_statement: bool,
}

/// A function at an address: the innermost inlined one first, the real one last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineFrame {
    pub function: String,
    pub file: Option<String>,
    pub line: Option<u32>,
    /// Inlined into the next one.
    pub inlined: bool,
    /// Of the code it is inlined into.
    pub origin: Origin,
}

impl Symbols {
    /// What is known of an address. For a return address ask for one byte less and put the
    /// address back: the line is then the call's.
    #[must_use]
    pub fn place(&self, addr: Addr) -> PlaceData {
        let symbol = self.at(addr);
        let (file, line) = self.line(addr);
        PlaceData {
            addr,
            symbol: symbol.map(|s| s.name.to_owned()),
            offset: symbol.map_or(0, |s| addr - s.addr),
            origin: self.origin(addr),
            file,
            line,
        }
    }

    fn line(&self, addr: Addr) -> (Option<String>, Option<u32>) {
        let image = self.image(addr);
        let found = image.and_then(|image| {
            image.ask_lines(addr, |context, addr| match context.find_location(addr.0) {
                Ok(Some(location)) => (
                    location.file.map(|file| self.shown_path(&join("", file))),
                    location.line,
                ),
                _ => (None, None),
            })
        });
        found.unwrap_or((None, None))
    }

    /// Never empty where a symbol is known: without DWARF it is the symbol alone.
    #[must_use]
    pub fn frames(&self, addr: Addr) -> Vec<InlineFrame> {
        let mut frames = self.dwarf_frames(addr);
        self.complete(&mut frames, addr);
        frames
    }

    /// Marks the real function; without DWARF it is the symbol alone.
    fn complete(&self, frames: &mut Vec<InlineFrame>, addr: Addr) {
        if frames.is_empty() {
            frames.extend(self.symbol_frame(addr));
            return;
        }
        let origin = self.origin(addr);
        for frame in frames.iter_mut() {
            frame.origin = origin;
        }
        if let Some(last) = frames.last_mut() {
            last.inlined = false;
        }
    }

    fn symbol_frame(&self, addr: Addr) -> Option<InlineFrame> {
        let symbol = self.at(addr)?;
        let (file, line) = self.line(addr);
        Some(InlineFrame {
            function: symbol.name.to_owned(),
            file,
            line,
            inlined: false,
            origin: symbol.origin,
        })
    }

    fn dwarf_frames(&self, addr: Addr) -> Vec<InlineFrame> {
        let image = self.image(addr);
        let found = image.and_then(|image| {
            image.ask_lines(addr, |context, addr| {
                inline_frames(context, addr, |path| self.shown_path(path))
            })
        });
        found.unwrap_or_default()
    }

    /// The frames of many addresses, in their order: unit by unit in several threads, of which each
    /// forgets a unit when it is done with it.
    #[must_use]
    pub fn frames_of(&self, addrs: &[Addr]) -> Vec<Vec<InlineFrame>> {
        let mut frames = vec![Vec::new(); addrs.len()];
        for image in self.images() {
            // By unit: which of the addresses lie in it.
            let mut by_unit: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
            for (which, addr) in addrs.iter().enumerate() {
                if self.image(*addr).is_some_and(|of| std::ptr::eq(of, image))
                    && let Some(unit) = image.units().number_at(*addr)
                {
                    by_unit.entry(unit).or_default().push(which);
                }
            }
            let work: Vec<_> = by_unit
                .into_iter()
                .filter_map(|(unit, which)| {
                    let unit = image.units().list.get(unit as usize)?;
                    Some((unit.header, which))
                })
                .collect();
            let (dwarf, shown, slide) = (image.dwarf(), self.shown_paths(), image.slide);
            let answer = |(header, which): &(gimli::UnitHeader<Slice>, Vec<usize>)| {
                let own = refers_to_others(dwarf, header) == Some(false);
                let context = own.then(|| context_of(dwarf, header)).flatten();
                let of = |which: &usize| {
                    let addr = slide.linked(addrs[*which]);
                    Some(inline_frames(context.as_ref()?, addr, &shown))
                };
                which.iter().map(of).collect::<Vec<_>>()
            };
            let found: Vec<_> = work.par_iter().map(answer).collect();
            for ((_, which), found) in work.iter().zip(found) {
                for (which, found) in which.iter().zip(found) {
                    // A unit that cannot be read by itself is asked with the others.
                    frames[*which] = found.unwrap_or_else(|| self.dwarf_frames(addrs[*which]));
                }
            }
        }
        for (frames, addr) in frames.iter_mut().zip(addrs) {
            self.complete(frames, *addr);
        }
        frames
    }

    /// The statements that begin at a line, ascending. `file` is the end of a path, whole steps:
    /// `tcp.c` and `ipv4/tcp.c`, not `cp.c`. Where the line has no code, the next that has one.
    #[must_use]
    pub fn line_addresses(&self, file: &str, line: u32) -> Vec<Addr> {
        let line = u64::from(line);
        let mut best: Option<(u64, Vec<Addr>)> = None;
        for image in self.images() {
            for (found, addrs) in self.statements(image, file, line) {
                match &mut best {
                    Some((so_far, all)) if *so_far == found => all.extend(addrs),
                    Some((so_far, _)) if *so_far < found => {}
                    _ => best = Some((found, addrs)),
                }
            }
        }
        let mut addrs = best.map(|(_, addrs)| addrs).unwrap_or_default();
        addrs.sort();
        addrs.dedup();
        addrs
    }

    /// Of each unit that has lines of such a file: the first line with code from this one on, and
    /// where its statements begin.
    fn statements(&self, image: &Image, file: &str, line: u64) -> Vec<(u64, Vec<Addr>)> {
        let named = image.files().iter().filter(|of| of.is_named(file));
        let units: BTreeSet<u32> = named.flat_map(|of| &of.units).copied().collect();
        let list = &image.units().list;
        let headers: Vec<_> = units
            .iter()
            .filter_map(|unit| list.get(*unit as usize))
            .map(|unit| unit.header)
            .collect();
        let (dwarf, slide) = (image.dwarf(), image.slide);
        let first_from = |header: &gimli::UnitHeader<Slice>| {
            let mut best: Option<(u64, Vec<(Addr, Begins)>)> = None;
            each_row(dwarf, header, file, |row_line, addr, begins| {
                if row_line < line || begins == Begins::Not {
                    return;
                }
                let place = (slide.moved(addr), begins);
                match &mut best {
                    Some((found, places)) if *found == row_line => places.push(place),
                    Some((found, _)) if *found < row_line => {}
                    _ => best = Some((row_line, vec![place])),
                }
            });
            let (found, places) = best?;
            let with = |how| {
                let of = places.iter().filter(move |(_, begins)| *begins == how);
                of.map(|(addr, _)| *addr).collect::<Vec<_>>()
            };
            let first = with(Begins::First);
            Some((
                found,
                if first.is_empty() {
                    with(Begins::Late)
                } else {
                    first
                },
            ))
        };
        headers.par_iter().filter_map(first_from).collect()
    }

    /// The rows that begin where the one begins that holds at this address, in their order: it is the
    /// last of them, and the others hold nowhere.
    #[must_use]
    pub fn line_rows(&self, addr: Addr) -> Vec<LineRow> {
        let found = self.image(addr).and_then(|image| {
            let number = image.units().number_at(addr)?;
            let unit = image.unit(number)?;
            Some((unit.line_program.clone()?, image.slide.linked(addr).0))
        });
        let Some((program, addr)) = found else {
            return Vec::new();
        };
        let mut rows = program.rows();
        let (mut at, mut same) = (None, Vec::new());
        while let Ok(Some((_, row))) = rows.next_row() {
            if at.is_some_and(|at| at <= addr && addr < row.address()) {
                return same;
            }
            if at != Some(row.address()) {
                same.clear();
            }
            at = (!row.end_sequence()).then(|| row.address());
            let line = row.line().map_or(0, std::num::NonZero::get);
            same.push(LineRow {
                line: u32::try_from(line).unwrap_or(u32::MAX),
                begins_statement: row.is_stmt(),
            });
        }
        Vec::new()
    }

    /// The file an entry says it is declared in.
    pub(super) fn declared_in(&self, die: &Die<'_>) -> Option<String> {
        let number = match die.own(gimli::DW_AT_decl_file)? {
            gimli::AttributeValue::FileIndex(number) => number,
            other => other.udata_value()?,
        };
        let header = die.unit.line_program.as_ref()?.header();
        let file = header.file(number)?;
        let text = |value| string(die.image.dwarf(), die.unit, Some(value));
        let folder = text(file.directory(header)?);
        let built = text_of(die.unit.comp_dir);
        let path = join(&join(built, folder), text(file.path_name()));
        Some(self.shown_path(&path))
    }

    /// The addresses around this one that belong to the same line, without a gap.
    #[must_use]
    pub fn line_range(&self, addr: Addr) -> Option<AddrRange> {
        let function = self.at(addr)?;
        let start = function.addr.0;
        let end = start.saturating_add(function.size.max(1));
        let end = end.max(addr.0.saturating_add(1));
        let image = self.image(addr)?;
        let (start, end) = (
            image.slide.linked(Addr(start)).0,
            image.slide.linked(Addr(end)).0,
        );
        let range =
            image.ask_lines(addr, |context, addr| same_line(context, start, end, addr))??;
        let moved = |addr| image.slide.moved(addr);
        Some(AddrRange::new(moved(range.start), moved(range.end)))
    }

    /// The source files whose path ends so, each once.
    #[must_use]
    pub fn files(&self, end: &str) -> Vec<String> {
        let mut files = BTreeSet::new();
        for image in self.images() {
            let named = image.files().iter().filter(|file| file.is_named(end));
            files.extend(named.map(|file| self.shown_path(&file.path())));
        }
        files.into_iter().collect()
    }
}

impl File {
    /// As compiled, without detours.
    pub(super) fn path(&self) -> String {
        join(&join(self.compiled_in, self.folder), self.name)
    }

    fn is_named(&self, end: &str) -> bool {
        let base = end.rsplit_once('/').map_or(end, |(_, base)| base);
        self.name.ends_with(base) && ends_with_steps(&self.path(), end)
    }
}

/// Innermost first. All but the last are inlined; their origin is not told here.
fn inline_frames(
    context: &Context<Slice>,
    addr: Addr,
    shown: impl Fn(&str) -> String,
) -> Vec<InlineFrame> {
    let mut frames = Vec::new();
    let Ok(mut found) = context.find_frames(addr.0).skip_all_loads() else {
        return frames;
    };
    while let Ok(Some(frame)) = found.next() {
        let Some(function) = &frame.function else {
            continue;
        };
        let Ok(name) = function.demangle() else {
            continue;
        };
        let location = frame.location.as_ref();
        let file = location.and_then(|location| location.file);
        frames.push(InlineFrame {
            function: name.into_owned(),
            line: location.and_then(|location| location.line),
            file: file.map(|file| shown(&join("", file))),
            inlined: true,
            origin: Origin::Unknown,
        });
    }
    frames
}

fn same_line(context: &Context<Slice>, start: u64, end: u64, addr: Addr) -> Option<AddrRange> {
    let rows = context.find_location_range(start, end).ok()?;
    let mut current: Option<(AddrRange, Option<&str>, Option<u32>)> = None;
    for (start, len, location) in rows {
        let range = AddrRange::new(Addr(start), Addr(start.saturating_add(len)));
        match &mut current {
            Some((so_far, file, line))
                if so_far.end == range.start
                    && *file == location.file
                    && *line == location.line =>
            {
                so_far.end = range.end;
            }
            Some((so_far, ..)) if so_far.contains(addr) => break,
            _ => current = Some((range, location.file, location.line)),
        }
    }
    let range = current.map(|(range, ..)| range)?;
    range.contains(addr).then_some(range)
}

/// Calls `each(line, address, whether a statement begins)` for a unit's rows of files whose path ends so.
fn each_row(
    dwarf: &gimli::Dwarf<Slice>,
    header: &gimli::UnitHeader<Slice>,
    end: &str,
    mut each: impl FnMut(u64, Addr, Begins),
) {
    let Some(unit) = dwarf.unit(*header).ok() else {
        return;
    };
    let Some(program) = unit.line_program.clone() else {
        return;
    };
    let wanted = wanted_files(dwarf, &unit, program.header(), end);
    let mut rows = program.rows();
    let mut statements = Statements::default();
    while let Ok(Some((_, row))) = rows.next_row() {
        if row.end_sequence() {
            statements = Statements::default();
            continue;
        }
        let line = row.line().map_or(0, std::num::NonZero::get);
        let here = (row.file_index(), line);
        let begins = statements.begins(here, row.is_stmt());
        if wanted.contains(&here.0) && row.address() != 0 {
            each(line, Addr(row.address()), begins);
        }
    }
}

/// Whether a row begins the statement of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    Not,
    First,
    /// Behind instructions of the same line: of a line that was begun elsewhere it is the rest.
    Late,
}

/// Tells the rows with which a line's statement begins.
#[derive(Default)]
struct Statements {
    /// File and line of the row before, and of the statement that goes on.
    before: Option<(u64, u64)>,
    begun: Option<(u64, u64)>,
}

impl Statements {
    fn begins(&mut self, here: (u64, u64), is_statement: bool) -> Begins {
        let behind_its_own = self.before.replace(here) == Some(here);
        if self.begun == Some(here) {
            return Begins::Not;
        }
        self.begun = is_statement.then_some(here);
        match (is_statement, behind_its_own) {
            (false, _) => Begins::Not,
            (true, false) => Begins::First,
            (true, true) => Begins::Late,
        }
    }
}

fn wanted_files(
    dwarf: &gimli::Dwarf<Slice>,
    unit: &gimli::Unit<Slice>,
    header: &gimli::LineProgramHeader<EndianSlice<'static, LittleEndian>>,
    end: &str,
) -> Vec<u64> {
    let base = end.rsplit_once('/').map_or(end, |(_, base)| base);
    let folder = text_of(unit.comp_dir);
    let first = if header.version() >= 5 { 0 } else { 1 };
    let mut wanted = Vec::new();
    for (i, file) in header.file_names().iter().enumerate() {
        let name = string(dwarf, unit, Some(file.path_name()));
        if !name.ends_with(base) {
            continue;
        }
        let inner = string(dwarf, unit, file.directory(header));
        let path = join(&join(folder, inner), name);
        if ends_with_steps(&path, end) {
            wanted.push(first + i as u64);
        }
    }
    wanted
}

pub(super) fn ends_with_steps(path: &str, end: &str) -> bool {
    path.strip_suffix(end)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('/') || end.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_begins_once_and_late_behind_what_the_compiler_took_forward() {
        use Begins::{First, Late, Not};
        let begins = |rows: &[(u64, bool)]| {
            let mut statements = Statements::default();
            let begun = rows
                .iter()
                .map(|(line, is)| statements.begins((1, *line), *is));
            begun.collect::<Vec<_>>()
        };
        let (yes, no) = (true, false);
        assert_eq!(
            begins(&[(5, yes), (5, yes), (6, yes), (5, yes)]),
            [First, Not, First, First]
        );
        assert_eq!(begins(&[(5, yes), (5, no), (5, yes)]), [First, Not, Not]);
        assert_eq!(
            begins(&[(5, no), (5, yes), (6, no), (6, no)]),
            [Not, Late, Not, Not]
        );
    }

    #[test]
    fn a_file_is_named_by_the_end_of_its_path() {
        assert!(ends_with_steps("net/ipv4/tcp.c", "tcp.c"));
        assert!(ends_with_steps("net/ipv4/tcp.c", "ipv4/tcp.c"));
        assert!(ends_with_steps("net/ipv4/tcp.c", "net/ipv4/tcp.c"));
        assert!(!ends_with_steps("net/ipv4/tcp.c", "cp.c"));
    }
}
