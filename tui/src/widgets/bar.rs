//! Bars of shares, and sparklines.

use ratatui::style::Style;
use ratatui::text::Span;

/// The glyphs of a path's phases, in the order of `Phases::named`: told apart without colour.
pub const PHASE_GLYPHS: [char; 7] = ['▓', '░', '▚', '▞', '█', '▒', '▓'];

const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `value` of `whole` as a bar of at most `width` columns, to an eighth of a column.
#[must_use]
pub fn bar(value: u64, whole: u64, width: usize) -> String {
    if whole == 0 {
        return String::new();
    }
    let eighths = scale(value.min(whole), whole, width * 8);
    let mut text = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        text.push(EIGHTHS[eighths % 8 - 1]);
    }
    text
}

/// Parts side by side, `width` columns for their sum. A part that is not 0 gets a column as long as
/// there are enough.
#[must_use]
pub fn stacked(parts: &[(u64, char, Style)], width: usize) -> Vec<Span<'static>> {
    let whole: u64 = parts.iter().map(|(value, ..)| value).sum();
    let present = parts.iter().filter(|(value, ..)| *value > 0).count();
    if whole == 0 || width == 0 {
        return Vec::new();
    }
    let least = usize::from(present <= width);
    let spare = width - least * present;
    let mut spans = Vec::new();
    let (mut sum, mut used) = (0, 0);
    for &(value, glyph, style) in parts.iter().filter(|(value, ..)| *value > 0) {
        // Rounding the running sum, not each part: the whole bar is as wide as it should be.
        sum += value;
        let end = scale(sum, whole, spare);
        let columns = end - used + least;
        used = end;
        spans.push(Span::styled(glyph.to_string().repeat(columns), style));
    }
    spans
}

/// One column a value, the highest of them full.
#[must_use]
pub fn sparkline(values: &[u64]) -> String {
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    values
        .iter()
        .map(|&value| HEIGHTS[scale(value, most, 7)])
        .collect()
}

fn scale(value: u64, whole: u64, to: usize) -> usize {
    let scaled = u128::from(value) * to as u128 / u128::from(whole);
    usize::try_from(scaled).unwrap_or(to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bar_shows_its_share() {
        assert_eq!(bar(1, 2, 4), "██");
        assert_eq!(bar(5, 16, 2), "▋");
        assert_eq!(bar(9, 3, 2), "██");
        assert_eq!(bar(1, 0, 2), "");
        assert_eq!(sparkline(&[0, 4, 8]), "▁▄█");
        assert_eq!(sparkline(&[0, 0]), "▁▁");
    }

    proptest! {
        #[test]
        fn a_stacked_bar_fills_its_width(values in prop::collection::vec(any::<u32>(), 0..8), width in 0usize..40) {
            let parts: Vec<_> = values.iter().map(|v| (u64::from(*v), 'x', Style::new())).collect();
            let spans = stacked(&parts, width);
            let sum: usize = spans.iter().map(|span| span.content.chars().count()).sum();
            let expected = if values.iter().all(|v| *v == 0) { 0 } else { width };
            prop_assert_eq!(sum, expected);
        }
    }
}
