//! What the tools answered, compared; and why answers differ.

use std::collections::BTreeMap;

use debugger::addr::Addr;
use debugger::symbols::{Symbols, stem};
use serde::Serialize;

/// Functions and lines of an address, innermost first.
pub(super) type Frames = Vec<(String, u32)>;

#[derive(Default, Serialize)]
pub(super) struct Check {
    pub(super) what: &'static str,
    pub(super) against: &'static str,
    pub(super) compared: usize,
    pub(super) differ: usize,
    pub(super) reasons: Vec<Reason>,
}

/// Answers that differ for one reason.
#[derive(Default, Serialize)]
pub(super) struct Reason {
    pub(super) why: String,
    pub(super) count: usize,
    /// Ours / theirs, of the first ones.
    pub(super) examples: Vec<String>,
}

/// Examples that are kept of each reason.
const EXAMPLES: usize = 3;

/// Of one comparison: nothing where they agree, else the reason and both answers.
pub(super) type Verdict = Option<(String, String)>;

pub(super) fn check(
    what: &'static str,
    against: &'static str,
    verdicts: impl Iterator<Item = Verdict>,
) -> Check {
    let mut check = Check {
        what,
        against,
        ..Check::default()
    };
    let mut reasons: BTreeMap<String, Reason> = BTreeMap::new();
    for verdict in verdicts {
        check.compared += 1;
        let Some((why, example)) = verdict else {
            continue;
        };
        check.differ += 1;
        let reason = reasons.entry(why.clone()).or_default();
        (reason.why, reason.count) = (why, reason.count + 1);
        if reason.examples.len() < EXAMPLES {
            reason.examples.push(example);
        }
    }
    check.reasons = reasons.into_values().collect();
    check
        .reasons
        .sort_by_key(|reason| std::cmp::Reverse(reason.count));
    check
}

impl Check {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} against {}: {} compared, {} differ",
            self.what, self.against, self.compared, self.differ
        )];
        for reason in &self.reasons {
            lines.push(format!("{:>10} {}", reason.count, reason.why));
            let examples = reason.examples.iter();
            lines.extend(examples.map(|example| format!("           {example}")));
        }
        lines
    }
}

/// What the tools said, to be compared.
#[derive(Default)]
pub(super) struct Answers {
    /// Offset of each member, by name, and the size under an empty name.
    pub(super) our_struct: Vec<(String, u64)>,
    pub(super) gdb_struct: Vec<(String, u64)>,
    pub(super) drgn_struct: Vec<(String, u64)>,
    pub(super) our_frames: Vec<Frames>,
    pub(super) gdb_frames: Vec<Frames>,
    pub(super) drgn_frames: Vec<Frames>,
    /// Of the third one, which is asked where two disagree.
    pub(super) judge_frames: Vec<Frames>,
}

impl Answers {
    pub(super) fn compare(&self, symbols: &Symbols, addrs: &[Addr]) -> Vec<Check> {
        let mut checks = Vec::new();
        for (against, theirs) in [("gdb", &self.gdb_struct), ("drgn", &self.drgn_struct)] {
            let verdicts = theirs.iter().map(|theirs| {
                let ours = self.our_struct.iter().find(|ours| ours.0 == theirs.0);
                (ours != Some(theirs)).then(|| (String::new(), format!("{ours:?} / {theirs:?}")))
            });
            checks.push(check("members and size of the struct", against, verdicts));
        }
        for (against, theirs) in [
            ("gdb", &self.gdb_frames),
            ("drgn", &self.drgn_frames),
            ("llvm-symbolizer", &self.judge_frames),
        ] {
            let both = || self.our_frames.iter().zip(theirs).zip(addrs).enumerate();
            let known =
                both().filter(|(_, ((ours, theirs), _))| !ours.is_empty() && !theirs.is_empty());
            let lines = known.map(|(i, ((ours, theirs), addr))| {
                let (ours, theirs) = (&ours[0], &theirs[0]);
                (ours.1 != theirs.1).then(|| {
                    let judge = self.judge_frames.get(i).and_then(|frames| frames.first());
                    let why = why_lines_differ(symbols, *addr, theirs.1);
                    let judge = match judge.map(|judge| judge.1) {
                        _ if against == "llvm-symbolizer" => "",
                        Some(line) if line == ours.1 => "; llvm-symbolizer says ours",
                        Some(line) if line == theirs.1 => "; llvm-symbolizer says theirs",
                        Some(_) => "; llvm-symbolizer says another",
                        None => "",
                    };
                    (
                        format!("{why}{judge}"),
                        format!("{addr} {ours:?} / {theirs:?}"),
                    )
                })
            });
            checks.push(check("line of an address", against, lines));
            let known = both().filter(|(_, ((_, theirs), _))| !theirs.is_empty());
            let names = known.map(|(_, ((ours, theirs), addr))| {
                let (ours, theirs) = (names(ours), names(theirs));
                (ours != theirs).then(|| {
                    let why = match ours.is_empty() {
                        true => "we tell none",
                        false => "",
                    };
                    (why.to_owned(), format!("{addr} {ours} / {theirs}"))
                })
            });
            checks.push(check(
                "functions of an address, inlined ones included",
                against,
                names,
            ));
        }
        checks.retain(|check| check.compared > 0);
        checks
    }
}

/// One tool has the function's name from DWARF, another from the symbol table.
fn names(frames: &Frames) -> String {
    let names: Vec<&str> = frames.iter().map(|frame| stem(&frame.0)).collect();
    names.join(" < ")
}

fn why_lines_differ(symbols: &Symbols, addr: Addr, theirs: u32) -> &'static str {
    let rows = symbols.line_rows(addr);
    let holds = rows.last();
    let another = rows
        .iter()
        .any(|row| row.line == theirs && row.begins_statement);
    match holds {
        Some(row) if another && !row.begins_statement => {
            "they tell the line of a statement that begins at the same address and of which no \
             instruction is left: the last row of an address holds, and begins none"
        }
        Some(_) if another => "they tell another row of the same address",
        _ => "",
    }
}
