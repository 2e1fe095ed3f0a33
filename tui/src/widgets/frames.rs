//! Frames side by side in lines: of a width that stands for a quantity, as flame graphs have them.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::names::fit_name;
use super::text;

/// Where a frame lies within an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    /// 0: too narrow to be seen.
    pub width: usize,
}

/// What stands where frames are too narrow to be seen.
const NARROW: &str = "┊";

impl Place {
    /// From and to, in parts of `whole`; neighbours meet without gap or overlap. `None` beyond the area.
    #[must_use]
    pub fn new(area: Rect, line: usize, (from, to): (u64, u64), whole: u64) -> Option<Self> {
        let width = u128::from(area.width);
        let column = |at: u64| {
            let column = u128::from(at) * width / u128::from(whole.max(1));
            usize::try_from(column).unwrap_or(usize::MAX)
        };
        let (from, to) = (column(from), column(to));
        (from < usize::from(area.width)).then_some(Self {
            line,
            column: from,
            width: to.min(usize::from(area.width)) - from,
        })
    }

    /// One column at least.
    #[must_use]
    pub fn columns(&self) -> Range<usize> {
        self.column..self.column + self.width.max(1)
    }

    fn rect(self, area: Rect) -> Rect {
        let row = text::row(area, self.line).unwrap_or(Rect::ZERO);
        let at = Rect {
            x: row.x.saturating_add(text::columns(self.column)),
            width: text::columns(self.width.max(1)),
            ..row
        };
        at.intersection(row)
    }
}

/// Draws a frame: a line at its left, and as much of its label as there is room for.
pub fn put(buf: &mut Buffer, area: Rect, place: Place, label: &str, style: Style) {
    let rect = place.rect(area);
    if rect.is_empty() {
        return;
    }
    if place.width == 0 {
        let cell = &mut buf[(rect.x, rect.y)];
        if cell.symbol() == " " {
            cell.set_symbol(NARROW);
        }
        return;
    }
    let room = place.width - 1;
    let label = if room < 3 {
        "".into()
    } else {
        fit_name(label, room)
    };
    let line = format!("▏{label:<room$}");
    buf.set_stringn(rect.x, rect.y, line, usize::from(rect.width), style);
}

/// Lays a style over a frame.
pub fn mark(buf: &mut Buffer, area: Rect, place: Place, style: Style) {
    buf.set_style(place.rect(area), style);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn neighbours_meet(cuts in prop::collection::vec(0u64..1_000_000_000_000, 1..20), width in 1u16..200) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let whole = cuts.last().copied().unwrap_or(0);
            let area = Rect::new(3, 1, width, 4);
            let mut at = 0;
            let mut from = 0;
            for to in cuts {
                if let Some(place) = Place::new(area, 0, (from, to), whole) {
                    prop_assert_eq!(place.column, at);
                    at += place.width;
                    prop_assert!(place.rect(area).right() <= area.right());
                }
                from = to;
            }
            prop_assert!(whole == 0 || at == usize::from(width));
        }
    }

    #[test]
    fn a_label_is_cut_and_a_narrow_frame_leaves_a_mark() {
        let area = Rect::new(0, 0, 12, 1);
        let mut buf = Buffer::empty(area);
        let mut frame = |from, to, label| {
            let place = Place::new(area, 0, (from, to), 120).unwrap();
            put(&mut buf, area, place, label, Style::new());
        };
        frame(0, 70, "k vfs_write");
        frame(70, 74, "k lock");
        frame(80, 119, "ab");
        assert_eq!(buf, Buffer::with_lines(["▏k vfs…┊▏   "]));
    }
}
