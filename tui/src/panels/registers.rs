//! The registers of the selected frame; those that changed since the last stop are marked.

use debugger::command::{Command, Info};
use debugger::event::Register;
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::listing::{explain, find, moved};
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Registers {
    cursor: Cursor,
}

/// What a debugger of this boundary looks at first.
const FIRST: &[&str] = &[
    "rip",
    "rsp",
    "rax",
    "rdi",
    "rsi",
    "rdx",
    "rcx",
    "r8",
    "r9",
    "r10",
    "r11",
    "rbx",
    "rbp",
    "r12",
    "r13",
    "r14",
    "r15",
    "eflags",
    "cs",
    "ss",
    "fs_base",
    "gs_base",
    "k_gs_base",
    "cr0",
    "cr2",
    "cr3",
    "cr4",
    "efer",
];

/// General ones first; those of the floating-point unit and vectors last.
fn ordered(model: &Model) -> Vec<&Register> {
    let mut all: Vec<&Register> = model.registers.yes().into_iter().flatten().collect();
    let rank = |register: &Register| {
        let known = FIRST.iter().position(|name| *name == register.name);
        known.unwrap_or(if register.bits > 64 { 1000 } else { 500 })
    };
    all.sort_by_key(|register| rank(register));
    all
}

impl Panel for Registers {
    fn title(&self, view: View<'_>) -> String {
        match view.model.selected_frame {
            0 => "registers".to_owned(),
            frame => format!("registers of frame {frame}"),
        }
    }

    fn wants(&self, _view: View<'_>, _area: Rect) -> Vec<(Topic, Command)> {
        vec![(Topic::Registers, Command::Info(Info::Registers))]
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        let list = ordered(model);
        match act {
            Act::Find(needle) => {
                let name = |at: usize| list[at].name.clone();
                let found = find(self.cursor.row(list.len()), list.len(), needle, name);
                let Some(found) = found else {
                    return vec![Effect::Say(format!("no register of '{needle}'"))];
                };
                let height = usize::from(area.height).max(1);
                self.cursor.go(found, list.len(), height);
            }
            Act::Enter => {
                if let Some(register) = list.get(self.cursor.row(list.len())) {
                    return vec![Effect::Type(format!("print ${}", register.name))];
                }
            }
            _ => {
                moved(&mut self.cursor, act, list.len(), area);
            }
        }
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        explain(&view.model.registers.value, view, area, buf);
        let list = ordered(view.model);
        let height = usize::from(area.height);
        let fresh = view.model.is_fresh(&view.model.registers);
        let top = self.cursor.top(list.len(), height);
        for (row, register) in list.iter().skip(top).take(height).enumerate() {
            let style = match (fresh, register.changed) {
                (false, _) => view.theme.dim(),
                (true, true) => view.theme.changed(),
                (true, false) => ratatui::style::Style::new(),
            };
            let mark = if register.changed { "*" } else { " " };
            let note = register.note.as_deref().unwrap_or("");
            let line = Line::from(vec![
                Span::styled(format!("{:<7}", register.name), view.theme.key()),
                Span::styled(format!(" {}{mark}", short(register)), style),
                Span::styled(note.to_owned(), view.theme.dim()),
            ]);
            text::put(buf, area, row, line);
            if view.focused && top + row == self.cursor.row(list.len()) {
                text::paint(buf, area, row, view.theme.selected(true));
            }
        }
    }
}

/// Without `0x` and leading zeros: a 64-bit value and its note fit 30 columns so.
fn short(register: &Register) -> &str {
    let digits = register.value.strip_prefix("0x").unwrap_or(&register.value);
    let short = digits.trim_start_matches('0');
    if short.is_empty() { "0" } else { short }
}
