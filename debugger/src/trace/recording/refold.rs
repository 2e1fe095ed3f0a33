//! The report of a run whose recording ended before it: from the records that are there.

use super::Issue;
use super::layout::{Made, Stretch};
use super::stored::{Run as Known, Stored, records};
use crate::trace::fold::{Fold, Run};
use crate::trace::report::Report;

/// Classes in a report.
const MOST_CLASSES: usize = 256;

/// What stands at a run's end and cannot be made of its records.
const MISSING: &str = "the run was not written to its end: the places that crossings were made from, and the names \
                       of tasks, are not known";

/// One vCPU's stretches, and how far they were taken.
struct Reading<'a> {
    left: std::slice::Iter<'a, (usize, Stretch)>,
    raw: Vec<u64>,
    taken: usize,
    clock: u64,
}

impl<B: AsRef<[u8]>> Stored<B> {
    /// Whether a run has records and no report: it was not written to its end.
    #[must_use]
    pub fn is_unfolded(&self) -> bool {
        self.runs().iter().any(Known::is_unfolded)
    }

    /// Makes the reports of runs that have none but records, and tells of each. Takes as long as folding
    /// them did.
    pub fn refold(&mut self) {
        self.refold_while(&mut |_, _| true);
    }

    /// As [`Self::refold`], while `goes_on` says so: it is told how many records of a run were folded, and of
    /// how many. A run that is given up gets no report.
    pub fn refold_while(&mut self, goes_on: &mut dyn FnMut(u64, u64) -> bool) {
        for run in 0..self.runs().len() {
            let known = &self.runs()[run];
            let Some(made) = known.made.clone().filter(|_| known.is_unfolded()) else {
                continue;
            };
            let Some(report) = self.folded(run, &made, goes_on) else {
                return;
            };
            let issue = Issue::Refolded {
                run: run + 1,
                records: report.events,
            };
            self.mended(run, report, issue);
        }
    }

    fn folded(
        &self,
        number: usize,
        made: &Made,
        goes_on: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Option<Report> {
        let run = &self.runs()[number];
        let mut fold = Fold::new(run.functions.clone()).with_requests(made.request.as_ref());
        let vcpus = 0..run.vcpus();
        let mut readings: Vec<Reading<'_>> = vcpus
            .clone()
            .map(|vcpu| Reading {
                left: run.of(vcpu).iter(),
                raw: Vec::new(),
                taken: 0,
                clock: 0,
            })
            .collect();
        let mut lost = 0;
        let all = run.records();
        loop {
            let mut moved = false;
            for (vcpu, reading) in readings.iter_mut().enumerate() {
                if reading.taken == reading.raw.len() {
                    let Some((at, stretch)) = reading.left.next() else {
                        continue;
                    };
                    moved = true;
                    if !goes_on(fold.events, all) {
                        return None;
                    }
                    let raw = records(self.bytes().as_ref(), *at, stretch).map(|(_, raw)| raw);
                    if stretch.lost > 0 || raw.is_none() {
                        fold.gap(vcpu);
                    }
                    let damaged = raw.is_none().then_some(u64::from(stretch.count));
                    lost += stretch.lost + damaged.unwrap_or(0);
                    (reading.raw, reading.taken) = (raw.unwrap_or_default(), 0);
                    reading.clock = stretch.first;
                }
                let taken = fold.take(vcpu, reading.clock, &reading.raw[reading.taken..]);
                reading.taken += taken;
                moved |= taken > 0;
            }
            if !moved && fold.is_waiting() {
                // What they wait for was not written.
                fold.pass_missing_switches();
            } else if !moved {
                break;
            }
        }
        let extents = vcpus.map(|vcpu| run.extent(vcpu));
        let told = Run {
            mode: made.mode.clone(),
            engine: made.engine.clone(),
            lost,
            insns: extents.map(|extent| extent.end - extent.start).sum(),
            notes: vec![MISSING.to_owned()],
        };
        Some(fold.report(&told, MOST_CLASSES))
    }
}
