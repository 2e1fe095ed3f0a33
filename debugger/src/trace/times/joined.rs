//! Two clocks: exact instructions of one run beside measured times of another, per path node.
//!
//! Of the times only functions that were chosen are known; of the instructions all. So each timed function is
//! looked for in the counted path, in the order of execution and below what its caller was matched with, and
//! what lies between counts as the caller's own.

use serde::{Deserialize, Serialize};

use super::{Clock, TimedNode};
use crate::crossing::{CrossingKind, Setup};
use crate::origin::Origin;
use crate::trace::diff;
use crate::trace::report::{Class, Node, Report, SCHEMA};

/// `uklscope report --times`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    pub schema: u32,
    pub mode: Setup,
    pub clock: Clock,
    pub calls: Vec<JoinedCall>,
}

/// The dominant class of a call in both runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinedCall {
    pub kind: CrossingKind,
    pub call: String,
    /// Crossings that were counted, and that were timed.
    pub counted: u64,
    pub timed: u64,
    pub instructions: u64,
    /// Every counted crossing has that count.
    pub exact: bool,
    pub rows: Vec<JoinedRow>,
}

/// A timed function, in the order of execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinedRow {
    pub depth: u32,
    pub symbol: String,
    pub origin: Origin,
    /// In one crossing.
    pub calls: u64,
    /// Instructions in one crossing, but for those of the rows below it; none where the counted path does not
    /// have it.
    pub own: Option<u64>,
    /// With those of the rows below it.
    pub total: Option<u64>,
    /// Mean times in one crossing, in the clock's unit.
    pub own_time: f64,
    pub time: f64,
}

/// Joins what both runs made, by kind and call; `None` where `timed` has no times.
#[must_use]
pub fn join(counted: &Report, timed: &Report) -> Option<Joined> {
    let times = timed.times.as_ref()?;
    let counts = diff::calls(counted);
    let joined = |class: &&Class| {
        let path = times.classes.iter().find(|times| times.id == class.id)?;
        // Only functions that were recorded tell one protocol's call from another's.
        let same = counts.iter().find(|count| {
            let call = count.call.split(':').next();
            count.kind == class.kind && call == class.call.split(':').next()
        })?;
        let mut rows = Vec::new();
        // The door that was timed is one piece of the entry assembly, and the others follow it: both are the
        // whole crossing.
        rows_of(&path.path, Some(&same.path), (0, 1), &mut rows);
        Some(JoinedCall {
            kind: class.kind,
            call: same.call.clone(),
            counted: same.count,
            timed: class.count,
            instructions: same.instructions,
            exact: same.exact,
            rows,
        })
    };
    Some(Joined {
        schema: SCHEMA,
        mode: timed.mode.clone(),
        clock: times.clock.clone(),
        calls: diff::calls(timed).iter().filter_map(joined).collect(),
    })
}

/// The node and everything below it in the order of execution.
fn flat<'a>(node: &'a Node, out: &mut Vec<&'a Node>) {
    out.push(node);
    for child in &node.children {
        flat(child, out);
    }
}

/// What the row has in all, for its caller.
fn rows_of(
    timed: &TimedNode,
    counted: Option<&Node>,
    (depth, outer): (u32, u64),
    out: &mut Vec<JoinedRow>,
) -> u64 {
    // Nodes stand for as many calls as their callers' make: times are of one call, rows of one crossing.
    let calls = timed.calls.max(outer);
    let at = out.len();
    let total = counted.map(|node| node.total);
    out.push(JoinedRow {
        depth,
        symbol: timed.symbol.clone(),
        origin: timed.origin,
        calls,
        own: total,
        total,
        own_time: timed.times.own * calls as f64,
        time: timed.times.mean * calls as f64,
    });
    let mut below = Vec::new();
    for child in counted.iter().flat_map(|node| &node.children) {
        flat(child, &mut below);
    }
    let mut rest = below.as_slice();
    let mut inner = 0;
    for child in &timed.children {
        let found = rest.iter().position(|node| node.symbol == child.symbol);
        let node = found.map(|found| rest[found]);
        if let (Some(found), Some(node)) = (found, node) {
            let mut inside = Vec::new();
            flat(node, &mut inside);
            rest = &rest[found + inside.len()..];
        }
        inner += rows_of(child, node, (depth + 1, 1), out);
    }
    if let Some(own) = &mut out[at].own {
        *own = own.saturating_sub(inner);
    }
    total.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crossing::Mode;
    use crate::trace::examples::{self, node};
    use crate::trace::times::{ClassTimes, Cost, Measured, Times, Unit};

    fn timed(symbol: &str, [own, mean]: [f64; 2], children: Vec<TimedNode>) -> TimedNode {
        TimedNode {
            symbol: symbol.to_owned(),
            origin: Origin::Unknown,
            calls: 1,
            times: Times {
                own,
                mean,
                count: 5,
                ..Times::default()
            },
            children,
        }
    }

    #[test]
    fn what_was_not_timed_counts_for_the_caller_that_was() {
        let copy = || node("copy", 4, Vec::new());
        let counted = node(
            "entry",
            10,
            vec![
                node("door", 3, Vec::new()),
                node(
                    "do_syscall_64",
                    5,
                    vec![node("read", 20, vec![copy()]), copy()],
                ),
                node("exit_work", 7, vec![copy()]),
            ],
        );
        let path = timed(
            "door",
            [30.0, 70.0],
            vec![
                timed("read", [40.0, 40.0], Vec::new()),
                timed("gone", [1.0, 1.0], Vec::new()),
                timed("copy", [2.0, 2.0], Vec::new()),
            ],
        );
        let class = examples::class(CrossingKind::Syscall, "read", counted);
        let counted = examples::report(Mode::Ukl, vec![class.clone()]);
        let mut run = examples::report(Mode::Ukl, vec![class.clone()]);
        assert_eq!(join(&counted, &run), None);
        run.times = Some(Measured {
            clock: Clock {
                unit: Unit::Ns,
                tsc_khz: 1,
                cost: Cost::default(),
                about: String::new(),
            },
            classes: vec![ClassTimes { id: class.id, path }],
        });
        let joined = join(&counted, &run).unwrap();
        let rows = &joined.calls[0].rows;
        let found: Vec<_> = rows
            .iter()
            .map(|row| (row.symbol.as_str(), row.depth, row.own, row.total, row.time))
            .collect();
        let right = [
            ("door", 0, Some(29), Some(57), 70.0),
            ("read", 1, Some(24), Some(24), 40.0),
            ("gone", 1, None, None, 1.0),
            ("copy", 1, Some(4), Some(4), 2.0),
        ];
        assert_eq!(found, right);
    }
}
