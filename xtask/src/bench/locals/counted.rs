//! Variables counted by whether both tell the same.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::print::Host;
use super::{Frame, Told};

/// Examples that are kept of each reason.
const EXAMPLES: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Counted {
    stops: usize,
    frames: usize,
    /// Stops from some frame on of which gdb has another function.
    parted: usize,
    pub(super) gdb_died: usize,
    agree: usize,
    neither: usize,
    others: BTreeMap<(&'static str, String), Reason>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Reason {
    /// `differ`, `only ours`, `only gdb's`, `we lack it`, `gdb lacks it`
    what: &'static str,
    why: String,
    count: usize,
    examples: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema: u32,
    stops: usize,
    frames: usize,
    parted: usize,
    gdb_died: usize,
    /// Variables of which both tell the same value.
    agree: usize,
    /// Variables that are optimised out for both.
    neither: usize,
    others: Vec<Reason>,
    #[serde(flatten)]
    host: Host,
}

impl Counted {
    pub(super) fn compare(&mut self, setup: &str, ours: &[Frame], theirs: &[Frame]) {
        self.stops += 1;
        for (n, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            if ours.function != theirs.function {
                self.parted += 1;
                return;
            }
            self.frames += 1;
            let place = format!("{setup}, frame {n} {}", ours.function);
            self.compare_frame(&place, ours, theirs);
        }
    }

    fn compare_frame(&mut self, place: &str, ours: &Frame, theirs: &Frame) {
        // Of one name the first is the innermost.
        let mut left = theirs.variables.clone();
        for (name, our) in &ours.variables {
            let at = left.iter().position(|(other, _)| other == name);
            let Some(at) = at else {
                self.count(
                    "gdb lacks it",
                    String::new(),
                    format!("{place}: {name} {our:?}"),
                );
                continue;
            };
            let (_, their) = left.remove(at);
            let example = || format!("{place}: {name} {our:?} / {their:?}");
            match (our, &their) {
                (Told::No(_), Told::No(_)) => self.neither += 1,
                (Told::Value(a), Told::Value(b)) if a != b => {
                    self.count("differ", String::new(), example());
                }
                (Told::No(why), _) => self.count("only gdb's", class(why), example()),
                (_, Told::No(why)) => self.count("only ours", class(why), example()),
                _ => self.agree += 1,
            }
        }
        for (name, their) in left {
            self.count(
                "we lack it",
                String::new(),
                format!("{place}: {name} {their:?}"),
            );
        }
    }

    fn count(&mut self, what: &'static str, why: String, example: String) {
        let reason = self.others.entry((what, why.clone())).or_default();
        (reason.what, reason.why, reason.count) = (what, why, reason.count + 1);
        if reason.examples.len() < EXAMPLES {
            reason.examples.push(example);
        }
    }

    pub(super) fn report(self, host: Host) -> Report {
        let mut others: Vec<Reason> = self.others.into_values().collect();
        others.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        Report {
            schema: 1,
            stops: self.stops,
            frames: self.frames,
            parted: self.parted,
            gdb_died: self.gdb_died,
            agree: self.agree,
            neither: self.neither,
            others,
            host,
        }
    }
}

/// Without addresses, which differ from stop to stop.
fn class(why: &str) -> String {
    let why = why.split(';').next().unwrap_or(why);
    let words = why.split(' ').filter(|word| !word.contains("0x"));
    words.collect::<Vec<_>>().join(" ")
}

impl Report {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "{} stops, {} frames compared; at {} stops gdb has another function from some frame on, {} ended gdb",
                self.stops, self.frames, self.parted, self.gdb_died
            ),
            format!(
                "{:>8} variables of which both tell the same value",
                self.agree
            ),
            format!("{:>8} optimised out for both", self.neither),
        ];
        for reason in &self.others {
            lines.push(format!(
                "{:>8} {}: {}",
                reason.count, reason.what, reason.why
            ));
            lines.extend(reason.examples.iter().map(|one| format!("         {one}")));
        }
        lines.push(self.host.line());
        lines
    }
}
