//! Letting the target run, with temporary traps, until something stops it.

use std::time::{Duration, Instant};

use super::engine::Engine;
use super::handle::Message;
use super::target::{StopCause, StopReply, Trap, TrapKind};
use super::trouble::{Ending, Trouble};
use crate::addr::Addr;
use crate::command::{Command, Info};
use crate::event::{Answer, Event, Run, Stop, StopReason};

/// How long a wish to stop may lie unread while the target runs.
const SLICE: Duration = Duration::from_millis(10);

/// How long one vCPU runs alone before the others are let run as well.
const ALONE: Duration = Duration::from_millis(500);

/// Why [`Engine::go`] came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// At a trap, or by a signal.
    Trap {
        signal: u8,
    },
    Watch(TrapKind, Addr),
    Interrupted,
    /// Of a replay: where it was to go, or the recording's end.
    Position,
}

/// What became of a run to a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// There.
    Arrived,
    /// Something else stopped it first.
    Stopped(StopReason),
}

impl Engine {
    /// One stretch of running.
    pub(super) fn go(&mut self) -> Result<Halt, Trouble> {
        self.since = None;
        if std::mem::take(&mut self.course.ahead) {
            self.look_ahead();
        }
        if !self.set_stop()? {
            self.focus_on_crossing();
            return Ok(Halt::Position);
        }
        let mut alone = self.course.alone && self.may_run_alone();
        match alone {
            true => self.target.resume_only(self.vcpu)?,
            false => self.target.resume()?,
        }
        let began = Instant::now();
        let mut asked = false;
        loop {
            if let Some(reply) = self.target.wait(SLICE)? {
                if self.replay.is_none() || asked || reply.cause != StopCause::INTERRUPT {
                    return self.halted(reply);
                }
                if self.is_there()? {
                    self.take_serial();
                    self.focus_on_crossing();
                    return Ok(Halt::Position);
                }
                self.target.resume()?;
            }
            self.forward_serial();
            self.tell_progress();
            self.attend()?;
            self.attend_beside()?;
            if alone && !self.interrupted && began.elapsed() > ALONE {
                alone = false;
                if let Some(reply) = self.let_others_run()? {
                    return self.halted(reply);
                }
            }
            if self
                .deadline
                .is_some_and(|deadline| Instant::now() > deadline)
            {
                self.late = true;
                self.interrupted = true;
            }
            if self.free && !self.interrupted && !self.waiting.is_empty() {
                if let Some(reply) = self.answer_running()? {
                    return self.halted(reply);
                }
                continue;
            }
            if self.interrupted && !asked {
                self.port.send(Event::Run(Run::Stopping));
                self.target.interrupt()?;
                asked = true;
            }
        }
    }

    fn may_run_alone(&self) -> bool {
        !self.others && self.info.vcpus > 1 && self.target.runs_one()
    }

    /// What the vCPU in focus does takes long: it may wait for another. The reply is a stop that
    /// came of itself meanwhile.
    fn let_others_run(&mut self) -> Result<Option<StopReply>, Trouble> {
        let reply = self.stop_for_a_moment()?;
        if reply.cause != StopCause::INTERRUPT {
            return Ok(Some(reply));
        }
        self.course.alone = false;
        let notice = format!(
            "cpu{} alone does not get there: the other vCPUs run too",
            self.vcpu.0
        );
        self.port.send(Event::Notice(notice));
        self.target.resume()?;
        Ok(None)
    }

    fn stop_for_a_moment(&mut self) -> Result<StopReply, Trouble> {
        self.target.interrupt()?;
        loop {
            if let Some(reply) = self.target.wait(SLICE)? {
                return Ok(reply);
            }
            if self.port.ended() {
                return Err(Trouble::Quit);
            }
        }
    }

    /// At a position of a recording of states: no stop's reply has told whose it is.
    fn focus_on_crossing(&mut self) {
        if let Some(vcpu) = self.target.crossing_vcpu() {
            self.vcpu = vcpu;
        }
    }

    /// SIGINT, the stop that was asked for, is no vCPU's: the focus stays where it was.
    fn focus_on(&mut self, reply: &StopReply) -> Result<(), Trouble> {
        if reply.cause == StopCause::INTERRUPT {
            self.target.select(self.vcpu)?;
        } else {
            self.vcpu = reply.vcpu;
        }
        Ok(())
    }

    fn halted(&mut self, reply: StopReply) -> Result<Halt, Trouble> {
        self.take_serial();
        self.focus_on(&reply)?;
        match reply.cause {
            StopCause::INTERRUPT => {
                self.interrupted = true;
                Ok(Halt::Interrupted)
            }
            StopCause::Signal(signal) => Ok(Halt::Trap { signal }),
            StopCause::Watch { kind, addr } => Ok(Halt::Watch(kind, addr)),
            StopCause::Exited(_) | StopCause::Killed(_) => Err(ended(reply.cause)),
        }
    }

    /// Reads what was asked meanwhile. What needs the stopped target waits for its turn.
    pub(super) fn attend(&mut self) -> Result<(), Trouble> {
        if self.port.ended() {
            return Err(Trouble::Quit);
        }
        while let Ok(message) = self.port.messages.try_recv() {
            match message {
                Message::Command(id, Command::Interrupt) => {
                    self.interrupted = true;
                    let answer = Answer::Done("the target is asked to stop".to_owned());
                    self.port.send(Event::Answer(id, Ok(answer)));
                }
                Message::Command(id, command @ (Command::Help(_) | Command::Symbols { .. })) => {
                    let answer = self.without_target(&command);
                    self.port.send(Event::Answer(id, answer));
                }
                Message::Join(id, name, ends) => {
                    self.interrupted = true;
                    self.joining_interrupts(id);
                    self.waiting.push_back(Message::Join(id, name, ends));
                }
                Message::Joined(id, ask) => self.attend_joined(id, ask),
                other @ Message::Command(..) => self.waiting.push_back(other),
            }
        }
        Ok(())
    }

