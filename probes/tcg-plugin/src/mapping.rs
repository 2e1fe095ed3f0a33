//! The mapping that the debugger has made: its header, its site table, a ring for each vCPU.

use std::fs::OpenOptions;
use std::ptr;

use rustix::mm::{MapFlags, ProtFlags, mmap};
use wire::layout::{CHECKS_OFFSET, CHOICE_OFFSET};
use wire::{Checks, Choice, Header, Shape, Site};

use crate::ring::Ring;

/// Never unmapped: it lives as long as QEMU does.
#[derive(Debug)]
pub struct Mapping {
    start: *mut u8,
    shape: Shape,
}

impl Mapping {
    /// # Errors
    /// When there is no such file, or it is no mapping of this version.
    pub fn open(path: &str) -> Result<Self, String> {
        let failed = |what: &str, why: &dyn std::fmt::Display| format!("{what} {path}: {why}");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| failed("opening", &error))?;
        let length = file
            .metadata()
            .map_err(|error| failed("opening", &error))?
            .len();
        let mut head = [0; 64];
        std::io::Read::read_exact(&mut &file, &mut head)
            .map_err(|error| failed("reading", &error))?;
        let shape = Shape::decode(&head, length).map_err(|damage| failed("reading", &damage))?;
        // SAFETY: a new mapping at an address of the kernel's choice. Pre-faulted: no page fault while
        // the guest runs.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                usize::try_from(shape.total_bytes()).map_err(|error| failed("mapping", &error))?,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::POPULATE,
                &file,
                0,
            )
        }
        .map_err(|error| failed("mapping", &error))?;
        let mapping = Self {
            start: start.cast(),
            shape,
        };
        if !mapping.sites().is_sorted_by_key(|site| site.address) {
            return Err(format!("{path}: the site table is not sorted"));
        }
        Ok(mapping)
    }

    #[must_use]
    pub const fn vcpus(&self) -> u32 {
        self.shape.vcpus
    }

    #[must_use]
    pub fn header(&self) -> &'static Header {
        // SAFETY: the mapping begins with a header.
        unsafe { &*self.start.cast() }
    }

    #[must_use]
    pub fn checks(&self) -> &'static Checks {
        // SAFETY: in the header's page, aligned, and its fields are atomics.
        unsafe { &*self.start.add(CHECKS_OFFSET).cast() }
    }

    #[must_use]
    pub fn choice(&self) -> Choice {
        // SAFETY: in the header's page, aligned, written before QEMU is started; of numbers alone.
        unsafe { self.start.add(CHOICE_OFFSET).cast::<Choice>().read() }
    }

    #[must_use]
    pub fn sites(&self) -> &'static [Site] {
        let offset = usize::try_from(self.shape.sites_offset()).unwrap_or(0);
        // SAFETY: the table lies inside the mapping, which is checked, and its sites are written before
        // QEMU is started.
        unsafe {
            std::slice::from_raw_parts(
                self.start.add(offset).cast(),
                usize::try_from(self.shape.sites).unwrap_or(0),
            )
        }
    }

    #[must_use]
    pub fn ring(&self, vcpu: u32) -> Ring {
        // SAFETY: a mapping of that shape, never unmapped.
        unsafe { Ring::new(self.start, self.shape, vcpu) }
    }
}
