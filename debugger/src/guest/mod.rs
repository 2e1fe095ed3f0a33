//! Mirrors of the kernel's own structures, filled by field name through DWARF: no offset of a field
//! is written down here.

mod asleep;
pub mod containers;
pub mod descriptors;
mod every;
mod files;
mod interrupts;
mod page;
mod path;
mod preempt;
mod slab;
pub mod sockets;
mod stacks;
mod task;
mod vma;
mod vmalloc;
mod waits;

use crate::addr::{Addr, AddrRange};
use crate::symbols::Symbols;
use crate::symbols::types::TypeId;
use crate::symbols::unwind::Memory;

pub use asleep::{Asleep, asleep};
pub use every::{Every, State, every};
pub use files::file_behind;
pub use interrupts::{Counter, counters};
pub use page::{Bases, Page, PageKind, page, page_described};
pub use preempt::preempt_count;
pub use slab::{SlabObject, slab_object};
pub(crate) use stacks::CPU_ENTRY_AREA;
pub use stacks::{Stack, Stacks};
pub use task::{Task, current, read as task_at, tasks};
pub use vma::{Backing, Vma, VmaFlags, Vmas, vmas};
pub use vmalloc::{VmallocArea, module_at, vmalloc_area};
pub use waits::{is_scheduler, waits_for};

/// The next step where a kernel's own names are not enough.
pub const GIVE_VMLINUX: &str = "'file VMLINUX' reads one, or attach with --vmlinux";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    #[error("looking for '{field}' in '{of}': vmlinux does not tell it; {next}")]
    NoField {
        of: &'static str,
        field: String,
        next: &'static str,
    },
    #[error("no vmlinux was given, so '{of}' is not known")]
    NoTypes { of: &'static str },
    #[error("looking for the kernel's '{name}': vmlinux has no such symbol")]
    NoSymbol { name: &'static str },
    #[error("reading '{what}' at {addr:?}: nothing readable is there; is the kernel up yet?")]
    Unreadable { what: String, addr: Addr },
    #[error("following the {what}: after {count} links it comes to {at:?} again, or has no end")]
    Endless {
        what: &'static str,
        at: Addr,
        count: usize,
    },
    #[error("{task} has no address space of its own: it is a thread of the kernel, or has ended")]
    NoAddressSpace { task: String },
    #[error("the CPU's own area is not set up yet: gs does not point into the kernel's half")]
    NoCpuArea,
}

impl GuestError {
    /// What mends it.
    #[must_use]
    pub const fn next(&self) -> &'static str {
        match self {
            Self::NoTypes { .. } => GIVE_VMLINUX,
            _ => "it needs a kernel that is up, and its vmlinux with DWARF",
        }
    }
}

/// A struct's type, looked up once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Struct {
    name: &'static str,
    of: TypeId,
}

impl Struct {
    /// `struct task_struct`.
    pub(crate) fn named(symbols: &Symbols, name: &'static str) -> Result<Self, GuestError> {
        match symbols.type_named(name) {
            Some(of) => Ok(Self { name, of }),
            None if symbols.are_of_memory() => Err(GuestError::NoTypes { of: name }),
            None => Err(GuestError::NoField {
                of: name,
                field: "its definition".to_owned(),
                next: "build the kernel with CONFIG_DEBUG_INFO_DWARF5",
            }),
        }
    }

    /// Bytes.
    pub(crate) fn size(self, symbols: &Symbols) -> u64 {
        symbols.size_of(self.of)
    }

    /// Bytes from the start, and the type, of `thread.sp`.
    pub(crate) fn field(self, symbols: &Symbols, path: &str) -> Result<(u64, TypeId), GuestError> {
        symbols
            .field(self.of, path)
            .ok_or_else(|| GuestError::NoField {
                of: self.name,
                field: path.to_owned(),
                next: "this kernel's structures differ from those known",
            })
    }
}

/// Up to eight bytes of a field, as an unsigned number.
pub(crate) fn read_field(
    symbols: &Symbols,
    of: Struct,
    path: &str,
    at: Addr,
    memory: &mut Memory<'_>,
) -> Result<u64, GuestError> {
    let (offset, kind) = of.field(symbols, path)?;
    let len = usize::try_from(symbols.size_of(kind).clamp(1, 8)).unwrap_or(8);
    let mut bytes = [0; 8];
    let addr = at + offset;
    match memory(addr, &mut bytes[..len]) {
        true => Ok(u64::from_le_bytes(bytes)),
        false => Err(GuestError::Unreadable {
            what: format!("{}.{path}", of.name),
            addr,
        }),
    }
}

/// Where one of the kernel's own names is; of a per-CPU variable its offset.
fn address_of(symbols: &Symbols, name: &'static str) -> Result<Addr, GuestError> {
    symbols
        .address_of(name)
        .ok_or(GuestError::NoSymbol { name })
}

/// Where in each CPU's own area a variable lies that from 6.2 to 6.14 is a field of `pcpu_hot`.
fn in_each_cpu(
    symbols: &Symbols,
    name: &'static str,
    field: &'static str,
) -> Result<u64, GuestError> {
    if let Some(offset) = symbols.address_of(name) {
        return Ok(offset.0);
    }
    let hot = address_of(symbols, "pcpu_hot")?;
    let (field, _) = Struct::named(symbols, "struct pcpu_hot")?.field(symbols, field)?;
    Ok(hot.0.wrapping_add(field))
}

/// A word of the kernel's data by its symbol.
pub fn read_variable(
    symbols: &Symbols,
    name: &'static str,
    memory: &mut Memory<'_>,
) -> Result<u64, GuestError> {
    read_word(name, address_of(symbols, name)?, memory)
}

pub(crate) fn read_word(
    what: &str,
    addr: Addr,
    memory: &mut Memory<'_>,
) -> Result<u64, GuestError> {
    let mut bytes = [0; 8];
    match memory(addr, &mut bytes) {
        true => Ok(u64::from_le_bytes(bytes)),
        false => Err(GuestError::Unreadable {
            what: what.to_owned(),
            addr,
        }),
    }
}

/// Each CPU's own area, as the kernel has laid them out; what gs points to there.
pub fn cpu_areas(
    symbols: &Symbols,
    cpus: u32,
    memory: &mut Memory<'_>,
) -> Result<Vec<AddrRange>, GuestError> {
    let table = "__per_cpu_offset";
    let start = address_of(symbols, table)?;
    let size = address_of(symbols, "__per_cpu_end")?;
    let mut areas = Vec::new();
    for cpu in 0..u64::from(cpus) {
        let base = read_word(table, start + cpu * 8, memory)?;
        // Before they are set up the table holds the link-time place.
        if base >> 63 == 0 {
            return Err(GuestError::NoCpuArea);
        }
        areas.push(AddrRange::new(Addr(base), Addr(base) + size.0));
    }
    Ok(areas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::in_memory::Constants;

    #[test]
    fn a_kernel_known_by_its_memory_lacks_a_vmlinux_and_no_option_of_its_build() {
        let symbols = Symbols::of_memory(&[], Vec::new(), &Constants::default());
        let error = Struct::named(&symbols, "struct task_struct").unwrap_err();
        let told = "no vmlinux was given, so 'struct task_struct' is not known";
        assert_eq!(error.to_string(), told);
        assert_eq!(error.next(), GIVE_VMLINUX);
    }
}
