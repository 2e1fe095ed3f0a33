//! Traces an image in several modes and puts the runs side by side.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::trace::{TraceOptions, Traced, trace};
use super::trace_error::TraceError;
use super::trace_keep::{Keeper, trace_into};
use crate::crossing::Setup;
use crate::event::Event;
use crate::qemu::image::Image;
use crate::trace::report::{Comparison, Report, SCHEMA};
use crate::trace::{diff, requests};

/// As many boots at once as there are sides to a difference.
const AT_ONCE: usize = 2;

/// One boot per mode, each traced with `options` but for the mode and its options. `keeper`: their records are kept,
/// each mode's as a run of its own, one after the other.
///
/// # Errors
/// When one of the runs fails.
pub fn compare(
    image: &Image,
    modes: &[Setup],
    options: &TraceOptions,
    keeper: Option<&mut Keeper>,
    cancel: &AtomicBool,
    tell: &mut dyn FnMut(&Setup, Event),
) -> Result<(Comparison, Vec<Traced>), TraceError> {
    let traced = match keeper {
        Some(keeper) => kept(image, modes, options, keeper, cancel, tell)?,
        None => traces(image, modes, options, cancel, tell)?,
    };
    let runs: Vec<Report> = traced.iter().map(|traced| traced.report.clone()).collect();
    Ok((side_by_side(&image.manifest.name, runs), traced))
}

fn kept(
    image: &Image,
    modes: &[Setup],
    options: &TraceOptions,
    keeper: &mut Keeper,
    cancel: &AtomicBool,
    tell: &mut dyn FnMut(&Setup, Event),
) -> Result<Vec<Traced>, TraceError> {
    let wanted = modes.iter().take_while(|_| !cancel.load(Ordering::Relaxed));
    let traced = wanted.map(|setup| {
        let tell = &mut |event| tell(setup, event);
        trace_into(image, &in_mode(options, setup), keeper, tell)
    });
    traced.collect()
}

/// One boot per mode, two at a time, told of and returned in their order: what a run that is not the first of those
/// that go on has seen so far is not told.
///
/// # Errors
/// When one of the runs fails; the one beside it comes to its end first.
pub fn traces(
    image: &Image,
    modes: &[Setup],
    options: &TraceOptions,
    cancel: &AtomicBool,
    tell: &mut dyn FnMut(&Setup, Event),
) -> Result<Vec<Traced>, TraceError> {
    let told = &AtomicUsize::new(0);
    thread::scope(|scope| {
        let start = |(at, setup)| {
            let (sender, events) = mpsc::channel();
            let run = scope.spawn(move || {
                let mut tell = |event| {
                    if !matches!(event, Event::Trace(_)) || told.load(Ordering::Relaxed) == at {
                        // Nobody listens where another run has failed.
                        let _ = sender.send(event);
                    }
                };
                trace(image, &in_mode(options, setup), cancel, &mut tell)
            });
            (at, setup, events, run)
        };
        let wanted = modes.iter().take_while(|_| !cancel.load(Ordering::Relaxed));
        let mut started = wanted.enumerate().map(start);
        let mut running: VecDeque<_> = started.by_ref().take(AT_ONCE).collect();
        let mut traced = Vec::new();
        while let Some((at, setup, events, run)) = running.pop_front() {
            told.store(at, Ordering::Relaxed);
            for event in events {
                tell(setup, event);
            }
            traced.push(run.join().unwrap_or_else(|panic| resume_unwind(panic))?);
            running.extend(started.next());
        }
        Ok(traced)
    })
}

fn in_mode(options: &TraceOptions, setup: &Setup) -> TraceOptions {
    TraceOptions {
        setup: setup.clone(),
        ..options.clone()
    }
}

/// Every call in every pair of runs.
#[must_use]
pub fn side_by_side(image: &str, runs: Vec<Report>) -> Comparison {
    let mut pairs = Vec::new();
    let mut of_requests = Vec::new();
    for (i, a) in runs.iter().enumerate() {
        for b in &runs[i + 1..] {
            pairs.extend(diff::pairs(a, b));
            if let (Some(ours), Some(theirs)) = (&a.requests, &b.requests) {
                of_requests.extend(requests::pairs((ours, &a.mode), (theirs, &b.mode)));
            }
        }
    }
    Comparison {
        schema: SCHEMA,
        image: image.to_owned(),
        runs,
        pairs,
        requests: of_requests,
    }
}
