//! Times of the paths: what a clock that differs in every crossing is folded into.
//!
//! The trie is walked by words alone. The ticks of each step are kept with the open crossing, and added to
//! its path's spreads when it has ended: what was given up is in none of them.

use wire::Kind;

use super::Fold;
use super::path::{self, Step};
use super::trie::{NodeId, Trie, parts};
use crate::trace::functions::Functions;
use crate::trace::report::Node;
use crate::trace::times::{Clock, Spread, TimedNode, Unit};

/// Steps of all paths that spreads are kept for, some 100 bytes each.
const MOST_STEPS: usize = 1 << 21;

#[derive(Debug)]
pub(super) struct Measured {
    pub(super) clock: Clock,
    /// Nothing is told of the functions inside a crossing.
    whole: bool,
    endings: Vec<Ending>,
    kept: usize,
    /// Crossings whose times were not kept for want of room.
    pub(super) overflow: u64,
    /// Lists of ticks to be used again.
    spare: Vec<Vec<u32>>,
}

/// A path's shape, and the spreads of the crossings that took it: undisturbed, and with something cut out.
#[derive(Debug)]
struct Ending {
    /// By node of the path: the step that was executing until then.
    owners: Vec<Option<usize>>,
    /// By step: the one that called it, and what its own time holds of the cost, in ticks.
    parents: Vec<Option<usize>>,
    costs: Vec<f64>,
    taken: [Option<Box<Taken>>; 2],
}

#[derive(Debug)]
struct Taken {
    own: Vec<u64>,
    /// With what it called, by step; the first is the whole crossing's.
    spreads: Vec<Spread>,
}

/// The spreads of a class's crossings by step, and each step's own ticks and cost.
#[derive(Debug)]
pub(super) struct ClassTimes {
    spreads: Vec<Spread>,
    own: Vec<u64>,
    costs: Vec<f64>,
    parents: Vec<Option<usize>>,
}

impl Fold {
    /// The records' clock tells time: paths are told apart by their steps alone, and instructions are not
    /// known. Not with requests, which are counted in instructions.
    #[must_use]
    pub fn with_times(mut self, clock: Clock) -> Self {
        self.requests = None;
        self.measured = Some(Measured::new(clock));
        self
    }

    /// As [`Self::with_times`], where only the records on which crossings begin and end tell time: there are none of
    /// the functions inside.
    #[must_use]
    pub fn with_times_of_the_whole(mut self, clock: Clock) -> Self {
        self = self.with_times(clock);
        self.measured = self.measured.map(Measured::of_the_whole);
        self
    }
}

impl Measured {
    pub(super) const fn new(clock: Clock) -> Self {
        Self {
            clock,
            whole: false,
            endings: Vec::new(),
            kept: 0,
            overflow: 0,
            spare: Vec::new(),
        }
    }

    pub(super) fn of_the_whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// Must be called for each ending, in order.
    pub(super) fn learn(
        &mut self,
        trie: &Trie,
        end: NodeId,
        steps: &[Step],
        functions: &Functions,
    ) {
        let nodes = trie.path(end);
        let index = |frame| path::index(steps, frame);
        let parent_of = |node: NodeId| trie.cold[node as usize].parent;
        let owners = nodes
            .iter()
            .map(|node| index(trie.cold[parent_of(*node) as usize].frame));
        let owners: Vec<_> = owners.collect();
        let root = steps.first().map_or(0, |step| step.function);
        let mut costs = vec![0.0; steps.len()];
        for (at, owner) in owners.iter().enumerate().skip(1) {
            if let Some(owner) = owner {
                let ends = [nodes[at - 1], nodes[at]];
                let [before, after] = ends.map(|node| Side::new(trie, node, root, functions));
                costs[*owner] += self.cost(before, after);
            }
        }
        self.endings.push(Ending {
            owners,
            parents: steps.iter().map(|step| step.parent).collect(),
            costs,
            taken: [None, None],
        });
    }

    /// What the records on the two ends of an interval cost there, in ticks: half of what was measured
    /// between two of the same sort each.
    fn cost(&self, before: Side, after: Side) -> f64 {
        if before.at_once(after) {
            return 0.0;
        }
        let cost = &self.clock.cost;
        let half = |side: Side, entry: f64, exit: f64| match (side.traced(), side.kind) {
            (false, _) => cost.probe / 2.0,
            (true, Some(Kind::Return)) => exit / 2.0,
            (true, _) => entry / 2.0,
        };
        let after_it = half(before, cost.inside, cost.between);
        self.ticks() * (after_it + half(after, cost.between, cost.inside))
    }

