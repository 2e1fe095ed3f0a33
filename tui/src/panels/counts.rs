//! How many crossings of the marked class took how many instructions.

use debugger::addr::Insns;
use debugger::count::counted;
use debugger::model::Model;
use debugger::trace::report::{Class, Count};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::listing::{moved, say};
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::widgets::bar::bar;
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Counts {
    cursor: Cursor,
}

/// A class without a list has one count.
fn counts(class: &Class) -> Vec<Count> {
    match class.counts.as_slice() {
        [] => vec![Count {
            instructions: class.instructions,
            crossings: class.count,
        }],
        several => several.to_vec(),
    }
}

impl Panel for Counts {
    fn title(&self, view: View<'_>) -> String {
        let Some(class) = view.look.class(view.model) else {
            return "counts".to_owned();
        };
        let counts = counts(class);
        let listed: u64 = counts.iter().map(|count| count.crossings).sum();
        let rest = match class.count.saturating_sub(listed) {
            0 => String::new(),
            rest => format!(", and {} of rarer ones", counted(Insns(rest), "crossing")),
        };
        let cut = if class.interrupted {
            ", cut out of by an interrupt, fault or switch"
        } else {
            ""
        };
        let range = match class.exact {
            true => format!("each {}", Insns(class.min)),
            false => format!(
                "{} different from {} to {}",
                counts.len(),
                Insns(class.min),
                Insns(class.max)
            ),
        };
        format!(
            "counts of {} {}{cut}: {range} instructions{rest}",
            class.kind, class.call
        )
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let rows = look.class(model).map_or(0, |class| counts(class).len());
        moved(&mut self.cursor, act, rows, area);
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(class) = view.look.class(view.model) else {
            return say(
                "the marked crossing's counts are shown here",
                view,
                area,
                buf,
            );
        };
        let counts = counts(class);
        let most = counts
            .iter()
            .map(|count| count.crossings)
            .max()
            .unwrap_or(0);
        let width = usize::from(area.width).saturating_sub(34);
        let height = usize::from(area.height);
        let top = self.cursor.top(counts.len(), height);
        for (row, count) in counts.iter().skip(top).take(height).enumerate() {
            let share = count.crossings as f64 * 100.0 / class.count.max(1) as f64;
            let line = Line::from(vec![
                Span::raw(format!("{:>10} ", Insns(count.instructions).to_string())),
                Span::raw(format!("{:>12} ", Insns(count.crossings).to_string())),
                Span::styled(format!("{share:>6.2} %  "), view.theme.dim()),
                Span::raw(bar(count.crossings, most, width)),
            ]);
            text::put(buf, area, row, line);
            if top + row == self.cursor.row(counts.len()) && view.focused {
                text::paint(buf, area, row, view.theme.selected(true));
            }
        }
    }
}
