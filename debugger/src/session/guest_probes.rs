//! Probes in the guest's kernel: found in its memory, asked for records, and where they write them.
//!
//! The kernel may lie at any multiple of its alignment, so the place is known by the build-id that the
//! guest has there: probes of another build are never taken for this one's.

use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memmap2::MmapMut;
use wire::guest::{ANSWER_AT, ProbesPage, REQUEST_AT, WANT_AT, request_bytes};
use wire::{Control, Shape, VERSION};

use super::shared_memory::SharedMemory;
use crate::addr::{Addr, PhysAddr};
use crate::symbols::Symbols;

/// The kernel lies at a multiple of this (`CONFIG_PHYSICAL_ALIGN`).
const STEP: u64 = 2 << 20;
/// What the kernel's first byte of physical memory is linked at (`__START_KERNEL_map`).
const LINKED_AT: u64 = 0xffff_ffff_8000_0000;
const PAGE_SYMBOL: &str = "ukl_probes_page";
const PAGE_BYTES: usize = 4096;
/// Between two looks at the guest's memory.
const LOOK: Duration = Duration::from_millis(2);

#[derive(Debug, thiserror::Error)]
pub enum ProbesError {
    #[error(
        "looking for probes: the kernel has no {PAGE_SYMBOL}, so it was built without; build it by \
         'cargo xtask image NAME --probes' and trace NAME+probes"
    )]
    NoProbes,
    #[error(
        "looking for probes: in {0:?} the guest had no kernel in its memory with the build-id of vmlinux whose \
         probes were ready; look at its console by 'uklscope run', and whether ukl.probes= is on its command line"
    )]
    NotReady(Duration),
    #[error(
        "looking for probes: the guest's records have layout {found}, this program reads {VERSION}; build the \
         image again"
    )]
    Version { found: u32 },
    #[error("looking for the probes' ring in the guest's memory: {0}; build the image again")]
    Ring(wire::Damage),
    #[error("mapping the guest's memory: {0}; free some memory")]
    Map(#[from] io::Error),
    #[error(
        "asking for functions: their names are longer than the guest has room for; use fewer of them, or '*'"
    )]
    TooLong,
    #[error(
        "asking for functions: the kernel can trace no function '{0}': it has none of that name, or it is one \
         that must not be traced; 'uklscope symbols IMAGE {0}' lists what there is"
    )]
    NoFunction(String),
    #[error("asking for records: the guest answered with error {0}; look at its console")]
    Refused(i32),
    #[error("asking for records: the guest did not answer in {0:?}; look at its console")]
    Silent(Duration),
}

/// The page by which the guest is asked.
#[derive(Debug)]
pub struct GuestProbes {
    page: MmapMut,
    asked: u32,
}

/// The probes' ring, mapped as the guest has it.
#[derive(Debug)]
pub struct GuestRing {
    pub(super) mapping: MmapMut,
    pub(super) shape: Shape,
}

impl GuestRing {
    /// Chunks finished and records lost, of all vCPUs.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let control = |vcpu| {
            let at = usize::try_from(self.shape.control_offset(vcpu)).unwrap_or(0);
            assert!(at + size_of::<Control>() <= self.mapping.len());
            // SAFETY: inside the mapping and aligned by the layout; what changes in it are atomics.
            unsafe { &*self.mapping.as_ptr().add(at).cast::<Control>() }
        };
        (0..self.shape.vcpus)
            .map(control)
            .fold((0, 0), |(chunks, lost), one| {
                let load = |word: &AtomicU64| word.load(Ordering::Acquire);
                (chunks + load(&one.head), lost + load(&one.lost))
            })
    }
}

impl GuestProbes {
    /// Waits until the guest's probes are ready; `give_up` ends it.
    ///
    /// # Errors
    /// When the kernel has none, or they are not ready in time.
    pub fn find(
        memory: &SharedMemory,
        symbols: &Symbols,
        patience: Duration,
        give_up: &dyn Fn() -> bool,
    ) -> Result<Self, ProbesError> {
        let page = symbols.address_of(PAGE_SYMBOL);
        let page = symbols.slide().linked(page.ok_or(ProbesError::NoProbes)?);
        let note = symbols.build_id_note();
        let began = Instant::now();
        while began.elapsed() < patience && !give_up() {
            if let Some((at, found)) = ready(memory, page, note.as_ref()) {
                if found.version != VERSION {
                    let found = found.version;
                    return Err(ProbesError::Version { found });
                }
                let page = memory.map(at, PAGE_BYTES)?;
                return Ok(Self { page, asked: 0 });
            }
            std::thread::sleep(LOOK);
        }
        Err(ProbesError::NotReady(began.elapsed()))
    }

