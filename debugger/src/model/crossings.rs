//! The crossings seen so far, and the same program's in other modes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::crossing::Setup;
use crate::event::TraceNews;
use crate::trace::report::{Class, Comparison, Pair, Report};

/// News kept for a class's rate: what a sparkline of one table column can show.
const KEPT_RATES: usize = 16;

#[derive(Debug, Default)]
pub struct Crossings {
    /// The run that is shown; its figures move while it runs.
    pub news: Option<TraceNews>,
    pub comparison: Option<Arc<Comparison>>,
    /// Class id → how many came between one piece of news and the next, oldest first.
    rates: BTreeMap<String, VecDeque<u64>>,
}

impl Crossings {
    pub(super) fn news(&mut self, news: TraceNews) {
        let old = self.news.as_ref().map(|known| known.report.clone());
        for class in &news.report.classes {
            let before = old
                .iter()
                .flat_map(|report| &report.classes)
                .find(|known| known.id == class.id && known.kind == class.kind)
                .map_or(0, |known| known.count);
            let rates = self.rates.entry(class.id.clone()).or_default();
            rates.push_back(class.count.saturating_sub(before));
            if rates.len() > KEPT_RATES {
                rates.pop_front();
            }
        }
        self.news = Some(news);
    }

    /// No more news will come of the run that was traced.
    pub fn stopped(&mut self) {
        if let Some(news) = &mut self.news {
            news.running = false;
        }
    }

    pub(super) fn compared(&mut self, comparison: Arc<Comparison>) {
        self.comparison = Some(comparison);
    }

    /// The report that the screens show: the run's own, else the first of a comparison.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        match (&self.news, &self.comparison) {
            (Some(news), _) => Some(&news.report),
            (None, Some(comparison)) => comparison.runs.first(),
            (None, None) => None,
        }
    }

    #[must_use]
    pub fn is_tracing(&self) -> bool {
        self.news.as_ref().is_some_and(|news| news.running)
    }

    pub fn rates(&self, class: &Class) -> impl Iterator<Item = u64> + '_ {
        self.rates.get(&class.id).into_iter().flatten().copied()
    }

    /// The dominant class of a call in one mode: the most frequent one that nothing interrupted.
    #[must_use]
    pub fn in_mode(&self, call: &str, mode: &Setup) -> Option<&Class> {
        let of_run = self.report().filter(|report| report.mode == *mode);
        let compared = self
            .comparison
            .iter()
            .flat_map(|comparison| &comparison.runs)
            .filter(|report| report.mode == *mode);
        of_run
            .into_iter()
            .chain(compared)
            .find_map(|report| dominant(report, call))
    }

    /// What differs for a call between modes, where it was compared.
    pub fn pairs<'a>(&'a self, call: &'a str) -> impl Iterator<Item = &'a Pair> {
        self.comparison
            .iter()
            .flat_map(|comparison| &comparison.pairs)
            .filter(move |pair| pair.call == call)
    }
}

fn dominant<'a>(report: &'a Report, call: &str) -> Option<&'a Class> {
    report
        .classes
        .iter()
        .filter(|class| class.call == call)
        .max_by_key(|class| (!class.interrupted, class.count))
}
