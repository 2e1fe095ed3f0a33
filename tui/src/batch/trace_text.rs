//! Reports, ladders and comparisons as plain text: what `report`, `diff` and `compare` print.

use std::collections::BTreeMap;

use debugger::addr::Insns;
use debugger::count::{counted, either};
use debugger::crossing::Setup;
use debugger::trace::clocks::Clocks;
use debugger::trace::diff;
use debugger::trace::report::{Class, Comparison, Pair, Phases, Report, Row, Verdict};

use super::{request_text, site_text, times_text};

/// What a row of a report's table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    Kind,
    #[default]
    Call,
    /// Each path of its own.
    Class,
    Phase,
    /// The places of the application's own code that crossings were made by.
    Site,
    /// Who made them.
    Task,
    /// What a server does for a request, where the image says what one is.
    Request,
}

const PHASES: &str = "entry  work  dispatch  copy  service  exit work  exit";

/// A report's table, below a line about the run.
#[must_use]
pub fn report(report: &Report, by: By) -> Vec<String> {
    let insns = match report.times {
        Some(_) => "instructions not counted".to_owned(),
        None => counted(Insns(report.insns), "instruction"),
    };
    let mut lines = vec![format!(
        "mode {} · {insns} · {} entries and returns by {} · lost {}",
        report.mode,
        Insns(report.events),
        report.engine,
        report.lost
    )];
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(report.clocks.iter().flat_map(clocks));
    if let Some(times) = &report.times {
        lines.extend(times_text::table(report, times, by));
        return lines;
    }
    lines.push(String::new());
    lines.extend(match by {
        By::Call => calls(report),
        By::Class => {
            let classes = report.classes.iter();
            classes.map(|class| class_line(report, class)).collect()
        }
        By::Kind => kinds(report),
        By::Phase => phases(report),
        By::Site => site_text::sites(report),
        By::Task => site_text::tasks(report),
        By::Request => request_text::calls(report),
    });
    if matches!(by, By::Call | By::Class) {
        lines.insert(lines.len() - rows_of(report, by), heading());
    }
    let requests = request_text::runs(std::iter::once(report));
    if !requests.is_empty() {
        lines.push(String::new());
        lines.extend(requests);
    }
    lines
}

/// Whether the two counts of the plugin agree.
fn clocks(clocks: &Clocks) -> Vec<String> {
    let mut lines = vec![format!(
        "counted by blocks and by instructions: {} of {} {}; {}",
        Insns(clocks.differing),
        counted(Insns(clocks.edges), "edge"),
        either(clocks.differing, "differs", "differ"),
        counted(Insns(clocks.faults), "fault")
    )];
    lines.extend(clocks.first.iter().map(|one| format!("  {one}")));
    lines
}

fn rows_of(report: &Report, by: By) -> usize {
    match by {
        By::Call => diff::calls(report).len() + others(report).len(),
        _ => report.classes.len(),
    }
}

fn heading() -> String {
    format!(
        "{:<10} {:<24} {:>9} {:>12}  {:<17} {PHASES}",
        "kind", "call", "count", "instructions", "exact"
    )
}

/// As wide as the columns of the heads above.
fn phase_columns(phases: Phases) -> String {
    let Phases {
        entry,
        entry_work,
        dispatch,
        copy,
        service,
        exit_work,
        exit,
    } = phases;
    format!(
        "{entry:>5} {entry_work:>5} {dispatch:>9} {copy:>5} {service:>8} {exit_work:>10} {exit:>5}"
    )
}

fn class_line(report: &Report, class: &Class) -> String {
    let exact = match (class.exact, class.interrupted) {
        (true, false) => "exact".to_owned(),
        (false, false) => format!("{}–{}", class.min, class.max),
        (_, true) => "interrupted".to_owned(),
    };
    let phases = match report.functions_left_out {
        Some(_) => "not known".to_owned(),
        None => phase_columns(class.phases),
    };
    format!(
        "{:<10} {} {:>12}  {exact:<17} {phases}",
        class.kind,
        called(&class.call, class.count),
        Insns(class.instructions).to_string(),
    )
}

/// Both columns in one: the longest names are those of interrupts, which are few.
fn called(call: &str, count: u64) -> String {
    let count = Insns(count).to_string();
    let room = (24 + 1 + 9_usize).saturating_sub(call.chars().count());
    format!("{call}{count:>room$}", room = room.max(count.len() + 1))
}