    /// Answers what is asked while the target runs with no end in sight. For breakpoints it is
    /// stopped for a moment; what else needs it stopped is declined. The reply is a stop that came
    /// of itself meanwhile.
    fn answer_running(&mut self) -> Result<Option<StopReply>, Trouble> {
        let (book, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|message| self.concerns_breakpoints(message));
        for message in others {
            self.decline(message);
        }
        if book.is_empty() {
            return Ok(None);
        }
        let reply = self.stop_for_a_moment()?;
        if reply.ended() {
            return Ok(Some(reply));
        }
        self.focus_on(&reply)?;
        for message in book {
            self.answer(message)?;
        }
        if reply.cause == StopCause::INTERRUPT {
            self.target.resume()?;
            return Ok(None);
        }
        Ok(Some(reply))
    }

    /// `continue`: until a breakpoint, a watchpoint or the user.
    pub(super) fn run_on(&mut self) -> Result<Stop, Trouble> {
        self.free = true;
        let ran = self.run_to(&[], &mut |_| Ok(false));
        self.free = false;
        match ran? {
            Ran::Arrived => self.stopped(StopReason::Arrived),
            Ran::Stopped(reason) => self.stopped(reason),
        }
    }

    /// Runs until one of `traps` is hit and `accept` says that it is the right time (the right
    /// frame, the right task), or the user's own breakpoints stop it.
    pub(super) fn run_to(
        &mut self,
        traps: &[Addr],
        accept: &mut dyn FnMut(&mut Self) -> Result<bool, Trouble>,
    ) -> Result<Ran, Trouble> {
        let soft: Vec<Trap> = traps.iter().copied().map(Trap::soft).collect();
        self.with_traps(&soft, |engine| {
            if engine.course.halted {
                engine.target.not_met(engine.vcpu);
            }
            engine.run_until(traps, accept)
        })
    }

    /// Plants these for as long as something runs, and removes them whatever comes of it.
    pub(super) fn with_traps<T>(
        &mut self,
        traps: &[Trap],
        run: impl FnOnce(&mut Self) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut planted = Vec::new();
        let mut outcome = Ok(());
        for trap in traps {
            if let Err(error) = self.target.insert(*trap) {
                outcome = Err(Trouble::from(error));
                break;
            }
            planted.push(*trap);
        }
        let ran = outcome.and_then(|()| run(self));
        for trap in planted {
            // A target that is gone has no traps either.
            let removed = self.target.remove(trap);
            if ran.is_ok() {
                removed?;
            }
        }
        ran
    }

    fn run_until(
        &mut self,
        traps: &[Addr],
        accept: &mut dyn FnMut(&mut Self) -> Result<bool, Trouble>,
    ) -> Result<Ran, Trouble> {
        loop {
            match self.go()? {
                Halt::Interrupted => return Ok(Ran::Stopped(StopReason::Interrupted)),
                Halt::Position => return Ok(Ran::Stopped(StopReason::End)),
                Halt::Watch(kind, addr) => {
                    if let Some(reason) = self.watched(kind, addr)? {
                        return Ok(Ran::Stopped(reason));
                    }
                }
                Halt::Trap { signal } => {
                    let pc = self.pc()?;
                    if traps.contains(&pc) && accept(self)? {
                        return Ok(Ran::Arrived);
                    }
                    if let Some(reason) = self.hit(pc)? {
                        return Ok(Ran::Stopped(reason));
                    }
                    if !traps.contains(&pc) && !self.book.stands_at(pc) {
                        return Ok(Ran::Stopped(StopReason::Signal { number: signal }));
                    }
                }
            }
            self.course.passed += 1;
            self.tell_progress();
            self.attend()?;
            if self.interrupted {
                return Ok(Ran::Stopped(StopReason::Interrupted));
            }
        }
    }

    /// What the guest has written on its serial line since.
    pub(super) fn forward_serial(&mut self) {
        let Some(qemu) = &mut self.qemu else {
            return;
        };
        while let Ok(bytes) = qemu.serial().try_recv() {
            let bytes = match &mut self.replay {
                Some(replay) => replay.not_told(bytes),
                None => bytes,
            };
            if !bytes.is_empty() {
                self.port.send(Event::Serial(bytes));
            }
        }
    }

    /// As [`Self::forward_serial`], of a machine that stands: all that it has written.
    pub(super) fn take_serial(&mut self) {
        if let Some(qemu) = &self.qemu {
            qemu.take_serial();
        }
        self.forward_serial();
    }
}

pub(super) fn sets_breakpoints(command: &Command) -> bool {
    matches!(
        command,
        Command::Break { .. }
            | Command::Breaks(_)
            | Command::Watch { .. }
            | Command::Condition { .. }
            | Command::Delete { .. }
            | Command::Info(Info::Breakpoints)
    )
}

/// The machine is gone.
pub(super) fn ended(cause: StopCause) -> Trouble {
    Trouble::Ended(match cause {
        StopCause::Exited(code) => Ending::exited(
            format!("the machine has switched itself off (code {code})"),
            code,
        ),
        StopCause::Killed(signal) => {
            Ending::gone(format!("the machine was killed by signal {signal}"))
        }
        StopCause::Signal(_) | StopCause::Watch { .. } => {
            Ending::gone("the machine is gone".to_owned())
        }
    })
}
