//! The ledger of every class of every demo, in every pair of its modes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use debugger::crossing::Setup;
use debugger::session::instructions::{Side, step_both};
use debugger::session::store;
use debugger::session::stub_trace::Wanted;
use debugger::session::trace::TraceOptions;
use debugger::session::trace_compare::traces;
use debugger::trace::diff;
use debugger::trace::report::{Pair, Report, Verdict};

/// What is asked for of each other demo, how often, and in which modes.
const DEMOS: [(&str, u64, &[&str]); 6] = [
    ("hello", 1, &SETUPS),
    ("exceptions", 20, &SETUPS),
    ("echo", 200, &SETUPS),
    ("crowd", 50, &SETUPS),
    ("redis", 300, &MODES),
    ("memcached", 300, &MODES),
];

/// Modes and options of the kernel's.
const SETUPS: [&str; 6] = [
    "linux",
    "ukl",
    "ukl+ret",
    "bypass",
    "bypass+bypass_limit=8",
    "shortcut",
];

/// Servers take longer to start.
const MODES: [&str; 4] = ["linux", "ukl", "bypass", "shortcut"];

fn runs(image: &str, calls: u64, setups: &[&str]) -> Vec<Report> {
    let image = store::image(image).unwrap_or_else(|error| panic!("{error}"));
    let setups = setups
        .iter()
        .map(|setup| setup.parse::<Setup>().expect("a setup"));
    let setups: Vec<Setup> = setups
        .filter(|setup| image.manifest.modes.contains(&setup.mode))
        .collect();
    let mut options = TraceOptions::new(image.manifest.default_mode);
    options.calls = Some(calls);
    let cancel = AtomicBool::new(false);
    let traced = traces(&image, &setups, &options, &cancel, &mut |_, _| ());
    let traced = traced.unwrap_or_else(|error| panic!("{error}"));
    traced.into_iter().map(|traced| traced.report).collect()
}

/// Traced once for all tests.
fn of_syscalls() -> &'static [Report] {
    static RUNS: OnceLock<Vec<Report>> = OnceLock::new();
    RUNS.get_or_init(|| runs("syscalls", 500, &SETUPS))
}

/// Each run with itself and with those after it, on two threads.
fn for_each_two(runs: &[Report], check: &(dyn Fn(&Report, &Report) + Sync)) {
    let all = runs.iter().enumerate();
    let all = all.flat_map(|(i, a)| runs[i..].iter().map(move |b| (a, b)));
    let left = Mutex::new(all);
    let next = || left.lock().expect("the other thread has failed").next();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((a, b)) = next() {
                    check(a, b);
                }
            });
        }
    });
}

/// From the rows alone: `pair` has its own sum.
fn check(pair: &Pair) {
    let what = || format!("{} from {} to {}", pair.call, pair.mode_a, pair.mode_b);
    let sum = |of: fn(&debugger::trace::report::Row) -> u64| pair.rows.iter().map(of).sum::<u64>();
    assert_eq!(sum(|row| row.a), pair.a, "{}", what());
    assert_eq!(sum(|row| row.b), pair.b, "{}", what());
    assert_eq!(
        sum(|row| row.a.saturating_sub(row.b)),
        pair.removed,
        "{}",
        what()
    );
    assert_eq!(
        sum(|row| row.b.saturating_sub(row.a)),
        pair.added,
        "{}",
        what()
    );
    assert_eq!(pair.a - pair.removed + pair.added, pair.b, "{}", what());
    assert!(pair.balanced, "{}", what());
    for row in &pair.rows {
        let is_right = match row.verdict {
            Verdict::Same => row.a == row.b,
            Verdict::Cost => row.a != row.b,
            Verdict::Moved => row.depth_a.is_some() && row.depth_b.is_some(),
            Verdict::Removed => row.depth_b.is_none() && row.b == 0,
            Verdict::Added => row.depth_a.is_none() && row.a == 0,
        };
        assert!(is_right, "{}: {row:?}", what());
    }
}

/// Every row that differs has a reason, of the table or of what the runs show beside it, or says why it has none.
fn check_reasons(pair: &Pair) {
    for row in pair.rows.iter().filter(|row| row.verdict != Verdict::Same) {
        let moved = row.verdict == Verdict::Moved && row.a == row.b;
        let what = || {
            format!(
                "{} from {} to {}: {row:?}",
                pair.call, pair.mode_a, pair.mode_b
            )
        };
        assert!(moved || row.why().is_some(), "{}", what());
    }
}

