//! The help: every key, by where it holds.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::action::{TABLE, scopes};
use crate::keys::Preset;
use crate::panels::{PanelId, Screen};
use crate::theme::Theme;
use crate::widgets::cursor::Cursor;
use crate::widgets::{table, text};

const WIDTH: u16 = 76;
/// Columns of the keys.
const KEYS: usize = 18;

/// The keys that hold in this panel, the nearest first.
fn lines(
    (screen, panel): (Screen, PanelId),
    preset: Preset,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for scope in scopes(screen, panel) {
        let of_scope = TABLE.iter().filter(|action| action.scope == scope);
        let rows: Vec<Line<'static>> = of_scope
            .flat_map(|action| {
                let keys: Vec<&str> = action.all_keys(preset).collect();
                let mut keys = format!("  {}", keys.join(" "));
                let help = text::wrap(action.help, width.saturating_sub(KEYS + 1));
                help.into_iter().map(move |help| {
                    let keys = std::mem::take(&mut keys);
                    Line::from(vec![
                        Span::styled(format!("{keys:<KEYS$} "), theme.key()),
                        Span::raw(help),
                    ])
                })
            })
            .collect();
        if !rows.is_empty() {
            lines.push(Line::styled(
                format!("{} keys", scope.name()),
                theme.title(true),
            ));
            lines.extend(rows);
        }
    }
    let rest = [
        "the mouse selects, scrolls, opens, sets breakpoints at a line's number, drags borders",
        "letters: a application, l libc, e entry, k kernel; ':help' tells the commands",
    ];
    let rest = rest.into_iter().flat_map(|line| text::wrap(line, width));
    lines.extend(rest.map(|line| Line::styled(line, theme.dim())));
    lines
}

/// How far it can be scrolled down over `area`.
#[must_use]
pub fn last_scroll(place: (Screen, PanelId), preset: Preset, theme: Theme, area: Rect) -> usize {
    let width = usize::from(WIDTH.min(area.width));
    let rows = lines(place, preset, theme, width).len();
    rows.saturating_sub(usize::from(area.height).saturating_sub(1))
}

/// Draws the help over `area`, scrolled down by `scroll` rows.
pub fn draw_help(
    scroll: usize,
    (screen, panel): (Screen, PanelId),
    preset: Preset,
    theme: Theme,
    area: Rect,
    buf: &mut Buffer,
) {
    let width = WIDTH.min(area.width);
    let lines = lines((screen, panel), preset, theme, usize::from(width));
    let height = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_add(1);
    let area = middle(area, width, height);
    clear(area, buf);
    let title = format!(" help: {} ── Esc closes, j and k scroll ", panel.name());
    text::put(buf, area, 0, Line::styled(title, theme.bar()));
    let list = table::below_head(area);
    let height = usize::from(list.height);
    let mut cursor = Cursor::default();
    cursor.go(
        scroll + height.saturating_sub(1),
        lines.len(),
        height.max(1),
    );
    let top = cursor.top(lines.len(), height);
    for (row, line) in lines.iter().skip(top).take(height).enumerate() {
        text::put(buf, list, row, line.clone());
    }
}

/// A rectangle in the middle, no larger than there is room.
pub(super) fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let width = width.min(area.width);
    let height = height.min(area.height);
    Rect::new(
        area.x + (area.width - width) / 2,
        area.y + (area.height - height) / 2,
        width,
        height,
    )
}

pub(crate) fn clear(area: Rect, buf: &mut Buffer) {
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            buf[(x, y)].reset();
            buf[(x, y)].set_style(Style::reset());
        }
    }
}
