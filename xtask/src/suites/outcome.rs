//! What a suite of tests came to in one mode, and how two modes compare.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// A suite in one mode. A test's name begins with its unit.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Outcome {
    pub(super) mode: String,
    pub(super) passed: usize,
    pub(super) failed: usize,
    /// Tests, and groups of tests, that do not apply.
    pub(super) skipped: usize,
    /// Files of tests that failed and passed when they were run again.
    pub(super) again: usize,
    pub(super) seconds: f64,
    /// From the machine's start until the program answered.
    pub(super) first_reply_seconds: f64,
    /// What failed, and what was said of it.
    pub(super) failures: BTreeMap<String, String>,
    /// What counts in every mode: the kernel's own faults, and a suite that did not reach its end.
    pub(super) complaints: Vec<String>,
    #[serde(skip)]
    pub(super) passes: BTreeSet<String>,
    #[serde(skip)]
    pub(super) log: PathBuf,
}

impl Outcome {
    pub(super) fn pass(&mut self, name: &str) {
        self.passed += 1;
        self.passes.insert(name.to_owned());
    }

    pub(super) fn fail(&mut self, name: &str, said: &str) {
        self.failed += 1;
        self.failures.insert(name.to_owned(), said.to_owned());
    }

    /// What another part of the same suite came to.
    pub(super) fn add(&mut self, part: Self) {
        self.passed += part.passed;
        self.failed += part.failed;
        self.skipped += part.skipped;
        self.failures.extend(part.failures);
        self.passes.extend(part.passes);
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let again = match self.again {
            0 => String::new(),
            files => format!("; {files} files passed when they were run again"),
        };
        format!(
            "mode {}: {} passed, {} failed, {} skipped in {:.0} s; first reply {:.1} s after the start",
            self.mode,
            self.passed,
            self.failed,
            self.skipped,
            self.seconds,
            self.first_reply_seconds
        ) + &again
    }

    /// What counts against this mode: failures that the baseline does not share, tests that only the baseline passed,
    /// and what counts in every mode.
    pub(super) fn worse_than(&self, baseline: Option<&Self>) -> Vec<String> {
        let mut worse = self.complaints.clone();
        let shared =
            |name: &String| baseline.is_some_and(|other| other.failures.contains_key(name));
        let own = self.failures.iter().filter(|(name, _)| !shared(name));
        // The baseline's own failures are the program's and the host's; it is no worse than itself.
        if baseline.is_none_or(|other| other.mode != self.mode) {
            worse.extend(own.map(|(name, said)| format!("{name}: {said}")));
        }
        let unreached = baseline
            .iter()
            .flat_map(|other| other.passes.difference(&self.passes));
        let unreached = unreached.filter(|name| !self.failures.contains_key(*name));
        worse.extend(
            unreached.map(|name| format!("{name}: passed in mode linux, was not reached here")),
        );
        worse
    }
}

/// # Errors
/// When the file cannot be written.
pub(super) fn write(suite: &str, outcomes: &[Outcome], path: &Path) -> Result<()> {
    let document = serde_json::json!({ "schema": 1, "suite": suite, "modes": outcomes });
    let text = serde_json::to_string_pretty(&document)?;
    std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    fn outcome(mode: &str, passes: &[&str], failures: &[&str]) -> Outcome {
        let mut outcome = Outcome {
            mode: mode.to_owned(),
            ..Outcome::default()
        };
        passes.iter().for_each(|name| outcome.pass(name));
        failures.iter().for_each(|name| outcome.fail(name, "said"));
        outcome
    }

    #[test]
    fn a_failure_that_linux_shares_does_not_count() {
        let linux = outcome("linux", &["a", "b"], &["c"]);
        assert!(linux.worse_than(Some(&linux)).is_empty());
        assert!(
            outcome("ukl", &["a", "b"], &["c"])
                .worse_than(Some(&linux))
                .is_empty()
        );
        assert!(
            outcome("ukl", &["a", "b", "c"], &[])
                .worse_than(Some(&linux))
                .is_empty()
        );
        assert_eq!(
            outcome("ukl", &["a"], &["b", "c"]).worse_than(Some(&linux)),
            ["b: said"]
        );
    }

    #[test]
    fn what_was_not_reached_counts_and_so_does_everything_without_a_baseline() {
        let linux = outcome("linux", &["a", "b"], &[]);
        assert_eq!(
            outcome("ukl", &["a"], &[]).worse_than(Some(&linux)),
            ["b: passed in mode linux, was not reached here"]
        );
        assert_eq!(outcome("ukl", &["a"], &["b"]).worse_than(None), ["b: said"]);
    }

    #[test]
    fn a_complaint_of_the_kernel_counts_in_every_mode() {
        let mut linux = outcome("linux", &[], &[]);
        linux.complaints.push("BUG: x".to_owned());
        assert_eq!(linux.worse_than(Some(&linux)), ["BUG: x"]);
    }
}
