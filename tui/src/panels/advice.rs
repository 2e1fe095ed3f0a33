//! Which call to reach another way next: the most that a bypass or a shortcut could save.

use debugger::addr::Insns;
use debugger::model::Model;
use debugger::trace::advise::{Advice as Of, Candidate, Shortcut, advise};
use debugger::trace::report::Report;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::listing::{find, moved, say};
use super::{Act, Effect, Panel, PanelId, View};
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::table::{self, Column};
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Advice {
    cursor: Cursor,
}

const COLUMNS: &[Column] = &[
    Column::left("call", 16, 0),
    Column::right("count", 9, 0),
    Column::right("insns", 7, 0),
    Column::right("bypass", 7, 0),
    Column::right("in all", 11, 1),
    Column {
        fill: true,
        ..Column::left("shortcut to", 20, 0)
    },
    Column::right("saves", 7, 0),
    Column::right("in all", 11, 1),
    Column::left("measured", 32, 2),
];

/// Of the run on the screen, with what it was compared with.
fn advice(model: &Model) -> Option<Of> {
    let crossings = &model.crossings;
    let report = crossings.report()?;
    if report.functions_left_out.is_some() {
        return None;
    }
    let compared: &[Report] = crossings.comparison.as_ref().map_or(&[], |all| &all.runs);
    let same = match compared {
        [] => std::slice::from_ref(report),
        runs => runs,
    };
    let mut advice = advise(report, same);
    let others = compared.iter().filter(|run| run.mode != report.mode);
    others.for_each(|run| advice.measure(run));
    Some(advice)
}

impl Panel for Advice {
    fn title(&self, view: View<'_>) -> String {
        let Some(advice) = advice(view.model) else {
            return "advice".to_owned();
        };
        let share = advice.bypass as f64 * 100.0 / advice.insns.max(1) as f64;
        // All that a run executed is known at its end.
        let share = match advice.insns {
            0 => String::new(),
            _ => format!("{share:.2} % of the run, "),
        };
        let mut title = format!(
            "advice: bypassing all saves at most {share}{} instructions",
            Insns(advice.bypass)
        );
        for one in &advice.requests {
            let share = one.bypass * 100.0 / one.instructions.max(1.0);
            title.push_str(&format!(
                ", {:.0} a {} ({share:.1} %)",
                one.bypass, one.kind
            ));
        }
        title
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let Some(advice) = advice(model) else {
            return Vec::new();
        };
        let rows = advice.candidates;
        let area = table::below_head(area);
        let at = self.cursor.row(rows.len());
        match act {
            Act::Click(0, _) => {}
            Act::Click(row, column) => {
                moved(
                    &mut self.cursor,
                    &Act::Click(row - 1, *column),
                    rows.len(),
                    area,
                );
            }
            Act::Enter => {
                let Some(candidate) = rows.get(at) else {
                    return Vec::new();
                };
                let classes = look.classes(model).into_iter();
                let same = classes
                    .filter(|class| class.kind == candidate.kind && class.call == candidate.call);
                let Some(class) = same.max_by_key(|class| (!class.interrupted, class.count)) else {
                    return vec![Effect::Say(format!(
                        "{} is not among the crossings shown: / changes which are",
                        candidate.call
                    ))];
                };
                look.class = Some((class.kind, class.id.clone()));
                look.one = None;
                return vec![Effect::Focus(PanelId::Tree)];
            }
            Act::Find(needle) => {
                let height = usize::from(area.height).max(1);
                match find(at, rows.len(), needle, |at| rows[at].call.clone()) {
                    Some(found) => self.cursor.go(found, rows.len(), height),
                    None => return vec![Effect::Say(format!("no call '{needle}'"))],
                }
            }
            _ => {
                moved(&mut self.cursor, act, rows.len(), area);
            }
        }
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(advice) = advice(view.model).filter(|advice| !advice.candidates.is_empty()) else {
            let report = view.model.crossings.report();
            let partial = report.and_then(|report| report.functions_left_out.as_ref());
            let why = match partial {
                Some(option) => format!(
                    "functions were left out by {option}: what calls do themselves is not known; record without it"
                ),
                None => "no call by a system call was seen yet; t boots the image once more with the tracer"
                    .to_owned(),
            };
            return say(&why, view, area, buf);
        };
        let rows = &advice.candidates;
        let columns = table::wide_enough(COLUMNS, rows.iter().map(cells));
        let fitted = table::fitting(&columns, usize::from(area.width));
        table::heading(buf, area, &columns, &fitted, view.theme.dim());
        let body = table::below_head(area);
        let height = usize::from(body.height);
        let top = self.cursor.top(rows.len(), height);
        for (row, candidate) in rows.iter().skip(top).take(height).enumerate() {
            table::row(buf, body, row, &columns, &fitted, &cells(candidate));
            if top + row == self.cursor.row(rows.len()) {
                text::paint(buf, body, row, view.theme.selected(view.focused));
            }
        }
    }
}

fn cells(candidate: &Candidate) -> Vec<Vec<Span<'static>>> {
    let (bypass, bypass_all) = match &candidate.bypass {
        Some(saving) => (saving.each.to_string(), Insns(saving.all).to_string()),
        None if candidate.kept.is_some() => ("cannot".to_owned(), String::new()),
        None => ("is one".to_owned(), String::new()),
    };
    let shortcut = candidate.shortcut.as_ref();
    let of_shortcut = |text: &dyn Fn(&Shortcut) -> String| shortcut.map_or_else(String::new, text);
    let measured = candidate.measured.iter().map(|one| {
        format!(
            "{} in {}: {} of {}",
            one.kind,
            one.mode,
            one.change(),
            one.predicted
        )
    });
    let cells = [
        candidate.call.clone(),
        Insns(candidate.count).to_string(),
        Insns(candidate.instructions).to_string(),
        bypass,
        bypass_all,
        of_shortcut(&|one| format!("{} {}", one.origin.letter(), one.symbol)),
        of_shortcut(&|one| Insns(one.saving.each).to_string()),
        of_shortcut(&|one| Insns(one.saving.all).to_string()),
        measured.collect::<Vec<_>>().join("; "),
    ];
    cells.map(|cell| vec![Span::raw(cell)]).into()
}
