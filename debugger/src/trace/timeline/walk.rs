//! Records → who runs what: the stack of calls of every task, step by step.
//!
//! Unlike the fold this keeps no path; it says when each call begins and ends and how many instructions
//! it had, and can be taken up anywhere a [`TaskState`] was kept.

use std::collections::HashMap;

use wire::record::{LEFT_OUT, SWITCH_NUMBERS as NUMBERS};
use wire::{Kind, Record};

use super::task::{Closed, Entered, Follow, Frame, TaskState};
use crate::trace::functions::Functions;

const SIGRETURN: &str = "__x64_sys_rt_sigreturn";

/// A task more and less deep than any: what lies below was left by a `longjmp`.
const DEEPEST: usize = 512;

/// Frames that a return may leave at once.
const FARTHEST: usize = 64;

#[derive(Clone, Debug, Default)]
struct Cpu {
    /// Index of the task that runs.
    current: usize,
    /// The whole clock at the last record.
    clock: u64,
    /// What is to be added to the clock for the running task's own one.
    base: u64,
    /// How many of a switch's numbers are still to come, and those that came.
    pending: usize,
    numbers: [u64; NUMBERS],
    /// The last record was a jump.
    jumped: bool,
    /// Whether the task's own code runs, or the kernel.
    in_app: bool,
    /// Tasks that ran since [`Walk::begin`], as they were when they first did.
    first: Vec<TaskState>,
}

/// Of all vCPUs: tasks go from one to another.
#[derive(Debug)]
pub struct Walk {
    functions: Functions,
    /// Numbers of the functions by which a handler ends, and by which a bypass falls to the full path.
    sigreturn: Option<u32>,
    full_path: Option<u32>,
    cpus: Vec<Cpu>,
    by_address: HashMap<u64, usize>,
    all: Vec<TaskState>,
}

impl Walk {
    #[must_use]
    pub fn new(functions: Functions) -> Self {
        let calls = &functions.profile().calls;
        let full_path = calls
            .full_path
            .iter()
            .find_map(|name| functions.named(name));
        Self {
            sigreturn: functions.named(SIGRETURN),
            full_path,
            functions,
            cpus: Vec::new(),
            by_address: HashMap::new(),
            all: vec![TaskState::default()],
        }
    }

    /// From here on, tasks as they are when they first run on that vCPU are kept for [`Walk::firsts`].
    pub fn begin(&mut self, vcpu: usize) {
        self.cpu(vcpu);
        self.cpus[vcpu].first.clear();
        let current = self.cpus[vcpu].current;
        self.keep(vcpu, current);
    }

    /// The tasks that ran on that vCPU since [`Walk::begin`], the first one first.
    #[must_use]
    pub fn firsts(&self, vcpu: usize) -> &[TaskState] {
        self.cpus.get(vcpu).map_or(&[], |cpu| &cpu.first)
    }

    /// Everything that is open on that vCPU is closed, as not returned.
    pub fn give_up(&mut self, vcpu: usize, follow: &mut impl Follow) {
        self.cpu(vcpu);
        let current = self.cpus[vcpu].current;
        self.close_to(vcpu, 0, false, follow);
        for task in 0..self.all.len() {
            if !self.all[task].stack.is_empty() {
                self.cpus[vcpu].current = task;
                self.resume(vcpu);
                self.close_to(vcpu, 0, false, follow);
            }
        }
        self.cpus[vcpu].current = current;
        self.resume(vcpu);
    }

    /// Takes up what was kept by [`Walk::firsts`], at that clock.
    pub fn take_up(&mut self, vcpu: usize, firsts: &[TaskState], clock: u64) {
        self.cpu(vcpu);
        for state in firsts {
            let number = state.number as usize;
            if number > TASKS {
                continue;
            }
            while self.all.len() <= number {
                self.all.push(TaskState {
                    number: u32::try_from(self.all.len()).unwrap_or(0),
                    ..TaskState::default()
                });
            }
            if state.address != 0 {
                self.by_address.insert(state.address, number);
            }
            self.all[number].clone_from(state);
        }
        let cpu = &mut self.cpus[vcpu];
        cpu.clock = clock;
        cpu.pending = 0;
        cpu.jumped = false;
        if let Some(first) = firsts.first() {
            cpu.current = (first.number as usize).min(self.all.len() - 1);
        }
        self.resume(vcpu);
        self.cpus[vcpu].in_app = firsts.first().is_some_and(|first| first.in_app);
    }

    /// Every task that was seen.
    #[must_use]
    pub fn tasks(&self) -> &[TaskState] {
        &self.all
    }

