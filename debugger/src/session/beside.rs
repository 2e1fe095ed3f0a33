//! What is asked of a target while it runs: answered from the memory it shares, past its stub.
//!
//! Several words read so need not be of one moment. Every walk through the guest's structures has an
//! end of its own, and what makes no sense is told as such.

use std::time::{Duration, Instant};

use super::engine::Engine;
use super::handle::Message;
use super::joined::Ask;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::event::{Event, Failure};
use crate::guest::{self, Task};
use crate::known::Known;
use crate::space::Root;

/// Between two pulses: four a second are read with ease, and leave the host to the guest.
const PULSE: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Beside {
    /// Whose user half is read: what ran at the last stop that had one.
    process: Option<Task>,
    due: Instant,
    /// Why memory cannot be read while the target runs, where it cannot.
    pub(super) why_not: String,
}

impl Default for Beside {
    fn default() -> Self {
        Self {
            process: None,
            due: Instant::now(),
            why_not: "the machine's memory is not shared".to_owned(),
        }
    }
}

impl Engine {
    /// At a stop, before the target runs on: through which page tables its memory is to be read.
    pub(super) fn look_ahead(&mut self) {
        self.beside.due = Instant::now() + PULSE;
        if !self.target.is_shared() {
            return;
        }
        let kernel = match self.target.kernel_root() {
            Some(root) => Some(root),
            None => self.kernels_own(),
        };
        if let Some(task) = self.running_process() {
            self.beside.process = Some(task);
        }
        let process = self.process_root(kernel);
        self.target.look_through(kernel, process);
    }

    /// `init_top_pgt`: whatever process comes and goes, these tables stay.
    fn kernels_own(&mut self) -> Option<Root> {
        let table = self.symbols.as_ref()?;
        let table = table
            .address_of("init_top_pgt")
            .or_else(|| table.address_of("init_level4_pgt"))?;
        let Known::Yes(now) = self.root().ok()? else {
            return None;
        };
        self.root_at(table, now)
    }

    fn running_process(&mut self) -> Option<Task> {
        let task = self.running_task().ok();
        task.filter(|task| task.mm.is_some())
    }

    fn process_root(&mut self, kernel: Option<Root>) -> Option<Root> {
        let (kernel, pgd) = (kernel?, self.beside.process.as_ref()?.pgd?);
        self.root_at(pgd, kernel)
    }

    /// The process whose user half is read may have ended: then there is none.
    fn look_again(&mut self) {
        let Some(task) = self.beside.process.clone() else {
            return;
        };
        let now = self.reading(|symbols, memory| guest::task_at(symbols, task.addr, memory));
        let same = |now: &Task| {
            (now.pid, now.mm, now.pgd, &now.comm) == (task.pid, task.mm, task.pgd, &task.comm)
        };
        if !now.is_some_and(|now| now.is_ok_and(|now| same(&now))) {
            self.beside.process = None;
            let kernel = self.target.kernel_root();
            self.target.look_through(kernel, None);
        }
    }

    /// Whose user half is shown while the target runs.
    pub(super) fn process_beside(&self) -> Option<&Task> {
        self.beside.process.as_ref()
    }

    /// While the target runs: answers what needs its memory alone, and tells a few times a second that
    /// there is something new to be asked.
    pub(super) fn attend_beside(&mut self) -> Result<(), Trouble> {
        if !self.target.reads_beside() || self.target.kernel_root().is_none() {
            return Ok(());
        }
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(needs_memory_alone);
        self.waiting = later.into();
        if !now.is_empty() {
            self.look_again();
        }
        for message in now {
            self.answer(message)?;
        }
        if Instant::now() >= self.beside.due {
            self.beside.due = Instant::now() + PULSE;
            self.look_again();
            self.tell_watched();
            self.port.send(Event::Pulse);
        }
        Ok(())
    }

    /// To a command that needs the target stopped, or its memory shared.
    pub(super) fn declined(&self, memory_alone: bool) -> Failure {
        let found = match (memory_alone, self.target.is_shared()) {
            (true, false) => self.beside.why_not.as_str(),
            (true, true) => "its kernel has not set up its page tables yet",
            (false, _) => "it runs until something stops it",
        };
        Failure::new("asking a running target", found, "'interrupt' stops it")
    }

    /// The area of the only CPU there is.
    pub(super) fn only_cpu(&mut self) -> Option<Addr> {
        if self.info.vcpus != 1 {
            return None;
        }
        let areas = self.reading(|symbols, memory| guest::cpu_areas(symbols, 1, memory));
        areas?.ok()?.first().map(|area| area.start)
    }
}

/// Whether the guest's memory and its vmlinux are enough for an answer.
pub(super) fn needs_memory_alone(message: &Message) -> bool {
    match message {
        Message::Command(_, command) | Message::Joined(_, Ask::Command(command)) => {
            command.needs_memory_alone()
        }
        Message::Joined(_, Ask::Read { .. }) => true,
        Message::Joined(..) | Message::Join(..) => false,
    }
}
