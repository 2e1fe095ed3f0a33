//! The index of DWARF's names: what stands at the top of every unit, and every source file.
//!
//! All units are looked through once, by as many threads as there are processors. Kept are places, not
//! texts: sixteen bytes for each of the million names of a distribution's kernel. Entries themselves are
//! read when asked for. The files are an index of their own: they take a tenth of the time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::by_name::ByName;
use super::bytes::Bytes;
use super::image::Slice;
use super::scan::{self, Scanner};
use super::units;

/// All that a thread needs to read units; it keeps the file's bytes alive.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) dwarf: Arc<gimli::Dwarf<Slice>>,
    pub(super) data: &'static [u8],
    /// What the others are slices of.
    pub(super) _bytes: Arc<Bytes>,
}

/// The indices of one file, made when first asked for or beside.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    names: Arc<OnceLock<Names>>,
    files: Arc<OnceLock<Vec<File>>>,
}

/// The making of an index, to be done in a thread beside the one that owns the symbols.
pub struct IndexWork {
    /// Before the bytes it has slices of.
    index: Index,
    source: Source,
}

impl std::fmt::Debug for IndexWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexWork")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(super) struct Names {
    /// By the place of the name's text; else in no order.
    list: Vec<Named>,
    runs: Vec<Run>,
    /// Of `runs`.
    by_name: ByName,
}

/// The entries whose name lies at one place.
#[derive(Clone, Copy, Debug)]
struct Run {
    text: &'static str,
    first: u32,
    count: u32,
}

/// An entry at the top of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Index {
    pub(super) fn names(&self, source: impl FnOnce() -> Source) -> &Names {
        self.names.get_or_init(|| source().names())
    }

    pub(super) fn files(&self, source: impl FnOnce() -> Source) -> &[File] {
        self.files.get_or_init(|| source().files())
    }

    /// Whether it is made already or not.
    pub(super) fn listing(&self, source: Source) -> IndexWork {
        IndexWork {
            index: self.clone(),
            source,
        }
    }

    /// `None` where it is made already.
    pub(super) fn work(&self, source: impl FnOnce() -> Source) -> Option<IndexWork> {
        let made = self.names.get().is_some() && self.files.get().is_some();
        (!made).then(|| IndexWork {
            index: self.clone(),
            source: source(),
        })
    }
}
/// What a type's name may stand for, and the keyword before it.
pub(super) const TYPES: [(What, &str); 4] = [
    (What::Struct, "struct "),
    (What::Union, "union "),
    (What::Enum, "enum "),
    (What::Type, ""),
];

impl IndexWork {
    /// Whoever asks for a name meanwhile waits until this is done. It has threads of its own: those that
    /// all others share are free for other questions.
    pub fn run(self) {
        let make = || {
            self.index.files(|| self.source.clone());
            self.index.names(|| self.source.clone());
        };
        match rayon::ThreadPoolBuilder::new().build() {
            Ok(pool) => pool.install(make),
            Err(_) => make(),
        }
    }

    /// The types' names, with their keywords, and the files' whole paths.
    #[must_use]
    pub fn listed(&self) -> (Vec<String>, Vec<String>) {
        let names = self.index.names(|| self.source.clone());
        let types = TYPES.iter().flat_map(|(what, keyword)| {
            let named = names.with(*what);
            named.map(move |name| format!("{keyword}{name}"))
        });
        let files = self.index.files(|| self.source.clone());
        let files = files.iter().map(File::path);
        (types.collect(), files.collect())
    }
}

impl Source {
    fn names(&self) -> Names {
        let headers: Vec<_> = units::headers(&self.dwarf).collect();
        let next = AtomicUsize::new(0);
        let scans = rayon::broadcast(|_| {
            let mut scanner = Scanner::new(&self.dwarf, self.data);
            while let Some(header) = headers.get(next.fetch_add(1, Ordering::Relaxed)) {
                // What is damaged is left out.
                let _ = scanner.unit(header);
            }
            scanner.found
        });
        Names::of(&scans, self.data)
    }

