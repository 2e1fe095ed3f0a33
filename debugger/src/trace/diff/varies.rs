//! Whether a row that no rule explains differs from crossing to crossing within a mode too.
//!
//! One crossing of a call finds a timer to set or a mapping to join, the next one does not: no mode has done
//! that. The runs' other classes of the call tell: what is seen in both runs may be chance, what one run alone
//! shows is not, though no rule has a name for it.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::OFTEN;
use crate::count::counted;
use crate::trace::report::{Class, Pair, Report, Row, Verdict};

const TIMES: &str = "times a call";

/// A function in all of a run's crossings of a call, as far as their classes are in the report.
#[derive(Debug, Default)]
struct Seen {
    /// How often one crossing passed through it.
    times: BTreeSet<u64>,
    /// Its own instructions each time.
    owns: BTreeSet<u64>,
}

/// A run's crossings of the call.
struct Calls<'a> {
    mode: String,
    /// How many there were.
    made: u64,
    functions: FxHashMap<&'a str, Seen>,
}

/// Fills in what is not explained yet of the pair that these two classes make. A count of a function in both that
/// either run has is no rule's doing, whatever that says of the function.
pub(super) fn explain(
    pair: &mut Pair,
    (ours, a): (&Class, &Report),
    (theirs, b): (&Class, &Report),
) {
    let is_open = |row: &&mut Row| match row.verdict {
        Verdict::Same => false,
        Verdict::Removed | Verdict::Added => row.because.is_none(),
        Verdict::Moved | Verdict::Cost => row.a != row.b,
    };
    let mut open: Vec<&mut Row> = pair.rows.iter_mut().filter(is_open).collect();
    if open.is_empty() {
        return;
    }
    let wanted: BTreeSet<String> = open.iter().map(|row| row.symbol.clone()).collect();
    let (in_a, in_b) = (Calls::of(ours, a, &wanted), Calls::of(theirs, b, &wanted));
    for row in &mut open {
        match why(row, &in_a, &in_b) {
            Ok(because) => row.because = Some(because),
            Err(_) if row.because.is_some() => {}
            Err(untold) => row.untold = Some(untold),
        }
    }
}

impl<'a> Calls<'a> {
    fn of(one: &Class, run: &Report, wanted: &'a BTreeSet<String>) -> Self {
        let named = wanted.iter().map(|name| (name.as_str(), Seen::default()));
        let mut functions: FxHashMap<&str, Seen> = named.collect();
        let mut made = 0;
        let same = |class: &&Class| class.kind == one.kind && class.call == one.call;
        for class in run.classes.iter().filter(same) {
            made += class.count;
            let mut times: FxHashMap<&str, u64> = FxHashMap::default();
            let mut todo = vec![&class.path];
            while let Some(node) = todo.pop() {
                if let Some(seen) = functions.get_mut(node.symbol.as_str()) {
                    seen.owns.insert(node.own);
                    *times.entry(&node.symbol).or_default() += node.calls;
                }
                todo.extend(&node.children);
            }
            for (name, seen) in &mut functions {
                seen.times.insert(times.get(name).copied().unwrap_or(0));
            }
        }
        Self {
            mode: run.mode.to_string(),
            made,
            functions,
        }
    }
}

fn why(row: &Row, a: &Calls<'_>, b: &Calls<'_>) -> Result<String, String> {
    let none = Seen::default();
    let of = |calls: &'_ Calls<'_>| -> (BTreeSet<u64>, BTreeSet<u64>) {
        let seen = calls.functions.get(row.symbol.as_str()).unwrap_or(&none);
        (seen.times.clone(), seen.owns.clone())
    };
    let ((times_a, owns_a), (times_b, owns_b)) = (of(a), of(b));
    let alone = matches!(row.verdict, Verdict::Removed | Verdict::Added);
    let (values_a, values_b, unit) = if alone {
        (times_a, times_b, TIMES)
    } else {
        (owns_a, owns_b, "instructions")
    };
    let told = format!(
        "{} in {}, {} in {}",
        range(&values_a, unit),
        a.mode,
        range(&values_b, unit),
        b.mode
    );
    let varies = values_a.len() > 1 || values_b.len() > 1;
    if overlap(&values_a, &values_b) {
        return match varies {
            true => Ok(format!("varies from call to call: {told}")),
            false => Ok(format!("in another place of the path: {told}")),
        };
    }
    Err(match a.made.min(b.made) {
        0..OFTEN => format!(
            "not known, made only {} in {} and {} in {}: {told}",
            often(a.made),
            a.mode,
            often(b.made),
            b.mode
        ),
        OFTEN.. => format!("not known, no rule tells it: {told}"),
    })
}

