//! `uklscope advise`: which call to reach another way next, and what that saved.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use debugger::addr::Insns;
use debugger::count::{counted, either};
use debugger::trace::advise::{Advice, Candidate, Measured, PerRequest, advise};
use debugger::trace::diff::OFTEN;
use debugger::trace::recording::Recording;

use super::report;
use super::wanted::Wanted;

#[derive(Debug, clap::Args)]
pub struct AdviseArgs {
    /// A recording made by 'uklscope trace' or 'uklscope compare'.
    pub file: PathBuf,
    /// A recording of the rebuilt program: what was predicted stands beside what it takes.
    #[arg(long, value_name = "FILE")]
    pub measured: Option<PathBuf>,
    /// Rows for calls, or for the places of the application's own code that make them.
    #[arg(long, value_enum, default_value_t)]
    pub by: By,
    #[command(flatten)]
    pub wanted: Wanted,
}

/// What a row of the first table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    #[default]
    Call,
    Site,
}

const DOING: &str = "advising on";

/// Prints the calls still made by a system call or a bypass, the most worth first.
///
/// # Errors
/// When a recording cannot be read, or nothing of it is meant.
pub fn run(args: &AdviseArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let all = open_whole(&args.file)?;
    let mut runs = all.runs.clone();
    args.wanted.keep(&mut runs, &args.file)?;
    runs.retain(|run| !run.classes.is_empty());
    let mut advices: Vec<Advice> = runs.iter().map(|run| advise(run, &all.runs)).collect();
    if let Some(path) = &args.measured {
        for after in &open_whole(path)?.runs {
            advices.iter_mut().for_each(|advice| advice.measure(after));
        }
    }
    if json {
        match advices.as_slice() {
            [advice] => serde_json::to_writer(&mut *out, advice)?,
            advices => serde_json::to_writer(&mut *out, advices)?,
        }
        writeln!(out)?;
        return Ok(());
    }
    for (i, advice) in advices.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        for line in lines(advice, args.by) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// # Errors
/// When it cannot be read, tells times, or functions were left out of it.
fn open_whole(path: &Path) -> anyhow::Result<Recording> {
    let recording = report::open_counted(path, DOING)?;
    let mut options = recording.runs.iter();
    if let Some(option) = options.find_map(|run| run.functions_left_out.as_ref()) {
        bail!(
            "{DOING} {}: functions were left out by {option}, and what calls do themselves is not known; record without \
             it",
            path.display()
        );
    }
    Ok(recording)
}

/// Rows of the table; the others are counted in a line.
const MOST: usize = 30;

fn lines(advice: &Advice, by: By) -> Vec<String> {
    let itself = advice.bypass_itself.map_or_else(String::new, |itself| {
        format!("; a bypass takes {itself} itself, as the recording shows")
    });
    let share = advice.bypass as f64 * 100.0 / advice.insns.max(1) as f64;
    let mut lines = vec![format!(
        "mode {}: bypassing all that can be would save at most {} of {} instructions ({share:.2} %){itself}",
        advice.mode,
        Insns(advice.bypass),
        Insns(advice.insns)
    )];
    lines.extend(match by {
        By::Call => calls(advice),
        By::Site => sites(advice),
    });
    lines.extend(requests(advice));
    lines.extend(measured(advice));
    lines
}

fn sites(advice: &Advice) -> Vec<String> {
    let or_not =
        |saving: Option<u64>| saving.map_or_else(|| "–".to_owned(), |all| Insns(all).to_string());
    let head = format!(
        "{:<26} {:<22} {:<9} {:<20} {:>10} {:>16} {:>16}",
        "place", "caller", "kind", "call", "count", "bypass saves", "shortcut saves"
    );
    let rows = advice.sites.iter().take(MOST).map(|row| {
        format!(
            "{:<26} {:<22} {:<9} {:<20} {:>10} {:>16} {:>16}",
            row.place,
            row.caller,
            row.kind,
            row.call,
            Insns(row.count).to_string(),
            or_not(row.bypass),
            or_not(row.shortcut)
        )
    });
    let left = advice.sites.len().saturating_sub(MOST);
    let rest = (left > 0).then(|| {
        let (places, matter) = (counted(left, "place"), either(left, "matters", "matter"));
        let them = either(left, "it", "them");
        format!("and {places} that {matter} less; --json has {them}")
    });
    let none = advice.sites.is_empty().then(|| {
        "the recording does not say which places made the crossings: record it with the plugin"
            .to_owned()
    });
    std::iter::once(head)
        .chain(rows)
        .chain(rest)
        .chain(none)
        .collect()
}

fn calls(advice: &Advice) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<9} {:<20} {:>10} {:>8} {:>8} {:>14} {:>14}  {:<28} {:>8} {:>14}",
        "kind",
        "call",
        "count",
        "insns",
        "work",
        "bypass, each",
        "in all",
        "deepest function to call",
        "each",
        "in all"
    )];
    lines.extend(advice.candidates.iter().take(MOST).map(line));
    if let Some(rest) = advice
        .candidates
        .get(MOST..)
        .filter(|rest| !rest.is_empty())
    {
        lines.push(format!(
            "and {} that {} less; --json has {}",
            counted(rest.len(), "call"),
            either(rest.len(), "matters", "matter"),
            either(rest.len(), "it", "them")
        ));
    }
    lines
}

