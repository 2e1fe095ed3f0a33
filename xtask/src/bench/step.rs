//! `cargo xtask bench step`: how long a step of one instruction takes until the screen shows it, in
//! a real pseudo-terminal, beside bare steps of this debugger and of gdb on the same image.

mod bare;
mod screen;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use debugger::crossing::Mode;
use debugger::session::store;
use serde::Serialize;

use super::print::{self, Host};
use super::terminal;
use crate::progress::Step;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[arg(long, default_value = "syscalls")]
    image: String,
    #[arg(long, default_value = "ukl")]
    mode: Mode,
    /// Steps that are timed, for each size of the screen and for each debugger
    #[arg(long, default_value_t = 1_000)]
    steps: usize,
    /// Steps over which the memory that the screen's process holds is watched; 0 leaves it out
    #[arg(long, default_value_t = 20_000)]
    growth: usize,
    /// The program to measure; else it is built for release
    #[arg(long)]
    program: Option<PathBuf>,
}

/// The aim, from the key to the last byte painted.
const AIM_MS: f64 = 16.0;

#[derive(Serialize)]
struct Report {
    schema: u32,
    image: String,
    mode: Mode,
    steps: usize,
    aim_ms: f64,
    screens: Vec<screen::Timed>,
    /// One command, one answer; nothing is asked beside.
    stepi_per_s: f64,
    /// Of one command `stepi N`.
    stepi_n_per_s: f64,
    /// What the stub itself does, asked by nothing but the wire protocol; none in mode linux, where
    /// vmlinux alone does not tell where main is.
    #[serde(skip_serializing_if = "Option::is_none")]
    stub_steps_per_s: Option<f64>,
    gdb_stepi_per_s: Option<f64>,
    /// `stepi_per_s / gdb_stepi_per_s`
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_to_gdb: Option<f64>,
    /// Why there is no number of gdb's.
    #[serde(skip_serializing_if = "Option::is_none")]
    gdb_missing: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    growth: Option<screen::Growth>,
    #[serde(flatten)]
    host: Host,
}

/// # Errors
/// When the image cannot be booted, or the screen does not come.
pub(super) fn run(args: &Args) -> Result<()> {
    let image = store::image(&args.image).context("opening the image to measure with")?;
    let program = terminal::program(args.program.as_deref())?;
    let opened = screen::Opened {
        program: &program,
        image: &args.image,
        mode: args.mode,
    };
    let mut screens = Vec::new();
    for (width, height) in [(80, 24), (200, 50)] {
        let mut step = Step::start(format!("{} steps at {width}×{height}", args.steps));
        screens.push(opened.timed(width, height, args.steps, &mut step)?);
        step.done();
    }
    let step = Step::start("bare steps".to_owned());
    let ours = bare::ours(&image, args.mode, args.steps)?;
    let stub = (args.mode != Mode::Linux)
        .then(|| bare::stub(&image, args.mode, args.steps))
        .transpose()?;
    let gdb = bare::gdb(&image, args.mode, args.steps);
    step.done();
    let growth = if args.growth > 0 {
        let mut step = Step::start(format!("{} steps, for growth", args.growth));
        let growth = opened.growth(args.growth, &mut step)?;
        step.done();
        Some(growth)
    } else {
        None
    };
    let rate = gdb.as_ref().ok().copied();
    let report = Report {
        schema: 1,
        image: args.image.clone(),
        mode: args.mode,
        steps: args.steps,
        aim_ms: AIM_MS,
        screens,
        stepi_per_s: ours.alone,
        stepi_n_per_s: ours.together,
        stub_steps_per_s: stub,
        gdb_stepi_per_s: rate,
        ratio_to_gdb: rate.map(|rate| ours.alone / rate),
        gdb_missing: gdb.err().map(|error| format!("{error:#}")),
        growth,
        host: Host::now(),
    };
    print::report(&report, args.json, lines)
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![
        "from the key to the last byte painted, the step included, ms".to_owned(),
        format!(
            "{:>8} {:>7} {:>7} {:>7} {:>7} {:>7}   CPU ms and drawings a step",
            "", "median", "90 %", "99 %", "worst", "bytes"
        ),
    ];
    for screen in &report.screens {
        lines.push(format!(
            "{:>8} {:>7.2} {:>7.2} {:>7.2} {:>7.2} {:>7.0}   {:.2} {:.2}",
            format!("{}×{}", screen.width, screen.height),
            screen.median_ms,
            screen.p90_ms,
            screen.p99_ms,
            screen.worst_ms,
            screen.median_bytes,
            screen.cpu_ms_per_step,
            screen.drawings_per_step,
        ));
    }
    lines.push(format!("bare stepi/s      {:>8.0}", report.stepi_per_s));
    lines.push(format!("by one stepi N    {:>8.0}", report.stepi_n_per_s));
    if let Some(rate) = report.stub_steps_per_s {
        lines.push(format!("the stub's own    {rate:>8.0}"));
    }
    lines.push(match (report.gdb_stepi_per_s, report.ratio_to_gdb) {
        (Some(rate), Some(ratio)) => format!("gdb's stepi/s     {rate:>8.0}   {ratio:.2}×"),
        _ => format!(
            "gdb's stepi/s            -   {}",
            report.gdb_missing.as_deref().unwrap_or_default()
        ),
    });
    if let Some(growth) = &report.growth {
        let resident: Vec<String> = growth
            .resident
            .iter()
            .map(|one| format!("{:.1} MiB after {}", one.mib, one.after_steps))
            .collect();
        lines.push(format!(
            "resident {}: {:+.1} MiB ({:.0} steps/s on the screen)",
            resident.join(", "),
            growth.grown_mib,
            growth.steps_per_s
        ));
    }
    lines.push(report.host.line());
    lines
}
