//! A running machine's memory, read through what it shares: past the stub, which a byte would stop.

use std::sync::Arc;

use super::super::shared_memory::SharedMemory;
use super::{Target, TargetError};
use crate::addr::{Addr, PhysAddr};
use crate::known::Known;
use crate::space::{Root, translate};

/// The shared memory, and the page tables to read it through while no register can be asked for.
#[derive(Debug)]
pub(super) struct Window {
    memory: Arc<SharedMemory>,
    /// The kernel's own: they hold for its half as long as it runs.
    pub(super) kernel: Option<Root>,
    /// Of the process whose user half is read.
    pub(super) process: Option<Root>,
    /// Bytes read so far.
    pub(super) read: u64,
}

const PAGE: u64 = 0x1000;

/// `EFER.LMA`: page tables are as [`Root`] knows them.
const LONG_MODE: u64 = 1 << 10;

impl Window {
    fn root(&self, at: Addr) -> Option<Root> {
        match at.in_kernel_half() {
            true => self.kernel,
            false => self.process,
        }
    }

    pub(super) fn read_physical(&mut self, at: PhysAddr, bytes: &mut [u8]) -> bool {
        self.read += bytes.len() as u64;
        self.memory.read(at, bytes)
    }

    fn read(&mut self, addr: Addr, bytes: &mut [u8]) -> Result<(), Addr> {
        self.read += bytes.len() as u64;
        through(&self.memory, &|at| self.root(at), addr, bytes)
    }
}

/// The kernel's half of a machine that stands, for threads other than the session's.
#[derive(Clone, Debug)]
pub(super) struct View {
    memory: Arc<SharedMemory>,
    kernel: Root,
}

impl View {
    pub(super) fn read(&self, addr: Addr, bytes: &mut [u8]) -> bool {
        let root = |at: Addr| at.in_kernel_half().then_some(self.kernel);
        through(&self.memory, &root, addr, bytes).is_ok()
    }
}

/// Reads through these page tables; the error is the first address that cannot be read.
fn through(
    memory: &SharedMemory,
    root: &dyn Fn(Addr) -> Option<Root>,
    addr: Addr,
    bytes: &mut [u8],
) -> Result<(), Addr> {
    let mut at = addr;
    let mut rest = bytes;
    while !rest.is_empty() {
        let left = usize::try_from(PAGE - at.0 % PAGE).unwrap_or(rest.len());
        let (now, later) = rest.split_at_mut(left.min(rest.len()));
        let mut read = |at: PhysAddr, bytes: &mut [u8]| memory.read(at, bytes);
        let physical = translate(root(at).ok_or(at)?, at, &mut read).ok_or(at)?;
        if !memory.read(physical, now) {
            return Err(at);
        }
        at = at.wrapping_add(now.len() as u64);
        rest = later;
    }
    Ok(())
}

impl Target {
    /// From now on memory can be read while the machine runs.
    pub fn share(&mut self, memory: SharedMemory) {
        self.window = Some(Window {
            memory: Arc::new(memory),
            kernel: None,
            process: None,
            read: 0,
        });
    }

    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.window.is_some()
    }

    /// Whether memory is read past the stub now, because the machine runs.
    #[must_use]
    pub fn reads_beside(&self) -> bool {
        self.is_shared() && self.is_running()
    }

    /// The page tables that memory is read through while the machine runs: the kernel's own, and those
    /// of a process for the user half.
    pub fn look_through(&mut self, kernel: Option<Root>, process: Option<Root>) {
        if let Some(window) = &mut self.window {
            (window.kernel, window.process) = (kernel, process);
        }
    }

    /// The kernel's own page tables, where they have been found.
    #[must_use]
    pub fn kernel_root(&self) -> Option<Root> {
        self.window.as_ref()?.kernel
    }

    /// Of the page tables in use while the machine runs: a process's hold the kernel's half as well.
    #[must_use]
    pub fn root_beside(&self) -> Known<Root> {
        let window = self.window.as_ref();
        match window.and_then(|window| window.process.or(window.kernel)) {
            Some(root) => Known::Yes(root),
            None => Known::no("the kernel's page tables are not known before it has set them up"),
        }
    }

    /// Bytes read so far past the stub.
    #[must_use]
    pub fn read_beside(&self) -> u64 {
        self.window.as_ref().map_or(0, |window| window.read)
    }

    /// While the machine stands no packet is needed: the kernel's half and physical memory hold the same
    /// whoever reads them, and all else is read through `tables`. A conversation that is recorded has to
    /// have all packets.
    pub(super) fn peek(&mut self, addr: Addr, bytes: &mut [u8], tables: Option<Root>) -> bool {
        let records = self.link.records();
        let Some(window) = self.window.as_mut().filter(|_| !records) else {
            return false;
        };
        let kernel = window.kernel.filter(|_| addr.in_kernel_half());
        let Some(root) = kernel.or(tables) else {
            return false;
        };
        window.read += bytes.len() as u64;
        through(&window.memory, &|_| Some(root), addr, bytes).is_ok()
    }

    /// Those that the stub would read through, where the registers have been read that tell them.
    pub(super) fn tables(&self) -> Option<Root> {
        let stub = self.window.as_ref().and(self.registers.get(&self.selected));
        let get = |name| stub?.get(name);
        let is_long = get("efer")? & LONG_MODE != 0;
        let root = Root::of(get("cr0")?, get("cr3")?, get("cr4")?).ok();
        root.filter(|_| is_long)
    }

    /// What [`Self::peek`] reads through, for others to do the same.
    pub(super) fn view(&self) -> Option<View> {
        let window = self.window.as_ref().filter(|_| !self.link.records())?;
        Some(View {
            memory: Arc::clone(&window.memory),
            kernel: window.kernel?,
        })
    }

    pub(super) fn peek_physical(&mut self, at: PhysAddr, bytes: &mut [u8]) -> bool {
        let records = self.link.records();
        let window = self.window.as_mut().filter(|_| !records);
        window.is_some_and(|window| window.read_physical(at, bytes))
    }

    pub(super) fn through_window(
        &mut self,
        addr: Addr,
        bytes: &mut [u8],
    ) -> Result<(), TargetError> {
        let tried = || TargetError::Running {
            tried: format!("reading memory at {:#x}", addr.0),
        };
        let window = self.window.as_mut().ok_or_else(tried)?;
        window
            .read(addr, bytes)
            .map_err(|addr| TargetError::Unreadable {
                addr,
                found: match window.root(addr) {
                    _ if !window.memory.is_whole() => {
                        "the file of the machine's memory was cut short: QEMU cannot go on with it either".to_owned()
                    }
                    Some(_) => "nothing is mapped there while the machine runs".to_owned(),
                    None => "whose page tables hold there is not known while the machine runs"
                        .to_owned(),
                },
            })
    }
}
