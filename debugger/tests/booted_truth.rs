//! That the counts are true: the same in every run, and beside what was measured on hardware as the book says.

mod qemus;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use debugger::crossing::{CrossingKind, Mode};
use debugger::qemu::image::Image;
use debugger::session::store;
use debugger::session::trace::{TraceOptions, trace};
use debugger::trace::diff;
use debugger::trace::report::{Class, Report};

const CALLS: [&str; 5] = ["getppid", "read", "write", "sendto", "recvfrom"];
const EACH: u64 = 1000;

fn image() -> Image {
    store::image("syscalls").unwrap_or_else(|error| panic!("{error}"))
}

fn traced(mode: Mode) -> Report {
    traced_by(mode, None)
}

fn traced_by(mode: Mode, qemu: Option<PathBuf>) -> Report {
    let mut options = TraceOptions::new(mode);
    options.calls = Some(EACH);
    options.qemu = qemu;
    let report = trace(&image(), &options, &AtomicBool::new(false), &mut |_| ())
        .unwrap_or_else(|error| panic!("{error}"))
        .report;
    assert_eq!(report.lost, 0, "{mode}");
    report
}

/// The exact count of a call's most frequent class that nothing interrupted.
fn instructions(report: &Report, call: &str) -> u64 {
    let calls = diff::calls(report);
    let class = calls.into_iter().find(|class| class.call == call);
    let class = class.unwrap_or_else(|| panic!("{call} is not in mode {}", report.mode));
    assert!(
        class.exact && !class.interrupted,
        "{call} in mode {}",
        report.mode
    );
    class.instructions
}

/// How often each path was taken, interrupted or not: interrupts come when they like.
fn taken(report: &Report, call: &str) -> u64 {
    let of_that = report.classes.iter().filter(|class| class.call == call);
    of_that.map(|class| class.count).sum()
}

#[test]
#[ignore = "boots an image"]
fn another_run_has_the_same_classes_and_counts() {
    for mode in Mode::ALL {
        check_same(&traced(mode), &traced(mode));
    }
}

/// What they offer the guest as a processor may differ; of these calls nothing depends on it.
#[test]
#[ignore = "boots an image in another QEMU"]
fn a_run_has_the_same_classes_and_counts_by_other_qemus() {
    for qemu in qemus::others() {
        for mode in Mode::ALL {
            check_same(&traced(mode), &traced_by(mode, Some(qemu.clone())));
        }
    }
}

fn check_same(one: &Report, other: &Report) {
    for call in CALLS {
        let what = format!("{call} in mode {}", one.mode);
        assert_eq!(taken(one, call), EACH, "{what}");
        assert_eq!(taken(other, call), EACH, "{what}");
        assert_eq!(instructions(one, call), instructions(other, call), "{what}");
        let [one, other] = [one, other].map(|run| {
            let calls = diff::calls(run);
            let class = calls.into_iter().find(|class| class.call == call);
            class.map(|class| (class.id.clone(), class.path.clone()))
        });
        assert_eq!(one, other, "{what}");
    }
}

/// Of a class: its id, kind and call, whether something was cut out, and how many crossings took how many instructions.
type Counted = (String, CrossingKind, String, bool, Vec<(u64, u64)>);

fn counted(report: &Report) -> Vec<Counted> {
    let of = |class: &Class| {
        let counts = class.counts.iter();
        let mut counts: Vec<_> = counts
            .map(|one| (one.instructions, one.crossings))
            .collect();
        if counts.is_empty() {
            counts.push((class.instructions, class.count));
        }
        let (id, call) = (class.id.clone(), class.call.clone());
        (id, class.kind, call, class.interrupted, counts)
    };
    let mut all: Vec<Counted> = report.classes.iter().map(of).collect();
    all.sort();
    all
}

