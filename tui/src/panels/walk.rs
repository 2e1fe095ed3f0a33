//! What the selected address is, and the page-table walk that says so.

use debugger::command::Command;
use debugger::known::Known;
use debugger::model::Topic;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::listing::{explain, say};
use super::{Panel, Screen, View};
use crate::batch::space_text::walk_line;
use crate::batch::text as words;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Walk;

impl Panel for Walk {
    fn title(&self, view: View<'_>) -> String {
        let Some(info) = view.model.address.yes() else {
            return "address".to_owned();
        };
        let place = &info.place;
        match place.symbol {
            Some(_) => format!("address {} {}", place.addr, words::name(place)),
            None => format!("address {}", place.addr),
        }
    }

    fn wants(&self, view: View<'_>, _area: Rect) -> Vec<(Topic, Command)> {
        if view.screen == Screen::Memory {
            // The marked byte's, which the panel of the bytes asks for.
            return Vec::new();
        }
        let expression = view.look.address(view.model);
        expression
            .map(|expression| {
                let expression = Some(expression);
                (Topic::Address, Command::Space { expression })
            })
            .into_iter()
            .collect()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(info) = view.model.address.yes() else {
            return explain(&view.model.address.value, view, area, buf);
        };
        let theme = view.theme;
        let place = &info.place;
        let at = words::file_line(place.file.as_deref(), place.line);
        let region = match &info.region {
            Some(region) => format!("{} ({}, {})", region.what, region.band, region.permissions),
            None => "in no known region".to_owned(),
        };
        let head = Line::from(vec![
            Span::styled(
                format!("{} {} ", place.origin.letter(), place.origin),
                theme.origin(place.origin),
            ),
            Span::raw(region),
            Span::styled(format!("  {at}"), theme.dim()),
        ]);
        text::put(buf, area, 0, head);
        let mut row = 1;
        for one in &info.is {
            let line = Line::from(vec![
                Span::styled(format!("{}: ", one.kind), theme.dim()),
                Span::raw(one.what.clone()),
                Span::styled(format!("  {}", one.because), theme.dim()),
            ]);
            text::put(buf, area, row, line);
            row += 1;
        }
        let physical = words::known(&info.physical, ToString::to_string);
        let used = u16::try_from(row).unwrap_or(u16::MAX).min(area.height);
        let below = Rect::new(area.x, area.y + used, area.width, area.height - used);
        match &info.walk {
            Known::Yes(walk) => {
                let chain: Vec<String> = walk
                    .iter()
                    .map(|entry| format!("{} {:03x}", entry.level, entry.index))
                    .collect();
                let last = walk.last().map_or("", |entry| entry.meaning.as_str());
                let line = format!("{} → phys {physical}  {last}", chain.join("  "));
                text::put(buf, below, 0, line);
                for (i, entry) in walk.iter().enumerate() {
                    let line = Line::styled(walk_line(entry), theme.dim());
                    text::put(buf, below, i + 1, line);
                }
            }
            Known::No(why) => say(&format!("no walk: {why}"), view, below, buf),
            Known::Asked => {}
        }
    }
}
