//! The code of the ladder's marked function, and how often each instruction ran in one operation of each mode.

use debugger::crossing::Setup;
use debugger::event::{Instructions as Stepped, Line as Row, Listing};
use debugger::model::Model;
use debugger::trace::diff;
use debugger::trace::report::Pair;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::ladder::other_modes;
use super::listing::{find, moved, say};
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::stepper::Wish;
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Instructions {
    cursor: Cursor,
    /// The function that the cursor is in.
    symbol: String,
}

/// The heading.
const ABOVE: u16 = 1;

/// A row of the panel: an instruction, or what divides two blocks.
enum Shown<'a> {
    Code(&'a Row),
    Gap,
}

/// What was stepped through of that pair.
fn stepped<'a>(model: &'a Model, pair: &Pair) -> Option<&'a Stepped> {
    let stepped = model.crossings.stepped.as_deref();
    stepped.filter(|stepped| {
        stepped.call == pair.call && stepped.mode_a == pair.mode_a && stepped.mode_b == pair.mode_b
    })
}

/// The marked row's function.
fn symbol<'a>(pair: &'a Pair, look: &Look) -> Option<&'a str> {
    let row = pair.rows.get(look.rung.row(pair.rows.len()))?;
    Some(&row.symbol)
}

fn listing<'a>(model: &'a Model, pair: &Pair, look: &Look) -> Option<&'a Listing> {
    let symbol = symbol(pair, look)?;
    let functions = &stepped(model, pair)?.functions;
    functions.iter().find(|function| function.symbol == symbol)
}

fn rows(listing: &Listing) -> Vec<Shown<'_>> {
    let mut rows = Vec::new();
    // What did not run is not worth a gap between its blocks.
    for blocks in listing.blocks.chunk_by(|a, b| !a.ran() && !b.ran()) {
        let lines = blocks.iter().flat_map(|block| &block.lines);
        rows.extend(lines.map(Shown::Code));
        rows.push(Shown::Gap);
    }
    rows.pop();
    rows
}

fn body(area: Rect) -> Rect {
    let above = ABOVE.min(area.height);
    Rect {
        y: area.y + above,
        height: area.height - above,
        ..area
    }
}

/// What has to be stepped through for the marked pair of modes; `None` where it was, or there is no pair.
#[must_use]
pub fn wish(model: &Model, look: &Look) -> Option<Wish> {
    let pair = look.pair(model)?;
    if stepped(model, pair).is_some() {
        return None;
    }
    let runs = &model.crossings.comparison.as_ref()?.runs;
    let run = |mode: &Setup| runs.iter().find(|run| run.mode == *mode);
    let matches = diff::matches(run(&pair.mode_a)?, run(&pair.mode_b)?);
    let is_it = |call: &str| call == pair.call;
    let (ours, theirs) = matches
        .into_iter()
        .find(|(ours, theirs)| is_it(&ours.call) || is_it(&theirs.call))?;
    Some(Wish::new(pair, ours, theirs))
}

impl Panel for Instructions {
    fn title(&self, view: View<'_>) -> String {
        let pair = view.look.pair(view.model);
        match pair.and_then(|pair| symbol(pair, view.look)) {
            Some(symbol) => format!("instructions of {symbol}"),
            None => "instructions".to_owned(),
        }
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let Some(listing) = look.pair(model).and_then(|pair| listing(model, pair, look)) else {
            return Vec::new();
        };
        if self.symbol != listing.symbol {
            self.symbol.clone_from(&listing.symbol);
            self.cursor = Cursor::default();
        }
        let rows = rows(listing);
        let body = body(area);
        if let Act::Find(needle) = act {
            let text = |at: usize| match &rows[at] {
                Shown::Code(row) => format!("{} {}", row.text, row.expensive.unwrap_or_default()),
                Shown::Gap => String::new(),
            };
            match find(self.cursor.row(rows.len()), rows.len(), needle, text) {
                Some(found) => self
                    .cursor
                    .go(found, rows.len(), usize::from(body.height).max(1)),
                None => return vec![Effect::Say(format!("'{needle}' is in no instruction"))],
            }
        } else {
            let act = match act {
                Act::Click(row, column) => &Act::Click(row.saturating_sub(1), *column),
                other => other,
            };
            moved(&mut self.cursor, act, rows.len(), body);
        }
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(pair) = view.look.pair(view.model) else {
            return say(&other_modes(view), view, area, buf);
        };
        let Some(found) = stepped(view.model, pair) else {
            let words = format!(
                "i boots the image in mode {} and in mode {}, and steps through one {} in each",
                pair.mode_a, pair.mode_b, pair.call
            );
            return say(&words, view, area, buf);
        };
        let Some(listing) = listing(view.model, pair, view.look) else {
            let words = match found.same_path_a && found.same_path_b {
                true => "neither of the stepped calls passes through it",
                false => "the stepped calls took another path than the ladder's",
            };
            return say(words, view, area, buf);
        };
        let head = format!(
            "{:>7} {:>7}  {} {}, {} {}, {} ran in neither",
            pair.mode_a.mode,
            pair.mode_b.mode,
            pair.mode_a,
            listing.a,
            pair.mode_b,
            listing.b,
            listing.idle
        );
        text::put(buf, area, 0, Line::styled(head, view.theme.key()));
        let rows = rows(listing);
        let body = body(area);
        let height = usize::from(body.height);
        let cursor = match self.symbol == listing.symbol {
            true => self.cursor,
            false => Cursor::default(),
        };
        let top = cursor.top(rows.len(), height);
        for (at, row) in rows.iter().skip(top).take(height).enumerate() {
            if let Shown::Code(row) = row {
                text::put(buf, body, at, line(row, view));
            }
            if top + at == cursor.row(rows.len()) {
                text::paint(buf, body, at, view.theme.selected(view.focused));
            }
        }
    }
}

fn line(row: &Row, view: View<'_>) -> Line<'static> {
    let count = |count: u64| match count {
        0 => "·".to_owned(),
        ran => ran.to_string(),
    };
    let code = format!(
        "{:>7} {:>7}  {:08x}  {}",
        count(row.a),
        count(row.b),
        row.address.0 & 0xffff_ffff,
        row.text
    );
    if row.a == 0 && row.b == 0 {
        return Line::styled(code, view.theme.dim());
    }
    let why = row
        .expensive
        .map_or_else(String::new, |why| format!("  ! {why}"));
    Line::from(vec![
        Span::raw(code),
        Span::styled(why, view.theme.changed()),
    ])
}
