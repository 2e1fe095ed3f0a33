//! The initramfs: a `newc` cpio archive, gzipped. Device nodes are entries of the archive, so no root is needed.
//!
//! An entry is a header of 110 ASCII characters, the name with its NUL, padding to 4, the data, padding to 4
//! (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst). Times are 0: the same files give the same bytes.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const CHARACTER: u32 = 0o020_000;
const LINK: u32 = 0o120_000;

/// An archive under construction.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

/// What the header holds beyond the name and the data.
#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    mode: u32,
    major: u32,
    minor: u32,
}

impl Archive {
    pub(crate) fn directory(&mut self, path: &str) {
        self.entry(
            path,
            Kind {
                mode: DIRECTORY | 0o755,
                ..Kind::default()
            },
            &[],
        );
    }

    pub(crate) fn file(&mut self, path: &str, permissions: u32, data: &[u8]) {
        self.entry(
            path,
            Kind {
                mode: REGULAR | permissions,
                ..Kind::default()
            },
            data,
        );
    }

    /// A symbolic link to `target`.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        let kind = Kind {
            mode: LINK | 0o777,
            ..Kind::default()
        };
        self.entry(path, kind, target.as_bytes());
    }

    pub(crate) fn character_device(
        &mut self,
        path: &str,
        permissions: u32,
        major: u32,
        minor: u32,
    ) {
        self.entry(
            path,
            Kind {
                mode: CHARACTER | permissions,
                major,
                minor,
            },
            &[],
        );
    }

    /// The archive with its trailer, gzipped.
    ///
    /// # Errors
    /// Never on memory; the encoder's signature has one.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.entries = 0;
        self.entry("TRAILER!!!", Kind::default(), &[]);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&self.bytes)?;
        encoder.finish()
    }

    /// Paths are stored without the leading slash, as the kernel unpacks them below its root.
    fn entry(&mut self, path: &str, kind: Kind, data: &[u8]) {
        let name = path.trim_start_matches('/');
        let trailer = kind.mode == 0;
        if !trailer {
            self.entries += 1;
        }
        let links = if kind.mode & 0o170_000 == DIRECTORY {
            2
        } else {
            1
        };
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        // inode, mode, uid, gid, links, mtime, size, device (major, minor), its own numbers, name's size, check.
        let fields = [
            self.entries,
            kind.mode,
            0,
            0,
            links,
            0,
            size,
            0,
            0,
            kind.major,
            kind.minor,
            name_size,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::Archive;

    fn unpacked(archive: Archive) -> Vec<u8> {
        let mut bytes = Vec::new();
        let gzipped = archive.finish().unwrap();
        flate2::read::GzDecoder::new(gzipped.as_slice())
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    }

    #[test]
    fn an_entry_is_laid_out_as_the_kernel_reads_it() {
        let mut archive = Archive::default();
        archive.file("/init", 0o755, b"#UKL\n");
        let bytes = unpacked(archive);
        let header = "070701000000010000\
                      81ed000000000000000000000001000000000000000500000000\
                      00000000000000000000000000000005\
                      00000000";
        assert_eq!(std::str::from_utf8(&bytes[..110]).unwrap(), header);
        assert_eq!(&bytes[110..124], b"init\0\0#UKL\n\0\0\0");
    }

    #[test]
    fn a_device_carries_its_numbers_and_the_end_is_marked() {
        let mut archive = Archive::default();
        archive.directory("/dev");
        archive.character_device("/dev/null", 0o666, 1, 3);
        let text = String::from_utf8(unpacked(archive)).unwrap();
        let second = text[1..].find("070701").unwrap() + 1;
        assert_eq!(&text[second + 14..second + 22], "000021b6");
        assert_eq!(&text[second + 78..second + 94], "0000000100000003");
        assert!(text.contains("TRAILER!!!\0"));
    }
}
