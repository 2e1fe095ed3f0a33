//! `cargo xtask bench recording`: how large a long recording is, and how soon it is on the screen, whole and
//! of a program that was killed in the middle.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use debugger::crossing::Mode;
use debugger::event::Event;
use debugger::qemu::image::Image;
use debugger::session::store;
use debugger::session::trace::{TraceOptions, trace};
use debugger::session::trace_file;
use debugger::session::trace_keep::{Keeper, trace_into};
use serde::Serialize;

use super::print::{self, Host};
use super::terminal::{self, Terminal, resident_mib};
use crate::progress::Step;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[arg(long, default_value = "syscalls")]
    image: String,
    #[arg(long, default_value = "ukl")]
    mode: Mode,
    /// About so many: as many operations are done as make them
    #[arg(long, default_value_t = 1_000_000_000)]
    events: u64,
    /// The program whose screen opens it; else it is built for release
    #[arg(long)]
    program: Option<PathBuf>,
}

/// Operations of two short runs, whose difference tells how many records one makes.
const TRIAL: [u64; 2] = [1_000, 3_000];
/// Each is four times nearer: from a minute to single calls.
const ZOOMS: u32 = 14;
/// To be killed in the middle of something.
const SHORTEST: Duration = Duration::from_secs(4);

#[derive(Serialize)]
struct Report {
    schema: u32,
    image: String,
    mode: Mode,
    /// Operations of each kind.
    calls: u64,
    whole: Whole,
    /// Made for half as long, by a program that then was ended by SIGKILL.
    killed: Killed,
    #[serde(flatten)]
    host: Host,
}

#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    file: File,
    /// From QEMU's start to its end.
    made_s: f64,
    records_per_s: f64,
    lost: u64,
    guest_waits: u64,
    guest_waited_s: f64,
    /// That the writing thread was at work.
    writing_s: f64,
    opened: Opened,
}

#[derive(Serialize)]
struct Killed {
    #[serde(flatten)]
    file: File,
    after_s: f64,
    /// What opening it says that is missing.
    issues: Vec<String>,
    opened: Opened,
}

#[derive(Serialize)]
struct File {
    records: u64,
    bytes: u64,
    bytes_per_record: f64,
}

/// By `uklscope open`, in a terminal of 200×50.
#[derive(Serialize)]
struct Opened {
    /// From the program's start to the last byte painted.
    first_frame_s: f64,
    /// From the key, all of the run.
    timeline_s: f64,
    /// The longest of the keys by which it is looked at nearer and nearer, down to single calls.
    zoom_s: f64,
    /// Of its process, at the end.
    resident_mib: f64,
}

/// # Errors
/// When the image cannot be traced, or a recording cannot be written or opened.
pub(super) fn run(args: &Args) -> Result<()> {
    let image = store::image(&args.image).context("opening the image to measure with")?;
    let program = terminal::program(args.program.as_deref())?;
    let folder = tempfile::tempdir().context("making a folder for the recordings")?;
    let calls = calls_for(args, &image)?;
    let whole = make(
        args,
        &image,
        calls,
        &program,
        &folder.path().join("whole.uklrec"),
    )?;
    let after = Duration::from_secs_f64(whole.made_s / 2.0).max(SHORTEST);
    let killed = kill(args, calls, &program, folder.path(), after)?;
    let report = Report {
        schema: 1,
        image: args.image.clone(),
        mode: args.mode,
        calls,
        whole,
        killed,
        host: Host::now(),
    };
    print::report(&report, args.json, lines)
}

fn lines(report: &Report) -> Vec<String> {
    let Report { whole, killed, .. } = report;
    vec![
        format!(
            "whole:  {}, made in {:.1} s, of which the guest waited {:.1} s and the writer worked {:.1} s; {} lost",
            whole.file.line(),
            whole.made_s,
            whole.guest_waited_s,
            whole.writing_s,
            whole.lost
        ),
        whole.opened.line(),
        format!(
            "killed: {}, after {:.1} s; {}",
            killed.file.line(),
            killed.after_s,
            killed.issues.join("; ")
        ),
        killed.opened.line(),
        report.host.line(),
    ]
}

impl File {
    fn of(path: &Path, records: u64) -> Result<Self> {
        let bytes = std::fs::metadata(path)?.len();
        Ok(Self {
            records,
            bytes,
            bytes_per_record: bytes as f64 / records.max(1) as f64,
        })
    }

    fn line(&self) -> String {
        format!(
            "{:.1} million records in {:.1} MB, {:.3} bytes each",
            self.records as f64 / 1e6,
            self.bytes as f64 / 1e6,
            self.bytes_per_record
        )
    }
}