    /// The open calls of the task that runs on that vCPU, outermost first.
    #[must_use]
    pub fn stack(&self, vcpu: usize) -> &[Frame] {
        self.cpus
            .get(vcpu)
            .map_or(&[], |cpu| &self.all[cpu.current].stack)
    }

    #[must_use]
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// The whole clock of that vCPU at its last record.
    #[must_use]
    pub fn clock(&self, vcpu: usize) -> u64 {
        self.cpus.get(vcpu).map_or(0, |cpu| cpu.clock)
    }

    /// Whether what follows belongs to a switch whose record has been taken.
    #[must_use]
    pub fn is_between(&self, vcpu: usize) -> bool {
        self.cpus.get(vcpu).is_some_and(|cpu| cpu.pending > 0)
    }

    /// Records of that vCPU are missing before that clock: who runs is not known from here on.
    pub fn gap(&mut self, vcpu: usize, clock: u64) {
        self.cpu(vcpu);
        for task in &mut self.all {
            task.stack.clear();
        }
        let cpu = &mut self.cpus[vcpu];
        cpu.pending = 0;
        cpu.jumped = false;
        cpu.current = 0;
        cpu.clock = clock.max(cpu.clock);
        self.resume(vcpu);
    }

    /// Takes records that follow each other; `clock` is the whole clock not later than the first and
    /// less than 2³² before it.
    pub fn take(&mut self, vcpu: usize, clock: u64, records: &[u64], follow: &mut impl Follow) {
        self.cpu(vcpu);
        if self.cpus[vcpu].clock == 0 {
            self.cpus[vcpu].clock = clock;
            self.resume(vcpu);
        }
        let mut whole = clock;
        for raw in records {
            if self.cpus[vcpu].pending > 0 {
                self.number(vcpu, *raw, follow);
                continue;
            }
            let record = Record::decode(*raw);
            #[expect(clippy::cast_possible_truncation, reason = "the low half")]
            let since = record.clock.wrapping_sub(whole as u32);
            whole += u64::from(since);
            if let Some(kind) = record.word.kind() {
                self.step(vcpu, kind, record.word.function(), whole, follow);
            }
        }
    }

    #[inline]
    fn step(
        &mut self,
        vcpu: usize,
        kind: Kind,
        function: u32,
        clock: u64,
        follow: &mut impl Follow,
    ) {
        if kind == Kind::Resume && function != LEFT_OUT {
            // What came before was not recorded.
            return self.gap(vcpu, clock);
        }
        let cpu = &mut self.cpus[vcpu];
        let same_stamp = clock == cpu.clock;
        let jumped = cpu.jumped && same_stamp;
        let task = &self.all[cpu.current];
        if clock > cpu.clock {
            let top = task.stack.last().map_or(0, |frame| frame.function);
            follow.ran(task.number, top, cpu.clock, clock);
        }
        cpu.clock = clock;
        cpu.jumped = false;
        match kind {
            Kind::Entry => {
                let entered = if cpu.in_app {
                    Entered::Call
                } else {
                    Entered::Kernel
                };
                self.enter(vcpu, function, entered, jumped, follow);
            }
            Kind::Return => self.leave(vcpu, function, false, follow),
            Kind::Jump => cpu.jumped = true,
            Kind::AppEntry => {
                if !self.is_handler(vcpu, function) {
                    self.go_to_app(vcpu, follow);
                }
                let entered = if jumped {
                    Entered::AppJump
                } else {
                    Entered::App
                };
                self.push(vcpu, function, entered, follow);
            }
            Kind::AppReturn => {
                self.go_to_app(vcpu, follow);
                self.leave(vcpu, function, true, follow);
            }
            Kind::AppJump => {
                self.go_to_app(vcpu, follow);
                self.cpus[vcpu].jumped = true;
            }
            Kind::SyscallEntry | Kind::FaultEntry | Kind::InterruptEntry => {
                self.push(vcpu, function, Entered::by(kind), follow);
            }
            Kind::Sysret | Kind::Iret => self.leave_kernel(vcpu, follow),
            Kind::TaskStart => {
                self.all[cpu.current].stack.clear();
                self.all[cpu.current].user = false;
                self.resume(vcpu);
            }
            Kind::Switch => cpu.pending = NUMBERS,
            // A call that is not told to its end.
            Kind::Resume => self.go_to_app(vcpu, follow),
            // The functions say enough.
            Kind::AppCall => {}
        }
    }

