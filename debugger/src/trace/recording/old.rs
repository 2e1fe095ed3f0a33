//! The format before this one: reports alone, in blocks of JSON.
//!
//! ```text
//! "UKLREC" 1(2)
//! block*: kind(4) whole(4) packed(4) check(4) payload(packed)
//! ```
//!
//! `check` is the CRC-32 of the three words before it and the payload.

use super::frame::MOST_BYTES;
use super::layout::{Head, RunHead};
use super::{Issue, NoRecording, Recording};
use crate::trace::report::{Class, Report};

pub(super) const VERSION: u16 = 1;

const BLOCK_HEAD: usize = 16;
const HEAD: u32 = 1;
const RUN: u32 = 2;
const CLASSES: u32 = 3;
const END: u32 = 4;

/// Reads what is whole; what is missing comes beside it. `start`: after the version.
pub(super) fn decode(bytes: &[u8], start: usize) -> Result<(Recording, Vec<Issue>), NoRecording> {
    let mut reader = Reader {
        bytes,
        at: start,
        issues: Vec::new(),
    };
    let head: Head = match reader.next() {
        Some((HEAD, payload)) => serde_json::from_slice(&payload).map_err(|_| NoRecording::Head)?,
        _ => return Err(NoRecording::Head),
    };
    let mut runs: Vec<(Report, usize)> = Vec::new();
    let mut ended = false;
    while let Some((kind, payload)) = reader.next() {
        let at = reader.at;
        let read = match kind {
            RUN => serde_json::from_slice(&payload)
                .map(|RunHead { report, classes }| runs.push((report, classes))),
            CLASSES => serde_json::from_slice::<Vec<Class>>(&payload).map(|classes| {
                if let Some((run, _)) = runs.last_mut() {
                    run.classes.extend(classes);
                }
            }),
            END => {
                ended = true;
                break;
            }
            // A kind of a later version of this format: not ours to judge.
            _ => Ok(()),
        };
        if read.is_err() {
            reader.issues.push(Issue::Damaged { at });
        }
    }
    let mut issues = reader.issues;
    if ended && reader.at < bytes.len() {
        issues.push(Issue::Trailing {
            bytes: bytes.len() - reader.at,
        });
    }
    if !ended
        && !issues
            .iter()
            .any(|issue| matches!(issue, Issue::Cut { .. }))
    {
        issues.push(Issue::NoEnd);
    }
    for (run, (report, written)) in runs.iter().enumerate() {
        let (found, written) = (report.classes.len(), *written);
        if found != written {
            issues.push(Issue::Classes {
                run: run + 1,
                found,
                written,
            });
        }
    }
    if runs.len() != head.runs {
        issues.push(Issue::Runs {
            found: runs.len(),
            written: head.runs,
        });
    }
    let runs = runs.into_iter().map(|(report, _)| report).collect();
    Ok((Recording { head, runs }, issues))
}
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    issues: Vec<Issue>,
}

impl Reader<'_> {
    /// The next block that is whole, unpacked; damaged ones are passed over.
    fn next(&mut self) -> Option<(u32, Vec<u8>)> {
        loop {
            let start = self.at;
            let rest = &self.bytes[start..];
            if rest.is_empty() {
                return None;
            }
            let word = |at: usize| {
                rest.get(at..at + 4)
                    .and_then(|word| word.try_into().ok())
                    .map(u32::from_le_bytes)
            };
            let head = (word(0), word(4), word(8), word(12));
            let (Some(kind), Some(whole), Some(packed), Some(check)) = head else {
                return self.cut();
            };
            let packed = packed as usize;
            let Some(payload) = rest.get(BLOCK_HEAD..BLOCK_HEAD.saturating_add(packed)) else {
                return self.cut();
            };
            self.at = start + BLOCK_HEAD + packed;
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&rest[..12]);
            hasher.update(payload);
            let whole = whole as usize;
            let unpacked = (hasher.finalize() == check && whole <= MOST_BYTES)
                .then(|| zstd::bulk::decompress(payload, whole).ok())
                .flatten();
            match unpacked {
                Some(unpacked) => return Some((kind, unpacked)),
                None => self.issues.push(Issue::Damaged { at: start }),
            }
        }
    }

    fn cut(&mut self) -> Option<(u32, Vec<u8>)> {
        self.issues.push(Issue::Cut {
            at: self.bytes.len(),
        });
        self.at = self.bytes.len();
        None
    }
}
