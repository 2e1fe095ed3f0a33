//! The event loop: one queue, one owner; drain it, then draw once.

use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, Select, Sender, never, unbounded};
use debugger::command::{self, Command};
use debugger::event::{Event, Failure};
use debugger::model::{Entry, Model, Topic};
use debugger::serve::Server;
use debugger::session::Handle;
use ratatui::crossterm::clipboard::CopyToClipboard;
use ratatui::crossterm::event::{self, Event as Input};
use ratatui::crossterm::execute;
use ratatui::layout::Rect;
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::iterator::Signals;

use crate::action;
use crate::batch::serve::invitation;
use crate::batch::text as words;
use crate::mapper::Mapper;
use crate::pace::Pace;
use crate::panels::{Effect, Traced};
use crate::refolder::Refolder;
use crate::state;
use crate::stepper::{Stepper, Wish};
use crate::term::{Terminals, panicked_beside};
use crate::tracer::Tracer;
use crate::ui::Ui;
use crate::update;

/// How long leaving waits for it.
const LAST_ANSWER: Duration = Duration::from_millis(500);

/// What it has seen so far is still told.
const STOPPING: &str = "the trace is being stopped";

/// All that comes to the screen.
#[derive(Debug)]
enum Message {
    Input(Input),
    Session(Event),
    SessionEnded,
    /// The traced run beside the session.
    Trace(Event),
    Signal(i32),
    InputLost(io::Error),
}

impl Message {
    /// What somebody looks for on the screen: a key's effect, an answer, a stop.
    const fn is_awaited(&self) -> bool {
        matches!(
            self,
            Self::Input(_) | Self::Session(Event::Answer(..) | Event::Run(_))
        )
    }
}

/// How the screen was left.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    ByUser,
    BySignal(i32),
}

/// What the screen shows and talks to.
#[derive(Debug)]
pub struct Subject {
    pub session: Option<Handle>,
    /// What is known before the session says anything: a recording's crossings, a hint.
    pub events: Vec<Event>,
    pub tracer: Option<Tracer>,
    /// Where breakpoints and layout are kept for the next run.
    pub kept: Option<state::File>,
    /// Recordings with runs that have no report but records.
    pub unfolded: Vec<PathBuf>,
}

/// Shows the screen until the user leaves it.
///
/// # Errors
/// When the terminal cannot be taken over, or goes away.
pub fn run(mut ui: Ui, mut subject: Subject) -> anyhow::Result<()> {
    let mut terminal = Terminals::take()
        .context("opening the screen; it needs a terminal: 'uklscope exec' needs none")?;
    let (sender, messages) = unbounded();
    listen(&sender)?;
    let events = subject.session.as_ref();
    let inbox = Inbox {
        messages,
        events: events.map_or_else(never, |session| session.events.clone()),
    };
    ui.traceable = subject.tracer.as_ref().map_or(&[], Tracer::runs);
    let mut model = Model::default();
    for event in subject.events.drain(..) {
        model.apply(event);
    }
    let mut screen = Running {
        ui,
        model,
        subject,
        stepper: Stepper::default(),
        mapper: Mapper::default(),
        refolder: Refolder::default(),
        sender,
        restoring: false,
        server: None,
        refused: 0,
    };
    screen.refold();
    let left = screen.until_left(inbox, &mut terminal);
    let kept = screen.keep();
    // The terminal first: a guest may take a moment to end.
    drop(terminal);
    drop(screen);
    for line in panicked_beside() {
        crate::complain(&format!("uklscope: {line}; please report it"));
    }
    if let Err(trouble) = kept {
        crate::complain(&format!("uklscope: {trouble}"));
    }
    match left? {
        Left::ByUser => Ok(()),
        Left::BySignal(signal) => {
            signal_hook::low_level::emulate_default_handler(signal)?;
            Ok(())
        }
    }
}

/// Threads that block where the screen must not.
fn listen(sender: &Sender<Message>) -> anyhow::Result<()> {
    let keys = sender.clone();
    thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || {
            loop {
                let message = match event::read() {
                    Ok(input) => Message::Input(input),
                    Err(error) => Message::InputLost(error),
                };
                let last = matches!(message, Message::InputLost(_));
                if keys.send(message).is_err() || last {
                    return;
                }
            }
        })?;
    let mut signals = Signals::new([SIGTERM, SIGHUP]).context("watching for signals")?;
    let signal = sender.clone();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for number in signals.forever() {
                if signal.send(Message::Signal(number)).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}

