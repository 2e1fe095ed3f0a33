//! The paths of many crossings as one tree of frames: a flame graph.
//!
//! A frame's width is the instructions executed in it and below, over all crossings: each class's path
//! times its count. What a function did itself stands at the right end of its frame.

mod builder;
pub mod butterfly;
pub mod svg;

use std::borrow::Cow;

pub(in crate::trace) use self::builder::Builder;
use super::report::{Class, Report};
use crate::crossing::CrossingKind;
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
    /// None: it was not counted.
    pub calls: Option<u64>,
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

impl<'a> Flame<'a> {
    /// Of the classes that are wanted, the heaviest call first; several runs stand side by side.
    #[must_use]
    pub fn of(runs: &[&'a Report], wanted: impl Fn(&Class) -> bool) -> Self {
        let (builder, tops) = Self::grown(runs, wanted);
        builder.laid_out(&tops)
    }

    /// Of a run that goes on: calls stand in the order of their classes, whichever is the heaviest now.
    #[must_use]
    pub fn live(run: &'a Report, wanted: impl Fn(&Class) -> bool) -> Self {
        let (builder, _) = Self::grown(&[run], wanted);
        builder.laid_out(&[])
    }

    /// And the frames right below which calls stand.
    fn grown(runs: &[&'a Report], wanted: impl Fn(&Class) -> bool) -> (Builder<'a>, Vec<usize>) {
        let mut builder = Builder::new("all".into(), Origin::Unknown);
        let all = Builder::ROOT;
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
                builder.count(call, 0, Some(class.count));
                builder.count(top, 0, Some(class.count));
                if top != all {
                    builder.count(all, 0, Some(class.count));
                }
                builder.add(call, &class.path, class.count);
            }
        }
        (builder, tops)
    }

    /// The frames of that function or call as one: those that lie in no other of it, with all within them.
    /// `None`: there is none.
    #[must_use]
    pub fn only(&self, name: &str) -> Option<Flame<'a>> {
        let is_it = |frame: &Frame<'_>| {
            // A crossing's frame has its kind before the call.
            let is_kind = |word: &str| CrossingKind::ALL.iter().any(|kind| kind.name() == word);
            let call = frame.symbol.split_once(' ');
            frame.symbol == name || call.is_some_and(|(kind, call)| is_kind(kind) && call == name)
        };
        let mut builder: Option<Builder<'a>> = None;
        // Of each frame above this one, that of the new tree; the outermost is the root.
        let mut above: Vec<(usize, usize)> = Vec::new();
        for (at, frame) in self.frames.iter().enumerate() {
            while above.last().is_some_and(|(end, _)| *end <= at) {
                above.pop();
            }
            let place = match above.last() {
                Some((_, parent)) => {
                    let builder = builder.as_mut()?;
                    builder.child(*parent, frame.symbol.clone(), frame.origin)
                }
                None if is_it(frame) => {
                    let new = || Builder::new(name.to_owned().into(), frame.origin);
                    builder.get_or_insert_with(new);
                    Builder::ROOT
                }
                None => continue,
            };
            builder.as_mut()?.count(place, frame.own, frame.calls);
            above.push((frame.end, place));
        }
        Some(builder?.laid_out(&[]))
    }

    /// With what each frame calls in the order of the names, for readers that know no order.
    #[must_use]
    pub fn sorted(&self) -> Self {
        let mut frames: Vec<Frame<'a>> = Vec::with_capacity(self.frames.len());
        let mut todo = vec![(0, None, 0)];
        while let Some((at, parent, start)) = todo.pop() {
            let Some(frame) = self.frames.get(at) else {
                break;
            };
            let here = frames.len();
            frames.push(Frame {
                parent,
                start,
                end: here + (frame.end - at),
                ..frame.clone()
            });
            let mut children: Vec<usize> = self.children(at).collect();
            children.sort_by_key(|child| &self.frames[*child].symbol);
            let mut left = start;
            let from = todo.len();
            for child in children {
                todo.push((child, Some(here), left));
                left += self.frames[child].total;
            }
            todo[from..].reverse();
        }
        Self { frames }
    }

    /// With names of its own.
    #[must_use]
    pub fn into_owned(self) -> Flame<'static> {
        let own = |frame: Frame<'_>| Frame {
            symbol: Cow::Owned(frame.symbol.into_owned()),
            ..frame
        };
        Flame {
            frames: self.frames.into_iter().map(own).collect(),
        }
    }

    /// Instructions of all frames, or what else is counted.
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

#[cfg(test)]
mod tests;
