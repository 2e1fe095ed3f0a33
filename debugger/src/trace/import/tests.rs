use proptest::prelude::*;

use super::*;
use crate::crossing::{CrossingKind, Mode};
use crate::trace::examples::{a_tree, class, node, report};
use crate::trace::export::{self, Source};
use crate::trace::recording::{Head, Recording};
use crate::trace::report::Class;

fn check(text: &str, unit: Option<&str>, frames: &[(&str, usize, u64, u64)]) -> Vec<String> {
    let stacks = read(text.as_bytes()).unwrap();
    let found: Vec<_> = stacks
        .flame
        .frames
        .iter()
        .map(|frame| (frame.symbol.as_ref(), frame.depth, frame.own, frame.total))
        .collect();
    assert_eq!(found, frames, "{text}");
    assert_eq!(stacks.unit.as_deref(), unit, "{text}");
    stacks.notes
}

#[test]
fn stacks_of_any_tool_are_a_tree_and_their_unit_is_not_known() {
    let text = "# made by hand\nmain;read;do_syscall_64_[k] 5\r\nmain 2\n\nmain;read 1\nidle;;x 9\nmain;readahead 3\n";
    let notes = check(
        text,
        None,
        &[
            ("all", 0, 0, 20),
            ("main", 1, 2, 11),
            ("read", 2, 1, 6),
            ("do_syscall_64", 3, 5, 5),
            ("readahead", 2, 3, 3),
            ("idle", 1, 0, 9),
            ("x", 2, 9, 9),
        ],
    );
    assert!(notes.is_empty(), "{notes:?}");
    let stacks = read(text.as_bytes()).unwrap();
    assert_eq!(stacks.unknown(), ["unit", "calls", "origin", "exactness"]);
    assert_eq!(stacks.unit(), "counts");
    assert_eq!(stacks.flame.frames[3].origin.to_string(), "kernel:other");
}

#[test]
fn lines_that_are_none_are_told() {
    let text = "a;b 3\nno count\na;b x\na 18446744073709551615\na;c 1\n";
    let notes = check(
        text,
        None,
        &[
            ("all", 0, 0, 4),
            ("a", 1, 0, 4),
            ("b", 2, 3, 3),
            ("c", 2, 1, 1),
        ],
    );
    assert!(notes[0].starts_with("3 lines are passed over"), "{notes:?}");
    assert!(notes[0].ends_with("the first is line 2"), "{notes:?}");
    assert_eq!(read(b"hello\n"), Err(NoStacks::Lines));
    assert_eq!(read(b""), Err(NoStacks::Lines));
}

#[test]
fn trace_events_are_nested_by_their_times() {
    let text = r#"[
        {"ph":"M","name":"thread_name","pid":1,"tid":7,"args":{"name":"main"}},
        {"ph":"X","name":"leaf","pid":1,"tid":7,"ts":1.5,"dur":0.25,"args":{"any":[1,{"name":2}]}},
        {"ph":"X","name":"outer","pid":1,"tid":7,"ts":1,"dur":2},
        {"ph":"X","name":"leaf","pid":1,"tid":7,"ts":2,"dur":"0.5"},
        {"ph":"B","name":"b","pid":1,"tid":"w","ts":0},
        {"ph":"B","name":"c","pid":1,"tid":"w","ts":4},
        {"ph":"E","pid":1,"tid":"w","ts":5},
        {"ph":"E","pid":1,"tid":"w","ts":6},
        {"ph":"C","name":"counter","pid":1,"ts":0,"args":{"x":1}}
    ]"#;
    let notes = check(
        text,
        Some("ns"),
        &[
            ("all", 0, 0, 8000),
            ("thread w", 1, 0, 6000),
            ("b", 2, 5000, 6000),
            ("c", 3, 1000, 1000),
            ("main", 1, 0, 2000),
            ("outer", 2, 1250, 2000),
            ("leaf", 3, 750, 750),
        ],
    );
    assert_eq!(notes, ["1 event is no call and is passed over"]);
    let stacks = read(text.as_bytes()).unwrap();
    let leaf = stacks.flame.frames.last().unwrap();
    assert_eq!(leaf.calls, Some(2));
    assert_eq!(stacks.unknown(), ["origin", "exactness"]);
}

