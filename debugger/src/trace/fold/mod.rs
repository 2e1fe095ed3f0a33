//! Records → crossings, as they come.
//!
//! Every task has a stack of open crossings: a system call, the page fault that interrupts it, the
//! interrupt that interrupts that. Each walks its own path through the [`trie`]; what an inner one or
//! another task takes is cut out of the outer one.

mod path;
mod report;
mod requests;
mod tasks;
mod trie;

use std::sync::Arc;

use wire::record::{FIRST_SPECIAL, SWITCH_ADDRESSES};
use wire::{Kind, Word};

use super::functions::Functions;
use crate::crossing::RequestSpec;
use path::Shapes;
use requests::Counter;
use tasks::{Open, Tasks};
use trie::{GOES_ON, NodeId, ROOT, Trie};

pub use report::Run;

/// The paths that are kept; a node takes about 40 bytes. What comes beyond is counted by call only.
const MOST_NODES: usize = 8 << 20;

/// Steps of one crossing that are followed. Few have more: those that wait in a loop, for entropy at boot.
const LONGEST: u32 = 1 << 16;

#[derive(Debug)]
pub struct Fold {
    functions: Functions,
    trie: Trie,
    tasks: Tasks,
    /// How often each ending was reached: undisturbed, and with something cut out.
    counts: Vec<[u64; 2]>,
    shapes: Shapes,
    state: State,
    /// Of the innermost open crossing, while walking.
    node: NodeId,
    /// The low half of the clock at its last step, moved on by what was cut out.
    last: u32,
    /// Addresses still to come after a switch, and the first of them.
    pending: Pending,
    full_syscall: u32,
    /// The whole clock, as far as it was followed.
    now: u64,
    /// Where requests are counted.
    requests: Option<Counter>,
    /// Records seen.
    pub events: u64,
    /// Chunks that did not follow the one before.
    pub gaps: u64,
    /// Crossings given up because the records contradict each other.
    pub broken: u64,
    /// Crossings not kept for want of room.
    pub overflow: u64,
    /// Crossings not kept because they have too many steps.
    pub long: u64,
}

/// Where the running task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a crossing.
    Walking,
    /// In the application.
    App,
    /// In the kernel, on nobody's behalf that is known.
    Elsewhere,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    left: usize,
    clock: u32,
    from: u64,
}

impl Fold {
    #[must_use]
    pub fn new(functions: Functions) -> Self {
        let profile = Arc::clone(functions.profile());
        let full_path = &profile.calls.full_path;
        let full_syscall = full_path.iter().find_map(|name| functions.named(name));
        Self {
            functions,
            trie: Trie::new(),
            tasks: Tasks::default(),
            counts: Vec::new(),
            shapes: Shapes::new(profile),
            state: State::Elsewhere,
            node: ROOT,
            last: 0,
            pending: Pending::default(),
            full_syscall: full_syscall.unwrap_or(u32::MAX),
            now: 0,
            requests: None,
            events: 0,
            gaps: 0,
            broken: 0,
            overflow: 0,
            long: 0,
        }
    }

    /// Counts requests too.
    #[must_use]
    pub fn with_requests(mut self, spec: Option<&RequestSpec>) -> Self {
        self.requests = spec.map(|spec| Counter::new(spec.clone(), &self.functions));
        self
    }

    /// Takes a chunk's records, in order.
    pub fn take(&mut self, records: &[u64]) {
        self.events += records.len() as u64;
        let mut at = 0;
        while at < records.len() {
            if self.pending.left > 0 {
                self.address(records[at]);
                at += 1;
                continue;
            }
            let state = self.state;
            at += match state {
                State::Walking => self.walk(&records[at..]),
                State::App => self.run_app(&records[at..]),
                State::Elsewhere => Self::skip_steps(&records[at..]),
            };
            if state != self.state {
                // The crossing has ended: what follows is for the state it left.
                continue;
            }
            if let Some(record) = records.get(at) {
                let record = wire::Record::decode(*record);
                self.special(record.word, record.clock);
                at += 1;
            }
        }
    }

    /// Records are missing.
    pub fn gap(&mut self) {
        self.gaps += 1;
        self.abandon();
    }

    /// Whatever is open is unknown from here on.
    pub fn abandon(&mut self) {
        let turns = self.tasks.forget();
        if let Some(requests) = &mut self.requests {
            requests.lost += turns;
        }
        self.pending = Pending::default();
        self.state = State::Elsewhere;
        self.node = ROOT;
    }

