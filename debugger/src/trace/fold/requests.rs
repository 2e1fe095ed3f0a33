//! Requests, as the crossings of a server's threads are folded.

use std::collections::{BTreeMap, HashMap};

use wire::Kind;

use super::path::{ClassKey, Step};
use crate::crossing::{CrossingKind, RequestSpec};
use crate::origin::Origin;
use crate::trace::functions::Functions;
use crate::trace::report::Phases;
use crate::trace::requests::{Part, Parts, Request, RequestCall, Requests, Turns, Typical};

/// Variants of a kind that are told apart; requests of others are in the sums alone.
const MOST_VARIANTS: usize = 1 << 16;

/// Functions of the application that are open at once, kept: deeper ones are the recursion's.
const DEEPEST: usize = 4096;

/// What the application's code of one task does, while a turn of it is being followed or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    /// Functions that were called and have not returned, by number.
    frames: Vec<u32>,
    /// When the instructions not attributed yet began.
    since: u32,
    /// A jump that is a tail call if an entry with the same stamp follows.
    jumped: Option<u32>,
    turn: Option<Box<Turn>>,
}

/// A turn that goes on.
#[derive(Clone, Debug)]
struct Turn {
    began: u64,
    /// The application's instructions, by the number of their origin.
    app: Vec<u64>,
    /// Of crossings, in their order.
    endings: Vec<u32>,
    interrupts: u64,
    others: u64,
    /// When the task was switched away.
    away: u64,
    /// The request made, and how many.
    kind: Option<u16>,
    made: u32,
}

#[derive(Debug)]
pub(super) struct Counter {
    spec: RequestSpec,
    /// The names of the kinds of request.
    kinds: Vec<String>,
    /// By function number: one more than the kind that its call is.
    kind_of: Vec<u16>,
    /// By function number.
    slot_of: Vec<u16>,
    slots: Vec<Origin>,
    /// By ending.
    endings: Vec<Ending>,
    /// By kind: variants and sums.
    counted: Vec<Counted>,
    idle: Turns,
    several: Turns,
    unbalanced: u64,
    pub(super) lost: u64,
}

#[derive(Clone, Debug)]
struct Ending {
    total: u64,
    phases: Phases,
    origins: Vec<(u16, u64)>,
    kind: CrossingKind,
    class: usize,
    begins_turn: bool,
}

#[derive(Clone, Debug, Default)]
struct Counted {
    count: u64,
    total: Part,
    parts: Parts,
    /// By the number of the origin.
    origins: Vec<u64>,
    /// By class.
    calls: BTreeMap<usize, Calls>,
    interrupts: u64,
    others: u64,
    variants: HashMap<Variant, u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    count: u64,
    instructions: u64,
    boundary: u64,
}

/// What two requests must share to be one variant: the path of each crossing with every count in it, and
/// the application's instructions by origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Variant {
    endings: Vec<u32>,
    app: Vec<u64>,
}

impl Counter {
    pub(super) fn new(spec: RequestSpec, functions: &Functions) -> Self {
        let mut kinds: Vec<String> = spec.kinds.values().cloned().collect();
        kinds.sort();
        kinds.dedup();
        let mut slots: Vec<Origin> = Vec::new();
        let (mut kind_of, mut slot_of) = (Vec::new(), Vec::new());
        for function in functions.iter() {
            let kind = spec
                .kinds
                .get(&function.name)
                .filter(|_| function.origin.is_app_side());
            let kind = kind.and_then(|kind| kinds.iter().position(|known| known == kind));
            kind_of.push(kind.map_or(0, |at| number(at + 1)));
            let slot = slots.iter().position(|known| *known == function.origin);
            slot_of.push(number(slot.unwrap_or_else(|| {
                slots.push(function.origin);
                slots.len() - 1
            })));
        }
        Self {
            counted: vec![Counted::default(); kinds.len()],
            spec,
            kinds,
            kind_of,
            slot_of,
            slots,
            endings: Vec::new(),
            idle: Turns::default(),
            several: Turns::default(),
            unbalanced: 0,
            lost: 0,
        }
    }