#[test]
fn what_does_not_fit_is_made_to_and_told() {
    let text = r#"{"traceEvents":[
        {"ph":"E","pid":1,"tid":1,"ts":0},
        {"ph":"X","name":"a","pid":1,"tid":1,"ts":0,"dur":10},
        {"ph":"X","name":"b","pid":1,"tid":1,"ts":5,"dur":10},
        {"ph":"X","name":"c","pid":1,"tid":1,"dur":10},
        {"ph":"X","name":"d","pid":1,"tid":1,"ts":1e300,"dur":10},
        {"ph":"B","name":"e","pid":1,"tid":1,"ts":20},
        {"ph":"B","name":"f","pid":1,"tid":1,"ts":21},
        {"ph":"E","pid":1,"tid":1,"ts":22},
        {"ph":"X","name":"cut of"#;
    let notes = check(
        text,
        Some("ns"),
        &[
            ("all", 0, 0, 12_000),
            ("a", 1, 5000, 10_000),
            ("b", 2, 5000, 5000),
            ("e", 1, 1000, 2000),
            ("f", 2, 1000, 1000),
        ],
    );
    for said in [
        "2 calls have no time",
        "1 call ends after its caller",
        "1 call does not end",
        "1 call ends that did not begin",
        "what follows line 10",
    ] {
        assert!(
            notes.iter().any(|note| note.starts_with(said)),
            "{said}: {notes:?}"
        );
    }
}

/// As our export along the clock writes it, of one vCPU: the idle task runs 10..400 and 700..1000, `ukl` between
/// them. Its call of `read` is interrupted for 50.
const ALONG_THE_CLOCK: &str = r#"{"displayTimeUnit":"ns","otherData":{"unit":"instructions: 1 µs of ts and dur is 1 instruction","written_by":"uklscope 0.1.0"},
"traceEvents":[
{"ph":"M","name":"process_name","pid":1,"tid":0,"ts":0,"args":{"name":"ukl"}},
{"ph":"M","name":"thread_name","pid":1,"tid":1,"ts":0,"args":{"name":"vCPU 0 swapper/0/0"}},
{"ph":"X","name":"do_idle","cat":"kernel:sched","pid":1,"tid":1,"ts":10,"dur":990,"args":{"instructions":690,"entered":"Kernel","returned":false}},
{"ph":"X","name":"schedule","cat":"kernel:sched","pid":1,"tid":1,"ts":300,"dur":410,"args":{"instructions":110,"entered":"Kernel","returned":true}},
{"ph":"M","name":"thread_name","pid":1,"tid":2,"ts":0,"args":{"name":"vCPU 0 ukl/32"}},
{"ph":"X","name":"main","cat":"app","pid":1,"tid":2,"ts":400,"dur":300,"args":{"instructions":250,"entered":"App","returned":false}},
{"ph":"X","name":"read","cat":"kernel:fs","pid":1,"tid":2,"ts":420,"dur":200,"args":{"instructions":150,"entered":"Syscall","returned":true}},
{"ph":"X","name":"timer","cat":"kernel:time","pid":1,"tid":2,"ts":500,"dur":50,"args":{"instructions":50,"entered":"Interrupt","returned":true}}
]}"#;

#[test]
fn a_call_along_the_clock_weighs_the_instructions_that_it_tells() {
    let notes = check(
        ALONG_THE_CLOCK,
        Some(INSTRUCTIONS),
        &[
            ("all", 0, 0, 990),
            ("vCPU 0 swapper/0/0", 1, 0, 690),
            ("do_idle", 2, 580, 690),
            ("schedule", 3, 110, 110),
            ("vCPU 0 ukl/32", 1, 0, 300),
            ("main", 2, 100, 250),
            ("read", 3, 150, 150),
            ("timer", 2, 50, 50),
        ],
    );
    assert!(notes[0].starts_with("these are all calls along the clock"));
    assert_eq!(notes.len(), 1, "{notes:?}");
    let stacks = read(ALONG_THE_CLOCK.as_bytes()).unwrap();
    assert_eq!(stacks.unknown(), ["exactness"]);
}

