//! The site table: the functions a probe is to report, sorted by address.

use crate::record::{Kind, Word};

/// One address at which a function is entered. Several addresses may enter the same function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Site {
    pub address: u64,
    /// The kind of its entry and the function's number.
    pub word: u32,
    pub flags: u32,
}

/// Bits of [`Site::flags`].
#[derive(Clone, Copy, Debug)]
pub struct SiteFlags;

impl SiteFlags {
    /// Reached by jumps or by falling into it, never by a call: a jump to it needs no record.
    pub const LABEL: u32 = 1;
    /// It holds the two instructions that store and load the stack pointer of a task.
    pub const SWITCHES: u32 = 2;
    /// Nothing is entered here: code from here on belongs to no function of interest.
    pub const END: u32 = 4;
    /// A `sysret` or `iret` here leaves the kernel. Elsewhere the kernel uses `iret` to serialise itself.
    pub const LEAVES: u32 = 8;
    /// A return or an indirect jump here leaves the kernel: it is recorded as an `iret` would be.
    pub const RETURNS: u32 = 16;
    /// Its entries and returns are not recorded: its instructions are its caller's.
    pub const QUIET: u32 = 32;
    /// Recording starts when it is entered.
    pub const STARTS: u32 = 64;
    /// Recording stops when it is entered.
    pub const STOPS: u32 = 128;
    /// The application's own code, not its libc's: the calls that leave it are recorded.
    pub const OWN: u32 = 256;
    /// The handler of an exception that comes before the instruction that causes it is executed.
    pub const FAULTS: u32 = 512;
    /// Of those, the page fault's: its error code tells whether the instruction itself could not be read.
    pub const PAGE_FAULTS: u32 = 1024;
    /// What handlers call before all else where the CPU has pushed an error code.
    pub const FRAMES: u32 = 2048;
    /// A piece of what lies before it: its entry is not recorded. Its returns are those of whatever was entered
    /// last, as [`crate::record::NO_FUNCTION`]'s.
    pub const INNER: u32 = 4096;
    /// Quiet code of the application: its `syscall` instructions are recorded, as jumps.
    pub const CALLS: u32 = 8192;
    /// A call that nobody asked for: what follows is not recorded, up to the application's next record.
    pub const LEFT_OUT: u32 = 16384;
    /// Entered in crossings that others have begun, and left before they end: no time is told of it alone.
    pub const WITHIN: u32 = 32768;
}

pub const SITE_BYTES: usize = 16;

impl Site {
    #[must_use]
    pub const fn new(address: u64, kind: Kind, function: u32, flags: u32) -> Self {
        Self {
            address,
            word: Word::new(kind, function).0,
            flags,
        }
    }

    #[must_use]
    pub const fn word(self) -> Word {
        Word(self.word)
    }

    /// Whether the function is the application's.
    #[must_use]
    pub const fn is_app(self) -> bool {
        matches!(self.word().kind(), Some(Kind::AppEntry))
    }

    #[must_use]
    pub fn encode(self) -> [u8; SITE_BYTES] {
        let mut bytes = [0; SITE_BYTES];
        bytes[..8].copy_from_slice(&self.address.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.word.to_le_bytes());
        bytes[12..].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    /// `None` where fewer than [`SITE_BYTES`] are left.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            address: u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?),
            word: u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?),
            flags: u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?),
        })
    }
}
