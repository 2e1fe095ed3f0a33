//! Which classes of two runs are compared with each other.

use rustc_hash::FxHashMap;

use crate::crossing::CrossingKind;
use crate::trace::report::{Class, Node, Report};

/// The classes that such pairs are of: the dominant ones. Where several classes of a call are about as frequent,
/// as of one that is made a few times, each time from another state, the two that are most alike.
#[must_use]
pub fn matches<'a>(a: &'a Report, b: &'a Report) -> Vec<(&'a Class, &'a Class)> {
    let calls = calls(a).into_iter();
    calls
        .filter_map(|ours| Some(most_alike((ours, a), (partner(ours, b)?, b))))
        .collect()
}

/// Classes of that call at least half as frequent as its dominant one.
pub(in crate::trace) fn about_as_frequent<'a>(
    dominant: &'a Class,
    of: &'a Report,
) -> Vec<&'a Class> {
    let is_as = |class: &&Class| {
        class.kind == dominant.kind
            && class.call == dominant.call
            && class.interrupted == dominant.interrupted
            && class.count >= dominant.count.div_ceil(2)
    };
    of.classes.iter().filter(is_as).collect()
}

fn most_alike<'a>(
    (ours, a): (&'a Class, &'a Report),
    (theirs, b): (&'a Class, &'a Report),
) -> (&'a Class, &'a Class) {
    let (of_a, of_b) = (about_as_frequent(ours, a), about_as_frequent(theirs, b));
    if of_a.len() * of_b.len() <= 1 {
        return (ours, theirs);
    }
    let masses: Vec<_> = of_b.iter().map(|class| masses(&class.path)).collect();
    let mut best = (ours, theirs);
    let mut least = None;
    for one in of_a {
        let mass = self::masses(&one.path);
        for (other, of_other) in of_b.iter().zip(&masses) {
            let differs = unshared(&mass, of_other);
            // Of pairs as alike the most frequent: the first ones.
            let rank = (differs, std::cmp::Reverse(one.count.min(other.count)));
            if least.is_none_or(|least| rank < least) {
                (best, least) = ((one, *other), Some(rank));
            }
        }
    }
    best
}

/// Own instructions of each function, in all its calls.
fn masses(path: &Node) -> FxHashMap<&str, u64> {
    let mut masses = FxHashMap::default();
    let mut todo = vec![path];
    while let Some(node) = todo.pop() {
        *masses.entry(node.symbol.as_str()).or_default() += node.own;
        todo.extend(&node.children);
    }
    masses
}

/// Instructions that only one of them executes.
fn unshared(a: &FxHashMap<&str, u64>, b: &FxHashMap<&str, u64>) -> u64 {
    let of = |masses: &FxHashMap<&str, u64>| masses.values().sum::<u64>();
    let both = a
        .iter()
        .map(|(name, mass)| b.get(name).copied().unwrap_or(0).min(*mass));
    let shared: u64 = both.sum();
    of(a) + of(b) - 2 * shared
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

/// Whether a class of another run did the same: of the call's name, and by shortcut or instead of one.
pub(super) fn did_the_same(ours: &Class, theirs: &Class) -> bool {
    let is_shortcut = |class: &Class| class.kind == CrossingKind::Shortcut;
    theirs.call == ours.call
        || match (is_shortcut(ours), is_shortcut(theirs)) {
            (true, false) => is_made(theirs) && contains(&theirs.path, &ours.call),
            (false, true) => is_made(ours) && contains(&ours.path, &theirs.call),
            _ => false,
        }
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
