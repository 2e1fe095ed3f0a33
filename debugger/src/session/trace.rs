//! Runs an image once under the plugin and folds what it records while it runs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wire::Policy;

use super::guest_probes::GuestProbes;
use super::host_clock::host_clock;
use super::process::Qemu;
use super::replay::RecordedRun;
use super::shared_memory::SharedMemory;
use super::trace_error::TraceError;
use super::trace_plugin::find_plugin;
use super::trace_ring::{Ring, RingCounts};
use super::trace_switch::Switch;
use super::trace_table::{open_symbols, table_of};
use super::trace_tasks::{LOOK_EVERY, TaskNames, choice};
use crate::count::counted;
use crate::crossing::{Mode, Setup};
use crate::event::{Event, TraceNews};
use crate::qemu::arguments::{Accelerator, GdbServer, Machine, Plugin, REPEATABLE};
use crate::qemu::image::Image;
use crate::trace::filter::Filter;
use crate::trace::fold::{Fold, Run, Told};
use crate::trace::query::Query;
use crate::trace::records::{NoRecorder, Recorder};
use crate::trace::report::{Class, Report};
use crate::trace::sites::SiteTable;

#[derive(Clone, Debug)]
pub struct TraceOptions {
    pub setup: Setup,
    /// Operations the application is asked for.
    pub calls: Option<u64>,
    /// Ends the run after this long, from when it is recorded.
    pub duration: Option<Duration>,
    /// The vCPUs of the machine.
    pub smp: u32,
    /// Drops the oldest records where the guest would have to wait; each is counted.
    pub flight: bool,
    pub clock: Clock,
    pub scope: Scope,
    /// Which functions are recorded, and what starts and stops it.
    pub filter: Filter,
    /// Ends the run after the first crossing that something holds for.
    pub snapshot: Option<Snapshot>,
    /// Records nothing until the switch is turned.
    pub paused: bool,
    /// Stops recording while the guest runs, and goes on with it.
    pub switch: Switch,
    /// By the probes in the guest: functions of the kernel that are recorded too, by name, with `*`, apart by
    /// commas.
    pub functions: String,
    /// By the probes: what runs the guest.
    pub accelerator: Accelerator,
    /// With a clock, a date and random numbers of the guest that are the same in every run.
    pub repeatable: bool,
    /// The QEMU that is started, in place of the usual one.
    pub qemu: Option<PathBuf>,
    /// The plugin's file; looked for when not given.
    pub plugin: Option<PathBuf>,
    /// A table of the kernel's family, in place of the one that its symbols choose.
    pub profile: Option<PathBuf>,
    /// Traces this run once more, not one of its own: a clock is a position of the recorded run.
    pub recorded: Option<RecordedRun>,
}

/// How instructions are counted, if they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// By one addition per block.
    #[default]
    Fast,
    /// By one per instruction: slow, to check the fast one.
    Slow,
    /// In both ways, compared at every record: [`Report::clocks`].
    Both,
    /// As slow, and each round of an instruction that repeats itself: the positions of a recorded run.
    Rounds,
    /// Not at all: how long crossings take is told, by the host's clock, and the guest is slowed down the least. Of
    /// [`Scope::Boundary`] alone: which functions are jumped to is told by counts.
    Time,
}

/// What a run is ended by, and what is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The first crossing that it holds for; to it a class is that one crossing.
    pub when: Query,
    /// The last records that a recording keeps, in whole chunks.
    pub records: usize,
}

/// What is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Every entry and return of the kernel's and the application's functions.
    #[default]
    Functions,
    /// Where crossings begin and end, and what they are named by: their kinds, calls and whole counts, without
    /// what they do in between.
    Boundary,
    /// Nothing: the plugin counts instructions.
    Clock,
}

impl TraceOptions {
    #[must_use]
    pub fn new(setup: impl Into<Setup>) -> Self {
        Self {
            setup: setup.into(),
            calls: None,
            duration: None,
            smp: 1,
            flight: false,
            clock: Clock::default(),
            scope: Scope::default(),
            filter: Filter::default(),
            snapshot: None,
            paused: false,
            switch: Switch::default(),
            functions: String::new(),
            accelerator: Accelerator::default(),
            repeatable: false,
            qemu: None,
            plugin: None,
            profile: None,
            recorded: None,
        }
    }

    /// Of a recorded run. Its instructions are counted one by one: QEMU cuts blocks short where the recording's
    /// next event comes, and what a fault leaves of such a block is not known.
    #[must_use]
    pub fn of(run: RecordedRun) -> Self {
        Self {
            recorded: Some(run.clone()),
            clock: Clock::Rounds,
            ..Self::new(run.mode())
        }
    }

