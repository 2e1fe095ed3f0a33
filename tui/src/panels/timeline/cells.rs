//! What ran in each column of each lane.

use std::collections::BTreeMap;

use debugger::trace::recording::{Issue, Run};
use debugger::trace::timeline::{Closed, Follow, OTHERS, Span, Spans, shift};

use super::Seen;
use super::window::Window;

/// A vCPU, or a task on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) vcpu: u32,
    pub(super) task: Option<u32>,
}

/// Instructions of a column, by the index of an origin.
pub(super) type Cell = BTreeMap<u8, u64>;

/// What is known of one vCPU in a window.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// By task; [`OTHERS`] are those that buckets do not name.
    pub(super) tasks: BTreeMap<u32, Vec<Cell>>,
    /// Records lost, by column.
    pub(super) lost: Vec<u64>,
    /// Single calls, where they are seen.
    pub(super) spans: Vec<Span>,
    /// Which task ran from which clock on.
    pub(super) turns: Vec<(u64, u32)>,
    pub(super) issues: Vec<Issue>,
}

/// A vCPU, then the tasks that ran most on it, and so on; no more than `most`.
pub(super) fn lanes(seen: Seen<'_>, most: usize) -> Vec<Lane> {
    let vcpus = seen.run.vcpus();
    let each = (most / vcpus.max(1) as usize).max(1);
    let mut lanes = Vec::new();
    for vcpu in 0..vcpus {
        lanes.push(Lane { vcpu, task: None });
        let range = seen.window.range();
        let (buckets, _) = seen
            .stored
            .summary(seen.number, vcpu, seen.window.scale(), &range);
        // Each bucket names a few: all of them together are more.
        let mut ran: BTreeMap<u32, u64> = BTreeMap::new();
        for share in buckets.iter().flat_map(|bucket| &bucket.tasks) {
            *ran.entry(share.task).or_default() += share.instructions();
        }
        let mut tasks: Vec<u32> = ran.keys().copied().collect();
        tasks.sort_by_key(|task| std::cmp::Reverse(ran[task]));
        tasks.truncate(each - 1);
        tasks.sort_unstable();
        lanes.extend(tasks.into_iter().map(|task| Lane {
            vcpu,
            task: Some(task),
        }));
    }
    lanes.truncate(most);
    lanes
}

pub(super) fn content(seen: Seen<'_>, vcpu: u32) -> Content {
    if seen.window.is_deep() {
        exact(seen, vcpu)
    } else {
        by_summary(seen, vcpu)
    }
}

fn by_summary(seen: Seen<'_>, vcpu: u32) -> Content {
    let window = seen.window;
    let scale = window.scale();
    let (buckets, issues) = seen
        .stored
        .summary(seen.number, vcpu, scale, &window.range());
    let mut content = Content {
        lost: vec![0; columns(window)],
        issues,
        ..Content::default()
    };
    for bucket in &buckets {
        let first = bucket.number << shift(scale);
        let last = first + (1 << shift(scale)) - 1;
        let from = window.column(first.max(window.start)).unwrap_or(0);
        let to = window.column(last).unwrap_or(columns(window) - 1).max(from);
        content.lost[from] += bucket.lost;
        let share = to as u64 - from as u64 + 1;
        for task in &bucket.tasks {
            let cells = content
                .tasks
                .entry(task.task)
                .or_insert_with(|| vec![Cell::new(); columns(window)]);
            for cell in &mut cells[from..=to] {
                for (origin, count) in &task.origins {
                    *cell.entry(*origin).or_default() += count / share;
                }
            }
        }
    }
    content
}

fn columns(window: Window) -> usize {
    usize::try_from(window.columns).unwrap_or(1).max(1)
}

/// From the records themselves.
struct Exact<'a> {
    seen: Seen<'a>,
    /// Of each function: its origin's index.
    origins: Vec<u8>,
    tasks: BTreeMap<u32, Vec<Cell>>,
    spans: Spans,
}

fn exact(seen: Seen<'_>, vcpu: u32) -> Content {
    let range = seen.window.range();
    let of = |origin| seen.run.origins.iter().position(|one| *one == origin);
    let origins = seen
        .run
        .functions
        .iter()
        .map(|function| of(function.origin));
    let mut exact = Exact {
        seen,
        origins: origins
            .map(|origin| u8::try_from(origin.unwrap_or(0)).unwrap_or(0))
            .collect(),
        tasks: BTreeMap::new(),
        spans: Spans::new(vcpu, range.clone()),
    };
    let issues = seen.stored.walk(seen.number, vcpu, &range, &mut exact);
    let mut lost = vec![0; columns(seen.window)];
    for stretch in seen.run.stretches(vcpu) {
        if let Some(column) = seen.window.column(stretch.first) {
            lost[column] += stretch.lost;
        }
    }
    let turns = exact.spans.turns().to_vec();
    Content {
        tasks: exact.tasks,
        lost,
        spans: exact.spans.sorted(),
        turns,
        issues,
    }
}

impl Follow for Exact<'_> {
    fn ran(&mut self, task: u32, function: u32, from: u64, to: u64) {
        let window = self.seen.window;
        let (mut from, to) = (from.max(window.start), to.min(window.end()));
        let origin = self.origins.get(function as usize).copied().unwrap_or(0);
        while from < to {
            let Some(column) = window.column(from) else {
                return;
            };
            let end = window.clock(column + 1).min(to);
            let cells = self
                .tasks
                .entry(task)
                .or_insert_with(|| vec![Cell::new(); columns(window)]);
            *cells[column].entry(origin).or_default() += end - from;
            from = end;
        }
    }

    fn closed(&mut self, closed: Closed) {
        self.spans.closed(closed);
    }

    fn switched(&mut self, to: u32, clock: u64) {
        self.spans.switched(to, clock);
    }
}

impl Content {
    /// A lane's columns: of one task, or of all.
    pub(super) fn cells(&self, task: Option<u32>, window: Window) -> Vec<Cell> {
        let mut out = vec![Cell::new(); columns(window)];
        for (number, cells) in &self.tasks {
            if task.is_some_and(|task| task != *number) {
                continue;
            }
            for (sum, cell) in out.iter_mut().zip(cells) {
                for (origin, count) in cell {
                    *sum.entry(*origin).or_default() += count;
                }
            }
        }
        out
    }

    /// The task that ran at that clock.
    pub(super) fn running(&self, clock: u64) -> Option<u32> {
        let before = self.turns.partition_point(|(at, _)| *at <= clock);
        self.turns[..before].last().map(|(_, task)| *task)
    }
}

/// `redis-server/1`, `task 3`, `others`
pub(super) fn task_name(run: &Run, task: u32) -> String {
    match task {
        OTHERS => "others".to_owned(),
        0 => "unknown".to_owned(),
        _ => run
            .task_label(task)
            .unwrap_or_else(|| format!("task {task}")),
    }
}