    /// A unit of the clock in ticks.
    fn ticks(&self) -> f64 {
        match self.clock.unit {
            Unit::Ns => f64::from(self.clock.tsc_khz) / 1e6,
            Unit::Ticks => 1.0,
        }
    }

    /// For a crossing that begins: its first record took nothing.
    pub(super) fn opening(&mut self) -> Vec<u32> {
        let mut took = self.spare.pop().unwrap_or_default();
        took.push(0);
        took
    }

    /// A crossing ended, whose steps took so many ticks each.
    pub(super) fn close(&mut self, ending: usize, cut: bool, mut ticks: Vec<u32>) {
        let Some(known) = self.endings.get_mut(ending) else {
            return;
        };
        let steps = known.parents.len();
        let taken = &mut known.taken[usize::from(cut)];
        if taken.is_none() && self.kept + steps > MOST_STEPS || ticks.len() != known.owners.len() {
            self.overflow += 1;
        } else {
            let taken = taken.get_or_insert_with(|| {
                self.kept += steps;
                Box::new(Taken {
                    own: vec![0; steps],
                    spreads: vec![Spread::default(); steps],
                })
            });
            let mut sums = vec![0; steps];
            for (owner, ticks) in known.owners.iter().zip(&ticks) {
                if let Some(owner) = owner {
                    sums[*owner] += u64::from(*ticks);
                }
            }
            for (sum, own) in taken.own.iter_mut().zip(&sums) {
                *sum += own;
            }
            // Callees follow their callers.
            for step in (0..steps).rev() {
                taken.spreads[step].add(sums[step]);
                if let Some(parent) = known.parents[step] {
                    sums[parent] += sums[step];
                }
            }
        }
        ticks.clear();
        self.spare.push(ticks);
    }

    /// Of the crossings that took one of these endings, all of one class.
    pub(super) fn class(
        &self,
        endings: impl Iterator<Item = usize>,
        cut: usize,
    ) -> Option<ClassTimes> {
        let mut class: Option<ClassTimes> = None;
        for ending in endings.filter_map(|ending| self.endings.get(ending)) {
            let Some(taken) = &ending.taken[cut] else {
                continue;
            };
            match &mut class {
                None => {
                    class = Some(ClassTimes {
                        spreads: taken.spreads.clone(),
                        own: taken.own.clone(),
                        costs: ending.costs.clone(),
                        parents: ending.parents.clone(),
                    });
                }
                // A class's paths have the same functions in the same order.
                Some(class) => class.merge(taken),
            }
        }
        class
    }

    /// The class's times in the shape of its tree of calls.
    pub(super) fn tell(&self, class: &ClassTimes, tree: &Node) -> Option<TimedNode> {
        let mut told = class.tree()?.tell(tree, self.ticks());
        if self.whole {
            told.children.clear();
            told.times.own = told.times.mean;
        }
        Some(told)
    }
}

impl ClassTimes {
    fn merge(&mut self, taken: &Taken) {
        for (mine, other) in self.spreads.iter_mut().zip(&taken.spreads) {
            mine.merge(other);
        }
        for (mine, other) in self.own.iter_mut().zip(&taken.own) {
            *mine += other;
        }
    }

    fn tree(&self) -> Option<Told> {
        let mut children: Vec<Vec<Told>> = self.parents.iter().map(|_| Vec::new()).collect();
        for at in (0..self.parents.len()).rev() {
            let mut mine = std::mem::take(&mut children[at]);
            mine.reverse();
            let told = Told {
                spread: self.spreads[at].clone(),
                own: self.own[at],
                own_cost: self.costs[at],
                cost: self.costs[at] + mine.iter().map(|told| told.cost).sum::<f64>(),
                children: mine,
            };
            match self.parents[at] {
                Some(parent) => children[parent].push(told),
                None => return Some(told),
            }
        }
        None
    }
}

/// The tree of a class's steps, beside the tree of its nodes: there, equal calls in a row are one.
struct Told {
    spread: Spread,
    own: u64,
    own_cost: f64,
    cost: f64,
    children: Vec<Self>,
}

impl Told {
    fn tell(self, node: &Node, ticks: f64) -> TimedNode {
        let costs = (self.cost, self.own_cost);
        let times = self.spread.times(ticks, costs, self.own);
        let mut mine = self.children.into_iter();
        let tell = |child: &Node| {
            let mut told = mine.next()?;
            // As many of ours as that node stands for calls by one of this.
            for _ in 1..child.calls / node.calls.max(1) {
                told.merge(&mine.next()?);
            }
            Some(told.tell(child, ticks))
        };
        TimedNode {
            symbol: node.symbol.clone(),
            origin: node.origin,
            calls: node.calls,
            times,
            children: node.children.iter().map_while(tell).collect(),
        }
    }

