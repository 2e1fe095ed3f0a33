//! What ran when, at several scales: a timeline is drawn from these, without the records.
//!
//! The lowest scale counts exactly. A bucket of a higher one adds up eight of those below it; of the
//! functions and tasks it keeps those that are first, and what the others had under [`OTHERS`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::task::{Closed, Entered, Follow, Frame};
use crate::crossing::CrossingKind;
use crate::origin::Origin;
use crate::trace::functions::Functions;

/// Instructions of a bucket of the lowest scale, as a power of two.
const LOWEST: u32 = 16;
/// Each scale is that many powers of two above the one below.
const STEP: u32 = 3;
pub const SCALES: usize = 8;

/// Functions and tasks that a bucket names.
const NAMED: usize = 8;

/// Stands for the tasks, or the functions, that a bucket does not name.
pub const OTHERS: u32 = u32::MAX;

/// What a vCPU did during some of its instructions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// It begins at this multiple of its scale's instructions.
    pub number: u64,
    /// Records lost that would have come here, as far as is known.
    pub lost: u64,
    /// Crossings that began here, by [`CROSSINGS`].
    pub crossings: [u64; 5],
    /// Those that ran most instructions first.
    pub tasks: Vec<TaskShare>,
    /// A function and its own instructions; those that ran most first.
    pub functions: Vec<(u32, u64)>,
}

/// A task's part of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskShare {
    pub task: u32,
    /// Index of an origin in the run's table and instructions; the most first.
    pub origins: Vec<(u8, u64)>,
}

/// What [`Bucket::crossings`] counts.
pub const CROSSINGS: [CrossingKind; 5] = [
    CrossingKind::Syscall,
    CrossingKind::Bypass,
    CrossingKind::Shortcut,
    CrossingKind::Fault,
    CrossingKind::Interrupt,
];

/// Instructions of a bucket of that scale, as a power of two.
#[must_use]
pub fn shift(scale: usize) -> u32 {
    LOWEST + STEP * u32::try_from(scale).unwrap_or(0)
}

impl TaskShare {
    #[must_use]
    pub fn instructions(&self) -> u64 {
        self.origins.iter().map(|(_, count)| count).sum()
    }
}

impl Bucket {
    #[must_use]
    pub fn instructions(&self) -> u64 {
        self.tasks.iter().map(TaskShare::instructions).sum()
    }

    /// By origin, of one task or of all; the most first.
    #[must_use]
    pub fn origins(&self, task: Option<u32>) -> Vec<(u8, u64)> {
        let shares = self
            .tasks
            .iter()
            .filter(|share| task.is_none_or(|task| task == share.task));
        let mut sums: BTreeMap<u8, u64> = BTreeMap::new();
        for (origin, count) in shares.flat_map(|share| &share.origins) {
            *sums.entry(*origin).or_default() += count;
        }
        most_first(sums)
    }

    /// Adds what another one has.
    pub fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        for (sum, more) in self.crossings.iter_mut().zip(other.crossings) {
            *sum += more;
        }
        let mut functions: BTreeMap<u32, u64> = self.functions.iter().copied().collect();
        for (function, count) in &other.functions {
            *functions.entry(*function).or_default() += count;
        }
        self.functions = named(functions);
        let mut tasks: BTreeMap<u32, BTreeMap<u8, u64>> = BTreeMap::new();
        for share in self.tasks.iter().chain(&other.tasks) {
            let task = tasks.entry(share.task).or_default();
            for (origin, count) in &share.origins {
                *task.entry(*origin).or_default() += count;
            }
        }
        self.tasks = shares(tasks);
    }
}

fn most_first<K: Ord + Copy>(sums: BTreeMap<K, u64>) -> Vec<(K, u64)> {
    let mut list: Vec<_> = sums.into_iter().filter(|(_, count)| *count > 0).collect();
    list.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    list
}

fn named(functions: BTreeMap<u32, u64>) -> Vec<(u32, u64)> {
    let mut list = most_first(functions);
    let others = list.iter().filter(|(function, _)| *function == OTHERS);
    let mut others: u64 = others.map(|(_, count)| count).sum();
    list.retain(|(function, _)| *function != OTHERS);
    others += list.iter().skip(NAMED).map(|(_, count)| count).sum::<u64>();
    list.truncate(NAMED);
    if others > 0 {
        list.push((OTHERS, others));
    }
    list
}

fn shares(tasks: BTreeMap<u32, BTreeMap<u8, u64>>) -> Vec<TaskShare> {
    let mut others: BTreeMap<u8, u64> = BTreeMap::new();
    let mut list: Vec<TaskShare> = Vec::new();
    for (task, origins) in tasks {
        if task == OTHERS {
            others = origins;
        } else {
            let origins = most_first(origins);
            list.push(TaskShare { task, origins });
        }
    }
    list.sort_by_key(|share| std::cmp::Reverse(share.instructions()));
    for share in list.drain(NAMED.min(list.len())..) {
        for (origin, count) in share.origins {
            *others.entry(origin).or_default() += count;
        }
    }
    list.retain(|share| !share.origins.is_empty());
    if !others.is_empty() {
        let origins = most_first(others);
        list.push(TaskShare {
            task: OTHERS,
            origins,
        });
    }
    list
}

