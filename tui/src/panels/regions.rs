//! The regions of the address space as a table.

use debugger::command::Command;
use debugger::event::{RegionInfo, ResidentInfo};
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::listing::{explain, find, moved};
use super::{Act, Effect, Panel, View};
use crate::batch::space_text::large;
use crate::batch::text as words;
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::table::{self, Column};
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Regions;

const COLUMNS: &[Column] = &[
    Column {
        title: "range",
        width: 33,
        right: false,
        fill: false,
        rank: 1,
    },
    Column {
        title: "size",
        width: 8,
        right: true,
        fill: false,
        rank: 1,
    },
    Column {
        title: "perm",
        width: 4,
        right: false,
        fill: false,
        rank: 1,
    },
    Column {
        title: "resident",
        width: 8,
        right: true,
        fill: false,
        rank: 2,
    },
    Column {
        title: "dirty",
        width: 8,
        right: true,
        fill: false,
        rank: 4,
    },
    Column {
        title: "large",
        width: 5,
        right: true,
        fill: false,
        rank: 5,
    },
    Column {
        title: "origin",
        width: 13,
        right: false,
        fill: false,
        rank: 3,
    },
    Column {
        title: "what",
        width: 12,
        right: false,
        fill: true,
        rank: 0,
    },
];

impl Panel for Regions {
    fn title(&self, view: View<'_>) -> String {
        let live = if view.model.is_live() { "live: " } else { "" };
        let whose = view.look.whose.as_ref();
        let whose = whose.map_or_else(String::new, |task| format!(" as task {task} sees them"));
        match &view.look.band {
            Some(band) => format!("{live}regions of {band}{whose}"),
            None => format!("{live}regions{whose}"),
        }
    }

    fn wants(&self, view: View<'_>, _area: Rect) -> Vec<(Topic, Command)> {
        let command = match view.look.whose.clone() {
            Some(task) => Command::TaskSpace { task },
            None => Command::Space { expression: None },
        };
        vec![(Topic::Space, command)]
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let list: Vec<(String, String)> = look
            .regions(model)
            .iter()
            .map(|region| (region.what.clone(), region.band.clone()))
            .collect();
        let row = look.region.row(list.len());
        let height = usize::from(table::below_head(area).height).max(1);
        match act {
            Act::Click(0, _) => return Vec::new(),
            Act::Click(at, column) => {
                let click = Act::Click(at - 1, *column);
                moved(
                    &mut look.region,
                    &click,
                    list.len(),
                    table::below_head(area),
                );
            }
            Act::Enter | Act::Side(1..) => {
                let band = list.get(row).map(|(_, band)| band.clone());
                if look.band.is_some() && *act == Act::Enter {
                    look.band = None;
                } else {
                    look.band = band;
                }
                look.region = Cursor::default();
            }
            Act::Side(_) => {
                look.band = None;
                look.region = Cursor::default();
            }
            Act::Find(needle) => match find(row, list.len(), needle, |at| list[at].0.clone()) {
                Some(found) => look.region.go(found, list.len(), height),
                None => return vec![Effect::Say(format!("no region of '{needle}'"))],
            },
            _ => {
                moved(&mut look.region, act, list.len(), table::below_head(area));
            }
        }
        look.address = None;
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        explain(&view.model.regions.value, view, area, buf);
        let list = view.look.regions(view.model);
        if list.is_empty() {
            return;
        }
        let fitted = table::fitting(COLUMNS, usize::from(area.width));
        table::heading(buf, area, COLUMNS, &fitted, view.theme.dim());
        let body = table::below_head(area);
        let height = usize::from(body.height);
        let top = view.look.region.top(list.len(), height);
        for (row, region) in list.iter().skip(top).take(height).enumerate() {
            table::row(buf, body, row, COLUMNS, &fitted, &cells(region, view));
            if top + row == view.look.region.row(list.len()) {
                text::paint(buf, body, row, view.theme.selected(view.focused));
            }
        }
    }
}

fn cells(region: &RegionInfo, view: View<'_>) -> Vec<Vec<Span<'static>>> {
    let origin = view.theme.origin(region.origin);
    let there = |text: fn(&ResidentInfo) -> String| {
        region
            .resident
            .as_ref()
            .map_or_else(|| "?".to_owned(), text)
    };
    vec![
        vec![Span::raw(region.range.to_string())],
        vec![Span::raw(words::size(region.size))],
        vec![Span::raw(region.permissions.clone())],
        vec![Span::raw(there(|there| words::size(there.bytes)))],
        vec![Span::raw(there(|there| words::size(there.dirty)))],
        vec![Span::raw(there(large))],
        vec![Span::styled(region.origin.to_string(), origin)],
        vec![Span::styled(
            format!("{} {}", region.origin.letter(), region.what),
            origin,
        )],
    ]
}
