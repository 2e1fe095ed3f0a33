//! Keys and the mouse → what is to be done. Only this and the panels' `act` change the screen's state.

use debugger::command::{self, Names};
use debugger::event::Failure;
use debugger::model::Model;
use debugger::session::SymbolNames;
use debugger::trace::query::Query;
use ratatui::crossterm::event::{
    Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent,
    MouseEventKind,
};
use ratatui::layout::{Position, Rect};
use tui_input::InputRequest;

use crate::action::{self, Scope};
use crate::keys::{self, Preset};
use crate::layout::is_shared;
use crate::overlay::{Item, Overlay, Prompt, PromptKind, Typed};
use crate::panels::{Act, Effect, PanelId, Screen, Traced};
use crate::theme::Palette;
use crate::ui::Ui;

/// Rows that one turn of the wheel moves.
const WHEEL: isize = 3;

/// Takes in one key press, mouse event or new size.
pub fn input(ui: &mut Ui, model: &Model, input: &Input) -> Vec<Effect> {
    if matches!(input, Input::Key(_) | Input::Mouse(_)) {
        ui.look.hold(model);
    }
    match input {
        Input::Resize(width, height) => {
            ui.size = Rect::new(0, 0, *width, *height);
            Vec::new()
        }
        Input::Key(event) if event.kind != KeyEventKind::Release => {
            ui.said = None;
            key(ui, model, event)
        }
        Input::Mouse(event) => mouse(ui, model, *event),
        Input::Paste(text) => {
            match &mut ui.overlay {
                Overlay::Prompt(prompt) => prompt.paste(text),
                Overlay::Palette(palette) => {
                    for letter in text.chars().filter(|letter| !letter.is_control()) {
                        palette.edit(InputRequest::InsertChar(letter));
                    }
                }
                Overlay::None => ui.said = Some("':' opens the line to paste into".to_owned()),
                Overlay::Help(_) | Overlay::Leave => {}
            }
            Vec::new()
        }
        Input::Key(_) | Input::FocusGained | Input::FocusLost => Vec::new(),
    }
}

fn key(ui: &mut Ui, model: &Model, event: &KeyEvent) -> Vec<Effect> {
    match std::mem::take(&mut ui.overlay) {
        Overlay::None => match keys::name(event) {
            Some(name) => match action::find(&name, ui.preset, ui.screen, ui.focus()) {
                Some(action) => (action.run)(ui, model),
                None => Vec::new(),
            },
            None => Vec::new(),
        },
        Overlay::Prompt(prompt) => prompt_key(ui, model, prompt, event),
        Overlay::Palette(palette) => palette_key(ui, model, palette, event),
        Overlay::Help(scroll) => {
            let down = |rows: usize| Overlay::Help((scroll + rows).min(ui.last_scroll()));
            ui.overlay = match event.code {
                KeyCode::Down | KeyCode::Char('j') => down(1),
                KeyCode::Up | KeyCode::Char('k') => Overlay::Help(scroll.saturating_sub(1)),
                KeyCode::PageDown | KeyCode::Char(' ') => down(10),
                KeyCode::PageUp => Overlay::Help(scroll.saturating_sub(10)),
                _ => Overlay::None,
            };
            Vec::new()
        }
        Overlay::Leave => match event.code {
            KeyCode::Char('y' | 'Y' | 'q') | KeyCode::Enter => vec![Effect::Leave],
            KeyCode::Char('n' | 'N') | KeyCode::Esc => Vec::new(),
            KeyCode::Char('c') if event.modifiers.contains(KeyModifiers::CONTROL) => Vec::new(),
            _ => {
                ui.overlay = Overlay::Leave;
                Vec::new()
            }
        },
    }
}

