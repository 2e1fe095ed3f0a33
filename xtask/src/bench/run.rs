//! One run of the workload, in a process of its own, which says when its application begins and ends.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use debugger::crossing::{CrossingKind, Mode};
use debugger::event::Event;
use debugger::qemu::arguments::{GdbServer, Machine};
use debugger::qemu::image::Image;
use debugger::session::TraceError;
use debugger::session::process::Qemu;
use debugger::session::store;
use debugger::session::trace::{Clock, Scope, TraceOptions, Traced, trace};
use debugger::session::trace_probes::trace_by_probes;
use debugger::trace::report::{Class, Report};
use debugger::trace::times;
use serde::{Deserialize, Serialize};

use super::guest_tracer::{Counts, GuestTracer, How};
use super::rivals;

/// A line of its own that tells that the application has begun, and the same for its end. What was measured
/// follows, as JSON on one line.
pub(super) const BEGAN: &str = "began";
pub(super) const ENDED: &str = "ended";

/// What the process is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) image: String,
    pub(super) mode: Mode,
    /// Operations of each kind.
    pub(super) calls: u64,
    pub(super) setup: Setup,
    /// uklscope's own; `None`: the one beside this program.
    pub(super) plugin: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Setup {
    Plain,
    Functions,
    Boundary,
    /// The same, by the host's time.
    BoundaryTimed,
    Clock,
    /// A plugin of QEMU's, by its name.
    Rival(String),
    /// The probes in the image's kernel, and those of its functions.
    Probes(String),
    /// The kernel's own function graph tracer.
    GuestTracer(How),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Measured {
    /// From the application's first line to its last, while it had its turn.
    #[serde(skip)]
    pub(super) seconds: f64,
    /// Of QEMU, in the same time. What the guest waits for the reader is not in it.
    #[serde(skip)]
    pub(super) cpu_seconds: f64,
    /// In the workload's time.
    pub(super) events: u64,
    /// As the tracer keeps one; 0 where it keeps none.
    pub(super) bytes_per_event: f64,
    /// Calls of the kernel, however made, where they are told apart.
    pub(super) crossings: u64,
    pub(super) lost: u64,
    pub(super) waits: u64,
    /// With the turns of others that came into a wait.
    pub(super) waited_ns: u64,
    /// The probes', which tell time.
    pub(super) clock: Option<times::Clock>,
}

/// Far beyond any run: only a hanging guest reaches it.
pub(super) const DEADLINE: Duration = Duration::from_secs(600);

/// Tells of the application's first line, and of its last.
struct Watch<'a> {
    name: &'a str,
    text: Vec<u8>,
    began: bool,
    ended: bool,
}

impl Watch<'_> {
    fn see(&mut self, bytes: &[u8]) {
        self.text.extend(bytes);
        let text = String::from_utf8_lossy(&self.text);
        if !self.began && text.contains(&format!("{}: mode ", self.name)) {
            self.began = true;
            say(BEGAN);
        }
        if !self.ended && text.contains("wrong results, ok") {
            self.ended = true;
            say(ENDED);
        }
    }

    fn went_well(&self) -> Result<()> {
        if self.began && self.ended {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&self.text);
        let line = text.lines().last().unwrap_or_default();
        bail!(
            "measuring {}: it did not say that all went well; its last line: '{line}'",
            self.name
        );
    }
}

/// A process that listens no more ends this one.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// What the process does that [`super::turns`] starts.
///
/// # Errors
/// When the image cannot be booted or traced, or the workload does not end well.
pub(super) fn contend(work: &str) -> Result<()> {
    // Also when this process stands, as it does while others have their turns.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let work: Work = serde_json::from_str(work).context("reading what to measure")?;
    let mut watch = Watch {
        // What follows it is the kernel's.
        name: work.image.split('+').next().unwrap_or_default(),
        text: Vec::new(),
        began: false,
        ended: false,
    };
    let measured = measure(&work, &mut watch)?;
    watch.went_well()?;
    say(&serde_json::to_string(&measured)?);
    Ok(())
}