    /// What the guest tells of itself.
    #[must_use]
    pub fn told(&self) -> Option<ProbesPage> {
        ProbesPage::decode(&self.page)
    }

    /// Maps the ring that the guest writes.
    ///
    /// # Errors
    /// When there is none where the guest says.
    pub fn ring(&self, memory: &SharedMemory) -> Result<GuestRing, ProbesError> {
        let told = self.told().ok_or(ProbesError::NotReady(Duration::ZERO))?;
        let bytes = usize::try_from(told.ring_bytes).map_err(io::Error::other)?;
        let mapping = memory.map(PhysAddr(told.ring), bytes)?;
        let shape = Shape::decode(&mapping, told.ring_bytes).map_err(ProbesError::Ring)?;
        Ok(GuestRing { mapping, shape })
    }

    /// Starts the probes anew, or stops them, and waits until that is done.
    ///
    /// `functions`: names of the kernel's functions, with `*`, apart by commas; none: ways in and out alone.
    ///
    /// # Errors
    /// When the guest refuses, or does not answer.
    pub fn ask(
        &mut self,
        want: u32,
        functions: &str,
        patience: Duration,
    ) -> Result<ProbesPage, ProbesError> {
        self.request(want, functions)?;
        let began = Instant::now();
        while !self.has_answered() {
            if began.elapsed() > patience {
                return Err(ProbesError::Silent(patience));
            }
            std::thread::sleep(LOOK);
        }
        let told = self.told().ok_or(ProbesError::Silent(patience))?;
        let refused = String::from_utf8_lossy(&told.refused);
        // A shorter name than the one before leaves the end of that.
        let refused = refused.split('\0').next().unwrap_or_default();
        match (told.error, refused) {
            (0, _) => Ok(told),
            (error, "") => Err(ProbesError::Refused(error)),
            (_, name) => Err(ProbesError::NoFunction(name.to_owned())),
        }
    }

    /// The same, without waiting.
    ///
    /// # Errors
    /// When there are too many names.
    pub fn request(&mut self, want: u32, functions: &str) -> Result<(), ProbesError> {
        let bytes = request_bytes(want, functions).ok_or(ProbesError::TooLong)?;
        let at = usize::try_from(WANT_AT).unwrap_or(0);
        self.page[at..at + bytes.len()].copy_from_slice(&bytes);
        self.asked += 1;
        self.word(REQUEST_AT).store(self.asked, Ordering::Release);
        Ok(())
    }

    /// Whether what was requested last is done.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        self.word(ANSWER_AT).load(Ordering::Acquire) == self.asked
    }

    fn word(&self, at: u64) -> &AtomicU32 {
        let at = usize::try_from(at).unwrap_or(0);
        assert!(at.is_multiple_of(4) && at + 4 <= self.page.len());
        // SAFETY: within the mapping and aligned, as it begins at a page; both ends change it as one word.
        unsafe { &*self.page.as_ptr().add(at).cast() }
    }
}

/// The page of a kernel of that build, once it is ready. The kernel's unpacker leaves copies of parts of it
/// behind, which never are.
fn ready(
    memory: &SharedMemory,
    page: Addr,
    note: Option<&(Addr, Vec<u8>)>,
) -> Option<(PhysAddr, ProbesPage)> {
    let (linked, bytes) = note?;
    let [note, page] = [linked.0, page.0].map(|at| at.checked_sub(LINKED_AT));
    let (note, page) = (note?, page?);
    let mut found = vec![0; bytes.len()];
    let mut base = 0;
    while memory.read(PhysAddr(base), &mut [0]) {
        if memory.read(PhysAddr(base + note), &mut found) && found == *bytes {
            let at = PhysAddr(base + page);
            let mut bytes = [0; ProbesPage::BYTES];
            if memory.read(at, &mut bytes)
                && let Some(found) = ProbesPage::decode(&bytes)
            {
                return Some((at, found));
            }
        }
        base += STEP;
    }
    None
}
