//! `cargo xtask test`: every check and every test, booted images included, from an empty cache.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::image::repository;
use crate::{docs, fuzz, image, packages, progress, suites, tidy};

/// Seconds for each fuzz target: enough to see that it runs and finds nothing at once.
const FUZZ_SECONDS: u64 = 5;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the tests whose names have this in them
    filter: Option<String>,
    #[command(flatten)]
    options: image::Options,
}

/// # Errors
/// When a check or a test fails, or something cannot be built.
pub(crate) fn run(args: &Args) -> Result<()> {
    packages::ensure(&args.options)?;
    tidy::run()?;
    if available("fmt") {
        cargo("formatting", &["fmt", "--all", "--", "--check"])?;
    } else {
        progress::say("formatting: not checked, rustfmt is not installed");
    }
    if available("clippy") {
        cargo(
            "lints",
            &[
                "clippy",
                "--release",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
        )?;
    } else {
        progress::say("lints: not checked, clippy is not installed");
    }
    cargo(
        "the program and its plugin",
        &["build", "--release", "--workspace"],
    )?;
    docs::run(&docs::Args { check: true })?;
    image::build_every(&args.options)?;
    suites::quick(&args.options)?;
    fuzz::run(&fuzz::Args {
        target: None,
        seconds: FUZZ_SECONDS,
    })?;
    // The tests come last: their closing line is the last that is printed. One at a time, as
    // each boots a machine of its own.
    let mut arguments = vec!["test", "--release", "--workspace", "--no-fail-fast"];
    arguments.extend(["--", "--include-ignored", "--test-threads=1"]);
    arguments.extend(args.filter.as_deref());
    cargo("all tests", &arguments)
}

fn available(subcommand: &str) -> bool {
    Command::new(cargo_path())
        .args([subcommand, "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn cargo_path() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs cargo in the checkout, its output to ours.
pub(crate) fn cargo(what: &str, arguments: &[&str]) -> Result<()> {
    progress::say(&format!("{what}: cargo {}", arguments.join(" ")));
    let status = Command::new(cargo_path())
        .args(arguments)
        .current_dir(repository())
        .status()
        .with_context(|| format!("{what}: starting cargo"))?;
    if !status.success() {
        bail!(
            "{what}: 'cargo {}' failed; its output is above",
            arguments.join(" ")
        );
    }
    Ok(())
}