/// A call's dominant class each, with how many crossings and classes the call has in all.
fn calls(report: &Report) -> Vec<String> {
    diff::calls(report)
        .into_iter()
        .chain(others(report))
        .map(|class| {
            let same = report
                .classes
                .iter()
                .filter(|other| other.call == class.call && other.kind == class.kind);
            let (count, classes) =
                same.fold((0, 0), |(count, n), other| (count + other.count, n + 1));
            let mut line = class_line(report, class);
            if classes > 1 {
                line.push_str(&format!("   of {} in {classes} classes", Insns(count)));
            }
            line
        })
        .collect()
}

/// The dominant class of each fault and interrupt.
fn others(report: &Report) -> Vec<&Class> {
    let made = diff::calls(report);
    let mut found: Vec<&Class> = Vec::new();
    for class in &report.classes {
        let is_made = made
            .iter()
            .any(|other| other.kind == class.kind && other.call == class.call);
        let known = found.iter().any(|other| other.call == class.call);
        let is_call = made.iter().any(|other| other.call == class.call);
        if !is_made && !known && !is_call {
            found.push(class);
        }
    }
    found
}

fn kinds(report: &Report) -> Vec<String> {
    let mut kinds: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    let made = report.instructions_by_class();
    for class in &report.classes {
        let (count, insns) = kinds.entry(class.kind).or_default();
        *count += class.count;
        *insns += in_all(class, &made);
    }
    let mut lines = vec![format!(
        "{:<10} {:>12} {:>18}",
        "kind", "count", "instructions"
    )];
    lines.extend(kinds.into_iter().map(|(kind, (count, insns))| {
        format!(
            "{kind:<10} {:>12} {:>18}",
            Insns(count).to_string(),
            Insns(insns).to_string()
        )
    }));
    lines
}

/// Instructions of all crossings of a class.
fn in_all(class: &Class, made: &BTreeMap<&str, u64>) -> u64 {
    let made = made.get(class.id.as_str()).copied();
    made.unwrap_or_else(|| class.instructions_by_counts())
}

fn phases(report: &Report) -> Vec<String> {
    if let Some(option) = &report.functions_left_out {
        return vec![format!(
            "phases are not known: functions were left out by {option}; record without it"
        )];
    }
    let made = report.instructions_by_class();
    let every: u64 = report
        .classes
        .iter()
        .map(|class| in_all(class, &made))
        .sum();
    let mut sums: BTreeMap<usize, (&str, u64)> = BTreeMap::new();
    for class in &report.classes {
        for (at, (name, own)) in class.phases.named().into_iter().enumerate() {
            sums.entry(at).or_insert((name, 0)).1 += own * class.count;
        }
    }
    let all: u64 = sums.values().map(|(_, sum)| sum).sum();
    let mut lines = vec![format!(
        "{:<10} {:>18} {:>7}",
        "phase", "instructions", "share"
    )];
    lines.extend(sums.into_values().map(|(name, sum)| {
        let share = sum as f64 * 100.0 / all.max(1) as f64;
        format!(
            "{:<10} {:>18} {share:>6.1}%",
            name.replace('_', " "),
            Insns(sum).to_string()
        )
    }));
    if every != all {
        lines.push(format!(
            "by the most frequent count of each class; by each crossing's own they are {}",
            Insns(every)
        ));
    }
    lines
}

/// `getppid: linux 191 = bypass 87 + removed 146 − added 42`
#[must_use]
pub fn ledger(pair: &Pair) -> String {
    format!(
        "{}: {} {} = {} {} + removed {} − added {}{}",
        pair.call,
        pair.mode_a,
        pair.a,
        pair.mode_b,
        pair.b,
        pair.removed,
        pair.added,
        if pair.balanced {
            ""
        } else {
            "   DOES NOT BALANCE"
        }
    )
}

/// A row per function: its mark, its own instructions in either run, and its name under its caller.
#[must_use]
pub fn ladder(pair: &Pair) -> Vec<String> {
    let head = format!("  {:>7} {:>7}", pair.mode_a, pair.mode_b);
    std::iter::once(head)
        .chain(pair.rows.iter().map(|row| rung(row, 7)))
        .collect()
}

