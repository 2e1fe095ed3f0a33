//! A difference as a picture: what both runs execute once in the middle, what is removed above it, what is
//! added below.
//!
//! From left to right lie the rows of the ladder, each as wide as the larger of its two own counts. A
//! function's *own* part is solid, and the solid parts of a band add up to the ledger: above to what was
//! removed, below to what was added, in the middle to what both execute. Beside it a frame spans all that
//! it calls, in whatever band that is.

use crate::trace::report::{Row, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    Removed,
    Both,
    Added,
}

/// Part of a row's function, in one band.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wing {
    /// The row of the ladder.
    pub row: usize,
    pub band: Band,
    /// How many frames of the band it lies within.
    pub level: usize,
    /// From and to, in instructions from the left.
    pub span: (u64, u64),
    /// Its own part of the band.
    pub solid: (u64, u64),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Butterfly {
    /// In the order of rows.
    pub wings: Vec<Wing>,
    pub width: u64,
}

/// A function that later rows may lie within, on one side.
#[derive(Clone, Copy)]
struct Open {
    depth: u32,
    /// Its wing, where it is drawn in the band that this stack is of.
    wing: Option<usize>,
}

impl Band {
    pub const ALL: [Self; 3] = [Self::Removed, Self::Both, Self::Added];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Both => "both",
            Self::Added => "added",
        }
    }
}

impl Wing {
    #[must_use]
    pub const fn own(&self) -> u64 {
        self.solid.1 - self.solid.0
    }
}

impl Butterfly {
    /// Of the rows of a ladder. With `changes`, what both execute takes no room.
    #[must_use]
    pub fn of(rows: &[Row], changes: bool) -> Self {
        let mut butterfly = Self::default();
        let mut open: [Vec<Open>; 2] = [Vec::new(), Vec::new()];
        for (at, row) in rows.iter().enumerate() {
            for (side, depth) in [row.depth_a, row.depth_b].into_iter().enumerate() {
                if let Some(depth) = depth {
                    butterfly.close(&mut open[side], depth);
                }
            }
            butterfly.row(at, row, &mut open, changes);
        }
        for side in &mut open {
            butterfly.close(side, 0);
        }
        butterfly
    }

    /// How many levels a band has.
    #[must_use]
    pub fn levels(&self, band: Band) -> usize {
        let wings = self.wings.iter().filter(|wing| wing.band == band);
        wings.map(|wing| wing.level + 1).max().unwrap_or(0)
    }

    /// Everything at that depth or deeper has returned.
    fn close(&mut self, open: &mut Vec<Open>, depth: u32) {
        let returned = open.split_off(open.partition_point(|open| open.depth < depth));
        for wing in returned.into_iter().filter_map(|open| open.wing) {
            let end = &mut self.wings[wing].span.1;
            *end = (*end).max(self.width);
        }
    }

    fn row(&mut self, at: usize, row: &Row, open: &mut [Vec<Open>; 2], changes: bool) {
        let (least, most) = (row.a.min(row.b), row.a.max(row.b));
        let shared = if changes { 0 } else { least };
        let start = self.width;
        self.width += shared + (most - least);
        let change = (start + shared, self.width);
        let [in_a, in_b] = open;
        let (mut of_a, mut of_b) = (None, None);
        match row.verdict {
            Verdict::Removed => of_a = Some(self.push(at, Band::Removed, change, in_a)),
            Verdict::Added => of_b = Some(self.push(at, Band::Added, change, in_b)),
            Verdict::Same | Verdict::Moved | Verdict::Cost => {
                let both = (start, start + shared);
                of_a = Some(self.push(at, Band::Both, both, in_a));
                if row.a > row.b {
                    self.push(at, Band::Removed, change, in_a);
                } else if row.b > row.a {
                    self.push(at, Band::Added, change, in_b);
                }
            }
        }
        in_a.extend(row.depth_a.map(|depth| Open { depth, wing: of_a }));
        in_b.extend(row.depth_b.map(|depth| Open { depth, wing: of_b }));
    }

    fn push(&mut self, row: usize, band: Band, solid: (u64, u64), open: &[Open]) -> usize {
        // What both have is nested as the first path has it.
        let mut above = open.iter().rev().filter_map(|open| open.wing);
        let outer = above.find(|wing| self.wings[*wing].band == band);
        let level = outer.map_or(0, |wing| self.wings[wing].level + 1);
        self.wings.push(Wing {
            row,
            band,
            level,
            span: solid,
            solid,
        });
        self.wings.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crossing::{CrossingKind, Mode};
    use crate::trace::diff;
    use crate::trace::examples::{a_tree, class, node};
    use crate::trace::report::{Node, Pair};

    fn pair(a: Node, b: Node) -> Pair {
        diff::pair(
            (&class(CrossingKind::Syscall, "x", a), &Mode::Linux.into()),
            (&class(CrossingKind::Bypass, "x", b), &Mode::Bypass.into()),
        )
    }

    #[test]
    fn what_wraps_the_work_stands_above_it_and_what_replaces_it_below() {
        let work = || node("work", 50, vec![node("lock", 5, vec![])]);
        let pair = pair(
            node("entry", 30, vec![node("dispatch", 20, vec![work()])]),
            node("stub", 10, vec![work()]),
        );
        let butterfly = Butterfly::of(&pair.rows, false);
        let wings: Vec<_> = butterfly
            .wings
            .iter()
            .map(|wing| {
                let name = pair.rows[wing.row].symbol.as_str();
                (name, wing.band, wing.level, wing.span, wing.own())
            })
            .collect();
        assert_eq!(
            wings,
            [
                ("entry", Band::Removed, 0, (0, 115), 30),
                ("dispatch", Band::Removed, 1, (30, 115), 20),
                ("stub", Band::Added, 0, (50, 115), 10),
                ("work", Band::Both, 0, (60, 115), 50),
                ("lock", Band::Both, 1, (110, 115), 5),
            ]
        );
        assert_eq!(Butterfly::of(&pair.rows, true).width, 60);
    }

    proptest! {
        #[test]
        fn the_solid_parts_are_the_ledger(a in a_tree(), b in a_tree(), changes in any::<bool>()) {
            let pair = pair(a, b);
            let butterfly = Butterfly::of(&pair.rows, changes);
            let sum = |band: Band| -> u64 {
                let wings = butterfly.wings.iter().filter(|wing| wing.band == band);
                wings.map(Wing::own).sum()
            };
            prop_assert_eq!(sum(Band::Removed), pair.removed);
            prop_assert_eq!(sum(Band::Added), pair.added);
            let both = if changes { 0 } else { pair.a - pair.removed };
            prop_assert_eq!(sum(Band::Both), both);
            prop_assert_eq!(butterfly.width, both + pair.removed + pair.added);
            // Frames of one level lie side by side.
            for band in Band::ALL {
                for level in 0..butterfly.levels(band) {
                    let mut at = 0;
                    for wing in butterfly.wings.iter().filter(|wing| (wing.band, wing.level) == (band, level)) {
                        prop_assert!(at <= wing.span.0, "{band:?} {level}");
                        prop_assert!(wing.span.0 <= wing.solid.0 && wing.solid.1 <= wing.span.1);
                        at = wing.span.1;
                    }
                }
            }
        }
    }
}