/// Where all that comes arrives. The session's events come straight from its thread: another
/// thread between the two would have to be woken for each.
struct Inbox {
    messages: Receiver<Message>,
    /// Silent without a session, and when it has ended.
    events: Receiver<Event>,
}

impl Inbox {
    /// The next message; none when nothing came by then.
    fn next(&mut self, until: Option<Instant>) -> Option<Message> {
        let event = {
            let mut select = Select::new();
            let messages = select.recv(&self.messages);
            select.recv(&self.events);
            let ready = match until {
                Some(until) => select.select_deadline(until).ok()?,
                None => select.select(),
            };
            if ready.index() == messages {
                // The screen itself holds a sender: it never ends.
                return ready.recv(&self.messages).ok();
            }
            ready.recv(&self.events)
        };
        Some(event.map_or_else(
            |_| {
                self.events = never();
                Message::SessionEnded
            },
            Message::Session,
        ))
    }
}

struct Running {
    ui: Ui,
    model: Model,
    subject: Subject,
    stepper: Stepper,
    mapper: Mapper,
    refolder: Refolder,
    sender: Sender<Message>,
    /// The last run's breakpoints are being set up.
    restoring: bool,
    /// Where others join this session.
    server: Option<Server>,
    /// Lines of the last run that could not be carried out.
    refused: usize,
}

impl Running {
    fn until_left(&mut self, mut inbox: Inbox, terminal: &mut Terminals) -> anyhow::Result<Left> {
        self.ask();
        self.draw(terminal)?;
        let mut pace = Pace::new(Instant::now());
        loop {
            let due = pace.due(self.model.requests.is_quiet());
            if let Some(first) = inbox.next(due) {
                let mut next = Some(first);
                while let Some(message) = next {
                    pace.news(Instant::now(), message.is_awaited());
                    if let Some(left) = self.take(message)? {
                        self.hear_breakpoints(&mut inbox);
                        return Ok(left);
                    }
                    next = inbox.next(Some(Instant::now()));
                }
                self.restore();
                self.ask();
                // It may have been told before.
                self.ui.complete(&self.model);
            }
            let due = pace.due(self.model.requests.is_quiet());
            if due.is_some_and(|due| due <= Instant::now()) {
                self.draw(terminal)?;
                pace.drawn(Instant::now());
                if let Err(trouble) = self.keep() {
                    self.ui.said = Some(trouble);
                }
            }
        }
    }

