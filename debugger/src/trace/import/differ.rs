//! Two trees of weights, aligned as paths are.
//!
//! Such a file knows no order of calls, so both trees are put in the order of names first. What they weigh
//! is the work of all calls together: where one run made more of them than the other, it is heavier.

use serde::Serialize;

use super::Stacks;
use crate::trace::diff;
use crate::trace::report::{Row, SCHEMA};

/// `uklscope diff`, where one side is an import.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StacksDiff {
    pub schema: u32,
    /// Of all weights.
    pub unit: String,
    pub a: Side,
    pub b: Side,
    pub removed: u64,
    pub added: u64,
    /// `a - removed + added == b`, summed from the rows and not from the totals.
    pub balanced: bool,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// Its file, and the mode where it is a run.
    pub name: String,
    pub total: u64,
    /// How often what is compared was called; not there where the file does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    pub unknown: Vec<&'static str>,
    pub notes: Vec<String>,
}

impl StacksDiff {
    /// Below that a row is not worth a line: a thousandth of the heavier side.
    #[must_use]
    pub fn least(&self) -> u64 {
        self.a.total.max(self.b.total) / 1000
    }
}

/// With the names of both; that they count the same is the caller's to see to.
#[must_use]
pub fn differ((a, name_a): (&Stacks<'_>, &str), (b, name_b): (&Stacks<'_>, &str)) -> StacksDiff {
    let rows = diff::rows_of_flames(&a.flame.sorted(), &b.flame.sorted());
    let removed = rows.iter().map(|row| row.a.saturating_sub(row.b)).sum();
    let added = rows.iter().map(|row| row.b.saturating_sub(row.a)).sum();
    let side = |of: &Stacks<'_>, name: &str| Side {
        name: name.to_owned(),
        total: of.flame.total(),
        calls: of.flame.frames.first().and_then(|frame| frame.calls),
        unknown: of.unknown(),
        notes: of.notes.clone(),
    };
    let (side_a, side_b) = (side(a, name_a), side(b, name_b));
    let rest = side_a.total.checked_sub(removed);
    StacksDiff {
        schema: SCHEMA,
        unit: a.unit().to_owned(),
        balanced: rest.and_then(|rest| rest.checked_add(added)) == Some(side_b.total),
        a: side_a,
        b: side_b,
        removed,
        added,
        rows,
    }
}
