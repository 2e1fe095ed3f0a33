//! What the screen is opened on: an image, a stub, a recording, or the recording that is built in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use debugger::event::{Event, Run, TargetInfo, TraceNews};
use debugger::qemu::image::Image;
use debugger::session::replay::RecordedRun;
use debugger::session::store;
use debugger::session::trace_compare::side_by_side;
use debugger::session::trace_file::{self, Found};
use debugger::session::{
    AttachOptions, BootOptions, Handle, ReplayOptions, Session, StatesOptions, StopAt,
};
use debugger::trace::import::Stacks;
use debugger::trace::recording::{Recording, Stored};

use crate::args::{AttachArgs, OpenArgs, ReplayArgs, RunArgs, ScreenArgs};
use crate::batch::report;
use crate::batch::{session as opened, stacks};
use crate::history::History;
use crate::panels::PanelId;
use crate::run::{self, Subject};
use crate::state;
use crate::theme::{Palette, Theme};
use crate::tracer::Tracer;
use crate::ui::{Guest, Ui};

/// Made by this program on a real image, in every mode.
const BUILT_IN: &[u8] = include_bytes!("../assets/builtin.uklrec");

/// Said of a recording whose writer was ended.
const CUT_OFF: &str =
    "it was not written to its end: its crossings are folded of the records that are there";

/// `uklscope run`
///
/// # Errors
/// When there is no such image, or no terminal.
pub fn run(args: &RunArgs, look: ScreenArgs) -> anyhow::Result<()> {
    let image = opened::image(args.image.as_deref(), &args.boot)?;
    // A kernel of someone else's may have no application linked in.
    let stop_at = if args.image.is_some() {
        StopAt::Main
    } else {
        StopAt::Kernel
    };
    let mut options = opened::options(&args.boot, args.calls, stop_at);
    options.profile.clone_from(&args.wire.family.profile);
    options.record.clone_from(&args.wire.record_wire);
    boot(image, options, look)
}

/// `uklscope` alone: the last image, else the built-in recording.
///
/// # Errors
/// When there is no terminal.
pub fn last(look: ScreenArgs) -> anyhow::Result<()> {
    let image = store::last_image().and_then(|name| store::image(&name));
    let error = match image {
        Ok(image) if qemu_is_there() => return boot(image, BootOptions::default(), look),
        Ok(_) => "no QEMU is on PATH; 'uklscope doctor' tells how to install it".to_owned(),
        Err(error) => error.to_string(),
    };
    let (recording, issues) =
        Recording::decode(BUILT_IN).context("reading the built-in recording; build again")?;
    let mut events = vec![
        Event::Notice(error),
        Event::Notice(
            "this is a recording that is built in. 'cargo xtask image syscalls' builds an image, \
             'uklscope run syscalls' boots it"
                .to_owned(),
        ),
    ];
    let hint = "built-in recording; 'cargo xtask demo' gets an image to debug".to_owned();
    let issues = issues.iter().map(ToString::to_string).collect();
    events.extend(told(&recording, "built-in recording".to_owned(), issues));
    show_recording(events, Some(hint), look, PanelId::Classes)
}

/// `uklscope open`: the first recording, and the others' modes beside it.
///
/// # Errors
/// When a file is no recording.
pub fn open(args: &OpenArgs, look: ScreenArgs) -> anyhow::Result<()> {
    if let [file] = args.files.as_slice() {
        match trace_file::find(file)? {
            Found::Stacks(mut stacks) => {
                args.import.name(&mut stacks, file)?;
                return show_recording(imported(stacks, file), None, look, PanelId::Flame);
            }
            Found::Recording(stored) if stored.has_states() => return states(file, None, look),
            Found::Recording(_) => {}
        }
    }
    if let [a, b] = args.files.as_slice()
        && (is_import(a)? || is_import(b)?)
    {
        let (of_a, of_b) = (report::find(a)?, report::find(b)?);
        let (stacks, differ) = stacks::two_files((&of_a, a), (&of_b, b), &args.import)?;
        let mut events = imported(stacks, a);
        events.push(Event::Differ(Arc::new(differ)));
        return show_recording(events, None, look, PanelId::Butterfly);
    }
    let read = read(&args.files, &mut |_| ())?;
    if let Some(file) = args.files.first() {
        report::is_counted(&read.recording, file, "opening")?;
    }
    let names: Vec<String> = args
        .files
        .iter()
        .map(|file| file.file_name().unwrap_or(file.as_os_str()))
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let name = format!("recording {}", names.join(" "));
    let mut events = told(&read.recording, name, read.issues);
    let first = read.kept.iter().flat_map(Stored::runs).next();
    let mode = first.and_then(|run| Some(run.made.as_ref()?.mode.mode));
    for event in &mut events {
        if let Event::Target(target) = event {
            target.mode = target.mode.or(mode);
        }
    }
    // Crossings have to wait until they are folded; the timeline shows all at once.
    let unfolded = read.unfolded.then(|| args.files.clone());
    let shown = match (&unfolded, read.recording.runs.is_empty()) {
        (Some(_), true) => PanelId::Timeline,
        _ => PanelId::Classes,
    };
    events.extend(read.kept.map(|stored| Event::Recorded(Arc::new(stored))));
    let hint = unfolded.as_ref().map(|_| CUT_OFF.to_owned());
    show(events, hint, look, shown, unfolded.unwrap_or_default())
}

