//! The mappings of a process, as `/proc/PID/maps` has them, from its `mm_struct`.

use std::fmt;

use super::path::{path_of, read_text};
use super::{GuestError, Struct, Task, containers, read_field};
use crate::addr::{Addr, AddrRange};
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

/// One `vm_area_struct`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vma {
    pub range: AddrRange,
    pub flags: VmaFlags,
    pub backing: Backing,
    /// Of a file: the mapping's first byte in it.
    pub offset: u64,
}

/// What a mapping shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// A file, by its path.
    File(String),
    Stack,
    Heap,
    /// What the kernel puts there for the program: `[vdso]`, `[vvar]`.
    Kernel(String),
    /// Memory that the program has given a name.
    Named(String),
    Anonymous,
}

/// `vm_flags` (include/linux/mm.h): the lowest four are what the program asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmaFlags(pub u64);

const READ: u64 = 0x1;
const WRITE: u64 = 0x2;
const EXEC: u64 = 0x4;
const SHARED: u64 = 0x8;
const SPECIAL: [(u64, &str); 7] = [
    (0x100, "grows down"),
    (0x400, "no struct pages"),
    (0x2000, "locked"),
    (0x4000, "device memory"),
    (0x2_0000, "not copied by fork"),
    (0x40_0000, "huge pages of hugetlbfs"),
    (0x2000_0000, "huge pages wanted"),
];

/// All mappings of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vmas {
    /// By address.
    pub list: Vec<Vma>,
    /// Entries that made no sense: memory that changed while it was read.
    pub damaged: usize,
}

impl VmaFlags {
    #[must_use]
    pub const fn write(self) -> bool {
        self.0 & WRITE != 0
    }

    #[must_use]
    pub const fn execute(self) -> bool {
        self.0 & EXEC != 0
    }

    /// `rw-p`, as `/proc/PID/maps` has it.
    #[must_use]
    pub fn letters(self) -> String {
        let letter = |bit, letter| if self.0 & bit != 0 { letter } else { '-' };
        let shared = if self.0 & SHARED != 0 { 's' } else { 'p' };
        [
            letter(READ, 'r'),
            letter(WRITE, 'w'),
            letter(EXEC, 'x'),
            shared,
        ]
        .iter()
        .collect()
    }

    /// What else is particular about it.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        SPECIAL
            .into_iter()
            .filter(move |(bit, _)| self.0 & bit != 0)
            .map(|(_, word)| word)
    }
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(path) => path,
            Self::Stack => "stack",
            Self::Heap => "heap",
            Self::Kernel(name) => name,
            Self::Named(name) => return write!(f, "anonymous memory '{name}'"),
            Self::Anonymous => "anonymous memory",
        })
    }
}

/// Of a task that has an address space of its own. Kernels up to 6.0 chain the mappings in a list,
/// later ones keep them in a maple tree.
pub fn vmas(symbols: &Symbols, task: &Task, memory: &mut Memory<'_>) -> Result<Vmas, GuestError> {
    let mm = task
        .mm
        .ok_or_else(|| GuestError::NoAddressSpace { task: task.label() })?;
    let spaces = Struct::named(symbols, "struct mm_struct")?;
    let of = Struct::named(symbols, "struct vm_area_struct")?;
    let places = match spaces.field(symbols, "mm_mt") {
        Ok((at, _)) => containers::maple(symbols, mm + at, memory)?
            .iter()
            .filter(|(_, number)| !number)
            .map(|(entry, _)| Addr(*entry))
            .collect(),
        Err(_) => chained(symbols, spaces, of, mm, memory)?,
    };
    let mut whose = Whose::of(symbols, spaces, mm, memory)?;
    let mut found = Vmas::default();
    for at in places {
        match whose.vma(symbols, of, at, memory) {
            Ok(vma) if !vma.range.is_empty() && !vma.range.start.in_kernel_half() => {
                found.list.push(vma);
            }
            Ok(_) | Err(_) => found.damaged += 1,
        }
    }
    found.list.sort_by_key(|vma| vma.range.start);
    // A mapping that was moved while it was read may be met twice.
    let before = found.list.len();
    found
        .list
        .dedup_by(|next, kept| next.range.start < kept.range.end);
    found.damaged += before - found.list.len();
    Ok(found)
}

/// `mm->mmap` and `vm_next`.
fn chained(
    symbols: &Symbols,
    spaces: Struct,
    of: Struct,
    mm: Addr,
    memory: &mut Memory<'_>,
) -> Result<Vec<Addr>, GuestError> {
    let mut found = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut at = Addr(read_field(symbols, spaces, "mmap", mm, memory)?);
    while at.0 != 0 {
        if !seen.insert(at) || found.len() >= containers::MOST {
            return Err(GuestError::Endless {
                what: "list of mappings",
                at,
                count: found.len(),
            });
        }
        found.push(at);
        at = Addr(read_field(symbols, of, "vm_next", at, memory)?);
    }
    Ok(found)
}

