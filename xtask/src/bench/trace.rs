//! `cargo xtask bench trace`: what tracing costs.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use debugger::crossing::Mode;
use debugger::qemu::image::Image;
use debugger::session::store;
use serde::Serialize;

use super::figures::{Figure, Spread, median};
use super::fold::{self, Folded};
use super::gdb;
use super::guest_tracer::{GuestTracer, How};
use super::print::{self, Host};
use super::rivals::{self, Rival};
use super::run::{Measured, Setup, Work};
use super::turns;

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
    #[arg(long, default_value_t = 100_000)]
    calls: u64,
    /// Rounds in which all of them run, in turns of a fifth of a second; the medians are reported
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Leaves out QEMU's own plugins, which are fetched as source and compiled once, gdb and the guest's tracer
    #[arg(long)]
    no_rivals: bool,
    /// The plugin; else beside this program
    #[arg(long)]
    plugin: Option<PathBuf>,
    /// Another build of the plugin, in the same rounds; again for more. The same one: what else makes a difference
    #[arg(long = "against")]
    builds: Vec<PathBuf>,
}

/// Seconds are wall time of the workload, from the application's first line to its last, without the turns of others.
#[derive(Serialize)]
struct Report {
    schema: u32,
    image: String,
    mode: Mode,
    calls: u64,
    repeats: usize,
    /// In the same rounds, in turns.
    measured: Vec<Row>,
    /// What could not be measured.
    missing: Vec<Missing>,
    /// From memory, by one core that does nothing else.
    folded: Folded,
    #[serde(flatten)]
    host: Host,
}

/// What a tracer costs, and what it does for it.
#[derive(Serialize)]
struct Row {
    name: String,
    does: &'static str,
    /// The one of `measured` that it is compared with.
    beside: &'static str,
    /// Operations of each kind.
    calls: u64,
    /// gdb is not run to the end: it counts some of the crossings.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// By the time of one operation, of the same round each.
    slowdown: Spread,
    /// Of QEMU's own CPU time: hardly moved by other work on the machine. The time that the guest waits for
    /// the reader is not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    slowdown_cpu: Option<Spread>,
    /// Where it tells of each single event.
    #[serde(flatten)]
    events: Option<Events>,
}

#[derive(Serialize)]
struct Events {
    events: u64,
    events_per_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_event: Option<f64>,
    /// Of all rounds.
    lost: u64,
    guest_waits: u64,
    guest_waited_s: f64,
}

#[derive(Serialize)]
struct Missing {
    name: &'static str,
    why: String,
}

const PLAIN: &str = "no plugin";
const PLAIN_TRACERS: &str = "kernel with tracers";

/// # Errors
/// When the image cannot be booted or traced.
pub(super) fn run(args: &Args) -> Result<()> {
    let image = store::image(&args.image).context("opening the image to measure with")?;
    print::report(&measure(args, &image)?, args.json, lines)
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<26} {:>8} {:>9} {:>15} {:>9} {:>10} {:>8} {:>11}",
        "", "seconds", "slowdown", "of rounds", "of CPU", "M events/s", "bytes", "lost"
    )];
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    for row in &report.measured {
        let events = row.events.as_ref();
        lines.push(format!(
            "{:<26} {:>8} {:>9} {:>15} {:>9} {:>10} {:>8} {:>11}  {}, beside {}",
            row.name,
            or_dash(row.seconds.map(|seconds| format!("{seconds:.3}"))),
            format!("{:.3}×", row.slowdown.median),
            format!("{:.3} to {:.3}", row.slowdown.min, row.slowdown.max),
            or_dash(
                row.slowdown_cpu
                    .map(|slowdown| format!("{:.3}×", slowdown.median))
            ),
            or_dash(events.map(|events| format!("{:.4}", events.events_per_s / 1e6))),
            or_dash(
                events
                    .and_then(|events| events.bytes_per_event)
                    .map(|bytes| format!("{bytes:.1}"))
            ),
            or_dash(events.map(|events| events.lost.to_string())),
            row.does,
            row.beside,
        ));
        let waited = events.map_or(0.0, |events| events.guest_waited_s);
        if waited > 0.0 {
            lines.push(format!(
                "{:<26} the guest waited {waited:.3} s in all rounds",
                ""
            ));
        }
    }
    for missing in &report.missing {
        lines.push(format!("{}: not measured, {}", missing.name, missing.why));
    }
    lines.push(report.folded.line());
    lines.push(report.host.line());
    lines
}

