//! A recording: what was folded of one or more runs, self-contained. Bytes in, bytes out.
//!
//! ```text
//! "UKLREC" version(2)
//! block*: kind(4) whole(4) packed(4) check(4) payload(packed)
//! ```
//!
//! Little-endian. A payload is JSON compressed by zstd: `whole` bytes once unpacked. `check` is the CRC-32
//! of the three words before it and the payload. The first block is the head; a run's head is followed by
//! blocks of its classes; the last block says that the recording is whole. Any prefix can be read: what is
//! missing is said.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::report::{Class, Report};

const MAGIC: &[u8; 6] = b"UKLREC";
const VERSION: u16 = 1;
const BLOCK_HEAD: usize = 16;
/// So that damage is local, and a reader needs little memory.
const CLASSES_PER_BLOCK: usize = 16;
/// No block of ours unpacks to more: damage, not data.
const MOST_BYTES: usize = 256 << 20;
const LEVEL: i32 = 9;

const HEAD: u32 = 1;
const RUN: u32 = 2;
const CLASSES: u32 = 3;
const END: u32 = 4;

#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    pub head: Head,
    pub runs: Vec<Report>,
}

/// What the runs were made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The image's name.
    pub image: String,
    pub build_id: String,
    /// `kernel`, `compiler`, `libc` → the version it was built of or with.
    pub versions: BTreeMap<String, String>,
    /// The version of the program that wrote it.
    pub tool: String,
    pub runs: usize,
}

#[derive(Serialize, Deserialize)]
struct RunHead {
    /// Without its classes.
    report: Report,
    classes: usize,
}

/// Why bytes are no recording at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRecording {
    #[error("it does not begin with UKLREC: it is no recording of uklscope")]
    Magic,
    #[error("its format is {0}, this program reads {VERSION}: use the uklscope that wrote it")]
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
    #[error("run {run}: {found} of {written} classes are there")]
    Classes {
        run: usize,
        found: usize,
        written: usize,
    },
    #[error("{found} of {written} runs are there")]
    Runs { found: usize, written: usize },
    #[error("{bytes} bytes follow the end and are ignored")]
    Trailing { bytes: usize },
}

impl Recording {
    /// # Errors
    /// When it cannot be compressed.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        let head = Head {
            runs: self.runs.len(),
            ..self.head.clone()
        };
        block(&mut out, HEAD, &head)?;
        for run in &self.runs {
            let report = Report {
                classes: Vec::new(),
                ..run.clone()
            };
            block(
                &mut out,
                RUN,
                &RunHead {
                    report,
                    classes: run.classes.len(),
                },
            )?;
            for classes in run.classes.chunks(CLASSES_PER_BLOCK) {
                block(&mut out, CLASSES, &classes)?;
            }
        }
        block(&mut out, END, &self.runs.len())?;
        Ok(out)
    }

    /// Reads what is whole; what is missing comes beside it.
    ///
    /// # Errors
    /// When the bytes are no recording, or not even its head is readable.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Vec<Issue>), NoRecording> {
        let rest = bytes
            .strip_prefix(MAGIC.as_slice())
            .ok_or(NoRecording::Magic)?;
        let version = rest.first_chunk::<2>().ok_or(NoRecording::Head)?;
        if u16::from_le_bytes(*version) != VERSION {
            return Err(NoRecording::Version(u16::from_le_bytes(*version)));
        }
        let mut reader = Reader {
            bytes,
            at: MAGIC.len() + 2,
            issues: Vec::new(),
        };
        let head: Head = match reader.next() {
            Some((HEAD, payload)) => {
                serde_json::from_slice(&payload).map_err(|_| NoRecording::Head)?
            }
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
        Ok((Self { head, runs }, issues))
    }
}

fn block(out: &mut Vec<u8>, kind: u32, value: &impl Serialize) -> io::Result<()> {
    let whole = serde_json::to_vec(value)?;
    let packed = zstd::bulk::compress(&whole, LEVEL)?;
    let start = out.len();
    for word in [kind, length(&whole)?, length(&packed)?] {
        out.extend(word.to_le_bytes());
    }
    let mut check = crc32fast::Hasher::new();
    check.update(&out[start..]);
    check.update(&packed);
    out.extend(check.finalize().to_le_bytes());
    out.extend(packed);
    Ok(())
}

fn length(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
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

#[cfg(test)]
mod tests;
