//! `uklscope compare`: traces an image in each mode.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use debugger::crossing::Setup;
use debugger::session::store;
use debugger::session::trace::TraceOptions;
use debugger::session::trace_compare::compare;
use debugger::session::trace_file::{recording, save};

use super::trace_text;
use super::tracing::{Progress, cancel_by_signal};
use crate::args::Family;

#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// An image's name or folder.
    pub image: String,
    /// How many operations the application does.
    #[arg(long, value_name = "N")]
    pub calls: Option<u64>,
    /// The modes, separated by commas; else all that the image has. Options of the kernel may follow one:
    /// ukl,ukl+ret compares mode ukl with itself and ukl.ret=1.
    #[arg(long, value_delimiter = ',', value_name = "MODE[+OPTION[=VALUE]]")]
    pub modes: Vec<Setup>,
    /// More for the kernel's command line, in every mode.
    #[arg(long, value_name = "TEXT")]
    pub append: Option<String>,
    /// Keep the runs in one recording.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub family: Family,
}

/// Traces and prints the modes side by side.
///
/// # Errors
/// When a boot or a recording fails, or a ledger does not balance.
pub fn run(args: &CompareArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut image = store::image(&args.image).context("opening the image")?;
    if let Some(more) = &args.append {
        image.manifest.append.push(' ');
        image.manifest.append.push_str(more);
    }
    let modes = if args.modes.is_empty() {
        image
            .manifest
            .modes
            .iter()
            .map(|mode| (*mode).into())
            .collect()
    } else {
        args.modes.clone()
    };
    let mut options = TraceOptions::new(image.manifest.default_mode);
    options.calls = args.calls;
    options.profile.clone_from(&args.family.profile);
    let cancel = cancel_by_signal()?;
    let mut progress = Progress::default();
    let (comparison, _) = compare(&image, &modes, &options, &cancel, &mut |mode, event| {
        progress.event(mode, &event);
    })?;
    drop(progress);
    if cancel.load(Ordering::Relaxed) {
        bail!(
            "comparing the modes of {}: ended by a signal, nothing is compared",
            args.image
        );
    }
    if let Some(path) = &args.output {
        save(path, &recording(&image, comparison.runs.clone()))?;
    }
    if json {
        serde_json::to_writer(&mut *out, &comparison)?;
        writeln!(out)?;
    } else {
        for line in trace_text::comparison(&comparison) {
            writeln!(out, "{line}")?;
        }
    }
    if let Some(pair) = comparison.pairs.iter().find(|pair| !pair.balanced) {
        bail!("the ledger does not balance: {}", trace_text::ledger(pair));
    }
    Ok(())
}
