//! `cargo xtask bench serve`: how many requests a server answers in each mode, as a ratio to mode linux.

mod load;

use std::io::Write as _;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, bail};
use debugger::crossing::{Mode, Setup};
use debugger::qemu::image::Image;
use debugger::session::store;
use debugger::session::trace::TraceOptions;
use debugger::session::trace_compare::compare;
use debugger::trace::requests::Request;
use serde::Serialize;

use super::{load_average, median};
use crate::progress;
use load::{Boot, Load, Server};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[arg(long, default_value = "redis")]
    image: String,
    /// The modes, with linux among them; else all that the image has
    #[arg(long, value_delimiter = ',')]
    modes: Vec<Setup>,
    /// Requests of each kind
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Boots of each mode, in turn; the medians are reported
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Requests of each kind that are traced in each mode, for the prediction; 0: none
    #[arg(long, default_value_t = 1000)]
    traced: u64,
}

/// What Raza et al. (EuroSys 2023) report on hardware: image, mode, change of throughput, change of p99.
const PAPER: &[(&str, Mode, f64, Option<f64>)] = &[
    ("redis", Mode::Bypass, 0.12, Some(-0.11)),
    ("redis", Mode::Shortcut, 0.26, Some(-0.22)),
    ("memcached", Mode::Bypass, 0.05, None),
    ("memcached", Mode::Shortcut, 0.08, None),
];

#[derive(Serialize)]
struct Report {
    schema: u32,
    image: String,
    connections: usize,
    requests: usize,
    repeats: usize,
    modes: Vec<OfMode>,
    cpus: usize,
    load_average: f64,
}

#[derive(Serialize)]
struct OfMode {
    mode: Setup,
    /// From the guest's first instruction to the first answer.
    first_reply_s: f64,
    first_reply: Ratio,
    requests: Vec<OfRequest>,
    paper_throughput: Option<f64>,
    paper_p99: Option<f64>,
}

#[derive(Serialize)]
struct OfRequest {
    request: String,
    per_s: f64,
    throughput: Ratio,
    p99_s: f64,
    p99: Ratio,
    /// Instructions of the server's thread per request.
    instructions: Option<f64>,
    /// Of these in per cent: entry, entry work, dispatch, exit work and exit.
    in_and_out_percent: Option<f64>,
    /// The throughput's ratio if nothing but the server's thread took time, and every instruction the same.
    predicted: Option<f64>,
}

/// To mode linux, of the same repetition each.
#[derive(Clone, Copy, Serialize)]
struct Ratio {
    median: f64,
    min: f64,
    max: f64,
}

/// # Errors
/// When the image cannot be booted, or answers wrongly.
pub(super) fn run(args: &Args) -> Result<()> {
    let image = store::image(&args.image).context("opening the image to load")?;
    let report = measure(args, &image)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
        return Ok(());
    }
    for line in lines(&report) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn measure(args: &Args, image: &Image) -> Result<Report> {
    let server = Server::of(&image.manifest.name)?;
    let of_image = || image.manifest.modes.iter().map(|mode| (*mode).into());
    let modes: Vec<Setup> = match args.modes.is_empty() {
        true => of_image().collect(),
        false => args.modes.clone(),
    };
    let Some(base) = modes.iter().position(|mode| *mode == Mode::Linux) else {
        bail!(
            "loading {}: ratios are to mode linux; name it in --modes",
            args.image
        );
    };
    let load = Load {
        connections: args.connections.max(1),
        requests: args.requests,
    };
    let repeats = args.repeats.max(1);
    let mut boots: Vec<Vec<Boot>> = vec![Vec::new(); modes.len()];
    for round in 0..repeats {
        let step = progress::Step::start(format!("repetition {} of {repeats}", round + 1));
        for (mode, boots) in modes.iter().zip(&mut boots) {
            boots.push(load::boot(image, mode, server, load)?);
        }
        step.done();
    }
    let counted = counts(args, image, &modes)?;
    let of_mode = |at: usize| {
        let boots_of = |of: fn(&Boot) -> f64| ratio(&boots[at], &boots[base], of);
        let requests = server.asks.iter().enumerate().map(|(i, ask)| {
            let found = |counted: &[Request]| {
                let request = counted.iter().find(|request| request.kind == ask.name);
                request.map(|request| request.total.mean(request.count))
            };
            let own = counted.get(at).and_then(|counted| found(counted));
            let linux = counted.get(base).and_then(|counted| found(counted));
            let request = counted
                .get(at)
                .and_then(|counted| counted.iter().find(|request| request.kind == ask.name));
            OfRequest {
                request: ask.name.to_owned(),
                per_s: median(boots[at].iter().map(|boot| boot.asked[i].per_s).collect()),
                throughput: ratio(&boots[at], &boots[base], |boot| boot.asked[i].per_s),
                p99_s: median(boots[at].iter().map(|boot| boot.asked[i].p99_s).collect()),
                p99: ratio(&boots[at], &boots[base], |boot| boot.asked[i].p99_s),
                instructions: own,
                in_and_out_percent: request.map(|request| {
                    request.boundary() as f64 * 100.0 / request.total.sum.max(1) as f64
                }),
                predicted: own.zip(linux).map(|(own, linux)| linux / own),
            }
        });
        let paper = PAPER
            .iter()
            .find(|(name, mode, ..)| *name == image.manifest.name && modes[at] == *mode);
        OfMode {
            mode: modes[at].clone(),
            first_reply_s: median(boots[at].iter().map(|boot| boot.first_reply_s).collect()),
            first_reply: boots_of(|boot| boot.first_reply_s),
            requests: requests.collect(),
            paper_throughput: paper.map(|(_, _, throughput, _)| 1.0 + throughput),
            paper_p99: paper.and_then(|(_, _, _, p99)| *p99).map(|p99| 1.0 + p99),
        }
    };
    Ok(Report {
        schema: 1,
        image: image.manifest.name.clone(),
        connections: load.connections,
        requests: load.requests,
        repeats,
        modes: (0..modes.len()).map(of_mode).collect(),
        cpus: std::thread::available_parallelism().map_or(0, usize::from),
        load_average: load_average(),
    })
}

