//! What a vmlinux says of the code and data in it: names, lines, inlined calls, origins, types and
//! how to unwind. Application and kernel lie in one file, and often share a name.
//!
//! In mode `linux` the application is a program of its own, the twin: addresses of the user half
//! are looked up there, all others in vmlinux.

mod blocks;
mod build_id;
mod by_name;
mod bytes;
mod calls;
mod complete;
mod contents;
mod contexts;
mod copies;
mod cursor;
mod dies;
mod entry_values;
mod error;
mod heads;
mod image;
pub mod in_memory;
mod index;
mod inlined;
pub mod kallsyms;
mod lines;
mod locations;
mod memo;
mod origins;
mod outline;
mod prototypes;
mod scan;
mod search;
mod table;
pub mod types;
mod units;
pub mod unwind;
mod values;
mod variables;

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use crate::addr::{Addr, AddrRange, Slide};
use crate::count::{counted, either};
use crate::origin::Origin;
use crate::profile::Profile;
use bytes::Bytes;
use image::Image;
use table::Entry;

pub use build_id::{InGuest, Mismatch};
pub use contents::Contents;
pub use copies::Copies;
pub use error::{Found, SymbolsError};
pub use image::Section;
pub use index::IndexWork;
pub use inlined::InlinedCall;
pub use lines::{InlineFrame, LineRow, PlaceData};
pub use locations::ValuePlace;
pub use origins::Boundary;
pub use outline::FunctionInfo;
pub use prototypes::Parameter;
pub use search::AllNames;

pub use crate::pattern::Pattern;
pub use table::{Kind, stem};
pub use values::{TypedValue, ValueError};
pub use variables::{Global, Local};

/// `Send`, not `Sync`: one thread owns it.
#[derive(Debug)]
pub struct Symbols {
    kernel: Image,
    twin: Option<Image>,
    profile: Arc<Profile>,
    boundary: Boundary,
    roots: OnceCell<origins::Roots>,
    /// From a running kernel's memory, not from a file.
    of_memory: bool,
    memo: memo::Memo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    pub name: &'a str,
    pub addr: Addr,
    /// Bytes; up to the next symbol where the table says none.
    pub size: u64,
    pub kind: Kind,
    pub origin: Origin,
    pub global: bool,
    /// The base name of the source file, where the symbol table has it: local symbols only.
    pub file: Option<&'a str>,
}

impl Symbols {
    pub fn open(vmlinux: &Path, twin: Option<&Path>) -> Result<Self, SymbolsError> {
        let kernel = Image::open(vmlinux)?;
        let twin = twin.map(Image::open).transpose()?;
        Ok(Self::of(kernel, twin))
    }

    /// From bytes in memory: for tests and fuzzing.
    pub fn from_bytes(vmlinux: Vec<u8>, twin: Option<Vec<u8>>) -> Result<Self, Found> {
        let kernel = Image::read(Bytes::Owned(vmlinux))?;
        let twin = twin
            .map(|bytes| Image::read(Bytes::Owned(bytes)))
            .transpose()?;
        Ok(Self::of(kernel, twin))
    }

    fn of(mut kernel: Image, twin: Option<Image>) -> Self {
        let profile = Profile::recognise(|name| kernel.table.named(name).next().is_some());
        kernel.cfi = unwind::Cfi::of(&profile);
        let boundary = Boundary::read(&kernel, &profile);
        Self {
            kernel,
            twin,
            profile,
            boundary,
            roots: OnceCell::new(),
            of_memory: false,
            memo: memo::Memo::default(),
        }
    }

    /// Tells everything of the kernel at the addresses of one that KASLR has moved so far.
    pub fn move_to(&mut self, slide: Slide) {
        self.kernel.move_to(slide);
        self.read_boundary();
    }

    /// Goes by this table instead of the one that the kernel's symbols have chosen.
    #[must_use]
    pub fn with_profile(mut self, profile: Arc<Profile>) -> Self {
        self.kernel.cfi = unwind::Cfi::of(&profile);
        self.profile = profile;
        self.read_boundary();
        self
    }

    /// What this family of kernels calls the places that matter at the boundary.
    #[must_use]
    pub fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    fn read_boundary(&mut self) {
        self.boundary = Boundary::read(&self.kernel, &self.profile);
        self.roots = OnceCell::new();
    }

    /// Whether a running kernel's memory told them, at its own addresses.
    #[must_use]
    pub const fn are_of_memory(&self) -> bool {
        self.of_memory
    }

    /// What KASLR adds to the addresses of vmlinux.
    #[must_use]
    pub const fn slide(&self) -> Slide {
        self.kernel.slide
    }

