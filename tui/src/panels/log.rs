//! The commands and their answers.

use debugger::count::counted;
use debugger::event::Answer;
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

/// The newest `reach` rows of a panel so wide, oldest first. Sentences and values are wrapped, for they
/// end with what matters; tables keep their columns.
fn rows(model: &Model, width: usize, reach: usize) -> Vec<(Kind, String)> {
    let mut rows: Vec<(Kind, String)> = Vec::new();
    for entry in model.log.entries().rev() {
        let (kind, lines, wraps) = match entry {
            Entry::Typed(line) => (Kind::Typed, vec![format!("> {line}")], true),
            Entry::Answer(answer) => (Kind::Answer, words::lines(answer), is_prose(answer)),
            Entry::Failure(failure) => (Kind::Failure, vec![failure.to_string()], true),
            Entry::Notice(text) => (Kind::Notice, vec![text.clone()], true),
        };
        let wrapped = lines.into_iter().flat_map(|line| {
            let line = line.replace('\t', "    ");
            match wraps && line.chars().count() > width {
                true => text::wrap(&line, width),
                false => vec![line],
            }
        });
        let block: Vec<String> = wrapped.collect();
        rows.extend(block.into_iter().rev().map(|row| (kind, row)));
        if rows.len() >= reach {
            rows.truncate(reach);
            break;
        }
    }
    rows.reverse();
    rows
}

/// Whether an answer reads as a sentence or a value, and not as a table.
const fn is_prose(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Value(_)
            | Answer::Done(_)
            | Answer::Text(_)
            | Answer::Breakpoints(_)
            | Answer::Stopped(_)
            | Answer::Variables(_)
            | Answer::Parts(_)
    )
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
            back => format!("console, {} back", counted(back, "line")),
        }
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        let height = usize::from(area.height).max(1);
        let all = rows(model, usize::from(area.width), REACH);
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
                    None => return vec![Effect::Say(format!("'{needle}' is in no line"))],
                }
            }
            Act::Side(_) | Act::Enter | Act::Click(..) | Act::Zoom { .. } => self.back,
        }
        .min(most);
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let height = usize::from(area.height);
        let width = usize::from(area.width);
        let rows = rows(view.model, width, height + self.back);
        if rows.is_empty() {
            return say(": asks; answers stand here", view, area, buf);
        }
        let end = rows.len().saturating_sub(self.back);
        let top = end.saturating_sub(height);
        for (row, (kind, line)) in rows[top..end].iter().enumerate() {
            let line = Line::styled(line.as_str(), style(*kind, view.theme));
            text::put(buf, area, row, line);
        }
    }
}
