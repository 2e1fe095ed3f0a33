//! `cargo xtask bench probes`: what the probes in a guest's kernel cost, off, on, and in traced functions.

use anyhow::{Context as _, Result};
use debugger::crossing::Mode;
use debugger::qemu::image::Image;
use debugger::session::store;
use debugger::trace::times::{Clock, Unit};
use serde::Serialize;

use super::figures::median;
use super::print::{self, Host};
use super::run::{self, Measured, Setup};
use crate::image::Variant;
use crate::progress::Step;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// The demo; its image NAME+probes is booted
    #[arg(long, default_value = "syscalls")]
    image: String,
    #[arg(long, default_value = "ukl")]
    mode: Mode,
    /// Operations of each kind
    #[arg(long, default_value_t = 20_000)]
    calls: u64,
    /// Runs of each setup, in turn; the medians are reported
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Functions of the kernel that are traced too, in the last setup
    #[arg(long, default_value = "ksys_read,ksys_write")]
    functions: String,
}

#[derive(Serialize)]
struct Report {
    schema: u32,
    image: String,
    mode: Mode,
    calls: u64,
    repeats: usize,
    setups: Vec<Row>,
    /// Measured by the guest when its probes were started, between two records with nothing between them: the
    /// medians of all runs. Under TCG the clock is the host's.
    cost: Cost,
    #[serde(flatten)]
    host: Host,
}

#[derive(Serialize)]
struct Row {
    setup: &'static str,
    /// Of the workload, from the application's first line to its last.
    seconds: f64,
    slowdown: f64,
    /// Of QEMU's own CPU time, boot included.
    slowdown_cpu: f64,
    records: u64,
    lost: u64,
}

#[derive(Serialize)]
struct Cost {
    unit: Unit,
    /// Of a pair of static probes.
    pair: f64,
    /// Inside a traced function: its entry and its return.
    inside: f64,
    /// Of such a return and the next entry.
    between: f64,
}

/// # Errors
/// When the image is not there, cannot be booted or has no probes.
pub(super) fn run(args: &Args) -> Result<()> {
    let with_probes = Variant::Probes.image(&args.image);
    let image = store::image(&with_probes).with_context(|| {
        format!(
            "opening the image to measure with: 'cargo xtask image {} --probes' builds it",
            args.image
        )
    })?;
    print::report(&measure(args, &image)?, args.json, lines)
}

fn lines(report: &Report) -> Vec<String> {
    let row = |row: &Row| {
        format!(
            "{:<28} {:>8.3} s  {:>6.2}×  of CPU {:>6.2}×  {:>10} records, {} lost",
            row.setup, row.seconds, row.slowdown, row.slowdown_cpu, row.records, row.lost
        )
    };
    let Cost {
        unit,
        pair,
        inside,
        between,
    } = &report.cost;
    let unit = match unit {
        Unit::Ns => "ns",
        Unit::Ticks => "ticks",
    };
    let cost = format!(
        "a pair of static probes {pair:.0} {unit}, inside a traced function {inside:.0} {unit}, between two {between:.0} {unit}"
    );
    let lines = report.setups.iter().map(row);
    lines.chain([cost, report.host.line()]).collect()
}

fn measure(args: &Args, image: &Image) -> Result<Report> {
    let setups = [
        ("probes off", Setup::Plain),
        ("probes on", Setup::Probes("")),
        ("probes and functions on", Setup::Probes(&args.functions)),
    ];
    let repeats = args.repeats.max(1);
    let mut runs: [Vec<Measured>; 3] = Default::default();
    for round in 1..=repeats {
        for ((name, setup), runs) in setups.iter().zip(&mut runs) {
            let step = Step::start(format!("round {round} of {repeats}: {name}"));
            runs.push(run::measure(image, args.mode, args.calls, *setup, None)?);
            step.done();
        }
    }
    let of = |runs: &[Measured], of: fn(&Measured) -> f64| median(runs.iter().map(of).collect());
    let row = |(at, (setup, _)): (usize, &(&'static str, Setup<'_>))| {
        let ratio = |what: fn(&Measured) -> f64| of(&runs[at], what) / of(&runs[0], what);
        Row {
            setup,
            seconds: of(&runs[at], |run| run.seconds),
            slowdown: ratio(|run| run.seconds),
            slowdown_cpu: ratio(|run| run.cpu_seconds),
            records: runs[at].first().map_or(0, |run| run.events),
            lost: runs[at].iter().map(|run| run.lost).sum(),
        }
    };
    let [_, alone, with_functions] = &runs;
    let unit = alone.iter().find_map(|run| Some(run.clock.as_ref()?.unit));
    let cost = |runs: &[Measured], of: fn(&Clock) -> f64| {
        let clocks = runs.iter().filter_map(|run| run.clock.as_ref());
        median(clocks.map(of).collect())
    };
    Ok(Report {
        schema: 1,
        image: image.manifest.name.clone(),
        mode: args.mode,
        calls: args.calls,
        repeats,
        setups: setups.iter().enumerate().map(row).collect(),
        cost: Cost {
            unit: unit.context("no run told what its probes cost")?,
            pair: cost(alone, |clock| clock.cost.probe),
            inside: cost(with_functions, |clock| clock.cost.inside),
            between: cost(with_functions, |clock| clock.cost.between),
        },
        host: Host::now(),
    })
}
