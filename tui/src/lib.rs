//! The screen of uklscope and its commands without a screen.
//!
//! Keys and typed lines become [`debugger::command::Command`]s, which a session carries out beside
//! the screen; its events are folded into [`debugger::model::Model`], and the panels draw that.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use debugger::trace::export::ExportError;

pub mod action;
pub mod args;
pub mod batch;
pub mod beside;
pub mod bundle;
pub mod dap;
pub mod difference;
pub mod filter;
pub mod history;
pub mod keys;
pub mod layout;
pub mod look;
pub mod mapper;
pub mod open;
pub mod order;
pub mod overlay;
mod pace;
pub mod panels;
pub mod refolder;
pub mod run;
pub mod state;
mod status;
pub mod stepper;
pub mod term;
pub mod theme;
pub mod tracer;
pub mod ui;
pub mod update;
pub mod widgets;

use args::Args;

/// Runs one invocation; the exit code is 0 on success, 1 when the thing asked failed, 2 on bad usage.
pub fn main(command_line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(command_line) {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    match args.run(&mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if reader_left(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("uklscope: {}", sentence(&error)));
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

/// An error with its causes, but for those whose words it repeats.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Bad usage that only shows after the command line is read, such as a command nobody knows.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Help and version are answers; the rest is bad usage, told in this program's own form.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Nothing can be done about a closed standard output.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let ends = ["\n\nUsage:", "\n\nFor more information"];
    let end = ends.iter().filter_map(|end| text.find(end)).min();
    let found = text[..end.unwrap_or(text.len())]
        .trim()
        .trim_start_matches("error: ");
    let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
    complain(&format!(
        "uklscope: reading the command line: {found}; 'uklscope --help' lists the commands"
    ));
    ExitCode::from(2)
}

fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// `uklscope … | head` ends quietly when `head` has seen enough.
fn reader_left(error: &anyhow::Error) -> bool {
    let mut kinds = error.chain().map(io_kind);
    kinds.any(|kind| kind == Some(io::ErrorKind::BrokenPipe))
}

/// Not every error that is one of input and output has that as its source.
fn io_kind(cause: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        Some(error.kind())
    } else if let Some(error) = cause.downcast_ref::<serde_json::Error>() {
        error.io_error_kind()
    } else {
        cause.downcast_ref::<ExportError>()?.io_kind()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use debugger::trace::export::{FORMATS, How, Source};
    use debugger::trace::recording::Recording;

    use super::{reader_left, sentence};

    /// One that reads nothing.
    struct Closed;

    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whoever_reads_may_leave_whatever_is_written() {
        let json = serde_json::to_writer(Closed, "text").unwrap_err();
        assert!(reader_left(&anyhow::Error::new(json).context("writing")));
        let recording = Recording::decode(include_bytes!("../assets/builtin.uklrec"));
        let source = Source {
            recording: &recording.unwrap().0,
            timeline: None,
        };
        for format in FORMATS {
            if let How::File(write) = format.how {
                let error = anyhow::Error::new(write(&source, &mut Closed).unwrap_err());
                assert!(reader_left(&error), "{}: {error}", format.name);
            }
        }
        assert!(!reader_left(&anyhow::anyhow!("Broken pipe")));
    }

    #[test]
    fn a_cause_is_told_once() {
        let full = || anyhow::anyhow!("no space left");
        let told = Err::<(), _>(full())
            .context("writing f: no space left; free some")
            .unwrap_err();
        assert_eq!(sentence(&told), "writing f: no space left; free some");
        let untold = Err::<(), _>(full()).context("writing f").unwrap_err();
        assert_eq!(sentence(&untold), "writing f: no space left");
    }
}
