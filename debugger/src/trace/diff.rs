//! Two paths of the same call, aligned: what is the same, what is gone, what was added.
//!
//! Stacks must not be joined by their callers' names: a shortcut gives the function that does the work
//! another caller, and unchanged work would show as removed and added. The two trees are laid out in
//! the order of execution and aligned as sequences: functions that both have are anchors, in order, and
//! a match is worth more under the same caller and with the same count.

use std::collections::HashMap;

use super::report::{Class, Diff, Node, Pair, Report, Row, SCHEMA, Verdict};
use crate::crossing::{CrossingKind, Setup};
use crate::origin::Origin;

/// One function of a path, in the order of execution.
#[derive(Clone, Copy, Debug)]
struct Flat<'a> {
    symbol: &'a str,
    /// The symbol's number, the same in both paths.
    name: usize,
    origin: Origin,
    own: u64,
    calls: u64,
    depth: u32,
    parent: Option<usize>,
}

/// Larger tables are first cut at functions that occur once in either path: 64 MiB.
const MOST_CELLS: usize = 16 << 20;

/// Calls made fewer times than this belong to a program's start and end.
pub const OFTEN: u64 = 10;

/// Every call that both runs made and that is worth comparing, the most frequent first.
#[must_use]
pub fn pairs(a: &Report, b: &Report) -> Vec<Pair> {
    calls(a)
        .into_iter()
        .filter_map(|ours| {
            let theirs = partner(ours, b)?;
            Some(pair((ours, &a.mode), (theirs, &b.mode)))
        })
        .collect()
}

/// All of them, or those of one call.
#[must_use]
pub fn diff(a: &Report, b: &Report, call: Option<&str>) -> Diff {
    let mut pairs = pairs(a, b);
    if let Some(call) = call {
        pairs.retain(|pair| pair.call == call);
    }
    Diff {
        schema: SCHEMA,
        pairs,
    }
}

/// The dominant class of each call that the application made: the most frequent that nothing
/// interrupted.
#[must_use]
pub fn calls(report: &Report) -> Vec<&Class> {
    let mut best: Vec<&Class> = Vec::new();
    let made = report.classes.iter().filter(|class| {
        matches!(
            class.kind,
            CrossingKind::Syscall | CrossingKind::Bypass | CrossingKind::Shortcut
        )
    });
    for class in made {
        match best.iter_mut().find(|other| other.call == class.call) {
            None => best.push(class),
            Some(other) => {
                if (!class.interrupted, class.count) > (!other.interrupted, other.count) {
                    *other = class;
                }
            }
        }
    }
    best.sort_by_key(|class| std::cmp::Reverse(class.count));
    best
}

/// The same call in another run; for a shortcut, and against one, the call that runs the same function.
fn partner<'a>(class: &Class, other: &'a Report) -> Option<&'a Class> {
    let theirs = calls(other);
    let named = theirs
        .iter()
        .find(|other| other.call == class.call)
        .copied();
    let is_shortcut = |class: &Class| class.kind == CrossingKind::Shortcut;
    let by_function = if is_shortcut(class) {
        theirs
            .iter()
            .filter(|other| !is_shortcut(other))
            .find(|other| contains(&other.path, &class.call))
    } else {
        theirs
            .iter()
            .filter(|other| is_shortcut(other))
            .find(|other| contains(&class.path, &other.call))
    };
    match (named, by_function.copied()) {
        (Some(named), Some(other)) if other.count > named.count => Some(other),
        (named, other) => named.or(other),
    }
}

fn contains(node: &Node, symbol: &str) -> bool {
    node.symbol == symbol || node.children.iter().any(|child| contains(child, symbol))
}

/// Aligns two classes.
#[must_use]
pub fn pair((a, mode_a): (&Class, &Setup), (b, mode_b): (&Class, &Setup)) -> Pair {
    let rows = rows(&a.path, &b.path);
    let removed = rows.iter().map(|row| row.a.saturating_sub(row.b)).sum();
    let added = rows.iter().map(|row| row.b.saturating_sub(row.a)).sum();
    // A shortcut has a function's name, the call it stands for has the user's.
    let call = if a.kind == CrossingKind::Shortcut {
        &b.call
    } else {
        &a.call
    };
    Pair {
        call: call.clone(),
        mode_a: mode_a.clone(),
        mode_b: mode_b.clone(),
        kind_a: a.kind,
        kind_b: b.kind,
        a: a.instructions,
        b: b.instructions,
        removed,
        added,
        balanced: a.instructions.checked_sub(removed).map(|rest| rest + added)
            == Some(b.instructions),
        rows,
    }
}

