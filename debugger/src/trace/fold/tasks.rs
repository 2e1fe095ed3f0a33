//! Tasks, by where their stack pointers are kept while they sleep, and their open crossings.
//!
//! A task may go on on another vCPU than the one it was switched away on, and their clocks differ. All
//! stamps of a task are differences to its vCPU's clock: when it is switched to, they are moved by the
//! difference of the two clocks, and instructions since a step stay what they were.

use std::collections::HashMap;

use super::requests::Server;
use super::trie::{NodeId, ROOT};

/// A crossing that has begun.
#[derive(Clone, Debug)]
pub(super) struct Open {
    /// Where it stands, while it does not run.
    node: NodeId,
    last: u32,
    /// The clock at its start.
    pub(super) began: u32,
    /// On the application's behalf.
    pub(super) counted: bool,
    /// Something was cut out.
    pub(super) cut: bool,
    /// No crossing: the application's handler of a signal, which runs in the middle of one.
    signal: bool,
    /// What each step took, where the clock tells time.
    pub(super) took: Vec<u32>,
}

/// Deeper than any chain of faults and interrupts; what lies below was left by a `longjmp`.
const DEEPEST: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct Task {
    open: Vec<Open>,
    /// The last call that left the application's own code, as [`wire::Word::place`].
    pub(super) place: u32,
    /// Its own code was seen.
    pub(super) user: bool,
    /// A crossing of it was given up: it is in the application again when its code is seen.
    pub(super) lost: bool,
    /// The clock when it was switched away, and the vCPU whose clock that is.
    away: u32,
    away_on: usize,
    /// What its own code does.
    pub(super) server: Server,
}

#[derive(Debug, Default)]
pub(super) struct Tasks {
    by_address: HashMap<u64, TaskId>,
    named: Vec<Task>,
    /// By vCPU: what runs there while it is not known which task that is.
    nobody: Vec<Task>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskId {
    Named(usize),
    /// The one that runs on that vCPU, whichever it is.
    Nobody(usize),
}

/// A switch of tasks on a vCPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switch {
    /// Where the two stack pointers are kept; `from` is 0 where that was not seen.
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) vcpu: usize,
    /// The vCPU's clock: its low half, and the whole of it.
    pub(super) clock: u32,
    pub(super) now: u64,
}

impl Tasks {
    /// Those that were switched to: their numbers, and where their stack pointers are kept.
    pub(super) fn known(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let known = self.by_address.iter();
        known.map(|(address, task)| (task.number(), *address))
    }
}

impl TaskId {
    pub(super) const fn nobody(vcpu: usize) -> Self {
        Self::Nobody(vcpu)
    }

    /// From 1 in the order in which they are seen; 0 while it is not known which it is.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Named(at) => u32::try_from(at + 1).unwrap_or(u32::MAX),
            Self::Nobody(_) => 0,
        }
    }
}

impl Open {
    pub(super) const fn new(began: u32, counted: bool) -> Self {
        Self {
            node: ROOT,
            last: began,
            began,
            counted,
            cut: false,
            signal: false,
            took: Vec::new(),
        }
    }

    pub(super) fn signal(began: u32) -> Self {
        Self {
            signal: true,
            ..Self::new(began, false)
        }
    }
}

impl Task {
    pub(super) fn start(&mut self) {
        *self = Self::default();
    }

    /// Whether it is the application's, and where it is is known.
    pub(super) const fn is_followed(&self) -> bool {
        self.user && !self.lost
    }

    /// Whether what interrupts it now does so to the application or to a crossing of it.
    pub(super) fn counts(&self) -> bool {
        self.open
            .last()
            .map_or(self.user, |open| open.counted || open.signal)
    }

    pub(super) fn push(&mut self, open: Open) {
        if self.open.len() == DEEPEST {
            self.open.remove(0);
        }
        self.open.push(open);
    }

    pub(super) fn pop(&mut self) -> Option<Open> {
        self.open.pop()
    }

    pub(super) fn pause(&mut self, node: NodeId, last: u32) {
        if let Some(open) = self.open.last_mut() {
            (open.node, open.last) = (node, last);
        }
    }