impl Opened {
    fn line(&self) -> String {
        format!(
            "        first frame after {:.2} s, timeline {:.2} s after its key, {:.2} s at most to come nearer; {:.0} MiB resident",
            self.first_frame_s, self.timeline_s, self.zoom_s, self.resident_mib
        )
    }

    fn by(program: &Path, path: &Path) -> Result<Self> {
        let began = Instant::now();
        let arguments = [OsStr::new("open"), path.as_os_str()];
        let mut screen = Terminal::start(program, arguments, (200, 50))?;
        let first = screen.drawn_until(began, |screen| {
            let text = screen.contents();
            // One that was not written to its end has no counts yet.
            text.contains("● recording") && text.contains("crossings")
        })?;
        let pressed = Instant::now();
        screen.press("6")?;
        let shown = |screen: &vt100::Screen| {
            let text = screen.contents();
            text.contains("timeline in") && text.contains(" records")
        };
        let timeline = screen.drawn_until(pressed, shown)?;
        let mut slowest = Duration::ZERO;
        for _ in 0..ZOOMS {
            let pressed = Instant::now();
            screen.press("+")?;
            slowest = slowest.max(screen.drawn_until(pressed, shown)?.took);
        }
        Ok(Self {
            first_frame_s: first.took.as_secs_f64(),
            timeline_s: timeline.took.as_secs_f64(),
            zoom_s: slowest.as_secs_f64(),
            resident_mib: resident_mib(screen.pid()?)?,
        })
    }
}

/// How many operations make so many records.
fn calls_for(args: &Args, image: &Image) -> Result<u64> {
    let step = Step::start(format!("how many records {} makes", args.image));
    let events = |calls: u64| -> Result<u64> {
        let mut options = TraceOptions::new(args.mode);
        options.calls = Some(calls);
        let traced = trace(image, &options, &AtomicBool::new(false), &mut |_| ())?;
        Ok(traced.report.events)
    };
    let [few, more] = TRIAL;
    let (of_few, of_more) = (events(few)?, events(more)?);
    let each = of_more.saturating_sub(of_few) / (more - few);
    if each == 0 {
        bail!(
            "recording {}: it makes no more records with more operations; name an image that takes a number of them",
            args.image
        );
    }
    step.done();
    Ok(few + args.events.saturating_sub(of_few).div_ceil(each))
}

fn make(args: &Args, image: &Image, calls: u64, program: &Path, path: &Path) -> Result<Whole> {
    let mut step = Step::start(format!("a recording of {} records", args.events));
    let mut options = TraceOptions::new(args.mode);
    options.calls = Some(calls);
    let cancel = Arc::new(AtomicBool::new(false));
    let mut keeper = Keeper::begin(path, &trace_file::head(image), cancel)?;
    let traced = trace_into(image, &options, &mut keeper, &mut |event| {
        if let Event::Trace(news) = event {
            let per_cent = news.events.saturating_mul(100) / args.events.max(1);
            step.percent(usize::try_from(per_cent).unwrap_or(100).min(100), 100);
        }
    })?;
    let kept = keeper.finish()?;
    step.done();
    let made_s = traced.wall.as_secs_f64();
    Ok(Whole {
        file: File::of(path, kept.records)?,
        made_s,
        records_per_s: kept.records as f64 / made_s,
        lost: traced.counts.lost,
        guest_waits: traced.counts.waits,
        guest_waited_s: traced.counts.waited_ns as f64 / 1e9,
        writing_s: kept.busy.as_secs_f64(),
        opened: Opened::by(program, path)?,
    })
}

fn kill(args: &Args, calls: u64, program: &Path, folder: &Path, after: Duration) -> Result<Killed> {
    let step = Step::start(format!(
        "one that is killed after {:.0} s",
        after.as_secs_f64()
    ));
    let path = folder.join("killed.uklrec");
    let mut tracing = Command::new(program)
        .args(["trace", &args.image, "--mode", args.mode.name()])
        .args(["--calls", &calls.to_string(), "-o"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    let began = Instant::now();
    std::thread::sleep(after);
    tracing.kill()?;
    let after_s = began.elapsed().as_secs_f64();
    let ended = tracing.wait()?;
    if ended.code().is_some() {
        bail!("tracing {}: it ended by itself, {ended}", args.image);
    }
    step.done();
    let part = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension() == Some(OsStr::new("part")))
        .context("the program that was killed has left no recording")?;
    let stored = trace_file::open(&part)?;
    let records = stored.runs().iter().map(|run| run.records()).sum();
    let issues = stored.issues().iter().map(ToString::to_string).collect();
    Ok(Killed {
        file: File::of(&part, records)?,
        after_s,
        issues,
        opened: Opened::by(program, &part)?,
    })
}
