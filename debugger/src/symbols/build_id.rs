//! Whether a vmlinux is the running kernel's: its build-id, and what lies at the same address of the guest.

use super::Symbols;
use crate::addr::{Addr, AddrRange};

/// The ids of vmlinux and of the running kernel differ: the symbols would name the wrong things.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("comparing build-ids: vmlinux has {vmlinux}, {guest}")]
pub struct Mismatch {
    pub vmlinux: String,
    pub guest: InGuest,
}

/// What the guest has where the note of vmlinux lies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InGuest {
    #[error("the guest has {0}; give the vmlinux of the running kernel, or force this one")]
    Other(String),
    #[error(
        "but the guest has no build-id note there: at {at} it reads {found}, so this vmlinux is of another kernel, \
         or the guest has not booted so far; give the vmlinux of the running kernel, attach again when the guest \
         has booted, or force this one"
    )]
    NoNote { at: Addr, found: String },
    #[error(
        "but nothing is mapped at {0}, where its note lies, so this vmlinux is of another kernel, or the guest has \
         not booted so far; give the vmlinux of the running kernel, attach again when the guest has booted, or \
         force this one"
    )]
    Unmapped(Addr),
}

/// A note is {name size, descriptor size, type} and both, each padded to 4; of the build-id the type
/// is 3 and the name "GNU\0": <https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html>
const HEADER: usize = 12;
const NT_GNU_BUILD_ID: u32 = 3;
const NAME: &[u8; 4] = b"GNU\0";

impl Symbols {
    #[must_use]
    pub fn build_id(&self) -> Option<&[u8]> {
        self.kernel.build_id().map(|(id, _)| id)
    }

    #[must_use]
    pub fn build_id_text(&self) -> Option<String> {
        self.build_id().map(hex)
    }

    /// The whole note, and where it lies as vmlinux was linked: what to look for in a kernel that may
    /// have been moved.
    #[must_use]
    pub fn build_id_note(&self) -> Option<(Addr, Vec<u8>)> {
        let (id, range) = self.kernel.build_id()?;
        let mut note = head(id.len());
        let start = range.start.wrapping_sub(note.len() as u64);
        note.extend(id);
        Some((self.slide().linked(start), note))
    }

    /// Where the build-id's bytes lie in the guest's memory.
    #[must_use]
    pub fn build_id_location(&self) -> Option<AddrRange> {
        self.kernel.build_id().map(|(_, range)| range)
    }

    /// Compares with the guest's; true where vmlinux has none to compare. The whole note is read, so that other
    /// bytes are not taken for an id.
    ///
    /// # Errors
    /// When the guest has another id, or no note where that of vmlinux lies.
    pub fn check_build_id(
        &self,
        read: impl FnOnce(Addr, &mut [u8]) -> bool,
    ) -> Result<(), Mismatch> {
        match self.kernel.build_id() {
            Some((id, range)) => compare(id, range.start, read),
            None => Ok(()),
        }
    }
}

/// `at` is where the id's bytes lie.
fn compare(
    id: &[u8],
    at: Addr,
    read: impl FnOnce(Addr, &mut [u8]) -> bool,
) -> Result<(), Mismatch> {
    let head = head(id.len());
    let note = at.wrapping_sub(head.len() as u64);
    let mut guest = vec![0; head.len() + id.len()];
    let readable = read(note, &mut guest);
    let (guest_head, guest_id) = guest.split_at(head.len());
    let guest = match readable {
        true if guest_head != head => InGuest::NoNote {
            at: note,
            found: hex(guest_head),
        },
        true if guest_id != id => InGuest::Other(hex(guest_id)),
        true => return Ok(()),
        false => InGuest::Unmapped(note),
    };
    Err(Mismatch {
        vmlinux: hex(id),
        guest,
    })
}

/// The first id, in hexadecimal, of a note among a kernel's constants, which begin with a page. Files
/// lie there as well, the vDSOs: each begins with a page and has its own note in it.
pub(super) fn anywhere(constants: &[u8]) -> Option<String> {
    const LEN: usize = 20;
    const PAGE: usize = 4096;
    let head = head(LEN);
    let in_file = |at: usize| constants[at - at % PAGE..].starts_with(b"\x7fELF");
    let mut notes = memchr::memmem::find_iter(constants, &head);
    let at = notes.find(|at| !in_file(*at))? + head.len();
    constants.get(at..at + LEN).map(hex)
}

/// What stands before an id of this length.
fn head(len: usize) -> Vec<u8> {
    let words = [NAME.len(), len].map(|word| u32::try_from(word).unwrap_or(u32::MAX));
    let words = [words[0], words[1], NT_GNU_BUILD_ID];
    let mut head: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    head.extend(NAME);
    head
}

