//! Who made the crossings: the places of the application's own code, and its tasks.

use std::collections::BTreeMap;

use debugger::addr::Insns;
use debugger::count::counted;
use debugger::model::Model;
use debugger::trace::report::Report;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::listing::{find, moved, say};
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::names::fit_name;
use crate::widgets::table::{self, Column};
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Sites {
    cursor: Cursor,
}

const COLUMNS: &[Column] = &[
    Column::left("place", 18, 0),
    Column {
        fill: true,
        ..Column::left("caller", 14, 1)
    },
    Column::left("task", 15, 2),
    Column::left("kind", 9, 2),
    Column::left("call", 14, 0),
    Column::right("count", 9, 0),
    Column::right("insns", 13, 0),
];

/// Of [`COLUMNS`].
const CALL: usize = 4;

/// One place's crossings by one call.
struct Row<'a> {
    place: String,
    caller: &'a str,
    task: String,
    kind: &'static str,
    call: &'a str,
    count: u64,
    instructions: u64,
}

/// Of the crossings that are shown, the most instructions first.
fn rows<'a>(model: &'a Model, look: &Look) -> Vec<Row<'a>> {
    let Some(report) = model.crossings.report() else {
        return Vec::new();
    };
    let classes: BTreeMap<&str, _> = look
        .classes(model)
        .into_iter()
        .map(|class| (class.id.as_str(), class))
        .collect();
    let mut rows: BTreeMap<_, Row<'a>> = BTreeMap::new();
    for made in &report.uses {
        let Some(class) = classes.get(made.class.as_str()) else {
            continue;
        };
        let site = made.site.and_then(|site| report.sites.get(site));
        let key = (made.site, made.task, class.kind, class.call.as_str());
        let row = rows.entry(key).or_insert_with(|| Row {
            place: site.map_or_else(|| "not seen".to_owned(), |site| site.place()),
            caller: site.map_or("", |site| site.caller.as_str()),
            task: report.task_label(made.task),
            kind: class.kind.name(),
            call: &class.call,
            count: 0,
            instructions: 0,
        });
        row.count += made.count;
        row.instructions += made.instructions;
    }
    let mut rows: Vec<Row<'a>> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.instructions));
    rows
}

fn tasks(report: &Report) -> usize {
    let mut tasks: Vec<u32> = report.uses.iter().map(|made| made.task).collect();
    tasks.sort_unstable();
    tasks.dedup();
    tasks.len()
}

impl Panel for Sites {
    fn title(&self, view: View<'_>) -> String {
        match view.model.crossings.report() {
            Some(report) if !report.uses.is_empty() => format!(
                "who made them: {} of the application, {}",
                counted(report.sites.len(), "place"),
                counted(tasks(report), "task")
            ),
            _ => "who made them".to_owned(),
        }
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let rows = rows(model, look);
        let area = table::below_head(area);
        match act {
            Act::Click(0, _) => {}
            Act::Click(row, column) => {
                let click = Act::Click(row - 1, *column);
                moved(&mut self.cursor, &click, rows.len(), area);
            }
            Act::Enter => {
                let row = rows.get(self.cursor.row(rows.len()));
                let place = row.map(|row| row.place.clone());
                return place.map(Effect::Go).into_iter().collect();
            }
            Act::Find(needle) => {
                let height = usize::from(area.height).max(1);
                let text =
                    |at: usize| format!("{} {} {}", rows[at].place, rows[at].caller, rows[at].call);
                match find(self.cursor.row(rows.len()), rows.len(), needle, text) {
                    Some(found) => self.cursor.go(found, rows.len(), height),
                    None => return vec![Effect::Say(format!("no place with '{needle}'"))],
                }
            }
            _ => {
                moved(&mut self.cursor, act, rows.len(), area);
            }
        }
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let rows = rows(view.model, view.look);
        if rows.is_empty() {
            let why =
                "who made the crossings is not known: none is shown, or the recording does not say";
            return say(why, view, area, buf);
        }
        let columns = table::wide_enough(COLUMNS, rows.iter().map(cells));
        let fitted = table::fitting(&columns, usize::from(area.width));
        table::heading(buf, area, &columns, &fitted, view.theme.dim());
        let body = table::below_head(area);
        let height = usize::from(body.height);
        let top = self.cursor.top(rows.len(), height);
        for (at, row) in rows.iter().skip(top).take(height).enumerate() {
            table::row(buf, body, at, &columns, &fitted, &cells(row));
            if top + at == self.cursor.row(rows.len()) {
                text::paint(buf, body, at, view.theme.selected(view.focused));
            }
        }
    }
}

fn cells(row: &Row<'_>) -> Vec<Vec<Span<'static>>> {
    let cells = [
        row.place.clone(),
        row.caller.to_owned(),
        row.task.clone(),
        row.kind.to_owned(),
        fit_name(row.call, COLUMNS[CALL].width).into_owned(),
        Insns(row.count).to_string(),
        Insns(row.instructions).to_string(),
    ];
    cells.map(|cell| vec![Span::raw(cell)]).into()
}
