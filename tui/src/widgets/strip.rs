//! A row of boxes that fill a width: the parts of an address space in their order.

use ratatui::style::Style;
use ratatui::text::Span;

use super::text::fit;

#[derive(Clone, Debug)]
pub struct Part {
    pub label: String,
    pub style: Style,
    pub marked: bool,
}

/// Equal shares, whatever the true sizes: a stack of 1 MiB must be seen beside 64 TiB.
#[must_use]
pub fn strip(parts: &[Part], width: usize) -> Vec<Span<'static>> {
    let widths = shares(parts.len(), width);
    parts
        .iter()
        .zip(widths)
        .filter(|(_, width)| *width > 0)
        .map(|(part, width)| {
            let (open, close) = if part.marked {
                ('[', ']')
            } else {
                ('▏', '▕')
            };
            let inner = width.saturating_sub(2);
            let label = fit(&part.label, inner);
            let text = match width {
                1 => open.to_string(),
                _ => format!("{open}{label:<inner$}{close}"),
            };
            Span::styled(text, part.style)
        })
        .collect()
}

/// The part at a column, as [`strip`] draws them.
#[must_use]
pub fn at_column(count: usize, width: usize, column: usize) -> Option<usize> {
    let mut end = 0;
    shares(count, width).position(|share| {
        end += share;
        column < end
    })
}

fn shares(count: usize, width: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |i| (i + 1) * width / count - i * width / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(labels: &[&str], marked: usize, width: usize) -> String {
        let parts: Vec<Part> = labels
            .iter()
            .enumerate()
            .map(|(i, label)| Part {
                label: (*label).to_owned(),
                style: Style::new(),
                marked: i == marked,
            })
            .collect();
        let spans = strip(&parts, width);
        spans.iter().map(|span| span.content.as_ref()).collect()
    }

    #[test]
    fn parts_fill_the_width() {
        assert_eq!(
            draw(&["app", "hole", "kernel"], 1, 18),
            "▏app ▕[hole]▏ker…▕"
        );
        assert_eq!(draw(&["a", "b"], 0, 2), "[▏");
        assert_eq!(draw(&[], 0, 9), "");
        assert_eq!(at_column(3, 18, 5), Some(0));
        assert_eq!(at_column(3, 18, 6), Some(1));
        assert_eq!(at_column(3, 18, 18), None);
        assert_eq!(at_column(0, 18, 0), None);
    }
}