/// The ladder of two paths, in the order of execution.
#[must_use]
pub fn rows(a: &Node, b: &Node) -> Vec<Row> {
    let mut names = HashMap::new();
    let (a, b) = (flatten(a, &mut names), flatten(b, &mut names));
    let matches = align(&a, &b);
    let in_b: HashMap<usize, usize> = matches.iter().copied().collect();
    let mut rows = Vec::with_capacity(a.len() + b.len() - matches.len());
    let (mut i, mut j) = (0, 0);
    let ends = std::iter::once((a.len(), b.len()));
    for (at_a, at_b) in matches.iter().copied().chain(ends) {
        rows.extend(
            a[i..at_a]
                .iter()
                .map(|flat| row(Verdict::Removed, Some(flat), None)),
        );
        rows.extend(
            b[j..at_b]
                .iter()
                .map(|flat| row(Verdict::Added, None, Some(flat))),
        );
        if at_a < a.len() {
            let (ours, theirs) = (&a[at_a], &b[at_b]);
            let same_caller = match (ours.parent, theirs.parent) {
                (None, None) => true,
                (Some(ours), Some(theirs)) => in_b.get(&ours) == Some(&theirs),
                _ => false,
            };
            let verdict = match (same_caller, ours.own == theirs.own) {
                (false, _) => Verdict::Moved,
                (true, true) => Verdict::Same,
                (true, false) => Verdict::Cost,
            };
            rows.push(row(verdict, Some(ours), Some(theirs)));
        }
        (i, j) = (at_a + 1, at_b + 1);
    }
    rows
}

fn row(verdict: Verdict, a: Option<&Flat<'_>>, b: Option<&Flat<'_>>) -> Row {
    let either = a.or(b);
    Row {
        verdict,
        symbol: either.map_or_else(String::new, |flat| flat.symbol.to_owned()),
        origin: either.map_or(Origin::Unknown, |flat| flat.origin),
        depth_a: a.map(|flat| flat.depth),
        depth_b: b.map(|flat| flat.depth),
        a: a.map_or(0, |flat| flat.own),
        b: b.map_or(0, |flat| flat.own),
    }
}

fn flatten<'a>(root: &'a Node, names: &mut HashMap<&'a str, usize>) -> Vec<Flat<'a>> {
    let mut flat: Vec<Flat<'a>> = Vec::new();
    let mut todo = vec![(root, None, 0)];
    while let Some((node, parent, depth)) = todo.pop() {
        let next = names.len();
        flat.push(Flat {
            symbol: &node.symbol,
            name: *names.entry(&node.symbol).or_insert(next),
            origin: node.origin,
            own: node.own,
            calls: node.calls,
            depth,
            parent,
        });
        let at = flat.len() - 1;
        todo.extend(
            node.children
                .iter()
                .rev()
                .map(|child| (child, Some(at), depth + 1)),
        );
    }
    flat
}

/// Pairs of indices, rising in both.
fn align(a: &[Flat<'_>], b: &[Flat<'_>]) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    align_part(a, b, (0, a.len()), (0, b.len()), &mut out);
    out
}

