//! What panels with rows have in common.

use debugger::known::Known;
use debugger::model::Model;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Act, View};
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

/// Carries out the acts that only move; whether it was one.
pub(super) fn moved(cursor: &mut Cursor, act: &Act, len: usize, area: Rect) -> bool {
    let height = usize::from(area.height).max(1);
    match act {
        Act::Step(rows) => cursor.step(*rows, len, height),
        Act::Page(views) => {
            let view = isize::from(i16::try_from(height).unwrap_or(i16::MAX));
            cursor.step(views.saturating_mul(view), len, height);
        }
        Act::Home => cursor.go(0, len, height),
        Act::End => cursor.go(len.saturating_sub(1), len, height),
        Act::Click(row, _) => cursor.go(cursor.top(len, height) + row, len, height),
        Act::Side(_) | Act::Enter | Act::Find(_) | Act::Zoom { .. } => return false,
    }
    true
}

/// The next row after `from` whose text holds `needle`, around the end; case is ignored.
pub(super) fn find(
    from: usize,
    len: usize,
    needle: &str,
    row: impl Fn(usize) -> String,
) -> Option<usize> {
    let needle = needle.to_lowercase();
    (1..=len)
        .map(|step| (from + step) % len)
        .find(|at| row(*at).to_lowercase().contains(&needle))
}

/// Says in an empty panel why it is empty.
pub(super) fn explain<T>(known: &Known<T>, view: View<'_>, area: Rect, buf: &mut Buffer) {
    let text = match known {
        Known::Yes(_) => return,
        Known::Asked => awaited(view).to_owned(),
        Known::No(why) => why.clone(),
    };
    say(&text, view, area, buf);
}

/// What stands where an answer is not there yet.
pub(super) fn awaited(view: View<'_>) -> &'static str {
    let model = view.model;
    if model.run.answers() || model.is_live() {
        "…"
    } else if is_recording(model) {
        "a recording holds crossings and records alone (screens 3 to 6); 'uklscope run IMAGE' boots an image"
    } else if model.run.has_ended() {
        "the target has ended"
    } else {
        "shown when the target stops"
    }
}

/// Whether nothing but a recording of crossings is open.
#[must_use]
pub fn is_recording(model: &Model) -> bool {
    let target = model.target.as_ref();
    let recording = target.is_some_and(|target| target.accelerator == "recording");
    recording && !model.run.answers() && !model.is_live()
}

pub(super) fn say(words: &str, view: View<'_>, area: Rect, buf: &mut Buffer) {
    let style = view.theme.dim();
    for (i, line) in text::wrap(words, usize::from(area.width))
        .iter()
        .enumerate()
    {
        text::put(
            buf,
            area,
            i,
            ratatui::text::Line::styled(line.as_str(), style),
        );
    }
}
