//! `struct page`: what the kernel notes of each page of physical memory.

use super::path::{name_of, read_text};
use super::{GuestError, Struct, read_field};
use crate::addr::{Addr, PhysAddr};
use crate::symbols::Symbols;
use crate::symbols::types::Type;
use crate::symbols::unwind::Memory;

/// Where the kernel keeps what: from its own variables, or its documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bases {
    /// Physical address 0 in the direct map.
    pub direct_map: Addr,
    /// The `struct page` of physical page 0.
    pub vmemmap: Addr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Of its `struct page`; the first one's, where several pages are used as one.
    pub addr: Addr,
    /// The first of those pages.
    pub start: PhysAddr,
    pub flags: u64,
    pub kind: PageKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// Objects of one `kmem_cache` lie in it.
    Slab,
    /// Not in use.
    Free,
    PageTable,
    /// Of processes, and of no file.
    Anonymous,
    /// The part of a file that begins at this byte.
    File {
        name: String,
        offset: u64,
    },
    /// The kernel's own for good: its image, and what was given away before there was an allocator.
    Reserved,
    /// Of the kernel, which notes no more of it.
    Other,
}

/// `page_type` of kernels before 6.10 (include/linux/page-flags.h): a bit is clear where it holds. Later
/// ones have these as enumerators.
const TYPE_BASE: u64 = 0xf000_0000;
const BUDDY: u64 = 0x80;
const TABLE: u64 = 0x200;

/// `PAGE_MAPPING_ANON` and `PAGE_MAPPING_MOVABLE`, the lowest bits of `page->mapping`.
const ANONYMOUS: u64 = 1;
const MAPPING_BITS: u64 = 3;

impl Page {
    /// Where the direct map shows its first byte.
    #[must_use]
    pub const fn mapped(&self, bases: Bases) -> Addr {
        bases.direct_map.wrapping_add(self.start.0)
    }
}

pub fn page(
    symbols: &Symbols,
    bases: Bases,
    at: PhysAddr,
    memory: &mut Memory<'_>,
) -> Result<Page, GuestError> {
    let of = Struct::named(symbols, "struct page")?;
    let size = of.size(symbols).max(1);
    let mut addr = bases.vmemmap.wrapping_add((at.0 >> 12).wrapping_mul(size));
    // A page behind the first of several points there, and says so by the lowest bit.
    let head = read_field(symbols, of, "compound_head", addr, memory)?;
    if head & 1 == 1 {
        addr = Addr(head - 1);
    }
    let start = PhysAddr(((addr - bases.vmemmap) / size) << 12);
    let flags = read_field(symbols, of, "flags", addr, memory)?;
    let kind = kind(symbols, of, addr, flags, memory)?;
    Ok(Page {
        addr,
        start,
        flags,
        kind,
    })
}

/// The physical page that a `struct page` is of, and the byte of that structure.
pub fn page_described(symbols: &Symbols, bases: Bases, at: Addr) -> Option<(PhysAddr, u64)> {
    let size = Struct::named(symbols, "struct page").ok()?.size(symbols);
    let within = at - bases.vmemmap;
    let number = within.checked_div(size)?;
    Some((PhysAddr(number << 12), within % size))
}

fn kind(
    symbols: &Symbols,
    of: Struct,
    addr: Addr,
    flags: u64,
    memory: &mut Memory<'_>,
) -> Result<PageKind, GuestError> {
    let types = read_field(symbols, of, "page_type", addr, memory)?;
    let named = |of: &str, name: &str| enumerator(symbols, of, name);
    for (what, kind) in [
        ("slab", PageKind::Slab),
        ("buddy", PageKind::Free),
        ("table", PageKind::PageTable),
        ("reserved", PageKind::Reserved),
    ] {
        if has(&named, flags, types, what) {
            return Ok(kind);
        }
    }
    let mapping = read_field(symbols, of, "mapping", addr, memory)?;
    if mapping & ANONYMOUS != 0 {
        return Ok(PageKind::Anonymous);
    }
    let mapping = Addr(mapping & !MAPPING_BITS);
    if !mapping.in_kernel_half() {
        return Ok(PageKind::Other);
    }
    let index = read_field(symbols, of, "index", addr, memory)?;
    Ok(match file_name(symbols, mapping, memory) {
        Ok(name) => PageKind::File {
            name,
            offset: index.wrapping_mul(0x1000),
        },
        Err(_) => PageKind::Other,
    })
}

