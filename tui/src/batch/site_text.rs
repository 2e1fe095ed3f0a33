//! Who made the crossings of a run, as plain text.

use std::collections::{BTreeMap, BTreeSet};

use debugger::addr::Insns;
use debugger::trace::report::{Class, Report, Use};

/// A row for each place and call, the most instructions first.
pub(super) fn sites(report: &Report) -> Vec<String> {
    let rows = sums(report, |made| made.site.map_or(usize::MAX, |site| site));
    if rows.is_empty() {
        return vec![NOT_SEEN.to_owned()];
    }
    let head = format!(
        "{:<28} {:<24} {:<10} {:<24} {:>10} {:>14} {:>10}",
        "place", "caller", "kind", "call", "count", "instructions", "each"
    );
    let lines = rows.into_iter().map(|((site, class), sum)| {
        let site = report.sites.get(site);
        let place = site.map_or_else(|| "not seen".to_owned(), |site| site.place());
        let caller = site.map_or("", |site| &site.caller);
        format!("{place:<28} {caller:<24} {}", sum.line(class))
    });
    std::iter::once(head).chain(lines).collect()
}

/// A row for each task and call.
pub(super) fn tasks(report: &Report) -> Vec<String> {
    let rows = sums(report, |made| made.task as usize);
    if rows.is_empty() {
        return vec![NOT_SEEN.to_owned()];
    }
    let head = format!(
        "{:<22} {:<10} {:<24} {:>10} {:>14} {:>10}",
        "task", "kind", "call", "count", "instructions", "each"
    );
    let lines = rows.into_iter().map(|((task, class), sum)| {
        let task = report.task_label(u32::try_from(task).unwrap_or(u32::MAX));
        format!("{task:<22} {}", sum.line(class))
    });
    let shown: BTreeSet<u32> = report.uses.iter().map(|made| made.task).collect();
    let nameless = report.tasks.iter().filter_map(|task| {
        let why = task
            .unknown
            .as_ref()
            .filter(|_| shown.contains(&task.task))?;
        Some(format!("note: task {} has no name: {why}", task.task))
    });
    let notes: Vec<String> = nameless.collect();
    std::iter::once(head).chain(lines).chain(notes).collect()
}

const NOT_SEEN: &str = "the recording does not say who made the crossings: it was made by the stub, or by an \
                        earlier version";

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: u64,
    instructions: u64,
}

impl Sum {
    fn line(self, class: &Class) -> String {
        format!(
            "{:<10} {:<24} {:>10} {:>14} {:>10.1}",
            class.kind,
            class.call,
            Insns(self.count).to_string(),
            Insns(self.instructions).to_string(),
            self.instructions as f64 / self.count.max(1) as f64
        )
    }
}

/// By a number of those who made them, and by kind and call; the most instructions first.
fn sums(report: &Report, by: impl Fn(&Use) -> usize) -> Vec<((usize, &Class), Sum)> {
    let classes: BTreeMap<&str, &Class> = report
        .classes
        .iter()
        .map(|class| (class.id.as_str(), class))
        .collect();
    let mut sums: BTreeMap<_, (&Class, Sum)> = BTreeMap::new();
    for made in &report.uses {
        let Some(class) = classes.get(made.class.as_str()) else {
            continue;
        };
        let key = (by(made), class.kind, class.call.as_str());
        let (_, sum) = sums.entry(key).or_insert((class, Sum::default()));
        sum.count += made.count;
        sum.instructions += made.instructions;
    }
    let rows = sums
        .into_iter()
        .map(|((by, ..), (class, sum))| ((by, class), sum));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.instructions));
    rows
}