/// The origins that functions have, each once: what [`TaskShare::origins`] counts by.
#[must_use]
pub fn origins(functions: &Functions) -> Vec<Origin> {
    let mut list: Vec<Origin> = functions.iter().map(|function| function.origin).collect();
    list.sort_unstable();
    list.dedup();
    list.truncate(usize::from(u8::MAX));
    list
}

/// Counts what a vCPU does, bucket by bucket.
#[derive(Debug)]
pub struct Summary {
    /// By function: index of its origin, and whether a call of it is a bypass.
    of: Vec<(u8, bool)>,
    /// Own instructions by function, of the running task in the open bucket.
    ran: Vec<u64>,
    touched: Vec<u32>,
    task: u32,
    /// Of the open bucket: what is not of the running task.
    functions: BTreeMap<u32, u64>,
    tasks: BTreeMap<u32, BTreeMap<u8, u64>>,
    /// Where the open bucket ends.
    end: u64,
    /// What comes after this clock is not counted.
    limit: u64,
    open: Vec<Bucket>,
    /// Finished, by scale.
    pub done: Vec<Vec<Bucket>>,
}

impl Summary {
    #[must_use]
    pub fn new(functions: &Functions) -> Self {
        let origins = origins(functions);
        let bypass = &functions.profile().calls.bypass;
        let of = functions.iter().map(|function| {
            let origin = origins.binary_search(&function.origin).unwrap_or(0);
            (
                u8::try_from(origin).unwrap_or(0),
                bypass.has(&function.name),
            )
        });
        let of: Vec<_> = of.collect();
        Self {
            ran: vec![0; of.len()],
            of,
            touched: Vec::new(),
            task: 0,
            functions: BTreeMap::new(),
            tasks: BTreeMap::new(),
            end: 0,
            limit: u64::MAX,
            open: vec![Bucket::default(); SCALES],
            done: vec![Vec::new(); SCALES],
        }
    }

    /// Counts nothing after that clock.
    #[must_use]
    pub fn up_to(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// The bucket that holds this clock is the open one from here on.
    fn turn_to(&mut self, clock: u64) {
        let number = clock >> LOWEST;
        self.close();
        self.open[0].number = number;
        self.end = (number + 1) << LOWEST;
    }

    /// Records were lost before this clock.
    pub fn lose(&mut self, lost: u64, clock: u64) {
        if clock >= self.end {
            self.turn_to(clock);
        }
        self.open[0].lost += lost;
    }

    /// Everything that is open.
    pub fn finish(&mut self) {
        self.close();
        for scale in 1..SCALES {
            self.close_scale(scale);
        }
        self.end = 0;
    }

    fn flush(&mut self) {
        let task = self.tasks.entry(self.task).or_default();
        for function in self.touched.drain(..) {
            let count = std::mem::take(&mut self.ran[function as usize]);
            *self.functions.entry(function).or_default() += count;
            *task.entry(self.of[function as usize].0).or_default() += count;
        }
    }

    fn close(&mut self) {
        self.flush();
        let mut bucket = std::mem::take(&mut self.open[0]);
        bucket.functions = named(std::mem::take(&mut self.functions));
        bucket.tasks = shares(std::mem::take(&mut self.tasks));
        self.pass_up(0, bucket);
    }

    fn pass_up(&mut self, scale: usize, bucket: Bucket) {
        if bucket.tasks.is_empty() && bucket.lost == 0 && bucket.crossings == [0; 5] {
            return;
        }
        if scale + 1 < SCALES {
            let number = bucket.number >> STEP;
            if self.open[scale + 1].number != number {
                self.close_scale(scale + 1);
                self.open[scale + 1].number = number;
            }
            self.open[scale + 1].add(&bucket);
        }
        self.done[scale].push(bucket);
    }

    fn close_scale(&mut self, scale: usize) {
        let bucket = std::mem::take(&mut self.open[scale]);
        self.pass_up(scale, bucket);
    }
}

impl Follow for Summary {
    #[inline]
    fn ran(&mut self, task: u32, function: u32, mut from: u64, to: u64) {
        if task != self.task {
            self.flush();
            self.task = task;
        }
        let function = if (function as usize) < self.ran.len() {
            function
        } else {
            0
        };
        let to = to.min(self.limit);
        loop {
            if from >= to {
                return;
            }
            if from >= self.end {
                self.turn_to(from);
            }
            let count = to.min(self.end) - from;
            let ran = &mut self.ran[function as usize];
            if *ran == 0 && count > 0 {
                self.touched.push(function);
            }
            *ran += count;
            from += count;
        }
    }

    #[inline]
    fn entered(&mut self, _task: u32, frame: &Frame, _depth: usize) {
        let kind = match frame.entered {
            Entered::Syscall => 0,
            Entered::Call => {
                let bypass = self.of.get(frame.function as usize).is_some_and(|of| of.1);
                if bypass { 1 } else { 2 }
            }
            Entered::Fault => 3,
            Entered::Interrupt => 4,
            _ => return,
        };
        if frame.began > self.limit {
            return;
        }
        if frame.began >= self.end {
            self.turn_to(frame.began);
        }
        self.open[0].crossings[kind] += 1;
    }

    fn closed(&mut self, _closed: Closed) {}
}