fn is_import(file: &Path) -> anyhow::Result<bool> {
    Ok(matches!(trace_file::find(file)?, Found::Stacks(_)))
}

/// `uklscope attach`
///
/// # Errors
/// When the address is none.
pub fn attach(args: &AttachArgs, look: ScreenArgs) -> anyhow::Result<()> {
    let endpoint = args
        .address
        .parse()
        .with_context(|| format!("attaching to {}", args.address))?;
    let options = AttachOptions {
        vmlinux: args.vmlinux.clone(),
        force: args.force,
        profile: args.wire.family.profile.clone(),
        record: args.wire.record_wire.clone(),
        ..AttachOptions::default()
    };
    let session = Session::attach(endpoint, options);
    live(session, &args.address, Guest::Theirs, None, look)
}

/// `uklscope replay`
///
/// # Errors
/// When there is no terminal.
pub fn replay(args: &ReplayArgs, look: ScreenArgs) -> anyhow::Result<()> {
    let profile = args.family.profile.clone();
    if args.target.is_file() {
        let options = StatesOptions {
            profile,
            ..StatesOptions::default()
        };
        return recorded(&args.target, options, look);
    }
    // Where it cannot be opened, the session says so.
    let tracer = RecordedRun::open(&args.target)
        .ok()
        .map(|run| Tracer::of(run, profile.clone()));
    let options = ReplayOptions {
        profile,
        ..ReplayOptions::default()
    };
    let session = Session::replay(args.target.clone(), options);
    let name = args.target.display().to_string();
    live(session, &name, Guest::Ours, tracer, look)
}

/// A recording with the machine at its crossings; `image` is that of a bundle.
///
/// # Errors
/// When there is no terminal.
pub fn states(path: &Path, image: Option<Image>, look: ScreenArgs) -> anyhow::Result<()> {
    let options = StatesOptions {
        image,
        ..StatesOptions::default()
    };
    recorded(path, options, look)
}

/// Its machine, and its crossings beside that.
fn recorded(path: &Path, options: StatesOptions, look: ScreenArgs) -> anyhow::Result<()> {
    let (recording, _) = trace_file::load(path)?;
    let name = path.display().to_string();
    let session = Session::states(path.to_owned(), options);
    with_events(session, &name, Guest::None, None, look, traced(&recording))
}

fn boot(image: Image, options: BootOptions, look: ScreenArgs) -> anyhow::Result<()> {
    let tracer = Tracer::new(image.clone(), &options);
    let name = image.manifest.name.clone();
    let session = Session::boot(image, options);
    live(session, &name, Guest::Ours, Some(tracer), look)
}

fn live(
    session: Handle,
    name: &str,
    guest: Guest,
    tracer: Option<Tracer>,
    look: ScreenArgs,
) -> anyhow::Result<()> {
    with_events(session, name, guest, tracer, look, Vec::new())
}

/// `events`: what is known before the session says anything.
fn with_events(
    session: Handle,
    name: &str,
    guest: Guest,
    tracer: Option<Tracer>,
    look: ScreenArgs,
    mut events: Vec<Event>,
) -> anyhow::Result<()> {
    let mut ui = screen(guest, look);
    let mut kept = state::File::of(name);
    match kept.as_mut().map(state::File::read) {
        Some(Ok(saved)) => state::restore(&mut ui, &saved),
        Some(Err(trouble)) => {
            ui.said = Some(trouble.clone());
            events.push(Event::Notice(trouble));
        }
        None => {}
    }
    chosen(&mut ui, look);
    ui.names = session.names.clone();
    run::run(
        ui,
        Subject {
            session: Some(session),
            events,
            tracer,
            kept,
            unfolded: Vec::new(),
        },
    )
}

fn show_recording(
    events: Vec<Event>,
    hint: Option<String>,
    look: ScreenArgs,
    shown: PanelId,
) -> anyhow::Result<()> {
    show(events, hint, look, shown, Vec::new())
}

/// `unfolded`: files with runs that were not written to their end.
fn show(
    events: Vec<Event>,
    hint: Option<String>,
    look: ScreenArgs,
    shown: PanelId,
    unfolded: Vec<PathBuf>,
) -> anyhow::Result<()> {
    let mut ui = screen(Guest::None, look);
    ui.look_at(shown);
    ui.said = hint;
    run::run(
        ui,
        Subject {
            session: None,
            events,
            tracer: None,
            kept: None,
            unfolded,
        },
    )
}

