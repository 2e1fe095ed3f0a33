//! The calls of a recording that keeps its records: what formats of tracers are written from where it does.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use crate::trace::functions::Functions;
use crate::trace::recording::{Issue, Stored};
use crate::trace::timeline::Span;

/// The calls of each run whose report there is, in a range of its vCPUs' clocks.
#[derive(Debug)]
pub struct Timeline {
    pub(super) runs: Vec<Calls>,
}

#[derive(Debug)]
pub(super) struct Calls {
    pub(super) functions: Functions,
    /// By vCPU; outer calls before those they made.
    pub(super) vcpus: Vec<Vec<Span>>,
    /// What the guest calls a task, by its number.
    pub(super) names: HashMap<u32, String>,
}

impl Timeline {
    /// Reads them; what cannot be read is told.
    #[must_use]
    pub fn of<B: AsRef<[u8]>>(stored: &Stored<B>, range: &Range<u64>) -> (Self, Vec<Issue>) {
        let (mut runs, mut issues) = (Vec::new(), Vec::new());
        for (number, run) in stored.runs().iter().enumerate() {
            if run.report.is_none() {
                continue;
            }
            let mut vcpus = Vec::new();
            for vcpu in 0..run.vcpus() {
                let (spans, told) = stored.spans(number, vcpu, range.clone());
                vcpus.push(spans);
                issues.extend(told);
            }
            let tasks: BTreeSet<u32> = vcpus
                .iter()
                .flatten()
                .map(|span: &Span| span.task)
                .collect();
            let names = tasks
                .into_iter()
                .filter_map(|task| Some((task, run.task_label(task)?)));
            runs.push(Calls {
                names: names.collect(),
                functions: run.functions.clone(),
                vcpus,
            });
        }
        (Self { runs }, issues)
    }

    /// No call of any run lies in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut vcpus = self.runs.iter().flat_map(|run| &run.vcpus);
        vcpus.all(Vec::is_empty)
    }

    /// From the first record of any vCPU to past the last.
    #[must_use]
    pub fn extent<B: AsRef<[u8]>>(stored: &Stored<B>) -> Range<u64> {
        let of_run = |run: &crate::trace::recording::Run| {
            let vcpus = (0..run.vcpus()).map(|vcpu| run.extent(vcpu));
            vcpus.collect::<Vec<_>>()
        };
        let all: Vec<Range<u64>> = stored.runs().iter().flat_map(of_run).collect();
        let first = all.iter().map(|vcpu| vcpu.start).min().unwrap_or(0);
        first..all.iter().map(|vcpu| vcpu.end).max().unwrap_or(first)
    }

    /// How many records lie in a range.
    #[must_use]
    pub fn records<B: AsRef<[u8]>>(stored: &Stored<B>, range: &Range<u64>) -> u64 {
        let touched = |run: &crate::trace::recording::Run| -> u64 {
            let vcpus = (0..run.vcpus()).flat_map(|vcpu| run.stretches(vcpu));
            let within =
                vcpus.filter(|stretch| stretch.last >= range.start && stretch.first < range.end);
            within.map(|stretch| u64::from(stretch.count)).sum()
        };
        stored.runs().iter().map(touched).sum()
    }
}
