//! Stacks that other tools wrote, and older exports of ours: weights along a tree of frames.
//!
//! They are no crossings: such a file does not say what each call took, only what all of them took
//! together, and mostly not even how many there were. [`Stacks`] says what its weights are and what it
//! cannot know.

mod chrome;
mod differ;
mod folded;
mod slices;

use std::borrow::Cow;

use serde::Serialize;

pub use self::differ::{Side, StacksDiff, differ};
use super::flame::Flame;
use super::report::{Report, SCHEMA};
use crate::crossing::Setup;
use crate::origin::Origin;

/// What the weights of our own exports are.
pub const INSTRUCTIONS: &str = "instructions";

/// What a file is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `frame;frame COUNT` lines.
    Folded,
    /// Trace events.
    Chrome,
    /// A run of a recording, its crossings together.
    Recording,
}

/// A tree of frames with weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stacks<'a> {
    pub format: Format,
    /// Of the weights: `instructions`, `ns`; none where the file does not say.
    pub unit: Option<Cow<'a, str>>,
    /// How the program ran, where the file says it and all in it is of one mode.
    pub mode: Option<Setup>,
    /// The outermost frame is `all`.
    pub flame: Flame<'a>,
    /// What was passed over, and what the figures may not be taken for.
    pub notes: Vec<String>,
}

/// Why nothing can be made of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStacks {
    #[error(
        "it is no recording of uklscope, and none of its lines is 'frame;frame COUNT' as folded stacks are"
    )]
    Lines,
    #[error(
        "it is JSON, but neither a list of trace events nor an object with traceEvents, as Chrome's traces are"
    )]
    NoEvents,
    #[error("it is no JSON: {0}")]
    Json(String),
    #[error("its trace events hold no call that begins and ends: none has ph X, or B and E")]
    NoCalls,
}

/// What begins as JSON does is read as trace events, all else as folded stacks.
///
/// # Errors
/// When it is neither.
pub fn read(bytes: &[u8]) -> Result<Stacks<'_>, NoStacks> {
    match is_json(bytes) {
        true => chrome::read(bytes),
        false => folded::read(bytes),
    }
}

/// A frame's name may begin with a bracket as well: `[unknown];main 3`.
fn is_json(bytes: &[u8]) -> bool {
    let mut letters = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
    match letters.next() {
        Some(b'{') => true,
        Some(b'[') => matches!(letters.next(), Some(b'{' | b']') | None),
        _ => false,
    }
}

impl Format {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Folded => "folded stacks",
            Self::Chrome => "Chrome trace",
            Self::Recording => "recording",
        }
    }
}

impl<'a> Stacks<'a> {
    /// All crossings of a run, to be set beside an import.
    #[must_use]
    pub fn of(run: &'a Report) -> Self {
        Self {
            format: Format::Recording,
            unit: Some(INSTRUCTIONS.into()),
            mode: Some(run.mode.clone()),
            flame: Flame::of(&[run], |_| true),
            notes: run.notes.clone(),
        }
    }

    /// `counts`, where it is not known what is counted.
    #[must_use]
    pub fn unit(&self) -> &str {
        self.unit.as_deref().unwrap_or("counts")
    }

    /// What such a file does not say.
    #[must_use]
    pub fn unknown(&self) -> Vec<&'static str> {
        let frames = &self.flame.frames;
        // A frame that weighs nothing itself may be a process, a thread or a mode, which is no call.
        let calls = || frames.iter().skip(1).filter(|frame| frame.own > 0);
        let some = |is: &dyn Fn(&super::flame::Frame<'_>) -> bool| calls().any(is);
        let unknown = [
            ("unit", self.unit.is_none()),
            ("calls", some(&|frame| frame.calls.is_none())),
            ("origin", some(&|frame| frame.origin == Origin::Unknown)),
            ("exactness", self.format != Format::Recording),
        ];
        let unknown = unknown.into_iter().filter(|(_, is)| *is);
        unknown.map(|(what, _)| what).collect()
    }

    /// Only that call, or that function: all of its frames as one.
    #[must_use]
    pub fn only(&self, name: &str) -> Option<Self> {
        Some(Self {
            flame: self.flame.only(name)?,
            ..self.clone()
        })
    }

    #[must_use]
    pub fn into_owned(self) -> Stacks<'static> {
        Stacks {
            format: self.format,
            unit: self.unit.map(|unit| unit.into_owned().into()),
            mode: self.mode,
            flame: self.flame.into_owned(),
            notes: self.notes,
        }
    }
}

/// `uklscope report` of an import.
impl Serialize for Stacks<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Frame<'a> {
            symbol: &'a str,
            origin: Origin,
            depth: usize,
            own: u64,
            total: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            calls: Option<u64>,
        }
        #[derive(Serialize)]
        struct Document<'a> {
            schema: u32,
            format: Format,
            unit: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            mode: Option<&'a Setup>,
            unknown: Vec<&'static str>,
            total: u64,
            notes: &'a [String],
            frames: Vec<Frame<'a>>,
        }
        let frames = self.flame.frames.iter().map(|frame| Frame {
            symbol: &frame.symbol,
            origin: frame.origin,
            depth: frame.depth,
            own: frame.own,
            total: frame.total,
            calls: frame.calls,
        });
        Document {
            schema: SCHEMA,
            format: self.format,
            unit: self.unit.as_deref(),
            mode: self.mode.as_ref(),
            unknown: self.unknown(),
            total: self.flame.total(),
            notes: &self.notes,
            frames: frames.collect(),
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