/// A row, its counts in columns of that width.
#[must_use]
pub fn rung(row: &Row, width: usize) -> String {
    let mark = match row.verdict {
        Verdict::Same => ' ',
        Verdict::Removed => '-',
        Verdict::Added => '+',
        Verdict::Moved => '>',
        Verdict::Cost => '~',
    };
    let own = |depth: Option<u32>, own: u64| depth.map_or_else(String::new, |_| own.to_string());
    let depth = row.depth_b.or(row.depth_a).unwrap_or(0) as usize;
    let why = row.why().map_or_else(String::new, |why| format!("  {why}"));
    format!(
        "{mark} {:>width$} {:>width$}  {:>depth$}{} [{}]{why}",
        own(row.depth_a, row.a),
        own(row.depth_b, row.b),
        "",
        row.symbol,
        row.origin,
        depth = depth * 2
    )
}

pub const LADDER_KEY: &str =
    "  same   - removed   + added   > under another caller   ~ another count of its own";

/// The modes side by side: totals, what each took away, phases, ledgers.
#[must_use]
pub fn comparison(comparison: &Comparison) -> Vec<String> {
    let modes: Vec<&Setup> = comparison.runs.iter().map(|run| &run.mode).collect();
    let mut lines = vec![format!(
        "{}: instructions in the kernel per call",
        comparison.image
    )];
    let mut head = format!("{:<16} {:>9}", "call", "count");
    for mode in &modes {
        head.push_str(&format!(" {:>10}", mode));
    }
    for step in modes.windows(2) {
        head.push_str(&format!(" {:>18}", format!("{}→{}", step[0], step[1])));
    }
    lines.push(head);
    let (calls, rare) = calls_compared(comparison);
    for call in &calls {
        lines.push(totals(comparison, &modes, call));
    }
    lines.push(String::new());
    lines.push(format!("{:<16} {:<10} {PHASES}", "phases", ""));
    for call in &calls {
        for run in &comparison.runs {
            if run.functions_left_out.is_none()
                && let Some(class) = compared(comparison, run, call)
            {
                lines.push(phase_line(call, &run.mode, class));
            }
        }
    }
    lines.push(String::new());
    let shown = comparison
        .pairs
        .iter()
        .filter(|pair| calls.contains(&pair.call));
    lines.extend(shown.map(ledger));
    let balanced = comparison.pairs.iter().filter(|pair| pair.balanced).count();
    let lost: u64 = comparison.runs.iter().map(|run| run.lost).sum();
    lines.push(format!(
        "{balanced} of {} {}; {} lost",
        counted(comparison.pairs.len(), "ledger"),
        either(balanced, "balances", "balance"),
        counted(lost, "record")
    ));
    let requests = request_text::runs(comparison.runs.iter());
    if !requests.is_empty() {
        lines.push(String::new());
        lines.extend(requests);
        lines.push(String::new());
        lines.extend(request_text::pairs(&comparison.requests));
    }
    if rare > 0 {
        lines.push(format!(
            "{} made fewer than {} times {} not shown; --json has {}",
            counted(rare, "call"),
            diff::OFTEN,
            either(rare, "is", "are"),
            either(rare, "it", "them")
        ));
    }
    for run in &comparison.runs {
        lines.extend(
            run.notes
                .iter()
                .map(|note| format!("note ({}): {note}", run.mode)),
        );
    }
    lines
}

/// Those made often, else all; and how many are left out.
fn calls_compared(comparison: &Comparison) -> (Vec<String>, usize) {
    let mut calls: Vec<String> = Vec::new();
    for pair in &comparison.pairs {
        if !calls.contains(&pair.call) {
            calls.push(pair.call.clone());
        }
    }
    let (often, rare): (Vec<_>, Vec<_>) = calls.iter().cloned().partition(|call| {
        let made = comparison.runs.iter().map(|run| made(run, call)).max();
        made.unwrap_or(0) >= diff::OFTEN
    });
    if often.is_empty() {
        (calls, 0)
    } else {
        (often, rare.len())
    }
}

fn made(run: &Report, call: &str) -> u64 {
    let classes = run.classes.iter().filter(|class| class.call == call);
    classes.map(|class| class.count).sum()
}

