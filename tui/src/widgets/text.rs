//! Text put into a rectangle: cut to fit, never beyond it.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

/// Row `row` of `area`, where there is one.
#[must_use]
pub fn row(area: Rect, row: usize) -> Option<Rect> {
    let row = u16::try_from(row).ok().filter(|row| *row < area.height)?;
    Some(Rect::new(area.x, area.y + row, area.width, 1))
}

/// Writes a line into a row of `area`; nothing where it has no such row. `…` at the end tells that
/// there was more: half an address looks like a whole one.
pub fn put<'a>(buf: &mut Buffer, area: Rect, at: usize, line: impl Into<Line<'a>>) {
    let Some(area) = row(area, at) else {
        return;
    };
    let line = line.into();
    buf.set_line(area.x, area.y, &line, area.width);
    if line.width() > usize::from(area.width)
        && let Some(last) = area.right().checked_sub(1).filter(|last| *last >= area.x)
    {
        buf[(last, area.y)].set_symbol("…");
    }
}

/// Lays a style over a whole row.
pub fn paint(buf: &mut Buffer, area: Rect, at: usize, style: Style) {
    if let Some(area) = row(area, at) {
        buf.set_style(area, style);
    }
}

/// The first `width` columns; `…` at the end tells that there was more.
#[must_use]
pub fn fit(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return text.into();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        cut.push('…');
    }
    cut.into()
}

/// The last `width` columns: for paths, whose end says most.
#[must_use]
pub fn fit_end(text: &str, width: usize) -> Cow<'_, str> {
    let len = text.chars().count();
    if len <= width {
        return text.into();
    }
    let tail: String = text.chars().skip(len + 1 - width.max(1)).collect();
    if width == 0 {
        "".into()
    } else {
        format!("…{tail}").into()
    }
}

/// Breaks at spaces; a word longer than `width` is broken itself.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let indent: String = text
        .chars()
        .take_while(|c| *c == ' ')
        .take(width / 2)
        .collect();
    let mut lines = Vec::new();
    let mut line = indent.clone();
    let mut empty = true;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if !empty && line.chars().count() + 1 + word.len() > width {
            lines.push(std::mem::replace(&mut line, indent.clone()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        while line.chars().count() + word.len() > width {
            let room = (width - line.chars().count().min(width)).max(1);
            line.extend(word.drain(..room.min(word.len())));
            lines.push(std::mem::replace(&mut line, indent.clone()));
        }
        empty = word.is_empty();
        line.extend(word);
    }
    if !empty || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// A byte or character count as a column, for what is certainly narrow.
#[must_use]
pub fn columns(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_does_not_fit_is_marked() {
        assert_eq!(fit("ksys_write", 10), "ksys_write");
        assert_eq!(fit("ksys_write", 5), "ksys…");
        assert_eq!(fit("ksys_write", 0), "");
        assert_eq!(fit_end("fs/read_write.c", 9), "…_write.c");
        assert_eq!(fit_end("fs/read_write.c", 0), "");
    }

    #[test]
    fn a_row_that_is_too_long_is_marked_where_it_is_cut() {
        let area = Rect::new(1, 0, 4, 1);
        let mut buf = Buffer::empty(Rect::new(0, 0, 6, 1));
        put(&mut buf, area, 0, "abcd");
        assert_eq!(buf, Buffer::with_lines([" abcd "]));
        put(&mut buf, area, 0, "abcde");
        assert_eq!(buf, Buffer::with_lines([" abc… "]));
        put(&mut buf, Rect::new(1, 0, 0, 1), 0, "abcde");
        assert_eq!(buf, Buffer::with_lines([" abc… "]));
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 3), [""]);
        assert_eq!(wrap("  a bb", 4), ["  a", "  bb"]);
    }

    proptest! {
        #[test]
        fn wrapped_lines_hold_every_word_within_the_width(text in "[a-c ]{0,40}", width in 1usize..12) {
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= width));
            let squeeze = |text: &str| text.replace(' ', "");
            prop_assert_eq!(squeeze(&lines.concat()), squeeze(&text));
        }
    }
}
