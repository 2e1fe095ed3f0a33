//! `cargo xtask bench serve`: how many requests a server answers in each mode, and how soon, as ratios to mode linux.

mod client;
mod load;
mod report;

use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, bail};
use debugger::crossing::{Mode, Setup};
use debugger::qemu::image::Image;
use debugger::session::store;
use debugger::session::trace::TraceOptions;
use debugger::session::trace_compare::compare;
use debugger::trace::requests::Request;

use super::figures::Figure;
use super::print::{self, Host};
use crate::progress;
use load::{Boot, Kind, Load, OfKind, Server};
use report::{Counted, OfMode, OfRequest, OfServer, Paper, Report};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[arg(long, value_delimiter = ',', default_values = ["redis", "memcached"])]
    images: Vec<String>,
    /// The modes, with linux among them; else all that an image has
    #[arg(long, value_delimiter = ',')]
    modes: Vec<Setup>,
    /// Requests of each kind, in each round
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// In each, every image is booted and loaded in every mode, in turn; the medians are reported
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests of each kind that are traced in each mode, for the prediction; 0: none
    #[arg(long, default_value_t = 1000)]
    traced: u64,
    /// One round of 2,000 requests, and 200 traced: whether all of it works, not how fast
    #[arg(long, conflicts_with_all = ["requests", "rounds", "traced"])]
    quick: bool,
}

/// What one image does in all rounds.
struct Run {
    image: Image,
    server: &'static Server,
    modes: Vec<Setup>,
    /// The place of mode linux.
    base: usize,
    /// By mode, and in each by round.
    boots: Vec<Vec<Boot>>,
}

/// # Errors
/// When an image cannot be booted, or answers wrongly.
pub(super) fn run(args: &Args) -> Result<()> {
    let mut args = args.clone();
    if args.quick {
        (args.rounds, args.requests, args.traced) = (1, 2_000, 200);
    }
    print::report(&measure(&args)?, args.json, report::lines)
}

fn measure(args: &Args) -> Result<Report> {
    let load = Load {
        connections: args.connections.max(1),
        requests: args.requests.max(args.connections),
    };
    let rounds = args.rounds.max(1);
    let mut runs: Vec<Run> = args
        .images
        .iter()
        .map(|name| Run::of(name, &args.modes))
        .collect::<Result<_>>()?;
    for round in 0..rounds {
        for run in &mut runs {
            let name = &run.image.manifest.name;
            let step = progress::Step::start(format!("{name}, round {} of {rounds}", round + 1));
            for (mode, boots) in run.modes.iter().zip(&mut run.boots) {
                boots.push(run.server.boot(&run.image, mode, load)?);
            }
            step.done();
        }
    }
    let servers = runs.iter().map(|run| run.report(args.traced));
    Ok(Report {
        schema: 2,
        clock: report::CLOCK,
        rounds,
        connections: load.connections,
        requests: load.requests,
        servers: servers.collect::<Result<_>>()?,
        host: Host::now(),
    })
}

impl Run {
    fn of(name: &str, modes: &[Setup]) -> Result<Self> {
        let image = store::image(name).context("opening the image to load")?;
        let server = Server::of(&image.manifest.name)?;
        let modes = match modes {
            [] => image
                .manifest
                .modes
                .iter()
                .copied()
                .map(Setup::from)
                .collect(),
            modes => modes.to_vec(),
        };
        let Some(base) = modes.iter().position(|mode| *mode == Mode::Linux) else {
            bail!("loading {name}: ratios are to mode linux; name it in --modes");
        };
        Ok(Self {
            boots: vec![Vec::new(); modes.len()],
            image,
            server,
            modes,
            base,
        })
    }

    fn report(&self, traced: u64) -> Result<OfServer> {
        let counted = self.count(traced)?;
        let of_mode = |(at, mode): (usize, &Setup)| {
            let figure = |of: &dyn Fn(&Boot) -> f64| {
                let values = |at: usize| self.boots[at].iter().map(of).collect::<Vec<_>>();
                Figure::of(&values(at), &values(self.base))
            };
            let requests = self.server.kinds.iter().enumerate().map(|(i, kind)| {
                let figure = |of: fn(&OfKind) -> f64| figure(&|boot| of(&boot.kinds[i]));
                let of_mode = |at: usize| counted.get(at).and_then(|all| per_request(all, kind));
                let linux = of_mode(self.base);
                OfRequest {
                    request: kind.name.to_owned(),
                    per_s: figure(|kind| kind.client.per_s),
                    p50_ms: figure(|kind| kind.client.p50_ms),
                    p99_ms: figure(|kind| kind.client.p99_ms),
                    cpu_us: figure(|kind| kind.cpu_us),
                    counted: of_mode(at)
                        .zip(linux)
                        .map(|((own, boundary), (linux, _))| Counted {
                            instructions: own,
                            in_and_out_percent: boundary * 100.0 / own,
                            predicted: linux / own,
                        }),
                }
            });
            OfMode {
                mode: mode.clone(),
                first_reply_s: figure(&|boot| boot.first_reply_s),
                requests: requests.collect(),
                paper: Paper::of(self.server.image, mode),
            }
        };
        Ok(OfServer {
            image: self.image.manifest.name.clone(),
            client: self.server.client.to_owned(),
            modes: self.modes.iter().enumerate().map(of_mode).collect(),
        })
    }

    /// By mode: the requests of a traced boot. Empty where none was asked for.
    fn count(&self, traced: u64) -> Result<Vec<Vec<Request>>> {
        let manifest = &self.image.manifest;
        if traced == 0 || manifest.request.is_none() {
            return Ok(Vec::new());
        }
        let step = progress::Step::start(format!(
            "{}, counting instructions in {} modes",
            manifest.name,
            self.modes.len()
        ));
        let mut options = TraceOptions::new(manifest.default_mode);
        options.calls = Some(traced);
        let (comparison, _) = compare(
            &self.image,
            &self.modes,
            &options,
            None,
            &AtomicBool::new(false),
            &mut |_, _| (),
        )?;
        step.done();
        let of_run = |run: debugger::trace::report::Report| run.requests.map(|all| all.kinds);
        let runs = comparison.runs.into_iter();
        Ok(runs.map(|run| of_run(run).unwrap_or_default()).collect())
    }
}

/// Instructions of the server's thread, and those of the way in and out, on average over what a kind is made of.
fn per_request(counted: &[Request], kind: &Kind) -> Option<(f64, f64)> {
    let (mut own, mut boundary, mut parts) = (0.0, 0.0, 0.0);
    for (name, times) in kind.of {
        let request = counted.iter().find(|request| request.kind == *name)?;
        own += times * request.total.mean(request.count);
        boundary += times * request.boundary() as f64 / request.count.max(1) as f64;
        parts += times;
    }
    Some((own / parts, boundary / parts))
}