fn prompt_key(ui: &mut Ui, model: &Model, mut prompt: Prompt, event: &KeyEvent) -> Vec<Effect> {
    let names = InSight {
        names: ui.names.clone(),
        model,
    };
    match prompt.key(event, &ui.history, &names) {
        Typed::Edited => {
            if prompt.kind.filters() {
                ui.set_filter(prompt.text());
            }
            if let Some(line) = prompt.asked().map(str::to_owned)
                && !model.run.answers()
            {
                prompt.told(&line, &Err(nothing_stands()));
            }
            ui.overlay = Overlay::Prompt(prompt);
            Vec::new()
        }
        Typed::Given => {
            ui.of_panel = false;
            if prompt.kind.filters() {
                ui.set_filter("");
            }
            Vec::new()
        }
        Typed::Taken(text) => taken(ui, model, prompt.kind, text.trim()),
    }
}

fn nothing_stands() -> Failure {
    Failure::new(
        "completing a member's name",
        "no target stands",
        "'interrupt' stops one that runs",
    )
}

/// All names, and the variables of the selected frame.
struct InSight<'a> {
    names: SymbolNames,
    model: &'a Model,
}

impl Names for InSight<'_> {
    fn symbols(&self, prefix: &str, limit: usize) -> Vec<String> {
        self.names.symbols(prefix, limit)
    }

    fn types(&self, prefix: &str, limit: usize) -> Vec<String> {
        Names::types(&self.names, prefix, limit)
    }

    fn files(&self, prefix: &str, limit: usize) -> Vec<String> {
        Names::files(&self.names, prefix, limit)
    }

    fn variables(&self) -> Vec<String> {
        let node = self.model.variables.variables();
        let parts = node.map_or(0..0, |node| 0..node.total);
        let parts = parts.filter_map(|i| node?.part(i));
        parts.map(|part| part.name.clone()).collect()
    }
}

fn taken(ui: &mut Ui, model: &Model, kind: PromptKind, text: &str) -> Vec<Effect> {
    match kind {
        PromptKind::Command => {
            ui.history.add(text);
            command_line(ui, model, text)
        }
        PromptKind::Find => {
            if !text.is_empty() {
                text.clone_into(&mut ui.sought);
            }
            if ui.sought.is_empty() {
                return Vec::new();
            }
            let act = Act::Find(ui.sought.clone());
            ui.act(&act, model)
        }
        PromptKind::GoTo if text.is_empty() => Vec::new(),
        PromptKind::GoTo => action::go_to(ui, model, text),
        PromptKind::Bytes => match ui.panels.memory.writes(model, text) {
            Ok(lines) => lines.into_iter().map(Effect::Type).collect(),
            Err(why) => vec![Effect::Say(format!("writing memory: {why}"))],
        },
        PromptKind::Filter => {
            ui.set_filter(text);
            Vec::new()
        }
        PromptKind::Query => {
            ui.set_filter(text);
            if text.parse::<Query>().is_err() {
                // It says what is wrong, and stays to be mended.
                ui.overlay = Overlay::Prompt(Prompt::new(kind, text));
            }
            Vec::new()
        }
        PromptKind::Watch(_) if text.is_empty() => Vec::new(),
        PromptKind::Watch(number) => {
            let line = match text.starts_with('/') {
                true => format!("display{text}"),
                false => format!("display {text}"),
            };
            vec![
                Effect::Type(format!("undisplay {number}")),
                Effect::Type(line),
            ]
        }
    }
}

