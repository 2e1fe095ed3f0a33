//! Times as plain text: what the classes of a report took, and where.

use debugger::addr::Insns;
use debugger::count::counted;
use debugger::trace::report::{Class, Report};
use debugger::trace::times::joined::{Joined, JoinedRow};
use debugger::trace::times::{Clock, Cost, Measured, TimedNode, Times, Unit};

use super::trace_text::By;

/// Columns of a call's name, as in a report of instructions; of a longer one, as many as it has.
const CALL: usize = 24;

/// What stands in place of a report's table of instructions.
#[must_use]
pub(super) fn table(report: &Report, times: &Measured, by: By) -> Vec<String> {
    let rows = rows(report, times);
    let names = rows.iter().map(|(class, _)| class.call.chars().count());
    let width = names.max().unwrap_or(0).max(CALL);
    let heading = heading(&times.clock, width);
    let mut lines = vec![clock(&times.clock), String::new(), heading];
    match by {
        By::Class => {
            for (class, path) in &rows {
                lines.push(line(class, &path.times, class.count, width));
                lines.extend(tree(path, 1));
            }
        }
        _ => {
            let mut known: Vec<&Class> = Vec::new();
            for (class, path) in &rows {
                let same = |other: &&Class| other.kind == class.kind && other.call == class.call;
                if known.iter().any(same) {
                    continue;
                }
                known.push(class);
                let all = report.classes.iter().filter(same);
                let (count, classes) =
                    all.fold((0, 0), |(count, n), one| (count + one.count, n + 1));
                let mut text = line(class, &path.times, class.count, width);
                if classes > 1 {
                    text.push_str(&format!("   of {} in {classes} classes", Insns(count)));
                }
                lines.push(text);
            }
        }
    }
    lines
}

fn rows<'a>(report: &'a Report, times: &'a Measured) -> Vec<(&'a Class, &'a TimedNode)> {
    let of = |class: &'a Class| {
        let mut found = times.classes.iter().filter(|times| times.id == class.id);
        found.next().map(|times| (class, &times.path))
    };
    report.classes.iter().filter_map(of).collect()
}

const fn unit(clock: &Clock) -> &'static str {
    match clock.unit {
        Unit::Ns => "ns",
        Unit::Ticks => "ticks",
    }
}

/// By what it was measured, and what was taken off.
#[must_use]
pub(super) fn clock(clock: &Clock) -> String {
    let unit = unit(clock);
    let cost = &clock.cost;
    let mut text = format!("times in {unit} by {}", clock.about);
    if clock.tsc_khz > 0 {
        text.push_str(&format!(" ({:.0} MHz)", f64::from(clock.tsc_khz) / 1000.0));
    }
    if *cost == Cost::default() {
        return text + "; nothing is taken off";
    }
    text.push_str(&format!(
        "; a pair of probes costs {:.0} {unit}",
        cost.probe
    ));
    if cost.inside > 0.0 {
        text.push_str(&format!(
            ", a function {:.0} inside and {:.0} outside",
            cost.inside, cost.between
        ));
    }
    text + ": taken off"
}

/// `call`: how wide its column is.
fn heading(clock: &Clock, call: usize) -> String {
    format!(
        "{:<10} {:<call$} {:>9} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9}  taken off",
        "kind",
        "call",
        "count",
        format!("mean {}", unit(clock)),
        "min",
        "p50",
        "p90",
        "p99",
        "max"
    )
}

fn line(class: &Class, times: &Times, count: u64, call: usize) -> String {
    let note = if class.interrupted {
        " (interrupted)"
    } else {
        ""
    };
    let Times {
        mean,
        min,
        p50,
        p90,
        p99,
        max,
        cost,
        ..
    } = times;
    format!(
        "{:<10} {:<call$} {:>9} {mean:>10.0} {min:>9.0} {p50:>9.0} {p90:>9.0} {p99:>9.0} {max:>9.0} {cost:>10.0}{note}",
        class.kind,
        class.call,
        Insns(count).to_string(),
    )
}

