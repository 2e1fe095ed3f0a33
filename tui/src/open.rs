//! What the screen is opened on: an image, a stub, a recording, or the recording that is built in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use debugger::event::{Event, Run, TargetInfo, TraceNews};
use debugger::qemu::image::Image;
use debugger::session::store;
use debugger::session::trace_compare::side_by_side;
use debugger::session::trace_file::{self, Found};
use debugger::session::{AttachOptions, BootOptions, Handle, Session, StopAt};
use debugger::trace::import::Stacks;
use debugger::trace::recording::{Recording, Stored};

use crate::args::{AttachArgs, OpenArgs, ReplayArgs, RunArgs, ScreenArgs};
use crate::batch::session as opened;
use crate::history::History;
use crate::panels::Screen;
use crate::run::{self, Subject};
use crate::state;
use crate::theme::{Palette, Theme};
use crate::tracer::Tracer;
use crate::ui::{Guest, Ui};

/// Made by this program on a real image, in every mode.
const BUILT_IN: &[u8] = include_bytes!("../assets/builtin.uklrec");

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
    show_recording(events, Some(hint), look, Screen::Crossings)
}

/// `uklscope open`: the first recording, and the others' modes beside it.
///
/// # Errors
/// When a file is no recording.
pub fn open(args: &OpenArgs, look: ScreenArgs) -> anyhow::Result<()> {
    if let [file] = args.files.as_slice()
        && let Found::Stacks(mut stacks) = trace_file::find(file)?
    {
        args.import.name(&mut stacks, file)?;
        return show_recording(imported(stacks, file), None, look, Screen::Flame);
    }
    let (recording, issues, kept) = read(&args.files)?;
    let names: Vec<String> = args
        .files
        .iter()
        .map(|file| file.file_name().unwrap_or(file.as_os_str()))
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let name = format!("recording {}", names.join(" "));
    let mut events = told(&recording, name, issues);
    events.extend(kept.map(|stored| Event::Recorded(Arc::new(stored))));
    show_recording(events, None, look, Screen::Crossings)
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
    let session = Session::replay(args.folder.clone(), StopAt::Main, profile);
    let name = args.folder.display().to_string();
    live(session, &name, Guest::Ours, None, look)
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
    let mut ui = screen(guest, look);
    let mut kept = state::File::of(name);
    let mut events = Vec::new();
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
        },
    )
}

fn show_recording(
    events: Vec<Event>,
    hint: Option<String>,
    look: ScreenArgs,
    shown: Screen,
) -> anyhow::Result<()> {
    let mut ui = screen(Guest::None, look);
    ui.show(shown);
    ui.said = hint;
    run::run(
        ui,
        Subject {
            session: None,
            events,
            tracer: None,
            kept: None,
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

/// The runs of all files, in their order; the issues name their file. Of several files with records the
/// first is given.
fn read(files: &[PathBuf]) -> anyhow::Result<(Recording, Vec<String>, Option<Stored>)> {
    let mut whole: Option<Recording> = None;
    let mut kept: Option<Stored> = None;
    let mut issues = Vec::new();
    for file in files {
        let stored = trace_file::open(file)?;
        let recording = stored.recording();
        let found = stored.issues().iter();
        issues.extend(found.map(|issue| format!("{}: {issue}", file.display())));
        if stored.has_records() && kept.is_none() {
            kept = Some(stored);
        }
        match &mut whole {
            Some(whole) => whole.runs.extend(recording.runs),
            None => whole = Some(recording),
        }
    }
    let whole = whole.context("opening recordings: no file is given; name one")?;
    Ok((whole, issues, kept))
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
    if let Some(first) = first {
        events.push(Event::Trace(TraceNews {
            report: Arc::new(first.clone()),
            events: first.events,
            events_per_s: 0.0,
            running: false,
            recording: false,
        }));
    }
    let comparison = side_by_side(&recording.head.image, recording.runs.clone());
    events.push(Event::Compared(Arc::new(comparison)));
    events.push(Event::Run(Run::Ended(name)));
    events
}

fn qemu_is_there() -> bool {
    let program = debugger::qemu::arguments::PROGRAM;
    crate::batch::doctor::in_path(program).is_some()
}
