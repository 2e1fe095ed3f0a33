//! Applying a series of patches, and saying precisely where one does not fit.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::command::tool;
use super::places::entries;

/// What is patched, for the message when a patch does not fit.
#[derive(Clone, Debug)]
pub(crate) struct Subject<'a> {
    /// `Linux 6.1.192 (Debian linux-source-6.1 6.1.192-2)`
    pub(crate) what: String,
    /// The versions that the series was tried with.
    pub(crate) tried: &'a [String],
    /// The option that takes another source.
    pub(crate) option: &'a str,
}

/// Applies every `*.patch` of a folder in the order of their names.
///
/// Lines may have moved, but their surroundings must be as they were (no fuzz): a hunk in the wrong place would go unseen.
///
/// # Errors
/// When one does not fit: which patch, which file and hunk, what it was tried with, and the next step.
pub(crate) fn apply(tree: &Path, folder: &Path, subject: &Subject<'_>) -> Result<()> {
    let patches: Vec<PathBuf> = entries(folder)?
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "patch")
        })
        .collect();
    for path in patches {
        apply_one(tree, &path, subject)?;
    }
    Ok(())
}

fn apply_one(tree: &Path, path: &Path, subject: &Subject<'_>) -> Result<()> {
    let mut patch = tool("patch");
    patch
        .args([
            "-p1",
            "--batch",
            "--forward",
            "--fuzz=0",
            "--no-backup-if-mismatch",
            "--reject-file=-",
            "-d",
        ])
        .arg(tree)
        .arg("-i")
        .arg(path);
    let output = patch.output().with_context(|| {
        format!(
            "applying {}: 'patch' does not start; is it installed?",
            path.display()
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = failures(&said);
    let failed = match failed.as_slice() {
        [] => format!(
            "patch said: {} {}",
            said.trim(),
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        failed => failed.join("; "),
    };
    bail!(
        "applying {} to {}: {failed}. The series was tried with {}. Rebase it as 'A newer point release' in \
         kernel/README.md says, or give one of those versions with {}",
        path.display(),
        subject.what,
        subject.tried.join(", "),
        subject.option
    )
}

/// `hunk 2 of arch/x86/lib/getuser.S does not fit (line 52)`, from what GNU patch prints.
fn failures(said: &str) -> Vec<String> {
    let mut file = "";
    let mut failures = Vec::new();
    for line in said.lines() {
        if let Some(name) = line
            .strip_prefix("patching file ")
            .or_else(|| line.strip_prefix("checking file "))
        {
            file = name;
        } else if line.contains("can't find file") || line.starts_with("No file to patch") {
            failures.push("a file it changes is not there".to_owned());
        } else if let Some((hunk, at)) = line
            .strip_prefix("Hunk #")
            .and_then(|rest| rest.split_once(" FAILED at "))
        {
            let at = at
                .trim_end_matches('.')
                .split(' ')
                .next()
                .unwrap_or_default()
                .trim_end_matches('.');
            failures.push(format!("hunk {hunk} of {file} does not fit (line {at})"));
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Subject, apply};

    const PATCH: &str =
        "a test\n\n--- a/one.c\n+++ b/one.c\n@@ -1,3 +1,3 @@\n before\n-old\n+new\n after\n";

    fn subject() -> Subject<'static> {
        Subject {
            what: "Linux 6.1.999".into(),
            tried: &[],
            option: "--linux-source",
        }
    }

    fn folders(contents: &str) -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let (tree, patches) = (temp.path().join("tree"), temp.path().join("patches"));
        fs::create_dir(&tree).unwrap();
        fs::create_dir(&patches).unwrap();
        fs::write(tree.join("one.c"), contents).unwrap();
        fs::write(patches.join("0001-a-test.patch"), PATCH).unwrap();
        (temp, tree, patches)
    }

    #[test]
    fn lines_may_have_moved() {
        let (_temp, tree, patches) = folders("more\nbefore\nold\nafter\n");
        apply(&tree, &patches, &subject()).unwrap();
        assert_eq!(
            fs::read_to_string(tree.join("one.c")).unwrap(),
            "more\nbefore\nnew\nafter\n"
        );
    }

    #[test]
    fn a_patch_that_does_not_fit_names_itself_the_hunk_and_the_next_step() {
        let (_temp, tree, patches) = folders("before\nother\nafter\n");
        let tried = ["6.1.192-2".to_owned()];
        let subject = Subject {
            tried: &tried,
            ..subject()
        };
        let error = apply(&tree, &patches, &subject).unwrap_err().to_string();
        for part in [
            "0001-a-test.patch",
            "Linux 6.1.999",
            "hunk 1 of one.c",
            "6.1.192-2",
            "kernel/README.md",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