/// By mode: the requests of a traced boot. Empty where none was asked for.
fn counts(args: &Args, image: &Image, modes: &[Setup]) -> Result<Vec<Vec<Request>>> {
    if args.traced == 0 || image.manifest.request.is_none() {
        return Ok(Vec::new());
    }
    let step = progress::Step::start(format!("counting instructions in {} modes", modes.len()));
    let mut options = TraceOptions::new(image.manifest.default_mode);
    options.calls = Some(args.traced);
    let (comparison, _) = compare(
        image,
        modes,
        &options,
        &AtomicBool::new(false),
        &mut |_, _| (),
    )?;
    step.done();
    let of_run = |run: debugger::trace::report::Report| run.requests.map(|all| all.kinds);
    Ok(comparison
        .runs
        .into_iter()
        .map(|run| of_run(run).unwrap_or_default())
        .collect())
}

fn ratio(of: &[Boot], to: &[Boot], figure: impl Fn(&Boot) -> f64) -> Ratio {
    let ratios: Vec<f64> = of
        .iter()
        .zip(to)
        .map(|(of, to)| figure(of) / figure(to))
        .collect();
    Ratio {
        median: median(ratios.clone()),
        min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        max: ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{}: {} connections from the host, one request each at a time; {} of each kind, {} boots of each mode in \
             turn; ratios to mode linux of the same repetition: median (least to most)",
            report.image, report.connections, report.requests, report.repeats
        ),
        format!(
            "{:<8} {:<10} {:>10} {:<21} {:<21} {:>12} {:>10} {:>10} {:>7}",
            "request",
            "mode",
            "per second",
            "throughput",
            "p99",
            "instructions",
            "in and out",
            "predicted",
            "paper"
        ),
    ];
    let kinds = report.modes.first().map_or(0, |mode| mode.requests.len());
    for kind in 0..kinds {
        for mode in &report.modes {
            let request = &mode.requests[kind];
            let or_none = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
            lines.push(format!(
                "{:<8} {:<10} {:>10.0} {:<21} {:<21} {:>12} {:>10} {:>10} {:>7}",
                request.request,
                mode.mode,
                request.per_s,
                shown(request.throughput),
                shown(request.p99),
                or_none(request.instructions.map(|count| format!("{count:.0}"))),
                or_none(
                    request
                        .in_and_out_percent
                        .map(|share| format!("{share:.2} %"))
                ),
                or_none(request.predicted.map(|ratio| format!("{ratio:.3}"))),
                or_none(mode.paper_throughput.map(|ratio| format!("{ratio:.2}"))),
            ));
        }
    }
    lines.push(String::new());
    for mode in &report.modes {
        lines.push(format!(
            "boot to first reply, {:<10} {:>7.2} s   {}",
            mode.mode,
            mode.first_reply_s,
            shown(mode.first_reply)
        ));
    }
    lines.push(format!(
        "{} CPUs, load {:.1}. 'predicted' is by the instructions of the server's thread alone; the guest's network \
         card, QEMU's network and the client take the same in every mode, and an emulated instruction is not worth \
         the time of a real one: the paper's figures are of hardware",
        report.cpus, report.load_average
    ));
    lines
}

fn shown(ratio: Ratio) -> String {
    format!("{:.3} ({:.3} to {:.3})", ratio.median, ratio.min, ratio.max)
}
