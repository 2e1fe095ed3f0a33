//! What `report`, `diff` and `export` make of stacks that other tools wrote.

use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, bail};
use debugger::addr::Insns;
use debugger::count::{counted, either};
use debugger::crossing::Setup;
use debugger::trace::flame::svg;
use debugger::trace::import::{Side, Stacks, StacksDiff, differ};

use super::diff::DiffArgs;
use super::export::ExportArgs;
use super::report::{self, Input};
use super::trace_text::{self, By};

/// Of every command that reads such files.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Import {
    /// What the counts of folded stacks are, such as samples or instructions: the file does not say it.
    #[arg(long, value_name = "NAME")]
    pub unit: Option<String>,
}

impl Import {
    /// # Errors
    /// When the file says another.
    pub fn name(&self, stacks: &mut Stacks<'_>, path: &Path) -> anyhow::Result<()> {
        match (&self.unit, &stacks.unit) {
            (Some(unit), None) => stacks.unit = Some(unit.clone().into()),
            (Some(unit), Some(said)) if unit.as_str() != said.as_ref() => bail!(
                "reading {}: it counts {said}, not {unit}; leave --unit out",
                path.display()
            ),
            _ => {}
        }
        Ok(())
    }
}

/// # Errors
/// When it asks for what an import cannot say.
pub fn report(
    stacks: &Stacks<'_>,
    path: &Path,
    by: By,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if by != By::default() {
        bail!(
            "reporting {}: stacks of other tools are no crossings, they have frames alone; leave --by out",
            path.display()
        );
    }
    if json {
        serde_json::to_writer(&mut *out, stacks)?;
        return Ok(writeln!(out)?);
    }
    for line in tree(stacks, path) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A line for each frame, under its caller.
fn tree(stacks: &Stacks<'_>, path: &Path) -> Vec<String> {
    let all = stacks.flame.total();
    let frames = &stacks.flame.frames;
    let mode = stacks.mode.as_ref();
    let mut lines = vec![format!(
        "{}: {}{} · {} {} · {}",
        path.display(),
        stacks.format.name(),
        mode.map_or_else(String::new, |mode| format!(" · mode {mode}")),
        Insns(all),
        stacks.unit(),
        counted(Insns(frames.len() as u64), "frame")
    )];
    lines.extend(unknown(&stacks.unknown(), ""));
    lines.extend(stacks.notes.iter().map(|note| format!("note: {note}")));
    lines.push(String::new());
    lines.push(format!(
        "{:>15} {:>7} {:>15} {:>12}  frame",
        "total", "share", "own", "calls"
    ));
    let least = all / 1000;
    let listed = frames.iter().filter(|frame| frame.total >= least);
    lines.extend(listed.clone().map(|frame| {
        format!(
            "{:>15} {:>6.1}% {:>15} {:>12}  {:indent$}{} [{}]",
            Insns(frame.total).to_string(),
            frame.total as f64 * 100.0 / all.max(1) as f64,
            Insns(frame.own).to_string(),
            calls(frame.calls),
            "",
            frame.symbol,
            frame.origin,
            indent = frame.depth * 2
        )
    }));
    let left_out = frames.len() - listed.count();
    if left_out > 0 {
        lines.push(format!(
            "{} below {} {} {}; --json has {}",
            counted(left_out, "frame"),
            Insns(least),
            stacks.unit(),
            either(left_out, "is not listed", "each are not listed"),
            either(left_out, "it", "them")
        ));
    }
    lines
}

fn calls(calls: Option<u64>) -> String {
    calls.map_or_else(|| "?".to_owned(), |calls| Insns(calls).to_string())
}

fn unknown(what: &[&str], of: &str) -> Option<String> {
    (!what.is_empty()).then(|| format!("not in the file{of}: {}", what.join(", ")))
}

/// One side of a difference.
struct Compared {
    stacks: Stacks<'static>,
    name: String,
}

/// Where one side is an import, both are compared as trees of weights.
///
/// # Errors
/// When a side has not what is asked for, or they do not count the same.
pub fn diff(
    (a, b): (&Input, &Input),
    args: &DiffArgs,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let path_b = args.b.as_ref().unwrap_or(&args.a);
    if args.instructions || args.wanted.query.is_some() {
        bail!(
            "comparing {} with {}: stacks of other tools are no crossings; leave --where and --instructions out",
            args.a.display(),
            path_b.display()
        );
    }
    let modes = match args.modes.as_slice() {
        [] => (None, None),
        [one] => (Some(one), Some(one)),
        [a, b] => (Some(a), Some(b)),
        many => bail!(
            "comparing: --modes names {} modes; it takes two",
            many.len()
        ),
    };
    let a = side(a, &args.a, modes.0, &args.import)?;
    let b = side(b, path_b, modes.1, &args.import)?;
    let (_, diff) = beside(a, b, args.call.as_deref())?;
    if let Some(path) = &args.svg {
        let heading = format!(
            "{} → {}, own {} of all calls",
            diff.a.name, diff.b.name, diff.unit
        );
        std::fs::write(path, svg::difference(std::slice::from_ref(&diff), &heading))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    if json {
        serde_json::to_writer(&mut *out, &diff)?;
        return Ok(writeln!(out)?);
    }
    for line in ladder(&diff) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Two files as they are, for the screen: the first one's stacks, and what differs.
///
/// # Errors
/// When they do not count the same.
pub fn two_files(
    (a, path_a): (&Input, &Path),
    (b, path_b): (&Input, &Path),
    import: &Import,
) -> anyhow::Result<(Stacks<'static>, StacksDiff)> {
    let a = side(a, path_a, None, import)?;
    beside(a, side(b, path_b, None, import)?, None)
}

/// The first one as it is compared, and what differs.
fn beside(
    mut a: Compared,
    mut b: Compared,
    call: Option<&str>,
) -> anyhow::Result<(Stacks<'static>, StacksDiff)> {
    if a.stacks.unit != b.stacks.unit {
        let say = |side: &Compared| match &side.stacks.unit {
            Some(unit) => format!("{} counts {unit}", side.name),
            None => format!("{} does not say what it counts", side.name),
        };
        bail!(
            "comparing: {}, {}; where they count the same, --unit NAME says so",
            say(&a),
            say(&b)
        );
    }
    if let Some(call) = call {
        for side in [&mut a, &mut b] {
            side.stacks = side.stacks.only(call).with_context(|| {
                format!(
                    "comparing {call}: it is no call and no function of {}; 'uklscope report {}' lists those it has",
                    side.name, side.name
                )
            })?;
        }
    }
    let diff = differ((&a.stacks, &a.name), (&b.stacks, &b.name));
    Ok((a.stacks, diff))
}

fn side(
    file: &Input,
    path: &Path,
    mode: Option<&Setup>,
    import: &Import,
) -> anyhow::Result<Compared> {
    let stacks = match file {
        Input::Recording(recording) => {
            Stacks::of(report::run_of(recording, path, mode)?).into_owned()
        }
        Input::Stacks(stacks) => {
            let mut stacks = match mode {
                Some(mode) if stacks.mode.as_ref() != Some(mode) => {
                    let only = stacks.only(&mode.to_string());
                    only.with_context(|| {
                        format!(
                            "reading {}: nothing in it is of mode {mode}",
                            path.display()
                        )
                    })?
                }
                _ => stacks.clone(),
            };
            import.name(&mut stacks, path)?;
            stacks
        }
    };
    let name = match mode.or(stacks.mode.as_ref()) {
        Some(mode) => format!("{} ({mode})", path.display()),
        None => path.display().to_string(),
    };
    Ok(Compared { stacks, name })
}

fn ladder(diff: &StacksDiff) -> Vec<String> {
    let of = |side: &Side, which: &str| -> Vec<String> {
        let mut lines = vec![format!(
            "{which}: {}: {} {} in all, {} calls",
            side.name,
            Insns(side.total),
            diff.unit,
            calls(side.calls)
        )];
        lines.extend(unknown(&side.unknown, &format!(" of {which}")));
        lines.extend(side.notes.iter().map(|note| format!("note: {note}")));
        lines
    };
    let mut lines = of(&diff.a, "before");
    lines.extend(of(&diff.b, "after"));
    lines.push(format!(
        "own {} of all calls together; what calls what is compared in the order of names",
        diff.unit
    ));
    lines.push(trace_text::LADDER_KEY.to_owned());
    lines.push(String::new());
    lines.push(format!("  {:>15} {:>15}", "before", "after"));
    let least = diff.least();
    let listed = diff.rows.iter().filter(|row| row.a.max(row.b) >= least);
    lines.extend(listed.clone().map(|row| trace_text::rung(row, 15)));
    let left_out = diff.rows.len() - listed.count();
    if left_out > 0 {
        lines.push(format!(
            "{} below {} {}; --json has {}",
            counted(left_out, "row"),
            Insns(least),
            either(left_out, "is not listed", "each are not listed"),
            either(left_out, "it", "them")
        ));
    }
    lines.push(format!(
        "before {} = after {} + removed {} − added {}{}",
        diff.a.total,
        diff.b.total,
        diff.removed,
        diff.added,
        if diff.balanced {
            ""
        } else {
            "   DOES NOT BALANCE"
        }
    ));
    lines
}

/// As the format's own writer would, where the format has stacks alone.
///
/// # Errors
/// When it has not.
pub fn export(stacks: &Stacks<'_>, args: &ExportArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    if args.to.name != "svg" || args.wanted.query.is_some() {
        bail!(
            "exporting {} to {}: stacks of other tools can be drawn alone, with --to svg and --call NAME",
            args.file.display(),
            args.to.name
        );
    }
    let stacks = match &args.call {
        Some(call) => stacks.only(call).with_context(|| {
            let file = args.file.display();
            format!("exporting {call}: {file} has no such call or function; 'uklscope report {file}' lists them")
        })?,
        None => stacks.clone(),
    };
    let heading = format!("{}, by {}", args.file.display(), stacks.unit());
    let text = svg::flame(&stacks.flame, &heading, stacks.unit());
    Ok(out.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What the program prints, in a folder with an older export of the built-in recording.
    fn told(words: &str) -> anyhow::Result<String> {
        let folder = tempfile::tempdir()?;
        let builtin = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/builtin.uklrec");
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        fs::copy(&builtin, at("new.rec"))?;
        fs::write(at("perf.folded"), "main;read;vfs_read_[k] 30\nmain 10\n")?;
        fs::write(
            at("a.json"),
            r#"[{"ph":"X","name":"f","ts":0,"dur":3,"pid":1,"tid":1}]"#,
        )?;
        let run = |words: &str| -> anyhow::Result<String> {
            let words = words.split(' ').map(|word| match word.strip_prefix('@') {
                Some(name) => at(name),
                None => word.to_owned(),
            });
            let args = std::iter::once("uklscope".to_owned()).chain(words);
            let args = <crate::args::Args as clap::Parser>::try_parse_from(args)?;
            let mut out = Vec::new();
            args.run(&mut out)?;
            Ok(String::from_utf8(out)?)
        };
        for (name, to) in [("@old.folded", "folded"), ("@old.json", "chrome")] {
            if words.contains(name) {
                run(&format!(
                    "export @new.rec --to {to} --call getppid -o {name}"
                ))?;
            }
        }
        let text = run(words)?;
        let svg = fs::read_to_string(at("x.svg")).unwrap_or_default();
        Ok((text + &svg).replace(&*folder.path().to_string_lossy(), ""))
    }

    #[test]
    fn stacks_are_reported_in_their_own_unit() {
        let text = told("report @perf.folded").unwrap();
        assert!(
            text.starts_with("/perf.folded: folded stacks · 40 counts · 4 frames\n"),
            "{text}"
        );
        assert!(
            text.contains("not in the file: unit, calls, origin, exactness"),
            "{text}"
        );
        assert!(!text.contains("instructions"), "{text}");
        let row = text.lines().last().unwrap();
        assert_eq!(
            row.split_whitespace().collect::<Vec<_>>(),
            ["30", "75.0%", "30", "?", "vfs_read", "[kernel:other]"]
        );
        let text = told("report @perf.folded --unit samples").unwrap();
        assert!(text.contains("40 samples"), "{text}");
        let text = told("report @a.json --json").unwrap();
        assert!(
            text.contains(r#""unit":"ns","unknown":["origin","exactness"],"total":3000"#),
            "{text}"
        );
    }

    #[test]
    fn an_older_export_is_compared_with_a_recording() {
        for old in ["old.folded", "old.json"] {
            let text = told(&format!(
                "diff @{old} @new.rec --modes linux,bypass --call getppid"
            ));
            let text = text.unwrap();
            let ledger = text.lines().last().unwrap();
            assert_eq!(
                ledger, "before 191000 = after 87000 + removed 146000 − added 42000",
                "{text}"
            );
            assert!(
                text.contains("after: /new.rec (bypass): 87,000 instructions in all, 1,000 calls"),
                "{text}"
            );
        }
        let same = told("diff @old.folded @new.rec --modes linux --call getppid").unwrap();
        assert!(
            same.lines().last().unwrap().contains("removed 0 − added 0"),
            "{same}"
        );
    }

    #[test]
    fn what_is_not_alike_is_not_compared() {
        for (words, said) in [
            (
                "diff @perf.folded @new.rec",
                "perf.folded does not say what it counts, ",
            ),
            ("diff @a.json @new.rec", "a.json counts ns, "),
            (
                "diff @old.folded @new.rec --unit samples",
                "it counts instructions, not samples",
            ),
            (
                "diff @old.folded @new.rec --modes ukl+ret",
                "nothing in it is of mode ukl+ret",
            ),
            (
                "diff @old.folded @new.rec --modes linux --call nosuch",
                "no call and no function",
            ),
            (
                "diff @perf.folded @perf.folded --where insns>3",
                "are no crossings",
            ),
            ("report @perf.folded --by phase", "leave --by out"),
            ("export @perf.folded --to csv", "--to svg"),
            ("check @perf.folded @perf.folded", "'uklscope report'"),
        ] {
            let error = told(words).unwrap_err().to_string();
            assert!(error.contains(said), "{words}: {error}");
        }
    }

    #[test]
    fn they_are_drawn() {
        let text = told("export @perf.folded --to svg").unwrap();
        assert!(
            text.contains("vfs_read (kernel:other): 30 counts, 75.00 % of all"),
            "{text}"
        );
        let text = told("diff @perf.folded @perf.folded --svg @x.svg").unwrap();
        assert!(
            text.contains("own counts of all calls") && text.ends_with("</svg>\n"),
            "{text}"
        );
    }
}