fn tree(node: &TimedNode, depth: usize) -> Vec<String> {
    let mut lines = vec![format!(
        "{:>16.0} own {:>10.0}  {:>indent$}{} [{}]{}",
        node.times.mean,
        node.times.own,
        "",
        node.symbol,
        node.origin,
        often(node.calls),
        indent = depth * 2
    )];
    lines.extend(
        node.children
            .iter()
            .flat_map(|child| tree(child, depth + 1)),
    );
    lines
}

/// How many calls a line stands for, where it is not one.
fn often(calls: u64) -> String {
    if calls > 1 {
        format!(" ×{calls}")
    } else {
        String::new()
    }
}

/// Instructions and times side by side, a call after the other.
#[must_use]
pub(super) fn joined(joined: &Joined) -> Vec<String> {
    let unit = unit(&joined.clock);
    let mut lines = vec![format!("mode {}", joined.mode), clock(&joined.clock)];
    for call in &joined.calls {
        lines.push(String::new());
        lines.push(format!(
            "{} {}: {}{}, counted in {}, timed in {}",
            call.kind,
            call.call,
            counted(Insns(call.instructions), "instruction"),
            if call.exact { ", exact" } else { "" },
            counted(Insns(call.counted), "crossing"),
            Insns(call.timed)
        ));
        lines.push(format!(
            "{:>8} {:>8} {:>12} {:>12}",
            "own",
            "total",
            format!("own {unit}"),
            format!("total {unit}")
        ));
        lines.extend(call.rows.iter().map(joined_row));
    }
    lines
}

fn joined_row(row: &JoinedRow) -> String {
    let count = |count: Option<u64>| count.map_or_else(|| "–".to_owned(), |n| n.to_string());
    format!(
        "{:>8} {:>8} {:>12.0} {:>12.0}  {:>depth$}{} [{}]{}",
        count(row.own),
        count(row.total),
        row.own_time,
        row.time,
        "",
        row.symbol,
        row.origin,
        often(row.calls),
        depth = row.depth as usize * 2
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_longest_name_moves_no_column() {
        let phases = json!({"entry": 0, "entry_work": 0, "dispatch": 0, "copy": 0, "service": 0,
            "exit_work": 0, "exit": 0});
        let class = |kind: &str, call: &str| {
            json!({"id": call, "kind": kind, "call": call, "count": 3, "instructions": 0, "exact": false,
                "min": 0, "max": 0, "interrupted": false, "phases": phases,
                "path": {"symbol": call, "origin": "entry", "own": 0, "total": 0, "calls": 1, "children": []}})
        };
        let times = |call: &str| {
            json!({"id": call, "path": {"symbol": call, "origin": "entry", "calls": 1, "children": [],
                "times": {"count": 3, "own": 1.0, "mean": 38390.0, "min": 7471.0, "p50": 1.0, "p90": 1.0,
                    "p99": 1.0, "max": 1.0, "cost": 40.0}}})
        };
        let calls = [
            ("syscall", "getppid"),
            ("interrupt", "asm_sysvec_apic_timer_interrupt"),
        ];
        let report: Report = serde_json::from_value(json!({
            "schema": 1, "mode": "ukl", "lost": 0, "insns": 0, "events": 0, "engine": "probes", "notes": [],
            "classes": calls.map(|(kind, call)| class(kind, call)),
            "times": {"clock": {"unit": "ticks", "tsc_khz": 0, "about": "a clock",
                    "cost": {"probe": 0.0, "inside": 0.0, "between": 0.0}},
                "classes": calls.map(|(_, call)| times(call))},
        }))
        .unwrap();
        let lines = table(&report, report.times.as_ref().unwrap(), By::Call);
        let ends = |line: &str, text: &str| line.find(text).unwrap() + text.len();
        let [.., heading, first, second] = lines.as_slice() else {
            panic!("{lines:?}");
        };
        for line in [first, second] {
            assert_eq!(ends(line, "38390"), ends(heading, "mean ticks"), "{line}");
            assert_eq!(ends(line, "7471"), ends(heading, "min"), "{line}");
            assert_eq!(line.len(), heading.len(), "{line}");
        }
    }
}
