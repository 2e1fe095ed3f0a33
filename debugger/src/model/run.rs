//! Whether the target runs, and where it last stopped.

use crate::event::{Progress, Run, Stop};

#[derive(Debug)]
pub struct RunState {
    pub now: Run,
    pub last_stop: Option<Stop>,
    /// Counts the states the target was seen in: data of an earlier one may no longer be true.
    pub generation: u64,
    /// While the target runs and its memory is read: the generation of the first pulse.
    pub live_since: Option<u64>,
    /// Counts the stops alone, and the turns to past ones: where the user looks is kept until the
    /// next.
    pub stops: u64,
    /// How far the command is that runs the target, once that is known.
    pub progress: Option<Progress>,
}

impl Default for RunState {
    fn default() -> Self {
        Self {
            now: Run::Starting,
            last_stop: None,
            generation: 0,
            live_since: None,
            stops: 0,
            progress: None,
        }
    }
}

impl RunState {
    /// Takes the target's own word; whether this is a new stop.
    pub(super) fn moved(&mut self, run: Run) -> bool {
        let stop = match &run {
            Run::Stopped(stop) => Some(stop.clone()),
            Run::Starting | Run::Running | Run::Stopping | Run::Ended(_) => None,
        };
        self.now = run;
        self.live_since = None;
        if !self.is_running() {
            self.progress = None;
        }
        let stopped = stop.is_some();
        if stopped {
            self.last_stop = stop;
            self.generation += 1;
            self.stops += 1;
        }
        stopped
    }

    /// The running target's memory can be read anew.
    pub(super) fn pulsed(&mut self) {
        if self.is_running() {
            self.generation += 1;
            self.live_since.get_or_insert(self.generation);
        }
    }

    /// Another stop is looked at.
    pub(super) const fn turned(&mut self) {
        self.generation += 1;
        self.stops += 1;
    }

    pub(super) const fn touched(&mut self) {
        self.generation += 1;
    }

    /// Whether the target stands still and can be asked.
    #[must_use]
    pub const fn answers(&self) -> bool {
        matches!(self.now, Run::Stopped(_))
    }

    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self.now, Run::Running | Run::Stopping)
    }

    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.now, Run::Ended(_))
    }
}
