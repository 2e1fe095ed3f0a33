//! The areas of the kernel's virtual memory: vmalloc, mapped devices, task stacks, modules' code.

use super::path::read_text;
use super::{GuestError, Struct, address_of, containers, read_field, read_variable, read_word};
use crate::addr::{Addr, AddrRange};
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmallocArea {
    /// With the guard page behind it, where it has one.
    pub range: AddrRange,
    pub flags: u64,
    pub pages: u64,
    /// What asked for it.
    pub caller: Option<Addr>,
}

/// `vm_struct.flags` (include/linux/vmalloc.h).
const FLAGS: [(u64, &str); 5] = [
    (0x1, "a device's memory"),
    (0x2, "vmalloc"),
    (0x4, "vmap"),
    (0x10, "for DMA"),
    (0x400, "large pages allowed"),
];

/// A tree of areas is not deeper.
const DEEPEST: usize = 128;

impl VmallocArea {
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        let flags = self.flags;
        FLAGS
            .into_iter()
            .filter(move |(bit, _)| flags & bit != 0)
            .map(|(_, word)| word)
    }
}

/// The area that an address lies in. One tree up to 6.8, several from 6.9.
pub fn vmalloc_area(
    symbols: &Symbols,
    at: Addr,
    memory: &mut Memory<'_>,
) -> Result<Option<VmallocArea>, GuestError> {
    if let Some(root) = symbols.address_of("vmap_area_root") {
        return within_tree(symbols, root, at, memory);
    }
    let nodes = Addr(read_variable(symbols, "vmap_nodes", memory)?);
    let count = read_variable(symbols, "nr_vmap_nodes", memory)? & 0xffff_ffff;
    let of = Struct::named(symbols, "struct vmap_node")?;
    let (busy, _) = of.field(symbols, "busy.root")?;
    for node in 0..count.min(1024) {
        let root = nodes
            .wrapping_add(node * of.size(symbols))
            .wrapping_add(busy);
        if let Some(found) = within_tree(symbols, root, at, memory)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn within_tree(
    symbols: &Symbols,
    root: Addr,
    at: Addr,
    memory: &mut Memory<'_>,
) -> Result<Option<VmallocArea>, GuestError> {
    let of = Struct::named(symbols, "struct vmap_area")?;
    let node = Struct::named(symbols, "struct rb_node")?;
    let (link, _) = of.field(symbols, "rb_node")?;
    let mut next = Addr(read_word("rb_root", root, memory)?);
    for _ in 0..DEEPEST {
        if next.0 == 0 {
            return Ok(None);
        }
        let area = next.wrapping_sub(link);
        let mut number = |path: &str| read_field(symbols, of, path, area, memory);
        let range = AddrRange::new(Addr(number("va_start")?), Addr(number("va_end")?));
        if range.contains(at) {
            let vm = Addr(number("vm")?);
            return described(symbols, range, vm, memory).map(Some);
        }
        let side = if at < range.start {
            "rb_left"
        } else {
            "rb_right"
        };
        next = Addr(read_field(symbols, node, side, next, memory)?);
    }
    Err(GuestError::Endless {
        what: "tree of vmalloc areas",
        at: next,
        count: DEEPEST,
    })
}

fn described(
    symbols: &Symbols,
    range: AddrRange,
    vm: Addr,
    memory: &mut Memory<'_>,
) -> Result<VmallocArea, GuestError> {
    let mut found = VmallocArea {
        range,
        flags: 0,
        pages: 0,
        caller: None,
    };
    // Blocks of per-CPU and lazily freed areas have none.
    if vm.0 != 0 {
        let of = Struct::named(symbols, "struct vm_struct")?;
        let mut number = |path: &str| read_field(symbols, of, path, vm, memory);
        found.flags = number("flags")?;
        found.pages = number("nr_pages")?;
        found.caller = Some(Addr(number("caller")?)).filter(|caller| caller.0 != 0);
    }
    Ok(found)
}

/// The loaded module that an address lies in, and the byte of the part it lies in.
pub fn module_at(
    symbols: &Symbols,
    at: Addr,
    memory: &mut Memory<'_>,
) -> Result<Option<(String, u64)>, GuestError> {
    let head = address_of(symbols, "modules")?;
    let of = Struct::named(symbols, "struct module")?;
    let (link, _) = of.field(symbols, "list")?;
    let (text, _) = of.field(symbols, "name")?;
    for entry in containers::list(symbols, head, memory)? {
        let module = entry.wrapping_sub(link);
        // Two parts up to 6.3, an array of them from 6.4.
        for part in ["core_layout", "init_layout"] {
            let mut number =
                |field: &str| read_field(symbols, of, &format!("{part}.{field}"), module, memory);
            let (Ok(base), Ok(size)) = (number("base"), number("size")) else {
                break;
            };
            if at.0.wrapping_sub(base) < size {
                let name = read_text("module.name", module + text, 64, memory)?;
                return Ok(Some((name, at.0.wrapping_sub(base))));
            }
        }
        let parts = of.field(symbols, "mem");
        let (Ok((parts, all)), Ok(one)) = (parts, Struct::named(symbols, "struct module_memory"))
        else {
            continue;
        };
        let step = one.size(symbols).max(1);
        for part in 0..(symbols.size_of(all) / step).min(16) {
            let part = module.wrapping_add(parts + part * step);
            let base = read_field(symbols, one, "base", part, memory)?;
            let size = read_field(symbols, one, "size", part, memory)?;
            if at.0.wrapping_sub(base) < size {
                let name = read_text("module.name", module + text, 64, memory)?;
                return Ok(Some((name, at.0.wrapping_sub(base))));
            }
        }
    }
    Ok(None)
}
