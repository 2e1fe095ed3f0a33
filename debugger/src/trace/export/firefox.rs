//! The Firefox Profiler's processed profile: a thread for each run, its samples weighted by instructions.
//!
//! A stack is kind, call and functions, a category is an origin. The format wants times: a microsecond
//! stands for an instruction, which the profile's details say.

use std::collections::HashMap;
use std::io::Write;
use std::time::SystemTime;

use fxprof_processed_profile::{
    CategoryColor, CategoryHandle, CpuDelta, Frame, FrameFlags, FrameInfo, Profile,
    SamplingInterval, StackHandle, ThreadHandle, Timestamp, WeightType,
};
use serde_json::json;

use super::stacks::stacks;
use super::{ExportError, Source};
use crate::origin::Origin;
use crate::trace::report::Report;

const UNIT: &str = "instructions; 1 µs of the time line is 1 instruction";

pub(super) fn write(source: &Source<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
    let recording = source.recording;
    let mut profile = Profile::new(
        &format!("uklscope: {}", recording.head.image),
        SystemTime::UNIX_EPOCH.into(),
        SamplingInterval::from_nanos(1000),
    );
    profile.set_symbolicated(true);
    let mut categories = Categories::default();
    for (number, run) in (1..).zip(&recording.runs) {
        let start = Timestamp::from_nanos_since_reference(0);
        let process = profile.add_process(&run.mode.to_string(), number, start);
        let thread = profile.add_thread(process, number, start, true);
        profile.set_thread_name(thread, &format!("{}: instructions", run.mode));
        profile.set_thread_samples_weight_type(thread, WeightType::Samples);
        profile.add_initial_visible_thread(thread);
        samples(run, thread, &mut profile, &mut categories)?;
    }
    let mut profile = serde_json::to_value(&profile)?;
    let text =
        |label: &str, value: &str| json!({"label": label, "format": "string", "value": value});
    profile["meta"]["extra"] = json!([{
        "label": "uklscope",
        "entries": [
            text("Unit", UNIT),
            text("Image", &recording.head.image),
            text("Build ID", &recording.head.build_id),
            text("Written by", &format!("uklscope {}", recording.head.tool)),
        ],
    }]);
    serde_json::to_writer(out, &profile)?;
    Ok(())
}

fn samples(
    run: &Report,
    thread: ThreadHandle,
    profile: &mut Profile,
    categories: &mut Categories,
) -> Result<(), ExportError> {
    let mut executed: u64 = 0;
    stacks(run, &mut |stack| {
        let class = stack.class;
        let crossing = [class.kind.name(), &class.call].map(|name| (name, None));
        let path = stack.path.iter();
        let path = path.map(|node| (node.symbol.as_str(), Some(node.origin)));
        let mut handle: Option<StackHandle> = None;
        for (name, origin) in crossing.into_iter().chain(path) {
            let info = FrameInfo {
                frame: Frame::Label(profile.intern_string(name)),
                category_pair: categories.of(origin, profile).into(),
                flags: FrameFlags::empty(),
            };
            let frame = profile.intern_frame(thread, info);
            handle = Some(profile.intern_stack(thread, handle, frame));
        }
        // A weight has 31 bits.
        let mut left = stack.weight;
        while left > 0 {
            let weight = i32::try_from(left).unwrap_or(i32::MAX);
            let at = executed.checked_mul(1000).ok_or(ExportError::TooLarge {
                what: "what a run executed",
                value: executed,
            })?;
            let at = Timestamp::from_nanos_since_reference(at);
            profile.add_sample(thread, at, handle, CpuDelta::ZERO, weight);
            let weight = u64::from(weight.unsigned_abs());
            executed += weight;
            left -= weight;
        }
        Ok(())
    })
}

/// One for each origin; that of kinds and calls is 'crossing'.
#[derive(Default)]
struct Categories(HashMap<Option<Origin>, CategoryHandle>);

impl Categories {
    fn of(&mut self, origin: Option<Origin>, profile: &mut Profile) -> CategoryHandle {
        let (name, color) = match origin {
            None => ("crossing".to_owned(), CategoryColor::Gray),
            Some(origin) => (origin.to_string(), color(origin)),
        };
        let made = || profile.add_category(&name, color);
        *self.0.entry(origin).or_insert_with(made)
    }
}

const fn color(origin: Origin) -> CategoryColor {
    match origin {
        Origin::App => CategoryColor::Green,
        Origin::Libc => CategoryColor::LightGreen,
        Origin::Entry => CategoryColor::Red,
        Origin::Kernel(_) => CategoryColor::Blue,
        Origin::Unknown => CategoryColor::DarkGray,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::export::example::recording;
    use crate::trace::recording::Recording;

    fn exported(recording: &Recording) -> serde_json::Value {
        let mut bytes = Vec::new();
        write(&Source::of(recording), &mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn samples_are_weighted_by_instructions_and_the_file_says_so() {
        let profile = exported(&recording());
        let samples = &profile["threads"][0]["samples"];
        assert_eq!(samples["weight"], json!([50, 30, 30, 30]));
        assert_eq!(samples["weightType"], "samples");
        assert_eq!(profile["meta"]["extra"][0]["entries"][0]["value"], UNIT);
    }

    #[test]
    fn a_weight_that_the_format_cannot_hold_is_several() {
        let mut recording = recording();
        recording.runs[0].classes[0].count = 1_000_000_000;
        let profile = exported(&recording);
        let weights = &profile["threads"][0]["samples"]["weight"];
        let weights = weights.as_array().unwrap();
        let sum: u64 = weights.iter().filter_map(serde_json::Value::as_u64).sum();
        assert_eq!(sum, 14_000_000_000);
        assert!(weights.len() > 4);
    }
}
