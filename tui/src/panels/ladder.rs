//! One call in two modes, row by row, and the ledger below: it balances or says that it does not.

use debugger::addr::Insns;
use debugger::model::Model;
use debugger::trace::report::{Row, Verdict};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::listing::{find, moved, say};
use super::{Act, Effect, Panel, View};
use crate::difference::Difference;
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

/// Its marked row is the butterfly's too.
#[derive(Debug, Default)]
pub struct Ladder;

/// The rows of the panel that are not the ladder's: the heading, why the marked row differs, the ledger.
const FRAME: u16 = 3;

fn body(area: Rect) -> Rect {
    Rect::new(
        area.x,
        area.y + 1.min(area.height),
        area.width,
        area.height.saturating_sub(FRAME),
    )
}

impl Panel for Ladder {
    fn title(&self, view: View<'_>) -> String {
        match view.look.difference(view.model) {
            Some(Difference {
                what,
                sides: [a, b],
                ..
            }) => format!("ladder of {what}: {a} │ {b}"),
            None => "ladder".to_owned(),
        }
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        if let Act::Side(columns) = act {
            let count = look
                .class(model)
                .map_or(0, |class| model.crossings.pairs(&class.call).count());
            let at = look.pair % count.max(1);
            look.pair = match columns {
                0.. => (at + 1) % count.max(1),
                _ => at.checked_sub(1).unwrap_or(count.saturating_sub(1)),
            };
            look.rung = Cursor::default();
            return Vec::new();
        }
        let Some(pair) = look.difference(model) else {
            return Vec::new();
        };
        let len = pair.rows.len();
        if let Act::Find(needle) = act {
            let row = |at: usize| pair.rows[at].symbol.clone();
            match find(look.rung.row(len), len, needle, row) {
                Some(found) => look
                    .rung
                    .go(found, len, usize::from(body(area).height).max(1)),
                None => return vec![Effect::Say(format!("'{needle}' is not on this ladder"))],
            }
        } else {
            moved(&mut look.rung, act, len, body(area));
        }
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(pair) = view.look.difference(view.model) else {
            return say(&other_modes(view), view, area, buf);
        };
        let half = usize::from(area.width) / 2;
        let [head_a, head_b] = &pair.heads;
        let heading = format!(
            "{:<half$}{head_b}",
            text::fit(head_a, half.saturating_sub(1))
        );
        text::put(buf, area, 0, Line::styled(heading, view.theme.key()));
        let body = body(area);
        let height = usize::from(body.height);
        let cursor = view.look.rung;
        let top = cursor.top(pair.rows.len(), height);
        for (at, row) in pair.rows.iter().skip(top).take(height).enumerate() {
            text::put(buf, body, at, rung(row, view, half));
            if top + at == cursor.row(pair.rows.len()) {
                text::paint(buf, body, at, view.theme.selected(view.focused));
            }
        }
        let last = usize::from(area.height.saturating_sub(1));
        let marked = pair.rows.get(cursor.row(pair.rows.len()));
        if let Some(why) = marked.and_then(Row::why) {
            let line = Line::styled(why, view.theme.dim());
            text::put(buf, area, last.saturating_sub(1), line);
        }
        text::put(buf, area, last, ledger(&pair, view));
    }
}

/// A row: the left column, what became of it, the right column.
fn rung(row: &Row, view: View<'_>, half: usize) -> Line<'static> {
    let origin = view.theme.origin(row.origin);
    let dim = view.theme.dim();
    let side = |depth: Option<u32>, count: u64, width: usize| {
        let Some(depth) = depth else {
            return " ".repeat(width);
        };
        let indent = usize::try_from(depth).unwrap_or(0).min(width / 4);
        let figure = Insns(count).to_string();
        let room = width.saturating_sub(figure.len() + 2);
        let name = format!(
            "{} {}{}",
            row.origin.letter(),
            " ".repeat(indent),
            row.symbol
        );
        format!("{:<room$} {figure} ", text::fit(&name, room))
    };
    let (glyph, left, right): (&str, Style, Style) = match row.verdict {
        Verdict::Same => ("═", origin, origin),
        Verdict::Removed => ("−", origin.add_modifier(Modifier::CROSSED_OUT), dim),
        Verdict::Added => ("+", dim, origin),
        Verdict::Moved => ("~", origin, origin),
        Verdict::Cost => ("≠", origin, origin),
    };
    let note = match row.verdict {
        Verdict::Same => String::new(),
        Verdict::Moved => "moved".to_owned(),
        Verdict::Removed | Verdict::Added | Verdict::Cost => {
            if row.a > row.b || row.verdict == Verdict::Removed {
                format!("−{}", Insns(row.a.saturating_sub(row.b)))
            } else {
                format!("+{}", Insns(row.b - row.a))
            }
        }
    };
    let right_width = half.saturating_sub(10);
    Line::from(vec![
        Span::styled(side(row.depth_a, row.a, half.saturating_sub(2)), left),
        Span::raw(format!("{glyph} ")),
        Span::styled(side(row.depth_b, row.b, right_width), right),
        Span::raw(format!("{note:>9}")),
    ])
}

/// Why there is no difference to be seen.
pub(super) fn other_modes(view: View<'_>) -> String {
    match view.look.class(view.model) {
        Some(class) => format!(
            "{} is known in one mode only: T on screen 3 traces an image in each mode, as 'uklscope compare IMAGE' \
             does, and 'uklscope open A B' opens recordings of several modes together",
            class.call
        ),
        None => "the marked call against another mode".to_owned(),
    }
}

pub(super) fn ledger(pair: &Difference<'_>, view: View<'_>) -> Line<'static> {
    let sum = format!(
        "{} − removed {} + added {} = {}",
        Insns(pair.a),
        Insns(pair.removed),
        Insns(pair.added),
        Insns(pair.b)
    );
    let verdict = if pair.balanced {
        let words = format!("  balances to the {}", pair.unit);
        Span::styled(words, view.theme.good())
    } else {
        Span::styled("  DOES NOT BALANCE", view.theme.alarm())
    };
    Line::from(vec![Span::styled(sum, view.theme.key()), verdict])
}
