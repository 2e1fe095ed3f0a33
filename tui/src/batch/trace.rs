//! `uklscope trace`: records the crossings of a run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use debugger::addr::Insns;
use debugger::count::{counted, either};
use debugger::event::Event;
use debugger::qemu::arguments::Accelerator;
use debugger::qemu::image::Image;
use debugger::session::replay::{MANIFEST, RecordedRun};
use debugger::session::stub_trace::{trace_attached, trace_by_stub};
use debugger::session::target::Endpoint;
use debugger::session::trace::{Clock, Scope, Snapshot, TraceOptions, Traced, trace};
use debugger::session::trace_file::{head, head_of, recording, recording_of, save};
use debugger::session::trace_keep::{Keeper, Kept, trace_into};
use debugger::session::trace_probes::trace_by_probes;
use debugger::session::{TraceError, store};
use debugger::symbols::Symbols;
use debugger::trace::filter::{Filter, Wanted as Functions};
use debugger::trace::query::Query;
use debugger::trace::recording::Head;

use super::trace_text::{self, By};
use super::tracing::{Progress, cancel_by_signal, duration, turn_by_signal};
use super::wanted::Wanted;
use crate::args::{Accel, Boot, Family};

#[derive(Debug, clap::Args)]
pub struct TraceArgs {
    /// An image's name or folder; or a recorded run's, whose positions the clock is then.
    pub image: String,
    /// How many operations the application does.
    #[arg(long, value_name = "N")]
    pub calls: Option<u64>,
    /// Stop after this long, such as 5s.
    #[arg(long = "for", value_name = "TIME")]
    pub duration: Option<String>,
    /// Record nothing until SIGUSR1 comes: it stops recording while the guest runs, and goes on with it; --for
    /// counts from the first time.
    #[arg(long, conflicts_with = "start_at")]
    pub paused: bool,
    /// Record from when one of these functions is entered: names, *, ?, or kernel:net; --for counts from then.
    #[arg(long, value_name = "FUNCTIONS", value_delimiter = ',')]
    pub start_at: Vec<Functions>,
    /// Stop when one of these is entered, until one of --start-at is.
    #[arg(long, value_name = "FUNCTIONS", value_delimiter = ',')]
    pub stop_at: Vec<Functions>,
    /// Record these of the kernel's functions alone; the others' instructions are their callers'.
    #[arg(long, value_name = "FUNCTIONS", value_delimiter = ',')]
    pub only: Vec<Functions>,
    /// Do not record these of the kernel's functions.
    #[arg(long, value_name = "FUNCTIONS", value_delimiter = ',')]
    pub not: Vec<Functions>,
    /// Record these of the application's calls alone to their ends, by name, as --where knows them: write, *read*.
    #[arg(long, value_name = "CALLS", value_delimiter = ',')]
    pub only_calls: Vec<Functions>,
    /// Record the tasks of these names alone.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub only_tasks: Vec<String>,
    /// functions: all that is called; boundary: the crossings, without what they do in between.
    #[arg(long, value_enum, default_value_t)]
    pub scope: Depth,
    /// Let the guest's time go by its instructions, and its date and random numbers be always the same: another run
    /// then does the same.
    #[arg(long)]
    pub repeatable: bool,
    /// plugin: every function, exactly; probes: times, by probes in the kernel of an image NAME+probes; stub:
    /// breakpoints, on anything, slowly.
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
    /// By probes: record these functions of the kernel too: names, or patterns with *, apart by commas.
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true
    )]
    pub functions: String,
    /// Drop the oldest records rather than make the guest wait; each is counted.
    #[arg(long)]
    pub flight: bool,
    /// End the run after the first crossing that a query holds for, such as 'call=read insns>5000', and keep the
    /// records before it.
    #[arg(long, value_name = "QUERY")]
    pub snapshot_when: Option<Query>,
    /// How many records before it are kept.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000_000,
        requires = "snapshot_when"
    )]
    pub snapshot_records: usize,
    /// Fail if a record was lost.
    #[arg(long)]
    pub require_lossless: bool,
    /// instructions: what crossings execute, exactly; time: how long they take on this host, with --scope boundary and
    /// without their records, which slows the guest down the least.
    #[arg(long, value_enum, default_value_t)]
    pub clock: Told,
    /// Count each instruction by itself: slow, to check the fast clock against.
    #[arg(long)]
    pub slow_clock: bool,
    /// Count in both ways, and fail if they differ between any two records.
    #[arg(long, conflicts_with = "slow_clock")]
    pub check_clock: bool,
    /// By the stub: keep the registers and the memory at both sides of each crossing, interrupts and exceptions
    /// included; 'uklscope replay FILE' then goes back and forth between them.
    #[arg(long, requires = "output")]
    pub state: bool,
    /// Where the recording goes.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Keep the report alone, without the records that it was made of.
    #[arg(long, requires = "output")]
    pub no_records: bool,
    #[command(flatten)]
    pub wanted: Wanted,
    #[command(flatten)]
    pub boot: Boot,
    #[command(flatten)]
    pub family: Family,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Depth {
    #[default]
    Functions,
    Boundary,
}

