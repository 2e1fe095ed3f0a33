//! The marked row of a list, and which rows are in sight.

/// A row that was chosen; it may lie beyond a list that has become shorter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    at: usize,
    top: usize,
}

impl Cursor {
    /// Within a list of `len` rows; 0 in an empty one.
    #[must_use]
    pub fn row(self, len: usize) -> usize {
        self.at.min(len.saturating_sub(1))
    }

    /// Moves by rows, and the view no further than it must.
    pub fn step(&mut self, rows: isize, len: usize, height: usize) {
        self.go(self.row(len).saturating_add_signed(rows), len, height);
    }

    pub fn go(&mut self, row: usize, len: usize, height: usize) {
        self.at = row.min(len.saturating_sub(1));
        self.top = self.top(len, height);
    }

    /// The first row in sight; the marked one is always in sight.
    #[must_use]
    pub fn top(self, len: usize, height: usize) -> usize {
        let row = self.row(len);
        let top = self.top.min(len.saturating_sub(height)).min(row);
        top.max((row + 1).saturating_sub(height))
    }
}

/// The first row in sight such that `row` stands near the middle and the view holds no empty rows.
#[must_use]
pub fn centred(row: usize, len: usize, height: usize) -> usize {
    row.saturating_sub(height / 2)
        .min(len.saturating_sub(height))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_marked_row_is_in_sight(
            steps in prop::collection::vec((-30isize..30, 0usize..25), 0..10),
            height in 1usize..9,
        ) {
            let mut cursor = Cursor::default();
            for (rows, len) in steps {
                cursor.step(rows, len, height);
                let (row, top) = (cursor.row(len), cursor.top(len, height));
                prop_assert!(top <= row && row < top + height);
                prop_assert!(top == 0 || top + height <= len);
            }
        }
    }

    #[test]
    fn the_view_moves_no_further_than_it_must() {
        let mut cursor = Cursor::default();
        cursor.step(5, 20, 4);
        assert_eq!(cursor.top(20, 4), 2);
        cursor.step(-2, 20, 4);
        assert_eq!(cursor.top(20, 4), 2);
        assert_eq!(centred(10, 20, 5), 8);
        assert_eq!(centred(19, 20, 5), 15);
    }
}
