//! What a server does for one request: the types of the JSON.
//!
//! A *turn* of a server's thread goes from one return of its event wait to the next. What the thread
//! executes in a turn in which exactly one request was made is that request's; what interrupts and other
//! tasks execute meanwhile is counted beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::Phases;
use crate::crossing::{CrossingKind, Setup};
use crate::origin::Origin;

/// The requests of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// The calls whose return begins a turn.
    pub turn: Vec<String>,
    pub kinds: Vec<Request>,
    /// Turns without a request: timers, a connection accepted.
    pub idle: Turns,
    /// Turns with more than one request, which cannot be told apart.
    pub several: Turns,
    /// Turns whose parts do not add up to the clock's difference; they are in no figure.
    pub unbalanced: u64,
    /// Turns given up because records were missing or contradicted each other.
    pub lost: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turns {
    pub count: u64,
    /// Of the server's thread, in all of them.
    pub instructions: u64,
}

/// The requests of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub kind: String,
    pub count: u64,
    /// Of the server's thread.
    pub total: Part,
    /// The total, split: the application and its libc, and the phases of the kernel on its behalf.
    pub parts: Parts,
    /// The total, split by origin: sums over all requests.
    pub origins: BTreeMap<Origin, u64>,
    /// The crossings that the requests made, by the instructions they took in all.
    pub calls: Vec<RequestCall>,
    /// Beside the server's thread, over all requests: interrupts that came while it was running.
    pub interrupts: u64,
    /// Beside the server's thread, over all requests: other tasks, the client's among them.
    pub others: u64,
    pub typical: Typical,
}

/// Instructions of one part of the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Over all requests.
    pub sum: u64,
    /// Of one request. Where both are the same the part is exact.
    pub min: u64,
    pub max: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    pub app: Part,
    pub entry: Part,
    pub entry_work: Part,
    pub dispatch: Part,
    pub copy: Part,
    pub service: Part,
    pub exit_work: Part,
    pub exit: Part,
}

/// A call that requests make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCall {
    pub kind: CrossingKind,
    pub call: String,
    /// By all requests.
    pub count: u64,
    pub instructions: u64,
    /// Of these, what is neither service nor copying.
    pub boundary: u64,
}

/// The most frequent variant: requests with the same crossings on the same paths, every count in them
/// the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typical {
    /// How many requests are this variant.
    pub count: u64,
    pub instructions: u64,
    pub app: u64,
    pub phases: Phases,
    /// In the order they were made: `read:tcp`, `write:tcp`, `epoll_pwait`.
    pub calls: Vec<String>,
}

/// One kind of request in two runs: instructions of one request, on average over all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestPair {
    pub kind: String,
    pub mode_a: Setup,
    pub mode_b: Setup,
    pub a: f64,
    pub b: f64,
    pub parts: Vec<PartPair>,
    /// In both runs the parts add up to the total.
    pub balanced: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartPair {
    pub part: String,
    pub a: f64,
    pub b: f64,
    /// Every request of either run has the same count.
    pub exact: bool,
}

/// The parts of the way in and out: neither the application, nor the work, nor its copying.
pub const BOUNDARY: [&str; 5] = ["entry", "entry_work", "dispatch", "exit_work", "exit"];

impl Phases {
    /// What [`BOUNDARY`] names.
    #[must_use]
    pub const fn boundary(&self) -> u64 {
        self.entry + self.entry_work + self.dispatch + self.exit_work + self.exit
    }

    pub fn add(&mut self, other: &Self) {
        self.entry += other.entry;
        self.entry_work += other.entry_work;
        self.dispatch += other.dispatch;
        self.copy += other.copy;
        self.service += other.service;
        self.exit_work += other.exit_work;
        self.exit += other.exit;
    }
}

impl Part {
    pub fn add(&mut self, count: u64, first: bool) {
        self.sum += count;
        self.min = if first { count } else { self.min.min(count) };
        self.max = self.max.max(count);
    }

    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.min == self.max
    }

    /// Per request, of `count` of them.
    #[must_use]
    pub fn mean(&self, count: u64) -> f64 {
        self.sum as f64 / count.max(1) as f64
    }
}

impl Parts {
    pub fn add(&mut self, app: u64, phases: &Phases, first: bool) {
        self.app.add(app, first);
        self.entry.add(phases.entry, first);
        self.entry_work.add(phases.entry_work, first);
        self.dispatch.add(phases.dispatch, first);
        self.copy.add(phases.copy, first);
        self.service.add(phases.service, first);
        self.exit_work.add(phases.exit_work, first);
        self.exit.add(phases.exit, first);
    }

    /// With their names, the application first.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, Part); 8] {
        [
            ("app", self.app),
            ("entry", self.entry),
            ("entry_work", self.entry_work),
            ("dispatch", self.dispatch),
            ("copy", self.copy),
            ("service", self.service),
            ("exit_work", self.exit_work),
            ("exit", self.exit),
        ]
    }
}

impl Request {
    /// What [`BOUNDARY`] names, over all requests.
    #[must_use]
    pub fn boundary(&self) -> u64 {
        let parts = self.parts.named().into_iter();
        let boundary = parts.filter(|(name, _)| BOUNDARY.contains(name));
        boundary.map(|(_, part)| part.sum).sum()
    }

    /// The same as a share of the total.
    #[must_use]
    pub fn boundary_percent(&self) -> f64 {
        self.boundary() as f64 * 100.0 / self.total.sum.max(1) as f64
    }

    /// Of a sum over all requests, what each has on average.
    #[must_use]
    pub fn per(&self, sum: u64) -> f64 {
        sum as f64 / self.count.max(1) as f64
    }

    /// The parts and the origins each add up to the total.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let parts: u64 = self.parts.named().iter().map(|(_, part)| part.sum).sum();
        let origins: u64 = self.origins.values().sum();
        parts == self.total.sum && origins == self.total.sum
    }
}

impl Requests {
    #[must_use]
    pub fn kind(&self, kind: &str) -> Option<&Request> {
        self.kinds.iter().find(|request| request.kind == kind)
    }
}

/// Every kind that both runs have.
#[must_use]
pub fn pairs(
    (a, mode_a): (&Requests, &Setup),
    (b, mode_b): (&Requests, &Setup),
) -> Vec<RequestPair> {
    let both = a.kinds.iter().filter_map(|ours| {
        let theirs = b.kind(&ours.kind)?;
        Some(pair((ours, mode_a), (theirs, mode_b)))
    });
    both.collect()
}

fn pair((a, mode_a): (&Request, &Setup), (b, mode_b): (&Request, &Setup)) -> RequestPair {
    let parts = a.parts.named().into_iter().zip(b.parts.named());
    RequestPair {
        kind: a.kind.clone(),
        mode_a: mode_a.clone(),
        mode_b: mode_b.clone(),
        a: a.total.mean(a.count),
        b: b.total.mean(b.count),
        parts: parts
            .map(|((name, ours), (_, theirs))| PartPair {
                part: name.to_owned(),
                a: ours.mean(a.count),
                b: theirs.mean(b.count),
                exact: ours.is_exact() && theirs.is_exact(),
            })
            .collect(),
        balanced: a.is_balanced() && b.is_balanced(),
    }
}
