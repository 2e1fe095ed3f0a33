//! `cargo xtask builtin`: the recording that is built into the program made anew, and the pictures and tables that
//! are drawn of it.
//!
//! Its runs are repeatable: made once more of the same image, it has the same classes with the same counts.

use std::sync::atomic::AtomicBool;

use anyhow::{Result, ensure};
use debugger::crossing::Setup;
use debugger::session::trace::TraceOptions;
use debugger::session::trace_compare::compare;
use debugger::session::trace_file::{recording, save};

use crate::image::{self, repository};
use crate::progress::{self, Step};
use crate::{packages, test};

/// Where it lies in the checkout.
pub(crate) const FILE: &str = "tui/assets/builtin.uklrec";

/// The tests that draw of it.
const DRAWN: [&str; 3] = ["screens", "book", "folded_differences"];

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: image::Options,
}

/// # Errors
/// When the image cannot be built or traced, or what is drawn does not hold together.
pub(crate) fn run(args: &Args) -> Result<()> {
    packages::ensure(&args.options)?;
    test::cargo("the plugin", &["build", "--release", "--workspace"])?;
    let image = image::built("syscalls", &args.options)?;
    let modes: Vec<Setup> = image
        .manifest
        .modes
        .iter()
        .copied()
        .map(Setup::from)
        .collect();
    let mut options = TraceOptions::new(image.manifest.default_mode);
    // Of each operation as many as the program does by itself: a thousand.
    options.repeatable = true;
    let step = Step::start(format!("tracing syscalls in {} modes", modes.len()));
    let cancel = AtomicBool::new(false);
    let (mut comparison, _) = compare(&image, &modes, &options, None, &cancel, &mut |_, _| ())?;
    step.done();
    for run in &mut comparison.runs {
        // How busy this host was.
        run.notes
            .retain(|note| !note.starts_with("the guest waited"));
    }
    for pair in &comparison.pairs {
        ensure!(
            pair.balanced,
            "comparing {} in {} and {}: the ledger does not balance",
            pair.call,
            pair.mode_a,
            pair.mode_b
        );
    }
    save(
        &repository().join(FILE),
        &recording(&image, comparison.runs),
    )?;
    let mut arguments = vec!["test", "--release", "--workspace"];
    for name in DRAWN {
        arguments.extend(["--test", name]);
    }
    test::cargo_with("pictures", &arguments, &[("INSTA_UPDATE", "always")])?;
    progress::say(&format!(
        "builtin: wrote {FILE}, its pictures and tables; look at 'git diff', and at the figures in the book's sentences"
    ));
    Ok(())
}
