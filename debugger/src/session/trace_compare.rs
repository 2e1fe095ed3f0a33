//! Traces an image in several modes and puts the runs side by side.

use std::sync::atomic::{AtomicBool, Ordering};

use super::trace::{TraceOptions, Traced, trace};
use super::trace_error::TraceError;
use crate::crossing::Setup;
use crate::event::Event;
use crate::qemu::image::Image;
use crate::trace::report::{Comparison, Report, SCHEMA};
use crate::trace::{diff, requests};

/// One boot per mode, in order, each traced with `options` but for the mode and its options.
///
/// # Errors
/// When one of the runs fails.
pub fn compare(
    image: &Image,
    modes: &[Setup],
    options: &TraceOptions,
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
        traced.push(trace(image, &options, cancel, &mut |event| {
            tell(setup, event)
        })?);
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