fn align_part(
    a: &[Flat<'_>],
    b: &[Flat<'_>],
    (from_a, to_a): (usize, usize),
    (from_b, to_b): (usize, usize),
    out: &mut Vec<(usize, usize)>,
) {
    let (n, m) = (to_a - from_a, to_b - from_b);
    if n == 0 || m == 0 {
        return;
    }
    if n.saturating_mul(m) <= MOST_CELLS {
        return align_whole(a, b, (from_a, to_a), (from_b, to_b), out);
    }
    let anchors = anchors(&a[from_a..to_a], &b[from_b..to_b]);
    let (mut i, mut j) = (from_a, from_b);
    for (at_a, at_b) in anchors {
        let (at_a, at_b) = (from_a + at_a, from_b + at_b);
        align_gap(a, b, (i, at_a), (j, at_b), out);
        out.push((at_a, at_b));
        (i, j) = (at_a + 1, at_b + 1);
    }
    align_gap(a, b, (i, to_a), (j, to_b), out);
}

/// Between two anchors; what is still too large there is taken as different.
fn align_gap(
    a: &[Flat<'_>],
    b: &[Flat<'_>],
    (from_a, to_a): (usize, usize),
    (from_b, to_b): (usize, usize),
    out: &mut Vec<(usize, usize)>,
) {
    if (to_a - from_a).saturating_mul(to_b - from_b) <= MOST_CELLS {
        align_whole(a, b, (from_a, to_a), (from_b, to_b), out);
    }
}

/// Functions that occur once in either path, as the longest chain that rises in both.
fn anchors(a: &[Flat<'_>], b: &[Flat<'_>]) -> Vec<(usize, usize)> {
    let once = |flats: &[Flat<'_>]| {
        let mut places: HashMap<usize, Option<usize>> = HashMap::new();
        for (at, flat) in flats.iter().enumerate() {
            places
                .entry(flat.name)
                .and_modify(|place| *place = None)
                .or_insert(Some(at));
        }
        places
    };
    let (in_a, in_b) = (once(a), once(b));
    let mut both: Vec<(usize, usize)> = in_a
        .iter()
        .filter_map(|(name, at)| Some(((*at)?, (*in_b.get(name)?)?)))
        .collect();
    both.sort_unstable();
    // The longest rising subsequence of the second numbers, by patience: the top of each pile, and
    // where each came from.
    let mut tops: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; both.len()];
    for at in 0..both.len() {
        let pile = tops.partition_point(|top| both[*top].1 < both[at].1);
        before[at] = pile.checked_sub(1).map(|pile| tops[pile]);
        if pile == tops.len() {
            tops.push(at);
        } else {
            tops[pile] = at;
        }
    }
    let mut chain = Vec::new();
    let mut at = tops.last().copied();
    while let Some(this) = at {
        chain.push(both[this]);
        at = before[this];
    }
    chain.reverse();
    chain
}

/// The alignment of greatest worth, by dynamic programming.
fn align_whole(
    a: &[Flat<'_>],
    b: &[Flat<'_>],
    (from_a, to_a): (usize, usize),
    (from_b, to_b): (usize, usize),
    out: &mut Vec<(usize, usize)>,
) {
    let (n, m) = (to_a - from_a, to_b - from_b);
    let width = m + 1;
    // best[i][j]: the greatest worth of what lies behind i and j.
    let mut best = vec![0u32; (n + 1) * width];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            let skip = best[(i + 1) * width + j].max(best[i * width + j + 1]);
            let take = worth(a, b, from_a + i, from_b + j)
                .map_or(0, |worth| worth + best[(i + 1) * width + j + 1]);
            best[i * width + j] = skip.max(take);
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < n && j < m {
        let here = best[i * width + j];
        let worth = worth(a, b, from_a + i, from_b + j);
        if worth.is_some_and(|worth| here == worth + best[(i + 1) * width + j + 1]) {
            out.push((from_a + i, from_b + j));
            (i, j) = (i + 1, j + 1);
        } else if here == best[(i + 1) * width + j] {
            i += 1;
        } else {
            j += 1;
        }
    }
}

/// What it is worth to match two functions; `None`: they are different ones.
fn worth(a: &[Flat<'_>], b: &[Flat<'_>], i: usize, j: usize) -> Option<u32> {
    let (ours, theirs) = (&a[i], &b[j]);
    if ours.name != theirs.name {
        return None;
    }
    let same_caller = match (ours.parent, theirs.parent) {
        (Some(p), Some(q)) => a[p].name == b[q].name,
        (p, q) => p.is_none() && q.is_none(),
    };
    Some(
        10 + 6 * u32::from(same_caller)
            + 3 * u32::from(ours.own == theirs.own)
            + u32::from(ours.calls == theirs.calls),
    )
}

#[cfg(test)]
mod tests;
