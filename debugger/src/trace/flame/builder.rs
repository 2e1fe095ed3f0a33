//! Frames that grow into a flame graph, whatever they are made of.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Flame, Frame};
use crate::origin::Origin;
use crate::trace::report::Node;

/// A frame while the tree grows.
struct Growing<'a> {
    symbol: Cow<'a, str>,
    origin: Origin,
    own: u64,
    calls: Calls,
    children: Vec<usize>,
}

#[derive(Clone, Copy)]
enum Calls {
    /// Nothing was said of it so far.
    Unsaid,
    Counted(u64),
    /// Of some it was not counted: then of all.
    Uncounted,
}

/// The tree while it grows: there is a root.
pub(in crate::trace) struct Builder<'a> {
    frames: Vec<Growing<'a>>,
    known: HashMap<(usize, Cow<'a, str>), usize>,
}

impl<'a> Builder<'a> {
    pub(in crate::trace) const ROOT: usize = 0;

    pub(in crate::trace) fn new(symbol: Cow<'a, str>, origin: Origin) -> Self {
        let mut builder = Self {
            frames: Vec::new(),
            known: HashMap::new(),
        };
        builder.push(symbol, origin);
        builder
    }

    fn push(&mut self, symbol: Cow<'a, str>, origin: Origin) -> usize {
        self.frames.push(Growing {
            symbol,
            origin,
            own: 0,
            calls: Calls::Unsaid,
            children: Vec::new(),
        });
        self.frames.len() - 1
    }

    /// The frame of that name below another; a new one where there is none.
    pub(in crate::trace) fn child(
        &mut self,
        parent: usize,
        symbol: Cow<'a, str>,
        origin: Origin,
    ) -> usize {
        let key = (parent, symbol);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let at = self.push(key.1.clone(), origin);
        self.frames[parent].children.push(at);
        self.known.insert(key, at);
        at
    }

    pub(in crate::trace) fn count(&mut self, at: usize, own: u64, calls: Option<u64>) {
        let frame = &mut self.frames[at];
        frame.own = frame.own.saturating_add(own);
        frame.calls = match (frame.calls, calls) {
            (Calls::Counted(known), Some(more)) => Calls::Counted(known.saturating_add(more)),
            (Calls::Unsaid, Some(first)) => Calls::Counted(first),
            (Calls::Uncounted, _) | (_, None) => Calls::Uncounted,
        };
    }

    pub(in crate::trace) fn add(&mut self, parent: usize, path: &'a Node, count: u64) {
        // A stack of its own: a path may be deep.
        let mut todo = vec![(parent, path)];
        while let Some((parent, node)) = todo.pop() {
            let at = self.child(parent, node.symbol.as_str().into(), node.origin);
            let own = node.own.saturating_mul(count);
            self.count(at, own, Some(node.calls.saturating_mul(count)));
            todo.extend(node.children.iter().rev().map(|child| (at, child)));
        }
    }

    /// What lies right below each of `tops` stands the heaviest first, the rest in the order it came in.
    pub(in crate::trace) fn laid_out(mut self, tops: &[usize]) -> Flame<'a> {
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
                calls: match frame.calls {
                    Calls::Counted(calls) => Some(calls),
                    Calls::Unsaid | Calls::Uncounted => None,
                },
            });
            let mut left = start;
            let from = todo.len();
            for child in &frame.children {
                todo.push((*child, Some(here), depth + 1, left));
                left = left.saturating_add(totals[*child]);
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
