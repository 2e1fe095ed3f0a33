//! Slices of a line of instructions: what formats of tracers are written from.
//!
//! A run is a process. Where there are its calls, each task on a vCPU is a track, and the line is the
//! vCPU's clock. Else a kind of crossings is a track, on which each class stands once, the most frequent
//! first. A path tells how many instructions a function executed itself, not between which of its calls:
//! these are drawn side by side from the function's beginning.

use std::collections::BTreeMap;

use super::timeline::Calls;
use crate::crossing::CrossingKind;
use crate::origin::Origin;
use crate::trace::functions::Functions;
use crate::trace::report::{Class, Node, Report};
use crate::trace::timeline::Span;

#[derive(Debug)]
pub(super) struct Track<'a> {
    pub(super) name: String,
    of: Of<'a>,
}

#[derive(Debug)]
enum Of<'a> {
    Classes(Vec<&'a Class>),
    Calls(&'a Functions, Vec<&'a Span>),
}

/// A part of a track, in instructions. Those that lie in another come after it and are deeper.
#[derive(Debug)]
pub(super) struct Slice<'a> {
    pub(super) name: &'a str,
    /// None: the slice is a crossing.
    pub(super) origin: Option<Origin>,
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) depth: usize,
    pub(super) about: About<'a>,
}

#[derive(Debug)]
pub(super) enum About<'a> {
    Class(&'a Class),
    Node(&'a Node),
    Call(&'a Span),
}

pub(super) fn tracks<'a>(run: &'a Report, calls: Option<&'a Calls>) -> Vec<Track<'a>> {
    match calls {
        Some(calls) => of_calls(calls),
        None => of_classes(run),
    }
}

fn of_classes(run: &Report) -> Vec<Track<'_>> {
    let mut tracks: BTreeMap<CrossingKind, Vec<&Class>> = BTreeMap::new();
    for class in &run.classes {
        tracks.entry(class.kind).or_default().push(class);
    }
    let track = |(kind, classes): (CrossingKind, _)| Track {
        name: kind.name().to_owned(),
        of: Of::Classes(classes),
    };
    tracks.into_iter().map(track).collect()
}

fn of_calls(calls: &Calls) -> Vec<Track<'_>> {
    let mut tracks: BTreeMap<(usize, u32), Vec<&Span>> = BTreeMap::new();
    for (vcpu, spans) in calls.vcpus.iter().enumerate() {
        for span in spans {
            tracks.entry((vcpu, span.task)).or_default().push(span);
        }
    }
    let track = |((vcpu, task), spans): ((usize, u32), _)| Track {
        name: match calls.names.get(&task) {
            Some(name) => format!("vCPU {vcpu} {name}"),
            None => format!("vCPU {vcpu} task {task}"),
        },
        of: Of::Calls(&calls.functions, spans),
    };
    tracks.into_iter().map(track).collect()
}

impl Track<'_> {
    /// In the order of their starts, the outer first.
    ///
    /// # Errors
    /// The first one of `each`.
    pub(super) fn slices<E>(
        &self,
        each: &mut impl FnMut(&Slice<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.of {
            Of::Classes(classes) => {
                let mut start = 0;
                for class in classes {
                    each(&Slice {
                        name: &class.call,
                        origin: None,
                        start,
                        length: class.path.total,
                        depth: 0,
                        about: About::Class(class),
                    })?;
                    below(&class.path, start, 1, each)?;
                    start += class.path.total;
                }
                Ok(())
            }
            Of::Calls(functions, spans) => spans.iter().try_for_each(|span| {
                let function = functions.get(span.function);
                each(&Slice {
                    name: &function.name,
                    origin: Some(function.origin),
                    start: span.began,
                    length: span.ended.saturating_sub(span.began),
                    depth: span.depth,
                    about: About::Call(span),
                })
            }),
        }
    }
}

fn below<E>(
    node: &Node,
    start: u64,
    depth: usize,
    each: &mut impl FnMut(&Slice<'_>) -> Result<(), E>,
) -> Result<(), E> {
    each(&Slice {
        name: &node.symbol,
        origin: Some(node.origin),
        start,
        length: node.total,
        depth,
        about: About::Node(node),
    })?;
    let mut start = start;
    for child in &node.children {
        below(child, start, depth + 1, each)?;
        start += child.total;
    }
    Ok(())
}
