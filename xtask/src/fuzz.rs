//! `cargo xtask fuzz`: the decoders under coverage-guided input, with the stable compiler.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::image::repository;
use crate::progress;

/// What a coverage-guided run needs of the compiler, without a sanitizer: that would need nightly.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
];

/// The binaries of `debugger/fuzz`.
const TARGETS: &[&str] = &[
    "packet",
    "description",
    "qmp",
    "records",
    "recording",
    "vmlinux",
    "bundle",
    "command",
    "dap",
    "query",
    "descriptors",
    "expression",
    "manifest",
    "sockaddr",
    "wire",
    "profile",
    "folded",
    "trace_events",
];

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// One target; all of them when not given
    pub(crate) target: Option<String>,
    /// For each target
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
}

/// # Errors
/// When a target fails on an input, which is then kept, or executes nothing.
pub(crate) fn run(args: &Args) -> Result<()> {
    let only = args.target.as_deref();
    if let Some(name) = only
        && !TARGETS.contains(&name)
    {
        bail!("there is no fuzz target '{name}': {}", TARGETS.join(", "));
    }
    for target in TARGETS
        .iter()
        .filter(|target| only.is_none_or(|name| name == **target))
    {
        progress::say(&format!("fuzz: {target} for {} s", args.seconds));
        run_one(target, args.seconds)?;
    }
    Ok(())
}

/// The compiler's own target triple.
fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("starting rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc -vV names no host")?.to_owned())
}

fn run_one(target: &str, seconds: u64) -> Result<()> {
    let folder = repository().join("target/fuzz");
    let corpus = folder.join("corpus").join(target);
    let artifacts = folder.join("artifacts").join(target);
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&artifacts)?;
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "run",
            "--release",
            "--quiet",
            "--manifest-path",
            "debugger/fuzz/Cargo.toml",
        ])
        // With a target named, build scripts are spared the flags.
        .args([
            "--target-dir",
            "target/fuzz/build",
            "--target",
            &host()?,
            "--bin",
            target,
            "--",
        ])
        .arg(&corpus)
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args([
            &format!("-max_total_time={seconds}"),
            "-timeout=10",
            "-rss_limit_mb=4096",
        ])
        .args(["-print_final_stats=1", "-verbosity=0"])
        .env("RUSTFLAGS", COVERAGE.join(" "))
        .current_dir(repository())
        .output()
        .context("starting cargo")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let last: Vec<_> = text.lines().rev().take(20).collect();
        let last: Vec<_> = last.into_iter().rev().collect();
        bail!(
            "the fuzz target {target} failed; inputs that fail lie in {}:\n{}",
            artifacts.display(),
            last.join("\n")
        );
    }
    let executed = text
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    match executed
        .map(str::trim)
        .and_then(|number| number.parse::<u64>().ok())
    {
        Some(0) | None => bail!("the fuzz target {target} executed nothing:\n{text}"),
        Some(number) => progress::say(&format!("fuzz: {target}: {number} inputs, no failure")),
    }
    Ok(())
}
