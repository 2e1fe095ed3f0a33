//! What is told of the one address space: its regions, and what one address is.

use serde::Serialize;

use super::Place;
use crate::addr::{AddrRange, PhysAddr};
use crate::known::Known;
use crate::origin::Origin;

/// A region of the one address space.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RegionInfo {
    #[serde(flatten)]
    pub range: AddrRange,
    pub size: u64,
    /// `r-x`, of a process's mapping `rw-p`; `?` where no page table was read.
    pub permissions: String,
    pub origin: Origin,
    /// `.text, 23,356 symbols`, `stack of syscalls/1`, `direct map`.
    pub what: String,
    /// The band of the layout it lies in: `kernel image`, `direct map`, `user half`.
    pub band: String,
    /// What of it is there; none where no page table was read.
    pub resident: Option<ResidentInfo>,
    /// The process's mapping that it is, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vma: Option<VmaInfo>,
}

/// Bytes, and pages of the larger sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResidentInfo {
    pub bytes: u64,
    /// Read or written since the kernel last looked.
    pub accessed: u64,
    pub dirty: u64,
    /// Pages of 2 MiB and of 1 GiB.
    pub pages_2m: u64,
    pub pages_1g: u64,
}

/// A mapping of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VmaInfo {
    /// The file's path, where it shows one.
    pub file: Option<String>,
    /// Its first byte in that file.
    pub offset: u64,
    /// `grows down`, `locked`.
    pub flags: Vec<&'static str>,
}

/// What one address is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AddressInfo {
    #[serde(flatten)]
    pub place: Place,
    /// The most particular first.
    pub is: Vec<Identity>,
    pub region: Option<RegionInfo>,
    pub walk: Known<Vec<PageTableEntry>>,
    pub physical: Known<PhysAddr>,
}

/// One thing that an address is, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// `symbol`, `task stack`, `IRQ stack`, `slab object`, `mapping`, `per-CPU variable`, `vmalloc area`, `page`.
    pub kind: &'static str,
    /// `task_struct object 3 of 12, byte 24, in use`
    pub what: String,
    pub because: String,
}

/// One level of a page-table walk, outermost first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PageTableEntry {
    /// `pgd`, `p4d`, `pud`, `pmd`, `pte`.
    pub level: &'static str,
    pub index: u16,
    pub entry: u64,
    pub at: PhysAddr,
    /// `present, writable, no-execute, 2 MiB page`.
    pub meaning: String,
}
