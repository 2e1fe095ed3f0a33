//! What a file came to, from DejaGnu's summary, and how that differs from the list.

use super::cases::Case;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) passes: usize,
    /// `FAIL` and what else is no pass, by the test's name.
    pub(super) failures: Vec<String>,
    /// The file could not go on.
    pub(super) errors: Vec<String>,
}

/// How DejaGnu says that a test is not as it should be.
const FAILED: [&str; 3] = ["FAIL", "XPASS", "UNRESOLVED"];

impl Summary {
    /// `PASS: gdb.base/recurse.exp: continue to recurse (a = 9)`
    pub(super) fn of(text: &str) -> Self {
        let mut summary = Self::default();
        for line in text.lines() {
            let Some((word, rest)) = line.split_once(": ") else {
                continue;
            };
            let name = rest.split_once(".exp: ").map_or(rest, |(_, name)| name);
            // The other: of which the suite itself knows that gdb's own recording fails in it.
            if ["PASS", "KPASS"].contains(&word) {
                summary.passes += 1;
            } else if FAILED.contains(&word) {
                summary.failures.push(name.to_owned());
            } else if word == "ERROR" || (word == "UNTESTED" && rest.contains("failed to")) {
                summary.errors.push(rest.to_owned());
            }
        }
        summary
    }

    /// In words; none where it is as listed.
    pub(super) fn differences(&self, case: &Case) -> Vec<String> {
        let mut found: Vec<String> = self.errors.clone();
        let unknown = self.failures.iter();
        let unknown = unknown.filter(|name| !case.failures.contains_key(*name));
        found.extend(unknown.map(|name| format!("FAIL: {name}")));
        let mended = case.failures.keys();
        let mended = mended.filter(|name| !self.failures.contains(name));
        found.extend(mended.map(|name| format!("does not fail any more: {name}")));
        if self.passes != case.passes {
            found.push(format!("{} passes and not {}", self.passes, case.passes));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;
    use crate::gdbtests::cases::Case;

    const SUM: &str = "\
Running /x/gdb.base/until.exp ...
PASS: gdb.base/until.exp: until line number
FAIL: gdb.base/until.exp: until, outer: one
KFAIL: gdb.base/until.exp: known (PRMS gdb/1)
PASS: gdb.base/until.exp: last

\t\t=== gdb Summary ===

# of expected passes\t\t2
";

    #[test]
    fn a_summary_is_read_and_compared() {
        let summary = Summary::of(SUM);
        assert_eq!(summary.passes, 2);
        assert_eq!(summary.failures, ["until, outer: one"]);
        let case = |text: &str| toml::from_str::<Case>(text).unwrap();
        let listed = case("file = 'a'\npasses = 2\n[failures]\n'until, outer: one' = 'why'\n");
        assert!(summary.differences(&listed).is_empty());
        let other = case("file = 'a'\npasses = 3\n[failures]\n'x' = 'why'\n");
        assert_eq!(
            summary.differences(&other),
            [
                "FAIL: until, outer: one",
                "does not fail any more: x",
                "2 passes and not 3"
            ]
        );
    }
}
