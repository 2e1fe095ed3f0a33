//! All tests, in two streams: one booted machine keeps little more than one core busy.
//!
//! In each stream one test runs at a time, as each boots a machine of its own. What the second one prints follows the
//! first one's.

use std::io::{self, Write};
use std::process::{Command, Output};
use std::thread;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::image::repository;
use crate::progress;
use crate::test::{cargo, cargo_path};

/// The second stream: about half of the time that all take. They count, or are about the kernel alone.
const BESIDE: [&str; 12] = [
    "booted_both_clocks",
    "booted_crossings",
    "booted_differ",
    "booted_differences",
    "booted_filters",
    "booted_init",
    "booted_kernel",
    "booted_known",
    "booted_posix",
    "booted_smp",
    "booted_trace",
    "booted_truth",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// `options` go to every test.
///
/// # Errors
/// When a test fails or cannot be built.
pub(crate) fn run(options: &[&str]) -> Result<()> {
    let names = integration_tests()?;
    if let Some(unknown) = BESIDE
        .iter()
        .find(|name| !names.iter().any(|one| one == *name))
    {
        bail!(
            "the second stream of tests names {unknown}, and there is none; correct xtask/src/streams.rs"
        );
    }
    let (second, first): (Vec<&str>, Vec<&str>) = names
        .iter()
        .map(String::as_str)
        .partition(|name| BESIDE.contains(name));
    cargo(
        "building all tests",
        &["test", "--release", "--workspace", "--no-run"],
    )?;
    let first = arguments(&["--lib", "--bins"], &first, options);
    let second = arguments(&[], &second, options);
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| captured(&second));
        let first = cargo("tests", &first);
        progress::say("tests of the second stream");
        (first, second.join())
    });
    let second =
        second.map_err(|_| anyhow::anyhow!("the second stream of tests was cut off"))??;
    io::stdout().write_all(&second.stdout)?;
    io::stderr().write_all(&second.stderr)?;
    first?;
    if !second.status.success() {
        bail!("a test of the second stream failed; its output is above");
    }
    let examples = arguments(&["--doc"], &[], options);
    cargo("tests in the documentation", &examples)
}

fn arguments<'a>(kinds: &[&'a str], names: &[&'a str], options: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["test", "--release", "--workspace", "--no-fail-fast"];
    arguments.extend(kinds);
    arguments.extend(names.iter().flat_map(|name| ["--test", name]));
    arguments.push("--");
    arguments.extend(options);
    arguments
}

fn captured(arguments: &[&str]) -> Result<Output> {
    Command::new(cargo_path())
        .args(arguments)
        .current_dir(repository())
        .output()
        .context("the second stream of tests: starting cargo")
}

/// The names of all packages' files of tests.
fn integration_tests() -> Result<Vec<String>> {
    let output = Command::new(cargo_path())
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(repository())
        .output()
        .context("listing the tests: starting cargo")?;
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("listing the tests: cargo metadata")?;
    let targets = metadata
        .packages
        .into_iter()
        .flat_map(|package| package.targets);
    let tests = targets.filter(|target| target.kind.iter().any(|kind| kind == "test"));
    let mut names: Vec<String> = tests.map(|test| test.name).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}
