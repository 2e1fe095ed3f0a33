//! What was folded so far → a report.

use std::collections::{BTreeMap, BTreeSet};

use super::path::{Fnv, steps, tree};
use super::{Fold, LONGEST, MOST_NODES};
use crate::count::{counted, either};
use crate::crossing::Setup;
use crate::trace::report::{Class, Count, Report, SCHEMA};
use crate::trace::times::{ClassTimes, Measured};

/// What the records do not say about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub mode: Setup,
    /// What wrote the records.
    pub engine: String,
    /// Records dropped.
    pub lost: u64,
    /// Instructions executed in all.
    pub insns: u64,
    /// Why the run's figures are not all of it, where they are not.
    pub notes: Vec<String>,
}

/// What reports of a run that goes on have told of: it is in the next ones too, so that no class goes away while
/// somebody looks at it.
#[derive(Debug, Default)]
pub struct Told(BTreeSet<(usize, usize)>);

/// Crossings of one class with one exact count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Variant {
    pub(super) count: u64,
    /// The most frequent ending with this count, and how often it was reached.
    pub(super) ending: usize,
    pub(super) of_ending: u64,
}

/// Different counts of a class that are listed.
const MOST_COUNTS: usize = 256;

fn counts(totals: &BTreeMap<u64, Variant>) -> Vec<Count> {
    if totals.len() < 2 {
        return Vec::new();
    }
    let all = totals.iter().map(|(total, variant)| Count {
        instructions: *total,
        crossings: variant.count,
    });
    let mut counts: Vec<Count> = all.collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.crossings));
    counts.truncate(MOST_COUNTS);
    counts.sort_by_key(|count| count.instructions);
    counts
}

impl Fold {
    /// The most frequent classes first; no more than `most` of them.
    #[must_use]
    pub fn report(&self, run: &Run, most: usize) -> Report {
        self.report_of(run, |rank, _| rank < most)
    }

    /// Of a run that goes on: the `few` most frequent classes, and those that were told of before while they are
    /// among the `most`.
    pub fn live(&self, run: &Run, (few, most): (usize, usize), told: &mut Told) -> Report {
        self.report_of(run, |rank, key| {
            let known = told.0.contains(&key);
            let told_of = rank < few || known && rank < most;
            if told_of && !known {
                told.0.insert(key);
            }
            told_of
        })
    }

    fn report_of(
        &self,
        run: &Run,
        mut is_told: impl FnMut(usize, (usize, usize)) -> bool,
    ) -> Report {
        // Class and whether something was cut out → exact count → crossings.
        let mut variants: BTreeMap<(usize, usize), BTreeMap<u64, Variant>> = BTreeMap::new();
        for (at, (ending, counts)) in self.shapes.endings.iter().zip(&self.counts).enumerate() {
            for (cut, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let class = variants.entry((ending.class, cut)).or_default();
                let variant = class.entry(ending.total).or_default();
                variant.count += count;
                if *count > variant.of_ending {
                    (variant.ending, variant.of_ending) = (at, *count);
                }
            }
        }
        let mut order: Vec<_> = variants
            .iter()
            .map(|(key, totals)| {
                (
                    totals.values().map(|variant| variant.count).sum::<u64>(),
                    key,
                    totals,
                )
            })
            .collect();
        order.sort_by_key(|(count, key, _)| {
            let class = &self.shapes.classes[key.0];
            (std::cmp::Reverse(*count), key.1, class.signature)
        });
        let mut rare = (0, 0_u64);
        let mut rank = 0..;
        order.retain(|(count, key, _)| {
            let told = rank.next().is_some_and(|rank| is_told(rank, **key));
            if !told {
                rare = (rare.0 + 1, rare.1 + count);
            }
            told
        });
        let left_out = (rare.0 > 0).then(|| {
            let (classes, crossings) = rare;
            format!(
                "{}, {} in all, {} left out",
                counted(classes, "rarer class"),
                counted(crossings, "crossing"),
                either(classes, "is", "are")
            )
        });
        let mut ids: BTreeMap<(usize, bool), String> = BTreeMap::new();
        let mut times = self.measured.as_ref().map(|measured| Measured {
            clock: measured.clock.clone(),
            classes: Vec::new(),
        });
        let mut classes: Vec<Class> = Vec::new();
        for (count, (at, cut), totals) in order {
            if let Some(class) = self.class(*at, *cut, count, totals) {
                if let Some(times) = &mut times {
                    times.classes.extend(self.times(*at, *cut, &class));
                }
                ids.insert((*at, *cut == 1), class.id.clone());
                classes.push(class);
            }
        }
        let (sites, uses) = self.uses.list(|class, cut| ids.get(&(class, cut)).cloned());
        Report {
            schema: SCHEMA,
            mode: run.mode.clone(),
            lost: run.lost,
            insns: run.insns,
            events: self.events,
            engine: run.engine.clone(),
            classes,
            sites,
            uses,
            clocks: None,
            tasks: Vec::new(),
            times,
            functions_left_out: None,
            requests: self
                .requests
                .as_ref()
                .map(|requests| requests.requests(&self.shapes.classes)),
            notes: self.notes(run).into_iter().chain(left_out).collect(),
        }
    }

