//! Where the records of one vCPU have led to.

use super::tasks::TaskId;
use super::trie::{NodeId, ROOT};

#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pub(super) vcpu: usize,
    /// The task that runs there.
    pub(super) task: TaskId,
    pub(super) state: State,
    /// Of the task's innermost open crossing, while walking.
    pub(super) node: NodeId,
    /// The low half of the clock at its last step, moved on by what was cut out.
    pub(super) last: u32,
    /// The vCPU's whole clock, as far as it was followed.
    pub(super) now: u64,
    /// The opening of the gate that its records are of.
    pub(super) gate: u32,
    /// The switch that stops it, as another vCPU's comes first.
    pub(super) waits_for: Option<u64>,
}

/// Where the running task is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// In a crossing.
    Walking,
    /// In the application.
    App,
    /// In the kernel, on nobody's behalf that is known.
    #[default]
    Elsewhere,
}

impl Cursor {
    pub(super) const fn new(vcpu: usize) -> Self {
        Self {
            vcpu,
            task: TaskId::nobody(vcpu),
            state: State::Elsewhere,
            node: ROOT,
            last: 0,
            now: 0,
            gate: 0,
            waits_for: None,
        }
    }

    /// The whole clock, from its low half: called more often than that wraps.
    pub(super) fn wide(&mut self, clock: u32) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        let since = clock.wrapping_sub(self.now as u32);
        self.now += u64::from(since);
        self.now
    }

    /// Where its task is is unknown from here on.
    pub(super) const fn lose(&mut self) {
        self.state = State::Elsewhere;
        self.node = ROOT;
    }
}
