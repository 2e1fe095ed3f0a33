//! What a difference of folded stacks makes of the same pair of runs: the figures of the book's page on it,
//! of the recording that is built into the program.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use debugger::crossing::Mode;
use debugger::session::trace_file::load;
use debugger::trace::diff;
use debugger::trace::export::{Format, How, Source};
use debugger::trace::recording::Recording;
use debugger::trace::report::{Class, Pair, Report, Verdict};

const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/src/concepts/differences.md"
);

/// Between the head of the page's table and its rows.
const RULE: &str = "|---|---|---|---|---|---|\n";

/// Removed and added, as one of the ways to compare has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ledger {
    removed: u64,
    added: u64,
}

fn recording() -> Recording {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tui/assets/builtin.uklrec");
    let (recording, issues) = load(&path).unwrap();
    assert!(issues.is_empty(), "{issues:?}");
    recording
}

fn run(runs: &[Report], mode: Mode) -> &Report {
    runs.iter().find(|run| run.mode == mode).unwrap()
}

/// The class alone, once: its own lines, without the frames for mode, kind and call.
fn stacks(recording: &Recording, run: &Report, class: &Class) -> String {
    let once = Class {
        count: 1,
        ..class.clone()
    };
    let alone = Report {
        classes: vec![once],
        ..run.clone()
    };
    let alone = Recording {
        runs: vec![alone],
        ..recording.clone()
    };
    let How::File(write) = Format::named("folded").unwrap().how else {
        panic!("folded stacks are one file");
    };
    let mut folded = Vec::new();
    write(&Source::of(&alone), &mut folded).unwrap();
    let mut text = String::new();
    for line in String::from_utf8(folded).unwrap().lines() {
        let stack = line.splitn(4, ';').last().unwrap();
        writeln!(text, "{stack}").unwrap();
    }
    text
}

fn ledger(lines: impl Iterator<Item = (u64, u64)>) -> Ledger {
    let mut ledger = Ledger {
        removed: 0,
        added: 0,
    };
    for (a, b) in lines {
        ledger.removed += a.saturating_sub(b);
        ledger.added += b.saturating_sub(a);
    }
    ledger
}

/// Joined on whole stacks, as every differential flame graph does it.
fn by_stacks(a: &str, b: &str) -> Ledger {
    let mut joined = Vec::new();
    let options = inferno::differential::Options::default();
    inferno::differential::from_readers(options, a.as_bytes(), b.as_bytes(), &mut joined).unwrap();
    let joined = String::from_utf8(joined).unwrap();
    ledger(joined.lines().map(|line| {
        let mut words = line.rsplitn(3, ' ');
        let mut number = || words.next().unwrap().parse().unwrap();
        let b = number();
        (number(), b)
    }))
}

/// The row of the page's table for a call.
fn row(pair: &Pair, stacks: Ledger) -> String {
    let moved: Vec<_> = pair
        .rows
        .iter()
        .filter(|row| row.verdict == Verdict::Moved)
        .collect();
    let count = |number: u64| debugger::addr::Insns(number).to_string();
    format!(
        "| {} | {} → {} | {} → {} | −{} +{} | −{} +{} | {} |",
        pair.call,
        pair.mode_a,
        pair.mode_b,
        count(pair.a),
        count(pair.b),
        count(stacks.removed),
        count(stacks.added),
        count(pair.removed),
        count(pair.added),
        moved.len()
    )
}

#[test]
fn the_page_has_the_figures_of_the_recording_that_is_built_in() {
    let recording = recording();
    let runs = &recording.runs;
    let mut table = String::new();
    for (call, from, to) in [
        ("getppid", Mode::Linux, Mode::Ukl),
        ("getppid", Mode::Linux, Mode::Bypass),
        ("recvmsg:tcp", Mode::Linux, Mode::Shortcut),
        ("sendmsg:tcp", Mode::Linux, Mode::Shortcut),
        ("sendmsg:tcp", Mode::Bypass, Mode::Shortcut),
    ] {
        let (a, b) = (run(runs, from), run(runs, to));
        let pairs = diff::pairs(a, b);
        let pair = pairs.iter().find(|pair| pair.call == call).unwrap();
        assert!(pair.balanced, "{call}");
        let class = |run: &Report, instructions| {
            let calls = diff::calls(run);
            let called = |class: &&&Class| {
                class.call == call
                    || (call.starts_with("send") && class.call == "tcp_sendmsg")
                    || (call.starts_with("recv") && class.call == "tcp_recvmsg")
            };
            let found = calls
                .iter()
                .filter(called)
                .find(|class| class.instructions == instructions);
            stacks(&recording, run, found.unwrap())
        };
        let (ours, theirs) = (class(a, pair.a), class(b, pair.b));
        let stacks = by_stacks(&ours, &theirs);
        // Both account for every instruction: what they differ in is what they call the same.
        assert_eq!(pair.a - stacks.removed + stacks.added, pair.b, "{call}");
        writeln!(table, "{}", row(pair, stacks)).unwrap();
    }
    let page = fs::read_to_string(PAGE).unwrap();
    let has = page.split_once(RULE).unwrap().1;
    let has = has.split_once("\n\n").unwrap().0;
    let table = table.trim_end();
    if std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
        fs::write(PAGE, page.replacen(has, table, 1)).unwrap();
    } else {
        assert_eq!(has, table, "INSTA_UPDATE=always writes it anew");
    }
}
