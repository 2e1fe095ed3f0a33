//! `cargo xtask bench trace`: what tracing costs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use debugger::crossing::Mode;
use debugger::qemu::image::Image;
use debugger::session::store;
use debugger::session::trace::Scope;
use serde::Serialize;

use super::figures::median;
use super::fold::{self, Folded};
use super::gdb;
use super::guest_tracer::{GuestTracer, How};
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
    /// Leaves out QEMU's own plugins, which are fetched as source and compiled once, gdb and the guest's tracer
    #[arg(long)]
    no_rivals: bool,
    /// The plugin; else beside this program
    #[arg(long)]
    plugin: Option<PathBuf>,
    /// Another build of the plugin, in the same rounds; again for more
    #[arg(long = "against")]
    builds: Vec<PathBuf>,
}

/// Seconds are wall time of the workload: from the application's first line to its last.
#[derive(Serialize)]
struct Report {
    schema: u32,
    image: String,
    mode: Mode,
    calls: u64,
    repeats: usize,
    /// In the same rounds, each in its turn.
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
    /// By the time of one operation.
    slowdown: f64,
    /// The fastest of both: what the machine's other work adds is mostly left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    slowdown_of_fastest: Option<f64>,
    /// Of QEMU's own CPU time, boot included: hardly moved by other work on the machine. The time that
    /// the guest waits for the reader is not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    slowdown_cpu: Option<f64>,
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
        "{:<26} {:>8} {:>9} {:>9} {:>10} {:>8} {:>11}",
        "", "seconds", "slowdown", "of CPU", "M events/s", "bytes", "lost"
    )];
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    for row in &report.measured {
        let events = row.events.as_ref();
        lines.push(format!(
            "{:<26} {:>8} {:>9} {:>9} {:>10} {:>8} {:>11}  {}, beside {}",
            row.name,
            or_dash(row.seconds.map(|seconds| format!("{seconds:.3}"))),
            format!("{:.2}×", row.slowdown),
            or_dash(row.slowdown_cpu.map(|slowdown| format!("{slowdown:.2}×"))),
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
struct Column<'a> {
    name: String,
    does: &'static str,
    beside: &'static str,
    setup: Setup<'a>,
    /// `None`: the one beside this program.
    plugin: Option<&'a Path>,
    /// Does this part of the operations alone, where all would take many minutes.
    part: u64,
}

fn own<'a>(name: &str, does: &'static str, setup: Setup<'a>) -> Column<'a> {
    Column {
        name: name.to_owned(),
        does,
        beside: PLAIN,
        setup,
        plugin: None,
        part: 1,
    }
}

fn columns<'a>(
    args: &'a Args,
    rivals: &'a [Rival],
    tracer: Option<&'a GuestTracer>,
) -> Vec<Column<'a>> {
    let mut columns = vec![own(PLAIN, "nothing", Setup::Plain)];
    let mut traced = |build: Option<&'a Path>, name, does, scope| {
        let own = own(name, does, Setup::Traced(scope));
        columns.push(Column {
            name: match build {
                Some(path) => format!("{name} ({})", path.display()),
                None => own.name,
            },
            plugin: build.or(args.plugin.as_deref()),
            ..own
        });
    };
    for build in std::iter::once(None).chain(args.builds.iter().map(|path| Some(path.as_path()))) {
        traced(
            build,
            "uklscope",
            "every function of kernel and application, folded as it runs",
            Scope::Functions,
        );
        traced(
            build,
            "uklscope, boundary",
            "crossings alone",
            Scope::Boundary,
        );
        traced(
            build,
            "uklscope, clock",
            "all instructions are counted, nothing is recorded",
            Scope::Clock,
        );
    }
    let of_qemu = |rival: &'a Rival| own(rival.name, rival.does, Setup::Rival(rival));
    columns.extend(rivals.iter().map(of_qemu));
    if let Some(tracer) = tracer {
        let of_guest = |name, does, how| Column {
            beside: PLAIN_TRACERS,
            part: 20,
            ..own(name, does, Setup::GuestTracer(tracer, how))
        };
        columns.extend([
            own(
                PLAIN_TRACERS,
                "the kernel's own tracers are there, and off",
                Setup::GuestTracer(tracer, How::Off),
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
    let columns = columns(args, rivals.as_deref().unwrap_or_default(), tracer.as_ref());
    let mut runs: Vec<Vec<Measured>> = vec![Vec::new(); columns.len()];
    let repeats = args.repeats.max(1);
    for round in 1..=repeats {
        for (column, runs) in columns.iter().zip(&mut runs) {
            let step =
                progress::Step::start(format!("round {round} of {repeats}: {}", column.name));
            runs.push(run::measure(
                image,
                args.mode,
                column.calls(args),
                column.setup,
                column.plugin,
            )?);
            step.done();
        }
    }
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
    let crossings = median(runs[1].iter().map(|run| run.crossings as f64).collect());
    measured.extend(
        or_missing("gdb", rate, &mut missing)
            .map(|rate| Row::of_gdb(rate, args.calls, crossings, measured[0].seconds)),
    );
    Ok(Report {
        schema: 2,
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

impl Column<'_> {
    fn calls(&self, args: &Args) -> u64 {
        (args.calls / self.part).max(1)
    }
}

/// What a column's rounds gave.
struct Ran<'a> {
    column: &'a Column<'a>,
    calls: u64,
    runs: &'a [Measured],
}

impl Ran<'_> {
    fn seconds(&self) -> f64 {
        median(self.runs.iter().map(|run| run.seconds).collect())
    }

    fn per_call(&self, seconds: f64) -> f64 {
        seconds / self.calls.max(1) as f64
    }

    fn cpu_seconds(&self) -> f64 {
        median(self.runs.iter().map(|run| run.cpu_seconds).collect())
    }

    fn fastest(&self) -> f64 {
        let seconds = self.runs.iter().map(|run| run.seconds);
        seconds.fold(f64::INFINITY, f64::min)
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
        // The boot is in the CPU time, and does not become less with the operations.
        let cpu = (own.calls == base.calls).then(|| own.cpu_seconds() / base.cpu_seconds());
        Self {
            name: column.name.clone(),
            does: column.does,
            beside: column.beside,
            calls: own.calls,
            seconds: Some(own.seconds()),
            slowdown: own.per_call(own.seconds()) / base.per_call(base.seconds()),
            slowdown_of_fastest: Some(own.per_call(own.fastest()) / base.per_call(base.fastest())),
            slowdown_cpu: cpu,
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
            slowdown: crossings / rate / plain.unwrap_or(f64::NAN),
            slowdown_of_fastest: None,
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
