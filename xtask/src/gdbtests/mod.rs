//! `cargo xtask gdbtests`: files of gdb's own test suite, by stock gdb, against `uklscope serve`.
//!
//! Each test's program is linked into a kernel as a demo is. `xtask/gdbtests/cases.toml` lists the files, how many
//! passes each has, and what is known to fail with its reason: another failure fails the command, and so does a pass
//! that is no more. The suite is gdb's source, fetched and never kept in the repository.

mod cases;
mod run;
mod suite;
mod summary;

use anyhow::{Result, bail, ensure};

use self::cases::{Case, Cases};
use self::run::Place;
use self::suite::Suite;
use crate::image;
use crate::progress::{self, Step};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the files whose names have this in them, such as recurse or gdb.reverse
    filter: Option<String>,
    #[command(flatten)]
    options: image::Options,
}

/// # Errors
/// When gdb's source or a tool is out of reach, an image cannot be built, or a file comes to something else than is
/// listed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let cases = Cases::read()?;
    let chosen: Vec<&Case> = cases
        .case
        .iter()
        .filter(|case| {
            args.filter
                .as_ref()
                .is_none_or(|part| case.file.contains(part))
        })
        .collect();
    ensure!(
        !chosen.is_empty(),
        "no file of xtask/gdbtests/cases.toml has '{}' in its name",
        args.filter.as_deref().unwrap_or_default()
    );
    run::tools(&cases.gdb)?;
    crate::test::cargo("the program", &["build", "--release", "--workspace"])?;
    let suite = Suite::ready(&cases.gdb)?;
    let place = Place::new(&suite, &cases, &chosen, &args.options)?;
    let mut unexpected = Vec::new();
    let (mut passes, mut known) = (0, 0);
    for case in &chosen {
        let step = Step::start(case.file.as_str());
        let came_to = place.run(case)?;
        step.done();
        passes += came_to.passes;
        known += came_to.failures.len();
        let differences = came_to.differences(case);
        for difference in &differences {
            progress::say(&format!("{}: {difference}", case.file));
        }
        if !differences.is_empty() {
            unexpected.push(format!("{} ({})", case.file, place.log(case).display()));
        }
    }
    progress::say(&format!(
        "gdbtests: {} files, {passes} passes, {known} failures",
        chosen.len()
    ));
    if !unexpected.is_empty() {
        bail!(
            "not as xtask/gdbtests/cases.toml lists them, which is told above: {}",
            unexpected.join(", ")
        );
    }
    Ok(())
}
