//! Running, stepping and stopping.

use std::fmt;
use std::time::{Duration, Instant};

use crate::addr::Addr;
use crate::event::Vcpu;
use crate::gdb::reply::{self, Stop, StopCause};
use crate::gdb::request::{Request, Trap};
use crate::known::Known;

use super::{StopReply, Target, TargetError, refused};

/// What happens beside the stepped instruction, in QEMU's own flags (`Qqemu.sstep`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepFlags(pub u64);

impl StepFlags {
    pub const ENABLE: u64 = 1;
    /// Interrupts are not taken while stepping.
    pub const NOIRQ: u64 = 2;
    /// The guest's timers stand still while stepping.
    pub const NOTIMER: u64 = 4;

    /// One instruction of one vCPU, and nothing else.
    pub const QUIET: Self = Self(Self::ENABLE | Self::NOIRQ | Self::NOTIMER);
}

impl fmt::Display for StepFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let say = |flag, held, goes| if self.0 & flag == 0 { goes } else { held };
        write!(
            f,
            "while stepping, {} and {}",
            say(
                Self::NOIRQ,
                "interrupts are held back",
                "interrupts are taken"
            ),
            say(Self::NOTIMER, "time stands still", "time goes on"),
        )
    }
}

/// Which vCPUs move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Movers {
    All,
    /// The others stand still, whatever this one waits for.
    Only(Vcpu),
}

/// How often an instruction that changes nothing is stepped before that is believed.
pub(in crate::session) const STEP_TRIES: u32 = 4;

impl Target {
    /// What stepping does beside the instruction, as the stub last confirmed it.
    #[must_use]
    pub fn step_flags(&self) -> &Known<StepFlags> {
        &self.step_flags
    }

    /// Sets the flags and reads them back.
    ///
    /// # Errors
    /// When the stub has none, or they do not stay.
    pub fn set_step_flags(&mut self, flags: StepFlags) -> Result<(), TargetError> {
        self.ask_decoded(&Request::SetStepFlags(flags.0), reply::ok)?;
        let found = self.ask_decoded(&Request::StepFlags, reply::number)?;
        self.step_flags = Known::Yes(StepFlags(found));
        if found == flags.0 {
            return Ok(());
        }
        Err(TargetError::StepFlagsNotSet {
            wrote: flags.0,
            found,
        })
    }

    /// Sets [`StepFlags::QUIET`], or what of it the stub offers: under KVM there may be less.
    pub(super) fn read_step_flags(&mut self) -> Result<(), TargetError> {
        let payload = self.ask(&Request::StepFlagNames)?;
        let offered = match reply::step_flag_names(&payload) {
            Ok(names) => names.iter().fold(0, |flags, (_, flag)| flags | flag),
            Err(error) => {
                self.step_flags = Known::no(format!("asked for its step flags, {error}"));
                return Ok(());
            }
        };
        self.set_step_flags(StepFlags(StepFlags::QUIET.0 & offered))
    }

    /// Whether one vCPU can run while the others stand still.
    #[must_use]
    pub const fn runs_one(&self) -> bool {
        self.vcont
    }

    /// Executes one instruction of one vCPU; the others stand still. A breakpoint at its address
    /// does not stop it. Where the instruction is `syscall`, `int` or a load that faults, the step
    /// ends on the first instruction of the handler: [`StopReply::from`] says where it began.
    ///
    /// An instruction that does not end (`hlt` with interrupts held back) is interrupted when the
    /// time for an answer is over: the cause is then signal 2.
    ///
    /// # Errors
    /// While the target runs, and when the stub does not answer.
    pub fn step(&mut self, vcpu: Vcpu) -> Result<StopReply, TargetError> {
        self.step_tried(vcpu, Movers::Only(vcpu))
    }

    /// Executes a `pause`, which does nothing but wait, by going behind it. QEMU leaves its loop
    /// there without a stop, and a step of its would execute what follows as well (`helper_pause`).
    ///
    /// # Errors
    /// While the target runs, and when the stub does not take the new program counter.
    pub fn step_pause(&mut self, vcpu: Vcpu, behind: Addr) -> Result<(), TargetError> {
        self.set_register(vcpu, "rip", behind.0)?;
        self.reported.insert(vcpu);
        Ok(())
    }

    /// As [`Self::step`], while the other vCPUs run. One of them may stop first:
    /// [`StopReply::vcpu`] says which did.
    ///
    /// # Errors
    /// See [`Self::step`].
    pub fn step_among(&mut self, vcpu: Vcpu) -> Result<StopReply, TargetError> {
        self.step_tried(vcpu, Movers::All)
    }

