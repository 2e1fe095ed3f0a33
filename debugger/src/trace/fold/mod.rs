//! Records → crossings, as they come.
//!
//! Every task has a stack of open crossings: a system call, the page fault that interrupts it, the
//! interrupt that interrupts that. Each walks its own path through the [`trie`]; what an inner one or
//! another task takes is cut out of the outer one.
//!
//! Every vCPU has a [`cursor`] of its own over the one trie and the one table of tasks. Their records are
//! taken in the order they come, but for switches of tasks, which all vCPUs number: none is passed before
//! its turn, so that a task is put away on one vCPU before it goes on on another.

mod cursor;
mod measured;
mod path;
mod report;
mod requests;
mod tasks;
mod trie;
mod trigger;
mod uses;

use std::sync::Arc;

use wire::record::{FIRST_SPECIAL, LEFT_OUT, SWITCH_NUMBERS};
use wire::{Kind, Word};

use super::call_sites::CallSite;
use super::functions::Functions;
use crate::crossing::RequestSpec;
use cursor::{Cursor, State};
use measured::Measured;
use path::Shapes;
use requests::Counter;
use tasks::{Open, Switch, TaskId, Tasks};
use trie::{GOES_ON, ROOT, Trie};
use trigger::{Ended, Trigger};
use uses::Uses;

pub(super) use path::{IMPLEMENTATION, names_a_call};
pub use report::{Run, Told};

/// The paths that are kept; a node takes about 40 bytes. What comes beyond is counted by call only.
const MOST_NODES: usize = 8 << 20;

/// Steps of one crossing that are followed. Few have more: those that wait in a loop, for entropy at boot.
const LONGEST: u32 = 1 << 16;

#[derive(Debug)]
pub struct Fold {
    functions: Functions,
    trie: Trie,
    tasks: Tasks,
    /// By vCPU.
    cursors: Vec<Cursor>,
    /// The number of the switch that comes next.
    next_switch: u64,
    /// Which opening of the gate the records are of.
    gate: u32,
    /// How often each ending was reached: undisturbed, and with something cut out.
    counts: Vec<[u64; 2]>,
    /// By whom they were made.
    uses: Uses,
    shapes: Shapes,
    full_syscall: u32,
    /// Where requests are counted.
    requests: Option<Counter>,
    /// The clock tells time, not instructions: where that is folded.
    measured: Option<Measured>,
    /// The crossing after which nothing more is taken, where one is waited for.
    trigger: Option<Trigger>,
    /// Records seen.
    pub events: u64,
    /// Places where records are missing.
    pub gaps: u64,
    /// Places where recording was off.
    pub pauses: u64,
    /// Crossings given up because the records contradict each other.
    pub broken: u64,
    /// Records whose clock was before the one before it, and was told to be at that.
    pub went_back: u64,
    /// Crossings not kept for want of room.
    pub overflow: u64,
    /// Crossings not kept because they have too many steps.
    pub long: u64,
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
            cursors: Vec::new(),
            next_switch: 0,
            gate: 0,
            counts: Vec::new(),
            uses: Uses::default(),
            shapes: Shapes::new(profile),
            full_syscall: full_syscall.unwrap_or(u32::MAX),
            requests: None,
            measured: None,
            trigger: None,
            events: 0,
            gaps: 0,
            pauses: 0,
            broken: 0,
            went_back: 0,
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

    /// Names the places that crossings are made from.
    #[must_use]
    pub fn with_call_sites(mut self, sites: Vec<CallSite>) -> Self {
        self.uses = Uses::of(sites);
        self
    }

    /// What the records' numbers of functions mean.
    #[must_use]
    pub const fn functions(&self) -> &Functions {
        &self.functions
    }

    /// The tasks that were switched to: their numbers, and where their stack pointers are kept.
    pub fn tasks(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.tasks.known()
    }

    /// Takes records of a vCPU, in order; `clock` is its whole clock at or before the first of them.
    ///
    /// Returns how many were taken. The rest, from a switch on whose turn it is not yet, is to be given
    /// again when more of the other vCPUs was taken.
    pub fn take(&mut self, vcpu: usize, clock: u64, records: &[u64]) -> usize {
        self.add_vcpus(vcpu);
        let mut at = self.cursors[vcpu];
        at.now = at.now.max(clock);
        at.waits_for = None;
        let taken = self.run(&mut at, records);
        self.cursors[vcpu] = at;
        self.events += taken as u64;
        taken
    }

    fn add_vcpus(&mut self, last: usize) {
        for vcpu in self.cursors.len()..=last {
            self.cursors.push(Cursor::new(vcpu));
            self.tasks.add_vcpu();
        }
    }

