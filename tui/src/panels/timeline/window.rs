//! Which part of the clock is seen, and how much of it a column stands for.

use std::ops::Range;

use debugger::trace::recording::Run;
use debugger::trace::timeline::{SCALES, shift};

/// As long as no more than this is seen, single calls are.
const DEEP: u64 = 1 << 21;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The clock at the left edge.
    pub(super) start: u64,
    /// Instructions of a column.
    pub(super) each: u64,
    pub(super) columns: u64,
}

impl Window {
    /// All of a run.
    pub(super) fn whole(run: &Run, columns: usize) -> Self {
        let columns = (columns as u64).max(1);
        let extents = (0..run.vcpus()).map(|vcpu| run.extent(vcpu));
        let mut extents = extents.filter(|extent| !extent.is_empty());
        let first = extents.next().unwrap_or(0..1);
        let (start, end) = extents.fold((first.start, first.end), |(start, end), extent| {
            (start.min(extent.start), end.max(extent.end))
        });
        Self {
            start,
            each: (end - start).div_ceil(columns).max(1),
            columns,
        }
    }

    pub(super) const fn end(self) -> u64 {
        self.start
            .saturating_add(self.each.saturating_mul(self.columns))
    }

    pub(super) const fn last(self) -> u64 {
        self.end().saturating_sub(1)
    }

    pub(super) const fn range(self) -> Range<u64> {
        self.start..self.end()
    }

    /// No wider than all, and inside of it.
    pub(super) fn within(self, whole: Self) -> Self {
        let each = self.each.clamp(1, whole.each);
        let columns = whole.columns;
        let seen = each.saturating_mul(columns);
        let latest = whole.end().saturating_sub(seen).max(whole.start);
        Self {
            start: self.start.clamp(whole.start, latest),
            each,
            columns,
        }
    }

    /// Whether single calls are seen.
    pub(super) const fn is_deep(self) -> bool {
        self.each.saturating_mul(self.columns) <= DEEP
    }

    /// The scale whose buckets are as long as a column, or shorter.
    pub(super) fn scale(self) -> usize {
        let fits = |scale: &usize| {
            1_u64
                .checked_shl(shift(*scale))
                .is_some_and(|of| of <= self.each)
        };
        (0..SCALES).rev().find(fits).unwrap_or(0)
    }

    /// The column that a clock lies in; `None` outside.
    pub(super) fn column(self, clock: u64) -> Option<usize> {
        let column = clock.checked_sub(self.start)? / self.each;
        usize::try_from(column)
            .ok()
            .filter(|column| (*column as u64) < self.columns)
    }

    /// A column's first clock.
    pub(super) const fn clock(self, column: usize) -> u64 {
        self.start
            .saturating_add(self.each.saturating_mul(column as u64))
    }

    /// `times` larger around a clock, which stays in its column.
    pub(super) fn zoomed(self, into: bool, times: u64, around: u64) -> Self {
        let each = if into {
            (self.each / times).max(1)
        } else {
            self.each.saturating_mul(times)
        };
        let column = self.column(around).unwrap_or(0) as u64;
        Self {
            start: around.saturating_sub(column.saturating_mul(each)),
            each,
            ..self
        }
    }

    pub(super) const fn moved_to(self, start: u64) -> Self {
        Self { start, ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: Window = Window {
        start: 1000,
        each: 1 << 20,
        columns: 80,
    };

    proptest! {
        #[test]
        fn zooming_keeps_what_it_is_around_in_sight(
            start in 0..WHOLE.end(), each in 1..WHOLE.each, column in 0..80_usize, into: bool,
        ) {
            let window = Window { start, each, columns: 80 }.within(WHOLE);
            prop_assert!(window.start >= WHOLE.start && window.end() <= WHOLE.end());
            let around = window.clock(column);
            prop_assert_eq!(window.column(around), Some(column));
            let zoomed = window.zoomed(into, 4, around).within(WHOLE);
            prop_assert!(zoomed.column(around).is_some());
            prop_assert!(zoomed.start >= WHOLE.start && zoomed.end() <= WHOLE.end());
        }
    }

    #[test]
    fn the_scale_is_no_coarser_than_a_column() {
        assert_eq!(WHOLE.scale(), 1);
        assert_eq!(Window { each: 10, ..WHOLE }.scale(), 0);
        assert!(Window { each: 10, ..WHOLE }.is_deep());
        assert!(!WHOLE.is_deep());
    }
}