/// Whether a page is marked as that: by a bit of `flags` (`PG_slab` up to 6.9, `PG_reserved`), by a
/// type in the highest byte of `page_type` (`PGTY_slab`, from 6.12), or by a clear bit of it.
fn has(named: &dyn Fn(&str, &str) -> Option<u64>, flags: u64, types: u64, what: &str) -> bool {
    let flag = format!("PG_{what}");
    if let Some(bit) = named("enum pageflags", &flag) {
        return flags >> (bit & 63) & 1 == 1;
    }
    let of_type = |name: &str| named("enum pagetype", name).map(|found| found & 0xffff_ffff);
    if let Some(found) = of_type(&format!("PGTY_{what}")) {
        return types >> 24 == found & 0xff;
    }
    let base = of_type("PAGE_TYPE_BASE").unwrap_or(TYPE_BASE);
    let bit = of_type(&flag).or(match what {
        "buddy" => Some(BUDDY),
        "table" => Some(TABLE),
        _ => None,
    });
    bit.is_some_and(|bit| types & (base | bit) == base)
}

fn enumerator(symbols: &Symbols, of: &str, name: &str) -> Option<u64> {
    let Type::Enum { values, .. } = symbols.type_of(symbols.type_named(of)?) else {
        return None;
    };
    let found = values.iter().find(|(other, _)| other == name)?;
    Some(found.1.cast_unsigned())
}

/// A file by its file system and its name there, `vda:init`; without a name its inode's number.
fn file_name(
    symbols: &Symbols,
    mapping: Addr,
    memory: &mut Memory<'_>,
) -> Result<String, GuestError> {
    let of = Struct::named(symbols, "struct address_space")?;
    let inode = Addr(read_field(symbols, of, "host", mapping, memory)?);
    let of = Struct::named(symbols, "struct inode")?;
    let mut number = |path: &str| read_field(symbols, of, path, inode, memory);
    let (number_of, block) = (number("i_ino")?, Addr(number("i_sb")?));
    let alias = Addr(number("i_dentry.first").unwrap_or(0));
    let (within, _) = Struct::named(symbols, "struct super_block")?.field(symbols, "s_id")?;
    let system = read_text("super_block.s_id", block + within, 32, memory)?;
    let of = Struct::named(symbols, "struct dentry")?;
    let link = of.field(symbols, "d_u.d_alias").map(|(at, _)| at);
    let name = match (alias.0, link) {
        (1.., Ok(link)) => name_of(symbols, alias.wrapping_sub(link), memory).ok(),
        _ => None,
    };
    Ok(match name {
        Some(name) => format!("{system}:{name}"),
        None => format!("{system}:inode {number_of}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What pages with these flags and this type are marked as, in a kernel with these enumerators.
    fn marks(known: &[(&str, &str, u64)], flags: u64, types: u64) -> Vec<&'static str> {
        let named = |of: &str, name: &str| {
            let found = known.iter().find(|one| (one.0, one.1) == (of, name));
            found.map(|one| one.2)
        };
        let all = ["slab", "buddy", "table", "reserved"];
        all.into_iter()
            .filter(|what| has(&named, flags, types, what))
            .collect()
    }

    #[test]
    fn pages_are_told_by_the_marks_of_each_kernel() {
        const FLAGS: &str = "enum pageflags";
        const TYPES: &str = "enum pagetype";
        let none = [""; 0];
        // 6.1
        let old = [(FLAGS, "PG_slab", 9), (FLAGS, "PG_reserved", 12)];
        assert_eq!(marks(&old, 1 << 9, 0xffff_ffff), ["slab"]);
        assert_eq!(marks(&old, 1 << 12, 0xffff_ff7f), ["buddy", "reserved"]);
        assert_eq!(marks(&old, 0, 0xffff_fdff), ["table"]);
        assert_eq!(marks(&old, 0, 3), none, "it is mapped four times");
        // 6.11, whose types lie above their numbers' lower half
        let later = [
            (TYPES, "PG_buddy", 0x4000_0000),
            (TYPES, "PG_table", 0x1000_0000),
            (TYPES, "PG_slab", 0x0200_0000),
            (TYPES, "PAGE_TYPE_BASE", 0xffff_ffff_8000_0000),
        ];
        assert_eq!(marks(&later, 0, 0xbfff_ffff), ["buddy"]);
        assert_eq!(marks(&later, 0, 0xfdff_ffff), ["slab"]);
        assert_eq!(marks(&later, 0, 0xffff_ffff), none);
        // 6.12
        let now = [
            (TYPES, "PGTY_buddy", 0xf0),
            (TYPES, "PGTY_table", 0xf2),
            (TYPES, "PGTY_slab", 0xf5),
        ];
        assert_eq!(marks(&now, 0, 0xf500_0010), ["slab"]);
        assert_eq!(marks(&now, 0, 0xffff_ffff), none);
    }
}
