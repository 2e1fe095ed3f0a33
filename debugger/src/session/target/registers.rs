//! Registers of one vCPU, read whole and kept until the machine runs again.

use std::sync::Arc;

use crate::addr::Addr;
use crate::event::Vcpu;
use crate::gdb::registers::{Registers, display};
use crate::gdb::reply;
use crate::gdb::request::Request;

use super::{Target, TargetError};

impl Target {
    /// # Errors
    /// While the target runs, for a vCPU there is not, and when the stub does not answer.
    pub fn registers(&mut self, vcpu: Vcpu) -> Result<Registers, TargetError> {
        if let Some(past) = &self.past {
            return past.registers(vcpu);
        }
        self.needs_machine("reading the registers")?;
        self.registers_now(vcpu)
    }

    /// Those of the machine, whatever is looked at.
    pub(super) fn registers_now(&mut self, vcpu: Vcpu) -> Result<Registers, TargetError> {
        if let Some(registers) = self.registers.get(&vcpu) {
            return Ok(registers.clone());
        }
        self.read_through(vcpu)?;
        let bytes = self.ask_decoded(&Request::ReadRegisters, reply::register_bytes)?;
        Ok(self.take_registers(vcpu, bytes))
    }

    /// Keeps what the stub said of them.
    pub(super) fn take_registers(&mut self, vcpu: Vcpu, bytes: Vec<Option<u8>>) -> Registers {
        let registers = Registers::new(Arc::clone(&self.description), bytes);
        self.registers.insert(vcpu, registers.clone());
        registers
    }

    /// The address of the instruction that this vCPU executes next.
    ///
    /// # Errors
    /// See [`Self::registers`].
    pub fn pc(&mut self, vcpu: Vcpu) -> Result<Addr, TargetError> {
        self.registers(vcpu)?
            .pc()
            .ok_or(TargetError::NoRegister("its program counter"))
    }

    /// Sets a register of at most 64 bits and reads it back.
    ///
    /// # Errors
    /// When there is none of that name, the value does not fit, or it does not stay.
    pub fn set_register(&mut self, vcpu: Vcpu, name: &str, value: u64) -> Result<(), TargetError> {
        self.may_change("setting a register")?;
        let description = Arc::clone(&self.description);
        let register = description
            .register(name)
            .ok_or_else(|| TargetError::NoSuchRegister(name.to_owned()))?;
        if register.bits > 64 {
            return Err(TargetError::RegisterTooWide {
                name: name.to_owned(),
                bits: register.bits,
            });
        }
        if register.bits < 64 && value >> register.bits != 0 {
            return Err(TargetError::RegisterTooNarrow {
                name: name.to_owned(),
                wrote: value,
                bits: register.bits,
            });
        }
        self.read_through(vcpu)?;
        let bytes = value.to_le_bytes()[..register.size()].to_vec();
        // A control register changes what memory looks like.
        self.forget();
        let write = Request::WriteRegister {
            number: register.number,
            bytes: bytes.clone(),
        };
        self.ask_decoded(&write, reply::ok)?;
        let read = Request::ReadRegister(register.number);
        let found = self.ask_decoded(&read, |payload| {
            reply::bytes(payload, Some(register.size()))
        })?;
        if description.program_counter() == Some(register) {
            self.reported.remove(&vcpu);
        }
        if found == bytes {
            return Ok(());
        }
        Err(TargetError::RegisterNotSet {
            name: name.to_owned(),
            wrote: value,
            found: display(&found),
        })
    }

    /// Memory is read through this vCPU's page tables from now on, until the next stop.
    ///
    /// # Errors
    /// For a vCPU there is not.
    pub fn select(&mut self, vcpu: Vcpu) -> Result<(), TargetError> {
        self.thread(vcpu)?;
        if self.selected != vcpu {
            self.memory.look_through_another();
            self.selected = vcpu;
        }
        Ok(())
    }

    /// Makes the stub read registers and memory through a vCPU.
    pub(super) fn read_through(&mut self, vcpu: Vcpu) -> Result<(), TargetError> {
        if self.stub_selected == Some(vcpu) {
            return Ok(());
        }
        let thread = self.thread(vcpu)?;
        self.ask_decoded(&Request::SelectThread(thread), reply::ok)?;
        self.stub_selected = Some(vcpu);
        Ok(())
    }
}
