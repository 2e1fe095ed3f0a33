//! The table of crossings while a traced run goes on: rows keep their places, and what is marked stays marked.

use std::sync::Arc;

use debugger::crossing::{CrossingKind, Mode};
use debugger::event::{Event, TraceNews, Work};
use debugger::trace::report::Class;

#[expect(dead_code, reason = "tests of the other screens need the rest")]
mod stage;

use stage::{Stage, facts};

/// Of each call its crossings and the instructions of one.
fn news(running: bool, calls: &[(&str, u64, u64)]) -> Event {
    let mut report = facts::report(Mode::Ukl);
    let any = report.classes.remove(0);
    report.classes = calls
        .iter()
        .map(|(call, count, instructions)| Class {
            id: format!("id of {call}"),
            kind: CrossingKind::Syscall,
            call: (*call).to_owned(),
            count: *count,
            instructions: *instructions,
            ..any.clone()
        })
        .collect();
    let crossings: u64 = calls.iter().map(|(_, count, _)| count).sum();
    Event::Trace(TraceNews {
        events: crossings * 1_000,
        report: Arc::new(report),
        events_per_s: 1e6,
        running,
        recording: running,
    })
}

fn live(keys: &str) -> Stage {
    let mut stage = Stage::new(80, 24);
    stage.keys("3");
    stage.event(news(
        true,
        &[("read", 9, 400), ("write", 8, 300), ("close", 7, 500)],
    ));
    stage.keys(keys);
    stage
}

/// The calls from above, the marked one in brackets.
fn rows(stage: &Stage) -> String {
    let classes = stage.ui.look.classes(&stage.model);
    let marked = stage.ui.look.class(&stage.model).map(|class| &class.id);
    let row = |class: &&Class| match marked == Some(&class.id) {
        true => format!("[{}]", class.call),
        false => class.call.clone(),
    };
    classes.iter().map(row).collect::<Vec<_>>().join(" ")
}

#[test]
fn rows_keep_their_places_until_one_is_much_more_frequent() {
    let mut stage = live("Down");
    assert_eq!(rows(&stage), "read [write] close");
    let next = [("close", 17, 900), ("write", 14, 300), ("read", 10, 400)];
    stage.event(news(true, &next));
    assert_eq!(rows(&stage), "read [write] close");
    let next = [("close", 40, 900), ("write", 20, 300), ("read", 15, 400)];
    stage.event(news(true, &next));
    assert_eq!(rows(&stage), "close read [write]");
    stage.event(news(false, &next));
    assert_eq!(rows(&stage), "close [write] read", "as the report has it");
}

#[test]
fn what_is_seen_marked_stays_marked_from_the_first_key_on() {
    let overtaken = [("close", 90, 900), ("read", 10, 400), ("write", 9, 300)];
    for (keys, title) in [
        ("4", "path of syscall read"),
        ("Enter", "path of syscall read"),
        ("c", "counts of syscall read"),
    ] {
        let mut stage = live(keys);
        stage.event(news(true, &overtaken));
        assert_eq!(rows(&stage), "close [read] write", "{keys}");
        let text = stage.text();
        assert!(text.contains(title), "{keys}: {text}");
    }
}

#[test]
fn the_table_is_sorted_as_the_user_wants_and_the_mark_goes_along() {
    let mut stage = live("Down o");
    assert_eq!(rows(&stage), "close read [write]");
    let text = stage.text();
    assert!(text.contains(", by instructions of each"), "{text}");
    stage.keys("o");
    assert_eq!(
        rows(&stage),
        "read close [write]",
        "3,600, 3,500 and 2,400 in all"
    );
    stage.keys("o");
    assert_eq!(rows(&stage), "close read [write]");
    stage.keys("o");
    assert_eq!(rows(&stage), "read [write] close");
    let text = stage.text();
    assert!(text.contains("crossings by count"), "{text}");
    stage.keys("Up o");
    assert_eq!(
        rows(&stage),
        "[close] read write",
        "the first stays the first"
    );
}

#[test]
fn a_timeline_of_a_run_that_goes_on_says_when_it_comes() {
    let stage = live("6");
    let text = stage.text();
    assert!(text.contains("a run is traced now"), "{text}");
}

