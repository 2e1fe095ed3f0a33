//! `uklscope report`: tables of a recording.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use debugger::crossing::Setup;
use debugger::session::trace_file::{self, Found, load, refolded};
use debugger::trace::import::Stacks;
use debugger::trace::recording::{Issue, Recording};
use debugger::trace::report::Report;
use debugger::trace::times::joined::join;

use super::stacks::{self, Import};
use super::times_text;
use super::trace_text::{self, By};
use super::wanted::Wanted;

#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// A recording made by 'uklscope trace' or 'uklscope compare'; or folded stacks, or a Chrome trace as JSON.
    pub file: PathBuf,
    /// What a row is.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub by: By,
    #[command(flatten)]
    pub wanted: Wanted,
    /// Beside the instructions of FILE the times of this recording, made of the same image with
    /// 'uklscope trace --engine probes'.
    #[arg(long, value_name = "TIMES")]
    pub times: Option<PathBuf>,
    #[command(flatten)]
    pub import: Import,
}

/// Prints the tables, or one JSON document: the run's report, a list of them where there are several.
///
/// # Errors
/// When the recording cannot be read, or nothing of it is meant.
pub fn run(args: &ReportArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut recording = match find(&args.file)? {
        Input::Recording(recording) => recording,
        Input::Stacks(mut stacks) => {
            if args.times.is_some() || args.wanted.query.is_some() {
                bail!(
                    "reporting {}: stacks of other tools are no crossings; leave --where and --times out",
                    args.file.display()
                );
            }
            args.import.name(&mut stacks, &args.file)?;
            return stacks::report(&stacks, &args.file, args.by, json, out);
        }
    };
    args.wanted.keep(&mut recording.runs, &args.file)?;
    if let Some(times) = &args.times {
        return joined(&args.file, &recording, times, json, out);
    }
    if json {
        match recording.runs.as_slice() {
            [run] => serde_json::to_writer(&mut *out, run)?,
            runs => serde_json::to_writer(&mut *out, runs)?,
        }
        writeln!(out)?;
        return Ok(());
    }
    writeln!(
        out,
        "{} · build-id {}",
        recording.head.image, recording.head.build_id
    )?;
    for run in &recording.runs {
        writeln!(out)?;
        for line in trace_text::report(run, args.by) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// Two clocks: each run's calls with the times of the other recording's run in the same mode.
fn joined(
    file: &Path,
    counted: &Recording,
    times: &Path,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let timed = open(times)?;
    let (file, times) = (file.display(), times.display());
    let has_times = timed.runs.iter().any(|run| run.times.is_some());
    if !has_times {
        bail!(
            "joining {file} with {times}: the latter has no times; record them with 'uklscope trace IMAGE+probes \
             --engine probes -o {times}'"
        );
    }
    if counted.runs.iter().any(|run| run.times.is_some()) {
        bail!(
            "joining {file} with {times}: the former has times, not instructions; record it with the plugin"
        );
    }
    let pairs = counted.runs.iter().filter_map(|run| {
        let same = timed.runs.iter().find(|other| other.mode == run.mode)?;
        join(run, same)
    });
    let pairs: Vec<_> = pairs.collect();
    if pairs.is_empty() {
        bail!("joining {file} with {times}: no mode is in both; record both in one mode");
    }
    if json {
        serde_json::to_writer(&mut *out, &pairs)?;
        return Ok(writeln!(out)?);
    }
    if counted.head.build_id != timed.head.build_id {
        writeln!(
            out,
            "note: two builds: instructions of {} {}, times of {} {}",
            counted.head.image, counted.head.build_id, timed.head.image, timed.head.build_id
        )?;
    }
    for pair in &pairs {
        for line in times_text::joined(pair) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// What can be read of a recording; what is missing is said on the error stream and in the runs' notes.
///
/// # Errors
/// When there is no such file, or it is no recording.
pub fn open(path: &Path) -> anyhow::Result<Recording> {
    Ok(with_issues(path, load(path)?))
}

/// As [`open`], for what needs instructions.
///
/// # Errors
/// As there, and as [`is_counted`].
pub(super) fn open_counted(path: &Path, doing: &str) -> anyhow::Result<Recording> {
    let recording = open(path)?;
    is_counted(&recording, path, doing)?;
    Ok(recording)
}

/// # Errors
/// When it tells times: what was not counted is not 0.
pub(crate) fn is_counted(recording: &Recording, path: &Path, doing: &str) -> anyhow::Result<()> {
    if recording.runs.iter().any(|run| run.times.is_some()) {
        bail!(
            "{doing} {}: it tells times, instructions were not counted; 'uklscope report' shows it, and 'uklscope trace' \
             without --clock time and --engine probes counts",
            path.display()
        );
    }
    Ok(())
}

/// What a file holds.
#[derive(Debug)]
pub enum Input {
    Recording(Recording),
    /// Of another tool, or an older export.
    Stacks(Stacks<'static>),
}

/// As [`open`], or stacks.
///
/// # Errors
/// When there is no such file, or it is neither.
pub fn find(path: &Path) -> anyhow::Result<Input> {
    Ok(match trace_file::find(path)? {
        Found::Recording(stored) => Input::Recording(with_issues(path, refolded(*stored))),
        Found::Stacks(stacks) => Input::Stacks(stacks),
    })
}

/// The run in that mode, or the first.
///
/// # Errors
/// When there is none.
pub fn run_of<'a>(
    recording: &'a Recording,
    path: &Path,
    mode: Option<&Setup>,
) -> anyhow::Result<&'a Report> {
    let has: Vec<String> = recording
        .runs
        .iter()
        .map(|run| run.mode.to_string())
        .collect();
    let found = match mode {
        Some(mode) => recording.runs.iter().find(|run| run.mode == *mode),
        None => recording.runs.first(),
    };
    found.with_context(|| match mode {
        Some(mode) => format!(
            "reading {}: no run in mode {mode}; it has {}",
            path.display(),
            has.join(", ")
        ),
        None => format!("reading {}: it holds no run; record again", path.display()),
    })
}

fn with_issues(path: &Path, (mut recording, issues): (Recording, Vec<Issue>)) -> Recording {
    for issue in issues {
        let text = format!("{}: {issue}", path.display());
        // The notes say it as well.
        let _ = writeln!(std::io::stderr(), "{text}");
        for run in &mut recording.runs {
            run.notes.push(text.clone());
        }
    }
    recording
}

#[cfg(test)]
mod tests {
    use debugger::trace::times::{Clock, Cost, Measured, Unit};

    use super::*;

    fn run(words: &[&str]) -> anyhow::Result<()> {
        let words = std::iter::once("uklscope").chain(words.iter().copied());
        <crate::args::Args as clap::Parser>::try_parse_from(words)?.run(&mut Vec::new())
    }

    #[test]
    fn what_was_not_counted_is_not_zero() {
        let builtin = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/builtin.uklrec");
        let mut recording = open(&builtin).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("times.rec");
        for run in &mut recording.runs {
            run.times = Some(Measured {
                clock: Clock {
                    unit: Unit::Ns,
                    tsc_khz: 1_000_000,
                    cost: Cost::default(),
                    about: "a clock".to_owned(),
                },
                classes: Vec::new(),
            });
        }
        trace_file::save(&file, &recording).unwrap();
        let file = file.to_string_lossy();
        run(&["report", &file]).unwrap();
        for (doing, words) in [
            ("advising on", &["advise", &file][..]),
            ("checking", &["check", &file, "expect.toml"]),
            ("checking", &["check", &file, "expect.toml", "--write"]),
            ("exporting", &["export", &file, "--to", "folded"]),
            ("comparing", &["diff", &file, "--modes", "linux,bypass"]),
            ("opening", &["open", &file]),
        ] {
            let refused = run(words).unwrap_err().to_string();
            let expected = format!("{doing} {file}: it tells times, instructions were not counted");
            assert!(refused.starts_with(&expected), "{words:?}: {refused}");
        }
    }
}
