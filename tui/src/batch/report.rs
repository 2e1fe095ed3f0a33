//! `uklscope report`: tables of a recording.

use std::io::Write;
use std::path::{Path, PathBuf};

use debugger::session::trace_file::load;
use debugger::trace::recording::Recording;

use super::trace_text::{self, By};
use super::wanted::Wanted;

#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// A recording made by 'uklscope trace' or 'uklscope compare'.
    pub file: PathBuf,
    /// What a row is.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub by: By,
    #[command(flatten)]
    pub wanted: Wanted,
}

/// Prints the tables, or one JSON document: the run's report, a list of them where there are several.
///
/// # Errors
/// When the recording cannot be read, or nothing of it is meant.
pub fn run(args: &ReportArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut recording = open(&args.file)?;
    args.wanted.keep(&mut recording.runs, &args.file)?;
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

/// What can be read of a recording; what is missing is said on the error stream and in the runs' notes.
///
/// # Errors
/// When there is no such file, or it is no recording.
pub fn open(path: &Path) -> anyhow::Result<Recording> {
    let (mut recording, issues) = load(path)?;
    for issue in issues {
        let text = format!("{}: {issue}", path.display());
        // The notes say it as well.
        let _ = writeln!(std::io::stderr(), "{text}");
        for run in &mut recording.runs {
            run.notes.push(text.clone());
        }
    }
    Ok(recording)
}
