use std::collections::HashMap;

use proptest::prelude::{Strategy, any, proptest};
use proptest::{prop_assert, prop_assert_eq};

use super::*;
use crate::crossing::Mode;
use crate::trace::examples::{a_tree, class, node, report};

fn work() -> Node {
    node(
        "tcp_sendmsg",
        50,
        vec![node("lock", 5, vec![]), node("push", 70, vec![])],
    )
}

/// `mark own-in-a own-in-b symbol` per row.
fn check(a: &Node, b: &Node, expected: &[&str]) {
    let found: Vec<String> = rows(a, b)
        .iter()
        .map(|row| format!("{:?} {} {} {}", row.verdict, row.a, row.b, row.symbol))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn what_a_shortcut_leaves_alone_is_the_same_under_another_caller() {
    let by_call = node("entry", 30, vec![node("dispatch", 20, vec![work()])]);
    let direct = node("ukl_tcp_sendmsg", 10, vec![work()]);
    check(
        &by_call,
        &direct,
        &[
            "Removed 30 0 entry",
            "Removed 20 0 dispatch",
            "Added 0 10 ukl_tcp_sendmsg",
            "Moved 50 50 tcp_sendmsg",
            "Same 5 5 lock",
            "Same 70 70 push",
        ],
    );
}

#[test]
fn a_function_with_another_count_of_its_own_is_said() {
    let a = node("f", 3, vec![node("g", 1, vec![])]);
    let b = node("f", 4, vec![node("g", 1, vec![])]);
    check(&a, &b, &["Cost 3 4 f", "Same 1 1 g"]);
}

#[test]
fn of_two_calls_of_a_function_the_one_under_the_same_caller_is_matched() {
    let a = node(
        "f",
        1,
        vec![
            node("x", 2, vec![node("lock", 5, vec![])]),
            node("lock", 9, vec![]),
        ],
    );
    let b = node("f", 1, vec![node("lock", 9, vec![])]);
    check(
        &a,
        &b,
        &[
            "Same 1 1 f",
            "Removed 2 0 x",
            "Removed 5 0 lock",
            "Same 9 9 lock",
        ],
    );
}

#[test]
fn a_shortcut_is_paired_with_the_call_that_runs_its_function() {
    let a = report(
        Mode::Linux,
        vec![
            class(
                CrossingKind::Syscall,
                "sendto:tcp",
                node("entry", 30, vec![work()]),
            ),
            class(CrossingKind::Syscall, "getppid", node("entry", 30, vec![])),
        ],
    );
    let b = report(
        Mode::Shortcut,
        vec![
            class(
                CrossingKind::Shortcut,
                "tcp_sendmsg",
                node("ukl_tcp_sendmsg", 10, vec![work()]),
            ),
            class(
                CrossingKind::Bypass,
                "getppid",
                node("ukl_bypass_syscall", 9, vec![]),
            ),
        ],
    );
    let found = pairs(&a, &b);
    let calls: Vec<_> = found
        .iter()
        .map(|pair| {
            (
                pair.call.as_str(),
                pair.kind_b,
                pair.a,
                pair.b,
                pair.balanced,
            )
        })
        .collect();
    assert_eq!(
        calls,
        [
            ("sendto:tcp", CrossingKind::Shortcut, 155, 135, true),
            ("getppid", CrossingKind::Bypass, 30, 9, true),
        ]
    );
}

#[test]
fn a_total_that_the_rows_do_not_add_up_to_is_not_balanced() {
    let mut wrong = class(CrossingKind::Syscall, "read", node("entry", 30, vec![]));
    wrong.instructions += 1;
    let right = class(
        CrossingKind::Bypass,
        "read",
        node("ukl_bypass_syscall", 9, vec![]),
    );
    assert!(
        !pair(
            (&wrong, &Mode::Linux.into()),
            (&right, &Mode::Bypass.into())
        )
        .balanced
    );
}

#[test]
fn what_only_one_path_calls_takes_no_match_from_what_both_call() {
    // A helper that many call: the one within what is gone is not the one within what was added.
    let helper = || node("lock", 5, vec![]);
    let a = node(
        "f",
        1,
        vec![
            node("gone", 3, vec![helper()]),
            node("g", 50, vec![helper()]),
        ],
    );
    let b = node(
        "f",
        1,
        vec![
            node("g", 50, vec![helper()]),
            node("new", 4, vec![helper()]),
        ],
    );
    check(
        &a,
        &b,
        &[
            "Same 1 1 f",
            "Removed 3 0 gone",
            "Removed 5 0 lock",
            "Same 50 50 g",
            "Same 5 5 lock",
            "Added 0 4 new",
            "Added 0 5 lock",
        ],
    );
}

#[test]
fn a_caller_that_is_gone_leaves_what_it_called_to_its_own_caller() {
    let calls = || vec![node("x", 7, vec![]), node("y", 8, vec![])];
    let a = node(
        "f",
        1,
        vec![node("z", 2, vec![]), node("wrapper", 3, calls())],
    );
    let b = node("f", 1, [vec![node("z", 2, vec![])], calls()].concat());
    check(
        &a,
        &b,
        &[
            "Same 1 1 f",
            "Same 2 2 z",
            "Removed 3 0 wrapper",
            "Moved 7 7 x",
            "Moved 8 8 y",
        ],
    );
}

/// 60,000 functions: loops of calls that no table of all pairs holds, and a chain as deep as they are many.
#[test]
fn long_paths_are_aligned_call_by_call() {
    let rounds = |range: std::ops::Range<u64>| {
        let round = |i: u64| {
            let part = node("part", i % 7, vec![]);
            let often = if i.is_multiple_of(3) {
                "often"
            } else {
                "seldom"
            };
            [
                node("lock", 5, vec![]),
                node(often, 2, vec![part]),
                node("unlock", 4, vec![]),
            ]
        };
        range.flat_map(round).collect::<Vec<_>>()
    };
    let loops = |extra: &str| {
        let children = [
            rounds(0..7_500),
            vec![node(extra, 7, vec![])],
            rounds(7_500..15_000),
        ];
        node("f", 1, children.concat())
    };
    let (a, b) = (loops("only a"), loops("only b"));
    let found = rows(&a, &b);
    assert_eq!(found.len(), 60_003);
    let differ: Vec<_> = found
        .iter()
        .filter(|row| row.verdict != Verdict::Same)
        .map(|row| row.symbol.as_str())
        .collect();
    assert_eq!(differ, ["only a", "only b"]);
    // The other way round nothing lines up but the functions themselves.
    let turned = node("g", 1, rounds(0..15_000).into_iter().rev().collect());
    let pair = rows(&a, &turned);
    assert!(pair.iter().any(|row| row.verdict == Verdict::Moved));
}

fn size(node: &Node) -> usize {
    1 + node.children.iter().map(size).sum::<usize>()
}

proptest! {
    #[test]
    fn every_ledger_balances_and_every_function_has_one_row(a in a_tree(), b in a_tree(), exact in any::<bool>()) {
        let mut left = class(CrossingKind::Syscall, "x", a);
        left.exact = exact;
        let right = class(CrossingKind::Bypass, "x", b);
        let pair = pair((&left, &Mode::Linux.into()), (&right, &Mode::Bypass.into()));
        prop_assert!(pair.balanced);
        prop_assert_eq!(pair.rows.iter().filter(|row| row.depth_a.is_some()).count(), size(&left.path));
        prop_assert_eq!(pair.rows.iter().filter(|row| row.depth_b.is_some()).count(), size(&right.path));
        for row in &pair.rows {
            let both = row.depth_a.is_some() && row.depth_b.is_some();
            let alone = matches!(row.verdict, Verdict::Removed | Verdict::Added);
            prop_assert_eq!(both, !alone);
        }
    }

    #[test]
    fn a_path_does_not_differ_from_itself(a in a_tree()) {
        prop_assert!(rows(&a, &a).iter().all(|row| row.verdict == Verdict::Same));
    }
}

/// A tree of functions that each occur once, and what is done to it.
mod known {
    use super::*;

    #[derive(Clone, Debug)]
    pub(super) enum Edit {
        /// Its calls become its caller's.
        Inline(usize),
        /// A new function calls some of its calls in its place.
        Wrap(usize, usize, usize),
        Remove(usize),
        Insert(usize, usize),
        Cost(usize),
    }

    pub(super) fn edits() -> impl Strategy<Value = Vec<Edit>> {
        let at = 1usize..60;
        let edit = (0..5u8, at, 0usize..6, 0usize..6).prop_map(|(which, at, x, y)| match which {
            0 => Edit::Inline(at),
            1 => Edit::Wrap(at, x, y),
            2 => Edit::Remove(at),
            3 => Edit::Insert(at, x),
            _ => Edit::Cost(at),
        });
        proptest::collection::vec(edit, 0..12)
    }

    /// Every function gets a name of its own, in the order of execution.
    pub(super) fn named(node: &Node, next: &mut usize) -> Node {
        let symbol = format!("f{next}");
        *next += 1;
        let children = node
            .children
            .iter()
            .map(|child| named(child, next))
            .collect();
        Node {
            symbol,
            ..super::node("", node.own, children)
        }
    }

    pub(super) fn edit(root: &Node, edits: &[Edit]) -> Node {
        let mut root = root.clone();
        for (n, edit) in edits.iter().enumerate() {
            one(&mut root, edit, &format!("new{n}"));
        }
        root
    }

    fn one(root: &mut Node, edit: &Edit, new: &str) {
        match *edit {
            Edit::Cost(at) => {
                at_number(root, at, &mut |node| node.own += 3);
            }
            Edit::Wrap(at, x, y) => {
                at_number(root, at, &mut |node| {
                    let (from, to) = (
                        x.min(y).min(node.children.len()),
                        x.max(y).min(node.children.len()),
                    );
                    let inner = node.children.drain(from..to).collect();
                    node.children.insert(from, super::node(new, 2, inner));
                });
            }
            Edit::Insert(at, x) => {
                at_number(root, at, &mut |node| {
                    let to = x.min(node.children.len());
                    node.children.insert(to, super::node(new, 6, vec![]));
                });
            }
            Edit::Inline(at) => in_caller(root, at, &mut |caller, child| {
                let inner = std::mem::take(&mut caller.children[child].children);
                caller.children.splice(child..=child, inner);
            }),
            Edit::Remove(at) => in_caller(root, at, &mut |caller, child| {
                caller.children.remove(child);
            }),
        }
    }

    fn at_number(node: &mut Node, mut at: usize, change: &mut dyn FnMut(&mut Node)) -> usize {
        if at == 0 {
            change(node);
            return 0;
        }
        for child in &mut node.children {
            let size = size(child);
            if at <= size {
                return at_number(child, at - 1, change);
            }
            at -= size;
        }
        at
    }

    fn in_caller(node: &mut Node, mut at: usize, change: &mut dyn FnMut(&mut Node, usize)) {
        for i in 0..node.children.len() {
            let size = size(&node.children[i]);
            if at == 1 {
                return change(node, i);
            }
            if at <= size {
                return in_caller(&mut node.children[i], at - 1, change);
            }
            at -= size;
        }
    }

    /// Function → its caller and its own instructions.
    pub(super) fn callers(root: &Node) -> HashMap<String, (Option<String>, u64)> {
        let mut all = HashMap::new();
        let mut todo = vec![(root, None)];
        while let Some((node, caller)) = todo.pop() {
            all.insert(node.symbol.clone(), (caller, node.own));
            let below = node
                .children
                .iter()
                .map(|child| (child, Some(node.symbol.clone())));
            todo.extend(below);
        }
        all
    }
}

proptest! {
    /// Where each function occurs once, there is one right answer.
    #[test]
    fn every_known_edit_is_found(tree in a_tree(), edits in known::edits()) {
        let a = known::named(&tree, &mut 0);
        let b = known::edit(&a, &edits);
        let (in_a, in_b) = (known::callers(&a), known::callers(&b));
        let mut seen = 0;
        for row in rows(&a, &b) {
            let expected = match (in_a.get(&row.symbol), in_b.get(&row.symbol)) {
                (Some(_), None) => Verdict::Removed,
                (None, Some(_)) => Verdict::Added,
                (Some((ours, _)), Some((theirs, _))) if ours != theirs => Verdict::Moved,
                (Some((_, ours)), Some((_, theirs))) if ours != theirs => Verdict::Cost,
                (Some(_), Some(_)) => Verdict::Same,
                (None, None) => unreachable!("a row of neither path"),
            };
            prop_assert_eq!(row.verdict, expected, "{}", row.symbol);
            seen += 1;
        }
        let new = in_b.keys().filter(|name| !in_a.contains_key(*name)).count();
        prop_assert_eq!(seen, in_a.len() + new, "one row for each function");
    }

    #[test]
    fn the_rows_of_either_path_stand_in_its_order(a in a_tree(), b in a_tree()) {
        let rows = rows(&a, &b);
        let order = |depth: fn(&Row) -> Option<u32>, own: fn(&Row) -> u64| -> Vec<(String, u32, u64)> {
            let side = rows.iter().filter_map(|row| Some((row.symbol.clone(), depth(row)?, own(row))));
            side.collect()
        };
        let path = |root: &Node| -> Vec<(String, u32, u64)> {
            let mut names = Names::default();
            let flats = flatten(root, &mut names);
            flats.iter().map(|flat| (flat.symbol.to_owned(), flat.depth, flat.own)).collect()
        };
        prop_assert_eq!(order(|row| row.depth_a, |row| row.a), path(&a));
        prop_assert_eq!(order(|row| row.depth_b, |row| row.b), path(&b));
    }
}
