//! The bytes of an ELF file, mapped or owned, and slices of them that live as long as their image.

use std::path::Path;

use super::error::SymbolsError;

/// Readers of DWARF keep slices of the file; the file and its readers lie in one struct. The slices
/// are therefore typed `'static`, and never leave the struct that holds these bytes: what does leave
/// is borrowed from that struct.
#[derive(Debug)]
pub(super) enum Bytes {
    Mapped(memmap2::Mmap),
    Owned(Vec<u8>),
}

impl Bytes {
    pub(super) fn map(path: &Path) -> Result<Self, SymbolsError> {
        let failed = |error| SymbolsError::Open {
            path: path.to_owned(),
            error,
        };
        let file = std::fs::File::open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(failed(std::io::Error::other("not a regular file")));
        }
        if meta.len() == 0 {
            return Ok(Self::Owned(Vec::new()));
        }
        // SAFETY: the mapping is private and read-only. A build replaces vmlinux by writing a new
        // file and renaming it, which leaves this mapping as it was.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(failed)?;
        Ok(Self::Mapped(map))
    }

    /// # Safety
    /// The slice must not outlive `self`, and `self` must not change: its users keep both in one
    /// struct, with the slices declared (and so dropped) first.
    pub(super) unsafe fn slice(&self) -> &'static [u8] {
        let bytes: &[u8] = match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        };
        // SAFETY: neither a mapping nor a vector's buffer moves when its owner does; the caller
        // keeps the owner alive.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) }
    }
}
