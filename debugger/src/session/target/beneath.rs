//! What a client of ours asks as it would ask the stub itself: registers as bytes, the description as
//! text; always of the machine, whatever stop is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::addr::Addr;
use crate::event::Vcpu;
use crate::gdb::reply;
use crate::gdb::request::Request;

use super::{Registers, Target, TargetError};

/// The documents of a target description by name, `target.xml` and what it includes.
pub type Documents = BTreeMap<String, String>;

impl Target {
    #[must_use]
    pub fn own_account(&self) -> &Arc<Documents> {
        &self.documents
    }

    /// Does this with the machine, while a stop of the past may be looked at.
    ///
    /// # Errors
    /// Those of what is done.
    pub fn with_machine<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, TargetError>,
    ) -> Result<T, TargetError> {
        let past = self.past.take();
        if past.is_none() {
            return work(self);
        }
        let done = work(self);
        self.past = past;
        done
    }

    /// Memory as this vCPU sees it.
    ///
    /// # Errors
    /// With the first address that cannot be read.
    pub fn read_of(&mut self, vcpu: Vcpu, addr: Addr, len: usize) -> Result<Vec<u8>, TargetError> {
        let mut bytes = vec![0; len];
        self.through(vcpu, |target| {
            target.read(addr, &mut bytes)?;
            target.lay_out(vcpu, addr, len);
            Ok(bytes)
        })
    }

    /// # Errors
    /// See [`Self::registers`].
    pub fn registers_of(&mut self, vcpu: Vcpu) -> Result<Registers, TargetError> {
        let registers = self.registers(vcpu)?;
        self.lay_out_registers(vcpu, &registers);
        Ok(registers)
    }

    /// # Errors
    /// See [`Self::write`].
    pub fn write_of(&mut self, vcpu: Vcpu, addr: Addr, bytes: &[u8]) -> Result<(), TargetError> {
        self.through(vcpu, |target| target.write(addr, bytes))
    }

    fn through<T>(
        &mut self,
        vcpu: Vcpu,
        work: impl FnOnce(&mut Self) -> Result<T, TargetError>,
    ) -> Result<T, TargetError> {
        let before = self.selected;
        if before == vcpu || self.is_running() {
            return work(self);
        }
        self.select(vcpu)?;
        let done = work(self);
        self.select(before)?;
        done
    }

    /// Sets a register of any width by the protocol's number.
    ///
    /// # Errors
    /// While the target runs, and when the stub refuses.
    pub fn set_register_bytes(
        &mut self,
        vcpu: Vcpu,
        number: u32,
        bytes: Vec<u8>,
    ) -> Result<(), TargetError> {
        self.set_raw(vcpu, &Request::WriteRegister { number, bytes })
    }

    /// Sets all of them, in the order of the description.
    ///
    /// # Errors
    /// While the target runs, and when the stub refuses.
    pub fn set_registers(&mut self, vcpu: Vcpu, bytes: Vec<u8>) -> Result<(), TargetError> {
        self.set_raw(vcpu, &Request::WriteRegisters(bytes))
    }

    fn set_raw(&mut self, vcpu: Vcpu, write: &Request) -> Result<(), TargetError> {
        self.may_change("setting a register")?;
        let before = self.pc(vcpu)?;
        self.read_through(vcpu)?;
        // A control register changes what memory looks like.
        self.forget();
        self.ask_decoded(write, reply::ok)?;
        if self.pc(vcpu)? != before {
            self.reported.remove(&vcpu);
        }
        Ok(())
    }
}
