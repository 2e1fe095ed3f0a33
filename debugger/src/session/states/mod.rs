//! A recording with the machine at its crossings, as a machine that stands at one of them and goes from each
//! to the next and back.
//!
//! It is one more stub: the session talks with it as with QEMU's of a machine that replays. Time is the
//! number of the state, from 0.

mod open;
mod positions;
mod steps;
mod stub;

pub use open::StatesOptions;
pub(super) use positions::Positions;
pub(super) use stub::Stub;

#[cfg(test)]
mod tests;