fn overlap(a: &BTreeSet<u64>, b: &BTreeSet<u64>) -> bool {
    a.first() <= b.last() && b.first() <= a.last()
}

fn often(times: u64) -> String {
    match times {
        1 => "once".to_owned(),
        times => counted(times, "time"),
    }
}

/// `never`, `once a call`, `1 to 3 times a call`; `14 instructions`
fn range(values: &BTreeSet<u64>, unit: &str) -> String {
    match (values.first(), values.last()) {
        (None, _) | (_, None) => "never".to_owned(),
        (Some(0), Some(0)) if unit == TIMES => "never".to_owned(),
        (Some(1), Some(1)) if unit == TIMES => "once a call".to_owned(),
        (Some(first), Some(last)) if first == last => format!("{first} {unit}"),
        (Some(first), Some(last)) => format!("{first} to {last} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crossing::{CrossingKind, Mode};
    use crate::trace::diff::pairs;
    use crate::trace::examples::{class, node, report};
    use crate::trace::report::Node;

    fn run(mode: Mode, count: u64, paths: Vec<Node>) -> Report {
        let classes = paths.into_iter().map(|path| Class {
            count,
            ..class(CrossingKind::Syscall, "munmap", path)
        });
        report(mode, classes.collect())
    }

    /// `symbol: why` of each row that differs.
    fn check(a: &Report, b: &Report, expected: &[&str]) {
        let pairs = pairs(a, b);
        let differ = pairs[0]
            .rows
            .iter()
            .filter(|row| row.verdict != Verdict::Same);
        let told = |row: &Row| {
            let known = if row.because.is_some() { "" } else { "? " };
            format!("{}: {known}{}", row.symbol, row.why().unwrap_or("-"))
        };
        assert_eq!(differ.map(told).collect::<Vec<_>>(), expected);
    }

    fn path(names: &[&str]) -> Node {
        node(
            "f",
            3,
            names.iter().map(|name| node(name, 5, vec![])).collect(),
        )
    }

    #[test]
    fn what_either_run_does_now_and_then_is_no_mode_of_either() {
        let mut rare = run(Mode::Linux, 4, vec![path(&["join"])]);
        rare.classes
            .extend(run(Mode::Linux, 100, vec![path(&["split", "join"])]).classes);
        check(
            &rare,
            &run(Mode::Ukl, 100, vec![path(&["join"])]),
            &["split: varies from call to call: 0 to 1 times a call in linux, never in ukl"],
        );
    }

    #[test]
    fn what_only_one_run_does_is_said_not_to_be_known() {
        check(
            &run(Mode::Linux, 100, vec![path(&["split", "join"])]),
            &run(Mode::Ukl, 100, vec![path(&["join"])]),
            &["split: ? not known, no rule tells it: once a call in linux, never in ukl"],
        );
        check(
            &run(Mode::Linux, 1, vec![path(&["join"])]),
            &run(Mode::Ukl, 2, vec![path(&["join", "split"])]),
            &[
                "split: ? not known, made only once in linux and 2 times in ukl: never in linux, once a call in ukl",
            ],
        );
    }

    #[test]
    fn of_classes_as_frequent_the_two_most_alike_are_compared() {
        let a = run(
            Mode::Linux,
            1,
            vec![path(&["split"]), path(&["join", "free"])],
        );
        let b = run(
            Mode::Ukl,
            1,
            vec![path(&["join", "free", "free"]), path(&["free"])],
        );
        check(
            &a,
            &b,
            &[
                "free: varies from call to call: 0 to 1 times a call in linux, 1 to 2 times a call in ukl",
            ],
        );
    }

    #[test]
    fn a_count_that_varies_is_told_by_its_range() {
        let at = |own| node("f", own, vec![]);
        check(
            &run(Mode::Linux, 50, vec![at(10), at(14)]),
            &run(Mode::Ukl, 50, vec![at(14), at(17), at(10)]),
            &[],
        );
        check(
            &run(Mode::Linux, 50, vec![at(10)]),
            &run(Mode::Ukl, 50, vec![at(14)]),
            &["f: ? not known, no rule tells it: 10 instructions in linux, 14 instructions in ukl"],
        );
    }
}