    fn files(&self) -> Vec<File> {
        let headers: Vec<_> = units::headers(&self.dwarf).collect();
        let next = AtomicUsize::new(0);
        let mut scans = rayon::broadcast(|_| {
            let mut found = scan::Files::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(header) = headers.get(number) else {
                    break;
                };
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                let _ = scan::files(&self.dwarf, self.data, header, number, &mut found);
            }
            found
        });
        let mut all = scans.pop().unwrap_or_default();
        for (file, units) in scans.into_iter().flatten() {
            all.entry(file).or_default().extend(units);
        }
        let text = |at| text_at(self.data, at);
        let file = |((compiled_in, folder, name), mut units): (_, Vec<u32>)| {
            units.sort_unstable();
            File {
                compiled_in: text(compiled_in),
                folder: text(folder),
                name: text(name),
                units,
            }
        };
        let mut files: Vec<File> = all.into_iter().map(file).collect();
        files.sort_unstable_by_key(|file| (file.compiled_in, file.folder, file.name));
        files
    }
}

impl Names {
    fn of(scans: &[Vec<Named>], data: &'static [u8]) -> Self {
        let list = by_text(scans);
        let mut first = 0;
        let run = |run: &[Named]| {
            let count = u32::try_from(run.len()).unwrap_or(u32::MAX);
            let this = Run {
                text: text_at(data, run[0].text),
                first,
                count,
            };
            first = first.saturating_add(count);
            this
        };
        let runs = list.chunk_by(|a, b| a.text == b.text).map(run);
        let runs: Vec<Run> = runs.filter(|run| !run.text.is_empty()).collect();
        let by_name = ByName::of(runs.iter().map(|run| run.text));
        Self {
            list,
            runs,
            by_name,
        }
    }

    /// The entries of a name, by kind, then by place.
    pub(super) fn named(&self, name: &str, wanted: &[What]) -> Vec<Named> {
        let runs = self.by_name.like(name);
        let runs = runs.filter_map(|number| self.runs.get(number as usize));
        let mut found: Vec<Named> = runs
            .filter(|run| run.text == name)
            .flat_map(|run| self.run(run))
            .filter(|named| wanted.contains(&named.what))
            .copied()
            .collect();
        found.sort_unstable_by_key(|named| (named.what, named.entry));
        found
    }

    /// The names that have an entry of this kind, in no order.
    pub(super) fn with(&self, wanted: What) -> impl Iterator<Item = &'static str> {
        let has = move |run: &&Run| self.run(run).iter().any(|named| named.what == wanted);
        self.runs.iter().filter(has).map(|run| run.text)
    }

    fn run(&self, run: &Run) -> &[Named] {
        let first = run.first as usize;
        let end = first.saturating_add(run.count as usize);
        self.list.get(first..end).unwrap_or(&[])
    }
}

/// All in one list, by the place of their text: sorted by its digits, of eleven bits each, the last
/// first.
fn by_text(parts: &[Vec<Named>]) -> Vec<Named> {
    const BITS: u32 = 11;
    let places = || parts.iter().flatten().map(|named| named.text);
    let (least, most) = (places().min().unwrap_or(0), places().max().unwrap_or(0));
    let mut list = parts.concat();
    let mut sorted = list.clone();
    let mut shift = 0;
    while shift < u32::BITS && (most - least) >> shift > 0 {
        let digit = |named: &Named| (named.text - least) >> shift & ((1 << BITS) - 1);
        let mut ends = vec![0_usize; 1 << BITS];
        for named in &list {
            ends[digit(named) as usize] += 1;
        }
        let mut start = 0;
        for end in &mut ends {
            (start, *end) = (start + *end, start);
        }
        for named in &list {
            let place = &mut ends[digit(named) as usize];
            sorted[*place] = *named;
            *place += 1;
        }
        std::mem::swap(&mut list, &mut sorted);
        shift += BITS;
    }
    list
}

/// Up to its NUL; empty where it is no text.
fn text_at(data: &'static [u8], at: u32) -> &'static str {
    let rest = data.get(at as usize..).unwrap_or(&[]);
    let end = memchr::memchr(0, rest).unwrap_or(0);
    std::str::from_utf8(&rest[..end]).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_by_the_places_of_their_texts() {
        let named = |text| Named {
            text,
            entry: text ^ 1,
            size: 0,
            what: What::Struct,
        };
        for spread in [1, 700, 5_000_000] {
            let places: Vec<u32> = (0..900_u32)
                .map(|i| 40 + i * 7_919 % 101 * spread)
                .collect();
            let (a, b) = places.split_at(300);
            let part = |places: &[u32]| places.iter().map(|at| named(*at)).collect::<Vec<_>>();
            let sorted = by_text(&[part(a), part(b)]);
            let mut expected = part(&places);
            expected.sort_by_key(|named| named.text);
            assert_eq!(sorted, expected);
        }
        assert_eq!(by_text(&[]), []);
    }
}
