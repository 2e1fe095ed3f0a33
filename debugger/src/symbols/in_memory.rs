//! Symbols of a kernel as its own memory has them, for want of its vmlinux: names and kinds, the unwind
//! table, the entry code and constants; no lines, no types.

use super::Symbols;
use super::build_id;
use super::bytes::Bytes;
use super::image::{Image, Section};
use super::kallsyms::{self, KernelSymbol};
use super::table::{Bare, Kind, Table};
use crate::addr::{Addr, AddrRange};

/// A part of the kernel's image in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// As the section of a vmlinux is called.
    pub name: &'static str,
    pub range: AddrRange,
    /// Whether what is in it is asked for later.
    pub wanted: bool,
    /// What is in it, where that was wanted and could be read.
    pub bytes: Vec<u8>,
}

/// Section, the symbols at its ends, and whether its contents are wanted. Of parts that overlap the
/// inner one comes first.
const PARTS: [(&str, &str, &str, bool); 9] = [
    (
        ".entry.text",
        "__entry_text_start",
        "__entry_text_end",
        true,
    ),
    (".text", "_stext", "_etext", false),
    (".notes", "__start_notes", "__stop_notes", true),
    (".rodata", "__start_rodata", "__end_rodata", true),
    (
        ".orc_unwind_ip",
        "__start_orc_unwind_ip",
        "__stop_orc_unwind_ip",
        true,
    ),
    (
        ".orc_unwind",
        "__start_orc_unwind",
        "__stop_orc_unwind",
        true,
    ),
    (".data", "_sdata", "_edata", false),
    (".init.text", "_sinittext", "_einittext", false),
    (".bss", "__bss_start", "__bss_stop", false),
];

/// From this version on the unwind table has another layout, which its section's header says in a file.
const LATER_ORC: (u32, u32) = (6, 4);

/// What the constants of a kernel say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constants {
    /// `Linux version 6.1.0-…`
    pub banner: Option<String>,
    /// In hexadecimal.
    pub build_id: Option<String>,
}

impl Constants {
    /// `bytes` is the kernel's read-only data.
    #[must_use]
    pub fn find(bytes: &[u8]) -> Self {
        // The format for /proc/version stands there as well.
        let mut banners = kallsyms::places(bytes, b"Linux version ").filter_map(|at| {
            let text = bytes.get(at..)?.split(|byte| *byte == 0).next()?;
            let text = std::str::from_utf8(text).ok()?.trim();
            (!text.contains('%') && text.len() < 500).then(|| text.to_owned())
        });
        Self {
            banner: banners.next(),
            build_id: build_id::anywhere(bytes),
        }
    }

    /// `6.1.0-56-cloud-amd64`
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        self.banner.as_deref()?.split_whitespace().nth(2)
    }

    fn version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.release()?.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

/// The parts that these symbols mark, without their contents.
#[must_use]
pub fn parts(symbols: &[KernelSymbol]) -> Vec<Part> {
    let place = |name: &str| {
        let mut named = symbols.iter().filter(|symbol| symbol.name == name);
        named.next().map(|symbol| symbol.addr)
    };
    let part = |&(name, start, end, wanted): &(&'static str, &str, &str, bool)| {
        let range = AddrRange::new(place(start)?, place(end)?);
        // More than any kernel has is a mistake.
        let sound = !range.is_empty() && range.len() < 1 << 28;
        sound.then_some(Part {
            name,
            range,
            wanted,
            bytes: Vec::new(),
        })
    };
    PARTS.iter().filter_map(part).collect()
}

