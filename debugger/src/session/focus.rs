//! What happens beside a step: interrupts, time, the other vCPUs; and which vCPU is stepped.

use super::course::Course;
use super::engine::Engine;
use super::target::StepFlags;
use super::trouble::Trouble;
use crate::command::{Beside, Focus};
use crate::event::{Answer, Event, Run, StopReason, Vcpu};
use crate::known::Known;

impl Engine {
    /// `stepping`
    pub(super) fn stepping(&mut self, change: Option<(Beside, bool)>) -> Result<Answer, Trouble> {
        match change {
            Some((Beside::Cpus, on)) => self.others = on,
            Some((Beside::Interrupts, on)) => self.hold(StepFlags::NOIRQ, !on)?,
            Some((Beside::Time, on)) => self.hold(StepFlags::NOTIMER, !on)?,
            None => {}
        }
        Ok(Answer::Done(self.beside_a_step()))
    }

    fn hold(&mut self, flag: u64, on: bool) -> Result<(), Trouble> {
        let now = match self.target.step_flags() {
            Known::Yes(flags) => flags.0,
            Known::Asked => StepFlags::QUIET.0,
            Known::No(why) => {
                return Err(Trouble::new(
                    "changing what happens beside a step",
                    format!("the stub does not tell: {why}"),
                    "steps go on as the stub makes them",
                ));
            }
        };
        let wanted = if on { now | flag } else { now & !flag };
        self.target.set_step_flags(StepFlags(wanted))?;
        Ok(())
    }

    /// `while stepping, interrupts are held back, time stands still and the other vCPUs stand still`
    pub(super) fn beside_a_step(&self) -> String {
        let flags = match self.target.step_flags() {
            Known::Yes(flags) => flags.to_string(),
            Known::Asked => "what happens beside a step was not asked yet".to_owned(),
            Known::No(why) => format!("what happens beside a step is unknown, {why}"),
        };
        let others = match self.others {
            true => "the other vCPUs go on",
            false => "the other vCPUs stand still",
        };
        format!("{flags}; {others}")
    }

    /// `vcpu`
    pub(super) fn focus(&mut self, focus: Option<Focus>) -> Result<Answer, Trouble> {
        let count = self.target.vcpus()?.len();
        let vcpu = match focus {
            None => {
                let now = self.vcpu.0;
                return Ok(Answer::Done(format!(
                    "cpu{now} of {count} is in focus: steps move it alone, registers and frames are its own"
                )));
            }
            Some(Focus::Next) => {
                let next = self.vcpu.0 + 1;
                if usize::try_from(next).is_ok_and(|next| next < count) {
                    next
                } else {
                    0
                }
            }
            Some(Focus::Vcpu(n)) => n,
        };
        self.has_vcpu(vcpu, || format!("focusing on cpu{vcpu}"))?;
        if self.vcpu != Vcpu(vcpu) {
            // It was counted on the other one.
            self.since = None;
        }
        self.vcpu = Vcpu(vcpu);
        self.target.select(self.vcpu)?;
        self.course = Course::default();
        let stop = self.stopped(StopReason::Focus)?;
        self.port.send(Event::Run(Run::Stopped(stop.clone())));
        self.tell_watched();
        Ok(Answer::Stopped(stop))
    }

    pub(super) fn has_vcpu(
        &mut self,
        vcpu: u32,
        tried: impl FnOnce() -> String,
    ) -> Result<(), Trouble> {
        let count = self.target.vcpus()?.len();
        if usize::try_from(vcpu).is_ok_and(|vcpu| vcpu < count) {
            return Ok(());
        }
        let found = match count {
            1 => "there is one, cpu0".to_owned(),
            count => format!("there are {count}, counted from 0"),
        };
        Err(Trouble::new(tried(), found, "'info threads' lists them"))
    }
}