/// What is told of a crossing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Told {
    #[default]
    Instructions,
    Time,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    #[default]
    Plugin,
    Probes,
    Stub,
}

/// Boots the image and records.
///
/// # Errors
/// When the boot or the recording fails, or records were lost that must not be.
pub fn run(args: &TraceArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if let Some(vmlinux) = &args.boot.vmlinux {
        return attached(args, vmlinux, json, out);
    }
    let snapshot = snapshot(args)?;
    let again = recorded_run(args)?;
    let image = match (&again, args.engine) {
        (Some(run), _) => run.image.clone(),
        (None, Engine::Probes) => stored(&args.image, &args.boot)?,
        (None, Engine::Plugin | Engine::Stub) => image(&args.image, &args.boot)?,
    };
    if args.engine != Engine::Probes && !args.functions.is_empty() {
        bail!(
            "tracing {}: --functions is for --engine probes; the plugin records every function",
            args.image
        );
    }
    if args.state && args.engine != Engine::Stub {
        bail!(
            "tracing {}: --state needs a machine that stops at each crossing; add --engine stub",
            args.image
        );
    }
    if args.repeatable && args.boot.smp != 1 {
        bail!(
            "tracing {}: several vCPUs whose time goes by instructions take minutes to boot; leave --smp or --repeatable out",
            args.image
        );
    }
    let mode = || match &args.boot.mode {
        Some(mode) => mode.clone(),
        None => image.manifest.default_mode.into(),
    };
    let mut options = again.map_or_else(|| TraceOptions::new(mode()), TraceOptions::of);
    options.calls = args.calls;
    options.smp = args.boot.smp;
    options.profile.clone_from(&args.family.profile);
    options.duration = args.duration.as_deref().map(duration).transpose()?;
    options.clock = clock(args, options.clock)?;
    options.flight = args.flight;
    options.repeatable = args.repeatable;
    options.paused = args.paused;
    options.snapshot = snapshot;
    turn_by_signal(&options.switch)?;
    options.filter = Filter {
        only: args.only.clone(),
        not: args.not.clone(),
        only_calls: args.only_calls.clone(),
        only_tasks: args.only_tasks.clone(),
        start_at: args.start_at.clone(),
        stop_at: args.stop_at.clone(),
    };
    options.scope = match args.scope {
        Depth::Functions => Scope::Functions,
        Depth::Boundary => Scope::Boundary,
    };
    let of_the_plugin = options.filter != Filter::default()
        || options.scope != Scope::default()
        || options.clock == Clock::Time
        || args.repeatable
        || args.paused
        || args.snapshot_when.is_some();
    if args.engine != Engine::Plugin && of_the_plugin {
        bail!(
            "tracing {}: --only, --not, --only-calls, --only-tasks, --scope, --clock time, --repeatable, --start-at, --stop-at, --paused and \
             --snapshot-when are for the plugin; leave them out, or choose functions for --engine probes with --functions",
            args.image
        );
    }
    options.functions.clone_from(&args.functions);
    options.accelerator = match args.boot.accel {
        Accel::Tcg => Accelerator::Tcg,
        Accel::Kvm => Accelerator::Kvm,
    };
    let keeps = args.engine == Engine::Plugin && !args.no_records && options.clock != Clock::Time;
    if let Some(path) = args.output.as_deref().filter(|_| keeps) {
        return recorded(args, &image, &options, path, json, out);
    }
    if let Some(path) = args.output.as_deref().filter(|_| args.state) {
        let kept = with_states(head(&image), path, &options, |keeper, cancel, tell| {
            trace_by_stub(&image, &options, Some(keeper), cancel, tell)
        })?;
        return print_states(args, &kept, json, out);
    }
    let traced = run_engine(args.engine, &image, &options)?;
    if let Some(path) = &args.output {
        save(path, &recording(&image, vec![traced.report.clone()]))?;
    }
    print(args, &traced, json, out)
}

