//! `uklscope export`: a recording in the format of another tool.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use debugger::trace::export::{csv, folded};
use debugger::trace::report::Report;

use super::report;
use super::wanted::Wanted;

#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// A recording made by 'uklscope trace' or 'uklscope compare'.
    pub file: PathBuf,
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub to: Format,
    /// Only this call.
    #[arg(long, value_name = "NAME")]
    pub call: Option<String>,
    #[command(flatten)]
    pub wanted: Wanted,
    /// Where to; else to standard output.
    #[arg(short, value_name = "OUT")]
    pub out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A stack and its instructions a line: flamegraph.pl, inferno, speedscope.
    Folded,
    /// A line for each function of each path, for spreadsheets and data bases.
    Csv,
}

/// # Errors
/// When the recording cannot be read, has no such call, or the file cannot be written.
pub fn run(args: &ExportArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        bail!("exporting: --to names the format; 'uklscope report FILE --json' prints JSON");
    }
    let mut runs = report::open(&args.file)?.runs;
    if let Some(call) = &args.call {
        for run in &mut runs {
            run.classes.retain(|class| class.call == *call);
        }
        if runs.iter().all(|run| run.classes.is_empty()) {
            bail!(
                "exporting {call}: {} has no such call; 'uklscope report' lists those it has",
                args.file.display()
            );
        }
    }
    args.wanted.keep(&mut runs, &args.file)?;
    match &args.out {
        Some(path) => to_file(&runs, args.to, path),
        None => write(&runs, args.to, out),
    }
}

fn to_file(runs: &[Report], format: Format, path: &Path) -> anyhow::Result<()> {
    let what = || format!("writing {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(what)?);
    write(runs, format, &mut file).with_context(what)?;
    file.flush().with_context(what)
}

fn write(runs: &[Report], format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
    match format {
        Format::Folded => out.write_all(folded(runs).as_bytes())?,
        Format::Csv => csv(runs, out)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported(to: Format, call: Option<&str>) -> anyhow::Result<String> {
        let args = ExportArgs {
            file: Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/builtin.uklrec"),
            to,
            call: call.map(str::to_owned),
            wanted: Wanted::default(),
            out: None,
        };
        let mut out = Vec::new();
        run(&args, false, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn a_call_is_exported_with_all_its_instructions() {
        let folded = exported(Format::Folded, Some("getppid")).unwrap();
        let weight = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
        let of = |mode: &str| -> u64 {
            let lines = folded.lines().filter(|line| line.starts_with(mode));
            lines.filter_map(weight).sum()
        };
        // 1,000 calls of so many instructions.
        assert_eq!((of("linux;"), of("bypass;")), (191_000, 87_000));
        let csv = exported(Format::Csv, Some("getppid")).unwrap();
        assert!(csv.lines().count() > 10 && csv.starts_with("mode,class,kind,call,"));
        let error = exported(Format::Csv, Some("nosuch"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no such call"), "{error}");
    }
}
