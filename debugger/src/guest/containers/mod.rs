//! The kernel's containers as sequences: the addresses of the links in them, in their order.

mod indexed;

pub use indexed::{maple, xarray};

use std::collections::HashSet;

use super::{GuestError, Struct, read_field};
use crate::addr::Addr;
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

/// More links than any that is worth listing; one that is overwritten may lead in a circle.
pub(super) const MOST: usize = 100_000;

/// Of a `struct list_head`, as `list_for_each` goes: the head is not among them.
pub fn list(
    symbols: &Symbols,
    head: Addr,
    memory: &mut Memory<'_>,
) -> Result<Vec<Addr>, GuestError> {
    let link = Struct::named(symbols, "struct list_head")?;
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut at = head;
    loop {
        at = Addr(read_field(symbols, link, "next", at, memory)?);
        if at == head {
            return Ok(found);
        }
        taken("list", at, &mut found, &mut seen)?;
    }
}

/// Of a `struct hlist_head`, or of an `hlist_nulls_head`, whose end is an odd number.
pub fn hlist(
    symbols: &Symbols,
    head: Addr,
    memory: &mut Memory<'_>,
) -> Result<Vec<Addr>, GuestError> {
    let first = Struct::named(symbols, "struct hlist_head")?;
    let link = Struct::named(symbols, "struct hlist_node")?;
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut at = Addr(read_field(symbols, first, "first", head, memory)?);
    while at.0 != 0 && at.0 & 1 == 0 {
        taken("hlist", at, &mut found, &mut seen)?;
        at = Addr(read_field(symbols, link, "next", at, memory)?);
    }
    Ok(found)
}

/// Of a `struct rb_root`, or of an `rb_root_cached`, which begins with one; the leftmost first.
pub fn rbtree(
    symbols: &Symbols,
    root: Addr,
    memory: &mut Memory<'_>,
) -> Result<Vec<Addr>, GuestError> {
    let of = Struct::named(symbols, "struct rb_root")?;
    let node = Struct::named(symbols, "struct rb_node")?;
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut above = Vec::new();
    let mut at = Addr(read_field(symbols, of, "rb_node", root, memory)?);
    loop {
        while at.0 != 0 {
            // Each node is met once on the way down.
            if !seen.insert(at) || seen.len() > MOST {
                return Err(endless("red-black tree", at, seen.len()));
            }
            above.push(at);
            at = Addr(read_field(symbols, node, "rb_left", at, memory)?);
        }
        let Some(next) = above.pop() else {
            return Ok(found);
        };
        found.push(next);
        at = Addr(read_field(symbols, node, "rb_right", next, memory)?);
    }
}

fn taken(
    what: &'static str,
    at: Addr,
    found: &mut Vec<Addr>,
    seen: &mut HashSet<Addr>,
) -> Result<(), GuestError> {
    if !seen.insert(at) || found.len() >= MOST {
        return Err(endless(what, at, found.len()));
    }
    found.push(at);
    Ok(())
}

const fn endless(what: &'static str, at: Addr, count: usize) -> GuestError {
    GuestError::Endless { what, at, count }
}
