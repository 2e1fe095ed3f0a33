//! The paths of many crossings as one tree of frames: a flame graph.
//!
//! A frame's width is the instructions executed in it and below, over all crossings: each class's path
//! times its count. What a function did itself stands at the right end of its frame.

pub mod butterfly;
pub mod svg;

use std::borrow::Cow;
use std::collections::HashMap;

use super::report::{Class, Node, Report};
use crate::origin::Origin;
use crate::pattern::Pattern;

/// A function as it was called by those above it; above the functions stand calls, modes and all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub symbol: Cow<'a, str>,
    pub origin: Origin,
    pub depth: usize,
    pub parent: Option<usize>,
    /// The first frame that is not within this one.
    pub end: usize,
    /// Instructions to the left of it.
    pub start: u64,
    pub own: u64,
    pub total: u64,
    pub calls: u64,
}

/// Each frame before those within it, in the order they are drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flame<'a> {
    pub frames: Vec<Frame<'a>>,
}

/// What a search has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Of each frame, whether its name matches.
    pub frames: Vec<bool>,
    /// Instructions within frames that match; none is counted twice.
    pub instructions: u64,
}

/// A frame while the tree grows.
struct Growing<'a> {
    symbol: Cow<'a, str>,
    origin: Origin,
    own: u64,
    calls: u64,
    children: Vec<usize>,
}

#[derive(Default)]
struct Builder<'a> {
    frames: Vec<Growing<'a>>,
    known: HashMap<(usize, Cow<'a, str>), usize>,
}

impl<'a> Flame<'a> {
    /// Of the classes that are wanted; several runs stand side by side.
    #[must_use]
    pub fn of(runs: &[&'a Report], wanted: impl Fn(&Class) -> bool) -> Self {
        let mut builder = Builder::default();
        let all = builder.push("all".into(), Origin::Unknown);
        let mut tops = Vec::new();
        for run in runs {
            let top = match runs {
                [_] => all,
                _ => builder.child(all, run.mode.to_string().into(), Origin::Unknown),
            };
            tops.push(top);
            for class in run.classes.iter().filter(|class| wanted(class)) {
                let call = format!("{} {}", class.kind, class.call);
                let call = builder.child(top, call.into(), class.path.origin);
                builder.count(call, 0, class.count);
                builder.count(top, 0, class.count);
                if top != all {
                    builder.count(all, 0, class.count);
                }
                builder.add(call, &class.path, class.count);
            }
        }
        builder.laid_out(&tops)
    }

    /// Instructions of all frames.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.frames.first().map_or(0, |frame| frame.total)
    }

    /// The names from the outermost frame to this one.
    #[must_use]
    pub fn path(&self, at: usize) -> Vec<String> {
        let mut path = Vec::new();
        let mut next = Some(at);
        while let Some(frame) = next.and_then(|at| self.frames.get(at)) {
            path.push(frame.symbol.to_string());
            next = frame.parent;
        }
        path.reverse();
        path
    }

    /// The frame of those names, or the innermost of its callers that is there.
    #[must_use]
    pub fn find(&self, path: &[String]) -> usize {
        let mut at = 0;
        for name in path.iter().skip(1) {
            match self
                .children(at)
                .find(|child| self.frames[*child].symbol == *name)
            {
                Some(child) => at = child,
                None => break,
            }
        }
        at
    }

    /// From left to right.
    pub fn children(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.frames.get(at).map_or(0, |frame| frame.end);
        let first = Some(at + 1).filter(|first| *first < end);
        std::iter::successors(first, move |child| {
            Some(self.frames[*child].end).filter(|next| *next < end)
        })
    }

    /// The frames of functions with that name: a part of it, or with `*` and `?` the whole.
    #[must_use]
    pub fn search(&self, text: &str) -> Found {
        if text.is_empty() {
            return Found::default();
        }
        let pattern = Pattern::new(text);
        let mut found = Found::default();
        let mut within = 0;
        for (at, frame) in self.frames.iter().enumerate() {
            let matches = pattern.matches(&frame.symbol);
            if matches && at >= within {
                found.instructions += frame.total;
                within = frame.end;
            }
            found.frames.push(matches);
        }
        found
    }
}

impl<'a> Builder<'a> {
    fn push(&mut self, symbol: Cow<'a, str>, origin: Origin) -> usize {
        self.frames.push(Growing {
            symbol,
            origin,
            own: 0,
            calls: 0,
            children: Vec::new(),
        });
        self.frames.len() - 1
    }

    fn child(&mut self, parent: usize, symbol: Cow<'a, str>, origin: Origin) -> usize {
        let key = (parent, symbol);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let at = self.push(key.1.clone(), origin);
        self.frames[parent].children.push(at);
        self.known.insert(key, at);
        at
    }

    fn count(&mut self, at: usize, own: u64, calls: u64) {
        let frame = &mut self.frames[at];
        frame.own = frame.own.saturating_add(own);
        frame.calls = frame.calls.saturating_add(calls);
    }

    fn add(&mut self, parent: usize, path: &'a Node, count: u64) {
        // A stack of its own: a path may be deep.
        let mut todo = vec![(parent, path)];
        while let Some((parent, node)) = todo.pop() {
            let at = self.child(parent, node.symbol.as_str().into(), node.origin);
            let own = node.own.saturating_mul(count);
            self.count(at, own, node.calls.saturating_mul(count));
            todo.extend(node.children.iter().rev().map(|child| (at, child)));
        }
    }

    /// The calls below each of `tops` stand the heaviest first, functions in the order they were first called in.
    fn laid_out(mut self, tops: &[usize]) -> Flame<'a> {
        let mut totals: Vec<u64> = self.frames.iter().map(|frame| frame.own).collect();
        for at in (0..totals.len()).rev() {
            let below = self.frames[at].children.iter().map(|child| totals[*child]);
            totals[at] = below.fold(totals[at], u64::saturating_add);
        }
        for top in tops {
            let calls = &mut self.frames[*top].children;
            calls.sort_by_key(|call| std::cmp::Reverse(totals[*call]));
        }
        let mut frames: Vec<Frame<'a>> = Vec::with_capacity(self.frames.len());
        let mut todo = vec![(0, None, 0, 0)];
        while let Some((at, parent, depth, start)) = todo.pop() {
            let Some(frame) = self.frames.get_mut(at) else {
                break;
            };
            let here = frames.len();
            frames.push(Frame {
                symbol: std::mem::take(&mut frame.symbol),
                origin: frame.origin,
                depth,
                parent,
                end: here + 1,
                start,
                own: frame.own,
                total: totals[at],
                calls: frame.calls,
            });
            let mut left = start;
            let from = todo.len();
            for child in &frame.children {
                todo.push((*child, Some(here), depth + 1, left));
                left += totals[*child];
            }
            todo[from..].reverse();
        }
        for at in (1..frames.len()).rev() {
            if let Some(parent) = frames[at].parent {
                frames[parent].end = frames[parent].end.max(frames[at].end);
            }
        }
        Flame { frames }
    }
}

#[cfg(test)]
mod tests;
