//! `uklscope diff`: what differs between two recordings, or between two runs of one.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use debugger::crossing::Setup;
use debugger::trace::diff::diff;
use debugger::trace::flame::svg;
use debugger::trace::recording::Recording;

use super::instructions::{self, Side};
use super::report::{self, Input};
use super::stacks::{self, Import};
use super::trace_text;
use super::wanted::Wanted;

#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// A recording; or folded stacks, or a Chrome trace as JSON, which are compared by what all calls weigh
    /// together.
    pub a: PathBuf,
    /// Else two runs of the first are compared.
    pub b: Option<PathBuf>,
    /// The modes of the two runs; else the first run of each recording.
    #[arg(long, value_delimiter = ',', value_name = "MODE,MODE")]
    pub modes: Vec<Setup>,
    /// Only this call; of stacks also a function, wherever it is called.
    #[arg(long, value_name = "NAME")]
    pub call: Option<String>,
    #[command(flatten)]
    pub wanted: Wanted,
    /// Draw it: what both execute in the middle, what is removed above it, what is added below, and the
    /// ladder.
    #[arg(long, value_name = "OUT.svg")]
    pub svg: Option<PathBuf>,
    /// The instructions of the functions that differ, and how often each ran: boots the image in both modes
    /// and steps through one such call in each.
    #[arg(long, requires = "call")]
    pub instructions: bool,
    /// Of this function alone.
    #[arg(long, value_name = "NAME", requires = "instructions")]
    pub symbol: Option<String>,
    #[command(flatten)]
    pub import: Import,
}

/// Prints ladder and ledger.
///
/// # Errors
/// When a recording cannot be read, or neither has the call.
pub fn run(args: &DiffArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let (a, b) = files(args)?;
    let b = b.as_ref().unwrap_or(&a);
    let (a, b) = match (&a, b) {
        (Input::Recording(a), Input::Recording(b)) => runs(args, a, b)?,
        imported => return stacks::diff(imported, args, json, out),
    };
    let mut diff = diff(&a.run, &b.run, args.call.as_deref());
    args.wanted.keep_pairs(&mut diff.pairs, &a.run, &b.run);
    if diff.pairs.is_empty() {
        let call = match (&args.call, &args.wanted.query) {
            (Some(call), None) => call.clone(),
            (Some(call), Some(query)) => format!("{call} where {query}"),
            (None, Some(query)) => format!("a call where {query}"),
            (None, None) => "any call".to_owned(),
        };
        bail!(
            "comparing {}: there is not {call} in both; 'uklscope report' lists what is",
            names(args)
        );
    }
    if let Some(path) = &args.svg {
        let heading = format!(
            "{}: {} → {}, each function's own instructions",
            a.head.image, a.run.mode, b.run.mode
        );
        std::fs::write(path, svg::difference(&diff.pairs, &heading))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    if let (true, Some(call)) = (args.instructions, &args.call) {
        return instructions::run((&a, &b), call, args.symbol.as_deref(), json, out);
    }
    if json {
        serde_json::to_writer(&mut *out, &diff)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(out, "{}", trace_text::LADDER_KEY)?;
    for pair in &diff.pairs {
        writeln!(out)?;
        for line in trace_text::ladder(pair) {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{}", trace_text::ledger(pair))?;
    }
    Ok(())
}

fn names(args: &DiffArgs) -> String {
    match &args.b {
        Some(b) => format!("{} with {}", args.a.display(), b.display()),
        None => format!("two runs of {}", args.a.display()),
    }
}

/// The second one is not there where it is the first.
fn files(args: &DiffArgs) -> anyhow::Result<(Input, Option<Input>)> {
    let second = args.b.as_deref().map(report::find).transpose()?;
    Ok((report::find(&args.a)?, second))
}

fn runs(args: &DiffArgs, a: &Recording, b: &Recording) -> anyhow::Result<(Side, Side)> {
    let second = args.b.as_ref().unwrap_or(&args.a);
    let side = |recording: &Recording, path: &Path, mode| -> anyhow::Result<Side> {
        report::is_counted(recording, path, "comparing")?;
        Ok(Side {
            head: recording.head.clone(),
            run: report::run_of(recording, path, mode)?.clone(),
        })
    };
    match args.modes.as_slice() {
        [] if args.b.is_none() => bail!(
            "comparing one recording, {}: which of its runs is not said; --modes linux,bypass names two, \
             or name a second recording",
            args.a.display()
        ),
        [] => Ok((side(a, &args.a, None)?, side(b, second, None)?)),
        [of_a, of_b] => Ok((side(a, &args.a, Some(of_a))?, side(b, second, Some(of_b))?)),
        other => bail!(
            "comparing {}: --modes names {} modes; it takes two, as in --modes linux,bypass",
            names(args),
            other.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differ(args: &[&str]) -> anyhow::Result<String> {
        let builtin = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/builtin.uklrec");
        let builtin = builtin.to_string_lossy();
        let args = ["uklscope", "diff", &builtin]
            .into_iter()
            .chain(args.iter().copied());
        let args = <crate::args::Args as clap::Parser>::try_parse_from(args)?;
        let mut out = Vec::new();
        args.run(&mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn two_runs_of_one_recording_are_compared_and_told_why_they_differ() {
        let text = differ(&["--modes", "linux,bypass", "--call", "getppid"]).unwrap();
        assert!(
            text.contains("getppid: linux 191 = bypass 87 + removed 146 − added 42"),
            "{text}"
        );
        let row = text
            .lines()
            .find(|line| line.contains("syscall_enter_from_user_mode"));
        let row = row.expect("the entry work is on the ladder");
        assert!(
            row.starts_with('-')
                && row.ends_with("bypass: without entry work: tracing, seccomp, audit"),
            "{row}"
        );
    }

    #[test]
    fn which_runs_are_meant_must_be_clear() {
        for (args, said) in [
            (&[][..], "--modes linux,bypass names two"),
            (&["--modes", "linux"], "names 1 modes"),
            (
                &["--modes", "linux,ukl+ret"],
                "no run in mode ukl+ret; it has linux, ukl,",
            ),
            (
                &["--modes", "linux,ukl", "--call", "nosuch"],
                "there is not nosuch in both",
            ),
        ] {
            let error = differ(args).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_difference_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.svg");
        let to = path.to_string_lossy().into_owned();
        differ(&["--modes", "linux,shortcut", "--svg", &to]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        assert_eq!(document.root_element().tag_name().name(), "svg");
        assert!(text.contains("recvmsg:tcp: linux syscall → shortcut shortcut"));
        let missing = folder.path().join("none/a.svg");
        let error = differ(&["--modes", "linux,ukl", "--svg", &missing.to_string_lossy()]);
        assert!(error.unwrap_err().to_string().contains("writing"));
    }
}
