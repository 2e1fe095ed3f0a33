//! What the actions do.

use debugger::command::{self, Command};
use debugger::model::Model;

use crate::overlay::{Overlay, Palette, Prompt, PromptKind};
use crate::panels::listing::is_recording;
use crate::panels::{Effect, PanelId, Screen};
use crate::ui::Ui;

pub(super) fn typed(line: &str) -> Vec<Effect> {
    vec![Effect::Type(line.to_owned())]
}

/// Steps may be pressed ahead of the target, but not without end.
const AHEAD: usize = 8;

/// A command that runs the target: not while it runs already, but for steps that will end soon.
pub(super) fn go(model: &Model, line: &str) -> Vec<Effect> {
    let is_step = |command: &Command| {
        matches!(
            command,
            Command::Step { .. }
                | Command::Next { .. }
                | Command::StepInstruction { .. }
                | Command::NextInstruction { .. }
        )
    };
    let mut waiting = model.requests.waiting();
    if model.run.is_running() && !waiting.next().is_some_and(is_step) {
        return vec![Effect::Say("it runs; Ctrl-C stops it".to_owned())];
    }
    if model.requests.waiting().count() >= AHEAD {
        return Vec::new();
    }
    typed(line)
}

pub(super) fn focus(ui: &mut Ui, panel: PanelId) -> Vec<Effect> {
    ui.set_focus(panel);
    Vec::new()
}

/// One of the panels below the crossings, or the crossings again.
pub(super) fn below(ui: &mut Ui, panel: PanelId) -> Vec<Effect> {
    if ui.focus() == panel {
        ui.set_focus(PanelId::Modes);
        return focus(ui, PanelId::Classes);
    }
    focus(ui, panel)
}

pub(super) fn instructions(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    ui.look_at(PanelId::Instructions);
    let wish = crate::panels::instructions::wish(model, &ui.look);
    wish.map(Effect::Step).into_iter().collect()
}

/// The picture of what is looked at on the screen of paths.
pub(super) fn flame_of_path(ui: &mut Ui, _model: &Model) -> Vec<Effect> {
    let picture = match ui.focus() {
        PanelId::Ladder => PanelId::Butterfly,
        _ => PanelId::Flame,
    };
    ui.look_at(picture);
    Vec::new()
}

/// Where there was nothing to go out of, the key gives up the work that is under way.
pub(super) fn out(was_in: bool, ui: &mut Ui, model: &Model) -> Vec<Effect> {
    if was_in {
        Vec::new()
    } else {
        cancel(ui, model)
    }
}

pub(super) fn edit(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let bytes = ui.panels.memory.bytes(model);
    let pairs: Vec<String> = bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    prompt(ui, PromptKind::Bytes, &pairs.join(" "))
}

pub(super) fn next_theme(ui: &mut Ui, _model: &Model) -> Vec<Effect> {
    let next = ui.theme.palette().next();
    ui.theme = next.into();
    vec![Effect::Say(format!("theme {}", next.name()))]
}

pub(super) fn prompt(ui: &mut Ui, kind: PromptKind, text: &str) -> Vec<Effect> {
    ui.overlay = Overlay::Prompt(Prompt::new(kind, text));
    Vec::new()
}

pub(super) fn filter(ui: &mut Ui, _model: &Model) -> Vec<Effect> {
    let now = ui.filter().to_owned();
    prompt(ui, PromptKind::Filter, &now)
}

pub(super) fn query(ui: &mut Ui, _model: &Model) -> Vec<Effect> {
    let now = ui.filter().to_owned();
    prompt(ui, PromptKind::Query, &now)
}

/// The crossings by the next thing to sort them by. The marked one stays so, but for the first: then the first is
/// what is looked at.
pub(super) fn order(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let was_first = ui.look.class_row(&ui.look.classes(model)) == 0;
    let next = ui.look.order.next();
    ui.look.order = next;
    if was_first {
        ui.look.class = None;
        ui.look.hold(model);
    }
    vec![Effect::Say(format!("crossings by {}", next.name()))]
}

pub(super) fn palette(ui: &mut Ui, _model: &Model) -> Vec<Effect> {
    let palette = Palette::new(&ui.names);
    ui.overlay = Overlay::Palette(palette);
    Vec::new()
}

pub(super) fn toggle_break(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let line = match ui.focus() {
        PanelId::Source => ui.panels.source.toggle(model),
        PanelId::Disassembly => ui.panels.disassembly.toggle(model),
        _ => None,
    };
    match line {
        Some(line) => typed(&line),
        None => prompt(ui, PromptKind::Command, "break "),
    }
}

/// To the line or instruction that is marked in the panel in focus.
pub(super) fn run_to(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let place = match ui.focus() {
        PanelId::Disassembly => ui
            .panels
            .disassembly
            .marked(model)
            .map(|line| format!("*{:?}", line.place.addr)),
        PanelId::Source => ui.panels.source.marked(model),
        _ => None,
    };
    match place {
        Some(place) => go(model, &format!("until {place}")),
        None => prompt(ui, PromptKind::Command, "until "),
    }
}

pub(super) fn delete(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let marked = ui.panels.breakpoints.marked(model);
    marked.map_or_else(Vec::new, |number| typed(&format!("delete {number}")))
}

pub(super) fn interrupt(_ui: &mut Ui, model: &Model) -> Vec<Effect> {
    if model.run.answers() || model.run.has_ended() {
        vec![Effect::Say("it stands still already; q leaves".to_owned())]
    } else {
        typed("interrupt")
    }
}

/// Shows all again where only some is shown; else gives up the work that is under way.
pub(super) fn cancel(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let filters = match ui.focus() {
        PanelId::Tasks | PanelId::Tree => true,
        _ => ui.screen == Screen::Crossings,
    };
    if filters && !ui.filter().is_empty() {
        ui.set_filter("");
        return Vec::new();
    }
    let work = model.works.latest();
    work.map_or_else(Vec::new, |work| vec![Effect::Cancel(work.name.clone())])
}

/// Shows a place that was typed: `ksys_write`, `read_write.c:636`, `0xffffffff81000000`; on the timeline a clock.
pub fn go_to(ui: &mut Ui, model: &Model, text: &str) -> Vec<Effect> {
    if ui.screen == Screen::Memory {
        ui.panels.memory.go(text);
        return Vec::new();
    }
    // An address is what any expression gives, a place in the source is not.
    if ui.screen == Screen::Space {
        ui.look.address = Some(text.to_owned());
        return Vec::new();
    }
    let body = ui.body();
    if ui.screen == Screen::Timeline && ui.panels.timeline.go_to(text, model, body) {
        return Vec::new();
    }
    if is_recording(model) {
        let why = "a recording holds no code; 'uklscope run IMAGE' boots an image";
        return vec![Effect::Say(why.to_owned())];
    }
    let location = match command::parse(&format!("list {text}")) {
        Ok(Command::List {
            location: Some(location),
            ..
        }) => location,
        _ => return vec![Effect::Say(format!("'{text}' is no place"))],
    };
    ui.show(Screen::Debug);
    ui.panels.source.go(model, location.clone());
    ui.panels.disassembly.go(model, location);
    Vec::new()
}
