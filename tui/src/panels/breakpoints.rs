//! The breakpoints and watchpoints, with their hits.

use debugger::command::{Command, Info};
use debugger::count::counted;
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
pub struct Breakpoints {
    cursor: Cursor,
}

impl Breakpoints {
    #[must_use]
    pub fn marked(&self, model: &Model) -> Option<u32> {
        let list = model.breakpoints.yes()?;
        list.get(self.cursor.row(list.len())).map(|one| one.number)
    }
}

impl Panel for Breakpoints {
    fn title(&self, view: View<'_>) -> String {
        match view.model.breakpoints.yes().map(Vec::len) {
            Some(count) if count > 0 => format!("breakpoints {count}"),
            _ => "breakpoints".to_owned(),
        }
    }

    fn wants(&self, _view: View<'_>, _area: Rect) -> Vec<(Topic, Command)> {
        vec![(Topic::Breakpoints, Command::Info(Info::Breakpoints))]
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        let list = model.breakpoints.yes().map_or(&[][..], Vec::as_slice);
        if *act == Act::Enter
            && let Some(one) = list.get(self.cursor.row(list.len()))
            && let Some(place) = one.places.first()
        {
            return vec![Effect::Type(format!("list *{:?}", place.place.addr))];
        }
        moved(&mut self.cursor, act, list.len(), area);
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let waiting = view.look.waiting.iter();
        let waiting: Vec<&String> = waiting
            .filter(|line| !line.starts_with("display"))
            .collect();
        if !waiting.is_empty() {
            let head = "of the last run, set when the target stands:";
            text::put(buf, area, 0, Line::styled(head, view.theme.dim()));
            for (row, line) in waiting.into_iter().enumerate() {
                let line = Line::styled(format!(" ○ {line}"), view.theme.dim());
                text::put(buf, area, row + 1, line);
            }
            return;
        }
        let Some(list) = view.model.breakpoints.yes() else {
            return explain(&view.model.breakpoints.value, view, area, buf);
        };
        if list.is_empty() {
            return say("none; b sets one", view, area, buf);
        }
        let height = usize::from(area.height);
        let top = self.cursor.top(list.len(), height);
        for (row, one) in list.iter().skip(top).take(height).enumerate() {
            let place = one.places.first().map(|at| &at.place);
            let origin = place.map(|place| place.origin).unwrap_or_default();
            let at = place.map_or_else(String::new, |place| {
                words::file_line(place.file.as_deref(), place.line)
            });
            let more = match one.places.len() {
                0 | 1 => String::new(),
                n => format!(" +{}", n - 1),
            };
            let mut spans = vec![
                Span::styled(format!("{:>2} ", one.number), view.theme.key()),
                Span::styled(
                    format!("{} {}{more}", origin.letter(), one.location),
                    view.theme.origin(origin),
                ),
                Span::raw(format!("  {}", counted(one.hits, "hit"))),
                Span::styled(format!("  {at}"), view.theme.dim()),
            ];
            if let Some(owner) = &one.owner {
                spans.push(Span::styled(format!("  {owner}"), view.theme.key()));
            }
            if let Some(condition) = &one.condition {
                spans.push(Span::raw(format!("  if {condition}")));
            }
            if one.state != "planted" {
                spans.push(Span::styled(format!("  {}", one.state), view.theme.alarm()));
            }
            text::put(buf, area, row, Line::from(spans));
            if view.focused && top + row == self.cursor.row(list.len()) {
                text::paint(buf, area, row, view.theme.selected(true));
            }
        }
    }
}
