//! The index of DWARF's names: what stands at the top of every unit, and every source file.
//!
//! All units are looked through once, by as many threads as there are processors. Kept are places, not texts: sixteen bytes for each of the million names of a
//! distribution's kernel. Entries themselves are read when asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::bytes::Bytes;
use super::image::Slice;
use super::scan::{Scan, scan};

/// All that a thread needs to read units; it keeps the file's bytes alive.
pub(super) struct Source {
    pub(super) dwarf: Arc<gimli::Dwarf<Slice>>,
    pub(super) headers: Vec<gimli::UnitHeader<Slice>>,
    pub(super) data: &'static [u8],
    /// What the others are slices of.
    pub(super) _bytes: Arc<Bytes>,
}

/// The making of an index, to be done in a thread beside the one that owns the symbols.
pub struct IndexWork {
    /// Before the bytes it has slices of.
    pub(super) names: Arc<OnceLock<Names>>,
    pub(super) source: Source,
}

impl std::fmt::Debug for IndexWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexWork")
            .field("units", &self.source.headers.len())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(super) struct Names {
    data: &'static [u8],
    /// By the place of the name's text, then by place.
    list: Vec<Named>,
    /// Of each text the first of its entries; a text that lies at several places has several.
    by_text: HashMap<&'static str, Run>,
    /// The further runs of a text.
    more: HashMap<&'static str, Vec<Run>>,
    pub(super) files: Vec<File>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    first: u32,
    count: u32,
}

/// An entry at the top of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    /// Of its name, in the file.
    pub(super) text: u32,
    /// Its own, in `.debug_info`.
    pub(super) entry: u32,
    /// Of a type, bytes: tells most homonyms apart.
    pub(super) size: u32,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum What {
    Variable,
    /// A variable that is defined elsewhere, perhaps by the linker script.
    Declaration,
    Struct,
    Union,
    Enum,
    /// A typedef or a base type: named without a keyword.
    Type,
    /// One with code of its own or always inlined; no declaration.
    Function,
}

/// A source file, and the units whose lines may come from it.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) compiled_in: &'static str,
    pub(super) folder: &'static str,
    pub(super) name: &'static str,
    pub(super) units: Vec<u32>,
}

impl IndexWork {
    /// Whoever asks for a name meanwhile waits until this is done.
    pub fn run(self) {
        self.names.get_or_init(|| self.source.read());
    }
}

impl Source {
    pub(super) fn read(&self) -> Names {
        let next = AtomicUsize::new(0);
        let scans = rayon::broadcast(|_| {
            let mut scanned = Scan::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(header) = self.headers.get(number) else {
                    break;
                };
                // What is damaged is left out.
                let unit = u32::try_from(number).unwrap_or(u32::MAX);
                let _ = scan(&self.dwarf, self.data, *header, unit, &mut scanned);
            }
            scanned.names.sort_unstable();
            scanned
        });
        Names::of(scans, self.data)
    }
}

impl Names {
    fn of(scans: Vec<Scan>, data: &'static [u8]) -> Self {
        let mut names = Self {
            data,
            ..Self::default()
        };
        let mut files: HashMap<(u32, u32, u32), Vec<u32>> = HashMap::new();
        names
            .list
            .reserve_exact(scans.iter().map(|scan| scan.names.len()).sum());
        for scan in scans {
            names.list.extend(scan.names);
            for (file, units) in scan.files {
                files.entry(file).or_default().extend(units);
            }
        }
        // The parts are in order already, which a stable sort makes use of.
        names.list.sort();
        names.group();
        let text = |at| text_at(data, at);
        names.files = files
            .into_iter()
            .map(|((compiled_in, folder, name), mut units)| {
                units.sort_unstable();
                File {
                    compiled_in: text(compiled_in),
                    folder: text(folder),
                    name: text(name),
                    units,
                }
            })
            .collect();
        names
            .files
            .sort_by_key(|file| (file.compiled_in, file.folder, file.name));
        names
    }

    fn group(&mut self) {
        let mut first = 0;
        for run in self.list.chunk_by(|a, b| a.text == b.text) {
            let text = text_at(self.data, run[0].text);
            let count = u32::try_from(run.len()).unwrap_or(u32::MAX);
            let this = Run { first, count };
            first = first.saturating_add(count);
            match self.by_text.entry(text) {
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(this);
                }
                std::collections::hash_map::Entry::Occupied(_) => {
                    self.more.entry(text).or_default().push(this);
                }
            }
        }
    }

    /// The entries of a name, by kind, then by place.
    pub(super) fn named(&self, name: &str, wanted: &[What]) -> Vec<Named> {
        let first = self.by_text.get(name).into_iter();
        let more = self.more.get(name).into_iter().flatten();
        let mut found: Vec<Named> = first
            .chain(more)
            .flat_map(|run| self.run(*run))
            .filter(|named| wanted.contains(&named.what))
            .copied()
            .collect();
        found.sort_unstable_by_key(|named| (named.what, named.entry));
        found
    }

    /// The names that have an entry of this kind, in no order.
    pub(super) fn with(&self, wanted: What) -> impl Iterator<Item = &'static str> {
        let more = self.more.iter();
        let more = more.flat_map(|(text, runs)| runs.iter().map(move |run| (text, run)));
        let all = self.by_text.iter().chain(more);
        let has = move |run: &Run| self.run(*run).iter().any(|named| named.what == wanted);
        all.filter_map(move |(text, run)| has(run).then_some(*text))
    }

    fn run(&self, run: Run) -> &[Named] {
        let first = run.first as usize;
        let end = first.saturating_add(run.count as usize);
        self.list.get(first..end).unwrap_or(&[])
    }
}

/// Up to its NUL; empty where it is no text.
fn text_at(data: &'static [u8], at: u32) -> &'static str {
    let rest = data.get(at as usize..).unwrap_or(&[]);
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
    std::str::from_utf8(&rest[..end]).unwrap_or("")
}