    /// Must be called for each ending, in order.
    pub(super) fn learn(&mut self, steps: &[Step], phases: Phases, class: usize, key: &ClassKey) {
        let mut origins: BTreeMap<u16, u64> = BTreeMap::new();
        for step in steps {
            let slot = self.slot_of.get(step.function as usize).copied();
            *origins.entry(slot.unwrap_or(0)).or_default() += step.own;
        }
        // `recvfrom:tcp` is a `recvfrom`.
        let call = key.call.split(':').next().unwrap_or_default();
        let named = |turn: &String| *turn == key.call || turn == call;
        let asked_for = !matches!(key.kind, CrossingKind::Fault | CrossingKind::Interrupt);
        self.endings.push(Ending {
            total: phases.total(),
            phases,
            origins: origins.into_iter().collect(),
            kind: key.kind,
            class,
            begins_turn: asked_for && self.spec.turn.iter().any(named),
        });
    }

    /// A crossing of a task ended with `ending`, and now the clock stands at `now`.
    pub(super) fn closed(&mut self, server: &mut Server, ending: usize, now: u64) {
        let Some(known) = self.endings.get(ending) else {
            return;
        };
        if let Some(turn) = &mut server.turn {
            if known.kind == CrossingKind::Interrupt {
                turn.interrupts += known.total;
            } else {
                turn.endings.push(u32::try_from(ending).unwrap_or(u32::MAX));
            }
        }
        if known.begins_turn {
            if let Some(turn) = server.turn.take() {
                self.finish(&turn, now);
            }
            server.turn = Some(Box::new(Turn::new(now, self.slots.len())));
        }
    }

    fn finish(&mut self, turn: &Turn, now: u64) {
        let app: u64 = turn.app.iter().sum();
        let mut phases = Phases::default();
        for ending in &turn.endings {
            phases.add(&self.endings[*ending as usize].phases);
        }
        let own = app + phases.total();
        if own + turn.interrupts + turn.others != now.wrapping_sub(turn.began) {
            self.unbalanced += 1;
            return;
        }
        let turns = match turn.made {
            0 => Some(&mut self.idle),
            1 => None,
            _ => Some(&mut self.several),
        };
        if let Some(turns) = turns {
            turns.count += 1;
            turns.instructions += own;
            return;
        }
        let Some(counted) = turn
            .kind
            .and_then(|at| self.counted.get_mut(usize::from(at)))
        else {
            return;
        };
        let first = counted.count == 0;
        counted.count += 1;
        counted.total.add(own, first);
        counted.parts.add(app, &phases, first);
        counted.interrupts += turn.interrupts;
        counted.others += turn.others;
        counted.origins.resize(turn.app.len(), 0);
        for (slot, count) in turn.app.iter().enumerate() {
            counted.origins[slot] += count;
        }
        for ending in &turn.endings {
            let known = &self.endings[*ending as usize];
            for (slot, count) in &known.origins {
                counted.origins[usize::from(*slot)] += count;
            }
            let calls = counted.calls.entry(known.class).or_default();
            calls.count += 1;
            calls.instructions += known.total;
            calls.boundary += known.phases.boundary();
        }
        let variant = Variant {
            endings: turn.endings.clone(),
            app: turn.app.clone(),
        };
        if let Some(count) = counted.variants.get_mut(&variant) {
            *count += 1;
        } else if counted.variants.len() < MOST_VARIANTS {
            counted.variants.insert(variant, 1);
        }
    }

    pub(super) fn requests(&self, classes: &[ClassKey]) -> Requests {
        let kinds = self.kinds.iter().zip(&self.counted);
        Requests {
            turn: self.spec.turn.clone(),
            kinds: kinds
                .filter_map(|(kind, counted)| self.request(kind, counted, classes))
                .collect(),
            idle: self.idle,
            several: self.several,
            unbalanced: self.unbalanced,
            lost: self.lost,
        }
    }

    fn request(&self, kind: &str, counted: &Counted, classes: &[ClassKey]) -> Option<Request> {
        // Of two variants equally frequent the smaller one, whatever the order they came in.
        let (variant, same) = counted
            .variants
            .iter()
            .max_by_key(|(variant, count)| (**count, std::cmp::Reverse(*variant)))?;
        let origins = self
            .slots
            .iter()
            .copied()
            .zip(counted.origins.iter().copied());
        Some(Request {
            kind: kind.to_owned(),
            count: counted.count,
            total: counted.total,
            parts: counted.parts,
            origins: origins.filter(|(_, count)| *count > 0).collect(),
            calls: calls(counted, classes),
            interrupts: counted.interrupts,
            others: counted.others,
            typical: self.typical(variant, *same, classes),
        })
    }