fn line(candidate: &Candidate) -> String {
    let bypass = match (&candidate.bypass, &candidate.kept) {
        (Some(saving), _) => {
            let each = match saving.expected {
                Some(expected) => format!("{} ({expected})", saving.each),
                None => saving.each.to_string(),
            };
            format!("{each:>14} {:>14}", Insns(saving.all).to_string())
        }
        (None, Some(_)) => format!("{:>14} {:>14}", "cannot be", ""),
        (None, None) => format!("{:>14} {:>14}", "is one", ""),
    };
    let shortcut = candidate
        .shortcut
        .as_ref()
        .map_or_else(String::new, |shortcut| {
            format!(
                "{:<28} {:>8} {:>14}",
                format!("{} {}", shortcut.symbol, Insns(shortcut.total)),
                shortcut.saving.each,
                Insns(shortcut.saving.all).to_string()
            )
        });
    format!(
        "{:<9} {:<20} {:>10} {:>8} {:>8} {bypass}  {shortcut}",
        candidate.kind,
        candidate.call,
        Insns(candidate.count).to_string(),
        Insns(candidate.instructions).to_string(),
        Insns(candidate.work).to_string(),
    )
    .trim_end()
    .to_owned()
}

fn requests(advice: &Advice) -> Vec<String> {
    if advice.requests.is_empty() {
        return Vec::new();
    }
    let head = |what: &str| {
        format!(
            "{:<12} {what:<20} {:>10} {:>12} {:>16} {:>18}",
            "request", "calls", "insns", "bypass, at most", "shortcut, at most"
        )
    };
    let row = |what: &str, one: &PerRequest| {
        let share = |saved: f64| saved * 100.0 / one.instructions.max(1.0);
        format!(
            "{:<12} {what:<20} {:>10.2} {:>12.0} {:>7.0} ({:>4.1} %) {:>9.0} ({:>4.1} %)",
            one.kind,
            one.calls,
            one.instructions,
            one.bypass,
            share(one.bypass),
            one.shortcut,
            share(one.shortcut)
        )
    };
    let mut lines = vec![String::new(), head("call")];
    for all in &advice.requests {
        for candidate in &advice.candidates {
            let mut made = candidate.requests.iter();
            let made = made.find(|one| one.kind == all.kind);
            lines.extend(made.map(|one| row(&candidate.call, one)));
        }
        lines.push(row("all of them", all));
    }
    lines
}