    fn enter(
        &mut self,
        vcpu: usize,
        function: u32,
        entered: Entered,
        jumped: bool,
        follow: &mut impl Follow,
    ) {
        if entered == Entered::Call {
            return self.push(vcpu, function, entered, follow);
        }
        let label = self.functions.get(function).label;
        let stack = &self.all[self.cpus[vcpu].current].stack;
        let Some(top) = stack.last() else {
            return self.push(vcpu, function, entered, follow);
        };
        if jumped && top.function == function {
            return;
        }
        if label {
            // Pieces of assembly follow each other below the one that the crossing began with.
            let bottom = stack.iter().rposition(|frame| frame.entered.crosses());
            let keep = bottom.map_or(0, |bottom| bottom + 1);
            self.close_to(vcpu, keep, true, follow);
        }
        let entered = if jumped || label {
            Entered::KernelJump
        } else {
            entered
        };
        self.push(vcpu, function, entered, follow);
    }

    #[inline]
    fn push(&mut self, vcpu: usize, function: u32, entered: Entered, follow: &mut impl Follow) {
        let cpu = &mut self.cpus[vcpu];
        let task = &mut self.all[cpu.current];
        if task.stack.len() == DEEPEST {
            task.stack.remove(0);
        }
        if entered.crosses() {
            (task.cut, task.sigreturn) = (false, false);
        }
        task.sigreturn |= Some(function) == self.sigreturn;
        let frame = Frame {
            function,
            entered,
            began: cpu.clock,
            own: cpu.clock.wrapping_add(cpu.base),
        };
        cpu.in_app = entered.is_app();
        follow.entered(task.number, &frame, task.stack.len());
        task.stack.push(frame);
    }

    /// A return inside `function`: out of it, and out of those that had jumped to it.
    #[inline]
    fn leave(&mut self, vcpu: usize, function: u32, app: bool, follow: &mut impl Follow) {
        let stack = &self.all[self.cpus[vcpu].current].stack;
        let mut keep = None;
        for (at, frame) in stack.iter().enumerate().rev().take(FARTHEST) {
            if frame.entered.is_app() != app {
                break;
            }
            // Only a crossing that began by a call ends by a return.
            let bottom = frame.entered.crosses();
            if bottom && frame.entered != Entered::Call {
                break;
            }
            let unknown = function == wire::record::NO_FUNCTION;
            if frame.function == function || unknown {
                keep = Some(at);
                break;
            }
            if bottom {
                break;
            }
        }
        let Some(mut keep) = keep else { return };
        while keep > 0 && stack[keep].entered.by_jump() {
            let outer = stack[keep - 1].entered;
            if outer.is_app() != app || outer.crosses() && outer != Entered::Call {
                break;
            }
            keep -= 1;
        }
        self.close_to(vcpu, keep, true, follow);
        self.settle(vcpu);
    }

    /// Out of the innermost crossing.
    fn leave_kernel(&mut self, vcpu: usize, follow: &mut impl Follow) {
        let stack = &self.all[self.cpus[vcpu].current].stack;
        let crossing = stack.iter().rposition(|frame| frame.entered.crosses());
        let app = stack.iter().rposition(|frame| frame.entered.is_app());
        let keep = crossing.unwrap_or_else(|| app.map_or(0, |app| app + 1));
        self.close_to(vcpu, keep, true, follow);
        let task = &mut self.all[self.cpus[vcpu].current];
        task.cut = true;
        if std::mem::take(&mut task.sigreturn) {
            // Out of the handler as well, into the call that it ran in the middle of.
            let kernel = task.stack.iter().rposition(|frame| !frame.entered.is_app());
            let handler =
                kernel.and_then(|kernel| Some((kernel + 1, *task.stack.get(kernel + 1)?)));
            if let Some((keep, handler)) = handler {
                self.close_to(vcpu, keep, true, follow);
                // Cut out of the call, as what interrupted it is.
                let cpu = &mut self.cpus[vcpu];
                let own = cpu.clock.wrapping_add(cpu.base);
                cpu.base = cpu.base.wrapping_sub(own.wrapping_sub(handler.own));
            }
        }
        self.settle(vcpu);
    }

    /// Whether the application's function that is entered is a signal's handler, which runs before a call by a
    /// bypass or a shortcut goes on: something interrupted the call, and it did not fall to the full path.
    fn is_handler(&self, vcpu: usize, function: u32) -> bool {
        let task = &self.all[self.cpus[vcpu].current];
        let mut crossings = task
            .stack
            .iter()
            .rev()
            .filter(|frame| frame.entered.crosses());
        let in_kernel = task
            .stack
            .last()
            .is_some_and(|frame| !frame.entered.is_app());
        let in_call = crossings
            .next()
            .is_some_and(|frame| frame.entered == Entered::Call);
        in_kernel && in_call && task.cut && Some(function) != self.full_path
    }

