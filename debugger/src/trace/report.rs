//! What a trace is folded into: classes of crossings, each with its path, counted exactly.
//!
//! These types are the JSON of `uklscope report`, `compare` and `diff`: their names are stable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::call_sites::CallSite;
use super::clocks::Clocks;
use super::requests::{RequestPair, Requests};
use super::times::Measured;
use crate::addr::Addr;
use crate::crossing::{CrossingKind, Setup};
use crate::origin::Origin;

pub const SCHEMA: u32 = 1;

/// One run in one mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: u32,
    pub mode: Setup,
    /// Records dropped; 0 under the lossless policy.
    pub lost: u64,
    /// Instructions executed while recording.
    pub insns: u64,
    /// Function entries and returns folded.
    pub events: u64,
    /// What wrote the records: `plugin`, `stub`, `probes`.
    pub engine: String,
    /// Most frequent first.
    pub classes: Vec<Class>,
    /// The places of the application's own code that crossings were made by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<CallSite>,
    /// Who made how many crossings of each class, the most first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<Use>,
    /// Those that were switched to, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskName>,
    /// By kind, where the image says what a request is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Requests>,
    /// The option by which functions were left out: their instructions are counted to their callers, and to which
    /// phases they belong is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub functions_left_out: Option<String>,
    /// How long the classes took, where that was measured and instructions were not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<Measured>,
    /// Where the plugin counted in two ways: whether they agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clocks: Option<Clocks>,
    /// What a reader must know to believe the figures: crossings cut off at the ends, faults inside paths.
    pub notes: Vec<String>,
}

/// Crossings of one kind and call that took the same path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// A hash of the path's shape: the same in every run of the same image.
    pub id: String,
    pub kind: CrossingKind,
    /// `getppid`, `tcp_sendmsg`, `asm_exc_page_fault`.
    pub call: String,
    pub count: u64,
    /// The most frequent count of instructions in the kernel, from its first to the return; 0 where they were
    /// not counted.
    pub instructions: u64,
    /// Every member has that count; never where they were not counted.
    pub exact: bool,
    pub min: u64,
    pub max: u64,
    /// An interrupt, fault or task switch was cut out of the path.
    pub interrupted: bool,
    /// How many crossings took how many instructions, by these; empty where all took the same. Of very
    /// many only the most frequent: then the crossings are fewer than `count`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Count>,
    pub phases: Phases,
    pub path: Node,
}

/// Crossings of a class that one task made from one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Its id.
    pub class: String,
    /// The index in [`Report::sites`] of the last call that left the application's own code before; none where
    /// none was seen.
    pub site: Option<usize>,
    /// Tasks are numbered as they are first seen.
    pub task: u32,
    pub count: u64,
    /// In all of them.
    pub instructions: u64,
}

/// What a task is called by the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskName {
    /// As in [`Use::task`].
    pub task: u32,
    /// Where its stack pointer is kept while it sleeps: what records call it by.
    pub address: Addr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// Of the thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u64>,
    /// Why it has no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// Crossings of a class that took the same number of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub instructions: u64,
    pub crossings: u64,
}

/// Own instructions of the path, by phase; their sum is the path's total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    pub entry: u64,
    pub entry_work: u64,
    pub dispatch: u64,
    pub copy: u64,
    pub service: u64,
    pub exit_work: u64,
    pub exit: u64,
}

/// One function in a path, and what it called, in the order of the calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub symbol: String,
    pub origin: Origin,
    /// Instructions of this function alone, in the class's most frequent variant.
    pub own: u64,
    /// With everything it called.
    pub total: u64,
    pub calls: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    pub children: Vec<Self>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Same,
    Removed,
    Added,
    /// Under another caller.
    Moved,
    /// In both, with another own count.
    Cost,
}

/// One call in two runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub call: String,
    pub mode_a: Setup,
    pub mode_b: Setup,
    pub kind_a: CrossingKind,
    pub kind_b: CrossingKind,
    /// The ids of the classes that are compared.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub class_a: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub class_b: String,
    /// Their totals.
    pub a: u64,
    pub b: u64,
    pub removed: u64,
    pub added: u64,
    /// `a - removed + added == b`, summed from the rows and not from the totals.
    pub balanced: bool,
    pub rows: Vec<Row>,
}

