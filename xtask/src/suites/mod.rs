//! `cargo xtask suites`: the tests that a demo's program brings with it, against the program in a booted image.
//!
//! They run once in each mode. What fails, or is not reached, in a mode and passed in mode `linux` is a failure here; so
//! is a warning or an oops in the kernel's log.

pub(crate) mod guest;
pub(crate) mod memcached;
mod outcome;
pub(crate) mod redis;

use std::path::PathBuf;

use anyhow::{Result, bail};
use debugger::crossing::{Mode, Setup};
use debugger::qemu::image::Image;

use self::outcome::Outcome;
use crate::image::{self, Options};
use crate::{packages, progress};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Redis's own Tcl tests, those for an external server
    Redis(SuiteArgs),
    /// memcached's own Perl tests, those that can use a running server
    Memcached(SuiteArgs),
}

#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct SuiteArgs {
    /// Modes to run in, such as ukl or ukl+ret; all four if none is given. Without linux every failure counts
    #[arg(long = "mode", value_name = "MODE")]
    modes: Vec<Setup>,
    /// Writes the counts and the names of what failed to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only the part that `cargo xtask test` runs
    #[arg(long)]
    quick: bool,
    /// Only these units, such as unit/type/string or cas.t
    #[arg(long = "unit", value_name = "UNIT")]
    units: Vec<String>,
    #[command(flatten)]
    options: Options,
}

/// A suite: its image, the units of every day, and what runs it in one mode.
struct Suite {
    name: &'static str,
    quick: &'static [&'static str],
    run: fn(&Image, &Setup, &[String]) -> Result<Outcome>,
}

const REDIS: Suite = Suite {
    name: "redis",
    quick: &redis::QUICK,
    run: redis::run,
};

const MEMCACHED: Suite = Suite {
    name: "memcached",
    quick: &memcached::QUICK,
    run: memcached::run,
};

/// # Errors
/// When an image cannot be built or booted, or a mode does worse than mode `linux`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (suite, args) = match &args.what {
        What::Redis(args) => (REDIS, args),
        What::Memcached(args) => (MEMCACHED, args),
    };
    packages::ensure(&args.options)?;
    suite.run(args)
}

/// The part of the suites that is quick enough for every day.
///
/// # Errors
/// As [`run`].
pub(crate) fn quick(options: &Options) -> Result<()> {
    for suite in [REDIS, MEMCACHED] {
        suite.run(&SuiteArgs {
            quick: true,
            options: options.clone(),
            ..SuiteArgs::default()
        })?;
    }
    Ok(())
}

impl Suite {
    fn run(&self, args: &SuiteArgs) -> Result<()> {
        let image = image::built(self.name, &args.options)?;
        let modes = match args.modes.as_slice() {
            [] => Mode::ALL.map(Setup::from).to_vec(),
            modes => modes.to_vec(),
        };
        let units = match (args.units.as_slice(), args.quick) {
            ([], true) => self.quick.iter().map(|unit| (*unit).to_owned()).collect(),
            (units, _) => units.to_vec(),
        };
        let mut outcomes = Vec::new();
        for mode in modes {
            outcomes.push((self.run)(&image, &mode, &units)?);
        }
        report(self.name, &outcomes, args.json.as_deref())
    }
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
fn report(suite: &str, outcomes: &[Outcome], json: Option<&std::path::Path>) -> Result<()> {
    for outcome in outcomes {
        println!("{suite}: {}", outcome.line());
    }
    if let Some(path) = json {
        outcome::write(suite, outcomes, path)?;
    }
    let baseline = outcomes
        .iter()
        .find(|outcome| outcome.mode == Mode::Linux.name());
    let mut worse = Vec::new();
    for outcome in outcomes {
        let found = outcome.worse_than(baseline);
        worse.extend(
            found
                .into_iter()
                .map(|what| format!("{}: {what}", outcome.mode)),
        );
    }
    if worse.is_empty() {
        return Ok(());
    }
    for line in &worse {
        progress::say(line);
    }
    let logs: Vec<String> = outcomes
        .iter()
        .map(|outcome| outcome.log.display().to_string())
        .collect();
    bail!(
        "{suite}: {} tests passed in mode linux and not in another, or every mode has to answer for them; they are listed \
         above, what was printed is in {}",
        worse.len(),
        logs.join(", ")
    )
}
