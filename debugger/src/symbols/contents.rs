//! What vmlinux itself holds at the addresses of the guest, for want of a guest.

use std::fmt;
use std::sync::Arc;

use super::bytes::Bytes;
use super::image::Image;
use crate::addr::{Addr, AddrRange};

/// Code before the kernel patched it and data before any write; what the kernel zeroes reads as 0.
#[derive(Clone)]
pub struct Contents {
    parts: Vec<(AddrRange, &'static [u8])>,
    /// What `parts` are slices of.
    _bytes: Arc<Bytes>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents")
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

impl Contents {
    pub(super) fn of(image: &Image) -> Self {
        let placed = image
            .sections
            .iter()
            .filter(|section| section.allocated && section.range.start != Addr(0));
        Self {
            parts: placed
                .map(|section| (section.range, section.data))
                .collect(),
            _bytes: Arc::clone(image.bytes()),
        }
    }

    /// `false` where not all of it lies in one section.
    #[must_use]
    pub fn read(&self, addr: Addr, bytes: &mut [u8]) -> bool {
        let Some(last) = (bytes.len() as u64).checked_sub(1) else {
            return true;
        };
        let around = |range: &AddrRange| {
            range.contains(addr)
                && addr
                    .0
                    .checked_add(last)
                    .is_some_and(|end| range.contains(Addr(end)))
        };
        let Some((range, data)) = self.parts.iter().find(|(range, _)| around(range)) else {
            return false;
        };
        let at = usize::try_from(addr - range.start).unwrap_or(usize::MAX);
        let held = data.get(at..).unwrap_or(&[]);
        let count = held.len().min(bytes.len());
        bytes[..count].copy_from_slice(&held[..count]);
        bytes[count..].fill(0);
        true
    }
}