#[test]
#[ignore = "boots an image"]
fn the_ledger_balances_on_every_class_of_every_demo_in_every_pair_of_modes() {
    let check_all = |image: &str, runs: &[Report]| {
        let balanced = AtomicUsize::new(0);
        for_each_two(runs, &|a, b| {
            assert_eq!(a.lost, 0, "{image} in {}", a.mode);
            for pair in diff::pairs(a, b) {
                check_reasons(&pair);
            }
            diff::every_pair(a, b, &mut |pair| {
                check(pair);
                balanced.fetch_add(1, Ordering::Relaxed);
            });
        });
        let balanced = balanced.into_inner();
        assert!(balanced > 100, "{image}: {balanced} pairs of classes");
    };
    check_all("syscalls", of_syscalls());
    for (image, calls, setups) in DEMOS {
        check_all(image, &runs(image, calls, setups));
    }
}

/// Between modes every row of a plain call has a reason: its path is known to its last function.
#[test]
#[ignore = "boots an image"]
fn every_row_of_a_plain_call_that_differs_has_a_reason() {
    let runs = of_syscalls();
    for (i, a) in runs.iter().enumerate() {
        for b in &runs[i + 1..] {
            for pair in diff::pairs(a, b) {
                if !["getppid", "read", "write", "sendto", "recvfrom"].contains(&pair.call.as_str())
                {
                    continue;
                }
                for row in pair.rows.iter().filter(|row| row.verdict != Verdict::Same) {
                    let what = format!("{} from {} to {}: {row:?}", pair.call, a.mode, b.mode);
                    let moved = row.verdict == Verdict::Moved && row.a == row.b;
                    let by_table = |because: &String| !because.starts_with("varies");
                    assert!(
                        moved || row.because.as_ref().is_some_and(by_table),
                        "{what}"
                    );
                }
            }
        }
    }
}

/// The slow engine sees the path that the fast one has folded, and each of its instructions.
#[test]
#[ignore = "boots an image"]
fn the_instructions_of_a_function_are_as_many_as_its_count() {
    let image = store::image("syscalls").unwrap_or_else(|error| panic!("{error}"));
    let run = |mode: &str| {
        let mut runs = of_syscalls().iter();
        runs.find(|run| run.mode.to_string() == mode).unwrap()
    };
    let (a, b) = (run("linux"), run("bypass"));
    let matches = diff::matches(a, b);
    let (ours, theirs) = matches
        .into_iter()
        .find(|(ours, _)| ours.call == "getppid")
        .unwrap();
    let pair = diff::pair((ours, &a.mode), (theirs, &b.mode));
    let wanted = [ours, theirs].map(|class| Wanted {
        call: class.call.clone(),
        id: class.id.clone(),
        instructions: class.instructions,
    });
    let side = |setup, wanted| Side {
        image: &image,
        setup,
        wanted,
    };
    let sides = (side(&a.mode, &wanted[0]), side(&b.mode, &wanted[1]));
    let found = step_both("getppid", sides, &|_| true, &AtomicBool::new(false))
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(found.same_path_a && found.same_path_b);
    let mut seen = 0;
    for function in &found.functions {
        let rows = pair.rows.iter().filter(|row| row.symbol == function.symbol);
        let own = rows.fold((0, 0), |(a, b), row| (a + row.a, b + row.b));
        assert_eq!((function.a, function.b), own, "{}", function.symbol);
        seen += function.a + function.b;
    }
    assert_eq!(seen, pair.a + pair.b, "no instruction is left out");
    let lines = || {
        found
            .functions
            .iter()
            .flat_map(|one| &one.blocks)
            .flat_map(|block| &block.lines)
    };
    let ran = |text: &str| {
        let those = lines().filter(|line| line.text.starts_with(text));
        those.fold((0, 0), |(a, b), line| (a + line.a, b + line.b))
    };
    // Into the kernel and back: what a bypass leaves out.
    assert_eq!((ran("swapgs"), ran("sysret")), ((2, 0), (1, 0)));
    assert!(
        lines().any(|line| line.expensive.is_some() && line.a == 0),
        "what did not run is listed"
    );
}
