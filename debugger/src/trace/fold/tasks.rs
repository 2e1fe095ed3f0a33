//! Tasks, by where their stack pointers are kept while they sleep, and their open crossings.

use std::collections::HashMap;

use super::requests::Server;
use super::trie::{NodeId, ROOT};

/// A crossing that has begun.
#[derive(Clone, Copy, Debug)]
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
}

/// Deeper than any chain of faults and interrupts; what lies below was left by a `longjmp`.
const DEEPEST: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct Task {
    open: Vec<Open>,
    /// Its own code was seen.
    pub(super) user: bool,
    /// A crossing of it was given up: it is in the application again when its code is seen.
    pub(super) lost: bool,
    /// The clock when it was switched away.
    away: u32,
    /// What its own code does.
    pub(super) server: Server,
}

#[derive(Debug, Default)]
pub(super) struct Tasks {
    by_address: HashMap<u64, usize>,
    all: Vec<Task>,
    current: usize,
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
        }
    }

    pub(super) const fn signal(began: u32) -> Self {
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

    pub(super) fn top_cut(&self) -> bool {
        self.open.last().is_some_and(|open| open.cut)
    }

    /// When the handler that ends now began, if it interrupted a crossing.
    pub(super) fn drop_signal(&mut self) -> Option<u32> {
        let signal = self.open.pop_if(|open| open.signal)?;
        Some(signal.began)
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    fn open_now(&self) -> usize {
        self.open.iter().filter(|open| open.counted).count()
    }
}

impl Tasks {
    pub(super) fn current(&self) -> &Task {
        self.all.get(self.current).unwrap_or(&NOBODY)
    }

    pub(super) fn current_mut(&mut self) -> &mut Task {
        if self.all.is_empty() {
            self.all.push(Task::default());
        }
        &mut self.all[self.current]
    }

    /// Whether tasks are told apart yet.
    pub(super) fn any(&self) -> bool {
        !self.by_address.is_empty()
    }

    /// From the task whose stack pointer was stored at `from` to the one whose was loaded from `to`;
    /// `now` is the whole clock.
    pub(super) fn switch(&mut self, from: u64, to: u64, clock: u32, now: u64) {
        self.current_mut().away = clock;
        self.current_mut().server.away(now);
        if from != 0 {
            // The task that ran before any switch is named by the first one.
            self.by_address.entry(from).or_insert(self.current);
        }
        let new = self.all.len();
        self.current = *self.by_address.entry(to).or_insert(new);
        if self.current == new {
            self.all.push(Task {
                away: clock,
                ..Task::default()
            });
        }
        let task = self.current_mut();
        let away = clock.wrapping_sub(task.away);
        task.server.back(now);
        if let Some(open) = task.open.last_mut() {
            open.last = open.last.wrapping_add(away);
        }
    }

    /// Everything that is open; the tasks stay known.
    ///
    /// Returns how many turns of servers were given up.
    pub(super) fn forget(&mut self) -> u64 {
        let mut turns = 0;
        for task in &mut self.all {
            task.clear();
            task.lost = true;
            turns += u64::from(task.server.forget());
        }
        turns
    }

    pub(super) fn open_now(&self) -> usize {
        self.all.iter().map(Task::open_now).sum()
    }
}

static NOBODY: Task = Task {
    open: Vec::new(),
    user: false,
    lost: false,
    away: 0,
    server: Server::new(),
};