fn clock(args: &TraceArgs, usual: Clock) -> anyhow::Result<Clock> {
    let by_time = args.clock == Told::Time;
    let counted = [
        ("--slow-clock", args.slow_clock),
        ("--check-clock", args.check_clock),
        ("--snapshot-when", args.snapshot_when.is_some()),
    ];
    let counted = counted.iter().find(|(_, given)| *given);
    if let Some((name, _)) = counted.filter(|_| by_time) {
        bail!(
            "tracing {}: {name} needs instructions that are counted; leave it or --clock time out",
            args.image
        );
    }
    if by_time && args.scope != Depth::Boundary {
        bail!(
            "tracing {}: --clock time tells how long crossings take, not what they do in between; add --scope boundary",
            args.image
        );
    }
    Ok(match (args.slow_clock, args.check_clock) {
        _ if by_time => Clock::Time,
        (false, false) => usual,
        (true, _) => Clock::Slow,
        (false, true) => Clock::Both,
    })
}

/// What `--snapshot-when` waits for.
fn snapshot(args: &TraceArgs) -> anyhow::Result<Option<Snapshot>> {
    let Some(when) = &args.snapshot_when else {
        return Ok(None);
    };
    if when.is_empty() {
        bail!(
            "reading --snapshot-when: it is empty, and every crossing is so; say which one to wait for, as in \
             'call=read insns>5000'"
        );
    }
    if when.names_tasks() {
        bail!(
            "reading --snapshot-when: it names a task, and tasks have only numbers while the run goes on; name one by its number, as \
             'uklscope report FILE --by task' lists them"
        );
    }
    Ok(Some(Snapshot {
        when: when.clone(),
        records: args.snapshot_records,
    }))
}

/// Where a recorded run is traced.
fn recorded_run(args: &TraceArgs) -> anyhow::Result<Option<RecordedRun>> {
    let path = Path::new(&args.image);
    if !path.join(MANIFEST).is_file() {
        return Ok(None);
    }
    let boot = &args.boot;
    let given = [
        ("--mode", boot.mode.is_some()),
        ("--calls", args.calls.is_some()),
        ("--kernel", boot.kernel.is_some()),
        ("--append", boot.append.is_some()),
        ("application's arguments", !boot.app_args.is_empty()),
        ("--smp", boot.smp != 1),
        ("--engine", args.engine != Engine::Plugin),
        ("--accel", boot.accel != Accel::Tcg),
        ("--repeatable", args.repeatable),
        ("--clock time", args.clock == Told::Time),
        ("--slow-clock", args.slow_clock),
        ("--check-clock", args.check_clock),
    ];
    if let Some((name, _)) = given.iter().find(|(_, given)| *given) {
        bail!(
            "tracing the recorded run {}: it is done again as it was, by the plugin; leave {name} out",
            args.image
        );
    }
    Ok(Some(RecordedRun::open(path)?))
}

/// With all records.
fn recorded(
    args: &TraceArgs,
    image: &Image,
    options: &TraceOptions,
    path: &Path,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut progress = Progress::default();
    let mut keeper = Keeper::begin(path, &head(image), cancel_by_signal()?)?;
    let traced = trace_into(image, options, &mut keeper, &mut |event| {
        progress.event(&options.setup, &event);
    });
    drop(progress);
    let kept = keeper.finish()?;
    let traced = traced?;
    print(args, &traced, json, out)?;
    if !json {
        let each = kept.bytes as f64 / kept.records.max(1) as f64;
        let busy = kept.busy.as_secs_f64();
        writeln!(
            out,
            "{} kept in {} bytes, {each:.2} a record; writing them took {busy:.2} s beside the run",
            counted(Insns(kept.records), "record"),
            Insns(kept.bytes)
        )?;
    }
    Ok(())
}

/// With the machine at both sides of each crossing.
fn with_states(
    head: Head,
    path: &Path,
    options: &TraceOptions,
    trace: impl FnOnce(&mut Keeper, &AtomicBool, &mut dyn FnMut(Event)) -> Result<Traced, TraceError>,
) -> anyhow::Result<(Traced, Kept)> {
    let cancel = cancel_by_signal()?;
    let mut progress = Progress::default();
    let mut keeper = Keeper::begin(path, &head, Arc::clone(&cancel))?;
    let mut tell = |event| progress.event(&options.setup, &event);
    let traced = trace(&mut keeper, &cancel, &mut tell);
    drop(progress);
    let kept = keeper.finish()?;
    Ok((traced?, kept))
}

fn print_states(
    args: &TraceArgs,
    (traced, kept): &(Traced, Kept),
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    print(args, traced, json, out)?;
    if !json {
        let each = kept.bytes / kept.states.max(1);
        let path = args.output.as_deref().unwrap_or(Path::new("FILE"));
        writeln!(
            out,
            "{} of the machine kept in {} bytes, {each} a state; 'uklscope replay {}' goes back and forth \
             between them",
            counted(Insns(kept.states), "state"),
            Insns(kept.bytes),
            path.display()
        )?;
    }
    Ok(())
}