#[test]
fn what_tells_no_instructions_is_not_said_to_be_some() {
    let without = ALONG_THE_CLOCK.replace(r#""instructions":690,"#, "");
    let stacks = read(without.as_bytes()).unwrap();
    assert_eq!(stacks.unit, None);
    assert!(stacks.notes[0].starts_with("1 call does not tell its instructions"));
    // Its task was on another vCPU for a part of it.
    let more = ALONG_THE_CLOCK.replace(r#""instructions":690,"#, r#""instructions":5690,"#);
    let stacks = read(more.as_bytes()).unwrap();
    assert_eq!(stacks.unit.as_deref(), Some(INSTRUCTIONS));
    assert_eq!(stacks.flame.total(), 990 + 300);
    assert!(stacks.notes[0].starts_with("1 call ran on another vCPU as well"));
}

#[test]
fn calls_that_are_known_in_part_are_not_known() {
    let read_back = |counts: [u64; 2]| {
        let path = || node("entry", 1, vec![node("work", 2, vec![])]);
        let classes = counts.map(|count| Class {
            count,
            ..class(CrossingKind::Syscall, "read", path())
        });
        let recording = recording(vec![report(Mode::Ukl, classes.to_vec())]);
        let bytes = exported(&recording, "chrome");
        let stacks = read(&bytes).unwrap();
        let calls: Vec<_> = stacks
            .flame
            .frames
            .iter()
            .map(|frame| frame.calls)
            .collect();
        calls
    };
    assert_eq!(read_back([1, 1]), [None, Some(2), Some(2), Some(2)]);
    assert_eq!(read_back([1, 5]), [None, Some(6), None, None]);
}

#[test]
fn what_is_no_trace_says_what_it_is() {
    let check = |text: &str, said: &str| {
        let error = read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    };
    check("{\"a\":[1,2]}", "neither a list of trace events");
    check("{\"traceEvents\":[]}", "no call that begins and ends");
    check("[]", "no call that begins and ends");
    check("{\"traceEvents\":7}", "it is no JSON: invalid type");
    check("{\"a\" 1}", "it is no JSON: expected");
}

#[test]
fn one_call_or_function_is_picked_wherever_it_stands() {
    let path = node(
        "entry",
        1,
        vec![node("read", 2, vec![node("read", 3, vec![])])],
    );
    let other = node("stub", 4, vec![node("copy", 5, vec![])]);
    let run = report(
        Mode::Linux,
        vec![
            class(CrossingKind::Syscall, "read", path),
            class(CrossingKind::Bypass, "read", other),
        ],
    );
    let stacks = Stacks::of(&run);
    let frames = |name: &str| -> Vec<(String, usize, u64)> {
        let only = stacks.only(name).unwrap().flame;
        let frames = only.frames.iter();
        frames
            .map(|frame| (frame.symbol.to_string(), frame.depth, frame.total))
            .collect()
    };
    let frame = |name: &str, depth, total| (name.to_owned(), depth, total);
    assert_eq!(
        frames("read"),
        [
            frame("read", 0, 1500),
            frame("stub", 1, 900),
            frame("copy", 2, 500),
            frame("entry", 1, 600),
            frame("read", 2, 500),
            frame("read", 3, 300),
        ]
    );
    assert_eq!(frames("copy"), [frame("copy", 0, 500)]);
    assert!(stacks.only("nothing").is_none());
}

fn recording(runs: Vec<Report>) -> Recording {
    Recording {
        head: Head {
            image: "x".to_owned(),
            tool: "1".to_owned(),
            runs: runs.len(),
            ..Head::default()
        },
        runs,
    }
}

fn exported(recording: &Recording, to: &str) -> Vec<u8> {
    let export::How::File(write) = export::Format::named(to).unwrap().how else {
        panic!("{to} is one file");
    };
    let mut bytes = Vec::new();
    write(&Source::of(recording), &mut bytes).unwrap();
    bytes
}

/// What an export can carry: no frame without weight, no calls, no origin.
fn weights(flame: &Flame<'_>) -> Vec<(String, usize, u64, u64)> {
    let sorted = flame.sorted();
    let heavy = sorted.frames.iter().filter(|frame| frame.total > 0);
    heavy
        .map(|frame| {
            (
                frame.symbol.to_string(),
                frame.depth,
                frame.own,
                frame.total,
            )
        })
        .collect()
}

fn some_runs() -> impl Strategy<Value = Vec<Report>> {
    let kinds = proptest::sample::select(&CrossingKind::ALL[..]);
    let class = (kinds, "[a-c]{1,2}", a_tree(), 1u64..5).prop_map(|(kind, call, path, count)| {
        let mut class = class(kind, &call, path);
        class.count = count;
        class
    });
    let class = class.boxed();
    let run = |mode: Mode| {
        let classes = proptest::collection::vec(class.clone(), 1..5);
        classes.prop_map(move |classes| report(mode, classes))
    };
    (run(Mode::Linux), run(Mode::Bypass), any::<bool>())
        .prop_map(|(a, b, both)| if both { vec![a, b] } else { vec![a] })
}

proptest! {
    #[test]
    fn our_own_exports_read_back_with_every_instruction(runs in some_runs()) {
        let recording = recording(runs);
        let all: Vec<&Report> = recording.runs.iter().collect();
        let whole = Flame::of(&all, |_| true);
        prop_assume!(all.iter().all(|run| run.classes.iter().any(|class| class.path.total > 0)));
        for format in ["folded", "chrome"] {
            let bytes = exported(&recording, format);
            let stacks = read(&bytes).unwrap();
            prop_assert_eq!(stacks.unit.as_deref(), Some(INSTRUCTIONS));
            prop_assert!(stacks.notes.is_empty(), "{:?}", stacks.notes);
            prop_assert_eq!(weights(&stacks.flame), weights(&whole), "{}", format);
        }
    }

    #[test]
    fn a_difference_balances_whatever_is_compared(a in some_runs(), b in some_runs()) {
        let (a, b) = (recording(a), recording(b));
        let old = exported(&a, "folded");
        let (old, new) = (read(&old), Stacks::of(&b.runs[0]));
        prop_assume!(old.is_ok());
        let old = old.unwrap();
        let diff = differ((&old, "old"), (&new, "new"));
        prop_assert!(diff.balanced, "{diff:?}");
        prop_assert_eq!((diff.a.total, diff.b.total), (old.flame.total(), new.flame.total()));
        prop_assert_eq!(&diff.a.unknown, &["calls", "origin", "exactness"]);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }
}