/// A row of the ladder, in the order of execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub verdict: Verdict,
    pub symbol: String,
    pub origin: Origin,
    pub depth_a: Option<u32>,
    pub depth_b: Option<u32>,
    /// Own instructions in each run; 0 where it did not run.
    pub a: u64,
    pub b: u64,
    /// Which mode or option makes the difference, or that it varies within a mode too; not there where nothing
    /// differs or it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Why that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<String>,
}

/// `uklscope diff`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    pub schema: u32,
    pub pairs: Vec<Pair>,
}

/// `uklscope compare`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub schema: u32,
    pub image: String,
    pub runs: Vec<Report>,
    pub pairs: Vec<Pair>,
    /// One for each kind of request and pair of modes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<RequestPair>,
}

impl Class {
    /// Instructions of all its crossings, by the counts that are kept of them; those further take the most frequent one.
    #[must_use]
    pub fn instructions_by_counts(&self) -> u64 {
        let kept: u64 = self.counts.iter().map(|count| count.crossings).sum();
        let rest = self.count.saturating_sub(kept) * self.instructions;
        let counts = self.counts.iter();
        counts.fold(rest, |sum, count| {
            sum + count.crossings * count.instructions
        })
    }
}

impl Row {
    /// Why it differs, or why that is not known.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        self.because.as_deref().or(self.untold.as_deref())
    }
}

impl TaskName {
    /// `redis-server/1`; none where there is no name.
    #[must_use]
    pub fn label(&self) -> Option<String> {
        let comm = self.comm.as_ref()?;
        Some(match self.pid {
            Some(pid) => format!("{comm}/{pid}"),
            None => comm.clone(),
        })
    }
}

impl Report {
    /// What the guest calls a task, by its number.
    #[must_use]
    pub fn task(&self, number: u32) -> Option<&TaskName> {
        self.tasks.iter().find(|task| task.task == number)
    }

    /// Leaves out the sites that made none of its crossings.
    pub(super) fn keep_sites_of_uses(&mut self) {
        let mut kept = Vec::new();
        // A site's index among those kept.
        let mut at = BTreeMap::new();
        for site in self.uses.iter_mut().filter_map(|made| made.site.as_mut()) {
            *site = *at.entry(*site).or_insert_with(|| {
                kept.extend(self.sites.get(*site).cloned());
                kept.len() - 1
            });
        }
        self.sites = kept;
    }

    /// Instructions of all crossings of each class, by its id, where it was seen who made them.
    #[must_use]
    pub fn instructions_by_class(&self) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for made in &self.uses {
            *sums.entry(made.class.as_str()).or_default() += made.instructions;
        }
        sums
    }

    /// `redis-server/1`, its number where it has no name.
    #[must_use]
    pub fn task_label(&self, number: u32) -> String {
        let named = self.task(number).and_then(TaskName::label);
        named.unwrap_or_else(|| match number {
            0 => "not seen".to_owned(),
            number => number.to_string(),
        })
    }
}

impl Phases {
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.entry
            + self.entry_work
            + self.dispatch
            + self.copy
            + self.service
            + self.exit_work
            + self.exit
    }

    /// With their names, in the order of a path.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 7] {
        [
            ("entry", self.entry),
            ("entry_work", self.entry_work),
            ("dispatch", self.dispatch),
            ("copy", self.copy),
            ("service", self.service),
            ("exit_work", self.exit_work),
            ("exit", self.exit),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::Count;
    use crate::crossing::CrossingKind;
    use crate::trace::examples::{class, node};

    #[test]
    fn crossings_whose_counts_are_not_kept_take_the_most_frequent_one() {
        let mut read = class(CrossingKind::Syscall, "read", node("entry", 100, vec![]));
        read.count = 10;
        assert_eq!(read.instructions_by_counts(), 1_000);
        let kept = |instructions, crossings| Count {
            instructions,
            crossings,
        };
        read.counts = vec![kept(100, 6), kept(110, 3)];
        assert_eq!(read.instructions_by_counts(), 1_030);
    }
}
