//! What keys do with the marked value of locals and watches.

use debugger::event::Part;
use debugger::known::Known;
use debugger::model::Model;

use super::does::{prompt, typed};
use crate::overlay::PromptKind;
use crate::panels::{Effect, PanelId, Screen, watches};
use crate::ui::Ui;

fn marked(ui: &Ui, model: &Model) -> Option<(Part, Option<char>)> {
    match ui.focus() {
        PanelId::Locals => ui.panels.locals.marked(model),
        PanelId::Watches => ui.panels.watches.marked(model),
        _ => None,
    }
}

fn with(
    ui: &Ui,
    model: &Model,
    then: impl FnOnce(Part, Option<char>) -> Vec<Effect>,
) -> Vec<Effect> {
    match marked(ui, model) {
        Some((part, letter)) => then(part, letter),
        None => vec![Effect::Say("no value is marked".to_owned())],
    }
}

pub(super) fn format(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    match ui.focus() {
        PanelId::Watches => ui.panels.watches.next_letter(model),
        _ => ui.panels.locals.next_letter(model),
    }
    Vec::new()
}

pub(super) fn assign(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    with(ui, model, |part, _| {
        vec![Effect::Edit(format!("set var {} = ", part.expression))]
    })
}

pub(super) fn watch(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    with(ui, model, |part, letter| {
        typed(&match letter {
            Some(letter) => format!("display/{letter} {}", part.expression),
            None => format!("display {}", part.expression),
        })
    })
}

pub(super) fn stop_when_written(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    with(ui, model, |part, _| {
        typed(&format!("watch {}", part.expression))
    })
}

/// The bytes it lies in; of what lies in no memory, those it points at.
pub(super) fn memory(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let Some((part, _)) = marked(ui, model) else {
        return vec![Effect::Say("no value is marked".to_owned())];
    };
    match part.address {
        Some(at) => ui.panels.memory.go(&format!("{:#x}", at.0)),
        None if part.opens => ui.panels.memory.go(&part.expression),
        None => {
            let name = part.expression;
            let words = format!("showing the memory of {name}: it lies in a register or in none");
            return vec![Effect::Say(words)];
        }
    }
    ui.show(Screen::Memory);
    Vec::new()
}

pub(super) fn copy(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    with(ui, model, |part, _| {
        vec![match part.value {
            Known::Yes(text) => Effect::Copy(text),
            Known::No(why) => Effect::Say(format!("there is no value to copy: {why}")),
            Known::Asked => Effect::Say("the value has not come yet".to_owned()),
        }]
    })
}

pub(super) fn remove(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let watched = ui.panels.watches.watched(model);
    watched.map_or_else(Vec::new, |one| typed(&format!("undisplay {}", one.number)))
}

pub(super) fn rewrite(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let Some(one) = ui.panels.watches.watched(model) else {
        return vec![Effect::Edit("display ".to_owned())];
    };
    let (number, line) = (one.number, watches::line(one));
    let text = line.strip_prefix("display").unwrap_or(&line);
    prompt(ui, PromptKind::Watch(number), text.trim_start())
}