/// Time and chance alone make runs differ: where the guest's are the same, all classes have the same counts, those
/// of faults and interrupts, and those that were interrupted, too.
#[test]
#[ignore = "boots an image"]
fn where_time_and_chance_repeat_themselves_all_classes_do() {
    for name in [
        "hello",
        "syscalls",
        "echo",
        "exceptions",
        "calls",
        "threads",
    ] {
        for mode in Mode::ALL {
            let run = || {
                let image = store::image(name).unwrap_or_else(|error| panic!("{error}"));
                let mut options = TraceOptions::new(mode);
                options.calls = Some(300).filter(|_| ["syscalls", "echo"].contains(&name));
                options.repeatable = true;
                let report = trace(&image, &options, &AtomicBool::new(false), &mut |_| ())
                    .unwrap_or_else(|error| panic!("{name} in mode {mode}: {error}"))
                    .report;
                assert_eq!(report.lost, 0, "{name} in mode {mode}");
                counted(&report)
            };
            // At the same time: that changes nothing either.
            let [one, other] = std::thread::scope(|scope| {
                let both = [(); 2].map(|()| scope.spawn(run));
                both.map(|run| {
                    run.join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
            });
            assert!(!one.is_empty(), "{name} in mode {mode}");
            assert_eq!(one, other, "{name} in mode {mode}");
        }
    }
}

/// A row of the book's table: nanoseconds on hardware in linux, ukl and bypass, and our instructions.
struct Row {
    call: String,
    ns: [f64; 3],
    instructions: [u64; 3],
}

fn rows(page: &str) -> Vec<Row> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let call = cells.first().filter(|call| CALLS.contains(call))?;
        let ns: Vec<f64> = cells
            .get(1..4)?
            .iter()
            .flat_map(|cell| cell.parse())
            .collect();
        let counts: Vec<u64> = cells
            .get(4..)?
            .iter()
            .flat_map(|cell| cell.parse())
            .collect();
        Some(Row {
            call: (*call).to_owned(),
            ns: ns.try_into().ok()?,
            instructions: counts.try_into().ok()?,
        })
    };
    page.lines().filter_map(row).collect()
}

#[test]
#[ignore = "boots an image"]
fn what_the_book_says_of_counts_beside_time_is_so() {
    let page = page("concepts/counts-and-time.md");
    let rows = rows(&page);
    assert_eq!(rows.len(), CALLS.len());
    let runs = [Mode::Linux, Mode::Ukl, Mode::Bypass].map(traced);
    let mut measured = BTreeMap::new();
    for row in &rows {
        let counts = [0, 1, 2].map(|mode| instructions(&runs[mode], &row.call));
        assert!(
            counts.is_sorted_by(|more, less| more > less),
            "{} {counts:?}",
            row.call
        );
        assert!(
            row.ns.is_sorted_by(|more, less| more > less),
            "{} {:?}",
            row.call,
            row.ns
        );
        measured.insert(row.call.as_str(), counts);
    }
    for (more, less) in [(0, 1), (1, 2)] {
        let savings = measured.values().map(|counts| counts[more] - counts[less]);
        let savings: std::collections::BTreeSet<u64> = savings.collect();
        assert_eq!(savings.len(), 1, "the same for every call: {savings:?}");
        let ns: Vec<f64> = rows.iter().map(|row| row.ns[more] - row.ns[less]).collect();
        let smallest = ns.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = ns.iter().copied().fold(0.0, f64::max);
        let said = format!("{smallest:.0} to {largest:.0} ns");
        assert!(page.contains(&said), "{said}");
        let saving = savings.into_iter().next().unwrap_or_default();
        if of_the_books_versions(&page) {
            assert!(page.contains(&format!("{saving} instructions")), "{saving}");
        }
    }
    // Another compiler or kernel makes other code.
    if of_the_books_versions(&page) {
        for row in &rows {
            assert_eq!(
                measured[row.call.as_str()],
                row.instructions,
                "{}",
                row.call
            );
        }
    }
}

fn page(name: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/src")
        .join(name);
    std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

/// The guide shows the same comparison as a terminal does.
#[test]
fn the_guide_has_the_same_counts() {
    let guide = page("guide/counting.md");
    for row in rows(&page("concepts/counts-and-time.md")) {
        let line = guide.lines().find(|line| {
            let call = line.split_whitespace().next();
            call == Some(row.call.as_str())
        });
        let cells = line.unwrap_or_default().split_whitespace().skip(2);
        let counts: Vec<u64> = cells.take(3).flat_map(str::parse).collect();
        assert_eq!(counts, row.instructions, "{}", row.call);
    }
}

/// Whether the image was built of the kernel and by the compiler that the page names: the kernel by its package, as
/// `6.1.192 (Debian linux-source-6.1 6.1.192-3)` ends in.
fn of_the_books_versions(page: &str) -> bool {
    let versions = image().manifest.versions;
    let kernel = versions.kernel.rsplit(' ').next().unwrap_or_default();
    let kernel = kernel.trim_end_matches(')');
    let compiler = versions.compiler.rsplit(' ').next().unwrap_or_default();
    page.contains(&format!("kernel {kernel}, gcc {compiler}"))
}
