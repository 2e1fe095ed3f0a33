//! For whoever takes the records beside the fold.

use super::recording::Chunk;
use super::sites::SiteTable;

/// Takes all that the fold takes, in the order in which it does: of all vCPUs, no switch of tasks before its
/// turn, and each one whole.
pub trait Recorder {
    /// Before all records: the functions that they name by number.
    fn begin(&mut self, table: &SiteTable);

    /// Records of one chunk; a chunk may come in several pieces, and those of other vCPUs between them.
    fn take(&mut self, records: Chunk<'_>);
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoRecorder;

impl Recorder for NoRecorder {
    fn begin(&mut self, _table: &SiteTable) {}

    fn take(&mut self, _records: Chunk<'_>) {}
}
