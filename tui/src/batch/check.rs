//! `uklscope check`: a recording against what its operations are expected to cost.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use debugger::count::{counted, either};
use debugger::trace::expectations::{Checked, Expectations, Expected, Outcome, SCHEMA, Was};
use debugger::trace::recording::Recording;
use debugger::trace::report::Report;
use serde_json::json;

use super::wanted::Wanted;
use super::{report, trace_text};

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// A recording made by 'uklscope trace' or 'uklscope compare'.
    pub file: PathBuf,
    /// What is expected, made by --write; it is text, to be kept beside the code.
    #[arg(value_name = "EXPECT.toml")]
    pub expected: PathBuf,
    /// Write the recording's costs as what is expected from now on; tolerances that stand there stay, and so does what
    /// the recording does not have or --call and --where leave out.
    #[arg(long)]
    pub write: bool,
    /// With --write: only this call, or several; else all that were made ten times and more.
    #[arg(long, value_name = "NAME", requires = "write")]
    pub call: Vec<String>,
    #[command(flatten)]
    pub wanted: Wanted,
}

/// Prints a line for each operation, and below one that changed the ladder of what did.
///
/// # Errors
/// When a file cannot be read or written, or an operation is not what is expected.
pub fn run(args: &CheckArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut recording = report::open_counted(&args.file, "checking")?;
    if args.write {
        args.wanted.keep(&mut recording.runs, &args.file)?;
        return write(args, &recording, json, out);
    }
    let mut expected = read(&args.expected)?;
    of_one_image(args, "checking", &expected, &recording)?;
    if let Some(query) = &args.wanted.query {
        expected.keep(query, &recording.runs);
        if expected.operations.is_empty() {
            bail!(
                "checking {}: {} has no operation where {query}",
                args.file.display(),
                args.expected.display()
            );
        }
    }
    let checked = expected.check(&recording.runs)?;
    if json {
        let operations: Vec<_> = checked.iter().map(in_json).collect();
        let document =
            json!({ "schema": SCHEMA, "image": expected.image, "operations": operations });
        writeln!(out, "{document}")?;
    } else {
        for one in &checked {
            print(one, &recording.runs, out)?;
        }
    }
    match refused(args, &checked) {
        Some(why) => bail!("checking {}: {why}", args.file.display()),
        None => Ok(()),
    }
}

