//! How control came to this side of the boundary.

use debugger::command::Command;
use debugger::known::Known;
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::listing::{explain, moved};
use super::{Act, Effect, Panel, View};
use crate::batch::text as words;
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Why {
    cursor: Cursor,
}

fn lines(model: &Model, width: usize) -> Vec<String> {
    let Some(why) = model.why.yes() else {
        return Vec::new();
    };
    let mut lines: Vec<String> = text::wrap(&why.sentences.join(" "), width);
    let known = |name: &str, value: &Known<String>| match value {
        Known::Yes(value) => format!("{name} {value}"),
        Known::Asked => format!("{name} …"),
        Known::No(why) => format!("{name} unknown: {why}"),
    };
    for line in words::prototypes(why) {
        lines.extend(text::wrap(&line, width));
    }
    for argument in &why.arguments {
        lines.extend(argument.lines());
    }
    lines.extend(text::wrap(&known("stack:", &why.stack), width));
    lines.extend(text::wrap(&known("ring:", &why.ring), width));
    lines
}

impl Panel for Why {
    fn title(&self, _view: View<'_>) -> String {
        "why".to_owned()
    }

    fn wants(&self, _view: View<'_>, _area: Rect) -> Vec<(Topic, Command)> {
        vec![(Topic::Why, Command::Why)]
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        let len = lines(model, usize::from(area.width)).len();
        moved(&mut self.cursor, act, len, area);
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        explain(&view.model.why.value, view, area, buf);
        let lines = lines(view.model, usize::from(area.width));
        let style = if view.model.is_fresh(&view.model.why) {
            ratatui::style::Style::new()
        } else {
            view.theme.dim()
        };
        let height = usize::from(area.height);
        let top = self.cursor.top(lines.len(), height);
        for (row, line) in lines.iter().skip(top).take(height).enumerate() {
            text::put(buf, area, row, Line::styled(line.as_str(), style));
        }
    }
}