    /// Costs are of a mean call.
    fn merge(&mut self, other: &Self) {
        let (n, m) = (self.spread.count as f64, other.spread.count as f64);
        let mean = |a: f64, b: f64| (a * n + b * m) / (n + m).max(1.0);
        self.cost = mean(self.cost, other.cost);
        self.own_cost = mean(self.own_cost, other.own_cost);
        self.own += other.own;
        self.spread.merge(&other.spread);
        for (mine, other) in self.children.iter_mut().zip(&other.children) {
            mine.merge(other);
        }
    }
}

/// A record on one end of an interval.
#[derive(Clone, Copy)]
struct Side {
    kind: Option<Kind>,
    /// Of the function that the crossing began with.
    root: bool,
    /// Of a system call's implementation.
    implementation: bool,
}

impl Side {
    fn new(trie: &Trie, node: NodeId, root: u32, functions: &Functions) -> Self {
        let (word, _) = parts(trie.hot[node as usize].key);
        let name = &functions.get(word.function()).name;
        Self {
            kind: word.kind(),
            root: word.function() == root,
            implementation: name.starts_with(path::IMPLEMENTATION),
        }
    }

    /// By the kernel's function tracer, not by a probe at a fixed place.
    const fn traced(self) -> bool {
        let step = matches!(self.kind, Some(Kind::Entry | Kind::Return));
        step && !self.root && !self.implementation
    }

