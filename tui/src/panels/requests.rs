//! What a server does per request: a row for each kind and run, split by origin.

use debugger::addr::Insns;
use debugger::crossing::Setup;
use debugger::model::Model;
use debugger::trace::requests::{Request, Requests as OfRun};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::listing::{moved, say};
use super::{Act, Effect, Panel, View};
use crate::batch::request_text::{ByOrigin, figure};
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::table::{self, Column};
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Requests {
    cursor: Cursor,
}

const COLUMNS: &[Column] = &[
    Column::left("request", 8, 0),
    Column::left("mode", 9, 0),
    Column::right("count", 7, 0),
    Column::right("insns", 8, 0),
    Column::right("app", 6, 0),
    Column::right("libc", 6, 0),
    Column::right("entry", 6, 0),
    Column::right("kernel", 7, 0),
    Column::right("in, out", 7, 1),
    Column {
        right: false,
        fill: true,
        ..Column::right("of the kernel", 30, 2)
    },
];

/// Each kind's rows stand together: the run on the screen first, then those it was compared with.
fn rows(model: &Model) -> Vec<(&Setup, &Request)> {
    let runs: Vec<(&Setup, &OfRun)> = runs(model);
    let mut kinds: Vec<&str> = Vec::new();
    for request in runs.iter().flat_map(|(_, requests)| &requests.kinds) {
        if !kinds.contains(&request.kind.as_str()) {
            kinds.push(&request.kind);
        }
    }
    let of_kind = |kind: &str| {
        let of_runs = runs.iter();
        let found = of_runs.filter_map(|(mode, requests)| Some((*mode, requests.kind(kind)?)));
        found.collect::<Vec<_>>()
    };
    kinds.into_iter().flat_map(of_kind).collect()
}

fn runs(model: &Model) -> Vec<(&Setup, &OfRun)> {
    let crossings = &model.crossings;
    let compared = crossings.comparison.iter().flat_map(|all| &all.runs);
    let mut runs: Vec<(&Setup, &OfRun)> = Vec::new();
    for report in crossings.report().into_iter().chain(compared) {
        if let Some(requests) = &report.requests
            && !runs.iter().any(|(mode, _)| **mode == report.mode)
        {
            runs.push((&report.mode, requests));
        }
    }
    runs
}

impl Panel for Requests {
    fn title(&self, view: View<'_>) -> String {
        let Some((_, requests)) = runs(view.model).into_iter().next() else {
            return "requests".to_owned();
        };
        let mut title = format!(
            "requests: the server's thread, from one return of {} to the next",
            requests.turn.join(" or ")
        );
        for (count, what) in [
            (requests.several.count, "with several"),
            (requests.unbalanced, "unbalanced"),
            (requests.lost, "lost"),
        ] {
            if count > 0 {
                title.push_str(&format!(", {} {what}", Insns(count)));
            }
        }
        title
    }

    fn act(&mut self, act: &Act, model: &Model, _: &mut Look, area: Rect) -> Vec<Effect> {
        let area = table::below_head(area);
        let act = match act {
            Act::Click(0, _) => return Vec::new(),
            Act::Click(row, column) => Act::Click(row - 1, *column),
            other => other.clone(),
        };
        moved(&mut self.cursor, &act, rows(model).len(), area);
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let rows = rows(view.model);
        if rows.is_empty() {
            let why = match (view.model.crossings.report(), runs(view.model).is_empty()) {
                (None, _) => {
                    "t boots the image once more with the tracer; its requests are counted here"
                }
                (Some(_), true) => {
                    "the image does not say what a request is: the table [request] of its demo.toml does"
                }
                (Some(_), false) => {
                    "no request was made yet: the client in the guest makes as many as --calls says"
                }
            };
            return say(why, view, area, buf);
        }
        let all = rows.iter().map(|(mode, request)| cells(mode, request));
        let columns = table::wide_enough(COLUMNS, all);
        let fitted = table::fitting(&columns, usize::from(area.width));
        table::heading(buf, area, &columns, &fitted, view.theme.dim());
        let body = table::below_head(area);
        let height = usize::from(body.height);
        let top = self.cursor.top(rows.len(), height);
        for (row, (mode, request)) in rows.iter().skip(top).take(height).enumerate() {
            let cells = cells(mode, request);
            table::row(buf, body, row, &columns, &fitted, &cells);
            if top + row == self.cursor.row(rows.len()) {
                text::paint(buf, body, row, view.theme.selected(view.focused));
            }
        }
    }
}

fn cells(mode: &Setup, request: &Request) -> Vec<Vec<Span<'static>>> {
    let split = ByOrigin::of(request);
    let per = |sum: u64| format!("{:.0}", request.per(sum));
    let kernel = split
        .kernel
        .iter()
        .map(|(name, sum)| format!("{name} {}", per(*sum)));
    let cells = [
        request.kind.clone(),
        mode.to_string(),
        Insns(request.count).to_string(),
        figure(request.total, request.count),
        per(split.app),
        per(split.libc),
        per(split.entry),
        per(split.kernel_sum()),
        format!("{:.1} %", request.boundary_percent()),
        kernel.collect::<Vec<_>>().join(", "),
    ];
    cells.map(|cell| vec![Span::raw(cell)]).into()
}
