//! `cargo xtask tidy`: what the architecture page promises, checked.
//!
//! Each check bears the name that an **Invariant:** line of `docs/src/internals/architecture.md`
//! gives in brackets; a promise without a check, or a check without a promise, is a failure too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::image::repository;

/// Lines a file may have, tests included.
const LONGEST: usize = 600;

/// Tables and generated files, which may be longer.
const LONG_ALLOWED: &[&str] = &[];

/// Room of `debugger/src` → the rooms of its own crate that it may import.
///
/// Storey 0 (`addr count known origin crossing pattern profile`) is open to all and imports only itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("addr", &[]),
    ("count", &[]),
    ("known", &[]),
    ("origin", &[]),
    ("crossing", &[]),
    ("pattern", &[]),
    ("profile", &[]),
    ("gdb", &[]),
    ("qemu", &[]),
    ("disasm", &[]),
    ("symbols", &[]),
    ("guest", &["symbols"]),
    ("space", &["guest", "symbols"]),
    ("trace", &["symbols"]),
    ("event", &["trace"]),
    ("command", &["event"]),
    ("model", &["event", "command", "trace"]),
    (
        "session",
        &[
            "gdb", "qemu", "disasm", "symbols", "guest", "space", "trace", "event", "command",
            "model",
        ],
    ),
    ("serve", &["session", "event", "command", "model", "gdb"]),
];

const STOREY_0: &[&str] = &[
    "addr", "count", "known", "origin", "crossing", "pattern", "profile",
];

/// Where the core may touch the operating system.
const IO_ROOMS: &[&str] = &["session", "serve"];
const IO_MODULES: &[&str] = &["std::net", "std::fs", "std::process", "std::thread"];

/// Crate → the crates of this workspace that it may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("uklscope-wire", &[]),
    ("uklscope-debugger", &["uklscope-wire"]),
    ("uklscope-tcg-plugin", &["uklscope-wire"]),
    ("uklscope", &["uklscope-debugger", "uklscope-wire"]),
    ("xtask", &["uklscope-debugger", "uklscope-wire"]),
];

type Check = fn(&Tree) -> Result<Vec<String>>;

const CHECKS: &[(&str, Check)] = &[
    ("file-length", file_length),
    ("room-directions", room_directions),
    ("io-at-the-edge", io_at_the_edge),
    ("crate-directions", crate_directions),
    ("actions-in-one-table", single_tables),
];

struct File {
    /// Relative to the checkout.
    path: String,
    text: String,
}

/// The Rust files that are under version control or about to be.
struct Tree {
    files: Vec<File>,
}

/// # Errors
/// When a check finds a fault.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(&repository())?;
    let mut faults = Vec::new();
    for (name, check) in CHECKS {
        let found = check(&tree).with_context(|| format!("the check {name}"))?;
        faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    faults.extend(invariants()?);
    if !faults.is_empty() {
        bail!(
            "tidy found {} faults:\n  {}",
            faults.len(),
            faults.join("\n  ")
        );
    }
    crate::progress::say(&format!(
        "tidy: {} files, {} checks, no fault",
        tree.files.len(),
        CHECKS.len() + 1
    ));
    Ok(())
}

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let listed = Command::new("git")
            .args([
                "ls-files",
                "--cached",
                "--others",
                "--exclude-standard",
                "*.rs",
            ])
            .current_dir(root)
            .output()
            .context("listing the files with git; install git")?;
        if !listed.status.success() {
            bail!(
                "listing the files: git says {}",
                String::from_utf8_lossy(&listed.stderr).trim()
            );
        }
        let mut files = Vec::new();
        for path in String::from_utf8(listed.stdout)?.lines() {
            let full = root.join(path);
            if full.exists() {
                let text = std::fs::read_to_string(&full)
                    .with_context(|| format!("reading {}", full.display()))?;
                files.push(File {
                    path: path.to_owned(),
                    text,
                });
            }
        }
        if files.is_empty() {
            bail!("there is no Rust file under {}", root.display());
        }
        Ok(Self { files })
    }
}

impl File {
    /// The room of `debugger/src` that this file lies in.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("debugger/src/")?;
        let first = inside.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    /// Lines with their numbers from 1, up to the tests, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test_file = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        self.text
            .lines()
            .take_while(move |line| !is_test_file && line.trim() != "#[cfg(test)]")
            .enumerate()
            .map(|(i, line)| (i + 1, line.split("//").next().unwrap_or("")))
    }
}

fn file_length(tree: &Tree) -> Result<Vec<String>> {
    let faults = tree
        .files
        .iter()
        .filter(|file| !LONG_ALLOWED.contains(&file.path.as_str()));
    let faults = faults.filter_map(|file| {
        let lines = file.text.lines().count();
        (lines > LONGEST).then(|| format!("{} has {lines} lines, {LONGEST} allowed", file.path))
    });
    Ok(faults.collect())
}

fn room_directions(tree: &Tree) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for file in &tree.files {
        let Some(room) = file.room() else { continue };
        if room == "lib" {
            continue;
        }
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            faults.push(format!(
                "{}: the room '{room}' is not in tidy's table",
                file.path
            ));
            continue;
        };
        for (line, code) in file.code() {
            for other in imported_rooms(code) {
                let open = other == room
                    || STOREY_0.contains(&other)
                    || (!STOREY_0.contains(&room) && allowed.contains(&other));
                if !open {
                    faults.push(format!(
                        "{}:{line}: {room} may not import {other}",
                        file.path
                    ));
                }
            }
        }
    }
    Ok(faults)
}

