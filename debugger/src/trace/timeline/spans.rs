//! Calls and crossings as stretches of the clock.

use std::ops::Range;

use super::task::{Closed, Entered, Follow};

/// A call, seen from its first instruction to after its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub task: u32,
    pub vcpu: u32,
    /// How many calls it lay in.
    pub depth: usize,
    pub function: u32,
    pub entered: Entered,
    /// Of the vCPU's clock.
    pub began: u64,
    pub ended: u64,
    /// Its own and its callees' instructions, without what interrupted it and other tasks.
    pub instructions: u64,
    /// It returned within what was walked; else `ended` is where that ended, or where it was given up.
    pub returned: bool,
}

/// Collects those that overlap a range of the clock.
#[derive(Debug)]
pub struct Spans {
    range: Range<u64>,
    vcpu: u32,
    list: Vec<Span>,
    turns: Vec<(u64, u32)>,
}

impl Spans {
    #[must_use]
    pub const fn new(vcpu: u32, range: Range<u64>) -> Self {
        Self {
            range,
            vcpu,
            list: Vec::new(),
            turns: Vec::new(),
        }
    }

    /// Where a task began to run: clock and task.
    #[must_use]
    pub fn turns(&self) -> &[(u64, u32)] {
        &self.turns
    }

    /// Outer calls before those they made.
    #[must_use]
    pub fn sorted(mut self) -> Vec<Span> {
        self.list
            .sort_by_key(|span| (span.began, span.task, span.depth));
        self.list
    }
}

impl Follow for Spans {
    fn closed(&mut self, closed: Closed) {
        let Closed { frame, .. } = closed;
        if closed.ended < self.range.start || frame.began >= self.range.end {
            return;
        }
        self.list.push(Span {
            task: closed.task,
            vcpu: self.vcpu,
            depth: closed.depth,
            function: frame.function,
            entered: frame.entered,
            began: frame.began,
            ended: closed.ended,
            instructions: closed.instructions,
            returned: closed.returned,
        });
    }

    fn switched(&mut self, to: u32, clock: u64) {
        self.turns.push((clock, to));
    }
}
