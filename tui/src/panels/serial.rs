//! The guest's serial line.

use debugger::count::counted;
use debugger::model::{Console, Model};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::listing::{find, say};
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Serial {
    /// The first line in sight, counted from the guest's first; it follows the newest when none.
    top: Option<u64>,
}

fn total(console: &Console) -> u64 {
    console.dropped + console.len() as u64
}

fn last_top(console: &Console, area: Rect) -> u64 {
    total(console)
        .saturating_sub(u64::from(area.height))
        .max(console.dropped)
}

impl Panel for Serial {
    fn title(&self, view: View<'_>) -> String {
        let lines = total(&view.model.console);
        let state = if self.top.is_some() {
            "End follows"
        } else {
            "following"
        };
        let dropped = match view.model.console.dropped {
            0 => String::new(),
            n => format!(", {n} oldest dropped"),
        };
        format!("serial line: {}{dropped}, {state}", counted(lines, "line"))
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        let console = &model.console;
        let last = last_top(console, area);
        let top = self.top.unwrap_or(last).clamp(console.dropped, last);
        let by = |rows: i64| top.saturating_add_signed(rows);
        let to = match act {
            Act::Step(rows) => by(i64::try_from(*rows).unwrap_or(0)),
            Act::Page(views) => by(i64::try_from(*views)
                .unwrap_or(0)
                .saturating_mul(i64::from(area.height))),
            Act::Home => console.dropped,
            Act::End => last,
            Act::Find(needle) => {
                let lines: Vec<_> = console.lines().collect();
                let from = usize::try_from(top - console.dropped).unwrap_or(0);
                match find(from, lines.len(), needle, |at| {
                    lines[at].clone().into_owned()
                }) {
                    Some(found) => console.dropped + found as u64,
                    None => return vec![Effect::Say(format!("'{needle}' was not printed"))],
                }
            }
            Act::Side(_) | Act::Enter | Act::Click(..) | Act::Zoom { .. } => return Vec::new(),
        };
        self.top = (to < last).then(|| to.max(console.dropped));
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let console = &view.model.console;
        if console.is_empty() {
            return say("the guest has printed nothing yet", view, area, buf);
        }
        let last = last_top(console, area);
        let top = self.top.unwrap_or(last).clamp(console.dropped, last);
        let skip = usize::try_from(top - console.dropped).unwrap_or(0);
        let shown = console.lines().skip(skip).take(usize::from(area.height));
        for (row, line) in shown.enumerate() {
            text::put(buf, area, row, Line::raw(line));
        }
    }
}
