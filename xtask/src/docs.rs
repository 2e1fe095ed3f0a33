//! `cargo xtask docs`: the generated pages of the book and the C header, made again from the tables they come from.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::image::repository;
use crate::progress;

#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Compares only, and fails on a difference
    #[arg(long)]
    pub(crate) check: bool,
}

/// # Errors
/// When a file cannot be written, or with `check` when one differs.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut stale = Vec::new();
    for (path, text) in generated()? {
        let full = repository().join(&path);
        let old = std::fs::read_to_string(&full).unwrap_or_default();
        if old == text {
            continue;
        }
        if args.check {
            stale.push(path.display().to_string());
            continue;
        }
        if let Some(folder) = full.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&full, text).with_context(|| format!("writing {}", full.display()))?;
        progress::say(&format!("docs: wrote {}", path.display()));
    }
    if !stale.is_empty() {
        bail!(
            "generated files differ from their tables: {}; run 'cargo xtask docs' and commit",
            stale.join(", ")
        );
    }
    progress::say("docs: the generated files agree with their tables");
    Ok(())
}

/// Each generated file, relative to the checkout, and what it must hold.
fn generated() -> Result<Vec<(PathBuf, String)>> {
    Ok(vec![
        (
            "docs/src/reference/commands.md".into(),
            debugger::command::reference(),
        ),
        (
            "docs/src/reference/queries.md".into(),
            debugger::trace::query::reference(),
        ),
        ("docs/src/reference/keys.md".into(), reference("keys")?),
        (
            "docs/src/reference/command-line.md".into(),
            reference("command-line")?,
        ),
        ("probes/wire/include/uklscope_wire.h".into(), wire::header()),
    ])
}

/// The pages that only the program itself can tell: the one built beside this, or for release.
fn reference(topic: &str) -> Result<String> {
    let beside = std::env::current_exe()?.with_file_name("uklscope");
    let program = if beside.exists() {
        beside
    } else {
        repository().join("target/release/uklscope")
    };
    let output = Command::new(&program)
        .args(["reference", topic])
        .output()
        .with_context(|| {
            format!(
                "running {}; build it with 'cargo build --release'",
                program.display()
            )
        })?;
    if !output.status.success() {
        bail!(
            "uklscope reference {topic}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
