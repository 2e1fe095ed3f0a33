//! One ELF file: its sections, symbols, notes and, when first asked for, its DWARF.

use std::cell::OnceCell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use addr2line::Context;
use gimli::{EndianSlice, LittleEndian};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, SectionFlags};

use super::bytes::Bytes;
use super::contexts::Contexts;
use super::error::{Found, SymbolsError};
use super::index::{File, Index, IndexWork, Names, Source};
use super::table::Table;
use super::units::Units;
use crate::addr::{Addr, AddrRange, Slide};

pub(super) type Slice = EndianSlice<'static, LittleEndian>;

/// A section as the file has it, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub name: String,
    pub range: AddrRange,
    /// Takes room in the guest's memory.
    pub allocated: bool,
    pub writable: bool,
    pub executable: bool,
    /// Its bytes in the file; none for `.bss` and its like.
    pub(super) data: &'static [u8],
}

/// Fields are dropped in order: what borrows from `bytes` stands before it.
pub(super) struct Image {
    pub(super) sections: Vec<Section>,
    pub(super) table: Table,
    /// What the guest's addresses are above the file's: zero but for a kernel moved by KASLR.
    /// Sections and symbols are moved already, DWARF is not.
    pub(super) slide: Slide,
    contexts: Contexts,
    units: OnceCell<Units>,
    index: Index,
    dwarf: OnceCell<Arc<gimli::Dwarf<Slice>>>,
    pub(super) cfi: super::unwind::Cfi,
    /// All of the file.
    data: &'static [u8],
    bytes: Arc<Bytes>,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("sections", &self.sections.len())
            .field("symbols", &self.table.len())
            .finish_non_exhaustive()
    }
}

impl Image {
    pub(super) fn open(path: &Path) -> Result<Self, SymbolsError> {
        Self::read(Bytes::map(path)?).map_err(|found| SymbolsError::Unusable {
            path: path.to_owned(),
            next: found.next(),
            found,
        })
    }

    pub(super) fn read(bytes: Bytes) -> Result<Self, Found> {
        // SAFETY: the slice goes into the fields of the struct that takes `bytes` as its last field, and
        // to threads that hold `bytes` as well.
        let data = unsafe { bytes.slice() };
        check_head(data)?;
        let damaged = |error: object::Error| Found::Damaged(error.to_string());
        let elf = ElfFile64::<object::LittleEndian, &'static [u8]>::parse(data).map_err(damaged)?;
        let mut sections = Vec::new();
        for section in elf.sections() {
            let flags = match section.flags() {
                SectionFlags::Elf { sh_flags, .. } => sh_flags.0,
                _ => 0,
            };
            let start = Addr(section.address());
            sections.push(Section {
                name: section.name().map_err(damaged)?.to_owned(),
                range: AddrRange::new(start, Addr(start.0.saturating_add(section.size()))),
                allocated: flags & object::elf::SHF_ALLOC.0 != 0,
                writable: flags & object::elf::SHF_WRITE.0 != 0,
                executable: flags & object::elf::SHF_EXECINSTR.0 != 0,
                data: section.data().map_err(damaged)?,
            });
        }
        if elf.symbol_table().is_none_or(|table| elf_is_empty(&table)) {
            return Err(Found::NoSymbolTable);
        }
        let table = Table::read(&elf);
        Ok(Self {
            sections,
            table,
            slide: Slide::default(),
            contexts: Contexts::default(),
            units: OnceCell::new(),
            index: Index::default(),
            dwarf: OnceCell::new(),
            cfi: super::unwind::Cfi::default(),
            data,
            bytes: Arc::new(bytes),
        })
    }

    /// Of parts that stand in no file: `sections` and `table` are of slices of `bytes`.
    pub(super) fn of_parts(bytes: Bytes, sections: Vec<Section>, table: Table) -> Self {
        Self {
            sections,
            table,
            slide: Slide::default(),
            contexts: Contexts::default(),
            units: OnceCell::new(),
            index: Index::default(),
            dwarf: OnceCell::new(),
            cfi: super::unwind::Cfi::default(),
            data: &[],
            bytes: Arc::new(bytes),
        }
    }

    /// From here on told at the addresses of a kernel that KASLR has moved so far.
    pub(super) fn move_to(&mut self, slide: Slide) {
        let more = Slide(slide.0.wrapping_sub(self.slide.0));
        self.slide = slide;
        for section in &mut self.sections {
            let range = &mut section.range;
            (range.start, range.end) = (more.moved(range.start), more.moved(range.end));
        }
        self.table.move_by(more);
        if let Some(units) = self.units.get_mut() {
            units.slide = slide;
        }
    }

    pub(super) fn bytes(&self) -> &Arc<Bytes> {
        &self.bytes
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }

    pub(super) fn section_at(&self, addr: Addr) -> Option<&Section> {
        self.sections
            .iter()
            .find(|s| s.allocated && !s.range.start.eq(&Addr(0)) && s.range.contains(addr))
    }

    /// What the file holds for an address, before the kernel patches or writes anything.
    pub(super) fn initial(&self, addr: Addr, len: usize) -> Option<&[u8]> {
        let section = self.section_at(addr)?;
        let at = usize::try_from(addr - section.range.start).ok()?;
        section.data.get(at..at.checked_add(len)?)
    }