    /// The application's code runs: what is open of the kernel has been left.
    #[inline]
    fn go_to_app(&mut self, vcpu: usize, follow: &mut impl Follow) {
        if self.cpus[vcpu].in_app {
            return;
        }
        let task = &mut self.all[self.cpus[vcpu].current];
        task.user = true;
        let app = task.stack.iter().rposition(|frame| frame.entered.is_app());
        self.close_to(vcpu, app.map_or(0, |app| app + 1), false, follow);
        self.cpus[vcpu].in_app = true;
    }

    #[inline]
    fn close_to(&mut self, vcpu: usize, keep: usize, returned: bool, follow: &mut impl Follow) {
        let cpu = &mut self.cpus[vcpu];
        let task = &mut self.all[cpu.current];
        while task.stack.len() > keep {
            let Some(frame) = task.stack.pop() else {
                return;
            };
            let instructions = cpu.clock.wrapping_add(cpu.base).wrapping_sub(frame.own);
            follow.closed(Closed {
                task: task.number,
                frame,
                depth: task.stack.len(),
                ended: cpu.clock,
                instructions,
                returned,
            });
            if matches!(frame.entered, Entered::Fault | Entered::Interrupt) {
                // Cut out of what it interrupted.
                cpu.base = cpu.base.wrapping_sub(instructions);
            }
        }
    }

    /// Where the running task is, by its stack.
    #[inline]
    fn settle(&mut self, vcpu: usize) {
        let cpu = &mut self.cpus[vcpu];
        let task = &self.all[cpu.current];
        cpu.in_app = task
            .stack
            .last()
            .map_or(task.user, |frame| frame.entered.is_app());
    }

    /// The current task runs on, from the clock that the vCPU has.
    fn resume(&mut self, vcpu: usize) {
        let cpu = &mut self.cpus[vcpu];
        let task = &self.all[cpu.current];
        cpu.base = task.own.wrapping_sub(cpu.clock);
        self.settle(vcpu);
    }

    fn number(&mut self, vcpu: usize, number: u64, follow: &mut impl Follow) {
        let cpu = &mut self.cpus[vcpu];
        cpu.numbers[NUMBERS - cpu.pending] = number;
        cpu.pending -= 1;
        if cpu.pending > 0 {
            return;
        }
        let ([from, address, ..], current) = (cpu.numbers, cpu.current);
        self.all[current].own = cpu.clock.wrapping_add(cpu.base);
        if from != 0 && current != 0 {
            // The task that ran before any switch is named by the first one.
            self.by_address.entry(from).or_insert(current);
            if self.all[current].address == 0 {
                self.all[current].address = from;
            }
        }
        let to = self.task(address);
        self.cpus[vcpu].current = to;
        self.resume(vcpu);
        // A task is never switched to in its own code.
        self.cpus[vcpu].in_app = false;
        self.keep(vcpu, to);
        follow.switched(self.all[to].number, self.cpus[vcpu].clock);
    }

    fn task(&mut self, address: u64) -> usize {
        if let Some(known) = self.by_address.get(&address) {
            return *known;
        }
        if self.all.len() > TASKS {
            return 0;
        }
        let new = self.all.len();
        self.all.push(TaskState {
            number: u32::try_from(new).unwrap_or(0),
            address,
            ..TaskState::default()
        });
        self.by_address.insert(address, new);
        new
    }

    fn keep(&mut self, vcpu: usize, task: usize) {
        let cpu = &mut self.cpus[vcpu];
        let number = self.all[task].number;
        if cpu.first.iter().any(|state| state.number == number) {
            return;
        }
        let mut state = self.all[task].clone();
        if cpu.first.is_empty() {
            state.own = cpu.clock.wrapping_add(cpu.base);
            state.in_app = cpu.in_app;
        }
        cpu.first.push(state);
    }

    fn cpu(&mut self, vcpu: usize) {
        while self.cpus.len() <= vcpu {
            // Who runs at first is not known by an address yet.
            let new = self.all.len();
            self.all.push(TaskState {
                number: u32::try_from(new).unwrap_or(0),
                ..TaskState::default()
            });
            self.cpus.push(Cpu {
                current: new,
                ..Cpu::default()
            });
        }
    }
}

/// Tasks that are told apart.
const TASKS: usize = 1 << 16;
