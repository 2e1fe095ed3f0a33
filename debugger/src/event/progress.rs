//! How far a command that lets the target run has come.

use serde::Serialize;

use crate::addr::Insns;

/// Told a few times a second while it is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Single instructions executed so far.
    pub stepped: Insns,
    /// Of so many, where that was said: `si 100000`.
    pub of: Option<Insns>,
    /// Stops that were none for the user: another frame, another task, a condition that did not hold.
    pub passed: u64,
}
