//! A session on a machine that replays: it goes back as well as on.
//!
//! QEMU's own reverse packets pass over a breakpoint that lies one instruction back, know no
//! conditions, and go back to the last snapshot that happens to be there. So the session goes back
//! by itself: to a snapshot it has taken, and on from there.

pub(super) mod back;
mod cross;
mod end;
mod folder;
mod lines;
mod marks;
mod open;
pub(super) mod point;
mod pusher;
mod record;
mod run;
mod search;
mod snapshots;
mod told;
mod visit;
mod worked;

use crate::qemu::replay::Snapshot;

pub(super) use pusher::Pusher;

pub use folder::{Folder, FolderError, MANIFEST};
pub use record::{RecordError, RecordOptions, Recorded, record};
pub use run::RecordedRun;

/// Where a replay stands in time, and what it knows of the way.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Oldest position first.
    snapshots: Vec<Snapshot>,
    /// The last position; not known of a machine that someone else replays.
    end: Option<u64>,
    /// Steps that surely end before it.
    sure: u64,
    /// Where the run under way is to stop.
    goal: Option<u64>,
    pace: snapshots::Pace,
    marks: Vec<marks::Mark>,
    /// Where marks are kept.
    kept: Option<Folder>,
    told: told::Told,
}

impl super::engine::Engine {
    /// Where the recording ends, as far as that is known.
    pub(super) fn last_position(&self) -> u64 {
        let end = self.replay.as_ref().and_then(|replay| replay.end);
        end.unwrap_or(u64::MAX)
    }
}

impl Replay {
    /// What is new of what the machine has written now.
    pub(super) fn not_told(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        self.told.fresh(bytes)
    }

    /// Of what ends at this position.
    pub(super) fn to(end: u64) -> Self {
        Self {
            end: Some(end),
            ..Self::default()
        }
    }
}