    fn run(&mut self, at: &mut Cursor, records: &[u64]) -> usize {
        let mut taken = 0;
        while taken < records.len() && self.triggered().is_none() {
            let state = at.state;
            taken += match state {
                State::Walking if self.measured.is_some() => {
                    self.walk::<true>(at, &records[taken..])
                }
                State::Walking => self.walk::<false>(at, &records[taken..]),
                State::App => self.run_app(at, &records[taken..]),
                State::Elsewhere => Self::skip_steps(&records[taken..]),
            };
            if state != at.state {
                // The crossing has ended: what follows is for the state it left.
                continue;
            }
            let Some((raw, rest)) = records[taken..].split_first() else {
                break;
            };
            let record = wire::Record::decode(*raw);
            if record.word.kind() == Some(Kind::Switch) {
                let Some(numbers) = rest.first_chunk::<SWITCH_NUMBERS>() else {
                    break;
                };
                if !self.switch(at, record.clock, *numbers) {
                    break;
                }
                taken += SWITCH_NUMBERS;
            } else {
                self.special(at, record.word, record.clock);
            }
            taken += 1;
        }
        taken
    }

    /// The vCPU runs the application: what is given next begins a crossing of it.
    pub(in crate::trace) fn begin_in_app(&mut self, vcpu: usize) {
        self.add_vcpus(vcpu);
        let at = &mut self.cursors[vcpu];
        at.state = State::App;
        self.tasks.get_mut(at.task).user = true;
    }

    /// Records of a vCPU are missing, before what is given next.
    pub fn gap(&mut self, vcpu: usize) {
        self.gaps += 1;
        self.abandon(vcpu);
    }

    /// What a vCPU runs, and where that task is, is unknown from here on.
    pub fn abandon(&mut self, vcpu: usize) {
        self.add_vcpus(vcpu);
        let at = &mut self.cursors[vcpu];
        at.lose();
        let (task, gave_up) = self.tasks.lose(at.task, vcpu);
        at.task = task;
        self.give_up_turns(u64::from(gave_up));
    }

