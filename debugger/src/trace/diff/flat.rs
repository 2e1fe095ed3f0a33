//! A tree of calls as a list, in the order of execution, with names as numbers.

use std::hash::{Hash as _, Hasher as _};

use rustc_hash::{FxHashMap, FxHasher};

use crate::origin::Origin;
use crate::trace::flame::Flame;
use crate::trace::report::Node;

/// Numbers of symbols, for all lists that are aligned with each other.
pub(super) type Names<'a> = FxHashMap<&'a str, usize>;

/// One function of a path, in the order of execution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flat<'a> {
    pub(super) symbol: &'a str,
    /// The symbol's number, the same in both paths.
    pub(super) name: usize,
    pub(super) origin: Origin,
    pub(super) own: u64,
    /// None: they were not counted.
    pub(super) calls: Option<u64>,
    pub(super) depth: u32,
    pub(super) parent: Option<usize>,
    /// The first function that is not called from here, nor from there.
    pub(super) end: usize,
    /// A hash of the names here and below.
    pub(super) shape: u64,
}

pub(super) fn flatten<'a>(root: &'a Node, names: &mut Names<'a>) -> Vec<Flat<'a>> {
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

pub(super) fn frames<'a>(flame: &'a Flame<'_>, names: &mut Names<'a>) -> Vec<Flat<'a>> {
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
    finished(flat.collect())
}

/// With the ends and the shapes.
fn finished(mut flat: Vec<Flat<'_>>) -> Vec<Flat<'_>> {
    let mut below = vec![FxHasher::default(); flat.len()];
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