/// A typed line: a few words are the screen's own, the rest is the debugger's.
fn command_line(ui: &mut Ui, model: &Model, line: &str) -> Vec<Effect> {
    match line {
        "" => Vec::new(),
        "q" | "quit" | "exit" => ui.leave(model),
        "trace" | "trace on" | "trace off" => {
            let on = model.crossings.is_tracing();
            let wanted = match line {
                "trace on" => true,
                "trace off" => false,
                _ => !on,
            };
            ui.show(Screen::Crossings);
            if wanted == on {
                Vec::new()
            } else {
                vec![Effect::Trace(Traced::ThisMode)]
            }
        }
        "record" | "record on" | "record off" => {
            let on = model.crossings.is_recording();
            let wanted = match line {
                "record on" => true,
                "record off" => false,
                _ => !on,
            };
            ui.show(Screen::Crossings);
            if wanted == on {
                Vec::new()
            } else {
                vec![Effect::Record]
            }
        }
        "compare" => {
            ui.show(Screen::Crossings);
            vec![Effect::Trace(Traced::EachMode)]
        }
        "path" => vec![Effect::Show(Screen::Path)],
        "serve" => vec![Effect::Serve(String::new())],
        _ if line.starts_with("serve ") => {
            let at = line.strip_prefix("serve ").unwrap_or_default();
            vec![Effect::Serve(at.trim().to_owned())]
        }
        // There the answer is what the screen shows.
        "space" if ui.screen == Screen::Space => {
            ui.look.whose = None;
            Vec::new()
        }
        _ if ui.screen == Screen::Space && line.starts_with("space task ") => {
            ui.look.whose = line
                .strip_prefix("space task ")
                .map(|task| task.trim().to_owned());
            Vec::new()
        }
        _ if line.starts_with("theme ") || line.starts_with("keys ") => setting(ui, line),
        _ if std::mem::take(&mut ui.of_panel) => vec![Effect::Type(line.to_owned())],
        _ => {
            // The answer stands in the console: let it be seen.
            if ui.screen == Screen::Debug {
                ui.reveal(PanelId::Log);
                if is_shared(ui.focus()) {
                    ui.set_focus(PanelId::Log);
                }
            }
            ui.panels.log.follow();
            ui.by_hand = true;
            vec![Effect::Type(line.to_owned())]
        }
    }
}

/// `theme light`, `keys vscode`
fn setting(ui: &mut Ui, line: &str) -> Vec<Effect> {
    let (what, name) = line.split_once(' ').unwrap_or((line, ""));
    let name = name.trim();
    let done = if what == "theme" {
        let palette = name.parse::<Palette>();
        palette.map(|palette| ui.theme = palette.into()).is_ok()
    } else {
        Preset::named(name)
            .map(|preset| ui.preset = preset)
            .is_some()
    };
    let known = if what == "theme" {
        Palette::ALL.map(Palette::name).join(", ")
    } else {
        Preset::ALL.map(Preset::name).join(", ")
    };
    vec![Effect::Say(if done {
        format!("{what} {name}")
    } else {
        format!("choosing {what} '{name}': there is none; there are {known}")
    })]
}

fn palette_key(
    ui: &mut Ui,
    model: &Model,
    mut palette: crate::overlay::Palette,
    event: &KeyEvent,
) -> Vec<Effect> {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    match event.code {
        KeyCode::Esc => return Vec::new(),
        KeyCode::Char('c' | 'g') if control => return Vec::new(),
        KeyCode::Backspace if palette.is_empty() => return Vec::new(),
        KeyCode::Enter => {
            return match palette.marked() {
                Some(item) => choose(ui, model, &item),
                None => Vec::new(),
            };
        }
        KeyCode::Up => palette.step(-1),
        KeyCode::Down | KeyCode::Tab => palette.step(1),
        KeyCode::PageUp => palette.step(-10),
        KeyCode::PageDown => palette.step(10),
        KeyCode::Char('p') if control => palette.step(-1),
        KeyCode::Char('n') if control => palette.step(1),
        KeyCode::Char('u') if control => palette.edit(InputRequest::DeleteLine),
        KeyCode::Char(letter) if !control && !event.modifiers.contains(KeyModifiers::ALT) => {
            palette.edit(InputRequest::InsertChar(letter))
        }
        KeyCode::Backspace => palette.edit(InputRequest::DeletePrevChar),
        KeyCode::Delete => palette.edit(InputRequest::DeleteNextChar),
        KeyCode::Left => palette.edit(InputRequest::GoToPrevChar),
        KeyCode::Right => palette.edit(InputRequest::GoToNextChar),
        _ => {}
    }
    ui.overlay = Overlay::Palette(palette);
    Vec::new()
}

