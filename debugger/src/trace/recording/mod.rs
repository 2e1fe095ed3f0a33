//! A recording: one or more runs, self-contained. Bytes in, bytes out.
//!
//! ```text
//! "UKLREC" version(2)
//! head, run*, index, end                        each of one or more blocks
//! run:  made, (stretch | summary)*,              where its records were kept
//!       machine, states*, report                the first two where the machine's states were
//! ```
//!
//! [`frame`] says what a block is. They are appended as they come, so that what was written can be read
//! however the writing ends; without the index the blocks are found one after the other. A stretch holds
//! records of one vCPU and the open calls of every task that runs in it: reading may begin there. A
//! summary holds [`Bucket`](super::timeline::Bucket)s of one scale.

mod alone;
mod codec;
mod events;
mod find;
mod frame;
mod index;
mod layout;
mod old;
mod refold;
mod states;
mod stored;
mod writer;

use std::io;

use super::report::Report;

pub use events::{Event, Events, What};
pub use find::Search;
pub use layout::{Filter, Head, Made, Named, Stretch};
pub use states::{Machine, Memory, Other, PIECE, Passed, Side, State};
pub use stored::{Bytes, Run, Stored};
pub use writer::{Chunk, Writer};

use crate::count::{counted, either};

const MAGIC: &[u8; 6] = b"UKLREC";
const VERSION: u16 = 2;

/// The reports of a recording's runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    pub head: Head,
    pub runs: Vec<Report>,
}

/// Why bytes are no recording at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRecording {
    #[error(
        "it does not begin with UKLREC: it is no recording of uklscope; stacks and traces of other tools are for \
         'uklscope report', 'diff', 'export --to svg' and 'open'"
    )]
    Magic,
    #[error(
        "its format is {0}, this program reads 1 and {VERSION}: use the uklscope that wrote it"
    )]
    Version(u16),
    #[error("its first block, which says what it holds, is damaged or cut off: record again")]
    Head,
}

/// What is not there though it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Issue {
    #[error("it ends at byte {at}, in the middle of a block: it was cut off")]
    Cut { at: usize },
    #[error("it has no end: it was not written to the end")]
    NoEnd,
    #[error("the block at byte {at} is damaged and left out")]
    Damaged { at: usize },
    #[error("run {run}: {found} of {} {} there", counted(.written, "class"), either(.found, "is", "are"))]
    Classes {
        run: usize,
        found: usize,
        written: usize,
    },
    #[error("{found} of {} {} there", counted(.written, "run"), either(.found, "is", "are"))]
    Runs { found: usize, written: usize },
    #[error(
        "run {run} was not written to its end: its report is made of the {} that {} there",
        counted(.records, "record"),
        either(.records, "is", "are")
    )]
    Refolded { run: usize, records: u64 },
    #[error("behind the end {} {} ignored", counted(.bytes, "byte"), either(.bytes, "is", "are"))]
    Trailing { bytes: usize },
}

/// Whether bytes begin as a recording does, readable or not.
#[must_use]
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

impl Recording {
    /// # Errors
    /// When it cannot be compressed.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let head = Head {
            runs: self.runs.len(),
            ..self.head.clone()
        };
        let mut writer = Writer::begin(Vec::new(), &head)?;
        for run in &self.runs {
            writer.report(run)?;
        }
        writer.finish()
    }

    /// Reads what is whole; what is missing comes beside it.
    ///
    /// # Errors
    /// When the bytes are no recording, or not even its head is readable.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Vec<Issue>), NoRecording> {
        let stored = Stored::open(bytes)?;
        Ok((stored.recording(), stored.issues().to_vec()))
    }
}

#[cfg(test)]
mod tests;