#[test]
fn advice_gives_no_share_of_a_run_whose_instructions_are_not_known_yet() {
    let mut stage = live("a");
    assert!(stage.text().contains("% of the run"), "{}", stage.text());
    let Event::Trace(mut news) = news(true, &[("read", 900, 400)]) else {
        panic!("news are of a trace");
    };
    Arc::make_mut(&mut news.report).insns = 0;
    stage.event(Event::Trace(news));
    let text = stage.text();
    assert!(text.contains("bypassing all saves at most "), "{text}");
    assert!(!text.contains("% of the run"), "{text}");
}

#[test]
fn the_calls_of_a_live_flame_graph_keep_their_places() {
    let mut stage = live("5");
    let order = |stage: &Stage| {
        let text = stage.text();
        let line = text.lines().find(|line| line.contains("syscall read"));
        let line = line.expect("the calls have a line").to_owned();
        ["read", "write", "close"].map(|call| line.find(call).expect("it is wide enough"))
    };
    assert!(order(&stage).is_sorted());
    let next = [("close", 17, 500), ("write", 14, 300), ("read", 10, 400)];
    stage.event(news(true, &next));
    assert!(order(&stage).is_sorted());
    stage.keys("F");
    assert!(order(&stage).is_sorted(), "frozen as it was");
    stage.keys("F");
    stage.event(news(false, &next));
    assert!(!order(&stage).is_sorted(), "the heaviest first");
}

#[test]
fn rates_are_of_one_run_and_of_what_was_seen_before() {
    let mut stage = live("Down");
    let rates = |stage: &Stage, call: &str| {
        let classes = stage.ui.look.classes(&stage.model);
        let mut classes = classes.into_iter();
        let class = classes.find(|class| class.call == call).expect("it came");
        stage.model.crossings.rates(class).collect::<Vec<u64>>()
    };
    // A million events a second, a thousand to a crossing.
    assert_eq!(rates(&stage, "read"), [375]);
    let next = [
        ("open", 30, 50),
        ("read", 19, 400),
        ("write", 8, 300),
        ("close", 7, 500),
    ];
    stage.event(news(true, &next));
    assert_eq!(rates(&stage, "read"), [375, 250]);
    assert!(
        rates(&stage, "open").is_empty(),
        "it was too rare to be told of"
    );
    stage.event(news(false, &next));
    stage.event(news(true, &[("read", 4, 400)]));
    assert_eq!(rates(&stage, "read"), [1_000]);
}

#[test]
fn where_there_is_little_room_rates_stand_while_crossings_come() {
    let mut stage = live("Down");
    let is_rated = |stage: &Stage| stage.text().contains("per s");
    assert!(is_rated(&stage));
    stage.event(news(false, &[("read", 9, 400)]));
    assert!(!is_rated(&stage), "{}", stage.text());
}

#[test]
fn of_a_call_that_was_interrupted_the_name_is_cut_and_not_what_is_told_of_it() {
    let mut stage = live("Down");
    let Event::Trace(mut news) = news(true, &[("sched_get_priority_max", 9, 400)]) else {
        panic!("news are of a trace");
    };
    Arc::make_mut(&mut news.report).classes[0].interrupted = true;
    stage.event(Event::Trace(news));
    let text = stage.text();
    assert!(text.contains(" sched_g… (cut) "), "{text}");
    assert!(text.contains("── sched_get_priority_max: "), "{text}");
}

#[test]
fn escape_shows_all_again_before_it_ends_the_run() {
    let mut stage = live("/ call=close Enter");
    let work = Work {
        name: "tracing ukl".to_owned(),
        done: 0,
        total: 0,
        finished: false,
    };
    stage.event(Event::Work(work));
    assert_eq!(rows(&stage), "[close]");
    stage.keys("Esc");
    assert_eq!(rows(&stage), "[read] write close");
    assert!(stage.typed.is_empty(), "{:?}", stage.typed);
    stage.keys("5 Backspace");
    assert!(stage.typed.is_empty(), "{:?}", stage.typed);
    stage.keys("Esc");
    assert_eq!(stage.typed, ["cancel tracing ukl"]);
}

#[test]
fn what_is_folded_of_one_path_is_not_of_another() {
    let mut stage = live("4");
    let lines = |stage: &Stage| {
        stage
            .text()
            .lines()
            .filter(|line| line.contains('▾'))
            .count()
    };
    let all = lines(&stage);
    stage.keys("Enter");
    let folded = lines(&stage);
    assert!(folded < all, "{}", stage.text());
    stage.keys("3 Down 4");
    assert_eq!(lines(&stage), all, "{}", stage.text());
    stage.keys("3 Up 4");
    assert_eq!(lines(&stage), folded, "{}", stage.text());
}
