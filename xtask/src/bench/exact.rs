//! `cargo xtask bench exact`: how many calls are in classes whose every member has the same count.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use debugger::crossing::{CrossingKind, Mode};
use debugger::session::store;
use debugger::trace::report::{Class, Count, Node, Report as TraceReport};
use serde::Serialize;

use super::captured::Captured;
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

const DEMOS: [&str; 7] = [
    "hello",
    "syscalls",
    "echo",
    "exceptions",
    "crowd",
    "redis",
    "memcached",
];

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
    /// With the most frequent count of a class of several.
    usual_share: f64,
    /// In a class of several, whose counts differ by a hundredth at most.
    near_share: f64,
    /// In a class of their own: nothing to compare with.
    alone_share: f64,
    /// A second run has one of the same path and the same count, for each.
    again_share: f64,
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
            let report = || Captured::of(&image, mode, args.calls)?.report(&image);
            runs.push(shares(name, mode, &report()?, &report()?));
            step.done();
        }
    }
    let report = Report {
        schema: 2,
        calls: args.calls,
        runs,
        host: Host::now(),
    };
    print::report(&report, args.json, lines)
}

fn shares(image: &str, mode: Mode, report: &TraceReport, second: &TraceReport) -> Run {
    let classes = calls(report);
    let count = |of: fn(&Class) -> u64| classes.iter().map(|class| of(class)).sum::<u64>();
    let all = count(|class| class.count);
    let share = |of: u64| of as f64 / all.max(1) as f64;
    let (ours, theirs) = (paths(&classes), paths(&calls(second)));
    let again = ours.iter().map(|(path, count)| {
        let there = theirs.get(path).copied().unwrap_or_default();
        (*count).min(there)
    });
    Run {
        image: image.to_owned(),
        mode,
        crossings: all,
        exact_share: share(count(|class| several(class, class.exact))),
        usual_share: share(count(|class| several(class, true).min(usual(class)))),
        near_share: share(count(|class| several(class, is_near(class)))),
        alone_share: share(count(|class| class.count - several(class, true))),
        again_share: share(again.sum()),
    }
}

fn calls(report: &TraceReport) -> Vec<&Class> {
    let is_call = |class: &&Class| {
        let kinds = [
            CrossingKind::Syscall,
            CrossingKind::Bypass,
            CrossingKind::Shortcut,
        ];
        kinds.contains(&class.kind)
    };
    report.classes.iter().filter(is_call).collect()
}

/// How many calls took that path with that count, interrupted or not: interrupts come when they like.
fn paths(classes: &[&Class]) -> BTreeMap<(String, u64), u64> {
    let mut paths = BTreeMap::new();
    for class in classes {
        let mut shape = class.call.clone();
        write_shape(&class.path, &mut shape);
        for count in counts(class) {
            *paths
                .entry((shape.clone(), count.instructions))
                .or_default() += count.crossings;
        }
    }
    paths
}

fn write_shape(node: &Node, shape: &mut String) {
    shape.push_str(&format!("({} {}", node.symbol, node.calls));
    for child in &node.children {
        write_shape(child, shape);
    }
    shape.push(')');
}

fn counts(class: &Class) -> Vec<Count> {
    if !class.counts.is_empty() {
        return class.counts.clone();
    }
    vec![Count {
        instructions: class.instructions,
        crossings: class.count,
    }]
}

/// How many calls, where there are several and that is so.
const fn several(class: &Class, holds: bool) -> u64 {
    match holds && class.count > 1 {
        true => class.count,
        false => 0,
    }
}

fn usual(class: &Class) -> u64 {
    let counts = counts(class).into_iter();
    let usual = counts.filter(|count| count.instructions == class.instructions);
    usual.map(|count| count.crossings).sum()
}

fn is_near(class: &Class) -> bool {
    class.max - class.min <= class.instructions / 100
}

fn lines(report: &Report) -> Vec<String> {
    let head = [
        "| image | mode | calls | exact | usual | near | alone | again |".to_owned(),
        "|---|---|---:|---:|---:|---:|---:|---:|".to_owned(),
    ];
    let line = |run: &Run| {
        let shares = [
            run.exact_share,
            run.usual_share,
            run.near_share,
            run.alone_share,
            run.again_share,
        ];
        let shares = shares.map(|share| format!("{:.1} %", share * 100.0));
        format!(
            "| {} | {} | {} | {} |",
            run.image,
            run.mode,
            run.crossings,
            shares.join(" | ")
        )
    };
    let lines = head.into_iter().chain(report.runs.iter().map(line));
    lines.chain([String::new(), report.host.line()]).collect()
}