    /// Whether records wait for a switch that was not given yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.cursors.iter().any(|at| at.waits_for.is_some())
    }

    /// The switches that others wait for are missing: goes on with the first that is there. What sleeps
    /// may have been anywhere since.
    pub fn pass_missing_switches(&mut self) {
        let there = self.cursors.iter().filter_map(|at| at.waits_for).min();
        if let Some(number) = there {
            self.next_switch = number;
            let running: Vec<TaskId> = self.cursors.iter().map(|at| at.task).collect();
            let turns = self.tasks.forget(&running);
            self.give_up_turns(turns);
        }
    }

    fn give_up_turns(&mut self, turns: u64) {
        if let Some(requests) = &mut self.requests {
            requests.lost += turns;
        }
    }

    /// Steps along the path; returns how many records were taken, up to one that is no step.
    #[inline]
    fn walk<const TIMES: bool>(&mut self, at: &mut Cursor, records: &[u64]) -> usize {
        const HIGH: u64 = 0xffff_ffff_0000_0000;
        let (mut node, mut last) = (at.node, at.last);
        let mut taken = 0;
        for raw in records {
            if raw >> 32 >= u64::from(FIRST_SPECIAL) {
                break;
            }
            taken += 1;
            #[expect(clippy::cast_possible_truncation, reason = "the low half")]
            let clock = *raw as u32;
            let took = clock.wrapping_sub(last);
            let key = raw & HIGH | if TIMES { 0 } else { u64::from(took) };
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
                self.give_up(at, clock);
                return taken;
            };
            if TIMES {
                self.tasks.get_mut(at.task).step_took(took);
            }
            if self.trie.hot[node as usize].end != GOES_ON {
                at.node = node;
                self.close(at, clock);
                if at.state != State::Walking || self.triggered().is_some() {
                    return taken;
                }
                (node, last) = (at.node, at.last);
            }
        }
        (at.node, at.last) = (node, last);
        taken
    }

    /// Steps in the application's code; returns how many records were taken.
    fn run_app(&mut self, at: &mut Cursor, records: &[u64]) -> usize {
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
        let server = &mut self.tasks.get_mut(at.task).server;
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
    fn go_on_in_app(&mut self, at: &mut Cursor, clock: u32) {
        at.state = State::App;
        self.tasks.get_mut(at.task).server.enter(clock);
    }

    /// A step in the application's code that was not expected there.
    fn app_step(&mut self, at: &mut Cursor, kind: Kind, word: Word, clock: u32) {
        if let Some(requests) = &self.requests {
            let server = &mut self.tasks.get_mut(at.task).server;
            server.step(kind, word.function(), clock, requests);
        }
    }

    fn skip_steps(records: &[u64]) -> usize {
        const IRET: u64 = (Kind::Sysret as u64) << 28;
        records.iter().take_while(|raw| *raw >> 32 < IRET).count()
    }

    /// A record that changes which path is walked.
    fn special(&mut self, at: &mut Cursor, word: Word, clock: u32) {
        let Some(kind) = word.kind() else {
            self.broken += 1;
            return;
        };
        at.wide(clock);
        let entered = matches!(
            kind,
            Kind::SyscallEntry | Kind::FaultEntry | Kind::InterruptEntry
        );
        if entered && at.state == State::Elsewhere && !self.tasks.get(at.task).is_followed() {
            // A ring-3 neighbour's of the application, a kernel thread's, or inside of what was given up.
            return;
        }
        match kind {
            // The latter: a function of the kernel, entered from the application, by bypass or shortcut.
            Kind::SyscallEntry | Kind::Entry => self.open(at, word, clock, true),
            Kind::FaultEntry | Kind::InterruptEntry => {
                let counts = self.tasks.get(at.task).counts();
                self.open(at, word, clock, counts);
            }
            Kind::TaskStart => {
                self.tasks.get_mut(at.task).start();
                at.state = State::Elsewhere;
            }
            // The way back to an application that was never seen to leave.
            Kind::Sysret | Kind::Iret => {
                if self.tasks.get(at.task).is_followed() {
                    self.go_on_in_app(at, clock);
                }
            }
            Kind::AppEntry | Kind::AppReturn | Kind::AppJump => self.in_app(at, kind, word, clock),
            Kind::AppCall => self.tasks.get_mut(at.task).place = word.function(),
            Kind::Resume if word.function() == LEFT_OUT => self.leave_out(at, clock),
            Kind::Resume => self.resumed(at, word.function()),
            // A switch was taken before it comes here.
            Kind::Switch | Kind::Return | Kind::Jump => {}
        }
    }

    fn open(&mut self, at: &mut Cursor, word: Word, clock: u32, counted: bool) {
        let (node, last, walking) = (at.node, at.last, at.state == State::Walking);
        let task = self.tasks.get_mut(at.task);
        if walking {
            task.pause(node, last);
        } else if at.state == State::App
            && let Some(requests) = &self.requests
        {
            task.server.leave(clock, requests);
        }
        let took = self.measured.as_mut().map(Measured::opening);
        let mut open = Open::new(clock, counted);
        open.took = took.unwrap_or_default();
        task.push(open);
        at.node = self.trie.step(ROOT, trie::key(word.0, 0), &self.functions);
        at.last = clock;
        at.state = State::Walking;
    }

    /// The innermost crossing ended at its node.
    fn close(&mut self, at: &mut Cursor, clock: u32) {
        let end = self.trie.hot[at.node as usize].end as usize - 1;
        while self.counts.len() < self.trie.endings.len() {
            let ending = self.trie.endings[self.counts.len()];
            let (steps, phases) = self.shapes.learn(&self.trie, ending, &self.functions);
            if let (Some(requests), Some(learnt)) = (&mut self.requests, self.shapes.endings.last())
            {
                let key = &self.shapes.classes[learnt.class];
                requests.learn(&steps, phases, learnt.class, key);
            }
            if let Some(measured) = &mut self.measured {
                measured.learn(&self.trie, ending, &steps, &self.functions);
            }
            self.counts.push([0; 2]);
        }
        let now = at.wide(clock);
        let task = self.tasks.get_mut(at.task);
        let Some(open) = task.pop() else { return };
        if open.counted {
            self.counts[end][usize::from(open.cut)] += 1;
            if self.trie.is_made(at.node) {
                let learnt = self.shapes.endings[end];
                let class = (learnt.class, open.cut);
                self.uses
                    .add(class, at.task.number(), task.place, learnt.total);
            }
            let ended = Ended {
                end,
                cut: open.cut,
                task: at.task.number(),
                place: task.place,
            };
            if let Some(requests) = &mut self.requests {
                requests.closed(&mut task.server, end, now);
            }
            if let Some(measured) = &mut self.measured {
                measured.close(end, open.cut, open.took);
            }
            if let Some(trigger) = self.trigger.take() {
                self.trigger = Some(self.pull(trigger, ended));
            }
        }
        let task = self.tasks.get_mut(at.task);
        if self.shapes.is_exec(end) {
            // Another program, unless the application's code goes on.
            task.user = false;
        }
        let mut began = open.began;
        if self.shapes.is_sigreturn(end) {
            began = task.drop_signal().unwrap_or(began);
        }
        self.resume(at, began, clock);
    }

    /// Goes on with what the crossing that began and ended then had interrupted.
    fn resume(&mut self, at: &mut Cursor, began: u32, ended: u32) {
        let task = self.tasks.get_mut(at.task);
        match task.resume(ended.wrapping_sub(began)) {
            Some((node, last)) => {
                (at.node, at.last) = (node, last);
                at.state = State::Walking;
            }
            None if task.is_followed() => self.go_on_in_app(at, ended),
            None => at.state = State::Elsewhere,
        }
    }

    /// The innermost crossing is not recorded to its end: the application is what is seen next.
    fn leave_out(&mut self, at: &mut Cursor, clock: u32) {
        if at.state == State::Walking {
            self.tasks.get_mut(at.task).pop();
            self.resume(at, clock, clock);
        }
    }

    fn give_up(&mut self, at: &mut Cursor, clock: u32) {
        let task = self.tasks.get_mut(at.task);
        let gave_up = task.forget();
        self.give_up_turns(u64::from(gave_up));
        at.last = clock;
        at.state = State::Elsewhere;
    }

    /// The application's code is running.
    fn in_app(&mut self, at: &mut Cursor, kind: Kind, word: Word, clock: u32) {
        match at.state {
            State::App => {}
            State::Elsewhere => {
                if self.tasks.any() {
                    self.found_in_app(at, kind, word, clock);
                }
            }
            State::Walking if self.trie.is_call(at.node) => {
                let interrupted = self.tasks.get(at.task).top_cut();
                if interrupted && word.function() != self.full_syscall {
                    // A signal's handler runs before the call goes on.
                    let (node, last) = (at.node, at.last);
                    let task = self.tasks.get_mut(at.task);
                    task.pause(node, last);
                    task.push(Open::signal(clock));
                    self.go_on_in_app(at, clock);
                } else {
                    // Without a return: the call falls to the full path.
                    let mut took = clock.wrapping_sub(at.last);
                    if self.measured.is_some() {
                        self.tasks.get_mut(at.task).step_took(took);
                        took = 0;
                    }
                    let key = trie::left_to_app(took);
                    at.node = self.trie.step(at.node, key, &self.functions);
                    self.close(at, clock);
                }
                self.app_step(at, kind, word, clock);
            }
            State::Walking => {
                self.broken += 1;
                self.give_up(at, clock);
                self.found_in_app(at, kind, word, clock);
            }
        }
    }

    /// Wherever the task was: its own code is running.
    fn found_in_app(&mut self, at: &mut Cursor, kind: Kind, word: Word, clock: u32) {
        let task = self.tasks.get_mut(at.task);
        (task.user, task.lost) = (true, false);
        self.go_on_in_app(at, clock);
        self.app_step(at, kind, word, clock);
    }

    /// False: it is not its turn.
    fn switch(&mut self, at: &mut Cursor, clock: u32, numbers: [u64; SWITCH_NUMBERS]) -> bool {
        let [from, to, number] = numbers;
        if number > self.next_switch {
            at.waits_for = Some(number);
            return false;
        }
        self.next_switch = number.saturating_add(1);
        if at.gate != self.gate {
            // What it did since recording was off is not known yet, and will not be.
            let gave_up = self.tasks.get_mut(at.task).forget();
            self.give_up_turns(u64::from(gave_up));
        } else if at.state == State::Walking {
            self.tasks.get_mut(at.task).pause(at.node, at.last);
        }
        let switch = Switch {
            from,
            to,
            vcpu: at.vcpu,
            clock,
            now: at.wide(clock),
        };
        at.task = self.tasks.switch(at.task, &switch);
        self.resume(at, clock, clock);
        // What is left to be told from `resume` is whether the new task was in the application: a task is
        // never switched to there.
        if at.state == State::App {
            at.state = State::Elsewhere;
        }
        true
    }

    /// Recording was off: where any task has got to meanwhile is unknown. Each vCPU says so before what it
    /// records next, and says which opening of the gate that is.
    fn resumed(&mut self, at: &mut Cursor, gate: u32) {
        let mut turns = u64::from(self.tasks.get_mut(at.task).forget());
        if self.gate != gate {
            self.gate = gate;
            self.pauses += 1;
            let running: Vec<TaskId> = self.cursors.iter().map(|at| at.task).collect();
            turns += self.tasks.forget(&running);
        }
        at.gate = gate;
        at.lose();
        self.give_up_turns(turns);
    }
}

#[cfg(test)]
mod left_out_tests;
#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod smp_tests;
#[cfg(test)]
mod tests;