    /// The image's machine in this mode, with the mode's options on the kernel's command line.
    #[must_use]
    pub fn machine(&self, image: &Image) -> Machine {
        let mut machine = Machine::of(image, self.setup.mode, self.calls);
        machine.smp = self.smp;
        if self.repeatable {
            machine.more.extend(REPEATABLE.map(OsString::from));
        }
        if let Some(qemu) = &self.qemu {
            machine.program.clone_from(qemu);
        }
        if let Some(more) = self.setup.append() {
            machine.append.push(' ');
            machine.append.push_str(&more);
        }
        if let Some(run) = &self.recorded {
            run.repeat(&mut machine, false);
        }
        machine
    }
}

/// A traced run.
#[derive(Clone, Debug)]
pub struct Traced {
    pub report: Report,
    /// The crossing that a [`Snapshot`] was asked for.
    pub triggered: Option<Class>,
    /// What the guest wrote to its serial line.
    pub serial: Vec<u8>,
    pub counts: RingCounts,
    /// From QEMU's start to its end.
    pub wall: Duration,
}

/// Classes that come new into a report made while the run goes on.
const LIVE_CLASSES: usize = 64;
/// Classes in any.
const MOST_CLASSES: usize = 256;
const NEWS_EVERY: Duration = Duration::from_millis(250);
/// Between two looks at an empty ring.
const NAP: Duration = Duration::from_micros(300);
/// For QEMU to end when asked.
const FAREWELL: Duration = Duration::from_secs(3);

/// Boots the image, traces it to its end and returns what was folded.
///
/// `tell` is given what the guest writes to its serial line and, a few times a second, what is folded
/// so far. The run is ended early, and reported as far as it came, once `cancel` is set.
///
/// # Errors
/// When the image cannot be traced or QEMU cannot be started.
pub fn trace(
    image: &Image,
    options: &TraceOptions,
    cancel: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> Result<Traced, TraceError> {
    trace_and_record(image, options, cancel, tell, &mut NoRecorder)
}

/// The same, and hands all records to `recorder` as they are folded.
///
/// # Errors
/// As [`trace`].
pub fn trace_and_record(
    image: &Image,
    options: &TraceOptions,
    cancel: &AtomicBool,
    tell: &mut dyn FnMut(Event),
    recorder: &mut dyn Recorder,
) -> Result<Traced, TraceError> {
    check_mode(image, options)?;
    let plugin = match &options.plugin {
        Some(path) => path.clone(),
        None => find_plugin()?,
    };
    let twin = (options.setup.mode == Mode::Linux).then(|| image.twin());
    let profile = options.profile.as_deref();
    let symbols = open_symbols(&image.vmlinux(), twin.as_deref(), profile)?;
    let (table, _) = table_of(&symbols);
    let mut table = match options.scope {
        Scope::Functions => table,
        Scope::Boundary => table.boundary(),
        Scope::Clock => SiteTable::default(),
    };
    let policy = if options.flight {
        Policy::Flight
    } else {
        Policy::Lossless
    };
    options.filter.mark(&mut table)?;
    let on = !options.filter.begins_off() && !options.paused;
    let mut ring = Ring::new(options.smp, &table.sites, policy, on)
        .map_err(|source| TraceError::Ring { source })?;
    ring.choose(choice(&options.filter.only_tasks, &symbols)?);
    recorder.begin(&table);
    // A request is what calls delimit: it is told where all of them are recorded.
    let request = image.manifest.request.clone();
    let request = request.filter(|_| options.filter.only_calls.is_empty());
    let fold = Fold::new(table.functions)
        .with_call_sites(table.calls)
        .with_requests(request.as_ref());
    let fold = match options.clock {
        Clock::Time => fold.with_times_of_the_whole(host_clock()),
        Clock::Fast | Clock::Slow | Clock::Both | Clock::Rounds => fold,
    };
    let fold = match &options.snapshot {
        Some(snapshot) => fold.with_trigger(snapshot.when.clone(), options.setup.clone()),
        None => fold,
    };
    let machine = machine(image, options, plugin, &ring);
    let memory = SharedMemory::new(u64::from(machine.memory_mib) << 20)
        .map_err(|source| TraceError::Memory { source })?;
    if let Some(run) = &options.recorded {
        run.same_qemu(&machine)?;
    }
    let mut guest = Qemu::start(&Machine {
        shared_memory: Some(memory.path()),
        ..machine
    })?;
    if options.recorded.is_none() && !image.manifest.ports.is_empty() {
        for forward in guest.forwards()? {
            let mode = &options.setup;
            tell(Event::Notice(format!("traced in mode {mode}: {forward}")));
        }
    }
    // From here on the records are read: the guest need not wait for this program to be ready.
    guest.monitor().execute("cont", None)?;
    let mut run = Running {
        options,
        engine: "plugin",
        ring: &mut ring,
        probes: None,
        recorder,
        fold,
        names: TaskNames::new(memory, &symbols),
        guest,
        serial: Vec::new(),
        began: Instant::now(),
        recording: None,
        turns: options.switch.turns(),
        frozen: None,
        cancelled: false,
        notes: Vec::new(),
        told: Told::default(),
    };
    run.follow(cancel, tell);
    run.finish(image, tell)
}

pub(super) fn check_mode(image: &Image, options: &TraceOptions) -> Result<(), TraceError> {
    if image.manifest.modes.contains(&options.setup.mode) {
        return Ok(());
    }
    Err(TraceError::NoMode {
        image: image.manifest.name.clone(),
        mode: options.setup.mode,
        has: image.manifest.modes.clone(),
    })
}

fn machine(image: &Image, options: &TraceOptions, plugin: PathBuf, ring: &Ring) -> Machine {
    let clock = match options.clock {
        Clock::Fast => "fast",
        Clock::Slow => "slow",
        Clock::Both => "both",
        Clock::Rounds => "rounds",
        Clock::Time => "time",
    };
    let arguments = vec![
        ("shared".to_owned(), ring.path().into()),
        ("clock".to_owned(), clock.into()),
    ];
    Machine {
        gdb: GdbServer::None,
        plugin: Some(Plugin {
            path: plugin,
            arguments,
        }),
        stopped_at_start: true,
        ..options.machine(image)
    }
}

pub(super) struct Running<'a> {
    pub(super) options: &'a TraceOptions,
    pub(super) engine: &'static str,
    pub(super) ring: &'a mut Ring,
    /// What is told to stop before the guest is ended.
    pub(super) probes: Option<GuestProbes>,
    pub(super) recorder: &'a mut dyn Recorder,
    pub(super) fold: Fold,
    pub(super) names: TaskNames,
    pub(super) guest: Qemu,
    pub(super) serial: Vec<u8>,
    pub(super) began: Instant,
    /// Since when it is recorded.
    pub(super) recording: Option<Instant>,
    /// Turns of the switch that were followed.
    pub(super) turns: u32,
    /// What the plugin had counted when the crossing came that ends the run.
    pub(super) frozen: Option<RingCounts>,
    pub(super) cancelled: bool,
    pub(super) notes: Vec<String>,
    pub(super) told: Told,
}