fn measured(advice: &Advice) -> Vec<String> {
    let often = |candidate: &&Candidate| candidate.count >= OFTEN;
    let (all, rare): (Vec<_>, Vec<_>) = advice.candidates.iter().partition(often);
    let rare = rare.iter().filter(|one| !one.measured.is_empty()).count();
    let all = all.into_iter();
    let all = all.flat_map(|candidate| candidate.measured.iter().map(move |one| (candidate, one)));
    let rows: Vec<String> = all
        .map(|(candidate, one)| measured_line(candidate, one))
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let head = format!(
        "{:<20} {:<10} {:<24} {:>8} {:>8} {:>10} {:>9} {:>6}   = {:>9} {:>9}",
        "call",
        "in mode",
        "made by",
        "before",
        "after",
        "predicted",
        "measured",
        "error",
        "itself",
        "its work"
    );
    let mut lines = vec![String::new(), head];
    lines.extend(rows);
    if rare > 0 {
        lines.push(format!(
            "{} made fewer than {OFTEN} times {} left out; --json has {}",
            counted(rare, "call"),
            either(rare, "is", "are"),
            either(rare, "it", "them")
        ));
    }
    lines
}

fn measured_line(candidate: &Candidate, one: &Measured) -> String {
    format!(
        "{:<20} {:<10} {:<24} {:>8} {:>8} {:>10} {:>9} {:>6}   = {:>9} {:>+9}{}{}",
        candidate.call,
        one.mode,
        format!("{} {}", one.kind, one.call),
        candidate.instructions,
        one.instructions,
        one.predicted,
        one.saved,
        one.error(),
        one.itself,
        one.work,
        if one.exact && candidate.exact {
            ""
        } else {
            "   ~ of several counts"
        },
        if one.balances() {
            ""
        } else {
            "   DOES NOT BALANCE"
        }
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn advised(json: bool, query: Option<&str>) -> String {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/builtin.uklrec");
        let args = AdviseArgs {
            by: By::default(),
            measured: Some(file.clone()),
            file,
            wanted: Wanted {
                query: query.map(|query| query.parse().unwrap()),
            },
        };
        let mut out = Vec::new();
        run(&args, json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_bypass_and_a_shortcut_saved_is_what_was_predicted_but_for_their_own_cost() {
        let document: serde_json::Value = serde_json::from_str(&advised(true, None)).unwrap();
        let advices: Vec<Advice> = serde_json::from_value(document).unwrap();
        let ukl = &advices[1];
        assert_eq!(ukl.bypass_itself, Some(42));
        for call in ["getppid", "read", "write", "sendto", "recvfrom"] {
            let candidate = ukl.candidates.iter().find(|one| one.call == call).unwrap();
            assert_eq!(candidate.bypass.unwrap().expected, Some(98), "{call}");
            let bypass = candidate
                .measured
                .iter()
                .find(|one| one.mode.to_string() == "bypass");
            let bypass = bypass.unwrap();
            let figures = (bypass.predicted, bypass.saved, bypass.itself, bypass.work);
            assert_eq!(figures, (140, 98, 42, 0), "{call}");
        }
        for (call, function) in [
            ("sendmsg:tcp", "tcp_sendmsg"),
            ("recvmsg:tcp", "tcp_recvmsg"),
        ] {
            let candidate = ukl.candidates.iter().find(|one| one.call == call).unwrap();
            let shortcut = candidate.shortcut.as_ref().unwrap();
            assert_eq!(
                shortcut.symbol, function,
                "as the shortcuts of the kernel's patches do"
            );
            let made = candidate
                .measured
                .iter()
                .find(|one| one.call == function)
                .unwrap();
            assert_eq!((made.itself, made.balances()), (185, true), "{made:?}");
        }
        let all = advices.iter().flat_map(|advice| &advice.candidates);
        assert!(all.flat_map(|one| &one.measured).all(Measured::balances));
    }

    #[test]
    fn the_table_shows_only_what_is_asked_for() {
        let text = advised(false, Some("call=getppid"));
        assert!(
            text.contains("140 (98)") && !text.contains("sendto"),
            "{text}"
        );
        let row = text
            .lines()
            .find(|line| line.contains("bypass getppid"))
            .unwrap();
        let figures: Vec<&str> = row.split_whitespace().collect();
        assert!(
            figures.ends_with(&["146", "104", "42", "=", "42", "+0"]),
            "{row}"
        );
    }
}