    /// Steps along the path; returns how many records were taken, up to one that is no step.
    #[inline]
    fn walk(&mut self, records: &[u64]) -> usize {
        const HIGH: u64 = 0xffff_ffff_0000_0000;
        let (mut node, mut last) = (self.node, self.last);
        let mut taken = 0;
        for raw in records {
            if raw >> 32 >= u64::from(FIRST_SPECIAL) {
                break;
            }
            taken += 1;
            #[expect(clippy::cast_possible_truncation, reason = "the low half")]
            let clock = *raw as u32;
            let key = raw & HIGH | u64::from(clock.wrapping_sub(last));
            last = clock;
            let next = self.trie.hot[node as usize].next;
            let hot = &self.trie.hot[next as usize];
            node = if hot.key == key {
                next
            } else if self.trie.len() < MOST_NODES && self.trie.depth(node) < LONGEST {
                self.trie.step(node, key, &self.functions)
            } else {
                if self.trie.depth(node) < LONGEST {
                    self.overflow += 1;
                } else {
                    self.long += 1;
                }
                self.give_up(clock);
                return taken;
            };
            if self.trie.hot[node as usize].end != GOES_ON {
                self.node = node;
                self.close(clock);
                if self.state != State::Walking {
                    return taken;
                }
                (node, last) = (self.node, self.last);
            }
        }
        (self.node, self.last) = (node, last);
        taken
    }

    /// Steps in the application's code; returns how many records were taken.
    fn run_app(&mut self, records: &[u64]) -> usize {
        let app = |raw: &&u64| {
            matches!(
                Word((*raw >> 32) as u32).kind(),
                Some(Kind::AppEntry | Kind::AppReturn | Kind::AppJump | Kind::Return | Kind::Jump)
            )
        };
        let steps = records.iter().take_while(app);
        let Some(requests) = &self.requests else {
            return steps.count();
        };
        let server = &mut self.tasks.current_mut().server;
        let mut taken = 0;
        for raw in steps {
            let record = wire::Record::decode(*raw);
            if let Some(kind) = record.word.kind() {
                server.step(kind, record.word.function(), record.clock, requests);
            }
            taken += 1;
        }
        taken
    }

    /// The application's code goes on from here.
    fn go_on_in_app(&mut self, clock: u32) {
        self.state = State::App;
        self.tasks.current_mut().server.enter(clock);
    }

    /// A step in the application's code that was not expected there.
    fn app_step(&mut self, kind: Kind, word: Word, clock: u32) {
        if let Some(requests) = &self.requests {
            let server = &mut self.tasks.current_mut().server;
            server.step(kind, word.function(), clock, requests);
        }
    }