fn measure(work: &Work, watch: &mut Watch<'_>) -> Result<Measured> {
    let image = store::image(&work.image).context("opening the image to measure with")?;
    let machine = || Machine::of(&image, work.mode, Some(work.calls));
    let options = TraceOptions {
        calls: Some(work.calls),
        plugin: work.plugin.clone(),
        ..TraceOptions::new(work.mode)
    };
    let scope = |scope| TraceOptions {
        scope,
        ..options.clone()
    };
    match &work.setup {
        Setup::Plain => watched(machine(), watch),
        Setup::Functions => traced(trace, &image, &scope(Scope::Functions), watch),
        Setup::Boundary => traced(trace, &image, &scope(Scope::Boundary), watch),
        Setup::BoundaryTimed => {
            let options = TraceOptions {
                clock: Clock::Time,
                ..scope(Scope::Boundary)
            };
            traced(trace, &image, &options, watch)
        }
        Setup::Clock => traced(trace, &image, &scope(Scope::Clock), watch),
        Setup::Rival(name) => {
            let machine = Machine {
                plugin: Some(rivals::named(name)?.as_argument()),
                ..machine()
            };
            watched(machine, watch)
        }
        Setup::Probes(functions) => {
            let options = TraceOptions {
                functions: functions.clone(),
                ..options
            };
            traced(trace_by_probes, &image, &options, watch)
        }
        Setup::GuestTracer(how) => {
            let tracer = GuestTracer::of(&work.image)?;
            let measured = watched(tracer.machine(work.mode, work.calls, *how), watch)?;
            let counts = match how {
                How::Off => Counts::default(),
                _ => Counts::read(&String::from_utf8_lossy(&watch.text))?,
            };
            Ok(Measured {
                events: counts.events,
                lost: counts.lost,
                bytes_per_event: counts.bytes_per_event,
                ..measured
            })
        }
    }
}

fn calls_of(report: &Report) -> u64 {
    let made = |class: &&Class| {
        matches!(
            class.kind,
            CrossingKind::Syscall | CrossingKind::Bypass | CrossingKind::Shortcut
        )
    };
    let calls = report.classes.iter().filter(made);
    calls.map(|class| class.count).sum()
}

type Engine =
    fn(&Image, &TraceOptions, &AtomicBool, &mut dyn FnMut(Event)) -> Result<Traced, TraceError>;

fn traced(
    engine: Engine,
    image: &Image,
    options: &TraceOptions,
    watch: &mut Watch<'_>,
) -> Result<Measured> {
    let mut before = 0;
    let mut tell = |event| match event {
        Event::Serial(bytes) => watch.see(&bytes),
        // News come four times a second: what the boot's last quarter adds is little.
        Event::Trace(news) if !watch.began => before = news.events,
        _ => {}
    };
    let traced = engine(image, options, &AtomicBool::new(false), &mut tell)?;
    Ok(Measured {
        events: traced.report.events - before,
        lost: traced.counts.lost,
        waits: traced.counts.waits,
        waited_ns: traced.counts.waited_ns,
        bytes_per_event: size_of::<wire::Record>() as f64,
        crossings: calls_of(&traced.report),
        clock: traced.report.times.map(|times| times.clock),
        ..Measured::default()
    })
}

/// Boots the machine, and follows it to its end.
fn watched(machine: Machine, watch: &mut Watch<'_>) -> Result<Measured> {
    let mut qemu = Qemu::start(&Machine {
        gdb: GdbServer::None,
        ..machine
    })?;
    qemu.monitor().execute("cont", None)?;
    let deadline = Instant::now() + DEADLINE;
    while let Ok(bytes) = qemu.serial().recv_deadline(deadline) {
        watch.see(&bytes);
    }
    qemu.wait_for_end(DEADLINE);
    Ok(Measured::default())
}