/// The place of the build-id's bytes among notes, and how many they are.
pub(super) fn find(notes: &[u8]) -> Option<(usize, usize)> {
    let word = |at: usize| {
        let bytes = notes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let size = |at: usize| usize::try_from(word(at)?).ok();
    let mut at: usize = 0;
    loop {
        let (name_len, len, kind) = (size(at)?, size(at + 4)?, word(at + 8)?);
        let name_at = at + HEADER;
        let name = notes.get(name_at..name_at.checked_add(name_len)?);
        let descriptor = name_at.checked_add(name_len.checked_next_multiple_of(4)?)?;
        let end = descriptor.checked_add(len)?;
        if kind == NT_GNU_BUILD_ID && name == Some(NAME) && end <= notes.len() {
            return Some((descriptor, len));
        }
        at = descriptor.checked_add(len.checked_next_multiple_of(4)?)?;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 20] = *b"abcdefghijklmnopqrst";
    const AT: Addr = Addr(0xffff_ffff_8100_0010);

    fn note(kind: u32, name: &[u8], body: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        note.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
        note.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        note.extend(kind.to_le_bytes());
        for part in [name, body] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        let mut notes = note(1, b"Xen\0", b"abcde");
        notes.extend(note(3, b"Linux\0", b"not this"));
        notes.extend(note(3, NAME, b"12345678"));
        let (at, len) = find(&notes).unwrap();
        assert_eq!(&notes[at..at + len], b"12345678");
        assert_eq!(find(&notes[..20]), None);
        assert_eq!(find(&[0xff; 40]), None);
    }

    #[test]
    fn a_vdso_s_id_is_not_the_kernel_s() {
        let mut constants = vec![0; 0x1800];
        constants[0x1000..0x1004].copy_from_slice(b"\x7fELF");
        constants.extend(note(3, NAME, &[0xcd; 20]));
        assert_eq!(anywhere(&constants), None);
        constants.resize(0x2100, 0);
        constants.extend(note(3, NAME, &[0xab; 20]));
        assert_eq!(anywhere(&constants), Some("ab".repeat(20)));
    }

    /// What the comparison says of a guest with these bytes from the note's beginning.
    fn compared(guest: &[u8]) -> Result<(), InGuest> {
        let read = |at: Addr, buffer: &mut [u8]| {
            assert_eq!(at, Addr(AT.0 - 16), "the note's head is read as well");
            assert_eq!(buffer.len(), 36);
            let readable = guest.len() == buffer.len();
            if readable {
                buffer.copy_from_slice(guest);
            }
            readable
        };
        compare(&ID, AT, read).map_err(|mismatch| mismatch.guest)
    }

    #[test]
    fn only_a_whole_note_holds_an_id() {
        assert_eq!(compared(&note(3, NAME, &ID)), Ok(()));
        let other = [0xab; 20];
        assert_eq!(
            compared(&note(3, NAME, &other)),
            Err(InGuest::Other("ab".repeat(20)))
        );
        let no_note = |guest: &[u8]| {
            let expected = InGuest::NoNote {
                at: Addr(AT.0 - 16),
                found: hex(&guest[..16]),
            };
            assert_eq!(compared(guest), Err(expected));
        };
        no_note(&[0; 36]);
        no_note(&note(4, NAME, &ID));
        no_note(&note(3, b"GNO\0", &ID));
        // The id of vmlinux itself, where no note begins.
        let mut moved = note(3, NAME, &ID);
        moved[0] = 5;
        no_note(&moved);
        // An id of 16 bytes is another linker's.
        let mut short = note(3, NAME, &[7; 16]);
        short.resize(36, 0);
        no_note(&short);
        assert_eq!(compared(&[]), Err(InGuest::Unmapped(Addr(AT.0 - 16))));
    }

    #[test]
    fn each_mismatch_says_what_to_do_next() {
        let text = |guest: &[u8]| {
            let guest = compared(guest).unwrap_err();
            let vmlinux = hex(&ID);
            Mismatch { vmlinux, guest }.to_string()
        };
        let (none, unmapped, other) = (text(&[0; 36]), text(&[]), text(&note(3, NAME, &[1; 20])));
        for text in [&none, &unmapped] {
            assert!(
                text.contains("of another kernel, or the guest has not booted so far"),
                "{text}"
            );
            assert!(
                text.contains("; give the vmlinux of the running kernel, attach again"),
                "{text}"
            );
        }
        assert!(none.contains("no build-id note there"), "{none}");
        assert!(other.contains(&"01".repeat(20)), "{other}");
        assert!(other.ends_with("or force this one"), "{other}");
    }
}
