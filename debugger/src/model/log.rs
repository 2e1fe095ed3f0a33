//! What was asked and answered, oldest first, as data.

use std::collections::VecDeque;

use crate::event::{Answer, Failure};

/// Entries kept; an answer may be hundreds of lines long.
const KEPT: usize = 500;

#[derive(Debug)]
pub enum Entry {
    /// As the user wrote it, or as a key would be written.
    Typed(String),
    Answer(Box<Answer>),
    Failure(Failure),
    Notice(String),
}

#[derive(Debug, Default)]
pub struct Log {
    entries: VecDeque<Entry>,
}

impl Log {
    pub fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        if self.entries.len() > KEPT {
            self.entries.pop_front();
        }
    }

    #[must_use]
    pub fn last(&self) -> Option<&Entry> {
        self.entries.back()
    }

    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }
}