/// The names that follow `crate::` in a line.
fn imported_rooms(code: &str) -> impl Iterator<Item = &str> {
    code.split("crate::").skip(1).filter_map(|rest| {
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    })
}

fn io_at_the_edge(tree: &Tree) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for file in &tree.files {
        let Some(room) = file.room() else { continue };
        if IO_ROOMS.contains(&room) {
            continue;
        }
        for (line, code) in file.code() {
            // Opening the file that memmap2 maps is the one exception, marked where it is made.
            let mapping = room == "symbols" && code.contains("std::fs::File");
            for module in IO_MODULES.iter().filter(|module| code.contains(**module)) {
                if !mapping {
                    faults.push(format!(
                        "{}:{line}: {module} outside session and serve",
                        file.path
                    ));
                }
            }
        }
    }
    Ok(faults)
}

fn crate_directions(_: &Tree) -> Result<Vec<String>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(repository())
        .output()
        .context("asking cargo for the workspace")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let names: BTreeSet<&str> = CRATES.iter().map(|(name, _)| *name).collect();
    let mut faults = Vec::new();
    for package in metadata["packages"].as_array().context("no packages")? {
        let name = package["name"].as_str().context("no name")?;
        let Some((_, allowed)) = CRATES.iter().find(|(known, _)| *known == name) else {
            faults.push(format!("the crate '{name}' is not in tidy's table"));
            continue;
        };
        for dependency in package["dependencies"]
            .as_array()
            .context("no dependencies")?
        {
            let on = dependency["name"].as_str().context("no name")?;
            if names.contains(on) && !allowed.contains(&on) {
                faults.push(format!("{name} may not depend on {on}"));
            }
        }
    }
    Ok(faults)
}

/// The tables that feed keys, help, completion and the book exist once each.
fn single_tables(tree: &Tree) -> Result<Vec<String>> {
    let tables = [
        ("const TABLE: &[Entry]", "debugger/src/command/table.rs"),
        ("const TABLE: &[Action]", "tui/src/action/table.rs"),
        ("SyscallEntry =", "probes/wire/src/record.rs"),
    ];
    // This file names the tables too.
    let others = tree
        .files
        .iter()
        .filter(|file| !file.path.starts_with("xtask/"));
    let mut faults = Vec::new();
    for (table, home) in tables {
        let holders: Vec<_> = others
            .clone()
            .filter(|file| file.code().any(|(_, c)| c.contains(table)))
            .collect();
        match holders.as_slice() {
            [only] if only.path.starts_with(home) => {}
            [] => faults.push(format!("no file under {home} has the table '{table}'")),
            several => {
                let paths: Vec<_> = several.iter().map(|file| file.path.as_str()).collect();
                faults.push(format!(
                    "'{table}' belongs to {home} alone: {}",
                    paths.join(", ")
                ));
            }
        }
    }
    Ok(faults)
}

/// Every **Invariant (name):** of the architecture page has its check, and the reverse.
fn invariants() -> Result<Vec<String>> {
    let page: PathBuf = repository().join("docs/src/internals/architecture.md");
    let text =
        std::fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
    let promised: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split("**Invariant (").nth(1)?.split(')').next())
        .collect();
    let checked: BTreeSet<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
    let mut faults = Vec::new();
    faults.extend(
        promised
            .difference(&checked)
            .map(|n| format!("invariant '{n}': no check")),
    );
    faults.extend(
        checked
            .difference(&promised)
            .map(|n| format!("check '{n}': no invariant")),
    );
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(path: &str, text: &str) -> Tree {
        Tree {
            files: vec![File {
                path: path.to_owned(),
                text: text.to_owned(),
            }],
        }
    }

    #[test]
    fn an_import_upwards_is_a_fault() {
        let up = tree("debugger/src/gdb/packet.rs", "use crate::session::Live;\n");
        assert_eq!(room_directions(&up).unwrap().len(), 1);
        let down = tree(
            "debugger/src/session/live.rs",
            "use crate::gdb::packet::encode;\n",
        );
        assert!(room_directions(&down).unwrap().is_empty());
        let zero = tree("debugger/src/gdb/packet.rs", "use crate::addr::Addr;\n");
        assert!(room_directions(&zero).unwrap().is_empty());
    }

    #[test]
    fn input_and_output_in_the_core_is_a_fault() {
        let bad = tree("debugger/src/trace/fold.rs", "use std::fs;\n");
        assert_eq!(io_at_the_edge(&bad).unwrap().len(), 1);
        let good = tree("debugger/src/session/link.rs", "use std::net::TcpStream;\n");
        assert!(io_at_the_edge(&good).unwrap().is_empty());
        let test = tree(
            "debugger/src/trace/fold.rs",
            "#[cfg(test)]\nmod t { use std::fs; }\n",
        );
        assert!(io_at_the_edge(&test).unwrap().is_empty());
    }

    #[test]
    fn a_long_file_is_a_fault() {
        assert!(
            file_length(&tree("a.rs", &"x\n".repeat(LONGEST)))
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            file_length(&tree("a.rs", &"x\n".repeat(LONGEST + 1)))
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn rooms_are_read_from_a_line() {
        let rooms: Vec<_> = imported_rooms("use crate::addr::Addr; crate::event::Stop").collect();
        assert_eq!(rooms, ["addr", "event"]);
    }
}