    fn typical(&self, variant: &Variant, count: u64, classes: &[ClassKey]) -> Typical {
        let endings = || variant.endings.iter().map(|at| &self.endings[*at as usize]);
        let mut phases = Phases::default();
        endings().for_each(|ending| phases.add(&ending.phases));
        let app = variant.app.iter().sum();
        let calls = endings().filter_map(|ending| classes.get(ending.class));
        Typical {
            count,
            instructions: app + phases.total(),
            app,
            phases,
            calls: calls.map(|class| class.call.clone()).collect(),
        }
    }
}

/// By call, whatever the path; the dearest first.
fn calls(counted: &Counted, classes: &[ClassKey]) -> Vec<RequestCall> {
    let mut by_call: BTreeMap<(CrossingKind, &str), Calls> = BTreeMap::new();
    for (class, more) in &counted.calls {
        let Some(class) = classes.get(*class) else {
            continue;
        };
        let calls = by_call.entry((class.kind, &class.call)).or_default();
        calls.count += more.count;
        calls.instructions += more.instructions;
        calls.boundary += more.boundary;
    }
    let rows = by_call
        .into_iter()
        .map(|((kind, call), calls)| RequestCall {
            kind,
            call: call.to_owned(),
            count: calls.count,
            instructions: calls.instructions,
            boundary: calls.boundary,
        });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.instructions));
    rows
}

fn number(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

impl Turn {
    fn new(now: u64, slots: usize) -> Self {
        Self {
            began: now,
            app: vec![0; slots],
            endings: Vec::new(),
            interrupts: 0,
            others: 0,
            away: now,
            kind: None,
            made: 0,
        }
    }
}

impl Server {
    /// The application's code goes on.
    pub(super) const fn enter(&mut self, clock: u32) {
        self.since = clock;
        self.jumped = None;
    }

    /// It was left, by the function on top.
    pub(super) fn leave(&mut self, clock: u32, counter: &Counter) {
        let function = self.frames.last().copied();
        self.attribute(function, clock, counter);
        self.jumped = None;
    }

    fn attribute(&mut self, function: Option<u32>, clock: u32, counter: &Counter) {
        let ran = u64::from(clock.wrapping_sub(self.since));
        self.since = clock;
        if let Some(turn) = &mut self.turn {
            let function = function.unwrap_or(wire::record::NO_FUNCTION);
            let slot = counter.slot_of.get(function as usize).copied().unwrap_or(0);
            turn.app[usize::from(slot)] += ran;
        }
    }

    /// A step in the application's code.
    #[inline]
    pub(super) fn step(&mut self, kind: Kind, function: u32, clock: u32, counter: &Counter) {
        match kind {
            Kind::AppEntry => self.called(function, clock, counter),
            Kind::AppReturn => {
                self.attribute(Some(function), clock, counter);
                self.jumped = None;
                let entered = self.frames.iter().rposition(|open| *open == function);
                if let Some(at) = entered {
                    self.frames.truncate(at);
                }
            }
            Kind::AppJump => {
                // Falling into a function names that one: what was executed is the one above.
                let jumped = self.frames.last().copied().unwrap_or(function);
                self.attribute(Some(jumped), clock, counter);
                self.jumped = Some(clock);
            }
            _ => {}
        }
    }

    fn called(&mut self, function: u32, clock: u32, counter: &Counter) {
        let caller = self.frames.last().copied();
        self.attribute(caller, clock, counter);
        // A tail call returns for its caller too.
        if self.jumped.take() == Some(clock) && self.frames.pop() == Some(function) {
            // A loop to the function's own start.
            self.frames.push(function);
            return;
        }
        if self.frames.len() == DEEPEST {
            self.frames.remove(0);
        }
        self.frames.push(function);
        let kind = counter.kind_of.get(function as usize).copied().unwrap_or(0);
        if kind > 0
            && let Some(turn) = &mut self.turn
        {
            turn.made += 1;
            turn.kind = Some(kind - 1);
        }
    }

    pub(super) fn away(&mut self, now: u64) {
        if let Some(turn) = &mut self.turn {
            turn.away = now;
        }
    }

    /// What other tasks did meanwhile is known where they did it on the same vCPU; the clocks of two tell
    /// nothing of each other.
    pub(super) fn back(&mut self, now: u64, same_vcpu: bool) {
        if let Some(turn) = &mut self.turn {
            let away = now.wrapping_sub(turn.away);
            if same_vcpu {
                turn.others += away;
            } else {
                turn.began = turn.began.wrapping_add(away);
            }
        }
    }

    /// What is open is unknown from here on; whether a turn was given up.
    pub(super) fn forget(&mut self) -> bool {
        self.frames.clear();
        self.jumped = None;
        self.turn.take().is_some()
    }
}

#[cfg(test)]
mod tests;