    pub(super) fn has_lines(&self) -> bool {
        let filled = |name| self.section(name).is_some_and(|s| !s.data.is_empty());
        filled(".debug_info") && filled(".debug_line") && !self.compressed()
    }

    /// Whether the DWARF is compressed, which is not read.
    pub(super) fn compressed(&self) -> bool {
        let info = self.section(".debug_info");
        let zlib = [1, 0, 0, 0, 0, 0, 0, 0];
        let zstd = [2, 0, 0, 0, 0, 0, 0, 0];
        self.section(".zdebug_info").is_some()
            || info.is_some_and(|s| s.data.starts_with(&zlib) || s.data.starts_with(&zstd))
    }

    pub(super) fn dwarf(&self) -> &Arc<gimli::Dwarf<Slice>> {
        self.dwarf.get_or_init(|| Arc::new(self.load_dwarf()))
    }

    fn load_dwarf(&self) -> gimli::Dwarf<Slice> {
        let usable = self.has_lines();
        let load = |id: gimli::SectionId| -> Result<Slice, gimli::Error> {
            let section = self.section(id.name()).filter(|_| usable);
            Ok(EndianSlice::new(
                section.map_or(&[], |s| s.data),
                LittleEndian,
            ))
        };
        gimli::Dwarf::load(load).unwrap_or_else(|_| gimli::Dwarf::default())
    }

    /// Asks for lines and inlined calls of the unit around an address, which is handed on as the file
    /// has it; `None` where there is no
    /// DWARF of it, or none that can be read.
    pub(super) fn ask_lines<T>(
        &self,
        addr: Addr,
        ask: impl FnOnce(&Context<Slice>, Addr) -> T,
    ) -> Option<T> {
        let number = self.units().number_at(addr)?;
        let unit = self.units().list.get(number as usize)?;
        let linked = self.slide.linked(addr);
        let ask = |context: &Context<Slice>| ask(context, linked);
        self.contexts.ask(self.dwarf(), number, &unit.header, ask)
    }

    pub(super) fn units(&self) -> &Units {
        self.units.get_or_init(|| {
            let mut units = Units::read(self.dwarf());
            units.slide = self.slide;
            units
        })
    }

    /// `None` where the index is made already.
    pub(super) fn index_work(&self) -> Option<IndexWork> {
        self.index.work(|| self.index_source())
    }

    /// As [`Self::index_work`], whether the names are read already or not.
    pub(super) fn listing(&self) -> IndexWork {
        self.index.listing(self.index_source())
    }

    pub(super) fn names(&self) -> &Names {
        self.index.names(|| self.index_source())
    }

    pub(super) fn files(&self) -> &[File] {
        self.index.files(|| self.index_source())
    }

    fn index_source(&self) -> Source {
        Source {
            dwarf: Arc::clone(self.dwarf()),
            data: self.data,
            _bytes: Arc::clone(&self.bytes),
        }
    }

    /// The build-id's bytes and where they lie in the guest's memory.
    pub(super) fn build_id(&self) -> Option<(&[u8], AddrRange)> {
        let notes = self.sections.iter().filter(|s| s.name.starts_with(".note"));
        for section in notes {
            if let Some((at, len)) = super::build_id::find(section.data) {
                let start = section.range.start + at as u64;
                let range = AddrRange::new(start, start + len as u64);
                return Some((section.data.get(at..at + len)?, range));
            }
        }
        None
    }
}

fn elf_is_empty<'a>(table: &impl object::ObjectSymbolTable<'a>) -> bool {
    table.symbols().next().is_none()
}

/// ELF: magic, class 2, data 1 at 4 and 5, the machine at 18.
fn check_head(data: &[u8]) -> Result<(), Found> {
    if data.is_empty() {
        return Err(Found::Empty);
    }
    if !data.starts_with(b"\x7fELF") {
        // Documentation/x86/boot.rst: the setup header's magic.
        if data.get(0x202..0x206) == Some(b"HdrS") {
            return Err(Found::BootImage);
        }
        let first_bytes = data[..data.len().min(8)].to_vec();
        return Err(Found::NotElf { first_bytes });
    }
    let Some(head) = data.get(..64) else {
        return Err(Found::Damaged(format!(
            "{} bytes, less than its header",
            data.len()
        )));
    };
    let machine = u16::from_le_bytes([head[18], head[19]]);
    if head[4] != 2 || head[5] != 1 || machine != object::elf::EM_X86_64.0 {
        let bits = match head[4] {
            1 => 32,
            _ => 64,
        };
        return Err(Found::OtherMachine { bits, machine });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_file_is_named() {
        assert_eq!(check_head(b""), Err(Found::Empty));
        assert_eq!(
            check_head(b"#!/bin/sh"),
            Err(Found::NotElf {
                first_bytes: b"#!/bin/s".to_vec()
            })
        );
        let mut boot = vec![0; 0x300];
        boot[0x202..0x206].copy_from_slice(b"HdrS");
        assert_eq!(check_head(&boot), Err(Found::BootImage));
        assert!(matches!(check_head(b"\x7fELF"), Err(Found::Damaged(_))));
        let mut arm = vec![0; 64];
        arm[..6].copy_from_slice(b"\x7fELF\x02\x01");
        arm[18] = 183;
        assert_eq!(
            check_head(&arm),
            Err(Found::OtherMachine {
                bits: 64,
                machine: 183
            })
        );
    }
}
