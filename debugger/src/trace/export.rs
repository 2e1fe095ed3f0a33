//! A recording in the formats of other tools: a file for each, and a line in [`FORMATS`].
//!
//! What is exported are the classes of a recording's runs, or its calls along the clock. Every number is one of instructions; where a
//! format knows times alone, its file says what stands for one instruction.

mod chrome;
mod csv;
#[cfg(test)]
mod example;
mod firefox;
mod folded;
mod parquet;
mod perfetto;
mod slices;
mod speedscope;
mod stacks;
mod svg;
mod timeline;

use std::io::{self, Write};

use self::timeline::Calls;
pub use self::timeline::Timeline;
use super::recording::Recording;
use super::report::Report;

/// A format of another tool.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// As on the command line.
    pub name: &'static str,
    /// What reads it, in a line.
    pub about: &'static str,
    /// It can hold calls along the clock.
    pub line: bool,
    pub how: How,
}

/// Writes what is exported as one file.
pub type WriteTo = fn(&Source<'_>, &mut dyn Write) -> Result<(), ExportError>;

/// What is exported.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub recording: &'a Recording,
    /// In place of the classes, for formats that have a line.
    pub timeline: Option<&'a Timeline>,
}

/// What a format is made of.
#[derive(Clone, Copy, Debug)]
pub enum How {
    File(WriteTo),
    /// Files of one folder, by name.
    Folder(&'static [(&'static str, WriteTo)]),
}

pub const FORMATS: [Format; 8] = [
    Format {
        name: "folded",
        about: "A stack and its instructions a line: flamegraph.pl, inferno, speedscope",
        line: false,
        how: How::File(folded::write),
    },
    Format {
        name: "speedscope",
        about: "Stacks weighted by instructions, a profile for each mode: speedscope",
        line: false,
        how: How::File(speedscope::write),
    },
    Format {
        name: "firefox",
        about: "Stacks weighted by instructions, coloured by origin: the Firefox Profiler",
        line: false,
        how: How::File(firefox::write),
    },
    Format {
        name: "chrome",
        about: "Calls along the clock, or one crossing of each class, as JSON: Perfetto, speedscope, chrome://tracing",
        line: true,
        how: How::File(chrome::write),
    },
    Format {
        name: "perfetto",
        about: "The same as Perfetto's own protobuf: ui.perfetto.dev, trace_processor",
        line: true,
        how: How::File(perfetto::write),
    },
    Format {
        name: "svg",
        about: "A flame graph of all modes side by side, which any browser shows",
        line: false,
        how: How::File(svg::write),
    },
    Format {
        name: "csv",
        about: "A line for each function of each path, for spreadsheets and data bases",
        line: false,
        how: How::File(csv::write),
    },
    Format {
        name: "parquet",
        about: "A folder with two tables, crossings and path nodes: DuckDB, pandas, Spark",
        line: false,
        how: How::Folder(&[
            ("crossings.parquet", parquet::crossings),
            ("path_nodes.parquet", parquet::path_nodes),
        ]),
    },
];

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Csv(#[from] ::csv::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Parquet(#[from] ::parquet::errors::ParquetError),
    #[error("{what} is {value}, which is more than the format can hold")]
    TooLarge { what: &'static str, value: u64 },
}

impl ExportError {
    /// Why it could not be written, where that is it.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io(error) => Some(error.kind()),
            Self::Csv(error) => match error.kind() {
                ::csv::ErrorKind::Io(error) => Some(error.kind()),
                _ => None,
            },
            Self::Json(error) => error.io_error_kind(),
            Self::Parquet(_) | Self::TooLarge { .. } => None,
        }
    }
}

impl Format {
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }
}

impl<'a> Source<'a> {
    /// The classes of a recording.
    #[must_use]
    pub const fn of(recording: &'a Recording) -> Self {
        Self {
            recording,
            timeline: None,
        }
    }

    /// The runs, with their calls where these are wanted.
    fn runs(&self) -> impl Iterator<Item = (&'a Report, Option<&'a Calls>)> {
        let calls = self.timeline.map(|timeline| timeline.runs.as_slice());
        let of = move |number: usize| calls.and_then(|calls| calls.get(number));
        let runs = self.recording.runs.iter().enumerate();
        runs.map(move |(number, run)| (run, of(number)))
    }
}
