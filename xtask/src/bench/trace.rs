//! `cargo xtask bench trace`: what tracing costs.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use debugger::crossing::Mode;
use debugger::qemu::image::Image;
use debugger::session::store;
use debugger::session::trace::Scope;
use serde::Serialize;

use super::figures::median;
use super::gdb;
use super::print::{self, Host};
use super::rivals::{self, Rival};
use super::run::{self, Measured, Setup};
use crate::progress;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[arg(long, default_value = "syscalls")]
    image: String,
    #[arg(long, default_value = "ukl")]
    mode: Mode,
    /// Operations of each kind
    #[arg(long, default_value_t = 40_000)]
    calls: u64,
    /// Runs of each setup, in turn; the medians are reported
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Leaves QEMU's own plugins out, which are fetched as source and compiled once
    #[arg(long)]
    no_rivals: bool,
    /// The plugin; else beside this program
    #[arg(long)]
    plugin: Option<PathBuf>,
}

/// Seconds are wall time of the workload: from the application's first line to its last.
#[derive(Serialize)]
struct Report {
    schema: u32,
    image: String,
    mode: Mode,
    calls: u64,
    repeats: usize,
    plain_s: f64,
    traced_s: f64,
    /// `traced_s / plain_s`
    slowdown: f64,
    /// The lowest of both: what the machine's other work adds is mostly left out.
    slowdown_of_fastest: f64,
    /// Of QEMU's own CPU time, boot included: hardly moved by other work on the machine. The time that
    /// the guest waits for the reader is not in it.
    slowdown_cpu: f64,
    events: u64,
    events_per_s: f64,
    lost: u64,
    guest_waits: u64,
    guest_waited_s: f64,
    /// Of a record in memory.
    bytes_per_event: usize,
    /// The plugin counts instructions, and records nothing.
    slowdown_clock_only: f64,
    /// It records crossings alone.
    slowdown_boundary_only: f64,
    /// QEMU's own plugins, in the same rounds.
    rivals: Vec<Beside>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    rivals_missing: Option<String>,
    gdb_crossings_per_s: Option<f64>,
    /// Why there is no number of gdb's.
    #[serde(skip_serializing_if = "Option::is_none")]
    gdb_missing: Option<String>,
    #[serde(flatten)]
    host: Host,
}

/// What a rival costs, and what it does for it.
#[derive(Serialize)]
struct Beside {
    name: &'static str,
    does: &'static str,
    seconds: f64,
    slowdown: f64,
    slowdown_cpu: f64,
}

/// # Errors
/// When the image cannot be booted or traced.
pub(super) fn run(args: &Args) -> Result<()> {
    let image = store::image(&args.image).context("opening the image to measure with")?;
    print::report(&measure(args, &image)?, args.json, lines)
}

fn lines(report: &Report) -> Vec<String> {
    let percent = |factor: f64| format!("{factor:.2}×");
    let mut lines = vec![
        format!("without a plugin      {:>8.3} s", report.plain_s),
        format!(
            "every function traced {:>8.3} s   {}",
            report.traced_s,
            percent(report.slowdown)
        ),
        format!(
            "of QEMU's CPU time                 {}",
            percent(report.slowdown_cpu)
        ),
    ];
    lines.push(format!(
        "clock alone                        {}",
        percent(report.slowdown_clock_only)
    ));
    lines.push(format!(
        "boundary alone                     {}",
        percent(report.slowdown_boundary_only)
    ));
    for rival in &report.rivals {
        lines.push(format!(
            "QEMU's {:<14} {:>8.3} s   {}  {}",
            rival.name,
            rival.seconds,
            percent(rival.slowdown),
            rival.does
        ));
    }
    if let Some(why) = &report.rivals_missing {
        lines.push(format!("QEMU's own plugins: not measured, {why}"));
    }
    lines.push(format!(
        "{:.1} million events a second of {} bytes, {} lost, the guest waited {:.3} s",
        report.events_per_s / 1e6,
        report.bytes_per_event,
        report.lost,
        report.guest_waited_s
    ));
    lines.push(match (&report.gdb_crossings_per_s, &report.gdb_missing) {
        (Some(rate), _) => format!("gdb: {rate:.0} crossings a second"),
        (None, why) => format!("gdb: not measured, {}", why.as_deref().unwrap_or("?")),
    });
    lines.push(report.host.line());
    lines
}

fn measure(args: &Args, image: &Image) -> Result<Report> {
    let rivals = match args.no_rivals {
        true => Err(anyhow::anyhow!("--no-rivals")),
        false => rivals::qemus_own(),
    };
    let known = rivals.as_ref().map_or(&[][..], Vec::as_slice);
    let scopes = [Scope::Functions, Scope::Clock, Scope::Boundary];
    let mut setups = vec![Setup::Plain];
    setups.extend(scopes.map(Setup::Traced));
    setups.extend(known.iter().map(Setup::Rival));
    let mut runs: Vec<Vec<Measured>> = vec![Vec::new(); setups.len()];
    for round in 0..args.repeats.max(1) {
        let step = progress::Step::start(format!("round {} of {}", round + 1, args.repeats.max(1)));
        for (setup, runs) in setups.iter().zip(&mut runs) {
            runs.push(run::measure(
                image,
                args.mode,
                args.calls,
                *setup,
                args.plugin.as_deref(),
            )?);
        }
        step.done();
    }
    let gdb = gdb::crossings_per_s(image, args.mode);
    let seconds = |of: usize| median(runs[of].iter().map(|run| run.seconds).collect());
    let fastest = |of: usize| {
        runs[of]
            .iter()
            .map(|run| run.seconds)
            .fold(f64::INFINITY, f64::min)
    };
    let cpu = |of: usize| median(runs[of].iter().map(|run| run.cpu_seconds).collect());
    let slowdown = |of: usize| seconds(of) / seconds(0);
    let beside = |(at, rival): (usize, &Rival)| Beside {
        name: rival.name,
        does: rival.does,
        seconds: seconds(at),
        slowdown: slowdown(at),
        slowdown_cpu: cpu(at) / cpu(0),
    };
    let traced = &runs[1];
    let sum = |count: fn(&Measured) -> u64| traced.iter().map(count).sum::<u64>();
    Ok(Report {
        schema: 1,
        image: image.manifest.name.clone(),
        mode: args.mode,
        calls: args.calls,
        repeats: args.repeats.max(1),
        plain_s: seconds(0),
        traced_s: seconds(1),
        slowdown: slowdown(1),
        slowdown_of_fastest: fastest(1) / fastest(0),
        slowdown_cpu: cpu(1) / cpu(0),
        events: traced.first().map_or(0, |run| run.events),
        events_per_s: median(
            traced
                .iter()
                .map(|run| run.events as f64 / run.seconds)
                .collect(),
        ),
        lost: sum(|run| run.lost),
        guest_waits: sum(|run| run.waits),
        guest_waited_s: sum(|run| run.waited_ns) as f64 / 1e9,
        bytes_per_event: size_of::<wire::Record>(),
        slowdown_clock_only: slowdown(2),
        slowdown_boundary_only: slowdown(3),
        rivals: (1 + scopes.len()..).zip(known).map(beside).collect(),
        rivals_missing: rivals.as_ref().err().map(|error| format!("{error:#}")),
        gdb_missing: gdb.as_ref().err().map(|error| format!("{error:#}")),
        gdb_crossings_per_s: gdb.ok(),
        host: Host::now(),
    })
}
