//! `cargo xtask bench exact`: how many calls are in classes whose every member has the same count.

use anyhow::{Context as _, Result};
use debugger::crossing::{CrossingKind, Mode};
use debugger::session::store;
use debugger::session::trace::{TraceOptions, trace};
use debugger::trace::report::{Class, Report as TraceReport};
use serde::Serialize;

use super::print::{self, Host};
use crate::progress::Step;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Demos; those that end by themselves if none is given
    #[arg(long = "image", value_name = "NAME")]
    images: Vec<String>,
    /// Operations of each kind, where a demo takes a number
    #[arg(long, default_value_t = 500)]
    calls: u64,
}

const DEMOS: [&str; 6] = ["hello", "syscalls", "echo", "exceptions", "crowd", "redis"];

#[derive(Serialize)]
struct Report {
    schema: u32,
    calls: u64,
    runs: Vec<Run>,
    #[serde(flatten)]
    host: Host,
}

/// Shares of all system calls, bypasses and shortcuts of a run.
#[derive(Serialize)]
struct Run {
    image: String,
    mode: Mode,
    crossings: u64,
    /// In a class of several, all with the same count.
    exact_share: f64,
    /// In a class of several, whose counts differ by a hundredth at most.
    near_share: f64,
    /// In a class of their own: nothing to compare with.
    alone_share: f64,
    /// Left out of the report, as their classes are too many.
    left_out: bool,
}

/// # Errors
/// When an image cannot be traced.
pub(super) fn run(args: &Args) -> Result<()> {
    let images: Vec<&str> = match args.images.as_slice() {
        [] => DEMOS.to_vec(),
        images => images.iter().map(String::as_str).collect(),
    };
    let mut runs = Vec::new();
    for name in images {
        let image = store::image(name).context("opening the image to measure with")?;
        for mode in image.manifest.modes.clone() {
            let step = Step::start(format!("{name} in mode {mode}"));
            let mut options = TraceOptions::new(mode);
            options.calls = Some(args.calls);
            let traced = trace(&image, &options, &false.into(), &mut |_| ())?;
            runs.push(shares(name, mode, &traced.report));
            step.done();
        }
    }
    let report = Report {
        schema: 1,
        calls: args.calls,
        runs,
        host: Host::now(),
    };
    print::report(&report, args.json, lines)
}

fn shares(image: &str, mode: Mode, report: &TraceReport) -> Run {
    let is_call = |class: &&Class| {
        let kinds = [
            CrossingKind::Syscall,
            CrossingKind::Bypass,
            CrossingKind::Shortcut,
        ];
        kinds.contains(&class.kind)
    };
    let calls: Vec<&Class> = report.classes.iter().filter(is_call).collect();
    let count = |of: fn(&Class) -> bool| -> u64 {
        let those = calls.iter().filter(|class| of(class));
        those.map(|class| class.count).sum()
    };
    let all = count(|_| true);
    let share = |of: u64| of as f64 / all.max(1) as f64;
    Run {
        image: image.to_owned(),
        mode,
        crossings: all,
        exact_share: share(count(|class| class.exact && class.count > 1)),
        near_share: share(count(|class| class.count > 1 && is_near(class))),
        alone_share: share(count(|class| class.count == 1)),
        left_out: report
            .notes
            .iter()
            .any(|note| note.contains("are left out")),
    }
}

fn is_near(class: &Class) -> bool {
    class.max - class.min <= class.instructions / 100
}

fn lines(report: &Report) -> Vec<String> {
    let head = format!(
        "{:<12} {:<9} {:>9} {:>7} {:>7} {:>7}",
        "image", "mode", "calls", "exact", "near", "alone"
    );
    let line = |run: &Run| {
        let rest = if run.left_out {
            "  the rarest classes are left out"
        } else {
            ""
        };
        format!(
            "{:<12} {:<9} {:>9} {:>6.1}% {:>6.1}% {:>6.1}%{rest}",
            run.image,
            run.mode,
            run.crossings,
            run.exact_share * 100.0,
            run.near_share * 100.0,
            run.alone_share * 100.0
        )
    };
    let lines = std::iter::once(head).chain(report.runs.iter().map(line));
    lines.chain([report.host.line()]).collect()
}
