//! `cargo xtask editor`: the debug adapter on a booted image, under a client that is not this project's own: the
//! one that the protocol's authors test adapters with.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::exports::Readers;
use crate::image::{self, repository};
use crate::progress::{self, Step};

/// Where it stops first: in the application.
const LINE: &str = "bad += getppid() != parent;";

/// # Errors
/// When the adapter does not do as the protocol has it, or shows something else than is there.
pub(crate) fn run(options: &image::Options) -> Result<()> {
    let readers = Readers::ready()?;
    crate::test::cargo("the program", &["build", "--release", "--workspace"])?;
    check(&readers, options)
}

/// The same of the program that is there; where the client is out of reach, it says so and checks
/// nothing.
///
/// # Errors
/// As [`run`], but for a client that cannot be had.
pub(crate) fn run_where_the_client_is(options: &image::Options) -> Result<()> {
    match Readers::ready() {
        Ok(readers) => check(&readers, options),
        Err(error) => {
            progress::say(&format!(
                "editor: not checked, the client cannot be had: {error:#}"
            ));
            Ok(())
        }
    }
}

fn check(readers: &Readers, options: &image::Options) -> Result<()> {
    let image = image::built("syscalls", options)?;
    let step = Step::start("an editor's client drives the debug adapter");
    let source = image.folder.join("repository/demos/syscalls/main.c");
    let line = line_of(&source)?;
    let program = repository().join("target/release/uklscope");
    let seen = readers.editor(&program, &source, line)?;
    same(&seen["first"][0], "app!bench_getppid")?;
    same(&seen["stopped"]["reason"], "function breakpoint")?;
    let frames = seen["frames"].as_array().context("no frames")?;
    let at = |name: &str| frames.iter().position(|frame| frame["name"] == name);
    let rows = [
        at("kernel:fs!ksys_write"),
        at("══ syscall write ══"),
        at("app!main"),
    ];
    ensure!(
        rows.iter().all(Option::is_some) && rows.is_sorted(),
        "the stack does not cross the boundary: {frames:?}"
    );
    let ruler = rows[1].unwrap_or_default();
    same(&frames[ruler]["presentationHint"], "label")?;
    same(&seen["values"]["Locals"]["count"], "1")?;
    same(&seen["values"]["Crossing"]["call"], "write")?;
    same(&seen["next"]["reason"], "step")?;
    same(&seen["out"]["reason"], "step")?;
    let back = seen["back"].as_str().unwrap_or_default();
    ensure!(
        back.starts_with("libc!") || back.starts_with("app!"),
        "'cross back' went to {back}"
    );
    let crossed = seen["in"]["description"].as_str().unwrap_or_default();
    ensure!(
        crossed.ends_with("into the kernel"),
        "'cross' stopped for '{crossed}'"
    );
    same(&seen["exception"]["reason"], "exception")?;
    same(&seen["told"]["exceptionId"], "syscall")?;
    ensure!(
        seen["written"]["bytesWritten"] == 12,
        "12 bytes were to be written, and {} were",
        seen["written"]["bytesWritten"]
    );
    same(&seen["read"], "twelve bytes")?;
    step.done();
    Ok(())
}

fn line_of(source: &Path) -> Result<usize> {
    let text =
        std::fs::read_to_string(source).with_context(|| format!("reading {}", source.display()))?;
    let at = text.lines().position(|line| line.contains(LINE));
    Ok(at.with_context(|| format!("{} has no line '{LINE}'", source.display()))? + 1)
}

fn same(found: &Value, expected: &str) -> Result<()> {
    ensure!(found == expected, "{found} in place of '{expected}'");
    Ok(())
}