fn choose(ui: &mut Ui, model: &Model, item: &Item) -> Vec<Effect> {
    match item {
        Item::Action(at) => {
            let action = &action::TABLE[*at];
            match action.scope {
                Scope::Panel(panel) => ui.look_at(panel),
                Scope::Values => {
                    ui.show(Screen::Debug);
                    if !Scope::Values.has(ui.focus()) {
                        ui.set_focus(PanelId::Locals);
                    }
                }
                Scope::Screen(screen) => ui.show(screen),
                Scope::Everywhere => {}
            }
            (action.run)(ui, model)
        }
        Item::Command(at) => {
            let entry = &command::TABLE[*at];
            if entry.arguments.is_empty() {
                return command_line(ui, model, entry.name);
            }
            let text = format!("{} ", entry.name);
            ui.overlay = Overlay::Prompt(Prompt::new(PromptKind::Command, &text));
            Vec::new()
        }
        Item::Symbol(name) => action::go_to(ui, model, name),
        Item::Type(name) => {
            ui.show(Screen::Debug);
            command_line(ui, model, &format!("ptype {name}"))
        }
        Item::File(name) => {
            ui.show(Screen::Debug);
            action::go_to(ui, model, &format!("{name}:1"))
        }
    }
}

fn mouse(ui: &mut Ui, model: &Model, event: MouseEvent) -> Vec<Effect> {
    let at = Position::new(event.column, event.row);
    let layout = ui.layout();
    let wheel = match event.kind {
        MouseEventKind::ScrollUp => -WHEEL,
        MouseEventKind::ScrollDown => WHEEL,
        MouseEventKind::Down(MouseButton::Left) => 0,
        MouseEventKind::Drag(MouseButton::Left) => {
            if let Some(border) = ui.dragged {
                let share = border.share_at(at.x, at.y);
                ui.shares.insert(border.name.to_owned(), share);
            }
            return Vec::new();
        }
        MouseEventKind::Up(MouseButton::Left) => {
            ui.dragged = None;
            return Vec::new();
        }
        _ => return Vec::new(),
    };
    let last_scroll = ui.last_scroll();
    match &mut ui.overlay {
        Overlay::Help(scroll) => {
            *scroll = scroll.saturating_add_signed(wheel).min(last_scroll);
            return Vec::new();
        }
        Overlay::Palette(palette) => {
            palette.step(wheel);
            return Vec::new();
        }
        Overlay::Prompt(_) | Overlay::Leave => return Vec::new(),
        Overlay::None => {}
    }
    let Some(place) = layout.places.iter().find(|place| place.whole.contains(at)) else {
        return if wheel == 0 && layout.status.contains(at) {
            screen_at(ui, layout.status, at.x)
        } else {
            Vec::new()
        };
    };
    if wheel == 0 {
        let mut borders = layout.borders.iter();
        ui.dragged = borders.find(|border| border.line.contains(at)).copied();
    }
    ui.said = None;
    if wheel != 0 && place.id == PanelId::Timeline {
        let zoom = Act::Zoom {
            into: wheel < 0,
            column: Some(usize::from(at.x.saturating_sub(place.body.x))),
        };
        return ui.act_on(place.id, &zoom, model);
    }
    if wheel != 0 {
        return ui.act_on(place.id, &Act::Step(wheel), model);
    }
    if at.y == place.whole.y {
        let panel = ui.tab_at(place, model, at.x).unwrap_or(place.id);
        ui.set_focus(panel);
        return Vec::new();
    }
    ui.set_focus(place.id);
    if !place.body.contains(at) {
        return Vec::new();
    }
    let row = usize::from(at.y - place.body.y);
    let column = usize::from(at.x - place.body.x);
    ui.act_on(place.id, &Act::Click(row, column), model)
}

/// The screen whose name is under a column of the bar at the top.
fn screen_at(ui: &Ui, bar: Rect, column: u16) -> Vec<Effect> {
    let mut end = bar.x;
    let found = Screen::ALL.into_iter().find(|screen| {
        end = end.saturating_add(crate::status::tab_width(ui, *screen, bar.width));
        column < end
    });
    found.map(Effect::Show).into_iter().collect()
}
