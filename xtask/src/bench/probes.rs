//! `cargo xtask bench probes`: what the probes in a guest's kernel cost, off, on, and in traced functions.

use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result};
use debugger::crossing::Mode;
use debugger::qemu::image::Image;
use debugger::session::store;
use debugger::session::trace::{TraceOptions, trace};
use debugger::trace::report::{Node, Report as Traced};
use debugger::trace::times::{Clock, Unit};
use serde::Serialize;

use super::figures::{Figure, Spread, median};
use super::print::{self, Host};
use super::run::{Measured, Setup, Work};
use super::turns;
use crate::image::Variant;

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
    /// Rounds in which all of them run, in turns of a fifth of a second; the medians are reported
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
    /// As the plugin counts them, of an undisturbed call each.
    instructions: Vec<Instructions>,
    #[serde(flatten)]
    host: Host,
}

#[derive(Serialize)]
struct Instructions {
    call: String,
    /// In the kernel without probes, in that with probes that are nops, and while they record.
    without: u64,
    off: u64,
    on: u64,
    /// That the probes make of the call.
    events: u64,
    /// What one costs beside a nop.
    each: f64,
}

#[derive(Serialize)]
struct Row {
    setup: &'static str,
    /// Of the workload, from the application's first line to its last, without the turns of others.
    seconds: f64,
    slowdown: Spread,
    /// Of QEMU's own CPU time.
    slowdown_cpu: Spread,
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
            row.setup,
            row.seconds,
            row.slowdown.median,
            row.slowdown_cpu.median,
            row.records,
            row.lost
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
    let instructions = |of: &Instructions| {
        format!(
            "{:<12} {} instructions, {} with the probes off, {} on: {:.1} for each of {} events",
            of.call, of.without, of.off, of.on, of.each, of.events
        )
    };
    let lines = report.setups.iter().map(row).chain([cost]);
    let lines = lines.chain(report.instructions.iter().map(instructions));
    lines.chain([report.host.line()]).collect()
}

fn measure(args: &Args, image: &Image) -> Result<Report> {
    let work = |name, setup| {
        let work = Work {
            image: image.manifest.name.clone(),
            mode: args.mode,
            calls: args.calls,
            setup,
            plugin: None,
        };
        (name, work)
    };
    let setups = [
        work("probes off", Setup::Plain),
        work("probes on", Setup::Probes(String::new())),
        work(
            "probes and functions on",
            Setup::Probes(args.functions.clone()),
        ),
    ];
    let repeats = args.repeats.max(1);
    let runs = turns::rounds(&setups, repeats)?;
    let of = |runs: &[Measured], of: fn(&Measured) -> f64| runs.iter().map(of).collect::<Vec<_>>();
    let row = |((setup, _), own): (&(&'static str, Work), &Vec<Measured>)| {
        let slowdown = |what| Figure::of(&of(own, what), &of(&runs[0], what)).ratio;
        Row {
            setup,
            seconds: median(of(own, |run| run.seconds)),
            slowdown: slowdown(|run| run.seconds),
            slowdown_cpu: slowdown(|run| run.cpu_seconds),
            records: own.first().map_or(0, |run| run.events),
            lost: own.iter().map(|run| run.lost).sum(),
        }
    };
    let (alone, with_functions) = (&runs[1], &runs[2]);
    let unit = alone.iter().find_map(|run| Some(run.clock.as_ref()?.unit));
    let cost = |runs: &[Measured], of: fn(&Clock) -> f64| {
        let clocks = runs.iter().filter_map(|run| run.clock.as_ref());
        median(clocks.map(of).collect())
    };
    Ok(Report {
        schema: 3,
        image: image.manifest.name.clone(),
        mode: args.mode,
        calls: args.calls,
        repeats,
        setups: setups.iter().zip(&runs).map(row).collect(),
        cost: Cost {
            unit: unit.context("no run told what its probes cost")?,
            pair: cost(alone, |clock| clock.cost.probe),
            inside: cost(with_functions, |clock| clock.cost.inside),
            between: cost(with_functions, |clock| clock.cost.between),
        },
        instructions: instructions(args, image)?,
        host: Host::now(),
    })
}

/// Few enough for all records to have room, as nobody reads them.
const COUNTED_CALLS: u64 = 500;
/// Nothing in them depends on the time.
const COUNTED: [&str; 3] = ["getppid", "read", "write"];

fn instructions(args: &Args, image: &Image) -> Result<Vec<Instructions>> {
    let plain = store::image(&args.image).context("opening the image without probes")?;
    let mut recording = image.clone();
    recording.manifest.append.push_str(" ukl.probes=start");
    let count = |image: &Image| -> Result<Traced> {
        let mut options = TraceOptions::new(args.mode);
        options.calls = Some(COUNTED_CALLS);
        Ok(trace(image, &options, &AtomicBool::new(false), &mut |_| ())?.report)
    };
    let [without, off, on] = [count(&plain)?, count(image)?, count(&recording)?];
    let dominant = |report: &Traced, call: &str| {
        let mut classes = report.classes.iter();
        let found = classes.find(|class| class.call == call && class.exact && !class.interrupted);
        let found = found.with_context(|| format!("no {call} was recorded"))?;
        anyhow::Ok((found.instructions, events(&found.path)))
    };
    let of = |call: &str| {
        let [(without, _), (off, _), (on, events)] = [
            dominant(&without, call)?,
            dominant(&off, call)?,
            dominant(&on, call)?,
        ];
        Ok(Instructions {
            call: call.to_owned(),
            without,
            off,
            on,
            events,
            each: on.saturating_sub(off) as f64 / events as f64,
        })
    };
    COUNTED.into_iter().map(of).collect()
}

/// What is written by the functions of probes_ring.c that are in the path.
fn events(path: &Node) -> u64 {
    let own = match path.symbol.as_str() {
        "ukl_probe_record" => path.calls,
        "record_two" => 2 * path.calls,
        _ => 0,
    };
    own + path.children.iter().map(events).sum::<u64>()
}
