//! What the ladder and the butterfly show: a call in two modes, or the stacks of two files.

use debugger::trace::import::StacksDiff;
use debugger::trace::report::{Pair, Row};

#[derive(Clone, Debug)]
pub struct Difference<'a> {
    /// `getppid`, `all calls`
    pub what: String,
    /// `linux`, or a file's name.
    pub sides: [String; 2],
    /// The same with what is known of each: `linux syscall`.
    pub heads: [String; 2],
    pub rows: &'a [Row],
    pub a: u64,
    pub b: u64,
    pub removed: u64,
    pub added: u64,
    pub balanced: bool,
    /// Down to what: `instruction`.
    pub unit: &'static str,
}

impl<'a> From<&'a Pair> for Difference<'a> {
    fn from(pair: &'a Pair) -> Self {
        Self {
            what: pair.call.clone(),
            sides: [pair.mode_a.to_string(), pair.mode_b.to_string()],
            heads: [
                format!("{} {}", pair.mode_a, pair.kind_a),
                format!("{} {}", pair.mode_b, pair.kind_b),
            ],
            rows: &pair.rows,
            a: pair.a,
            b: pair.b,
            removed: pair.removed,
            added: pair.added,
            balanced: pair.balanced,
            unit: "instruction",
        }
    }
}

impl<'a> From<&'a StacksDiff> for Difference<'a> {
    fn from(diff: &'a StacksDiff) -> Self {
        let sides = [&diff.a, &diff.b].map(|side| side.name.clone());
        Self {
            what: format!("all calls, by {}", diff.unit),
            heads: sides.clone(),
            sides,
            rows: &diff.rows,
            a: diff.a.total,
            b: diff.b.total,
            removed: diff.removed,
            added: diff.added,
            balanced: diff.balanced,
            unit: "last one",
        }
    }
}
