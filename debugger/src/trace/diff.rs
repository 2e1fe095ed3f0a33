//! Two paths of the same call, aligned: what is the same, what is gone, what was added.
//!
//! Stacks must not be joined by their callers' names: a shortcut gives the function that does the work
//! another caller, and unchanged work would show as removed and added. [`align`] aligns the two trees on
//! the functions that both have.

mod align;
mod because;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::flame::Flame;
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
    /// None: they were not counted.
    calls: Option<u64>,
    depth: u32,
    parent: Option<usize>,
    /// The first function that is not called from here, nor from there.
    end: usize,
    /// A hash of the names here and below.
    shape: u64,
}

/// Calls made fewer times than this belong to a program's start and end.
pub const OFTEN: u64 = 10;

/// Every call that both runs made and that is worth comparing, the most frequent first.
#[must_use]
pub fn pairs(a: &Report, b: &Report) -> Vec<Pair> {
    let matches = matches(a, b).into_iter();
    matches
        .map(|(ours, theirs)| pair((ours, &a.mode), (theirs, &b.mode)))
        .collect()
}

/// The classes that such pairs are of: the dominant ones.
#[must_use]
pub fn matches<'a>(a: &'a Report, b: &'a Report) -> Vec<(&'a Class, &'a Class)> {
    let calls = calls(a).into_iter();
    calls
        .filter_map(|ours| Some((ours, partner(ours, b)?)))
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
    for class in report.classes.iter().filter(|class| is_made(class)) {
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

/// Every class of another run that did the same: of the call's name, and by shortcut or instead of one.
#[must_use]
pub fn counterparts<'a>(class: &Class, other: &'a Report) -> Vec<&'a Class> {
    let is_shortcut = |class: &Class| class.kind == CrossingKind::Shortcut;
    let stands_for = |theirs: &Class| match (is_shortcut(class), is_shortcut(theirs)) {
        (true, false) => is_made(theirs) && contains(&theirs.path, &class.call),
        (false, true) => is_made(class) && contains(&class.path, &theirs.call),
        _ => false,
    };
    let all = other.classes.iter();
    all.filter(|theirs| theirs.call == class.call || stands_for(theirs))
        .collect()
}

/// Asked for by the application.
fn is_made(class: &Class) -> bool {
    matches!(
        class.kind,
        CrossingKind::Syscall | CrossingKind::Bypass | CrossingKind::Shortcut
    )
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
    let mut pair = Pair {
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
    };
    because::explain(&mut pair);
    pair
}

/// The ladder of two paths, in the order of execution.
#[must_use]
pub fn rows(a: &Node, b: &Node) -> Vec<Row> {
    let mut names = HashMap::new();
    aligned(&flatten(a, &mut names), &flatten(b, &mut names))
}

/// The ladder of two trees of frames, in their order.
pub(super) fn rows_of_flames(a: &Flame<'_>, b: &Flame<'_>) -> Vec<Row> {
    let mut names = HashMap::new();
    let mut flat = |flame| finished(frames(flame, &mut names));
    aligned(&flat(a), &flat(b))
}

fn aligned(a: &[Flat<'_>], b: &[Flat<'_>]) -> Vec<Row> {
    let matches = align::align(a, b);
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
    // An import does not know it, a recording does.
    let mut origins = [a, b].into_iter().flatten().map(|flat| flat.origin);
    Row {
        verdict,
        symbol: either.map_or_else(String::new, |flat| flat.symbol.to_owned()),
        origin: origins
            .find(|origin| *origin != Origin::Unknown)
            .unwrap_or_default(),
        depth_a: a.map(|flat| flat.depth),
        depth_b: b.map(|flat| flat.depth),
        a: a.map_or(0, |flat| flat.own),
        b: b.map_or(0, |flat| flat.own),
        because: None,
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
            calls: Some(node.calls),
            depth,
            parent,
            end: 0,
            shape: 0,
        });
        let at = flat.len() - 1;
        todo.extend(
            node.children
                .iter()
                .rev()
                .map(|child| (child, Some(at), depth + 1)),
        );
    }
    finished(flat)
}

fn frames<'a>(flame: &'a Flame<'_>, names: &mut HashMap<&'a str, usize>) -> Vec<Flat<'a>> {
    let flat = flame.frames.iter().map(|frame| {
        let next = names.len();
        Flat {
            symbol: &frame.symbol,
            name: *names.entry(&frame.symbol).or_insert(next),
            origin: frame.origin,
            own: frame.own,
            calls: frame.calls,
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a tree of that depth is not held"
            )]
            depth: frame.depth as u32,
            parent: frame.parent,
            end: 0,
            shape: 0,
        }
    });
    flat.collect()
}

/// With the ends and the shapes.
fn finished(mut flat: Vec<Flat<'_>>) -> Vec<Flat<'_>> {
    let mut below = vec![DefaultHasher::new(); flat.len()];
    for at in (0..flat.len()).rev() {
        flat[at].end = flat[at].end.max(at + 1);
        flat[at].name.hash(&mut below[at]);
        flat[at].shape = below[at].finish();
        if let Some(parent) = flat[at].parent {
            flat[parent].end = flat[parent].end.max(flat[at].end);
            flat[at].shape.hash(&mut below[parent]);
        }
    }
    flat
}

#[cfg(test)]
mod tests;