    /// Two records that a probe writes at once: a bypass and what it calls, in and out.
    const fn at_once(self, after: Self) -> bool {
        match (self.kind, after.kind) {
            (Some(Kind::Entry), Some(Kind::Entry)) => self.root && after.implementation,
            (Some(Kind::Return), Some(Kind::Return)) => self.implementation && after.root,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Tape, functions};
    use super::super::{Fold, Run};
    use crate::crossing::{CrossingKind, Mode};
    use crate::trace::report::Report;
    use crate::trace::times::{Clock, Cost, TimedNode, Unit};
    use wire::Kind::{Entry, InterruptEntry, Iret, Return};

    /// Half a tick is a nanosecond, so that a wrong unit shows.
    fn folded(unit: Unit, tape: &Tape) -> Report {
        let clock = Clock {
            unit,
            tsc_khz: 500_000,
            cost: Cost {
                probe: 4.0,
                inside: 6.0,
                between: 8.0,
            },
            about: String::new(),
        };
        told(Fold::new(functions()).with_times(clock), tape)
    }

    fn told(mut fold: Fold, tape: &Tape) -> Report {
        assert_eq!(fold.take(0, 0, &tape.raw), tape.raw.len());
        let run = Run {
            mode: Mode::Bypass.into(),
            engine: "probes".to_owned(),
            lost: 0,
            insns: 0,
            notes: Vec::new(),
        };
        fold.report(&run, 9)
    }

    /// A bypassed read, by static probes and with one traced function.
    fn read(tape: &mut Tape, [before, inside, after]: [u32; 3]) {
        tape.after(9, Entry, "ukl_bypass_syscall");
        tape.after(0, Entry, "__x64_sys_read");
        tape.after(before, Entry, "vfs_read");
        tape.after(inside, Return, "vfs_read");
        tape.after(after, Return, "__x64_sys_read");
        tape.after(0, Return, "ukl_bypass_syscall");
    }

    fn node<'a>(path: &'a TimedNode, symbol: &str) -> &'a TimedNode {
        if path.symbol == symbol {
            return path;
        }
        let mut found = path.children.iter();
        node(found.next().expect("it is in the path"), symbol)
    }

    #[test]
    fn crossings_that_differ_in_time_alone_are_one_class_with_a_spread() {
        let mut tape = Tape::in_app();
        read(&mut tape, [10, 30, 12]);
        read(&mut tape, [20, 40, 12]);
        let report = folded(Unit::Ticks, &tape);
        assert_eq!(report.classes.len(), 1, "{report:?}");
        let class = &report.classes[0];
        assert_eq!((class.call.as_str(), class.count), ("read", 2));
        assert_eq!((class.instructions, class.exact), (0, false));
        let path = &report.times.as_ref().unwrap().classes[0].path;
        // Of static and traced records beside each other half the cost of each: three intervals of 6.
        let whole = path.times;
        assert_eq!((whole.count, whole.mean, whole.cost), (2, 44.0, 18.0));
        assert_eq!((whole.min, whole.max, whole.own), (34.0, 54.0, 0.0));
        let call = node(path, "__x64_sys_read").times;
        assert_eq!((call.mean, call.own, call.cost), (44.0, 15.0, 18.0));
        let traced = node(path, "vfs_read").times;
        assert_eq!((traced.mean, traced.own, traced.cost), (29.0, 29.0, 6.0));
    }

    #[test]
    fn a_crossing_that_was_interrupted_has_the_interrupt_cut_out_and_is_told_apart() {
        let mut tape = Tape::in_app();
        read(&mut tape, [10, 30, 12]);
        tape.after(9, Entry, "ukl_bypass_syscall");
        tape.after(0, Entry, "__x64_sys_read");
        tape.after(7, InterruptEntry, "asm_sysvec_apic_timer_interrupt");
        tape.after(500, Iret, "main");
        tape.after(3, Entry, "vfs_read");
        tape.after(30, Return, "vfs_read");
        tape.after(12, Return, "__x64_sys_read");
        tape.after(0, Return, "ukl_bypass_syscall");
        // Never ends: it is in no spread.
        tape.after(9, Entry, "ukl_bypass_syscall");
        tape.after(900, Entry, "__x64_sys_read");
        let report = folded(Unit::Ns, &tape);
        let times = report.times.as_ref().unwrap();
        let of = |kind, interrupted| {
            let class = |class: &&crate::trace::report::Class| {
                (class.kind, class.interrupted, class.call.as_str()) == (kind, interrupted, "read")
                    || class.kind == kind && kind == CrossingKind::Interrupt
            };
            let class = report.classes.iter().find(class).expect("a class");
            let mut found = times.classes.iter();
            found.find(|times| times.id == class.id).unwrap().path.times
        };
        // 52 ticks are 104 ns; the costs are told in ns.
        for interrupted in [false, true] {
            let times = of(CrossingKind::Bypass, interrupted);
            assert_eq!((times.count, times.mean, times.cost), (1, 86.0, 18.0));
        }
        let interrupt = of(CrossingKind::Interrupt, false);
        assert_eq!((interrupt.count, interrupt.mean), (1, 996.0));
    }

    #[test]
    fn where_the_whole_alone_is_timed_nothing_is_told_of_what_is_inside() {
        let mut tape = Tape::in_app();
        // The records inside are stamped as the one before them.
        read(&mut tape, [0, 0, 0]);
        tape.after(40, Entry, "ukl_tcp_sendmsg");
        tape.after(0, Entry, "vfs_read");
        tape.after(0, Return, "vfs_read");
        tape.after(60, Return, "ukl_tcp_sendmsg");
        let clock = Clock {
            unit: Unit::Ticks,
            tsc_khz: 0,
            cost: Cost::default(),
            about: String::new(),
        };
        let report = told(Fold::new(functions()).with_times_of_the_whole(clock), &tape);
        let times = report.times.expect("times");
        let send = times.classes.iter().map(|class| &class.path);
        let send = send.max_by(|a, b| a.times.mean.total_cmp(&b.times.mean));
        let send = send.expect("a class");
        assert_eq!(send.symbol, "ukl_tcp_sendmsg");
        assert_eq!((send.times.mean, send.times.own), (60.0, 60.0));
        assert_eq!(send.children, []);
    }

    #[test]
    fn equal_calls_in_a_row_are_one_node_with_the_times_of_a_call() {
        let mut tape = Tape::in_app();
        tape.after(9, Entry, "ukl_tcp_sendmsg");
        for inside in [30, 50] {
            tape.after(20, Entry, "vfs_read");
            tape.after(inside, Return, "vfs_read");
        }
        tape.after(20, Return, "ukl_tcp_sendmsg");
        let report = folded(Unit::Ticks, &tape);
        let path = &report.times.as_ref().unwrap().classes[0].path;
        let twice = node(path, "vfs_read");
        assert_eq!((twice.calls, twice.times.count), (2, 2));
        assert_eq!(
            (twice.times.min, twice.times.mean, twice.times.max),
            (24.0, 34.0, 44.0)
        );
        // 60 less the static probe's and the traced function's halves, twice, and the space between two calls.
        assert_eq!(path.times.own, 60.0 - (2.0 + 4.0) * 2.0 - 8.0);
    }
}
