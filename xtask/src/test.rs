//! `cargo xtask test`: every check and every test, booted images included, from an empty cache.
//!
//! With `--debug-kernel` or `--voluntary`: the kernel's tests and the demos on that kernel.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::image::repository;
use crate::{docs, editor, exports, fuzz, image, packages, progress, soak, streams, suites, tidy};

/// Seconds for each fuzz target: enough to see that it runs and finds nothing at once.
const FUZZ_SECONDS: u64 = 5;

/// The tests that boot a kernel for its own sake, and those that run the demos.
const OF_THE_KERNEL: [&str; 3] = ["booted_kernel", "booted_posix", "booted_demos"];

/// Names QEMUs beside the installed one, and what the tests that are about these have in their names.
const OTHER_QEMUS: &str = "UKLSCOPE_QEMU_ALSO";
const BY_OTHER_QEMUS: &str = "by_other_qemus";

/// By which those tests know what follows the names of the images they boot.
const SUFFIX: &str = "UKLSCOPE_TEST_IMAGES";

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
    packages::ensure_for_tests(&args.options)?;
    if args.options.variant() != image::Variant::Plain {
        return of_the_kernel(args);
    }
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
    exports::run_where_readers_are()?;
    image::build_every(&args.options)?;
    for name in ["syscalls", "known"] {
        image::with_probes(name, &args.options)?;
    }
    image::stock()?;
    editor::run_where_the_client_is(&args.options)?;
    suites::quick(&args.options)?;
    soak::quick(&args.options)?;
    fuzz::run(&fuzz::Args {
        target: None,
        seconds: FUZZ_SECONDS,
    })?;
    // The tests come last: their closing line is the last that is printed.
    let mut options = vec!["--include-ignored", "--test-threads=1"];
    let others = std::env::var_os(OTHER_QEMUS).unwrap_or_default();
    if others.is_empty() {
        progress::say(&format!(
            "one QEMU is tested; the tests by others are left out: {OTHER_QEMUS}=/path/to/qemu-system-x86_64 names one"
        ));
        options.extend(["--skip", BY_OTHER_QEMUS]);
    }
    options.extend(args.filter.as_deref());
    streams::run(&options)
}

/// With another kernel only what is about the kernel is tested: the rest does not know which one it runs on.
fn of_the_kernel(args: &Args) -> Result<()> {
    cargo(
        "the program and its plugin",
        &["build", "--release", "--workspace"],
    )?;
    image::build_every(&args.options)?;
    let mut arguments = vec!["test", "--release", "--workspace", "--no-fail-fast"];
    for name in OF_THE_KERNEL {
        arguments.extend(["--test", name]);
    }
    arguments.extend(["--", "--include-ignored", "--test-threads=1"]);
    arguments.extend(args.filter.as_deref());
    let suffix = args.options.variant().suffix();
    cargo_with("the kernel's tests", &arguments, &[(SUFFIX, suffix)])
}

fn available(subcommand: &str) -> bool {
    Command::new(cargo_path())
        .args([subcommand, "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

pub(crate) fn cargo_path() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs cargo in the checkout, its output to ours.
pub(crate) fn cargo(what: &str, arguments: &[&str]) -> Result<()> {
    cargo_with(what, arguments, &[])
}

/// As [`cargo`], with more in its environment.
pub(crate) fn cargo_with(
    what: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<()> {
    progress::say(&format!("{what}: cargo {}", arguments.join(" ")));
    let status = Command::new(cargo_path())
        .args(arguments)
        .envs(environment.iter().copied())
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
