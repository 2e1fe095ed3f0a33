//! speedscope's own JSON (<https://www.speedscope.app/file-format-schema.json>): a sampled profile for each run.
//!
//! A stack is kind, call and functions; its weight is instructions. The format has times, bytes or no
//! unit: there is none in the file, and the profile's name says what is counted.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write;

use serde::Serialize;

use super::stacks::stacks;
use super::{ExportError, Source};
use crate::trace::report::Report;

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: String,
    exporter: String,
    active_profile_index: usize,
    shared: Shared,
    profiles: Vec<Profile>,
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<Frame>,
}

#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize)]
struct Frame {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    r#type: &'static str,
    name: String,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    /// Indices of frames, the outermost first.
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

#[derive(Default)]
struct Frames {
    all: Vec<Frame>,
    at: HashMap<Frame, usize>,
}

pub(super) fn write(source: &Source<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
    let recording = source.recording;
    let mut frames = Frames::default();
    let profiles = recording.runs.iter().map(|run| profile(run, &mut frames));
    let profiles = profiles.collect();
    let file = File {
        schema: SCHEMA,
        name: recording.head.image.clone(),
        exporter: format!("uklscope {}", recording.head.tool),
        active_profile_index: 0,
        profiles,
        shared: Shared { frames: frames.all },
    };
    serde_json::to_writer(out, &file)?;
    Ok(())
}

fn profile(run: &Report, frames: &mut Frames) -> Profile {
    let (mut samples, mut weights) = (Vec::new(), Vec::new());
    let Ok(()) = stacks(run, &mut |stack| -> Result<(), Infallible> {
        let mut sample = vec![
            frames.index(stack.class.kind.name(), None),
            frames.index(&stack.class.call, None),
        ];
        let path = stack.path.iter();
        sample.extend(path.map(|node| frames.index(&node.symbol, node.file.as_deref())));
        samples.push(sample);
        weights.push(stack.weight);
        Ok(())
    });
    Profile {
        r#type: "sampled",
        name: format!("{}: instructions", run.mode),
        unit: "none",
        start_value: 0,
        end_value: weights
            .iter()
            .fold(0, |sum: u64, weight| sum.saturating_add(*weight)),
        samples,
        weights,
    }
}

impl Frames {
    fn index(&mut self, name: &str, file: Option<&str>) -> usize {
        let frame = Frame {
            name: name.to_owned(),
            file: file.map(str::to_owned),
        };
        let next = self.all.len();
        let at = *self.at.entry(frame.clone()).or_insert(next);
        if at == next {
            self.all.push(frame);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::export::example::recording;

    #[test]
    fn a_sample_is_a_stack_and_its_weight_all_that_it_executed() {
        let mut bytes = Vec::new();
        write(&Source::of(&recording()), &mut bytes).unwrap();
        let file: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let profile = &file["profiles"][0];
        assert_eq!(profile["weights"], serde_json::json!([50, 30, 30, 30]));
        assert_eq!(profile["endValue"], 140);
        // Kind, call, entry, libc's function, `fdget`: one that was met before.
        assert_eq!(profile["samples"][2], serde_json::json!([0, 1, 2, 4, 3]));
        assert_eq!(profile["samples"][3], profile["samples"][2]);
    }
}