fn print(args: &TraceArgs, traced: &Traced, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    // Kept whole in the file: only what is printed is chosen.
    let mut shown = [traced.report.clone()];
    let wanted = args.wanted.keep(&mut shown, Path::new(&args.image));
    let [report] = &shown;
    if json {
        serde_json::to_writer(&mut *out, report)?;
        writeln!(out)?;
    } else {
        for line in trace_text::report(report, By::Call) {
            writeln!(out, "{line}")?;
        }
        if let Some(path) = &args.output {
            let path = path.display();
            writeln!(
                out,
                "\nrecorded in {path}; 'uklscope report {path}' shows more"
            )?;
        }
    }
    if let (Some(when), None) = (&args.snapshot_when, &traced.triggered) {
        bail!(
            "waiting for a crossing where {when} in {0}: none came to the end of the run; 'uklscope trace {0} --where \
             QUERY' shows what comes",
            args.image
        );
    }
    if let Some(clocks) = traced.report.clocks.as_ref().filter(|one| !one.agree()) {
        bail!(
            "the two counts differ on {} of {}; as on {}",
            clocks.differing,
            counted(clocks.edges, "edge"),
            clocks
                .first
                .first()
                .map_or_else(|| "none".to_owned(), ToString::to_string)
        );
    }
    if args.require_lossless && traced.report.lost > 0 {
        bail!(
            "{} {} lost: run it without --flight",
            counted(traced.report.lost, "record"),
            either(traced.report.lost, "was", "were")
        );
    }
    wanted
}

/// By the stub engine, what runs at an address.
fn attached(
    args: &TraceArgs,
    vmlinux: &Path,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if args.engine != Engine::Stub {
        bail!(
            "tracing {}: a plugin must be there from the start; use --engine stub",
            args.image
        );
    }
    let endpoint: Endpoint = args.image.parse()?;
    let mut options = TraceOptions::new(args.boot.mode.clone().unwrap_or_default());
    options.duration = args.duration.as_deref().map(duration).transpose()?;
    options.profile.clone_from(&args.family.profile);
    if let Some(path) = args.output.as_deref().filter(|_| args.state) {
        let build_id = Symbols::open(vmlinux, None)?.build_id_text();
        let head = Head {
            build_id: build_id.unwrap_or_default(),
            ..head_of(&args.image)
        };
        let kept = with_states(head, path, &options, |keeper, cancel, tell| {
            trace_attached(&endpoint, vmlinux, &options, Some(keeper), cancel, tell)
        })?;
        return print_states(args, &kept, json, out);
    }
    let cancel = cancel_by_signal()?;
    let mut progress = Progress::default();
    let mut tell = |event| progress.event(&options.setup, &event);
    let traced = trace_attached(&endpoint, vmlinux, &options, None, &cancel, &mut tell)?;
    if let Some(path) = &args.output {
        save(
            path,
            &recording_of(&args.image, vec![traced.report.clone()]),
        )?;
    }
    print(args, &traced, json, out)
}

fn run_engine(engine: Engine, image: &Image, options: &TraceOptions) -> anyhow::Result<Traced> {
    let cancel = cancel_by_signal()?;
    let mut progress = Progress::default();
    let mut tell = |event| progress.event(&options.setup, &event);
    Ok(match engine {
        Engine::Plugin => trace(image, options, &cancel, &mut tell)?,
        Engine::Probes => trace_by_probes(image, options, &cancel, &mut tell)?,
        Engine::Stub => trace_by_stub(image, options, None, &cancel, &mut tell)?,
    })
}

/// The image, with what the command line adds to it.
///
/// # Errors
/// When there is none, or what was asked for cannot be traced exactly.
pub fn image(name: &str, boot: &Boot) -> anyhow::Result<Image> {
    if boot.accel != Accel::Tcg {
        bail!("tracing {name}: instructions are counted by TCG; leave --accel out");
    }
    stored(name, boot)
}

fn stored(name: &str, boot: &Boot) -> anyhow::Result<Image> {
    if boot.kernel.is_some() {
        bail!(
            "tracing --kernel: a traced run needs an image with its manifest; see 'cargo xtask image'"
        );
    }
    let mut image = store::image(name).context("opening the image")?;
    for more in boot.append.iter().chain(&boot.app_args) {
        image.manifest.append.push(' ');
        image.manifest.append.push_str(more);
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_snapshot_waits_for_one_crossing_that_can_be_known() {
        for (query, said) in [
            ("", "it is empty"),
            (" ", "it is empty"),
            ("call=read task=redis", "tasks have only numbers"),
        ] {
            let words = ["uklscope", "trace", "nosuch", "--snapshot-when", query];
            let args = <crate::args::Args as clap::Parser>::try_parse_from(words).unwrap();
            let error = args.run(&mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains(said), "{query}: {error}");
        }
    }
}