impl Running<'_> {
    /// Folds until the guest has ended.
    pub(super) fn follow(&mut self, cancel: &AtomicBool, tell: &mut dyn FnMut(Event)) {
        let mut told = (Instant::now(), 0);
        let mut looked = Instant::now();
        let mut asked: Option<Instant> = None;
        loop {
            let ended = self.guest.ended().is_some();
            self.follow_switch();
            let drained = self.ring.drain(&mut self.fold, self.recorder);
            if self.frozen.is_none() && self.fold.triggered().is_some() {
                // What comes now is nobody's loss.
                self.frozen = Some(self.ring.counts());
                self.ring.close();
            }
            self.take_serial(tell);
            if ended {
                self.ring.drain_last(&mut self.fold, self.recorder);
                // Its memory is still here.
                self.names.look(self.fold.tasks());
                return;
            }
            if looked.elapsed() >= LOOK_EVERY {
                self.names.look(self.fold.tasks());
                looked = Instant::now();
            }
            if self.recording.is_none() && self.ring.was_on() {
                self.recording = Some(Instant::now());
            }
            let elapsed = self.recording.map(|since| since.elapsed());
            let over = elapsed >= self.options.duration && self.options.duration.is_some();
            let over = over || self.frozen.is_some();
            if asked.is_none() && (over || cancel.load(Ordering::Relaxed)) {
                self.cancelled = true;
                asked = Some(Instant::now());
                match &mut self.probes {
                    // The guest hands over what it has; nothing of this can be too long.
                    Some(probes) => drop(probes.request(0, "")),
                    None => self.ask_to_end(),
                }
            }
            if asked.is_some() && self.probes.as_ref().is_some_and(GuestProbes::has_answered) {
                self.probes = None;
                self.ask_to_end();
            }
            if asked.is_some_and(|asked| asked.elapsed() > FAREWELL) {
                self.ring.close();
                self.guest.kill();
            }
            if told.0.elapsed() >= NEWS_EVERY {
                let per_s = (self.fold.events - told.1) as f64 / told.0.elapsed().as_secs_f64();
                told = (Instant::now(), self.fold.events);
                tell(Event::Trace(TraceNews {
                    report: Arc::new(self.report(true)),
                    events: self.fold.events,
                    events_per_s: per_s,
                    running: true,
                    recording: self.ring.is_on(),
                }));
            }
            if drained == 0 {
                std::thread::sleep(NAP);
            }
        }
    }

    fn follow_switch(&mut self) {
        let turns = self.options.switch.turns();
        if turns.wrapping_sub(self.turns) % 2 == 1 {
            self.ring.turn_gate();
        }
        self.turns = turns;
    }

    /// By a signal, not by the monitor: the guest may be waiting for its records to be read, and then
    /// QEMU answers nobody. The plugin hands over what it has.
    fn ask_to_end(&self) {
        let pid = i32::try_from(self.guest.pid())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }

    pub(super) fn take_serial(&mut self, tell: &mut dyn FnMut(Event)) {
        while let Ok(bytes) = self.guest.serial().try_recv() {
            self.serial.extend(&bytes);
            tell(Event::Serial(bytes));
        }
    }

    fn report(&mut self, live: bool) -> Report {
        let counts = self.ring.counts();
        let mut notes = self.notes.clone();
        if counts.waits > 0 {
            let waited = Duration::from_nanos(counts.waited_ns);
            notes.push(format!(
                "the guest waited {}, {:.3} s in all, for its records to be read",
                counted(counts.waits, "time"),
                waited.as_secs_f64()
            ));
        }
        let left_out = match self.options.scope {
            Scope::Boundary => Some("--scope boundary".to_owned()),
            Scope::Functions | Scope::Clock => self.options.filter.leaves_out_functions(),
        };
        let left_out = left_out.filter(|_| self.options.clock != Clock::Time);
        notes.extend(left_out.as_ref().map(|option| {
            format!(
                "functions were left out by {option}: their instructions are their callers', and phases are not known"
            )
        }));
        if self.recording.is_none() && self.options.filter.begins_off() {
            notes.push("nothing was recorded: no function of --start-at was entered".to_owned());
        } else if self.recording.is_none() && self.options.paused {
            notes.push("nothing was recorded: recording was paused to the end".to_owned());
        }
        if counts.records_left_out > 0 {
            notes.push(format!(
                "left out as asked: {} and {}, of these and of other tasks",
                counted(counts.calls_left_out, "call"),
                counted(counts.records_left_out, "record")
            ));
        }
        if let Some(snapshot) = &self.options.snapshot {
            notes.push(match self.fold.triggered() {
                Some(class) => format!(
                    "the run was ended after a crossing for which {} holds: {} {}, {}, class {}",
                    snapshot.when,
                    class.kind,
                    class.call,
                    counted(class.instructions, "instruction"),
                    class.id
                ),
                None => format!("no crossing came for which {} holds", snapshot.when),
            });
        } else if self.cancelled {
            notes.push("the run was ended before the guest powered off".to_owned());
        }
        let clocks = self.ring.clocks(self.fold.functions());
        notes.extend(clocks.notes());
        let run = Run {
            mode: self.options.setup.clone(),
            engine: self.engine.to_owned(),
            lost: self.frozen.unwrap_or(counts).lost,
            insns: counts.insns,
            notes,
        };
        let report = match live {
            true => {
                let classes = (LIVE_CLASSES, MOST_CLASSES);
                self.fold.live(&run, classes, &mut self.told)
            }
            false => self.fold.report(&run, MOST_CLASSES),
        };
        Report {
            clocks: (self.options.clock == Clock::Both).then_some(clocks),
            tasks: self.names.list(),
            functions_left_out: left_out,
            ..report
        }
    }

    pub(super) fn finish(
        mut self,
        image: &Image,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Traced, TraceError> {
        let wall = self.began.elapsed();
        // Its output is at its end: what it wrote last may still be on its way here.
        while let Ok(bytes) = self.guest.serial().recv_timeout(FAREWELL) {
            self.serial.extend(bytes);
        }
        let mut report = self.report(false);
        if self.cancelled && report.classes.is_empty() {
            let early = "no crossing was seen: the application may not have been started yet";
            report.notes.push(early.to_owned());
        }
        let whole =
            !self.cancelled && !self.options.paused && self.options.filter == Filter::default();
        if report.classes.is_empty() && whole && self.options.scope != Scope::Clock {
            let text = String::from_utf8_lossy(&self.serial).into_owned();
            return Err(TraceError::NoCrossing {
                image: image.manifest.name.clone(),
                mode: self.options.setup.mode,
                insns: report.insns,
                last_line: text.lines().last().unwrap_or_default().trim().to_owned(),
                ended: self.guest.ended().unwrap_or_default(),
            });
        }
        tell(Event::Trace(TraceNews {
            report: Arc::new(report.clone()),
            events: report.events,
            events_per_s: 0.0,
            running: false,
            recording: false,
        }));
        Ok(Traced {
            triggered: self.fold.triggered().cloned(),
            report,
            serial: std::mem::take(&mut self.serial),
            counts: self.ring.counts(),
            wall,
        })
    }
}