    fn step_tried(&mut self, vcpu: Vcpu, movers: Movers) -> Result<StopReply, TargetError> {
        self.needs_machine("stepping")?;
        let mut tries = 1;
        loop {
            let before = self.registers(vcpu)?;
            let stop = self.step_once(vcpu, movers)?;
            // QEMU reports a step that executed nothing where its vCPU was called away first, on a
            // busy host: seen at a conditional jump, which cannot lead to itself. An instruction
            // that does jump to itself is given back after the last try.
            let idle = stop.cause == StopCause::TRAP
                && stop.vcpu == vcpu
                && tries < STEP_TRIES
                // Of a recording of states each step goes on, and two of them may be the same machine.
                && self.link.stub().is_none()
                && self.registers(vcpu)? == before;
            if !idle {
                return Ok(stop);
            }
            tries += 1;
        }
    }

    fn step_once(&mut self, vcpu: Vcpu, movers: Movers) -> Result<StopReply, TargetError> {
        let thread = self.thread(vcpu)?;
        let step = if self.vcont && movers == Movers::All {
            Request::StepAmong(thread)
        } else if self.vcont {
            Request::Step(thread)
        } else if vcpu == self.last_stop.vcpu {
            Request::PlainStep
        } else {
            return Err(TargetError::NoVcont(vcpu));
        };
        let from = self.pc(vcpu)?;
        let under = self.breakpoints_under(from);
        let removals: Vec<_> = under.iter().copied().map(Request::Remove).collect();
        for request in removals.iter().chain([&step]) {
            self.send(request)?;
        }
        let lines = &self.memory.lines;
        let code = lines.starts(from, 1).next();
        let code = code.filter(|start| lines.asked.contains(start));
        self.forget();
        self.stub_selected = None;
        // All of it, before a refusal of any part is looked at: the traps must stand again.
        let mut refusals = Vec::new();
        for request in &removals {
            let payload = self.next_reply(request, self.timeout)?;
            refusals.extend(
                reply::ok(&payload)
                    .err()
                    .map(|error| refused(request, error)),
            );
        }
        let stop = self.finish_step(&step, from)?;
        if !stop.ended() {
            self.again.stepped(stop.vcpu, stop.cause);
            self.reported.insert(stop.vcpu);
            self.after_step(vcpu, &under, code)?;
        }
        refusals.pop().map_or(Ok(stop), Err)
    }

    /// In one burst: the traps that were taken out for it, and what the next step needs, which is the registers,
    /// and the code where this one began, if it was looked at.
    fn after_step(
        &mut self,
        vcpu: Vcpu,
        under: &[Trap],
        code: Option<u64>,
    ) -> Result<(), TargetError> {
        let reads = self.stub_selected == Some(vcpu);
        let len = self.memory.lines.len;
        let code = code.filter(|start| reads && !self.peek_line(*start, None));
        let mut requests: Vec<_> = under.iter().copied().map(Request::Insert).collect();
        requests.extend(reads.then_some(Request::ReadRegisters));
        requests.extend(code.map(|addr| Request::ReadMemory { addr, len }));
        let replies = self.batch(&requests)?;
        self.planted_again(under, &replies);
        let Some(registers) = replies.get(under.len()) else {
            return Ok(());
        };
        let bytes = reply::register_bytes(registers)
            .map_err(|source| refused(&Request::ReadRegisters, source))?;
        self.take_registers(vcpu, bytes);
        if let (Some(start), Some(payload)) = (code, replies.get(under.len() + 1)) {
            self.take_line(start, payload);
        }
        Ok(())
    }

    fn finish_step(&mut self, step: &Request, from: Addr) -> Result<StopReply, TargetError> {
        let timeout = self.timeout;
        let stop = match self.wait_for_stop(step, timeout)? {
            Some(stop) => stop,
            None => {
                self.client.interrupt();
                self.wait_for_stop(step, timeout * super::PATIENT)?
                    .ok_or_else(|| self.no_answer(step, timeout))?
            }
        };
        Ok(self.take_stop(&stop, Some(from)))
    }

    /// Lets every vCPU run. One that stands at a breakpoint it has reported is stepped off it
    /// first; where that step itself ends in a stop worth telling, [`Self::wait`] gives it at once.
    ///
    /// # Errors
    /// When it runs already, and when the stub does not answer.
    pub fn resume(&mut self) -> Result<(), TargetError> {
        self.resume_movers(Movers::All)
    }

