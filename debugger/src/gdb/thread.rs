//! Thread ids: `p1.1` where the stub speaks multiprocess, `1` where it does not.

use std::fmt;

use super::hex;

/// QEMU gives each vCPU a thread, and each cluster of vCPUs a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId {
    pub process: Option<u64>,
    pub thread: u64,
}

impl ThreadId {
    /// `None` for what is no thread: `-1` and `0` (all, any) are never reported by a stub as one.
    #[must_use]
    pub fn decode(text: &[u8]) -> Option<Self> {
        let Some(rest) = text.strip_prefix(b"p") else {
            return Some(Self {
                process: None,
                thread: hex::number(text)?,
            });
        };
        let dot = rest.iter().position(|byte| *byte == b'.')?;
        Some(Self {
            process: Some(hex::number(&rest[..dot])?),
            thread: hex::number(&rest[dot + 1..])?,
        })
    }

    /// Whether both name the same thread. QEMU 7.2 leaves the process out of the stop it sends to a
    /// client that has not yet said that it speaks multiprocess.
    #[must_use]
    pub fn same(self, other: Self) -> bool {
        self.thread == other.thread
            && (self.process == other.process || self.process.is_none() || other.process.is_none())
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            Some(process) => write!(f, "p{process:x}.{:x}", self.thread),
            None => write!(f, "{:x}", self.thread),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_written() {
        let check = |text: &str, process, thread, written: &str| {
            let id = ThreadId::decode(text.as_bytes()).unwrap();
            assert_eq!(id, ThreadId { process, thread });
            assert_eq!(id.to_string(), written);
        };
        check("p01.02", Some(1), 2, "p1.2");
        check("1f", None, 0x1f, "1f");
        for text in ["", "p1", "p1.", "p.1", "-1", "p1.-1", "x"] {
            assert_eq!(ThreadId::decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_missing_process_matches_any() {
        let id = |text: &[u8]| ThreadId::decode(text).unwrap();
        assert!(id(b"01").same(id(b"p1.1")));
        assert!(!id(b"p2.1").same(id(b"p1.1")));
        assert!(!id(b"2").same(id(b"p1.1")));
    }
}
