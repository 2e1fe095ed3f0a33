//! What a recording's report says, which every reader must find in an exported file.

use std::collections::BTreeMap;

use debugger::crossing::CrossingKind;
use debugger::trace::recording::Recording;
use debugger::trace::report::{Node, Report};

/// A run, of the classes' own figures and not of their paths.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) mode: String,
    pub(super) classes: u64,
    /// Of all classes.
    pub(super) crossings: u64,
    /// Of all crossings.
    pub(super) instructions: u64,
    /// Kind → classes.
    pub(super) kinds: BTreeMap<String, u64>,
    /// Functions in all paths.
    pub(super) nodes: u64,
    /// Origin → what its functions executed, over all crossings.
    pub(super) origins: BTreeMap<String, u64>,
    /// Kind → call → instructions of one crossing of each class.
    pub(super) tracks: BTreeMap<CrossingKind, BTreeMap<String, u64>>,
}

pub(super) fn runs(recording: &Recording) -> Vec<Run> {
    recording.runs.iter().map(of).collect()
}

fn of(report: &Report) -> Run {
    let mut run = Run {
        mode: report.mode.to_string(),
        classes: report.classes.len() as u64,
        crossings: 0,
        instructions: 0,
        kinds: BTreeMap::new(),
        nodes: 0,
        origins: BTreeMap::new(),
        tracks: BTreeMap::new(),
    };
    for class in &report.classes {
        run.crossings += class.count;
        run.instructions += class.count * class.instructions;
        *run.kinds.entry(class.kind.to_string()).or_default() += 1;
        add(&class.path, class.count, &mut run);
        let track = run.tracks.entry(class.kind).or_default();
        *track.entry(class.call.clone()).or_default() += class.instructions;
    }
    run
}

fn add(node: &Node, count: u64, run: &mut Run) {
    run.nodes += 1;
    if node.own > 0 {
        *run.origins.entry(node.origin.to_string()).or_default() += node.own * count;
    }
    for child in &node.children {
        add(child, count, run);
    }
}
