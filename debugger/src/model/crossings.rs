//! The crossings seen so far, and the same program's in other modes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::calm::Calm;
use crate::crossing::Setup;
use crate::event::{Instructions, TraceNews};
use crate::trace::report::{Class, Comparison, Pair, Report};

/// News kept for a class's rate: what a sparkline of one table column can show.
const KEPT_RATES: usize = 16;

#[derive(Debug, Default)]
pub struct Crossings {
    /// The run that is shown; its figures move while it runs, and its classes as little as may be.
    pub news: Option<TraceNews>,
    pub comparison: Option<Arc<Comparison>>,
    /// One call in two modes, the last that was stepped through.
    pub stepped: Option<Arc<Instructions>>,
    /// Class id → how many came each second between one piece of news and the next, oldest first.
    rates: BTreeMap<String, VecDeque<u64>>,
    calm: Calm,
}

impl Crossings {
    pub(super) fn news(&mut self, mut news: TraceNews) {
        if !self.is_tracing() {
            // Another run begins, or a whole one came.
            self.rates.clear();
            self.calm = Calm::default();
        }
        let known = self.news.as_ref().filter(|known| known.running);
        let (old, interval) = match known {
            Some(known) => (Some(Arc::clone(&known.report)), interval(known, &news)),
            None => (None, interval_of(news.events, &news)),
        };
        let before: BTreeMap<&str, u64> = old
            .iter()
            .flat_map(|report| &report.classes)
            .map(|known| (known.id.as_str(), known.count))
            .collect();
        for class in &news.report.classes {
            let Some(seconds) = interval else {
                continue;
            };
            // Of one that was too rare to be told of it is not known how many there were.
            let before = match (&old, before.get(class.id.as_str())) {
                (None, _) => 0,
                (Some(_), Some(count)) => *count,
                (Some(_), None) => continue,
            };
            let came = class.count.saturating_sub(before);
            let rates = self.rates.entry(class.id.clone()).or_default();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rate is positive, and its fraction is not shown"
            )]
            rates.push_back((came as f64 / seconds).round() as u64);
            if rates.len() > KEPT_RATES {
                rates.pop_front();
            }
        }
        if news.running {
            let classes = &mut Arc::make_mut(&mut news.report).classes;
            let counts = classes.iter().map(|class| (class.id.as_str(), class.count));
            self.calm.follow(counts);
            classes.sort_by_cached_key(|class| self.calm.place(&class.id));
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

    /// What the traced guest does now is recorded.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.news
            .as_ref()
            .is_some_and(|news| news.running && news.recording)
    }

    /// Whether it is known how many came in a second.
    #[must_use]
    pub fn is_rated(&self) -> bool {
        !self.rates.is_empty()
    }

    /// Crossings a second, oldest first.
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
    pub fn pairs<'a, 'c>(&'a self, call: &'c str) -> impl Iterator<Item = &'a Pair> + use<'a, 'c> {
        self.comparison
            .iter()
            .flat_map(|comparison| &comparison.pairs)
            .filter(move |pair| pair.call == call)
    }
}

/// Seconds from one piece of news to the next.
fn interval(known: &TraceNews, news: &TraceNews) -> Option<f64> {
    interval_of(news.events.checked_sub(known.events)?, news)
}

/// The rate of events is of the time since the news before. `None`: nothing came, or it is no live news.
fn interval_of(events: u64, news: &TraceNews) -> Option<f64> {
    let seconds = events as f64 / news.events_per_s;
    (news.events_per_s > 0.0 && seconds > 0.0).then_some(seconds)
}

fn dominant<'a>(report: &'a Report, call: &str) -> Option<&'a Class> {
    report
        .classes
        .iter()
        .filter(|class| class.call == call)
        .max_by_key(|class| (!class.interrupted, class.count))
}
