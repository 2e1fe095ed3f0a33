//! How far the command at work has come, and what there is to say of it.

use std::time::{Duration, Instant};

use super::engine::Engine;
use super::spin::{Spin, Waits};
use crate::addr::{Addr, Insns};
use crate::disasm::{Flow, decode};
use crate::event::{Event, Progress};

/// Between two tellings.
const OFTEN: Duration = Duration::from_millis(100);

/// Begins anew with each command that lets the target run.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// Single instructions executed.
    pub(super) steps: u64,
    /// Of so many.
    pub(super) of: Option<u64>,
    /// Stops that were none for the user.
    pub(super) passed: u64,
    /// Interrupts that came in a step and were returned from.
    pub(super) interrupts: u64,
    pub(super) note: Option<String>,
    pub(super) spin: Spin,
    /// What the loop waits for that steps were found to go round in.
    pub(super) spinning: Option<Waits>,
    /// Where the kernel counts timer interrupts, once that was asked.
    pub(super) jiffies: Option<Option<Addr>>,
    /// The vCPU in focus waits behind a `hlt` that it has executed.
    pub(super) halted: bool,
    /// Nothing ran freely yet: what is read of memory beside is to be settled before.
    pub(super) ahead: bool,
    /// Only the vCPU in focus is to run.
    pub(super) alone: bool,
    told: Option<Instant>,
}

impl Engine {
    /// Says how far it is, unless it just did.
    pub(super) fn tell_progress(&mut self) {
        let now = Instant::now();
        let course = &mut self.course;
        match course.told {
            // A command that is done at once has no progress.
            None => course.told = Some(now),
            Some(told) if now.duration_since(told) < OFTEN => {}
            Some(_) => {
                course.told = Some(now);
                let progress = Progress {
                    stepped: Insns(course.steps),
                    of: course.of.map(Insns),
                    passed: course.passed,
                };
                self.port.send(Event::Progress(progress));
            }
        }
    }

    /// What the stop at this address wants explained.
    pub(super) fn note_at(&mut self, pc: Addr) -> Option<String> {
        let mut notes: Vec<String> = self.course.note.take().into_iter().collect();
        notes.extend(self.course.spinning.map(Waits::explanation));
        match self.course.interrupts {
            0 => {}
            1 => notes.push("an interrupt came in between and was returned from".to_owned()),
            n => notes.push(format!(
                "{n} interrupts came in between and were returned from"
            )),
        }
        if self.is_halted(pc) {
            notes.push(
                "this CPU waits at hlt for an interrupt; a step lets it run until one has come and was handled"
                    .to_owned(),
            );
        } else if self.stands_on_halt(pc) {
            notes.push(match self.takes_interrupts() {
                true => "hlt: the CPU waits here for an interrupt; a step runs until one has come and was handled",
                false => "hlt with interrupts held back (IF is clear): nothing but an NMI ends it",
            }.to_owned());
        }
        Some(notes.join("; ")).filter(|note| !note.is_empty())
    }

    fn stands_on_halt(&mut self, pc: Addr) -> bool {
        let mut byte = [0];
        self.target.read(pc, &mut byte).is_ok()
            && decode(&byte, pc).is_some_and(|found| found.flow == Flow::Halt)
    }

    /// Whether the vCPU in focus has executed a `hlt` and waits still: nothing is executed then,
    /// however often it is stepped.
    pub(super) fn is_halted(&mut self, pc: Addr) -> bool {
        let before = pc.wrapping_sub(1);
        self.stands_on_halt(before)
            && self
                .target
                .vcpu_state(self.vcpu)
                .is_ok_and(|state| state.contains("halted"))
    }

    /// IF
    pub(super) fn takes_interrupts(&mut self) -> bool {
        self.register("eflags")
            .is_ok_and(|flags| flags >> 9 & 1 == 1)
    }
}