fn screen(guest: Guest, look: ScreenArgs) -> Ui {
    let mut ui = Ui::new(Theme::from(Palette::default()), guest);
    chosen(&mut ui, look);
    if let Ok(root) = store::root() {
        ui.history = History::open(root.join("history"));
    }
    ui
}

/// What the command line says goes before `NO_COLOR`, and both before what was kept.
fn chosen(ui: &mut Ui, look: ScreenArgs) {
    if let Some(palette) = look.theme.or_else(Palette::from_environment) {
        ui.theme = palette.into();
    }
    if let Some(preset) = look.keys {
        ui.preset = preset;
    }
}

/// What several recordings say together.
#[derive(Debug)]
pub(crate) struct Read {
    recording: Recording,
    /// Each names its file.
    issues: Vec<String>,
    /// Those that mending has added.
    mended: Vec<String>,
    /// The first one with records.
    kept: Option<Stored>,
    /// A run was not written to its end, and nothing of it was folded yet.
    unfolded: bool,
}

impl Read {
    /// Its crossings as events, with what mending tells of them.
    pub(crate) fn crossings(self) -> Vec<Event> {
        let mut events: Vec<Event> = self.mended.into_iter().map(Event::Notice).collect();
        events.extend(traced(&self.recording));
        events
    }
}

/// The runs of all files, in their order. `mend` is given each as it is opened.
///
/// # Errors
/// When one of them is no recording.
pub(crate) fn read(files: &[PathBuf], mend: &mut dyn FnMut(&mut Stored)) -> anyhow::Result<Read> {
    let mut whole: Option<Recording> = None;
    let mut kept: Option<Stored> = None;
    let (mut issues, mut mended) = (Vec::new(), Vec::new());
    let mut unfolded = false;
    for file in files {
        let mut stored = trace_file::open(file)?;
        let known = stored.issues().len();
        mend(&mut stored);
        let recording = stored.recording();
        let named = |issue| format!("{}: {issue}", file.display());
        let (found, new) = stored.issues().split_at(known);
        issues.extend(found.iter().map(named));
        mended.extend(new.iter().map(named));
        unfolded |= stored.is_unfolded();
        if stored.has_records() && kept.is_none() {
            kept = Some(stored);
        }
        match &mut whole {
            Some(whole) => whole.runs.extend(recording.runs),
            None => whole = Some(recording),
        }
    }
    Ok(Read {
        recording: whole.context("opening recordings: no file is given; name one")?,
        issues,
        mended,
        kept,
        unfolded,
    })
}

/// Stacks of another tool, as the events of a session that has ended.
#[must_use]
pub fn imported(stacks: Stacks<'static>, path: &Path) -> Vec<Event> {
    let mut events: Vec<Event> = stacks.notes.iter().cloned().map(Event::Notice).collect();
    let unknown = stacks.unknown();
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        events.push(Event::Notice(format!(
            "not in {}: {unknown}",
            path.display()
        )));
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    events.push(Event::Target(TargetInfo {
        name: name.to_string_lossy().into_owned(),
        mode: stacks.mode.as_ref().map(|mode| mode.mode),
        accelerator: stacks.format.name().to_owned(),
        vcpus: 0,
        lacks: Vec::new(),
        found: Vec::new(),
    }));
    let ended = format!("{} {}", stacks.format.name(), name.to_string_lossy());
    events.push(Event::Imported(Arc::new(stacks)));
    events.push(Event::Run(Run::Ended(ended)));
    events
}

/// What a recording says, as the events of a session that has ended.
#[must_use]
pub fn told(recording: &Recording, name: String, issues: Vec<String>) -> Vec<Event> {
    let mut events: Vec<Event> = issues.into_iter().map(Event::Notice).collect();
    let first = recording.runs.first();
    events.push(Event::Target(TargetInfo {
        name: recording.head.image.clone(),
        mode: first.map(|run| run.mode.mode),
        accelerator: "recording".to_owned(),
        vcpus: 0,
        lacks: Vec::new(),
        found: Vec::new(),
    }));
    events.extend(traced(recording));
    events.push(Event::Run(Run::Ended(name)));
    events
}

/// Its runs: the first one, and all side by side.
fn traced(recording: &Recording) -> Vec<Event> {
    let first = recording.runs.first().map(|first| {
        Event::Trace(TraceNews {
            report: Arc::new(first.clone()),
            events: first.events,
            events_per_s: 0.0,
            running: false,
            recording: false,
        })
    });
    let comparison = side_by_side(&recording.head.image, recording.runs.clone());
    first
        .into_iter()
        .chain([Event::Compared(Arc::new(comparison))])
        .collect()
}

fn qemu_is_there() -> bool {
    let program = debugger::qemu::arguments::PROGRAM;
    crate::batch::doctor::in_path(program).is_some()
}
