//! `xtask/gdbtests/cases.toml`: the files that are run, their programs, and what they come to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::image::repository;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    pub(super) gdb: Gdb,
    /// By name: what is linked into a kernel each.
    pub(super) program: BTreeMap<String, Program>,
    pub(super) case: Vec<Case>,
}

/// Whose test suite it is. A suite goes with the gdb of its version.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gdb {
    pub(super) version: String,
    /// Of the release's tarball as Debian has it, `gdb_VERSION.orig.tar.xz`.
    pub(super) sha256: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Program {
    /// Files of the suite.
    pub(super) sources: Vec<String>,
    /// Files of the suite that these include.
    #[serde(default)]
    pub(super) includes: Vec<String>,
    #[serde(default)]
    pub(super) flags: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// In the suite: `gdb.base/recurse.exp`.
    pub(super) file: String,
    /// The program by what the file calls its executable, where that is not the program's name.
    #[serde(default)]
    executables: BTreeMap<String, String>,
    /// The program, where the file calls its executable as that is called.
    #[serde(default)]
    program: Option<String>,
    /// On a recorded run, which goes back.
    #[serde(default)]
    pub(super) recorded: bool,
    pub(super) passes: usize,
    /// What is known to fail: the test's name, and why.
    #[serde(default)]
    pub(super) failures: BTreeMap<String, String>,
}

impl Cases {
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn read() -> Result<Self> {
        let path = folder().join("cases.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }
}

impl Case {
    /// Executable and program.
    pub(super) fn executables(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self
            .program
            .iter()
            .map(|name| (name.as_str(), name.as_str()));
        let others = self.executables.iter();
        own.chain(others.map(|(name, program)| (name.as_str(), program.as_str())))
    }

    /// For a folder: `gdb.base-recurse`.
    pub(super) fn short(&self) -> String {
        self.file.trim_end_matches(".exp").replace('/', "-")
    }
}

/// The list, and DejaGnu's description of the board.
pub(super) fn folder() -> PathBuf {
    repository().join("xtask/gdbtests")
}

#[cfg(test)]
mod tests {
    use super::Cases;

    #[test]
    fn every_case_has_a_program_and_every_program_a_case() {
        let cases = Cases::read().unwrap();
        let mut used: Vec<&str> = Vec::new();
        for case in &cases.case {
            assert!(case.executables().count() > 0, "{}", case.file);
            for (_, program) in case.executables() {
                assert!(cases.program.contains_key(program), "{program}");
                used.push(program);
            }
            for (name, why) in &case.failures {
                assert!(!why.is_empty(), "{}: {name}", case.file);
            }
        }
        assert!(
            cases
                .program
                .keys()
                .all(|name| used.contains(&name.as_str()))
        );
    }
}
