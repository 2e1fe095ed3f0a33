//! Blocks: what a recording's bytes are made of, so that damage is local and said.
//!
//! ```text
//! mark(4) kind(1) 0(1) meta(2) whole(4) packed(4) check(4) head check(4) | meta | payload(packed)
//! ```
//!
//! Little-endian. `check` is the CRC-32 of the payload, `head check` that of what stands before it and of
//! the meta. So blocks are found and told apart without a look at their payloads, and after damage the
//! next one is found by its mark. A payload is compressed by zstd: `whole` bytes once unpacked.

use std::io;

use super::Issue;

/// No text, and no beginning of a zstd frame.
const MARK: [u8; 4] = [0xf1, b'u', b'k', 0x0b];
pub(super) const HEAD_BYTES: usize = 24;
/// No block of ours unpacks to more: damage, not data.
pub(super) const MOST_BYTES: usize = 256 << 20;

/// A block as it lies in the bytes, its payload not looked at yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub(super) kind: u8,
    /// Where it begins.
    pub(super) at: usize,
    pub(super) meta: &'a [u8],
    whole: usize,
    packed: &'a [u8],
    check: u32,
}

/// Why there is no block at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoBlock {
    /// The bytes end within it.
    Cut,
    Damaged,
}

impl<'a> Block<'a> {
    /// The block that begins at `at`.
    pub(super) fn at(bytes: &'a [u8], at: usize) -> Result<Self, NoBlock> {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((head, after)) = rest.split_first_chunk::<HEAD_BYTES>() else {
            return Err(NoBlock::Cut);
        };
        if head[..4] != MARK {
            return Err(NoBlock::Damaged);
        }
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let meta_bytes = usize::from(u16::from_le_bytes([head[6], head[7]]));
        let Some((meta, after)) = after.split_at_checked(meta_bytes) else {
            return Err(NoBlock::Cut);
        };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&head[..HEAD_BYTES - 4]);
        hasher.update(meta);
        if hasher.finalize() != word(20) {
            return Err(NoBlock::Damaged);
        }
        let packed = after.get(..word(12) as usize).ok_or(NoBlock::Cut)?;
        Ok(Self {
            kind: head[4],
            at,
            meta,
            whole: word(8) as usize,
            packed,
            check: word(16),
        })
    }

    pub(super) const fn end(&self) -> usize {
        self.at + HEAD_BYTES + self.meta.len() + self.packed.len()
    }

    /// The payload; `None` where it is damaged.
    pub(super) fn unpack(&self) -> Option<Vec<u8>> {
        let sound = self.whole <= MOST_BYTES && crc32fast::hash(self.packed) == self.check;
        sound
            .then(|| zstd::bulk::decompress(self.packed, self.whole).ok())
            .flatten()
            .filter(|whole| whole.len() == self.whole)
    }
}

/// The blocks from a place on; what is damaged is told and passed over.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) issues: Vec<Issue>,
}

impl<'a> Blocks<'a> {
    pub(super) const fn from(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            issues: Vec::new(),
        }
    }

    /// The next place after `from` at which a block stands whole.
    fn resume(&self, from: usize) -> Option<usize> {
        let rest = self.bytes.get(from..)?;
        let marks = memchr::memmem::find_iter(rest, &MARK);
        let mut places = marks.map(|found| from + found);
        places.find(|at| Block::at(self.bytes, *at).is_ok())
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let no_block = match Block::at(self.bytes, self.at) {
            Ok(block) => {
                self.at = block.end();
                return Some(block);
            }
            Err(no_block) => no_block,
        };
        // Its length may be what is damaged: only a block that follows tells.
        let Some(next) = self.resume(self.at + 1) else {
            let at = self.at;
            self.issues.push(match no_block {
                NoBlock::Cut => Issue::Cut {
                    at: self.bytes.len(),
                },
                NoBlock::Damaged => Issue::Damaged { at },
            });
            self.at = self.bytes.len();
            return None;
        };
        self.issues.push(Issue::Damaged { at: self.at });
        self.at = next;
        self.next()
    }
}

/// Appends a block; how many bytes it has.
///
/// # Errors
/// When it cannot be compressed or written, or is too long.
pub(super) fn write(
    out: &mut impl io::Write,
    kind: u8,
    meta: &[u8],
    whole: &[u8],
    level: i32,
) -> io::Result<u64> {
    let packed = zstd::bulk::compress(whole, level)?;
    let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| too_large());
    if whole.len() > MOST_BYTES {
        return Err(too_large());
    }
    let mut head = Vec::with_capacity(HEAD_BYTES + meta.len());
    head.extend(MARK);
    head.extend([kind, 0]);
    head.extend(
        u16::try_from(meta.len())
            .map_err(|_| too_large())?
            .to_le_bytes(),
    );
    for word in [length(whole)?, length(&packed)?, crc32fast::hash(&packed)] {
        head.extend(word.to_le_bytes());
    }
    let mut check = crc32fast::Hasher::new();
    check.update(&head);
    check.update(meta);
    head.extend(check.finalize().to_le_bytes());
    head.extend(meta);
    out.write_all(&head)?;
    out.write_all(&packed)?;
    Ok((head.len() + packed.len()) as u64)
}
