//! Traces an image in several modes and puts the runs side by side.

use std::sync::atomic::{AtomicBool, Ordering};

use super::trace::{TraceOptions, Traced, trace};
use super::trace_error::TraceError;
use super::trace_keep::{Keeper, trace_into};
use crate::crossing::Setup;
use crate::event::Event;
use crate::qemu::image::Image;
use crate::trace::report::{Comparison, Report, SCHEMA};
use crate::trace::{diff, requests};

/// One boot per mode, in order, each traced with `options` but for the mode and its options. `keeper`: their
/// records are kept, each mode's as a run of its own.
///
/// # Errors
/// When one of the runs fails.
pub fn compare(
    image: &Image,
    modes: &[Setup],
    options: &TraceOptions,
    mut keeper: Option<&mut Keeper>,
    cancel: &AtomicBool,
    tell: &mut dyn FnMut(&Setup, Event),
) -> Result<(Comparison, Vec<Traced>), TraceError> {
    let mut traced: Vec<Traced> = Vec::new();
    for setup in modes {
        if cancel.load(Ordering::Relaxed) {
            break;
        }
        let options = TraceOptions {
            setup: setup.clone(),
            ..options.clone()
        };
        let tell = &mut |event| tell(setup, event);
        traced.push(match keeper.as_deref_mut() {
            Some(keeper) => trace_into(image, &options, keeper, tell)?,
            None => trace(image, &options, cancel, tell)?,
        });
    }
    let runs: Vec<Report> = traced.iter().map(|traced| traced.report.clone()).collect();
    Ok((side_by_side(&image.manifest.name, runs), traced))
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