/// The class of a run that a call's first pair with it compares: a shortcut stands for the call it was paired with.
fn compared<'a>(comparison: &Comparison, run: &'a Report, call: &str) -> Option<&'a Class> {
    let mut pairs = comparison.pairs.iter().filter(|pair| pair.call == call);
    let id = pairs.find_map(|pair| match &run.mode {
        mode if *mode == pair.mode_a => Some(&pair.class_a),
        mode if *mode == pair.mode_b => Some(&pair.class_b),
        _ => None,
    })?;
    run.classes.iter().find(|class| class.id == *id)
}

fn totals(comparison: &Comparison, modes: &[&Setup], call: &str) -> String {
    let runs = comparison.runs.iter();
    let classes: Vec<Option<&Class>> = runs.map(|run| compared(comparison, run, call)).collect();
    let calls = comparison.runs.iter().zip(&classes);
    let count = calls.filter_map(|(run, class)| Some(made(run, &(*class)?.call)));
    let count = count.max().unwrap_or(0);
    let mut line = format!("{call:<16} {:>9}", Insns(count).to_string());
    for class in &classes {
        let total = class.map_or_else(
            || "–".to_owned(),
            |class| {
                format!(
                    "{}{}",
                    class.instructions,
                    if class.exact { " " } else { "~" }
                )
            },
        );
        line.push_str(&format!(" {total:>10}"));
    }
    for at in 1..modes.len() {
        let change = match (classes[at - 1], classes[at]) {
            (Some(a), Some(b)) if a.instructions >= b.instructions => {
                format!("−{}", a.instructions - b.instructions)
            }
            (Some(a), Some(b)) => format!("+{}", b.instructions - a.instructions),
            _ => String::new(),
        };
        line.push_str(&format!(" {change:>18}"));
    }
    line
}

fn phase_line(call: &str, mode: &Setup, class: &Class) -> String {
    let phases = phase_columns(class.phases);
    format!("{call:<16} {mode:<10} {phases}")
}

#[cfg(test)]
mod tests {
    use debugger::trace::diff;
    use debugger::trace::report::{Comparison, Report};
    use serde_json::json;

    use super::{called, totals};

    /// A run of two calls: `getpid` took one path, `gettid` two, the second a little less often.
    fn run(mode: &str, own: u64) -> Report {
        let class = |id: &str, call: &str, count: u64, leaf: &str| {
            let node = json!({"symbol": leaf, "origin": "kernel:core", "own": own, "total": own, "calls": 1, "children": []});
            json!({"id": id, "kind": "syscall", "call": call, "count": count, "instructions": own, "exact": true,
                "min": own, "max": own, "interrupted": false, "path": node,
                "phases": {"entry": 0, "entry_work": 0, "dispatch": 0, "copy": 0, "service": own, "exit_work": 0, "exit": 0}})
        };
        let other = format!("only_of_{mode}");
        let report = json!({"schema": 1, "mode": mode, "lost": 0, "insns": 0, "events": 0, "engine": "plugin", "notes": [],
            "classes": [class("1", "getpid", 7_265, "getpid"), class("2", "gettid", 90, &other), class("3", "gettid", 78, "same")]});
        serde_json::from_value(report).expect("it is a report")
    }

    #[test]
    fn a_call_is_told_by_the_classes_that_are_compared() {
        let (a, b) = (run("linux", 184), run("ukl", 86));
        let pairs = diff::pairs(&a, &b);
        let gettid = pairs.iter().find(|pair| pair.call == "gettid").unwrap();
        assert_eq!((&*gettid.class_a, &*gettid.class_b), ("3", "3"));
        let modes = [a.mode.clone(), b.mode.clone()];
        let comparison = Comparison {
            schema: 1,
            image: "posix".to_owned(),
            runs: vec![a, b],
            pairs,
            requests: Vec::new(),
        };
        let line = totals(&comparison, &[&modes[0], &modes[1]], "gettid");
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words, ["gettid", "168", "184", "86", "−98"]);
    }

    #[test]
    fn a_long_name_takes_the_room_before_its_count() {
        let line = format!("{:<24} {:>9}", "read", "1,234");
        assert_eq!(called("read", 1_234), line);
        let timer = called("asm_sysvec_apic_timer_interrupt", 26);
        assert_eq!(timer, "asm_sysvec_apic_timer_interrupt 26");
        assert_eq!(timer.len(), line.len());
        let many = called("asm_sysvec_apic_timer_interrupt", 1_234);
        assert_eq!(
            many, "asm_sysvec_apic_timer_interrupt 1,234",
            "apart in any case"
        );
    }
}
