//! One run of the workload, measured by what it writes to its serial line.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use debugger::crossing::{CrossingKind, Mode};
use debugger::event::Event;
use debugger::qemu::arguments::{GdbServer, Machine};
use debugger::qemu::image::Image;
use debugger::session::TraceError;
use debugger::session::process::Qemu;
use debugger::session::trace::{Scope, TraceOptions, Traced, trace};
use debugger::session::trace_probes::trace_by_probes;
use debugger::trace::report::{Class, Report};
use debugger::trace::times::Clock;

use super::guest_tracer::{Counts, GuestTracer, How};
use super::rivals::Rival;

#[derive(Clone, Copy, Debug)]
pub(super) enum Setup<'a> {
    Plain,
    Traced(Scope),
    /// A plugin of QEMU's.
    Rival(&'a Rival),
    /// The probes in the image's kernel, and those of its functions.
    Probes(&'a str),
    /// The kernel's own function graph tracer.
    GuestTracer(&'a GuestTracer, How),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// From the application's first line to its last.
    pub(super) seconds: f64,
    /// Of QEMU, from its start to its end.
    pub(super) cpu_seconds: f64,
    /// In the workload's time.
    pub(super) events: u64,
    /// As the tracer keeps one; 0 where it keeps none.
    pub(super) bytes_per_event: f64,
    /// Calls of the kernel, however made, where they are told apart.
    pub(super) crossings: u64,
    pub(super) lost: u64,
    pub(super) waits: u64,
    pub(super) waited_ns: u64,
    /// The probes', which tell time.
    pub(super) clock: Option<Clock>,
}

/// Far beyond any run: only a hanging guest reaches it.
const DEADLINE: Duration = Duration::from_secs(600);

/// Takes the time of the application's lines.
struct Watch<'a> {
    name: &'a str,
    text: Vec<u8>,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Watch<'_> {
    fn see(&mut self, bytes: &[u8]) {
        self.text.extend(bytes);
        let text = String::from_utf8_lossy(&self.text);
        let banner = format!("{}: mode ", self.name);
        let result = format!("wrong results, {}", "ok");
        if self.first.is_none() && text.contains(&banner) {
            self.first = Some(Instant::now());
        }
        if self.last.is_none() && text.contains(&result) {
            self.last = Some(Instant::now());
        }
    }

    fn seconds(&self) -> Result<f64> {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            let text = String::from_utf8_lossy(&self.text);
            let line = text.lines().last().unwrap_or_default().to_owned();
            bail!(
                "measuring {}: it did not say that all went well; its last line: '{line}'",
                self.name
            );
        };
        Ok((last - first).as_secs_f64())
    }
}

pub(super) fn measure(
    image: &Image,
    mode: Mode,
    calls: u64,
    setup: Setup<'_>,
    plugin: Option<&Path>,
) -> Result<Measured> {
    let mut watch = Watch {
        // What follows it is the kernel's.
        name: image.manifest.name.split('+').next().unwrap_or_default(),
        text: Vec::new(),
        first: None,
        last: None,
    };
    let before_run = children_cpu_seconds();
    let mut measured = match setup {
        Setup::Plain => watched(Machine::of(image, mode, Some(calls)), &mut watch)?,
        Setup::Rival(rival) => {
            let machine = Machine {
                plugin: Some(rival.as_argument()),
                ..Machine::of(image, mode, Some(calls))
            };
            watched(machine, &mut watch)?
        }
        Setup::GuestTracer(tracer, how) => {
            let measured = watched(tracer.machine(mode, calls, how), &mut watch)?;
            let counts = match how {
                How::Off => Counts::default(),
                _ => Counts::read(&String::from_utf8_lossy(&watch.text))?,
            };
            Measured {
                events: counts.events,
                lost: counts.lost,
                bytes_per_event: counts.bytes_per_event,
                ..measured
            }
        }
        Setup::Traced(scope) => {
            let options = TraceOptions {
                scope,
                plugin: plugin.map(Path::to_owned),
                ..TraceOptions::new(mode)
            };
            traced(trace, image, options, calls, &mut watch)?
        }
        Setup::Probes(functions) => {
            let options = TraceOptions {
                functions: functions.to_owned(),
                ..TraceOptions::new(mode)
            };
            traced(trace_by_probes, image, options, calls, &mut watch)?
        }
    };
    measured.cpu_seconds = children_cpu_seconds() - before_run;
    Ok(measured)
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
    options: TraceOptions,
    calls: u64,
    watch: &mut Watch<'_>,
) -> Result<Measured> {
    let options = TraceOptions {
        calls: Some(calls),
        ..options
    };
    let mut before = 0;
    let mut tell = |event| match event {
        Event::Serial(bytes) => watch.see(&bytes),
        // News come four times a second: what the boot's last quarter adds is little.
        Event::Trace(news) if watch.first.is_none() => before = news.events,
        _ => {}
    };
    let traced = engine(image, &options, &AtomicBool::new(false), &mut tell)?;
    Ok(Measured {
        seconds: watch.seconds()?,
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
    Ok(Measured {
        seconds: watch.seconds()?,
        ..Measured::default()
    })
}

/// What processes that were started here and have ended took: `cutime` and `cstime` of proc(5), in
/// hundredths of a second.
fn children_cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in parentheses, which may hold anything.
    let rest = text.rsplit(") ").next().unwrap_or_default();
    let fields: Vec<f64> = rest
        .split(' ')
        .filter_map(|field| field.parse().ok())
        .collect();
    // `rest` begins with the third field, a letter, which is no number: the sixteenth is at 12.
    fields
        .get(12)
        .zip(fields.get(13))
        .map_or(f64::NAN, |(user, system)| (user + system) / 100.0)
}
