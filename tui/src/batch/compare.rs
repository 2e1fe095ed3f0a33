//! `uklscope compare`: traces an image in each mode.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use debugger::crossing::{CrossingKind, Setup};
use debugger::session::store;
use debugger::session::trace::TraceOptions;
use debugger::session::trace_compare::compare;
use debugger::session::trace_file::{head, recording, save};
use debugger::session::trace_keep::Keeper;
use debugger::trace::report::Comparison;

use super::trace_text;
use super::tracing::{Progress, cancel_by_signal};
use super::wanted::Wanted;
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
    /// With all their records: the timeline needs them.
    #[arg(long, requires = "output")]
    pub records: bool,
    #[command(flatten)]
    pub wanted: Wanted,
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
    let kept = args.output.as_deref().filter(|_| args.records);
    let begin = |path| Keeper::begin(path, &head(&image), Arc::clone(&cancel));
    let mut keeper = kept.map(begin).transpose()?;
    let mut progress = Progress::default();
    let mut tell = |mode: &Setup, event| progress.event(mode, &event);
    let compared = compare(
        &image,
        &modes,
        &options,
        keeper.as_mut(),
        &cancel,
        &mut tell,
    );
    drop(progress);
    let (mut comparison, _) = match (compared, keeper) {
        (Ok(compared), Some(keeper)) => {
            // It says why the records could not be written, where that has ended the runs.
            keeper.finish()?;
            compared
        }
        (Err(error), Some(keeper)) => bail!(
            "{error}; what was recorded until then is in {}, 'uklscope open' shows it",
            keeper.part().display()
        ),
        (compared, None) => compared?,
    };
    if cancel.load(Ordering::Relaxed) {
        bail!(
            "comparing the modes of {}: ended by a signal, nothing is compared",
            args.image
        );
    }
    if let Some(path) = args.output.as_deref().filter(|_| !args.records) {
        save(path, &recording(&image, comparison.runs.clone()))?;
    }
    let unbalanced = comparison.pairs.iter().find(|pair| !pair.balanced).cloned();
    narrow(&mut comparison, args)?;
    if json {
        serde_json::to_writer(&mut *out, &comparison)?;
        writeln!(out)?;
    } else {
        for line in trace_text::comparison(&comparison) {
            writeln!(out, "{line}")?;
        }
    }
    if let Some(pair) = unbalanced {
        bail!("the ledger does not balance: {}", trace_text::ledger(&pair));
    }
    Ok(())
}

/// Leaves pairs that the query holds for on neither side out, and classes that it does not hold for.
fn narrow(comparison: &mut Comparison, args: &CompareArgs) -> anyhow::Result<()> {
    let Some(query) = &args.wanted.query else {
        return Ok(());
    };
    let runs = &comparison.runs;
    let run = |mode: &Setup| runs.iter().find(|run| run.mode == *mode);
    comparison.pairs.retain(|pair| {
        let sides = run(&pair.mode_a).zip(run(&pair.mode_b));
        sides.is_some_and(|(a, b)| args.wanted.holds_for(pair, a, b))
    });
    if comparison.pairs.is_empty() {
        bail!(
            "comparing the modes of {}: there is no call where {query} in two of them",
            args.image
        );
    }
    let calls: BTreeSet<&str> = comparison
        .pairs
        .iter()
        .map(|pair| pair.call.as_str())
        .collect();
    for run in &mut comparison.runs {
        // A shortcut has the name of a function, and stands for a call.
        let classes = std::mem::take(&mut run.classes);
        let all = classes.len();
        run.classes = classes
            .into_iter()
            .filter(|class| {
                class.kind == CrossingKind::Shortcut || calls.contains(class.call.as_str())
            })
            .collect();
        run.notes.push(format!(
            "of {all} classes of crossings, those of the calls where {query} are compared"
        ));
    }
    Ok(())
}