impl Symbols {
    /// From what was found in the memory of a running kernel; the addresses are its own.
    #[must_use]
    pub fn of_memory(symbols: &[KernelSymbol], parts: Vec<Part>, constants: &Constants) -> Self {
        let mut owned = Vec::new();
        let mut keep = |bytes: &[u8]| {
            let start = owned.len();
            owned.extend(bytes);
            start..owned.len()
        };
        let names: Vec<_> = symbols
            .iter()
            .map(|symbol| keep(symbol.name.as_bytes()))
            .collect();
        let contents: Vec<_> = parts.iter().map(|part| keep(&part.bytes)).collect();
        let bytes = Bytes::Owned(owned);
        // SAFETY: the slice goes into the fields of the image that takes `bytes`.
        let data = unsafe { bytes.slice() };
        let section = |addr: Addr| parts.iter().rposition(|part| part.range.contains(addr));
        let bare = |(symbol, name): (&KernelSymbol, std::ops::Range<usize>)| Bare {
            name: std::str::from_utf8(&data[name]).unwrap_or_default(),
            addr: symbol.addr.0,
            kind: kind(symbol),
            global: symbol.letter.is_ascii_uppercase(),
            section: section(symbol.addr)
                .map_or(u32::MAX, |i| u32::try_from(i).unwrap_or(u32::MAX)),
        };
        let table = Table::of(symbols.iter().zip(names).map(bare), |section| {
            parts
                .get(section as usize)
                .map_or(0, |part| part.range.end.0)
        });
        let mut sections: Vec<Section> = parts
            .iter()
            .zip(contents)
            .map(|(part, contents)| section_of(part.name, part.range, &data[contents]))
            .collect();
        if constants
            .version()
            .is_some_and(|version| version >= LATER_ORC)
        {
            sections.push(section_of(".orc_header", AddrRange::default(), &[]));
        }
        let mut known = Self::of(Image::of_parts(bytes, sections, table), None);
        known.of_memory = true;
        known
    }
}

fn section_of(name: &str, range: AddrRange, data: &'static [u8]) -> Section {
    Section {
        name: name.to_owned(),
        range,
        allocated: true,
        writable: matches!(name, ".data" | ".bss"),
        executable: name.ends_with(".text"),
        data,
    }
}

fn kind(symbol: &KernelSymbol) -> Kind {
    match (symbol.addr.in_kernel_half(), symbol.letter) {
        (false, b'a' | b'A' | b'd' | b'D' | b'b' | b'B' | b'V') => Kind::PerCpu,
        (false, _) => Kind::Absolute,
        (true, b't' | b'T' | b'w' | b'W') => Kind::Function,
        (true, _) => Kind::Data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str, addr: u64, letter: u8) -> KernelSymbol {
        KernelSymbol {
            name: name.to_owned(),
            addr: Addr(addr),
            letter,
        }
    }

    #[test]
    fn a_kernel_is_told_by_its_memory_alone() {
        const TEXT: u64 = 0xffff_ffff_9360_0000;
        let symbols = [
            symbol("cpu_tss_rw", 0x6000, b'D'),
            symbol("_stext", TEXT, b'T'),
            symbol("vfs_read", TEXT + 0x100, b'T'),
            symbol("__entry_text_start", TEXT + 0x200, b'T'),
            symbol("entry_SYSCALL_64", TEXT + 0x200, b'T'),
            symbol("__entry_text_end", TEXT + 0x280, b'T'),
            symbol("_etext", TEXT + 0x300, b'T'),
        ];
        let mut parts = parts(&symbols);
        assert_eq!(parts.len(), 2);
        parts[0].bytes = vec![0x90; 0x80];
        let constants = Constants::find(b"\0Linux version %s\0Linux version 6.1.0-9 (x) #1\n\0");
        assert_eq!(constants.release(), Some("6.1.0-9"));
        let known = Symbols::of_memory(&symbols, parts, &constants);
        let read = known.at(Addr(TEXT + 0x110)).unwrap();
        assert_eq!((read.name, read.size), ("vfs_read", 0x100));
        assert_eq!(known.origin(Addr(TEXT + 0x210)).to_string(), "entry");
        assert_eq!(known.initial(Addr(TEXT + 0x200), 2), Some(&[0x90; 2][..]));
        assert_eq!(known.per_cpu_at(0x6000).unwrap().name, "cpu_tss_rw");
    }
}
