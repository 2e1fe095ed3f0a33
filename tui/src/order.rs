//! By what the table of crossings is sorted.

use std::cmp::Reverse;

use debugger::trace::report::Class;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The most frequent first; while they come, rows move only where they must.
    #[default]
    Count,
    /// The instructions of one crossing.
    Each,
    /// The instructions of all crossings of a class.
    All,
    /// Kind and call.
    Name,
}

impl Order {
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Count => Self::Each,
            Self::Each => Self::All,
            Self::All => Self::Name,
            Self::Name => Self::Count,
        }
    }

    /// In words: by what.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Each => "instructions of each",
            Self::All => "instructions of all",
            Self::Name => "kind and call",
        }
    }

    /// Classes come by their count; those that are alike stay so.
    pub fn sort(self, classes: &mut [&Class]) {
        match self {
            Self::Count => {}
            Self::Each => classes.sort_by_key(|class| Reverse(class.instructions)),
            Self::All => classes.sort_by_key(|class| Reverse(all(class))),
            Self::Name => classes.sort_by_key(|class| (class.kind, class.call.as_str())),
        }
    }
}

/// Rare counts are not listed: those crossings are taken for usual ones.
fn all(class: &Class) -> u64 {
    let counts = class.counts.iter();
    let listed: u64 = counts.clone().map(|count| count.crossings).sum();
    let sum: u64 = counts
        .map(|count| count.crossings.saturating_mul(count.instructions))
        .sum();
    let rest = class.count.saturating_sub(listed);
    sum.saturating_add(rest.saturating_mul(class.instructions))
}