    /// As [`Self::resume`], of one vCPU: the others stand still.
    ///
    /// # Errors
    /// See [`Self::resume`].
    pub fn resume_only(&mut self, vcpu: Vcpu) -> Result<(), TargetError> {
        self.resume_movers(Movers::Only(vcpu))
    }

    /// Says that a vCPU has not met the breakpoint at its program counter: it waits at a `hlt`
    /// before it, and is to stop there once an interrupt was handled. Stepping it off would hang.
    pub fn not_met(&mut self, vcpu: Vcpu) {
        self.reported.remove(&vcpu);
    }

    /// Says that a vCPU stands at the breakpoint at its program counter, if there is one, and is to
    /// move on from it.
    pub fn met(&mut self, vcpu: Vcpu) {
        self.reported.insert(vcpu);
    }

    fn resume_movers(&mut self, movers: Movers) -> Result<(), TargetError> {
        if self.is_running() {
            return Err(TargetError::Running {
                tried: "resuming".to_owned(),
            });
        }
        self.needs_machine("resuming")?;
        for vcpu in std::mem::take(&mut self.reported) {
            if movers != Movers::All && movers != Movers::Only(vcpu) {
                self.reported.insert(vcpu);
                continue;
            }
            let pc = self.pc(vcpu)?;
            if self.breakpoints_under(pc).is_empty() {
                continue;
            }
            let stop = self.step(vcpu)?;
            if stop.cause != StopCause::TRAP {
                self.pending = Some(StopReply { from: None, ..stop });
                return Ok(());
            }
        }
        let request = match movers {
            Movers::Only(vcpu) if self.vcont => Request::ContinueOne(self.thread(vcpu)?),
            _ => self.continue_request(),
        };
        self.note_before(&request)?;
        match movers {
            Movers::All => self.reported.clear(),
            Movers::Only(vcpu) => {
                self.reported.remove(&vcpu);
            }
        }
        self.let_go(&request)
    }

    pub(super) fn let_go(&mut self, request: &Request) -> Result<(), TargetError> {
        self.send(request)?;
        self.forget();
        self.stub_selected = None;
        // Out it goes: nobody may ask for the stop for a long time.
        self.exchange(Instant::now(), || "resuming".to_owned())?;
        Ok(())
    }

    fn continue_request(&self) -> Request {
        if self.vcont {
            Request::Continue
        } else {
            Request::PlainContinue
        }
    }

    /// Waits for a stop; `None` when the target still runs after that time. With no time at all it
    /// only looks.
    ///
    /// # Errors
    /// When the target does not run, or its stub is gone.
    pub fn wait(&mut self, timeout: Duration) -> Result<Option<StopReply>, TargetError> {
        if let Some(stop) = self.pending.take() {
            return Ok(Some(stop));
        }
        if let Some(how) = &self.ended {
            return Err(TargetError::Ended {
                tried: "waiting for a stop".to_owned(),
                how: how.clone(),
            });
        }
        let request = self.continue_request();
        let Some(stop) = self.wait_for_stop(&request, timeout)? else {
            return Ok(None);
        };
        let stop = self.take_stop(&stop, None);
        if self.passes_over(&stop)? {
            return Ok(None);
        }
        // What was interrupted has not met the breakpoint that may stand at its address.
        if stop.cause == StopCause::TRAP {
            self.reported.insert(stop.vcpu);
        }
        Ok(Some(stop))
    }

    /// Asks a running target to stop; [`Self::wait`] then gives the stop. Does nothing to one that
    /// stands.
    ///
    /// # Errors
    /// When its stub is gone.
    pub fn interrupt(&mut self) -> Result<(), TargetError> {
        if !self.client.is_running() {
            return Ok(());
        }
        self.again.interrupted();
        self.client.interrupt();
        self.exchange(Instant::now(), || "interrupting the target".to_owned())?;
        Ok(())
    }

    fn wait_for_stop(
        &mut self,
        request: &Request,
        timeout: Duration,
    ) -> Result<Option<Stop>, TargetError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(payload) = self.client.next_reply() {
                let stop = Stop::decode(&payload).map_err(|source| refused(request, source))?;
                return Ok(Some(stop));
            }
            if !self.client.is_running() {
                return Err(TargetError::NotRunning);
            }
            if !self.exchange(deadline, || "waiting for a stop".to_owned())? {
                return Ok(None);
            }
        }
    }
}