/// What is run in each round.
struct Column {
    name: String,
    does: &'static str,
    beside: &'static str,
    setup: Setup,
    /// `None`: the one beside this program.
    plugin: Option<PathBuf>,
    /// Does this part of the operations alone, where all would take many minutes.
    part: u64,
}

fn own(name: &str, does: &'static str, setup: Setup) -> Column {
    Column {
        name: name.to_owned(),
        does,
        beside: PLAIN,
        setup,
        plugin: None,
        part: 1,
    }
}

fn columns(args: &Args, rivals: &[Rival], has_tracers: bool) -> Vec<Column> {
    let mut columns = vec![
        own(PLAIN, "nothing", Setup::Plain),
        own(
            "no plugin, once more",
            "nothing: how far two of the same differ",
            Setup::Plain,
        ),
    ];
    let mut traced = |build: Option<&PathBuf>, name, does, setup| {
        let own = own(name, does, setup);
        columns.push(Column {
            name: match build {
                Some(path) => format!("{name} ({})", path.display()),
                None => own.name,
            },
            plugin: build.or(args.plugin.as_ref()).cloned(),
            ..own
        });
    };
    for build in std::iter::once(None).chain(args.builds.iter().map(Some)) {
        traced(
            build,
            "uklscope",
            "every function of kernel and application, folded as it runs",
            Setup::Functions,
        );
        traced(
            build,
            "uklscope, boundary",
            "crossings alone, their instructions",
            Setup::Boundary,
        );
        traced(
            build,
            "uklscope, boundary, time",
            "crossings alone, their time on this host",
            Setup::BoundaryTimed,
        );
        traced(
            build,
            "uklscope, clock",
            "all instructions are counted, nothing is recorded",
            Setup::Clock,
        );
    }
    let of_qemu = |rival: &Rival| {
        let setup = Setup::Rival(rival.name.to_owned());
        own(rival.name, rival.does, setup)
    };
    columns.extend(rivals.iter().map(of_qemu));
    if has_tracers {
        let of_guest = |name, does, how| Column {
            beside: PLAIN_TRACERS,
            part: 20,
            ..own(name, does, Setup::GuestTracer(how))
        };
        columns.extend([
            own(
                PLAIN_TRACERS,
                "the kernel's own tracers are there, and off",
                Setup::GuestTracer(How::Off),
            ),
            of_guest(
                "function_graph",
                "every function of the kernel into the guest's ring, the oldest overwritten",
                How::Overwriting,
            ),
            of_guest(
                "function_graph, read",
                "the same, and a program in the guest takes whole pages of it",
                How::Read,
            ),
        ]);
    }
    columns
}

fn measure(args: &Args, image: &Image) -> Result<Report> {
    let mut missing = Vec::new();
    let wanted = || match args.no_rivals {
        true => Err(anyhow::anyhow!("--no-rivals")),
        false => Ok(()),
    };
    let rivals = or_missing(
        "QEMU's own plugins",
        wanted().and_then(|()| rivals::qemus_own()),
        &mut missing,
    );
    let tracer = or_missing(
        "function_graph",
        wanted().and_then(|()| GuestTracer::of(&image.manifest.name)),
        &mut missing,
    );
    let columns = columns(
        args,
        rivals.as_deref().unwrap_or_default(),
        tracer.is_some(),
    );
    let repeats = args.repeats.max(1);
    let works: Vec<(&str, Work)> = columns
        .iter()
        .map(|column| (column.name.as_str(), column.work(args, image)))
        .collect();
    let runs = turns::rounds(&works, repeats)?;
    let ran: Vec<Ran<'_>> = columns
        .iter()
        .zip(&runs)
        .map(|(column, runs)| Ran {
            column,
            calls: column.calls(args),
            runs,
        })
        .collect();
    let mut measured: Vec<Row> = ran.iter().map(|own| Row::of(own, &ran)).collect();
    let rate = wanted().and_then(|()| gdb::crossings_per_s(image, args.mode));
    // Every run of the same calls has as many, where they are recorded.
    let crossings = runs.iter().flatten().map(|run| run.crossings).max();
    let crossings = crossings.unwrap_or(0) as f64;
    measured.extend(
        or_missing("gdb", rate, &mut missing)
            .map(|rate| Row::of_gdb(rate, args.calls, crossings, measured[0].seconds)),
    );
    Ok(Report {
        schema: 3,
        image: image.manifest.name.clone(),
        mode: args.mode,
        calls: args.calls,
        repeats,
        measured,
        missing,
        folded: fold::measure(image, args.mode, args.calls, repeats)?,
        host: Host::now(),
    })
}

