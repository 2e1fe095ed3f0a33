//! The commands and their answers.

use debugger::model::{Entry, Model};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::listing::{find, say};
use super::{Act, Effect, Panel, View};
use crate::batch::text as words;
use crate::look::Look;
use crate::theme::Theme;
use crate::widgets::text;

/// Lines of the log that can be scrolled back to.
const REACH: usize = 5_000;

#[derive(Debug, Default)]
pub struct Log {
    /// Lines up from the newest.
    back: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Typed,
    Answer,
    Failure,
    Notice,
}

/// The newest `reach` lines, oldest first.
fn lines(model: &Model, reach: usize) -> Vec<(Kind, String)> {
    let mut lines = Vec::new();
    for entry in model.log.entries().rev() {
        let block: Vec<(Kind, String)> = match entry {
            Entry::Typed(line) => vec![(Kind::Typed, format!("> {line}"))],
            Entry::Answer(answer) => words::lines(answer)
                .into_iter()
                .map(|line| (Kind::Answer, line))
                .collect(),
            Entry::Failure(failure) => vec![(Kind::Failure, failure.to_string())],
            Entry::Notice(text) => vec![(Kind::Notice, text.clone())],
        };
        lines.extend(block.into_iter().rev());
        if lines.len() >= reach {
            lines.truncate(reach);
            break;
        }
    }
    lines.reverse();
    lines
}

fn style(kind: Kind, theme: Theme) -> Style {
    match kind {
        Kind::Typed => theme.key(),
        Kind::Answer => Style::new(),
        Kind::Failure => theme.alarm(),
        Kind::Notice => theme.dim(),
    }
}

impl Log {
    /// Shows the newest lines again.
    pub const fn follow(&mut self) {
        self.back = 0;
    }
}

impl Panel for Log {
    fn title(&self, _view: View<'_>) -> String {
        match self.back {
            0 => "console".to_owned(),
            back => format!("console, {back} lines back"),
        }
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        let height = usize::from(area.height).max(1);
        let all = lines(model, REACH);
        let most = all.len().saturating_sub(height);
        let view = isize::try_from(height).unwrap_or(isize::MAX);
        self.back = match act {
            Act::Step(rows) => self.back.saturating_add_signed(rows.saturating_neg()),
            Act::Page(views) => self
                .back
                .saturating_add_signed(views.saturating_neg().saturating_mul(view)),
            Act::Home => most,
            Act::End => 0,
            Act::Find(needle) => {
                let top = all.len().saturating_sub(height + self.back);
                match find(top, all.len(), needle, |at| all[at].1.clone()) {
                    Some(found) => all.len().saturating_sub(found + height),
                    None => self.back,
                }
            }
            Act::Side(_) | Act::Enter | Act::Click(..) => self.back,
        }
        .min(most);
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let height = usize::from(area.height);
        let width = usize::from(area.width);
        let lines = lines(view.model, height + self.back);
        if lines.is_empty() {
            return say(": asks; answers stand here", view, area, buf);
        }
        // A long failure is wrapped: it ends with the next step.
        let wrapped: Vec<(Kind, String)> = lines
            .into_iter()
            .flat_map(|(kind, line)| {
                match kind {
                    Kind::Failure | Kind::Notice => text::wrap(&line, width),
                    Kind::Typed | Kind::Answer => vec![line],
                }
                .into_iter()
                .map(move |line| (kind, line))
            })
            .collect();
        let end = wrapped.len().saturating_sub(self.back);
        let top = end.saturating_sub(height);
        for (row, (kind, line)) in wrapped[top..end].iter().enumerate() {
            let line = Line::styled(line.as_str(), style(*kind, view.theme));
            text::put(buf, area, row, line);
        }
    }
}
