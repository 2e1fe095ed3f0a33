//! A watched access that is told a second time.
//!
//! Under TCG QEMU executes an instruction that makes a watched access once more, alone, and asks its
//! vCPU to stop behind it. A single step stops there by itself: the wish to stop stays, and ends the
//! next run before its first instruction, with a SIGTRAP that names no watchpoint. Such a stop is passed
//! over here. A step does not need it: one that has executed nothing is tried again.

use std::collections::BTreeSet;

use crate::addr::Addr;
use crate::event::Vcpu;
use crate::gdb::request::Request;

use super::{StopCause, StopReply, Target, TargetError};

#[derive(Debug, Default)]
pub(super) struct Again {
    /// vCPUs whose last step ended at a watched access.
    pending: BTreeSet<Vcpu>,
    let_go: Option<LetGo>,
}

/// The run that one of those may end at once.
#[derive(Debug)]
struct LetGo {
    by: Request,
    from: Vec<(Vcpu, Addr)>,
    /// It was asked to stop since. The stub passes over such a wish where it stands already.
    interrupted: bool,
}

impl Again {
    pub(super) fn stepped(&mut self, vcpu: Vcpu, cause: StopCause) {
        self.pending.remove(&vcpu);
        if matches!(cause, StopCause::Watch { .. }) {
            self.pending.insert(vcpu);
        }
    }

    pub(super) fn interrupted(&mut self) {
        if let Some(let_go) = &mut self.let_go {
            let_go.interrupted = true;
        }
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Target {
    /// Notes where the vCPUs stand that may stop at once when they are let go by this.
    pub(super) fn note_before(&mut self, by: &Request) -> Result<(), TargetError> {
        self.again.let_go = None;
        let mut from = Vec::new();
        for vcpu in self.again.pending.clone() {
            from.push((vcpu, self.pc(vcpu)?));
        }
        if !from.is_empty() {
            self.again.let_go = Some(LetGo {
                by: by.clone(),
                from,
                interrupted: false,
            });
        }
        Ok(())
    }

    /// Whether a stop only told again what a step has told; the target then runs again.
    pub(super) fn passes_over(&mut self, stop: &StopReply) -> Result<bool, TargetError> {
        let Some(let_go) = self.again.let_go.take() else {
            return Ok(false);
        };
        // An interrupt is of no vCPU.
        if stop.cause == StopCause::INTERRUPT || !self.again.pending.remove(&stop.vcpu) {
            return Ok(false);
        }
        if stop.cause != StopCause::TRAP {
            return Ok(false);
        }
        let pc = self.pc(stop.vcpu)?;
        if !let_go.from.contains(&(stop.vcpu, pc)) || !self.breakpoints_under(pc).is_empty() {
            return Ok(false);
        }
        self.let_go(&let_go.by)?;
        if let_go.interrupted {
            self.interrupt()?;
        }
        Ok(true)
    }
}
