//! Objects of the kernel's SLUB allocator: which cache an address belongs to, and whether it is in use.

use super::page::{Bases, Page};
use super::path::read_text;
use super::{GuestError, Struct, read_field, read_word};
use crate::addr::{Addr, AddrRange};
use crate::known::Known;
use crate::symbols::unwind::Memory;
use crate::symbols::{Symbols, TypedValue, ValuePlace};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlabObject {
    /// `task_struct`, `kmalloc-64`.
    pub cache: String,
    /// Caches of one size that the kernel has made one, under the name of the first; 1 where it is alone.
    pub sharing: u64,
    /// Which of the slab's objects, from 0, and how many there are; none behind the last.
    pub index: Option<u64>,
    pub count: u64,
    /// Where it begins.
    pub start: Addr,
    /// Bytes of an object, without what the allocator adds.
    pub size: u64,
    pub in_use: Known<bool>,
}

/// Free objects point to each other by words that are coded so that an overwritten one is seen.
struct Links {
    /// Where in an object its word lies.
    offset: u64,
    /// `CONFIG_SLAB_FREELIST_HARDENED`
    random: Option<u64>,
}

impl Links {
    /// mm/slub.c, freelist_ptr(): the stored word and its place's bytes in the other order.
    fn decode(&self, stored: u64, place: Addr) -> u64 {
        match self.random {
            Some(random) => stored ^ random ^ place.0.swap_bytes(),
            None => stored,
        }
    }
}

/// The object of a slab's page that an address lies in.
pub fn slab_object(
    symbols: &Symbols,
    bases: Bases,
    page: &Page,
    at: Addr,
    cpu_areas: &[AddrRange],
    memory: &mut Memory<'_>,
) -> Result<SlabObject, GuestError> {
    // A type of its own since 5.17, the same bytes as `struct page` before.
    let slab =
        Struct::named(symbols, "struct slab").or_else(|_| Struct::named(symbols, "struct page"))?;
    let cache_at = Addr(read_field(symbols, slab, "slab_cache", page.addr, memory)?);
    let cache = Struct::named(symbols, "struct kmem_cache")?;
    let mut number = |path: &str| read_field(symbols, cache, path, cache_at, memory);
    let (step, size) = (number("size")?.max(1), number("object_size")?);
    let links = Links {
        offset: number("offset")?,
        random: number("random").ok(),
    };
    let pad = number("red_left_pad").unwrap_or(0);
    // Of caches that are never merged it is negative.
    let sharing = number("refcount").ok().filter(|count| *count < 1 << 31);
    let (name, own) = (Addr(number("name")?), number("cpu_slab"));
    let cache_name = read_text("kmem_cache.name", name, 64, memory)?;
    let first = page.mapped(bases);
    let count = bits(symbols, slab, page.addr, "objects", memory)?;
    let index = (at - first) / step;
    let mut found = SlabObject {
        cache: cache_name,
        sharing: sharing.unwrap_or(1).max(1),
        index: Some(index).filter(|index| *index < count),
        count,
        start: first
            .wrapping_add(index.wrapping_mul(step))
            .wrapping_add(pad),
        size,
        in_use: Known::no("it lies behind the slab's last object"),
    };
    if found.index.is_none() {
        return Ok(found);
    }
    let mut lists = vec![Addr(read_field(
        symbols, slab, "freelist", page.addr, memory,
    )?)];
    // A CPU that allocates from the slab keeps the list of its free objects itself.
    if let (Ok(own), Ok(of)) = (own, Struct::named(symbols, "struct kmem_cache_cpu")) {
        for area in cpu_areas {
            let at = area.start.wrapping_add(own);
            let held = read_field(symbols, of, "slab", at, memory)
                .or_else(|_| read_field(symbols, of, "page", at, memory));
            if held.is_ok_and(|held| held == page.addr.0) {
                lists.push(Addr(read_field(symbols, of, "freelist", at, memory)?));
            }
        }
    }
    let slab = AddrRange::new(first, first.wrapping_add(count.wrapping_mul(step)));
    found.in_use = in_use(&links, &lists, slab, (step, index), memory);
    Ok(found)
}

/// By the lists of what is free: an object on none of them is in use.
fn in_use(
    links: &Links,
    lists: &[Addr],
    slab: AddrRange,
    (step, index): (u64, u64),
    memory: &mut Memory<'_>,
) -> Known<bool> {
    let most = slab.len() / step;
    for list in lists {
        let mut free = *list;
        let mut seen = 0;
        while free.0 != 0 {
            if !slab.contains(free) || seen > most {
                return Known::no("the slab's list of free objects makes no sense");
            }
            if (free - slab.start) / step == index {
                return Known::Yes(false);
            }
            seen += 1;
            let place = free.wrapping_add(links.offset);
            match read_word("a free object's link", place, memory) {
                Ok(stored) => free = Addr(links.decode(stored, place)),
                Err(error) => return Known::no(error.to_string()),
            }
        }
    }
    Known::Yes(true)
}

/// A bit field by its name.
fn bits(
    symbols: &Symbols,
    of: Struct,
    at: Addr,
    name: &str,
    memory: &mut Memory<'_>,
) -> Result<u64, GuestError> {
    // Says that there is none, in the words of every other field.
    of.field(symbols, name)?;
    let whole = TypedValue {
        of: of.of,
        place: ValuePlace::Memory(at),
        bits: None,
    };
    symbols
        .value_member(&whole, name)
        .and_then(|member| symbols.value_number(&member, memory))
        .map_err(|_| GuestError::Unreadable {
            what: format!("{}.{name}", of.name),
            addr: at,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four objects of 16 bytes at 0x1000; 2 and then 0 are free.
    fn check(links: &Links, index: u64) -> Known<bool> {
        let mut words = [0_u64; 8];
        words[4] = links.decode(0x1000, Addr(0x1020));
        words[0] = links.decode(0, Addr(0x1000));
        let mut memory = |at: Addr, bytes: &mut [u8]| {
            let word = words[usize::try_from((at.0 - 0x1000) / 8).unwrap()];
            bytes.copy_from_slice(&word.to_le_bytes());
            true
        };
        let slab = AddrRange::new(Addr(0x1000), Addr(0x1040));
        in_use(links, &[Addr(0x1020)], slab, (16, index), &mut memory)
    }

    #[test]
    fn free_objects_are_found_on_their_list() {
        for random in [None, Some(0x1234_5678_9abc_def0)] {
            let links = Links { offset: 0, random };
            let used: Vec<_> = (0..4).map(|index| check(&links, index)).collect();
            let [no, yes] = [Known::Yes(false), Known::Yes(true)];
            assert_eq!(used, [no.clone(), yes.clone(), no, yes]);
        }
    }

    #[test]
    fn a_list_that_makes_no_sense_tells_nothing() {
        let links = Links {
            offset: 0,
            random: None,
        };
        let slab = AddrRange::new(Addr(0x1000), Addr(0x1040));
        let mut circle = |_: Addr, bytes: &mut [u8]| {
            bytes.copy_from_slice(&0x1000_u64.to_le_bytes());
            true
        };
        let found = in_use(&links, &[Addr(0x1000)], slab, (16, 3), &mut circle);
        assert!(matches!(found, Known::No(_)), "{found:?}");
        let found = in_use(&links, &[Addr(0x5000)], slab, (16, 3), &mut circle);
        assert!(matches!(found, Known::No(_)), "{found:?}");
    }
}
