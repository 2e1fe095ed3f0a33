//! Two paths of the same call, aligned: what is the same, what is gone, what was added.
//!
//! Stacks must not be joined by their callers' names: a shortcut gives the function that does the work
//! another caller, and unchanged work would show as removed and added. [`align`] aligns the two trees on
//! the functions that both have.

mod align;
mod because;
mod flat;
mod partners;
mod varies;

use super::flame::Flame;
use super::report::{Class, Diff, Node, Pair, Report, Row, SCHEMA, Verdict};
use crate::crossing::{CrossingKind, Setup};
use crate::origin::Origin;
use because::Families;
use flat::{Flat, Names, flatten, frames};

pub(super) use partners::about_as_frequent;
use partners::did_the_same;
pub use partners::{calls, matches};

/// Calls made fewer times than this belong to a program's start and end.
pub const OFTEN: u64 = 10;

/// Every call that both runs made and that is worth comparing, the most frequent first. Where no rule tells
/// why a row differs, the runs' other crossings of the call may.
#[must_use]
pub fn pairs(a: &Report, b: &Report) -> Vec<Pair> {
    let matches = matches(a, b).into_iter();
    let told = matches.map(|(ours, theirs)| {
        let mut pair = pair((ours, &a.mode), (theirs, &b.mode));
        match a
            .functions_left_out
            .as_ref()
            .or(b.functions_left_out.as_ref())
        {
            Some(option) => leave_open(&mut pair, option),
            None => varies::explain(&mut pair, (ours, a), (theirs, b)),
        }
        pair
    });
    told.collect()
}

/// Where what functions execute is counted to their callers, no rule is about it.
fn leave_open(pair: &mut Pair, option: &str) {
    for row in &mut pair.rows {
        if row.because.take().is_some() || row.verdict != Verdict::Same {
            row.untold = Some(format!("functions were left out by {option}"));
        }
    }
}

/// Every class of one run with every class of the other that did the same, either way round. A path is taken
/// apart once, whatever it is aligned with.
pub fn every_pair(a: &Report, b: &Report, each: &mut impl FnMut(&Pair)) {
    let mut names = Names::default();
    let mut families = Families::default();
    let mut flat: Vec<Option<Vec<Flat<'_>>>> = vec![None; b.classes.len()];
    for (at, ours) in a.classes.iter().enumerate() {
        let mut of_a = None;
        // Of a run with itself each two come once.
        let first = if std::ptr::eq(a, b) { at } else { 0 };
        for (theirs, of_b) in b.classes.iter().zip(&mut flat).skip(first) {
            if !did_the_same(ours, theirs) {
                continue;
            }
            let of_a = &**of_a.get_or_insert_with(|| flatten(&ours.path, &mut names));
            let of_b = &**of_b.get_or_insert_with(|| flatten(&theirs.path, &mut names));
            let (a, b) = ((ours, &a.mode, of_a), (theirs, &b.mode, of_b));
            each(&paired(a, b, &mut families));
            each(&paired(b, a, &mut families));
        }
    }
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

/// Aligns two classes.
#[must_use]
pub fn pair((a, mode_a): (&Class, &Setup), (b, mode_b): (&Class, &Setup)) -> Pair {
    let mut names = Names::default();
    let of_a = flatten(&a.path, &mut names);
    let of_b = flatten(&b.path, &mut names);
    let sides = ((a, mode_a, &*of_a), (b, mode_b, &*of_b));
    paired(sides.0, sides.1, &mut Families::default())
}

type Side<'a> = (&'a Class, &'a Setup, &'a [Flat<'a>]);

fn paired(
    (a, mode_a, flat_a): Side<'_>,
    (b, mode_b, flat_b): Side<'_>,
    families: &mut Families,
) -> Pair {
    let rows = aligned(flat_a, flat_b);
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
        class_a: a.id.clone(),
        class_b: b.id.clone(),
        a: a.instructions,
        b: b.instructions,
        removed,
        added,
        balanced: a.instructions.checked_sub(removed).map(|rest| rest + added)
            == Some(b.instructions),
        rows,
    };
    because::explain(&mut pair, families);
    pair
}

/// The ladder of two paths, in the order of execution.
#[must_use]
pub fn rows(a: &Node, b: &Node) -> Vec<Row> {
    let mut names = Names::default();
    aligned(&flatten(a, &mut names), &flatten(b, &mut names))
}

/// The ladder of two trees of frames, in their order.
pub(super) fn rows_of_flames(a: &Flame<'_>, b: &Flame<'_>) -> Vec<Row> {
    let mut names = Names::default();
    aligned(&frames(a, &mut names), &frames(b, &mut names))
}

fn aligned(a: &[Flat<'_>], b: &[Flat<'_>]) -> Vec<Row> {
    let matches = align::align(a, b);
    let mut in_b = vec![None; a.len()];
    for (at_a, at_b) in &matches {
        in_b[*at_a] = Some(*at_b);
    }
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
                (Some(ours), Some(theirs)) => in_b[ours] == Some(theirs),
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
        untold: None,
    }
}

#[cfg(test)]
mod tests;
