//! The page by which the debugger and the probes in a guest's kernel find each other: `ukl_probes_page`.
//!
//! ```text
//! 0     from the guest   magic, where the ring is, what a record costs, the last request answered
//! 2048  to the guest     the request, what is wanted, functions by name
//! ```

/// `UKLPROBE`, read as a little-endian number: the guest is ready to be asked.
pub const PROBES_MAGIC: u64 = u64::from_le_bytes(*b"UKLPROBE");

/// Bits of [`ProbesPage::want`].
pub const WANT_BOUNDARY: u32 = 1;
pub const WANT_FUNCTIONS: u32 = 2;

/// Of the names, with their end.
pub const NAMES_BYTES: usize = 1024;

const TO_GUEST: usize = 2048;

/// What the guest tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbesPage {
    pub version: u32,
    /// Where the ring lies in the guest's physical memory; the layout is [`crate::layout`]'s.
    pub ring: u64,
    pub ring_bytes: u64,
    /// 0: not known.
    pub tsc_khz: u32,
    /// Ticks between two records with nothing between them: of static probes, of the entry and the return
    /// of a function, of that return and the next entry. 0: not measured.
    pub cost_probe: u32,
    pub cost_inside: u32,
    pub cost_between: u32,
    /// The last request that was dealt with.
    pub answer: u32,
    /// A negative number of Linux's errors.
    pub error: i32,
    /// The name that no function of the guest has.
    pub refused: [u8; 64],
}

impl ProbesPage {
    /// Bytes that [`Self::decode`] reads.
    pub const BYTES: usize = 128;

    /// `None`: the guest is not ready, or there are too few bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if long(0)? != PROBES_MAGIC {
            return None;
        }
        Some(Self {
            ring: long(8)?,
            ring_bytes: long(16)?,
            version: word(24)?,
            tsc_khz: word(28)?,
            cost_probe: word(32)?,
            cost_inside: word(36)?,
            cost_between: word(40)?,
            answer: word(44)?,
            error: word(48)?.cast_signed(),
            refused: bytes.get(52..116)?.try_into().ok()?,
        })
    }
}

/// A request: its bytes but for its number, which is to be written last, at [`REQUEST_AT`].
#[must_use]
pub fn request_bytes(want: u32, names: &str) -> Option<[u8; 4 + NAMES_BYTES]> {
    let mut bytes = [0; 4 + NAMES_BYTES];
    bytes[..4].copy_from_slice(&want.to_le_bytes());
    // With its end.
    let room = bytes[4..].get_mut(..names.len() + 1)?;
    room[..names.len()].copy_from_slice(names.as_bytes());
    Some(bytes)
}

/// Where the number of the last request lies that was dealt with.
pub const ANSWER_AT: u64 = 44;
/// Where the number of a request goes, and what [`request_bytes`] gives.
pub const REQUEST_AT: u64 = TO_GUEST as u64;
pub const WANT_AT: u64 = REQUEST_AT + 4;

/// The page for C.
pub(crate) const STRUCT: &str = "
struct uklscope_probes {
	/* From the guest. */
	uklscope_u64 magic, ring, ring_bytes;
	uklscope_u32 version, tsc_khz, cost_probe, cost_inside, cost_between, answer;
	int error;
	char refused[64];
	char from_guest[2048 - 116];
	/* To the guest. */
	uklscope_u32 request, want;
	char names[1024];
	char to_guest[4096 - 2048 - 8 - 1024];
};
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_once_the_guest_is_ready() {
        let mut bytes = [0; ProbesPage::BYTES];
        assert_eq!(ProbesPage::decode(&bytes), None);
        bytes[..8].copy_from_slice(b"UKLPROBE");
        bytes[8] = 0x40;
        bytes[44] = 3;
        bytes[48..52].copy_from_slice(&(-22i32).to_le_bytes());
        bytes[52] = b'x';
        let page = ProbesPage::decode(&bytes).unwrap();
        assert_eq!((page.ring, page.answer, page.error), (0x40, 3, -22));
        assert_eq!(page.refused[0], b'x');
        assert_eq!(ProbesPage::decode(&bytes[..115]), None);
    }

    #[test]
    fn names_that_have_no_room_are_refused() {
        let bytes = request_bytes(WANT_FUNCTIONS, "vfs_*").unwrap();
        assert_eq!(&bytes[..10], b"\x02\0\0\0vfs_*\0");
        assert!(request_bytes(0, &"x".repeat(NAMES_BYTES - 1)).is_some());
        assert!(request_bytes(0, &"x".repeat(NAMES_BYTES)).is_none());
    }
}
