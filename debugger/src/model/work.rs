//! Slow work that is under way.

use crate::event::Work;

#[derive(Debug, Default)]
pub struct Works {
    list: Vec<Work>,
}

impl Works {
    pub(super) fn news(&mut self, work: Work) {
        self.list.retain(|known| known.name != work.name);
        if !work.finished {
            self.list.push(work);
        }
    }

    /// The one that began to move last: it is the one shown, and the one Esc cancels.
    #[must_use]
    pub fn latest(&self) -> Option<&Work> {
        self.list.last()
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.list.len()
    }
}
