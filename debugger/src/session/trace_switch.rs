//! Stops recording while the guest runs, and goes on with it: asked for from any thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Clones are the same switch.
#[derive(Clone, Debug, Default)]
pub struct Switch {
    turns: Arc<AtomicU32>,
}

impl Switch {
    /// Stops recording where it goes on, and goes on with it where it was stopped.
    pub fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn turns(&self) -> u32 {
        self.turns.load(Ordering::Relaxed)
    }
}
