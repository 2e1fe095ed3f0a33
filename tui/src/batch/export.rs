//! `uklscope export`: a recording in the format of another tool.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use debugger::session::trace_file;
use debugger::trace::export::{FORMATS, Format, How, Source, Timeline};

use super::report::{self, Input};
use super::stacks::{self, Import};
use super::wanted::Wanted;

#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// A recording made by 'uklscope trace' or 'uklscope compare'; with --to svg also folded stacks, or a
    /// Chrome trace as JSON.
    pub file: PathBuf,
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    pub to: &'static Format,
    /// Only this call.
    #[arg(long, value_name = "NAME")]
    pub call: Option<String>,
    #[command(flatten)]
    pub wanted: Wanted,
    /// Calls from here on, of the clock of each vCPU: instructions since it started.
    #[arg(long, value_name = "INSTRUCTION", default_value_t = 0)]
    pub from: u64,
    /// Calls up to here.
    #[arg(long, value_name = "INSTRUCTION", default_value_t = u64::MAX, hide_default_value = true)]
    pub until: u64,
    /// The classes of crossings, also where the recording keeps its records.
    #[arg(long, conflicts_with_all = ["from", "until"])]
    pub classes: bool,
    /// Where to; else to standard output.
    #[arg(short, value_name = "OUT")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub import: Import,
}

/// Of the table of formats.
fn formats() -> impl TypedValueParser<Value = &'static Format> {
    let values = FORMATS.map(|format| PossibleValue::new(format.name).help(format.about));
    let named = |name: String| Format::named(&name).ok_or("no such format");
    PossibleValuesParser::new(values).try_map(named)
}

/// # Errors
/// When the recording cannot be read, has no such call, or the file cannot be written.
pub fn run(args: &ExportArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        bail!("exporting: --to names the format; 'uklscope report FILE --json' prints JSON");
    }
    let mut recording = match report::find(&args.file)? {
        Input::Recording(recording) => {
            report::is_counted(&recording, &args.file, "exporting")?;
            recording
        }
        Input::Stacks(mut stacks) => {
            args.import.name(&mut stacks, &args.file)?;
            return match &args.out {
                Some(path) => to_file(path, |file| stacks::export(&stacks, args, file)),
                None => stacks::export(&stacks, args, out),
            };
        }
    };
    if let Some(call) = &args.call {
        for run in &mut recording.runs {
            run.classes.retain(|class| class.call == *call);
        }
        if recording.runs.iter().all(|run| run.classes.is_empty()) {
            bail!(
                "exporting {call}: {} has no such call; 'uklscope report' lists those it has",
                args.file.display()
            );
        }
    }
    args.wanted.keep(&mut recording.runs, &args.file)?;
    let timeline = timeline(args)?;
    let source = Source {
        recording: &recording,
        timeline: timeline.as_ref(),
    };
    match (args.to.how, &args.out) {
        (How::File(write), None) => Ok(write(&source, out)?),
        (How::File(write), Some(path)) => to_file(path, |file| Ok(write(&source, file)?)),
        (How::Folder(files), Some(folder)) => {
            let what = || format!("making the folder {}", folder.display());
            fs::create_dir_all(folder)
                .map_err(|error| anyhow!("{}: {error}; name another one with -o", what()))?;
            for (name, write) in files {
                to_file(&folder.join(name), |file| Ok(write(&source, file)?))?;
            }
            Ok(())
        }
        (How::Folder(files), None) => {
            let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
            bail!(
                "exporting to {}: it is a folder of {}; name the folder with -o",
                args.to.name,
                names.join(" and ")
            )
        }
    }
}

/// Beyond this the file is of no use to any reader, and the calls fill gigabytes of memory.
const MOST_RECORDS: u64 = 20_000_000;

