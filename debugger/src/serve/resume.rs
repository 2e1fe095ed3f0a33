//! `vCont`: what a client wants to move, and how a stop is told to it.

use gdbstub::common::{Signal, Tid};
use gdbstub::stub::MultiThreadStopReason;
use gdbstub::target::ext::base::multithread::{
    MultiThreadRangeStepping, MultiThreadRangeSteppingOps, MultiThreadResume,
    MultiThreadSchedulerLocking, MultiThreadSchedulerLockingOps, MultiThreadSingleStep,
    MultiThreadSingleStepOps,
};
use gdbstub::target::ext::base::reverse_exec::{
    ReplayLogPosition, ReverseCont, ReverseContOps, ReverseStep, ReverseStepOps,
};
use gdbstub::target::ext::breakpoints::WatchKind;

use super::machine::{Machine, tid, vcpu};
use crate::addr::{Addr, AddrRange};
use crate::event::{Failure, Vcpu};
use crate::session::joined::{Ask, Cause, Move, StoppedFor, TrapKind};

/// The actions of one `vCont`.
#[derive(Debug, Default)]
pub(super) struct Wish {
    steps: Option<(Vcpu, Option<AddrRange>)>,
    continues: Option<Vcpu>,
    /// The vCPUs that no action names stand still.
    locked: bool,
}

impl Wish {
    fn how(&self) -> Move {
        let others = !self.locked;
        match (self.steps, self.continues) {
            (Some((vcpu, None)), _) => Move::Step { vcpu, others },
            (Some((vcpu, Some(range))), _) => Move::StepWithin {
                vcpu,
                others,
                range,
            },
            (None, Some(vcpu)) if self.locked => Move::ContinueOne(vcpu),
            (None, _) => Move::Continue,
        }
    }
}

impl Machine {
    fn go(&mut self, how: Move) -> Result<(), Failure> {
        if !self.runs {
            self.joined.ask(Ask::Run(how))?;
            self.runs = true;
        }
        Ok(())
    }
}

impl MultiThreadResume for Machine {
    /// A signal has no meaning to a machine.
    fn resume(&mut self) -> Result<(), Failure> {
        self.go(self.wish.how())
    }

    /// Announced where the session can go back, and nowhere else: without it gdbstub does not know the
    /// packet.
    fn support_reverse_cont(&mut self) -> Option<ReverseContOps<'_, Tid, Self>> {
        match self.joined.goes_back() {
            true => Some(self),
            false => None,
        }
    }

    fn support_reverse_step(&mut self) -> Option<ReverseStepOps<'_, Tid, Self>> {
        match self.joined.goes_back() {
            true => Some(self),
            false => None,
        }
    }

    fn clear_resume_actions(&mut self) -> Result<(), Failure> {
        self.wish = Wish::default();
        Ok(())
    }

    fn set_resume_action_continue(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Failure> {
        self.wish.continues = Some(vcpu(tid));
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_range_step(&mut self) -> Option<MultiThreadRangeSteppingOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl ReverseCont<Tid> for Machine {
    fn reverse_cont(&mut self) -> Result<(), Failure> {
        self.go(Move::ContinueBack)
    }
}

/// A machine that replays executes one instruction of one vCPU at a time: which one the step back is
/// of, the recording says.
impl ReverseStep<Tid> for Machine {
    fn reverse_step(&mut self, _: Tid) -> Result<(), Failure> {
        self.go(Move::StepBack)
    }
}

impl MultiThreadSingleStep for Machine {
    fn set_resume_action_step(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Failure> {
        self.wish.steps = Some((vcpu(tid), None));
        Ok(())
    }
}

impl MultiThreadRangeStepping for Machine {
    fn set_resume_action_range_step(
        &mut self,
        tid: Tid,
        start: u64,
        end: u64,
    ) -> Result<(), Failure> {
        let range = AddrRange::new(Addr(start), Addr(end));
        self.wish.steps = Some((vcpu(tid), Some(range)));
        Ok(())
    }
}

impl MultiThreadSchedulerLocking for Machine {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Failure> {
        self.wish.locked = true;
        Ok(())
    }
}

/// A stop in the protocol's words. What the client did not bring about itself is an interrupt to it: a
/// SIGTRAP would be taken for the end of a step of its own, and stepped on from.
pub(super) fn reason(stop: &StoppedFor) -> MultiThreadStopReason<u64> {
    let tid = tid(stop.vcpu);
    match stop.cause {
        Cause::Breakpoint { hardware: false } => MultiThreadStopReason::SwBreak(tid),
        Cause::Breakpoint { hardware: true } => MultiThreadStopReason::HwBreak(tid),
        Cause::Watchpoint { kind, addr } => MultiThreadStopReason::Watch {
            tid,
            kind: match kind {
                TrapKind::Read => WatchKind::Read,
                TrapKind::Access => WatchKind::ReadWrite,
                TrapKind::Soft | TrapKind::Hard | TrapKind::Write => WatchKind::Write,
            },
            addr: addr.0,
        },
        Cause::Beginning => replay_log(tid, ReplayLogPosition::Begin),
        Cause::End => replay_log(tid, ReplayLogPosition::End),
        Cause::Step => signal(tid, Signal::SIGTRAP),
        Cause::Interrupted => signal(tid, Signal::SIGINT),
        Cause::Signal(number) => signal(tid, Signal(number)),
    }
}

const fn replay_log(tid: Tid, pos: ReplayLogPosition) -> MultiThreadStopReason<u64> {
    MultiThreadStopReason::ReplayLog {
        tid: Some(tid),
        pos,
    }
}

const fn signal(tid: Tid, signal: Signal) -> MultiThreadStopReason<u64> {
    MultiThreadStopReason::SignalWithThread { tid, signal }
}
