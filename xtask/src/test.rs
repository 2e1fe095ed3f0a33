//! `cargo xtask test`: every check and every test, booted images included, from an empty cache.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{docs, fuzz, image, packages, progress, root, tidy};

/// Seconds for each fuzz target: enough to see that it runs and finds nothing at once.
const FUZZ_SECONDS: u64 = 5;

pub fn run(filter: Option<&str>) -> Result<()> {
    packages::ensure()?;
    tidy::run()?;
    if available("fmt") {
        cargo("formatting", &["fmt", "--all", "--", "--check"])?;
    } else {
        progress::say("formatting: not checked, rustfmt is not installed");
    }
    if available("clippy") {
        cargo(
            "lints",
            &["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"],
        )?;
    } else {
        progress::say("lints: not checked, clippy is not installed");
    }
    cargo("the program and its plugin", &["build", "--release", "--workspace"])?;
    docs::run(docs::Action::Check)?;
    image::build_all()?;
    fuzz::run(None, FUZZ_SECONDS)?;
    // The tests come last: their closing line is the last that is printed. One at a time, as
    // each boots a machine of its own.
    let mut arguments = vec!["test", "--release", "--workspace", "--no-fail-fast"];
    arguments.extend(["--", "--include-ignored", "--test-threads=1"]);
    arguments.extend(filter);
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
pub fn cargo(what: &str, arguments: &[&str]) -> Result<()> {
    progress::say(&format!("{what}: cargo {}", arguments.join(" ")));
    let status = Command::new(cargo_path())
        .args(arguments)
        .current_dir(root())
        .status()
        .with_context(|| format!("{what}: starting cargo"))?;
    if !status.success() {
        bail!("{what}: 'cargo {}' failed; its output is above", arguments.join(" "));
    }
    Ok(())
}
