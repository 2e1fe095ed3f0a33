//! One answer that is shown, and the stop it belongs to.

use crate::event::{Answer, Failure};
use crate::known::Known;

/// Kept until a newer answer replaces it, so that a panel does not go blank with every step.
#[derive(Debug)]
pub struct Slot<T> {
    pub value: Known<T>,
    /// The stop it was true at.
    pub as_of: u64,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            value: Known::Asked,
            as_of: 0,
        }
    }
}

impl<T> Slot<T> {
    #[must_use]
    pub const fn yes(&self) -> Option<&T> {
        self.value.yes()
    }

    pub(super) fn set(
        &mut self,
        as_of: u64,
        result: Result<Answer, Failure>,
        take: fn(Answer) -> Result<T, Box<Answer>>,
    ) {
        self.as_of = as_of;
        self.value = match result.map(take) {
            Ok(Ok(value)) => Known::Yes(value),
            // A session may tell in words why there is nothing to show.
            Ok(Err(other)) => match *other {
                Answer::Done(text) => Known::No(text),
                Answer::Text(lines) => Known::No(lines.join(" ")),
                _ => Known::no("the session answered something else than was asked"),
            },
            Err(failure) => Known::No(failure.to_string()),
        };
    }
}
