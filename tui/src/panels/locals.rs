//! Arguments and local variables of the selected frame.

use debugger::command::{Command, Info};
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::listing::{explain, moved, say};
use super::{Act, Effect, Panel, View};
use crate::batch::text as words;
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Locals {
    cursor: Cursor,
}

impl Panel for Locals {
    fn title(&self, _view: View<'_>) -> String {
        "locals".to_owned()
    }

    fn wants(&self, _view: View<'_>, _area: Rect) -> Vec<(Topic, Command)> {
        vec![(Topic::Locals, Command::Info(Info::Locals))]
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        let list = model.variables.yes().map_or(&[][..], Vec::as_slice);
        if *act == Act::Enter
            && let Some(variable) = list.get(self.cursor.row(list.len()))
        {
            return vec![Effect::Type(format!("print {}", variable.name))];
        }
        moved(&mut self.cursor, act, list.len(), area);
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(list) = view.model.variables.yes() else {
            return explain(&view.model.variables.value, view, area, buf);
        };
        if list.is_empty() {
            return say("this frame has none", view, area, buf);
        }
        let height = usize::from(area.height);
        let fresh = view.model.is_fresh(&view.model.variables);
        let top = self.cursor.top(list.len(), height);
        let longest = list.iter().map(|one| one.name.chars().count()).max();
        let name_width = longest.unwrap_or(0).min(20);
        for (row, variable) in list.iter().skip(top).take(height).enumerate() {
            let style = match (fresh && variable.value.yes().is_some(), variable.changed) {
                (false, _) => view.theme.dim(),
                (true, true) => view.theme.changed(),
                (true, false) => ratatui::style::Style::new(),
            };
            let mark = if variable.changed { '*' } else { ' ' };
            let line = Line::from(vec![
                Span::styled(
                    format!("{:<name_width$}{mark}", variable.name),
                    view.theme.key(),
                ),
                Span::styled(words::known(&variable.value, String::clone), style),
                Span::styled(format!("  {}", variable.type_name), view.theme.dim()),
            ]);
            text::put(buf, area, row, line);
            if view.focused && top + row == self.cursor.row(list.len()) {
                text::paint(buf, area, row, view.theme.selected(true));
            }
        }
    }
}
