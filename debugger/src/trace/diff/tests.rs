use proptest::prelude::{Strategy, any, proptest};
use proptest::{prop_assert, prop_assert_eq};

use super::*;
use crate::crossing::Mode;
use crate::trace::examples::{class, node, report};

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
fn paths_too_large_for_one_table_are_cut_at_anchors() {
    // 6,000 × 6,000 rows; the names that occur once are the anchors.
    let path = |extra: &str| {
        let children = (0..6000).map(|i| {
            let name = if i % 10 == 0 {
                format!("once{i}")
            } else {
                "often".to_owned()
            };
            node(&name, 1, vec![])
        });
        node("f", 1, children.chain([node(extra, 7, vec![])]).collect())
    };
    let (a, b) = (path("only a"), path("only b"));
    let rows = rows(&a, &b);
    let differ: Vec<_> = rows
        .iter()
        .filter(|row| row.verdict != Verdict::Same)
        .collect();
    assert_eq!(differ.len(), 2, "{differ:?}");
}

fn a_tree() -> impl Strategy<Value = Node> {
    let leaf = (0usize..6, 0u64..9)
        .prop_map(|(name, own)| node(["a", "b", "c", "d", "e", "f"][name], own, vec![]));
    leaf.prop_recursive(5, 60, 6, |inner| {
        (0usize..6, 0u64..9, proptest::collection::vec(inner, 0..6)).prop_map(
            |(name, own, children)| node(["a", "b", "c", "d", "e", "f"][name], own, children),
        )
    })
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
