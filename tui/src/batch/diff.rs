//! `uklscope diff`: what differs between two recordings.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use debugger::trace::diff::diff;
use debugger::trace::report::Report;

use super::wanted::Wanted;
use super::{report, trace_text};

#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    pub a: PathBuf,
    pub b: PathBuf,
    /// Only this call.
    #[arg(long, value_name = "NAME")]
    pub call: Option<String>,
    #[command(flatten)]
    pub wanted: Wanted,
}

/// Prints ladder and ledger.
///
/// # Errors
/// When a recording cannot be read, or neither has the call.
pub fn run(args: &DiffArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let (a, b) = (first_run(&args.a)?, first_run(&args.b)?);
    let mut diff = diff(&a, &b, args.call.as_deref());
    args.wanted.keep_pairs(&mut diff.pairs, &a, &b);
    if diff.pairs.is_empty() {
        let call = match (&args.call, &args.wanted.query) {
            (Some(call), None) => call.clone(),
            (Some(call), Some(query)) => format!("{call} where {query}"),
            (None, Some(query)) => format!("a call where {query}"),
            (None, None) => "any call".to_owned(),
        };
        bail!(
            "comparing {} with {}: there is not {call} in both; 'uklscope report' lists what is",
            args.a.display(),
            args.b.display()
        );
    }
    if json {
        serde_json::to_writer(&mut *out, &diff)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(out, "{}", trace_text::LADDER_KEY)?;
    for pair in &diff.pairs {
        writeln!(out)?;
        for line in trace_text::ladder(pair) {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{}", trace_text::ledger(pair))?;
    }
    Ok(())
}

fn first_run(path: &Path) -> anyhow::Result<Report> {
    let runs = report::open(path)?.runs;
    runs.into_iter()
        .next()
        .with_context(|| format!("reading {}: it holds no run; record again", path.display()))
}