/// Where not all is as expected, how much is not, and what can be done about it.
fn refused(args: &CheckArgs, checked: &[Checked<'_>]) -> Option<String> {
    let count = |is: fn(&Outcome) -> bool| checked.iter().filter(|one| is(&one.outcome)).count();
    let changed = count(|outcome| matches!(outcome, Outcome::Changed(_)));
    let missing = count(|outcome| matches!(outcome, Outcome::Missing));
    let all = changed + missing;
    let (file, path) = (args.file.display(), args.expected.display());
    let mut why = format!(
        "{all} of {} {} not what {path} expects",
        counted(checked.len(), "operation"),
        either(all, "is", "are"),
    );
    if changed > 0 {
        let of_query = args.wanted.query.as_ref();
        let of_query = of_query.map_or_else(String::new, |query| format!(" --where '{query}'"));
        why += &format!(
            "; {changed} changed: where {} should be so, 'uklscope check {file} {path} --write{of_query}' takes {} over",
            either(changed, "it", "they"),
            either(changed, "it", "them")
        );
    }
    if missing > 0 {
        why += &format!(
            "; {missing} {} not in {file}: record {them}, leave {them} out with --where, or take {them} out of {path}",
            either(missing, "is", "are"),
            them = either(missing, "it", "them"),
        );
    }
    (all > 0).then_some(why)
}

/// # Errors
/// When what is expected is expected of another image.
fn of_one_image(
    args: &CheckArgs,
    doing: &str,
    expected: &Expectations,
    recording: &Recording,
) -> anyhow::Result<()> {
    if expected.image != recording.head.image {
        bail!(
            "{doing} {}: it is of the image {}, and {} of {}; record that image, or name another file",
            args.file.display(),
            recording.head.image,
            args.expected.display(),
            expected.image
        );
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Expectations> {
    let what = format!("reading {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| {
        anyhow::anyhow!("{what}: {error}; 'uklscope check FILE EXPECT.toml --write' makes one")
    })?;
    Expectations::read(&text).context(what)
}

fn write(
    args: &CheckArgs,
    recording: &Recording,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let path = &args.expected;
    let found = Expectations::of(&recording.head.image, &recording.runs, &args.call);
    if found.operations.is_empty() {
        bail!(
            "writing {}: no such call is in {}; 'uklscope report' lists what is",
            path.display(),
            args.file.display()
        );
    }
    let mut expected = match path.exists() {
        true => read(path)?,
        false => Expectations {
            operations: Vec::new(),
            ..found.clone()
        },
    };
    of_one_image(args, "taking over", &expected, recording)?;
    let was = expected.take_over(found);
    let text = expected.write()?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    if json {
        let operations: Vec<_> = expected.operations.iter().zip(&was).map(written).collect();
        let document = json!({ "schema": SCHEMA, "image": expected.image, "written": operations });
        return Ok(writeln!(out, "{document}")?);
    }
    let count = expected.operations.len();
    let kept = was.iter().filter(|was| **was == Was::Kept).count();
    write!(
        out,
        "{}: {} {} expected",
        path.display(),
        counted(count, "operation"),
        either(count, "is", "are")
    )?;
    if kept > 0 {
        write!(
            out,
            "; {kept} of them {} as {} before: not in {}, or not meant",
            either(kept, "is", "are"),
            either(kept, "it was", "they were"),
            args.file.display()
        )?;
    }
    Ok(writeln!(out)?)
}

/// An operation that is expected from now on, and what was before.
fn written((one, was): (&Expected, &Was)) -> serde_json::Value {
    let (outcome, before) = match *was {
        Was::New => ("new", None),
        Was::Kept => ("kept", Some(one.instructions)),
        Was::Expected(before) if before == one.instructions => ("same", Some(before)),
        Was::Expected(before) => ("changed", Some(before)),
    };
    json!({
        "mode": one.mode,
        "kind": one.kind,
        "call": one.call,
        "expected": one.instructions,
        "within": one.within,
        "before": before,
        "outcome": outcome,
    })
}

/// `runs`: where it was looked for.
fn print(one: &Checked<'_>, runs: &[Report], out: &mut dyn Write) -> std::io::Result<()> {
    let expected = one.expected;
    let head = format!("{:<10} {:<24}", expected.mode, expected.call);
    match &one.outcome {
        Outcome::Holds { instructions } => writeln!(out, "holds    {head} {instructions}"),
        Outcome::Missing => {
            let why = if runs.iter().any(|run| run.mode == expected.mode) {
                format!("the recording has no such call by {}", expected.kind)
            } else {
                let modes: Vec<_> = runs.iter().map(|run| run.mode.to_string()).collect();
                format!("the recording is of mode {}", modes.join(", "))
            };
            writeln!(out, "missing  {head} {}: {why}", expected.instructions)
        }
        Outcome::Changed(pair) => {
            writeln!(out, "changed  {head} {} → {}", pair.a, pair.b)?;
            writeln!(out, "{}", trace_text::LADDER_KEY)?;
            for line in trace_text::ladder(pair) {
                writeln!(out, "{line}")?;
            }
            writeln!(out, "{}", trace_text::ledger(pair))
        }
    }
}

fn in_json(one: &Checked<'_>) -> serde_json::Value {
    let expected = one.expected;
    let (outcome, found, pair) = match &one.outcome {
        Outcome::Holds { instructions } => ("holds", Some(*instructions), None),
        Outcome::Changed(pair) => ("changed", Some(pair.b), Some(pair)),
        Outcome::Missing => ("missing", None, None),
    };
    json!({
        "mode": expected.mode,
        "kind": expected.kind,
        "call": expected.call,
        "expected": expected.instructions,
        "within": expected.within,
        "found": found,
        "outcome": outcome,
        "pair": pair,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &Path, write: bool, json: bool) -> (anyhow::Result<()>, String) {
        let args = CheckArgs {
            file: Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/builtin.uklrec"),
            expected: expected.to_owned(),
            write,
            call: Vec::new(),
            wanted: Wanted::default(),
        };
        let mut out = Vec::new();
        let result = run(&args, json, &mut out);
        (result, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_recording_holds_against_itself_and_a_changed_file_is_told_by_its_ladder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("expect.toml");
        let (missing, _) = check(&file, false, false);
        assert!(missing.unwrap_err().to_string().contains("--write"));
        check(&file, true, false).0.unwrap();
        let (same, text) = check(&file, false, false);
        same.unwrap();
        assert!(text.lines().count() > 5, "{text}");
        assert!(
            text.lines().all(|line| line.starts_with("holds ")),
            "{text}"
        );

        let whole = std::fs::read_to_string(&file).unwrap();
        let line = whole
            .lines()
            .find(|line| line.contains("ksys_write "))
            .unwrap();
        let own: u64 = line.trim().split(' ').nth(1).unwrap().parse().unwrap();
        let cheaper = line.replace(&format!(" {own} "), &format!(" {} ", own - 7));
        let mut expectations = read(&file).unwrap();
        let operation = expectations
            .operations
            .iter_mut()
            .find(|operation| operation.path.contains(line))
            .unwrap();
        operation.path = operation.path.replace(line, &cheaper);
        operation.instructions -= 7;
        let cheaper_whole = expectations.write().unwrap();
        std::fs::write(&file, &cheaper_whole).unwrap();
        let (changed, text) = check(&file, false, false);
        let error = changed.unwrap_err().to_string();
        assert!(
            error.contains("1 of ") && error.contains("1 changed: ") && error.contains("--write"),
            "{error}"
        );
        assert!(
            text.contains("changed ") && text.contains("ksys_write"),
            "{text}"
        );
        expectations.operations[0].mode = "ukl+nopti".parse().unwrap();
        std::fs::write(&file, expectations.write().unwrap()).unwrap();
        let (_, text) = check(&file, false, false);
        let missing = text.lines().find(|line| line.starts_with("missing "));
        let missing = missing.unwrap_or_default();
        assert!(
            missing.contains("the recording is of mode linux, "),
            "{text}"
        );
        let text = whole.replace("within = ", "within = -");
        std::fs::write(&file, text).unwrap();
        let error = format!("{:#}", check(&file, false, false).0.unwrap_err());
        assert!(error.contains("expectations: line "), "{error}");

        std::fs::write(&file, cheaper_whole).unwrap();
        let (_, document) = check(&file, false, true);
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let operations = document["operations"].as_array().unwrap();
        let changed = operations.iter().filter(|one| one["outcome"] == "changed");
        let pairs: Vec<_> = changed.map(|one| one["pair"]["balanced"].clone()).collect();
        assert_eq!(pairs, [serde_json::Value::Bool(true)]);
    }

    #[test]
    fn what_is_not_covered_stays_in_the_file_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("expect.toml");
        let run = |words: &str| -> (anyhow::Result<()>, String) {
            let builtin = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/builtin.uklrec");
            let paths = [builtin.as_os_str(), file.as_os_str()].map(|path| path.to_owned());
            let words = words.split(' ').map(std::ffi::OsString::from);
            let start = ["uklscope", "check"].map(std::ffi::OsString::from);
            let all = start.into_iter().chain(paths).chain(words);
            let args = <crate::args::Args as clap::Parser>::try_parse_from(all).unwrap();
            let mut out = Vec::new();
            let result = args.run(&mut out);
            (result, String::from_utf8(out).unwrap())
        };
        run("--write").0.unwrap();
        let whole = std::fs::read_to_string(&file).unwrap();
        let all = read(&file).unwrap().operations.len();
        for words in ["--write --call getppid", "--write --where mode=linux"] {
            let (result, text) = run(words);
            result.unwrap();
            let said = format!("{all} operations are expected; ");
            assert!(
                text.contains(&said) && text.contains(" as they were before"),
                "{text}"
            );
            assert_eq!(std::fs::read_to_string(&file).unwrap(), whole, "{words}");
        }

        let (result, text) = run("--write --where mode=linux --json");
        result.unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let written = document["written"].as_array().unwrap();
        assert_eq!(written.len(), all);
        for one in written {
            let outcome = if one["mode"] == "linux" {
                "same"
            } else {
                "kept"
            };
            assert_eq!(one["outcome"], outcome, "{one}");
            assert_eq!(one["before"], one["expected"], "{one}");
        }

        let mut other = read(&file).unwrap();
        other.operations[0].mode = "ukl+nopti".parse().unwrap();
        std::fs::write(&file, other.write().unwrap()).unwrap();
        let error = run("--json").0.unwrap_err().to_string();
        assert!(error.contains("1 is not in "), "{error}");
        assert!(!error.contains("--write"), "nothing to take over: {error}");
        other.image = "redis".to_owned();
        std::fs::write(&file, other.write().unwrap()).unwrap();
        let error = run("--write").0.unwrap_err().to_string();
        assert!(error.contains("expect.toml of redis; "), "{error}");
    }
}
