//! `cargo xtask bench fold`: how fast records become crossings, by one thread and from memory.

use anyhow::{Context as _, Result};
use debugger::crossing::Mode;
use debugger::qemu::image::Image;
use debugger::session::store;
use serde::Serialize;

use super::captured::Captured;
use super::figures::Spread;
use super::print::{self, Host};
use crate::progress::Step;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Demos that end by themselves
    #[arg(long = "image", value_name = "NAME", default_values = ["syscalls", "echo", "redis"])]
    images: Vec<String>,
    #[arg(long, default_value = "ukl")]
    mode: Mode,
    /// Operations of each kind
    #[arg(long, default_value_t = 20_000)]
    calls: u64,
    /// Folds of the same records
    #[arg(long, default_value_t = 5)]
    repeats: usize,
}

#[derive(Serialize)]
struct Report {
    schema: u32,
    mode: Mode,
    calls: u64,
    images: Vec<Folded>,
    #[serde(flatten)]
    host: Host,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Folded {
    pub(super) image: String,
    /// In memory, from the guest's start to its end.
    pub(super) events: u64,
    /// Of one core: by the thread's own CPU time. Each fold finds the paths anew.
    pub(super) events_per_s: Spread,
}

impl Folded {
    pub(super) fn line(&self) -> String {
        let Spread { median, min, max } = self.events_per_s;
        format!(
            "{}: {:.1} million events folded a second by one core ({:.1} to {:.1}), of {:.1} million",
            self.image,
            median / 1e6,
            min / 1e6,
            max / 1e6,
            self.events as f64 / 1e6
        )
    }
}

/// # Errors
/// When an image cannot be traced.
pub(super) fn run(args: &Args) -> Result<()> {
    let mut images = Vec::new();
    for name in &args.images {
        let image = store::image(name).context("opening the image to measure with")?;
        images.push(measure(&image, args.mode, args.calls, args.repeats)?);
    }
    let report = Report {
        schema: 1,
        mode: args.mode,
        calls: args.calls,
        images,
        host: Host::now(),
    };
    print::report(&report, args.json, lines)
}

fn lines(report: &Report) -> Vec<String> {
    let lines = report.images.iter().map(Folded::line);
    lines.chain([report.host.line()]).collect()
}

/// Traces the image once, and folds its records again and again.
pub(super) fn measure(image: &Image, mode: Mode, calls: u64, repeats: usize) -> Result<Folded> {
    let name = &image.manifest.name;
    let step = Step::start(format!("{name}, its records into memory"));
    let captured = Captured::of(image, mode, calls)?;
    step.done();
    let step = Step::start(format!("{name}, folding {repeats} times"));
    let rates: Result<Vec<f64>> = (0..repeats.max(1))
        .map(|_| events_per_s(&captured, image))
        .collect();
    step.done();
    Ok(Folded {
        image: name.clone(),
        events: captured.events,
        events_per_s: Spread::of(rates?),
    })
}

/// Of this thread's CPU time.
fn events_per_s(captured: &Captured, image: &Image) -> Result<f64> {
    let before = thread_cpu_seconds()?;
    let fold = captured.fold(image)?;
    Ok(fold.events as f64 / (thread_cpu_seconds()? - before))
}

/// What this thread has run: the first number of its schedstat, in nanoseconds.
fn thread_cpu_seconds() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")
        .context("reading the thread's CPU time")?;
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    let nanoseconds: f64 = first.context("no time in /proc/thread-self/schedstat")?;
    Ok(nanoseconds / 1e9)
}
