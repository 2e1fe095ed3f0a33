//! A kernel whose vmlinux nobody gave: what its memory tells, and where its file may lie.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::engine::Engine;
use super::trouble::{Trouble, failure_of};
use crate::addr::{Addr, AddrRange, Slide};
use crate::event::Event;
use crate::known::Known;
use crate::space::{self, Mapped};
use crate::symbols::Symbols;
use crate::symbols::in_memory::{Constants, parts};
use crate::symbols::kallsyms;

/// Where the kernel's image is mapped, modules left out.
const IMAGE: AddrRange = AddrRange::new(Addr(0xffff_ffff_8000_0000), Addr(0xffff_ffff_c000_0000));

/// Read-only data is longer than this.
const SHORTEST: u64 = 256 << 10;

/// Before the kernel protects its constants they are looked for in so much from its start.
const MOST: u64 = 64 << 20;

/// Where x86-64 kernels are linked (`__START_KERNEL`, with the default `CONFIG_PHYSICAL_START`).
const LINKED: Addr = Addr(0xffff_ffff_8100_0000);

/// Page tables read before the search is given up.
const TABLES: usize = 4096;

impl Engine {
    /// Symbols by the guest's own memory: those of a file with debugging information whose build-id the
    /// guest has, else the names that the kernel carries.
    pub(super) fn symbols_of_guest(&mut self, debug_files: &Path) -> Result<(), Trouble> {
        let began = Instant::now();
        let ranges = match self.constant_ranges()? {
            Known::Yes(ranges) => ranges,
            Known::Asked => return Ok(()),
            Known::No(why) => {
                self.fact("names", Known::No(why));
                return Ok(());
            }
        };
        let mut why = "the kernel's constants were not found in its memory".to_owned();
        for range in ranges {
            let len = usize::try_from(range.len()).unwrap_or(0);
            let constants = self.target.read_long(range.start, len)?;
            let known = Constants::find(&constants);
            if let Some(symbols) = self.file_of(&known, debug_files) {
                self.symbols = Some(symbols);
                return Ok(());
            }
            match kallsyms::find(&constants) {
                Ok(symbols) => {
                    let mut parts = parts(&symbols);
                    for part in parts.iter_mut().filter(|part| part.wanted) {
                        let len = usize::try_from(part.range.len()).unwrap_or(0);
                        part.bytes = match within(range, &constants, part.range) {
                            Some(bytes) => bytes.to_vec(),
                            None => self.target.read_long(part.range.start, len)?,
                        };
                    }
                    let told = format!(
                        "{} from the kernel's own table, in {} ms",
                        symbols.len(),
                        began.elapsed().as_millis()
                    );
                    self.fact("names", Known::Yes(told));
                    let symbols = Symbols::of_memory(&symbols, parts, &known);
                    if let Some(text) = symbols.address_of("_text") {
                        let slide = Slide(text - LINKED);
                        self.fact(
                            "KASLR",
                            Known::Yes(format!("{slide}, by the kernel's own names")),
                        );
                    }
                    self.symbols = Some(symbols);
                    return Ok(());
                }
                Err(error) => why = error.to_string(),
            }
        }
        self.fact("names", Known::No(why));
        Ok(())
    }

    /// What the running kernel says of itself: its build-id among other things.
    pub(super) fn constants(&mut self) -> Result<Option<Constants>, Trouble> {
        let Known::Yes(ranges) = self.constant_ranges()? else {
            return Ok(None);
        };
        for range in ranges {
            let len = usize::try_from(range.len()).unwrap_or(0);
            let known = Constants::find(&self.target.read_long(range.start, len)?);
            if known.build_id.is_some() {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// Where the kernel's constants may lie: what is mapped neither to be written nor executed; while it
    /// protects nothing so far, its whole image.
    fn constant_ranges(&mut self) -> Result<Known<Vec<AddrRange>>, Trouble> {
        let root = match self.root()? {
            Known::Yes(root) => root,
            Known::Asked => return Ok(Known::Asked),
            Known::No(why) => return Ok(Known::No(why)),
        };
        let mut go_on = |tables: usize| tables < TABLES;
        let mapped = self.physically(|read| space::mapped(root, IMAGE, read, &mut go_on));
        let mapped = mapped.ranges;
        let Some(first) = mapped.first() else {
            return Ok(Known::no("no kernel is mapped where Linux has its image"));
        };
        let start = first.range.start;
        let constant = |mapped: &&Mapped| {
            !mapped.access.write && !mapped.access.execute && mapped.range.len() >= SHORTEST
        };
        let mut ranges: Vec<AddrRange> = mapped
            .iter()
            .filter(constant)
            .map(|mapped| mapped.range)
            .collect();
        let last = mapped.last().map_or(start, |last| last.range.end);
        let whole = last.0.min(start.0.saturating_add(MOST));
        ranges.push(AddrRange::new(start, Addr(whole)));
        Ok(Known::Yes(ranges))
    }

    /// The file that a distribution's package with debugging information has installed for this kernel.
    fn file_of(&mut self, known: &Constants, debug_files: &Path) -> Option<Symbols> {
        let id = known.build_id.as_deref()?;
        for path in places(debug_files, id, known.release()) {
            if !path.is_file() {
                continue;
            }
            let symbols = match Symbols::open(&path, None) {
                Ok(symbols) => symbols,
                Err(error) => {
                    self.port.send(Event::Notice(error.to_string()));
                    continue;
                }
            };
            let found = symbols.build_id_text().unwrap_or_else(|| "none".to_owned());
            if found == id {
                super::boot::index_beside(&symbols);
                self.fact("vmlinux", Known::Yes(path.display().to_string()));
                return Some(symbols);
            }
            let path = path.display();
            self.port.send(Event::Notice(format!(
                "{path} is of another build: its build-id is {found}, the guest's {id}; it is not used"
            )));
        }
        None
    }
}

/// Of an error about a vmlinux that is not the guest's: the guest's id, where its memory tells it.
pub(super) fn refused(error: &str, known: Option<&Constants>) -> Trouble {
    let mut failure = failure_of(error);
    if let Some(id) = known.and_then(|known| known.build_id.as_deref())
        && !failure.found.contains(id)
    {
        failure.found = format!("{}; the guest's build-id is {id}", failure.found);
    }
    Trouble::from(failure)
}

fn places(root: &Path, id: &str, release: Option<&str>) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some((first, rest)) = id.split_at_checked(2) {
        places.push(
            root.join(".build-id")
                .join(first)
                .join(format!("{rest}.debug")),
        );
    }
    if let Some(release) = release {
        places.push(root.join("boot").join(format!("vmlinux-{release}")));
        places.push(root.join("lib/modules").join(release).join("vmlinux"));
    }
    places
}

/// What was read of a part, where it lies in the range that was read.
fn within(range: AddrRange, bytes: &[u8], part: AddrRange) -> Option<&[u8]> {
    let start = usize::try_from(part.start.0.checked_sub(range.start.0)?).ok()?;
    let len = usize::try_from(part.len()).ok()?;
    bytes.get(start..start.checked_add(len)?)
}
