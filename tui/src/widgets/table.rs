//! Columns with a heading, cut to the width there is.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text;

#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub title: &'static str,
    pub width: usize,
    pub right: bool,
    /// Takes what the others leave; no more than [`MOST`] where others stand at its right, which are not to be far from
    /// what they are of.
    pub fill: bool,
    /// Left out first where the table is too narrow; 0 stays.
    pub rank: u8,
}

/// Columns that one is wide at most to which others come.
const MOST: usize = 48;

impl Column {
    /// At the right, as numbers stand.
    #[must_use]
    pub const fn right(title: &'static str, width: usize, rank: u8) -> Self {
        Self {
            title,
            width,
            right: true,
            fill: false,
            rank,
        }
    }

    #[must_use]
    pub const fn left(title: &'static str, width: usize, rank: u8) -> Self {
        Self {
            right: false,
            ..Self::right(title, width, rank)
        }
    }
}

/// Where the rows go: all but the heading's row.
#[must_use]
pub fn below_head(area: Rect) -> Rect {
    let [_, rows] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    rows
}

/// The columns, those of numbers no narrower than what they hold: half a number looks like a whole one.
#[must_use]
pub fn wide_enough<'a>(
    columns: &[Column],
    rows: impl Iterator<Item = Vec<Vec<Span<'a>>>>,
) -> Vec<Column> {
    let mut columns = columns.to_vec();
    for cells in rows {
        for (column, cell) in columns.iter_mut().zip(cells) {
            if column.right {
                column.width = column.width.max(Line::from(cell).width());
            }
        }
    }
    columns
}

/// Which columns fit, and how wide. Where all that may be left out is, the one that fills gives way.
#[must_use]
pub fn fitting(columns: &[Column], width: usize) -> Vec<(usize, usize)> {
    let mut chosen: Vec<usize> = (0..columns.len()).collect();
    let total = |chosen: &[usize]| chosen.iter().map(|&i| columns[i].width + 1).sum::<usize>();
    while total(&chosen) > width + 1 {
        let Some(worst) = chosen
            .iter()
            .copied()
            .filter(|&i| columns[i].rank > 0)
            .max_by_key(|&i| columns[i].rank)
        else {
            break;
        };
        chosen.retain(|&i| i != worst);
    }
    let total = total(&chosen);
    let spare = (width + 1).saturating_sub(total);
    let lacking = total.saturating_sub(width + 1);
    chosen
        .iter()
        .map(|&i| {
            let Column { width, fill, .. } = columns[i];
            match (fill, chosen.last() == Some(&i)) {
                (false, _) => (i, width),
                (true, _) if lacking > 0 => (i, width.saturating_sub(lacking)),
                (true, true) => (i, width + spare),
                (true, false) => (i, width.max(MOST.min(width + spare))),
            }
        })
        .collect()
}

/// Writes one row: a cell per column, in the columns' order.
pub fn row(
    buf: &mut Buffer,
    area: Rect,
    at: usize,
    columns: &[Column],
    fitted: &[(usize, usize)],
    cells: &[Vec<Span<'_>>],
) {
    let Some(area) = text::row(area, at) else {
        return;
    };
    let mut x = area.x;
    for &(i, width) in fitted {
        let left = area.right().saturating_sub(x);
        let width = text::columns(width).min(left);
        let Some(cell) = cells.get(i).filter(|_| width > 0) else {
            break;
        };
        let line = Line::from(cell.clone());
        let line_width = text::columns(line.width());
        let pad = if columns[i].right {
            width.saturating_sub(line_width)
        } else {
            0
        };
        buf.set_line(x + pad, area.y, &line, width - pad);
        if text::columns(of_text(&line)) > width {
            // Half a number looks like a whole one.
            buf[(x + width - 1, area.y)].set_symbol("…");
        }
        x = x.saturating_add(width + 1).min(area.right());
    }
}

/// Columns of it up to the last that is not blank.
fn of_text(line: &Line<'_>) -> usize {
    let last = line.spans.iter().rev();
    let blank = last.flat_map(|span| span.content.chars().rev());
    line.width() - blank.take_while(|c| *c == ' ').count()
}

pub fn heading(
    buf: &mut Buffer,
    area: Rect,
    columns: &[Column],
    fitted: &[(usize, usize)],
    style: Style,
) {
    let cells: Vec<Vec<Span<'_>>> = columns
        .iter()
        .map(|column| vec![Span::styled(column.title, style)])
        .collect();
    row(buf, area, 0, columns, fitted, &cells);
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column {
            title: "call",
            width: 6,
            right: false,
            fill: true,
            rank: 0,
        },
        Column {
            title: "count",
            width: 5,
            right: true,
            fill: false,
            rank: 1,
        },
        Column {
            title: "rate",
            width: 4,
            right: false,
            fill: false,
            rank: 2,
        },
    ];

    #[test]
    fn columns_of_high_rank_go_first() {
        assert_eq!(fitting(COLUMNS, 20), [(0, 9), (1, 5), (2, 4)]);
        assert_eq!(fitting(COLUMNS, 13), [(0, 7), (1, 5)]);
        assert_eq!(fitting(COLUMNS, 4), [(0, 4)]);
        assert_eq!(fitting(COLUMNS, 90), [(0, 48), (1, 5), (2, 4)]);
        assert_eq!(fitting(&COLUMNS[..1], 90), [(0, 90)], "nothing comes to it");
    }

    #[test]
    fn a_number_is_never_cut_and_the_name_gives_way() {
        let row = |call: &'static str, count: &'static str| {
            [call, count].map(|text| vec![Span::raw(text)]).to_vec()
        };
        let rows = [row("getppid", "7"), row("connect", "6,991,234")];
        let mut columns = wide_enough(&COLUMNS[..2], rows.iter().cloned());
        columns[1].rank = 0;
        assert_eq!(fitting(&columns, 20), [(0, 10), (1, 9)]);
        assert_eq!(fitting(&columns, 14), [(0, 4), (1, 9)]);
        let mut buf = Buffer::empty(Rect::new(0, 0, 14, 1));
        let area = buf.area;
        super::row(
            &mut buf,
            area,
            0,
            &columns,
            &fitting(&columns, 14),
            &rows[1],
        );
        let line: String = (0..14).map(|x| buf[(x, 0)].symbol()).collect();
        assert_eq!(line, "con… 6,991,234");
    }

    #[test]
    fn cells_are_aligned_and_what_is_cut_is_marked() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 13, 2));
        let fitted = fitting(COLUMNS, 13);
        let area = buf.area;
        heading(&mut buf, area, COLUMNS, &fitted, Style::new());
        let cells = ["getppid2", "12", "x"].map(|text| vec![Span::raw(text)]);
        row(
            &mut buf,
            Rect::new(0, 0, 13, 2),
            1,
            COLUMNS,
            &fitted,
            &cells,
        );
        let lines: Vec<String> = (0..2)
            .map(|y| (0..13).map(|x| buf[(x, y)].symbol()).collect())
            .collect();
        assert_eq!(lines, ["call    count", "getppi…    12"]);
        let cells = ["getppid  ", "123456"].map(|text| vec![Span::raw(text)]);
        row(&mut buf, area, 1, COLUMNS, &fitted, &cells);
        let line: String = (0..13).map(|x| buf[(x, 1)].symbol()).collect();
        assert_eq!(line, "getppid 1234…", "blanks are nothing");
    }
}
