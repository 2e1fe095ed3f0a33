//! The Firefox Profiler's processed profile: a thread for each run, its samples weighted by instructions.
//!
//! A stack is kind, call and functions, a category is an origin. The format wants times: a microsecond
//! stands for an instruction, which the profile's details say. A marker is a class of crossings, as long as all of
//! them: they are drawn one after the other.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::time::SystemTime;

use fxprof_processed_profile::{
    CategoryColor, CategoryHandle, CpuDelta, Frame, FrameFlags, FrameInfo, MarkerFieldFlags,
    MarkerFieldFormat, MarkerTiming, Profile, SamplingInterval, StackHandle, StaticSchemaMarker,
    StaticSchemaMarkerField, StringHandle, ThreadHandle, Timestamp, WeightType,
};
use serde_json::json;

use super::stacks::stacks;
use super::{ExportError, Source};
use crate::origin::Origin;
use crate::trace::report::{Class, Report};

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
    let mut before: Option<(&Class, u64)> = None;
    stacks(run, &mut |stack| {
        let class = stack.class;
        match before {
            Some((known, _)) if std::ptr::eq(known, class) => {}
            _ => {
                if let Some((known, from)) = before.replace((class, executed)) {
                    mark(known, from..executed, thread, profile, categories)?;
                }
            }
        }
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
            profile.add_sample(thread, time(executed)?, handle, CpuDelta::ZERO, weight);
            let weight = u64::from(weight.unsigned_abs());
            executed += weight;
            left -= weight;
        }
        Ok::<(), ExportError>(())
    })?;
    match before {
        Some((last, from)) => mark(last, from..executed, thread, profile, categories),
        None => Ok(()),
    }
}

/// When so many instructions were executed.
fn time(executed: u64) -> Result<Timestamp, ExportError> {
    let ns = executed.checked_mul(1000).ok_or(ExportError::TooLarge {
        what: "what a run executed",
        value: executed,
    })?;
    Ok(Timestamp::from_nanos_since_reference(ns))
}

/// A class of crossings in the chart and the table of markers.
struct Crossings {
    name: StringHandle,
    category: CategoryHandle,
    call: StringHandle,
    class: StringHandle,
    /// `exact`, or from and to how many instructions.
    counts: StringHandle,
    cut: StringHandle,
    count: u64,
    instructions: u64,
}

const fn field(
    key: &'static str,
    label: &'static str,
    format: MarkerFieldFormat,
) -> StaticSchemaMarkerField {
    StaticSchemaMarkerField {
        key,
        label,
        format,
        flags: MarkerFieldFlags::SEARCHABLE,
    }
}

impl StaticSchemaMarker for Crossings {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "crossings";
    const DESCRIPTION: Option<&'static str> =
        Some("Crossings of one kind and call that took the same path, all of them together");
    const CHART_LABEL: Option<&'static str> = Some("{marker.data.call}");
    const TOOLTIP_LABEL: Option<&'static str> = Some("{marker.name} {marker.data.call}");
    const TABLE_LABEL: Option<&'static str> =
        Some("{marker.data.call}: {marker.data.count} of {marker.data.instructions} instructions");
    const FIELDS: &'static [StaticSchemaMarkerField] = &[
        field("call", "Call", MarkerFieldFormat::String),
        field("count", "Crossings", MarkerFieldFormat::Integer),
        field(
            "instructions",
            "Instructions of each",
            MarkerFieldFormat::Integer,
        ),
        field("counts", "Counts", MarkerFieldFormat::String),
        field("cut", "Interrupted", MarkerFieldFormat::String),
        field("class", "Class", MarkerFieldFormat::String),
    ];

    fn name(&self, _profile: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _profile: &mut Profile) -> CategoryHandle {
        self.category
    }

    fn string_field_value(&self, field: u32) -> StringHandle {
        match field {
            0 => self.call,
            3 => self.counts,
            4 => self.cut,
            _ => self.class,
        }
    }

    fn number_field_value(&self, field: u32) -> f64 {
        match field {
            1 => self.count as f64,
            _ => self.instructions as f64,
        }
    }
}

fn mark(
    class: &Class,
    span: Range<u64>,
    thread: ThreadHandle,
    profile: &mut Profile,
    categories: &mut Categories,
) -> Result<(), ExportError> {
    let counts = match class.exact {
        true => "exact".to_owned(),
        false => format!("{} to {}", class.min, class.max),
    };
    let marker = Crossings {
        name: profile.intern_string(class.kind.name()),
        category: categories.of(None, profile),
        call: profile.intern_string(&class.call),
        class: profile.intern_string(&class.id),
        counts: profile.intern_string(&counts),
        cut: profile.intern_string(if class.interrupted { "yes" } else { "no" }),
        count: class.count,
        instructions: class.instructions,
    };
    let timing = MarkerTiming::Interval(time(span.start)?, time(span.end)?);
    profile.add_marker(thread, timing, marker);
    Ok(())
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
    fn a_marker_is_a_class_of_crossings() {
        let profile = exported(&recording());
        let thread = &profile["threads"][0];
        let markers = &thread["markers"];
        assert_eq!(markers["length"], 1);
        assert_eq!(
            (&markers["startTime"][0], &markers["endTime"][0]),
            (&json!(0.0), &json!(0.14))
        );
        let data = &markers["data"][0];
        assert_eq!(
            (&data["count"], &data["instructions"]),
            (&json!(10.0), &json!(14.0))
        );
        let text = |of: &str| {
            let index = usize::try_from(data[of].as_u64().unwrap()).unwrap();
            let strings = &profile["shared"]["stringArray"];
            let strings = if strings.is_null() {
                &thread["stringArray"]
            } else {
                strings
            };
            strings[index].clone()
        };
        assert_eq!(
            (text("call"), text("counts"), text("cut")),
            (json!("read"), json!("exact"), json!("no"))
        );
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