    fn take(&mut self, message: Message) -> anyhow::Result<Option<Left>> {
        match message {
            Message::Input(input) => {
                let effects = update::input(&mut self.ui, &self.model, &input);
                return Ok(self.carry_out(effects));
            }
            Message::Session(event) => {
                let typed =
                    matches!(&event, Event::Answer(id, _) if self.model.requests.is_typed(*id));
                if typed && self.restoring && matches!(event, Event::Answer(_, Err(_))) {
                    self.refused += 1;
                }
                self.model.apply(event);
                if typed {
                    self.ui.heard(&self.model);
                }
            }
            Message::SessionEnded if !self.model.run.has_ended() => {
                let why = "the session's thread is gone".to_owned();
                self.model
                    .apply(Event::Run(debugger::event::Run::Ended(why)));
            }
            Message::SessionEnded => {}
            Message::Trace(event) => {
                // It goes to the console too, which may not be in sight.
                if let Event::Notice(words) = &event {
                    self.ui.said = Some(words.clone());
                }
                self.model.traced(event);
            }
            Message::Signal(number) => return Ok(Some(Left::BySignal(number))),
            Message::InputLost(error) => return Err(error).context("reading keys"),
        }
        Ok(None)
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Option<Left> {
        for effect in effects {
            match effect {
                Effect::Leave => return Some(Left::ByUser),
                Effect::Show(screen) => self.ui.show(screen),
                Effect::Focus(panel) => self.ui.look_at(panel),
                Effect::Say(words) => self.ui.said = Some(words),
                Effect::Copy(text) => self.copy(&text),
                Effect::Trace(which) => self.trace(which),
                Effect::Record => self.record(),
                Effect::Step(wish) => self.step(wish),
                Effect::Map(image, twin) => self.map(image, twin),
                Effect::Serve(at) => self.serve(&at),
                Effect::Cancel(name) => self.cancel(&name),
                Effect::Type(line) => self.type_line(line),
                Effect::Edit(line) => self.ui.edit(&line),
                Effect::Go(place) => {
                    let more = action::go_to(&mut self.ui, &self.model, &place);
                    if let Some(left) = self.carry_out(more) {
                        return Some(left);
                    }
                }
            }
        }
        None
    }

    /// `serve ADDRESS`, `serve off`, `serve`
    fn serve(&mut self, at: &str) {
        let said = match (at, &self.subject.session) {
            (_, None) => "letting others join: a recording of crossings is no target; 'uklscope run IMAGE' boots one".to_owned(),
            ("", _) => match &self.server {
                Some(server) => invitation(server),
                None => "nobody can join; 'serve :1234' or 'serve ./gdb.socket' lets gdb and lldb in".to_owned(),
            },
            ("off", _) => match self.server.take() {
                Some(server) => format!("nobody can join at {} any more", server.at()),
                None => "nobody could join before".to_owned(),
            },
            (at, Some(session)) => match at.parse() {
                Ok(endpoint) => {
                    // The one before makes room: it may have had the same address.
                    self.server = None;
                    match Server::open(&endpoint, session.door(), words::lines, false) {
                        Ok(server) => {
                            let said = invitation(&server);
                            self.server = Some(server);
                            said
                        }
                        Err(error) => error.to_string(),
                    }
                }
                Err(error) => error.to_string(),
            },
        };
        self.ui.serving = self.server.as_ref().map(|server| server.at().to_string());
        self.model.log.push(Entry::Notice(said.clone()));
        self.ui.said = Some(said);
    }

    /// By OSC 52: the terminal itself owns the clipboard, over ssh too, and may refuse in silence.
    fn copy(&mut self, text: &str) {
        let lines = text.lines().count();
        self.ui.said = Some(
            match execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text)) {
                Ok(()) if lines == 1 => format!("copied: {text}"),
                Ok(()) => format!("copied: {lines} lines"),
                Err(error) => format!("copying: {error}; select it with the mouse and Shift"),
            },
        );
    }

    fn type_line(&mut self, line: String) {
        let parsed = command::parse(&line);
        self.model.log.push(Entry::Typed(line));
        match (parsed, &self.subject.session) {
            (Err(error), _) => {
                self.model.log.push(Entry::Failure(error.into()));
                self.ui.heard(&self.model);
            }
            (Ok(Command::Help(topic)), None) => match command::help(topic.as_deref()) {
                Ok(lines) => {
                    let answer = debugger::event::Answer::Text(lines);
                    self.model.log.push(Entry::Answer(Box::new(answer)));
                }
                Err(error) => self.model.log.push(Entry::Failure(error.into())),
            },
            (Ok(command), Some(session)) => {
                let id = self.model.ask(Topic::Typed, &command);
                // A session that has ended has said so; its channel may be closed.
                session.send_as(id, command);
            }
            (Ok(_), None) => {
                let failure = Failure::new(
                    "asking the target",
                    "this is a recording of crossings alone",
                    "'uklscope run IMAGE' boots an image",
                );
                self.model.log.push(Entry::Failure(failure));
                self.ui.heard(&self.model);
            }
        }
    }

    /// Sets up the breakpoints of the last run when the target first stands.
    fn restore(&mut self) {
        if self.ui.look.waiting.is_empty() || !self.model.run.answers() {
            return;
        }
        if !self.restoring {
            self.restoring = true;
            for line in self.ui.look.waiting.clone() {
                self.type_line(line);
            }
        } else if self.model.requests.waiting().next().is_none()
            && self.model.is_fresh(&self.model.breakpoints)
        {
            self.restoring = false;
            let count = self.ui.look.waiting.len();
            self.ui.look.waiting.clear();
            let refused = match self.refused {
                0 => String::new(),
                refused => format!(", but for {refused} that could not be"),
            };
            self.ui.said = Some(format!(
                "set again as the last run left them: {count}{refused} (the console tells)"
            ));
        }
    }

    /// The answer that tells of the last breakpoint may still be on its way.
    fn hear_breakpoints(&mut self, inbox: &mut Inbox) {
        let end = Instant::now() + LAST_ANSWER;
        let known = |model: &Model| !model.run.answers() || model.is_fresh(&model.breakpoints);
        while self.subject.kept.is_some() && !known(&self.model) {
            let Some(message) = inbox.next(Some(end)) else {
                return;
            };
            if let Message::Session(event) = message {
                self.model.apply(event);
                self.ask();
            }
        }
    }

    /// Keeps what the next run is to find; while the last one's are set up, they are kept as they were.
    fn keep(&mut self) -> Result<(), String> {
        match &mut self.subject.kept {
            Some(file) if !self.restoring => file.write(&state::of(&self.ui, &self.model)),
            _ => Ok(()),
        }
    }

    /// Sends what the panels in sight want and do not have.
    fn ask(&mut self) {
        let Some(session) = &self.subject.session else {
            return;
        };
        for (topic, command) in self.ui.wants(&self.model) {
            if self.model.is_due(topic, &command) {
                let id = self.model.ask(topic, &command);
                session.send_as(id, command);
            }
        }
    }

    fn trace(&mut self, which: Traced) {
        let Some(tracer) = &mut self.subject.tracer else {
            self.ui.said = Some("only an image can be traced: 'uklscope run IMAGE'".to_owned());
            return;
        };
        if tracer.is_running() {
            tracer.stop();
            self.ui.said = Some(STOPPING.to_owned());
            return;
        }
        let sender = self.sender.clone();
        let started = tracer.start(which, move |event| {
            // The screen may have been left meanwhile.
            let _ = sender.send(Message::Trace(event));
        });
        self.ui.said = Some(match started {
            Ok(()) => "the image is booted once more, with the tracer".to_owned(),
            Err(error) => format!("starting the tracer: {error}; try again"),
        });
    }

    fn record(&mut self) {
        let said = match &self.subject.tracer {
            Some(tracer) if tracer.is_running() => {
                tracer.turn();
                // What it was when it was told last.
                match self.model.crossings.is_recording() {
                    true => "recording is paused; the guest runs on",
                    false => "recording goes on",
                }
            }
            Some(_) => "nothing is traced: t starts a traced run",
            None => "only an image can be traced: 'uklscope run IMAGE'",
        };
        self.ui.said = Some(said.to_owned());
    }

    /// Of the image that is on the screen, or that the recording was made of.
    fn step(&mut self, wish: Wish) {
        let Some(target) = &self.model.target else {
            return;
        };
        if self.stepper.is_running() {
            self.ui.said = Some("a call is being stepped through; Esc gives it up".to_owned());
            return;
        }
        let image = target.name.clone();
        let sender = self.sender.clone();
        let started = self.stepper.start(image, wish, move |event| {
            // The screen may have been left meanwhile.
            let _ = sender.send(Message::Trace(event));
        });
        self.ui.said = Some(match started {
            Ok(()) => {
                "the image is booted in both modes, and one call of each stepped through".to_owned()
            }
            Err(error) => format!("starting the stepper: {error}; try again"),
        });
    }

    fn map(&mut self, image: String, twin: bool) {
        if self.mapper.is_running() {
            return;
        }
        let sender = self.sender.clone();
        let started = self.mapper.start(image, twin, move |event| {
            // The screen may have been left meanwhile.
            let _ = sender.send(Message::Trace(event));
        });
        if let Err(error) = started {
            self.ui.said = Some(format!("looking for call sites: {error}; try again"));
        }
    }

    /// Makes the crossings of recordings that were not written to their end.
    fn refold(&mut self) {
        let files = std::mem::take(&mut self.subject.unfolded);
        if files.is_empty() {
            return;
        }
        let sender = self.sender.clone();
        let started = self.refolder.start(files, move |event| {
            // The screen may have been left meanwhile.
            let _ = sender.send(Message::Trace(event));
        });
        if let Err(error) = started {
            self.ui.said = Some(format!(
                "folding the records: {error}; 'uklscope report FILE' does it"
            ));
        }
    }

    fn cancel(&mut self, name: &str) {
        if Stepper::is_name(name) {
            return self.stepper.stop();
        }
        if Refolder::is_name(name) {
            return self.refolder.stop();
        }
        match &self.subject.tracer {
            Some(tracer) if Tracer::is_name(name) => {
                tracer.stop();
                self.ui.said = Some(STOPPING.to_owned());
            }
            _ => self.type_line(format!("cancel {name}")),
        }
    }

    fn draw(&mut self, terminal: &mut Terminals) -> anyhow::Result<()> {
        let size = terminal
            .terminal
            .size()
            .context("asking the terminal's size")?;
        self.ui.size = Rect::new(0, 0, size.width, size.height);
        let (ui, model) = (&self.ui, &self.model);
        terminal
            .draw(|frame| {
                // It may change between the two: never draw beyond it.
                if ui.size == frame.area()
                    && let Some(at) = ui.draw(model, frame.buffer_mut())
                {
                    frame.set_cursor_position(at);
                }
            })
            .context("drawing the screen")?;
        Ok(())
    }
}