    /// Where the innermost crossing goes on, `away` instructions later; `None`: there is none.
    pub(super) fn resume(&mut self, away: u32) -> Option<(NodeId, u32)> {
        let open = self.open.last_mut().filter(|open| !open.signal)?;
        open.last = open.last.wrapping_add(away);
        open.cut = true;
        Some((open.node, open.last))
    }

    pub(super) fn step_took(&mut self, ticks: u32) {
        if let Some(open) = self.open.last_mut() {
            open.took.push(ticks);
        }
    }

    pub(super) fn top_cut(&self) -> bool {
        self.open.last().is_some_and(|open| open.cut)
    }

    /// When the handler that ends now began, if it interrupted a crossing.
    pub(super) fn drop_signal(&mut self) -> Option<u32> {
        let signal = self.open.pop_if(|open| open.signal)?;
        Some(signal.began)
    }

    /// Where it is is not known, until its own code is seen; whether a turn of a server was given up.
    pub(super) fn forget(&mut self) -> bool {
        self.open.clear();
        self.lost = true;
        self.server.forget()
    }

    /// It goes on, on whichever vCPU.
    fn come_back(&mut self, switch: &Switch) {
        let away = switch.clock.wrapping_sub(self.away);
        self.server.back(switch.now, self.away_on == switch.vcpu);
        if let Some(open) = self.open.last_mut() {
            open.last = open.last.wrapping_add(away);
        }
    }

    fn open_now(&self) -> usize {
        self.open.iter().filter(|open| open.counted).count()
    }
}

impl Tasks {
    /// Makes room for a vCPU's tasks.
    pub(super) fn add_vcpu(&mut self) {
        self.nobody.push(Task::default());
    }

    pub(super) fn get(&self, task: TaskId) -> &Task {
        match task {
            TaskId::Named(at) => &self.named[at],
            TaskId::Nobody(vcpu) => &self.nobody[vcpu],
        }
    }

    pub(super) fn get_mut(&mut self, task: TaskId) -> &mut Task {
        match task {
            TaskId::Named(at) => &mut self.named[at],
            TaskId::Nobody(vcpu) => &mut self.nobody[vcpu],
        }
    }

    /// Whether tasks are told apart yet.
    pub(super) fn any(&self) -> bool {
        !self.by_address.is_empty()
    }

    fn at_address(&mut self, address: u64) -> TaskId {
        let new = TaskId::Named(self.named.len());
        let task = *self.by_address.entry(address).or_insert(new);
        if task == new {
            self.named.push(Task::default());
        }
        task
    }

    /// From the task that `running` is to the one that runs now.
    pub(super) fn switch(&mut self, running: TaskId, switch: &Switch) -> TaskId {
        let left = if switch.from == 0 {
            running
        } else {
            self.at_address(switch.from)
        };
        if left != running {
            // What ran is known by its name only now; if it was taken for another task, that one is lost.
            let ran = std::mem::take(self.get_mut(running));
            let taken_for = self.get_mut(running);
            (taken_for.user, taken_for.lost) = (ran.user, true);
            *self.get_mut(left) = ran;
        }
        let left = self.get_mut(left);
        (left.away, left.away_on) = (switch.clock, switch.vcpu);
        left.server.away(switch.now);
        let known = self.named.len();
        let next = self.at_address(switch.to);
        if next != TaskId::Named(known) {
            self.get_mut(next).come_back(switch);
        }
        next
    }

    /// What a vCPU runs from here on is not known, and neither is where the task is that it ran.
    ///
    /// Returns whether a server's turn was given up.
    pub(super) fn lose(&mut self, running: TaskId, vcpu: usize) -> (TaskId, bool) {
        let gave_up = self.get_mut(running).forget();
        let nobody = TaskId::Nobody(vcpu);
        *self.get_mut(nobody) = Task::default();
        (nobody, gave_up)
    }

    /// Where every task is, but for those that run, is not known; the tasks stay known.
    ///
    /// Returns how many turns of servers were given up.
    pub(super) fn forget(&mut self, running: &[TaskId]) -> u64 {
        let sleeping = self
            .named
            .iter_mut()
            .enumerate()
            .filter(|(at, _)| !running.contains(&TaskId::Named(*at)));
        sleeping.map(|(_, task)| u64::from(task.forget())).sum()
    }

    pub(super) fn open_now(&self) -> usize {
        let all = self.named.iter().chain(&self.nobody);
        all.map(Task::open_now).sum()
    }
}
