//! A screen on hand-made answers: keys go in, text comes out.

use debugger::command::{self, Command};
use debugger::event::{Answer, Event, Failure};
use debugger::model::{Entry, Model, Topic};
use debugger::trace::recording::Recording;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use tui::open::told;
use tui::panels::{Effect, Traced};
use tui::theme::Theme;
use tui::ui::{Guest, Ui};
use tui::update;

pub(crate) mod facts;
pub(crate) mod recorded;
pub(crate) mod space;
pub(crate) mod stops;
pub(crate) mod tasks;
pub(crate) mod values;
pub(crate) mod why;

pub(crate) struct Stage {
    pub(crate) ui: Ui,
    pub(crate) model: Model,
    /// What was typed, by keys or by hand.
    pub(crate) typed: Vec<String>,
    pub(crate) left: bool,
    /// Commands sent so far.
    pub(crate) asked: usize,
    pub(crate) answers: fn(&Command) -> Result<Answer, Failure>,
}

impl Stage {
    pub(crate) fn new(width: u16, height: u16) -> Self {
        let mut stage = Self {
            ui: Ui::new(Theme::new(true), Guest::Ours),
            model: Model::default(),
            typed: Vec::new(),
            left: false,
            asked: 0,
            answers: facts::answer,
        };
        stage.ui.traceable = &[Traced::ThisMode, Traced::EachMode];
        stage.input(&Input::Resize(width, height));
        stage
    }

    /// Stopped in the kernel, with crossings of two modes known.
    pub(crate) fn stopped(width: u16, height: u16) -> Self {
        let mut stage = Self::new(width, height);
        for event in facts::events() {
            stage.event(event);
        }
        stage
    }

    /// The recording that is built into the program.
    pub(crate) fn built_in(width: u16, height: u16) -> Self {
        let bytes = include_bytes!("../../assets/builtin.uklrec");
        let (recording, issues) =
            Recording::decode(bytes).expect("the built-in recording is whole");
        assert!(issues.is_empty(), "{issues:?}");
        let mut stage = Self::new(width, height);
        stage.ui.traceable = &[];
        for event in told(&recording, "built-in recording".to_owned(), Vec::new()) {
            stage.event(event);
        }
        stage
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.model.apply(event);
        self.ask();
    }

    pub(crate) fn input(&mut self, input: &Input) {
        let effects = update::input(&mut self.ui, &self.model, input);
        for effect in effects {
            match effect {
                Effect::Leave => self.left = true,
                Effect::Show(screen) => self.ui.show(screen),
                Effect::Focus(panel) => self.ui.look_at(panel),
                Effect::Say(words) => self.ui.said = Some(words),
                Effect::Copy(text) => self.typed.push(format!("(copy {text})")),
                Effect::Step(wish) => self.typed.push(format!("(step {wish:?})")),
                Effect::Map(image, twin) => {
                    self.typed.push(format!("(map {image} twin={twin})"));
                }
                Effect::Trace(which) => self.typed.push(format!("(trace {which:?})")),
                Effect::Record => self.typed.push("(record)".to_owned()),
                Effect::Cancel(name) => self.type_line(format!("cancel {name}")),
                Effect::Type(line) => self.type_line(line),
                Effect::Edit(line) => self.ui.edit(&line),
                Effect::Go(place) => self.typed.push(format!("(go {place})")),
                Effect::Serve(at) => self.typed.push(format!("(serve {at})")),
            }
        }
        self.ask();
    }

    fn type_line(&mut self, line: String) {
        self.model.log.push(Entry::Typed(line.clone()));
        match command::parse(&line) {
            Ok(command) => {
                self.send(Topic::Typed, &command);
                // What these facts cannot answer is no failure of the screen's.
                if matches!(self.model.log.last(), Some(Entry::Answer(_))) {
                    self.ui.heard(&self.model);
                }
            }
            Err(error) => {
                self.model.log.push(Entry::Failure(error.into()));
                self.ui.heard(&self.model);
            }
        }
        self.typed.push(line);
    }

    fn send(&mut self, topic: Topic, command: &Command) {
        self.asked += 1;
        let id = self.model.ask(topic, command);
        let answer = (self.answers)(command);
        self.model.apply(Event::Answer(id, answer));
    }

    /// As the event loop does: an answer may make a panel want more.
    fn ask(&mut self) {
        loop {
            let mut wishes = self.ui.wants(&self.model);
            wishes.retain(|(topic, command)| self.model.is_due(*topic, command));
            for (topic, command) in &wishes {
                if self.model.is_due(*topic, command) {
                    self.send(*topic, command);
                }
            }
            if wishes.is_empty() {
                self.ui.complete(&self.model);
                return;
            }
        }
    }

    /// Keys by their names, as in the action table; other words are typed letter by letter.
    pub(crate) fn keys(&mut self, names: &str) {
        for name in names.split(' ') {
            for key in key(name) {
                self.input(&Input::Key(key));
            }
        }
    }

    /// Goes down to a call's first row on the screen of crossings.
    pub(crate) fn mark(&mut self, call: &str) {
        self.keys("3 Home");
        let rows = self.ui.look.classes(&self.model).len();
        for _ in 0..rows {
            let class = self.ui.look.class(&self.model);
            if class.is_some_and(|class| class.call == call) {
                return;
            }
            self.keys("Down");
        }
        panic!("there is no crossing of {call}");
    }

    pub(crate) fn draw(&self) -> Terminal<TestBackend> {
        let size = self.ui.size;
        let mut terminal = Terminal::new(TestBackend::new(size.width, size.height))
            .expect("a test backend does not fail");
        terminal
            .draw(|frame| {
                if let Some(at) = self.ui.draw(&self.model, frame.buffer_mut()) {
                    frame.set_cursor_position(at);
                }
            })
            .expect("a test backend does not fail");
        terminal
    }

    pub(crate) fn text(&self) -> String {
        let terminal = self.draw();
        let buffer = terminal.backend().buffer();
        let rows = (0..buffer.area.height).map(|y| {
            let row: String = (0..buffer.area.width)
                .map(|x| buffer[(x, y)].symbol())
                .collect();
            row.trim_end().to_owned()
        });
        rows.collect::<Vec<_>>().join("\n")
    }
}

fn key(name: &str) -> Vec<KeyEvent> {
    let (modifiers, rest) = match name.split_once('-') {
        Some(("Ctrl", rest)) => (KeyModifiers::CONTROL, rest),
        Some(("Shift", rest)) => (KeyModifiers::SHIFT, rest),
        Some(("Alt", rest)) => (KeyModifiers::ALT, rest),
        _ => (KeyModifiers::NONE, name),
    };
    let code = match rest {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" if modifiers == KeyModifiers::SHIFT => KeyCode::BackTab,
        "Tab" => KeyCode::Tab,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "PgUp" => KeyCode::PageUp,
        "PgDn" => KeyCode::PageDown,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        "Space" => KeyCode::Char(' '),
        "Backspace" => KeyCode::Backspace,
        "Delete" => KeyCode::Delete,
        _ if modifiers == KeyModifiers::CONTROL => {
            let letter = rest.chars().next().expect("a letter").to_ascii_lowercase();
            KeyCode::Char(letter)
        }
        _ if modifiers == KeyModifiers::ALT => {
            KeyCode::Char(rest.chars().next().expect("a letter"))
        }
        _ => match rest
            .strip_prefix('F')
            .and_then(|number| number.parse().ok())
        {
            Some(number) => KeyCode::F(number),
            None => {
                return rest
                    .chars()
                    .map(|letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE))
                    .collect();
            }
        },
    };
    vec![KeyEvent::new(code, modifiers)]
}