impl Column {
    fn calls(&self, args: &Args) -> u64 {
        (args.calls / self.part).max(1)
    }

    fn work(&self, args: &Args, image: &Image) -> Work {
        Work {
            image: image.manifest.name.clone(),
            mode: args.mode,
            calls: self.calls(args),
            setup: self.setup.clone(),
            plugin: self.plugin.clone(),
        }
    }
}

/// What a column's rounds gave.
struct Ran<'a> {
    column: &'a Column,
    calls: u64,
    runs: &'a [Measured],
}

impl Ran<'_> {
    /// Of one operation, in each round.
    fn per_call(&self, seconds: fn(&Measured) -> f64) -> Vec<f64> {
        let calls = self.calls.max(1) as f64;
        self.runs.iter().map(|run| seconds(run) / calls).collect()
    }
}

fn or_missing<T>(name: &'static str, found: Result<T>, missing: &mut Vec<Missing>) -> Option<T> {
    found
        .map_err(|error| {
            let why = format!("{error:#}");
            missing.push(Missing { name, why });
        })
        .ok()
}

impl Row {
    fn of(own: &Ran<'_>, all: &[Ran<'_>]) -> Self {
        let column = own.column;
        let base = all.iter().find(|ran| ran.column.name == column.beside);
        let base = base.unwrap_or(own);
        let slowdown = |of: fn(&Measured) -> f64| Figure::of(&own.per_call(of), &base.per_call(of));
        Self {
            name: column.name.clone(),
            does: column.does,
            beside: column.beside,
            calls: own.calls,
            seconds: Some(median(own.runs.iter().map(|run| run.seconds).collect())),
            slowdown: slowdown(|run| run.seconds).ratio,
            slowdown_cpu: Some(slowdown(|run| run.cpu_seconds).ratio),
            events: Events::of(own.runs),
        }
    }

    /// Each crossing of the workload would have taken as long as those that were counted.
    fn of_gdb(rate: f64, calls: u64, crossings: f64, plain: Option<f64>) -> Self {
        Self {
            name: "gdb".to_owned(),
            does: "a breakpoint at the entry of each crossing, that counts",
            beside: PLAIN,
            calls,
            seconds: None,
            slowdown: Spread::of(vec![crossings / rate / plain.unwrap_or(f64::NAN)]),
            slowdown_cpu: None,
            events: Some(Events {
                events: u64::from(gdb::CROSSINGS),
                events_per_s: rate,
                bytes_per_event: None,
                lost: 0,
                guest_waits: 0,
                guest_waited_s: 0.0,
            }),
        }
    }
}

impl Events {
    /// `None`: sums are kept, or nothing is.
    fn of(runs: &[Measured]) -> Option<Self> {
        let first = runs.first().filter(|run| run.events > 0)?;
        let of = |of: fn(&Measured) -> f64| median(runs.iter().map(of).collect());
        let sum = |of: fn(&Measured) -> u64| runs.iter().map(of).sum::<u64>();
        Some(Self {
            events: first.events,
            events_per_s: of(|run| run.events as f64 / run.seconds),
            bytes_per_event: Some(of(|run| run.bytes_per_event)),
            lost: sum(|run| run.lost),
            guest_waits: sum(|run| run.waits),
            guest_waited_s: sum(|run| run.waited_ns) as f64 / 1e9,
        })
    }
}