/// The calls along the clock, where the format and the recording have them and nothing else is asked for.
fn timeline(args: &ExportArgs) -> anyhow::Result<Option<Timeline>> {
    let range = args.from..args.until;
    let asked = range != (0..u64::MAX);
    if asked && !args.to.line {
        bail!(
            "exporting to {}: it has no line for --from and --until; perfetto and chrome have",
            args.to.name
        );
    }
    if range.is_empty() {
        bail!(
            "exporting calls: --from {} is not before --until {}; --from takes the lower of two numbers",
            args.from,
            args.until
        );
    }
    let some = args.call.is_some() || args.wanted.query.is_some();
    if some && asked {
        bail!(
            "exporting calls: --from and --until take all calls; --call and --where choose classes"
        );
    }
    if !args.to.line || args.classes || some {
        return Ok(None);
    }
    let stored = trace_file::open(&args.file)?;
    if !stored.has_records() {
        if asked {
            bail!(
                "exporting calls: {} keeps classes alone, no records; 'uklscope trace -o FILE' keeps them",
                args.file.display()
            );
        }
        return Ok(None);
    }
    let records = Timeline::records(&stored, &range);
    if records > MOST_RECORDS {
        bail!(
            "exporting calls: {} has {records} records there, more than {MOST_RECORDS}; narrow it by --from and --until, \
             or take --classes",
            args.file.display()
        );
    }
    let (timeline, issues) = Timeline::of(&stored, &range);
    for issue in issues {
        let _ = writeln!(std::io::stderr(), "{}: {issue}", args.file.display());
    }
    if asked && timeline.is_empty() {
        let Range { start, end } = Timeline::extent(&stored);
        bail!(
            "exporting calls: {} has none there; its clock goes from {start} to {end}, name a part of that by --from and --until",
            args.file.display()
        );
    }
    Ok(Some(timeline))
}

fn to_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let what = || format!("writing {}", path.display());
    let file = File::create(path)
        .map_err(|error| anyhow!("{}: {error}; check its folder and its permissions", what()))?;
    let mut file = BufWriter::new(file);
    write(&mut file).with_context(what)?;
    file.flush().with_context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builtin() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/builtin.uklrec")
    }

    fn exported(to: &str, call: Option<&str>) -> anyhow::Result<String> {
        let args = ExportArgs {
            file: builtin(),
            to: Format::named(to).unwrap(),
            call: call.map(str::to_owned),
            wanted: Wanted::default(),
            from: 0,
            until: u64::MAX,
            classes: false,
            out: None,
            import: Import::default(),
        };
        let mut out = Vec::new();
        run(&args, false, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn a_call_is_exported_with_all_its_instructions() {
        let folded = exported("folded", Some("getppid")).unwrap();
        let weight = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
        let of = |mode: &str| -> u64 {
            let lines = folded.lines().filter(|line| line.starts_with(mode));
            lines.filter_map(weight).sum()
        };
        // 1,000 calls of so many instructions.
        assert_eq!((of("linux;"), of("bypass;")), (191_000, 87_000));
        let csv = exported("csv", Some("getppid")).unwrap();
        assert!(csv.lines().count() > 10 && csv.starts_with("mode,class,kind,call,"));
        let error = exported("csv", Some("nosuch")).unwrap_err().to_string();
        assert!(error.contains("no such call"), "{error}");
    }

    #[test]
    fn a_format_of_several_files_wants_a_folder() {
        let error = exported("parquet", None).unwrap_err().to_string();
        assert!(error.contains("-o"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let args = ExportArgs {
            file: builtin(),
            to: Format::named("parquet").unwrap(),
            call: None,
            wanted: Wanted::default(),
            from: 0,
            until: u64::MAX,
            classes: false,
            out: Some(folder.path().join("new")),
            import: Import::default(),
        };
        run(&args, false, &mut Vec::new()).unwrap();
        for name in ["crossings.parquet", "path_nodes.parquet"] {
            let bytes = fs::read(folder.path().join("new").join(name)).unwrap();
            assert!(
                bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_part_that_ends_before_it_begins_is_none() {
        for (from, until) in [(250_100_000, 250_000_000), (7, 7)] {
            let args = ExportArgs {
                file: builtin(),
                to: Format::named("chrome").unwrap(),
                call: None,
                wanted: Wanted::default(),
                from,
                until,
                classes: false,
                out: None,
                import: Import::default(),
            };
            let error = run(&args, false, &mut Vec::new()).unwrap_err().to_string();
            let said = format!("--from {from} is not before --until {until}; ");
            assert!(error.contains(&said), "{error}");
        }
    }
}
