//! Source lines: of an address, of a function's inlined calls, and from a line to its addresses.

use gimli::{EndianSlice, LittleEndian};

use super::Symbols;
use super::image::{Image, Slice};
use super::units::{join, string};
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
        let Some(context) = self.image(addr).and_then(Image::context) else {
            return (None, None);
        };
        match context.find_location(addr.0) {
            Ok(Some(location)) => (
                location.file.map(|file| self.shown_path(&join("", file))),
                location.line,
            ),
            _ => (None, None),
        }
    }

    /// Never empty where a symbol is known: without DWARF it is the symbol alone.
    #[must_use]
    pub fn frames(&self, addr: Addr) -> Vec<InlineFrame> {
        let mut frames = self.dwarf_frames(addr);
        if let Some(last) = frames.last_mut() {
            last.inlined = false;
            last.origin = self.origin(addr);
        } else if let Some(symbol) = self.at(addr) {
            let (file, line) = self.line(addr);
            frames.push(InlineFrame {
                function: symbol.name.to_owned(),
                file,
                line,
                inlined: false,
                origin: symbol.origin,
            });
        }
        frames
    }

    fn dwarf_frames(&self, addr: Addr) -> Vec<InlineFrame> {
        let mut frames = Vec::new();
        let Some(context) = self.image(addr).and_then(Image::context) else {
            return frames;
        };
        let Ok(mut found) = context.find_frames(addr.0).skip_all_loads() else {
            return frames;
        };
        let whole = self.origin(addr);
        while let Ok(Some(frame)) = found.next() {
            let Some(function) = &frame.function else {
                continue;
            };
            let Ok(name) = function.demangle() else {
                continue;
            };
            let location = frame.location.as_ref();
            let file = location
                .and_then(|l| l.file)
                .map(|file| self.shown_path(&join("", file)));
            frames.push(InlineFrame {
                function: name.into_owned(),
                line: location.and_then(|l| l.line),
                file,
                inlined: true,
                origin: whole,
            });
        }
        frames
    }

    /// The statements that begin at a line, ascending. `file` is the end of a path, whole steps:
    /// `tcp.c` and `ipv4/tcp.c`, not `cp.c`. Where the line has no code, the next that has one.
    #[must_use]
    pub fn line_addresses(&self, file: &str, line: u32) -> Vec<Addr> {
        let mut best: Option<(u64, Vec<Addr>)> = None;
        for image in self.images() {
            each_row(image, file, |row_line, addr, begins| {
                if row_line < u64::from(line) || !begins {
                    return;
                }
                match &mut best {
                    Some((found, addrs)) if *found == row_line => addrs.push(addr),
                    Some((found, _)) if *found < row_line => {}
                    _ => best = Some((row_line, vec![addr])),
                }
            });
        }
        let mut addrs = best.map(|(_, addrs)| addrs).unwrap_or_default();
        addrs.sort();
        addrs.dedup();
        addrs
    }

    /// The addresses around this one that belong to the same line, without a gap.
    #[must_use]
    pub fn line_range(&self, addr: Addr) -> Option<AddrRange> {
        let context = self.image(addr).and_then(Image::context)?;
        let function = self.at(addr)?;
        let (start, end) = (
            function.addr.0,
            function.addr.0.saturating_add(function.size.max(1)),
        );
        let rows = context
            .find_location_range(start, end.max(addr.0.saturating_add(1)))
            .ok()?;
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

    /// The source files whose path ends so, each once.
    #[must_use]
    pub fn files(&self, end: &str) -> Vec<String> {
        let mut files = Vec::new();
        for image in self.images() {
            for unit in &image.units().list {
                let path = self.shown_path(&join(unit.folder, unit.name));
                if ends_with_steps(&path, end) && !files.contains(&path) {
                    files.push(path);
                }
            }
        }
        files
    }
}

/// Calls `each(line, address, begins a statement)` for the rows of files whose path ends so.
fn each_row(image: &Image, end: &str, mut each: impl FnMut(u64, Addr, bool)) {
    let dwarf = image.dwarf();
    for unit in &image.units().list {
        let Some(unit) = unit.header.and_then(|header| dwarf.unit(header).ok()) else {
            continue;
        };
        let Some(program) = unit.line_program.clone() else {
            continue;
        };
        let wanted = wanted_files(dwarf, &unit, program.header(), end);
        if wanted.is_empty() {
            continue;
        }
        let mut rows = program.rows();
        let mut before = None;
        while let Ok(Some((_, row))) = rows.next_row() {
            if row.end_sequence() {
                before = None;
                continue;
            }
            let line = row.line().map_or(0, std::num::NonZero::get);
            let here = (row.file_index(), line);
            if wanted.contains(&here.0) && row.address() != 0 {
                let begins = row.is_stmt() && before != Some(here);
                each(line, Addr(row.address()), begins);
            }
            before = Some(here);
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
    let folder = unit
        .comp_dir
        .and_then(|s| std::str::from_utf8(s.slice()).ok())
        .unwrap_or("");
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
    fn a_file_is_named_by_the_end_of_its_path() {
        assert!(ends_with_steps("net/ipv4/tcp.c", "tcp.c"));
        assert!(ends_with_steps("net/ipv4/tcp.c", "ipv4/tcp.c"));
        assert!(ends_with_steps("net/ipv4/tcp.c", "net/ipv4/tcp.c"));
        assert!(!ends_with_steps("net/ipv4/tcp.c", "cp.c"));
    }
}
