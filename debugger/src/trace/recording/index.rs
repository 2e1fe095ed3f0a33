//! Where everything is: by the index at the end, else by going from block to block.

use serde::de::DeserializeOwned;

use super::Issue;
use super::frame::{self, Block, Blocks};
use super::layout::{END, INDEX, Index, STRETCH, SUMMARY};
use super::writer::end_meta;

/// What there is, in order, and what is missing.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) index: Index,
    pub(super) issues: Vec<Issue>,
    /// How many runs there are, where the end tells.
    pub(super) runs: Option<usize>,
}

/// `start`: of the first block.
pub(super) fn find(bytes: &[u8], start: usize) -> Found {
    by_index(bytes).unwrap_or_else(|| by_scan(bytes, start))
}

/// `None` where the end or the index is not whole.
fn by_index(bytes: &[u8]) -> Option<Found> {
    let mut end = Vec::new();
    frame::write(&mut end, END, &end_meta(0, 0), &[], 1).ok()?;
    let last = Block::at(bytes, bytes.len().checked_sub(end.len())?).ok()?;
    if last.kind != END || last.end() != bytes.len() || last.unpack().is_none() {
        return None;
    }
    let (at, runs) = read_end(last.meta)?;
    let index = Block::at(bytes, at)
        .ok()
        .filter(|block| block.kind == INDEX)?;
    Some(Found {
        index: unpacked(&index)?,
        issues: Vec::new(),
        runs: Some(runs),
    })
}

fn by_scan(bytes: &[u8], start: usize) -> Found {
    let mut found = Found::default();
    let mut blocks = Blocks::from(bytes, start);
    for block in &mut blocks {
        let at = block.at as u64;
        let known = match block.kind {
            STRETCH => meta(block.meta).map(|stretch| found.index.stretches.push((at, stretch))),
            SUMMARY => meta(block.meta).map(|part| found.index.parts.push((at, part))),
            END if block.unpack().is_some() => {
                found.runs = read_end(block.meta).map(|(_, runs)| runs);
                break;
            }
            kind => {
                found.index.others.push((kind, at));
                Some(())
            }
        };
        if known.is_none() {
            found.issues.push(Issue::Damaged { at: block.at });
        }
    }
    let rest = bytes.len() - blocks.at;
    found.issues.extend(blocks.issues);
    let cut = |issue: &Issue| matches!(issue, Issue::Cut { .. });
    if found.runs.is_some() {
        if rest > 0 {
            found.issues.push(Issue::Trailing { bytes: rest });
        }
    } else if !found.issues.iter().any(cut) {
        found.issues.push(Issue::NoEnd);
    }
    found
}

fn read_end(meta: &[u8]) -> Option<(usize, usize)> {
    let at = u64::from_le_bytes(*meta.first_chunk()?);
    let runs = u32::from_le_bytes(*meta.get(8..)?.first_chunk()?);
    Some((usize::try_from(at).ok()?, runs as usize))
}

pub(super) fn meta<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

/// A payload that postcard has packed.
pub(super) fn unpacked<T: DeserializeOwned>(block: &Block<'_>) -> Option<T> {
    postcard::from_bytes(&block.unpack()?).ok()
}