/// What is the same for all mappings of a process.
struct Whose {
    heap: AddrRange,
    stack: Addr,
    /// Mappings with these operations are the kernel's own.
    special: Option<Addr>,
    /// The last file met and its path: a program's parts lie side by side.
    last: Option<(Addr, String)>,
}

impl Whose {
    fn of(
        symbols: &Symbols,
        spaces: Struct,
        mm: Addr,
        memory: &mut Memory<'_>,
    ) -> Result<Self, GuestError> {
        let mut number = |path: &str| read_field(symbols, spaces, path, mm, memory).map(Addr);
        Ok(Self {
            heap: AddrRange::new(number("start_brk")?, number("brk")?),
            stack: number("start_stack")?,
            special: symbols.address_of("special_mapping_vmops"),
            last: None,
        })
    }

    fn vma(
        &mut self,
        symbols: &Symbols,
        of: Struct,
        at: Addr,
        memory: &mut Memory<'_>,
    ) -> Result<Vma, GuestError> {
        let mut number = |path: &str| read_field(symbols, of, path, at, memory);
        let range = AddrRange::new(Addr(number("vm_start")?), Addr(number("vm_end")?));
        // In a union with a name of its own for writers since 6.3.
        let flags = VmaFlags(number("vm_flags")?);
        let file = Addr(number("vm_file")?);
        let offset = number("vm_pgoff")?.wrapping_mul(0x1000);
        let backing = self.backing(symbols, of, at, (range, file), memory);
        Ok(Vma {
            range,
            flags,
            backing,
            offset: if file.0 == 0 { 0 } else { offset },
        })
    }

    fn backing(
        &mut self,
        symbols: &Symbols,
        of: Struct,
        at: Addr,
        (range, file): (AddrRange, Addr),
        memory: &mut Memory<'_>,
    ) -> Backing {
        if file.0 != 0 {
            if let Some((known, path)) = &self.last
                && *known == file
            {
                return Backing::File(path.clone());
            }
            let path =
                path_of(symbols, file, memory).unwrap_or_else(|error| format!("a file ({error})"));
            self.last = Some((file, path.clone()));
            return Backing::File(path);
        }
        if let Some(name) = self.special_name(symbols, of, at, memory) {
            return Backing::Kernel(name);
        }
        if range.contains(self.stack) {
            return Backing::Stack;
        }
        if !self.heap.is_empty() && range.start < self.heap.end && self.heap.start < range.end {
            return Backing::Heap;
        }
        match given_name(symbols, of, at, memory) {
            Some(name) => Backing::Named(name),
            None => Backing::Anonymous,
        }
    }

    /// `struct vm_special_mapping.name`
    fn special_name(
        &self,
        symbols: &Symbols,
        of: Struct,
        at: Addr,
        memory: &mut Memory<'_>,
    ) -> Option<String> {
        let operations = Addr(read_field(symbols, of, "vm_ops", at, memory).ok()?);
        if self.special != Some(operations) {
            return None;
        }
        let mapping = Addr(read_field(symbols, of, "vm_private_data", at, memory).ok()?);
        let of = Struct::named(symbols, "struct vm_special_mapping").ok()?;
        let name = Addr(read_field(symbols, of, "name", mapping, memory).ok()?);
        read_text("vm_special_mapping.name", name, 64, memory).ok()
    }
}

/// By `prctl(PR_SET_VMA)`, where the kernel is built with CONFIG_ANON_VMA_NAME.
fn given_name(symbols: &Symbols, of: Struct, at: Addr, memory: &mut Memory<'_>) -> Option<String> {
    let name = Addr(read_field(symbols, of, "anon_name", at, memory).ok()?);
    if name.0 == 0 {
        return None;
    }
    let of = Struct::named(symbols, "struct anon_vma_name").ok()?;
    let (within, _) = of.field(symbols, "name").ok()?;
    read_text("anon_vma_name", name + within, 80, memory).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_read_as_maps_has_them() {
        assert_eq!(VmaFlags(0x3 | 0x70).letters(), "rw-p");
        assert_eq!(VmaFlags(0x5).letters(), "r-xp");
        assert_eq!(VmaFlags(0xb).letters(), "rw-s");
        let words: Vec<_> = VmaFlags(0x2100).words().collect();
        assert_eq!(words, ["grows down", "locked"]);
    }
}