    pub(super) fn class(
        &self,
        class: usize,
        cut: usize,
        count: u64,
        totals: &BTreeMap<u64, Variant>,
    ) -> Option<Class> {
        // Of two counts equally frequent the smaller one, whatever the order they came in.
        let (instructions, variant) = totals
            .iter()
            .max_by_key(|(total, variant)| (variant.count, std::cmp::Reverse(**total)))?;
        let ending = *self.trie.endings.get(variant.ending)?;
        let (steps, phases) = steps(&self.trie, ending, &self.functions, &self.shapes.rules);
        let key = &self.shapes.classes[class];
        let mut id = Fnv(key.signature);
        id.add(if cut == 0 { "" } else { "interrupted" });
        let (min, max) = (*totals.keys().next()?, *totals.keys().next_back()?);
        Some(Class {
            id: format!("{:016x}", id.0),
            kind: key.kind,
            call: key.call.clone(),
            count,
            instructions: *instructions,
            exact: min == max && self.measured.is_none(),
            min,
            max,
            interrupted: cut == 1,
            counts: counts(totals),
            phases,
            path: tree(&steps, &self.functions)?,
        })
    }

    /// How long the crossings of a class took.
    fn times(&self, at: usize, cut: usize, class: &Class) -> Option<ClassTimes> {
        let measured = self.measured.as_ref()?;
        let endings = self.shapes.endings.iter().enumerate();
        let endings = endings.filter(|(_, ending)| ending.class == at);
        let times = measured.class(endings.map(|(ending, _)| ending), cut)?;
        Some(ClassTimes {
            id: class.id.clone(),
            path: measured.tell(&times, &class.path)?,
        })
    }

    fn notes(&self, run: &Run) -> Vec<String> {
        let mut notes = run.notes.clone();
        let mut note = |count: u64, thing: &str, text: &str| {
            if count > 0 {
                notes.push(format!("{} {text}", counted(count, thing)));
            }
        };
        note(
            self.tasks.open_now() as u64,
            "crossing",
            "had not returned when the recording ended",
        );
        note(
            self.gaps,
            "gap",
            "in the records: the crossings around it are not counted",
        );
        note(
            self.pauses,
            "time",
            "recording had been off: what happened then is not counted",
        );
        note(
            self.broken,
            "time",
            "the records contradicted each other: crossings of then are not counted",
        );
        note(
            self.went_back,
            "time",
            "the clock of the records went back: it was counted on from where it had been",
        );
        note(
            self.overflow,
            "crossing",
            &format!("came after {MOST_NODES} different steps were kept: not counted"),
        );
        note(
            self.long,
            "crossing",
            &format!("had more than {LONGEST} steps: not counted"),
        );
        note(
            self.measured
                .as_ref()
                .map_or(0, |measured| measured.overflow),
            "crossing",
            "took paths whose times there was no room for",
        );
        note(
            self.trie.unbalanced,
            "kind",
            "of return without a matching entry: own counts may be off",
        );
        notes
    }

    /// Steps kept, for tests and measurements.
    #[must_use]
    pub fn size(&self) -> usize {
        self.trie.len()
    }
}
