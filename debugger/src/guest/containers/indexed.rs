//! Trees from indices to entries: XArrays (include/linux/xarray.h) and maple trees
//! (include/linux/maple_tree.h). Both mark a pointer to a node by its lowest two bits being 2.

use super::endless;
use crate::addr::Addr;
use crate::guest::{GuestError, Struct, read_field, read_word};
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

/// More entries or nodes than any that is worth listing.
const MOST: usize = 100_000;

/// Deeper than 64 bits of index reach.
const DEEPEST: u32 = 16;

/// Below it lie the tree's own marks: a retry, a zero entry, the sibling of a larger entry.
const MARKS: u64 = 4096;

const fn is_internal(entry: u64) -> bool {
    entry & 3 == 2
}

const fn is_node(entry: u64) -> bool {
    is_internal(entry) && entry > MARKS
}

/// What a `struct xarray` holds, by index: the entries' bits. A pair with `true` is a number that
/// is held instead of a pointer.
pub fn xarray(
    symbols: &Symbols,
    array: Addr,
    memory: &mut Memory<'_>,
) -> Result<Vec<(u64, bool)>, GuestError> {
    let of = Struct::named(symbols, "struct xarray")?;
    let root = read_field(symbols, of, "xa_head", array, memory)?;
    let mut walk = Walk::default();
    walk.xarray(symbols, root, DEEPEST, memory)?;
    Ok(walk.found.iter().map(|entry| told(*entry)).collect())
}

/// What a `struct maple_tree` holds, by range, as [`xarray`] gives it.
pub fn maple(
    symbols: &Symbols,
    tree: Addr,
    memory: &mut Memory<'_>,
) -> Result<Vec<(u64, bool)>, GuestError> {
    let of = Struct::named(symbols, "struct maple_tree")?;
    let root = read_field(symbols, of, "ma_root", tree, memory)?;
    let mut walk = Walk::default();
    walk.maple(symbols, root, u64::MAX, DEEPEST, memory)?;
    Ok(walk.found.iter().map(|entry| told(*entry)).collect())
}

const fn told(entry: u64) -> (u64, bool) {
    match entry & 1 {
        1 => (entry >> 1, true),
        _ => (entry, false),
    }
}

#[derive(Default)]
struct Walk {
    found: Vec<u64>,
    nodes: usize,
}

impl Walk {
    fn enter(&mut self, what: &'static str, at: Addr, depth: u32) -> Result<u32, GuestError> {
        self.nodes += 1;
        match depth.checked_sub(1) {
            Some(deeper) if self.nodes < MOST && self.found.len() < MOST => Ok(deeper),
            _ => Err(endless(what, at, self.found.len())),
        }
    }

    /// An entry that is there, and no mark of the tree's own.
    fn hold(&mut self, entry: u64) {
        if entry != 0 && !is_internal(entry) {
            self.found.push(entry);
        }
    }

    fn xarray(
        &mut self,
        symbols: &Symbols,
        entry: u64,
        depth: u32,
        memory: &mut Memory<'_>,
    ) -> Result<(), GuestError> {
        if !is_node(entry) {
            self.hold(entry);
            return Ok(());
        }
        let node = Addr(entry - 2);
        let depth = self.enter("XArray", node, depth)?;
        let (at, slots) = Struct::named(symbols, "struct xa_node")?.field(symbols, "slots")?;
        for slot in 0..(symbols.size_of(slots) / 8).min(64) {
            let place = node.wrapping_add(at).wrapping_add(slot * 8);
            let entry = read_word("xa_node.slots", place, memory)?;
            self.xarray(symbols, entry, depth, memory)?;
        }
        Ok(())
    }

    fn maple(
        &mut self,
        symbols: &Symbols,
        entry: u64,
        max: u64,
        depth: u32,
        memory: &mut Memory<'_>,
    ) -> Result<(), GuestError> {
        if !is_node(entry) {
            self.hold(entry);
            return Ok(());
        }
        // Nodes are aligned to 256 bytes; bits 3 to 6 tell their kind (enum maple_type).
        let node = Addr(entry & !0xff);
        let depth = self.enter("maple tree", node, depth)?;
        let (name, leaf) = match entry >> 3 & 0xf {
            1 => ("struct maple_range_64", true),
            2 => ("struct maple_range_64", false),
            _ => ("struct maple_arange_64", false),
        };
        let of = Struct::named(symbols, name)?;
        let (pivots_at, pivots) = of.field(symbols, "pivot")?;
        let (slots_at, _) = of.field(symbols, "slot")?;
        let pivots = symbols.size_of(pivots) / 8;
        for slot in 0..=pivots.min(63) {
            let word = |at: u64, memory: &mut Memory<'_>| {
                let place = node.wrapping_add(at).wrapping_add(slot * 8);
                read_word("maple_node", place, memory)
            };
            let pivot = match slot < pivots {
                true => word(pivots_at, memory)?,
                false => max,
            };
            // The last one used is not written down: it reaches to the node's end.
            let end = match pivot == 0 && slot > 0 {
                true => max,
                false => pivot,
            };
            let held = word(slots_at, memory)?;
            match leaf {
                true => self.hold(held),
                false => self.maple(symbols, held, end, depth, memory)?,
            }
            if end >= max {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_from_nodes_and_marks() {
        assert!(is_node(0xffff_8880_0123_4502));
        assert!(!is_node(0xffff_8880_0123_4500));
        assert!(!is_node(2) && is_internal(2));
        assert_eq!(told(7), (3, true));
        assert_eq!(told(0x1000), (0x1000, false));
    }
}
