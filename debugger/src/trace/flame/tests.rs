use proptest::prelude::*;

use super::*;
use crate::crossing::{CrossingKind, Mode};
use crate::trace::examples::{a_tree, class, node, report};

fn shown(flame: &Flame<'_>) -> Vec<(String, usize, u64, u64, u64)> {
    let frames = flame.frames.iter();
    frames
        .map(|frame| {
            (
                frame.symbol.to_string(),
                frame.depth,
                frame.start,
                frame.own,
                frame.total,
            )
        })
        .collect()
}

#[test]
fn calls_stand_the_heaviest_first_and_functions_as_they_are_called() {
    let light = class(CrossingKind::Syscall, "getppid", node("entry", 2, vec![]));
    let heavy = class(
        CrossingKind::Syscall,
        "read",
        node(
            "entry",
            1,
            vec![
                node("a", 3, vec![]),
                node("b", 5, vec![]),
                node("a", 1, vec![]),
            ],
        ),
    );
    let run = report(Mode::Linux, vec![light, heavy]);
    let flame = Flame::of(&[&run], |_| true);
    let frame = |name: &str, depth, start, own, total| (name.to_owned(), depth, start, own, total);
    assert_eq!(
        shown(&flame),
        [
            frame("all", 0, 0, 0, 1200),
            frame("syscall read", 1, 0, 0, 1000),
            frame("entry", 2, 0, 100, 1000),
            frame("a", 3, 0, 400, 400),
            frame("b", 3, 400, 500, 500),
            frame("syscall getppid", 1, 1000, 0, 200),
            frame("entry", 2, 1000, 200, 200),
        ]
    );
    assert_eq!(flame.frames[3].calls, Some(200));
    assert_eq!(flame.children(2).collect::<Vec<_>>(), [3, 4]);
    let b = flame.path(4);
    assert_eq!(b, ["all", "syscall read", "entry", "b"]);
    assert_eq!(flame.find(&b), 4);
    let gone = [&b[..3], &["c".to_owned()]].concat();
    assert_eq!(flame.find(&gone), 2);
}

#[test]
fn a_search_counts_nothing_twice() {
    let path = node(
        "lock_a",
        1,
        vec![node("lock_b", 3, vec![]), node("work", 5, vec![])],
    );
    let run = report(
        Mode::Linux,
        vec![class(CrossingKind::Syscall, "read", path)],
    );
    let flame = Flame::of(&[&run], |_| true);
    assert_eq!(flame.search("lock").instructions, 900);
    assert_eq!(
        flame.search("lock").frames,
        [false, false, true, true, false]
    );
    assert_eq!(flame.search("*_b").instructions, 300);
    assert_eq!(flame.search("nothing").instructions, 0);
    assert_eq!(flame.search(""), Found::default());
}

#[test]
fn nothing_recorded_is_one_empty_frame() {
    let flame = Flame::of(&[], |_| true);
    assert_eq!((flame.frames.len(), flame.total()), (1, 0));
    assert_eq!(flame.children(0).count(), 0);
}

proptest! {
    #[test]
    fn every_instruction_is_in_one_frame(paths in proptest::collection::vec(a_tree(), 0..4)) {
        let expected: u64 = paths.iter().map(|path| path.total * 100).sum();
        let classes = paths.into_iter().enumerate().map(|(i, path)| {
            class(CrossingKind::Syscall, ["read", "write"][i % 2], path)
        });
        let runs = [report(Mode::Linux, classes.collect()), report(Mode::Ukl, Vec::new())];
        let flame = Flame::of(&[&runs[0], &runs[1]], |_| true);
        prop_assert_eq!(flame.total(), expected);
        prop_assert_eq!(flame.frames.iter().map(|frame| frame.own).sum::<u64>(), expected);
        for (at, frame) in flame.frames.iter().enumerate() {
            let mut left = frame.start;
            for child in flame.children(at) {
                let child = &flame.frames[child];
                prop_assert_eq!((child.start, child.depth), (left, frame.depth + 1));
                left += child.total;
            }
            prop_assert_eq!(left + frame.own, frame.start + frame.total);
        }
    }
}
