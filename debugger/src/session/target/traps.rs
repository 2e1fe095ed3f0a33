//! Breakpoints and watchpoints: counted, planted, planted again.

use std::path::Path;

use crate::addr::Addr;
use crate::gdb::client::Client;
use crate::gdb::reply;
use crate::gdb::request::{Request, Trap};
use crate::session::breakpoints::{Planted, TrapState};
use crate::session::link::Link;
use crate::session::wire::Head;

use super::{Target, TargetError, refused};

impl Target {
    /// Plants a trap, or counts one more user of it.
    ///
    /// A stub's OK cannot be checked: QEMU's TCG keeps traps outside of guest memory, and takes them
    /// at addresses where nothing is mapped. [`Self::traps`] says what is known.
    ///
    /// # Errors
    /// While the target runs, and when the stub refuses it: under KVM where nothing is mapped, or
    /// when the debug registers are used up.
    pub fn insert(&mut self, trap: Trap) -> Result<(), TargetError> {
        let insert = Request::Insert(trap);
        if self.is_running() {
            return Err(TargetError::Running {
                tried: super::tried(&insert),
            });
        }
        if self.traps.share(trap) {
            return Ok(());
        }
        self.read_through(self.selected)?;
        let look = Request::ReadMemory {
            addr: trap.addr.0,
            len: 1,
        };
        let replies = self.batch(&[insert.clone(), look])?;
        reply::ok(&replies[0]).map_err(|source| refused(&insert, source))?;
        let mapped = reply::bytes(&replies[1], Some(1)).is_ok();
        self.traps.planted(trap, TrapState::Planted { mapped });
        // Planted where a vCPU stands already: the next resume moves on, as with every debugger.
        let vcpu = self.last_stop.vcpu;
        if trap.kind.is_breakpoint() && self.registers_now(vcpu)?.pc() == Some(trap.addr) {
            self.reported.insert(vcpu);
        }
        Ok(())
    }

    /// Takes a trap away with its last user.
    ///
    /// # Errors
    /// When there is none, while the target runs, and when the stub refuses.
    pub fn remove(&mut self, trap: Trap) -> Result<(), TargetError> {
        let remove = Request::Remove(trap);
        if self.is_running() {
            return Err(TargetError::Running {
                tried: super::tried(&remove),
            });
        }
        match self.traps.release(trap) {
            None => Err(TargetError::NoSuchTrap(trap.addr)),
            Some(true) => self.ask_decoded(&remove, reply::ok),
            Some(false) => Ok(()),
        }
    }

    /// Every trap, with what is known of it.
    #[must_use]
    pub fn traps(&self) -> Vec<Planted> {
        self.traps.iter().collect()
    }

    /// Connects anew to the same stub, which forgets its traps by that, and plants them again.
    /// One that cannot be planted is kept as [`TrapState::Lost`].
    ///
    /// # Errors
    /// When the stub is gone. A transcript cannot be connected to anew.
    pub fn reconnect(&mut self) -> Result<(), TargetError> {
        self.reconnect_recording(None)
    }

    /// As [`Self::reconnect`], and writes every byte from then on into a file.
    ///
    /// # Errors
    /// See [`Self::reconnect`], and when the file cannot be made.
    pub fn reconnect_recording(
        &mut self,
        record: Option<(&Path, &Head)>,
    ) -> Result<(), TargetError> {
        let Some(endpoint) = self.link.endpoint().cloned() else {
            return Err(TargetError::Ended {
                tried: "connecting again".to_owned(),
                how: "it is a transcript".to_owned(),
            });
        };
        // A stub serves one client at a time: this one hangs up first.
        self.link = Link::play("")?;
        self.link = Link::connect(&endpoint, self.timeout)?;
        if let Some((path, head)) = record {
            self.link.record_to(path, head)?;
        }
        self.client = Client::default();
        self.ended = None;
        self.pending = None;
        self.reported.clear();
        self.again.forget();
        self.stub_selected = None;
        self.forget();
        self.handshake()?;
        let traps: Vec<_> = self.traps.iter().map(|planted| planted.trap).collect();
        self.plant_again(&traps)
    }

    pub(super) fn breakpoints_under(&self, addr: Addr) -> Vec<Trap> {
        let planted = self.traps.breakpoints_at(addr);
        planted.filter(|trap| !self.out.contains(trap)).collect()
    }

    pub(super) fn plant_again(&mut self, traps: &[Trap]) -> Result<(), TargetError> {
        let requests: Vec<_> = traps.iter().copied().map(Request::Insert).collect();
        let replies = self.batch(&requests)?;
        self.planted_again(traps, &replies);
        Ok(())
    }

    /// What the stub said to planting these.
    pub(super) fn planted_again(&mut self, traps: &[Trap], replies: &[Vec<u8>]) {
        for (trap, payload) in traps.iter().zip(replies) {
            if let Err(error) = reply::ok(payload) {
                self.traps
                    .replanted(*trap, TrapState::Lost(error.to_string()));
            }
        }
    }
}