    /// The reading of DWARF's names of types, variables, functions and files, to be done in a thread
    /// beside. Without it the first who asks for such a name does it.
    #[must_use]
    pub fn index_work(&self) -> Vec<IndexWork> {
        self.images().filter_map(Image::index_work).collect()
    }

    /// The listing of all types and files by their names, to be done in a thread beside, once those
    /// are read.
    #[must_use]
    pub fn listing(&self) -> Vec<IndexWork> {
        self.images().map(Image::listing).collect()
    }

    /// Every symbol of this name: the application's beside the kernel's. Addresses first.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Vec<Symbol<'_>> {
        let mut found: Vec<_> = self
            .images()
            .flat_map(|image| image.table.named(name))
            .map(|entry| self.symbol(entry))
            .collect();
        if let Some(prefixed) = self.profile.prefixed(name) {
            let theirs = self.kernel.table.named(&prefixed);
            let theirs = theirs.filter(|entry| self.shown(entry) != entry.name);
            found.extend(theirs.map(|entry| self.symbol(entry)));
        }
        // Aliases of one place count once.
        found.dedup_by_key(|symbol| (symbol.addr, symbol.kind));
        found
    }

    /// The one address of a name that is known to be unique: a boundary symbol, a kernel variable.
    #[must_use]
    pub fn address_of(&self, name: &str) -> Option<Addr> {
        let mut found = self.kernel.table.named(name);
        found
            .find(|entry| entry.global || entry.kind.is_address())
            .map(|entry| Addr(entry.addr))
    }

    #[must_use]
    pub fn at(&self, addr: Addr) -> Option<Symbol<'_>> {
        let entry = self.image(addr)?.table.at(addr.0)?;
        Some(self.symbol(entry))
    }

    /// The variable that covers an offset into each CPU's own area.
    #[must_use]
    pub fn per_cpu_at(&self, offset: u64) -> Option<Symbol<'_>> {
        let entry = self.kernel.table.per_cpu(offset)?;
        Some(self.symbol(entry))
    }

    /// The function itself and what the compiler split off it: `foo`, `foo.cold`, `foo.part.0`.
    #[must_use]
    pub fn parts(&self, name: &str) -> Vec<Symbol<'_>> {
        let prefixed = self.profile.prefixed(name);
        let theirs = prefixed.iter();
        let theirs = theirs.flat_map(|name| self.kernel.table.prefixed(name));
        self.images()
            .flat_map(|image| image.table.prefixed(name))
            .chain(theirs)
            .filter(|entry| entry.kind.is_code() && stem(self.shown(entry)) == name)
            .map(|entry| self.symbol(entry))
            .collect()
    }

    /// By address, the kernel's first.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.entries().map(|entry| self.symbol(entry))
    }

    /// Code with a size of its own or inferred, one per address, by address: function entries.
    pub fn functions(&self) -> impl Iterator<Item = Symbol<'_>> {
        let mut last = None;
        self.entries()
            .filter(move |entry| {
                let new = entry.kind == Kind::Function && last != Some(entry.addr);
                if new {
                    last = Some(entry.addr);
                }
                new && entry.size > 0
            })
            .map(|entry| self.symbol(entry))
    }

    /// How many names an address may be looked up by.
    #[must_use]
    pub fn len(&self) -> usize {
        self.images().map(|image| image.table.len()).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Symbols that start in a range, by address: to describe a region.
    pub fn starting_in(&self, range: AddrRange) -> impl Iterator<Item = Symbol<'_>> {
        let image = self.image(range.start);
        image
            .map_or(&[][..], |image| image.table.starting_in(range))
            .iter()
            .map(|entry| self.symbol(entry))
    }

    /// How many symbols start in a range.
    #[must_use]
    pub fn count_in(&self, range: AddrRange) -> usize {
        let image = self.image(range.start);
        image.map_or(0, |image| image.table.starting_in(range).len())
    }

    #[must_use]
    pub const fn boundary(&self) -> &Boundary {
        &self.boundary
    }

    #[must_use]
    pub const fn has_twin(&self) -> bool {
        self.twin.is_some()
    }

    /// The sections of vmlinux, in the file's order.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.kernel.sections
    }

    #[must_use]
    pub fn twin_sections(&self) -> &[Section] {
        self.twin.as_ref().map_or(&[], |twin| &twin.sections)
    }

    /// What the files hold at an address: code before the kernel patched it, data before any write.
    #[must_use]
    pub fn initial(&self, addr: Addr, len: usize) -> Option<&[u8]> {
        self.image(addr)?.initial(addr, len)
    }

    /// What vmlinux holds at the guest's addresses, to be read by another thread as well.
    #[must_use]
    pub fn contents(&self) -> Contents {
        Contents::of(&self.kernel)
    }

    /// What is missing, each with its consequence.
    #[must_use]
    pub fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        let mut lack = |missing: bool, text: &str| {
            if missing {
                lacks.push(text.to_owned());
            }
        };
        let kernel = &self.kernel;
        lack(
            self.of_memory,
            "no vmlinux: the names are those that the kernel carries, without source lines, types and \
             locals; give one with --vmlinux, or install the kernel's package with debugging information",
        );
        lack(
            kernel.compressed(),
            "vmlinux has compressed DWARF, which is not read: no source lines, inlined calls, types; \
             build without CONFIG_DEBUG_INFO_COMPRESSED",
        );
        lack(
            !kernel.has_lines() && !kernel.compressed() && !self.of_memory,
            "no DWARF in vmlinux: no source lines, inlined calls, locals or types, and kernel code \
             is not told by subsystem; build with CONFIG_DEBUG_INFO_DWARF5",
        );
        lack(
            kernel.section(".orc_unwind").is_none(),
            "no ORC tables in vmlinux: a backtrace may end in the entry assembly; build with \
             CONFIG_UNWINDER_ORC",
        );
        lack(
            !self.boundary.has_app() && self.twin.is_none(),
            &format!(
                "no application in vmlinux, as the profile '{}' would know it: all code is the kernel's",
                self.profile.name
            ),
        );
        lack(
            kernel.build_id().is_none(),
            "no build-id in vmlinux: nobody can tell whether it is the running kernel's",
        );
        if let Some(why) = unwind::orc_refused(kernel) {
            lacks.push(format!(
                "the ORC tables are not read, {why}: a backtrace may end in the entry assembly; \
                 a newer debugger may know it"
            ));
        }
        let unreadable = kernel.table.unreadable;
        if unreadable > 0 {
            lacks.push(format!(
                "{} in vmlinux {} not UTF-8: left out",
                counted(unreadable, "name"),
                either(unreadable, "is", "are")
            ));
        }
        lacks
    }

    fn image(&self, addr: Addr) -> Option<&Image> {
        match self.in_kernel_image(addr) {
            true => Some(&self.kernel),
            false => self.twin.as_ref(),
        }
    }

    /// Whether this is an address of the vmlinux: in the kernel half, or among the data of the
    /// application linked into it.
    #[must_use]
    pub fn in_kernel_image(&self, addr: Addr) -> bool {
        addr.in_kernel_half() || self.boundary.app_data.contains(addr)
    }

    fn images(&self) -> impl Iterator<Item = &Image> {
        std::iter::once(&self.kernel).chain(&self.twin)
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.images().flat_map(|image| image.table.iter())
    }

    fn symbol<'a>(&'a self, entry: &'a Entry) -> Symbol<'a> {
        let addr = Addr(entry.addr);
        Symbol {
            name: self.shown(entry),
            addr,
            size: entry.size,
            kind: entry.kind,
            origin: match entry.kind.is_address() {
                true => self.origin(addr),
                false => Origin::Unknown,
            },
            global: entry.global,
            file: self.file_of(entry),
        }
    }

    /// Without what the application's names were given in front.
    fn shown<'a>(&self, entry: &'a Entry) -> &'a str {
        let (boundary, addr) = (&self.boundary, Addr(entry.addr));
        let of_app = || boundary.app_text.contains(addr) || boundary.app_data.contains(addr);
        let unprefixed = self.profile.unprefixed(entry.name);
        unprefixed.filter(|_| of_app()).unwrap_or(entry.name)
    }

    /// Application symbols were global before they were made local: no file symbol stands before
    /// them that is theirs.
    fn file_of<'a>(&'a self, entry: &'a Entry) -> Option<&'a str> {
        let addr = Addr(entry.addr);
        let boundary = &self.boundary;
        if boundary.app_text.contains(addr) {
            let unit = self.kernel.units().at(addr)?;
            return Some(unit.name.rsplit('/').next().unwrap_or(unit.name));
        }
        entry.file.filter(|_| !boundary.app_data.contains(addr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_may_move_to_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<Symbols>();
    }

    #[test]
    fn what_is_no_vmlinux_is_refused() {
        assert!(matches!(
            Symbols::from_bytes(Vec::new(), None),
            Err(Found::Empty)
        ));
        let error = Symbols::open(Path::new("/nonexistent/vmlinux"), None).unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/vmlinux"),
            "{error}"
        );
    }
}
