//! Past stops: which are kept, and which one is looked at.

use serde::Serialize;

use super::Stop;

/// A stop by its number, counted from 1 since the session began.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NumberedStop {
    pub number: u64,
    #[serde(flatten)]
    pub stop: Stop,
}

/// The stops that can be looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StopList {
    /// Oldest first; the newest is where the target stands.
    pub list: Vec<NumberedStop>,
    /// Which of them is looked at.
    pub looked_at: u64,
    /// Those that can be looked at, listed or not.
    pub kept: u64,
    /// Older ones that are no longer kept.
    pub dropped: u64,
    /// Of memory, kept with all of them.
    pub bytes: u64,
}

/// The stop that is looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Looking {
    #[serde(flatten)]
    pub at: NumberedStop,
    /// The number of the stop that the target stands at.
    pub newest: u64,
}

impl Looking {
    /// Whether it is another stop than the one the target stands at.
    #[must_use]
    pub const fn is_back(&self) -> bool {
        self.at.number != self.newest
    }
}

/// A stop that was turned to, and what is other than at the stop before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LookedAt {
    #[serde(flatten)]
    pub looking: Looking,
    /// As far as it was looked at, at both.
    pub changed: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub of: Changed,
    /// `rax`, `0xffffc90000013f40`, `count`.
    pub name: String,
    pub before: String,
    pub after: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Changed {
    Register,
    /// A word at or above the stack pointer.
    Stack,
    /// An argument or local variable of the innermost frame.
    Local,
}