    /// The whole clock, from its low half: called more often than that wraps.
    fn wide(&mut self, clock: u32) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        let since = clock.wrapping_sub(self.now as u32);
        self.now += u64::from(since);
        self.now
    }

    fn skip_steps(records: &[u64]) -> usize {
        const IRET: u64 = (Kind::Sysret as u64) << 28;
        records.iter().take_while(|raw| *raw >> 32 < IRET).count()
    }

    /// A record that changes which path is walked.
    fn special(&mut self, word: Word, clock: u32) {
        let Some(kind) = word.kind() else {
            self.broken += 1;
            return;
        };
        self.wide(clock);
        let entered = matches!(
            kind,
            Kind::SyscallEntry | Kind::FaultEntry | Kind::InterruptEntry
        );
        if entered && self.state == State::Elsewhere && !self.tasks.current().is_followed() {
            // A ring-3 neighbour's of the application, a kernel thread's, or inside of what was given up.
            return;
        }
        match kind {
            // The latter: a function of the kernel, entered from the application, by bypass or shortcut.
            Kind::SyscallEntry | Kind::Entry => self.open(word, clock, true),
            Kind::FaultEntry | Kind::InterruptEntry => {
                let counts = self.tasks.current().counts();
                self.open(word, clock, counts);
            }
            Kind::TaskStart => {
                self.tasks.current_mut().start();
                self.state = State::Elsewhere;
            }
            // The way back to an application that was never seen to leave.
            Kind::Sysret | Kind::Iret => {
                if self.tasks.current().is_followed() {
                    self.go_on_in_app(clock);
                }
            }
            Kind::AppEntry | Kind::AppReturn | Kind::AppJump => self.in_app(kind, word, clock),
            Kind::Switch => {
                self.pending = Pending {
                    left: SWITCH_ADDRESSES,
                    clock,
                    from: 0,
                }
            }
            Kind::Return | Kind::Jump => {}
        }
    }

    fn open(&mut self, word: Word, clock: u32, counted: bool) {
        let (node, last, walking) = (self.node, self.last, self.state == State::Walking);
        let task = self.tasks.current_mut();
        if walking {
            task.pause(node, last);
        } else if self.state == State::App
            && let Some(requests) = &self.requests
        {
            task.server.leave(clock, requests);
        }
        task.push(Open::new(clock, counted));
        self.node = self.trie.step(ROOT, trie::key(word.0, 0), &self.functions);
        self.last = clock;
        self.state = State::Walking;
    }

    /// The innermost crossing ended at its node.
    fn close(&mut self, clock: u32) {
        let end = self.trie.hot[self.node as usize].end as usize - 1;
        while self.counts.len() < self.trie.endings.len() {
            let ending = self.trie.endings[self.counts.len()];
            let (steps, phases) = self.shapes.learn(&self.trie, ending, &self.functions);
            if let (Some(requests), Some(learnt)) = (&mut self.requests, self.shapes.endings.last())
            {
                let key = &self.shapes.classes[learnt.class];
                requests.learn(&steps, phases, learnt.class, key);
            }
            self.counts.push([0; 2]);
        }
        let now = self.wide(clock);
        let task = self.tasks.current_mut();
        let Some(open) = task.pop() else { return };
        if open.counted {
            self.counts[end][usize::from(open.cut)] += 1;
            if let Some(requests) = &mut self.requests {
                requests.closed(&mut task.server, end, now);
            }
        }
        if self.shapes.is_exec(end) {
            // Another program, unless the application's code goes on.
            task.user = false;
        }
        let mut began = open.began;
        if self.shapes.is_sigreturn(end) {
            began = task.drop_signal().unwrap_or(began);
        }
        self.resume(began, clock);
    }

    /// Goes on with what the crossing that began and ended then had interrupted.
    fn resume(&mut self, began: u32, ended: u32) {
        let task = self.tasks.current_mut();
        match task.resume(ended.wrapping_sub(began)) {
            Some((node, last)) => {
                (self.node, self.last) = (node, last);
                self.state = State::Walking;
            }
            None if task.is_followed() => self.go_on_in_app(ended),
            None => self.state = State::Elsewhere,
        }
    }

    fn give_up(&mut self, clock: u32) {
        let task = self.tasks.current_mut();
        task.clear();
        if task.server.forget()
            && let Some(requests) = &mut self.requests
        {
            requests.lost += 1;
        }
        task.lost = true;
        self.last = clock;
        self.state = State::Elsewhere;
    }

    /// The application's code is running.
    fn in_app(&mut self, kind: Kind, word: Word, clock: u32) {
        match self.state {
            State::App => {}
            State::Elsewhere => {
                if self.tasks.any() {
                    self.found_in_app(kind, word, clock);
                }
            }
            State::Walking if self.trie.is_call(self.node) => {
                let interrupted = self.tasks.current().top_cut();
                if interrupted && word.function() != self.full_syscall {
                    // A signal's handler runs before the call goes on.
                    let (node, last) = (self.node, self.last);
                    let task = self.tasks.current_mut();
                    task.pause(node, last);
                    task.push(Open::signal(clock));
                    self.go_on_in_app(clock);
                } else {
                    // Without a return: the call falls to the full path.
                    let key = trie::left_to_app(clock.wrapping_sub(self.last));
                    self.node = self.trie.step(self.node, key, &self.functions);
                    self.close(clock);
                }
                self.app_step(kind, word, clock);
            }
            State::Walking => {
                self.broken += 1;
                self.give_up(clock);
                self.found_in_app(kind, word, clock);
            }
        }
    }

    /// Wherever the task was: its own code is running.
    fn found_in_app(&mut self, kind: Kind, word: Word, clock: u32) {
        let task = self.tasks.current_mut();
        (task.user, task.lost) = (true, false);
        self.go_on_in_app(clock);
        self.app_step(kind, word, clock);
    }

    fn address(&mut self, address: u64) {
        self.pending.left -= 1;
        if self.pending.left > 0 {
            self.pending.from = address;
            return;
        }
        let Pending { clock, from, .. } = self.pending;
        let (node, last, walking) = (self.node, self.last, self.state == State::Walking);
        if walking {
            self.tasks.current_mut().pause(node, last);
        }
        self.tasks.switch(from, address, clock, self.now);
        self.resume(clock, clock);
        // What is left to be told from `resume` is whether the new task was in the application: a task is
        // never switched to there.
        if self.state == State::App {
            self.state = State::Elsewhere;
        }
    }
}

#[cfg(test)]
mod tests;
