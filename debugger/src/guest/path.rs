//! Where an open file lies: its path from the root of all mounts.

use super::{GuestError, Struct, read_field};
use crate::addr::Addr;
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

/// Names of a path, mounts crossed included, beyond which it is taken for damaged.
const DEEPEST: usize = 128;

/// `NAME_MAX`
const LONGEST_NAME: usize = 255;

/// Of a `struct file`, from its dentry upwards: `/lib/libc.so`. What is unlinked ends in ` (deleted)`.
pub(super) fn path_of(
    symbols: &Symbols,
    file: Addr,
    memory: &mut Memory<'_>,
) -> Result<String, GuestError> {
    let of = Struct::named(symbols, "struct file")?;
    let mut dentry = Addr(read_field(symbols, of, "f_path.dentry", file, memory)?);
    let mut mount = Addr(read_field(symbols, of, "f_path.mnt", file, memory)?);
    let of = Struct::named(symbols, "struct dentry")?;
    let mounts = Struct::named(symbols, "struct mount")?;
    let (within, _) = mounts.field(symbols, "mnt")?;
    let unhashed = read_field(symbols, of, "d_hash.pprev", dentry, memory)? == 0;
    let mut names: Vec<String> = Vec::new();
    for steps in 0.. {
        if steps == DEEPEST {
            return Err(GuestError::Endless {
                what: "path of a file",
                at: dentry,
                count: steps,
            });
        }
        let parent = Addr(read_field(symbols, of, "d_parent", dentry, memory)?);
        if parent != dentry {
            names.push(name_of(symbols, dentry, memory)?);
            dentry = parent;
            continue;
        }
        // The root of a mount: its path goes on where that is mounted.
        let outer = mount.wrapping_sub(within);
        let above = Addr(read_field(symbols, mounts, "mnt_parent", outer, memory)?);
        if above == outer {
            break;
        }
        dentry = Addr(read_field(
            symbols,
            mounts,
            "mnt_mountpoint",
            outer,
            memory,
        )?);
        mount = above.wrapping_add(within);
    }
    if names.is_empty() {
        // A file of no mount that programs see is its own root, and has but a name: `memfd:x`.
        names.push(
            name_of(symbols, dentry, memory)?
                .trim_start_matches('/')
                .to_owned(),
        );
    }
    names.reverse();
    let deleted = if unhashed && names.len() > 1 {
        " (deleted)"
    } else {
        ""
    };
    Ok(format!("/{}{deleted}", names.join("/")))
}

pub(super) fn name_of(
    symbols: &Symbols,
    dentry: Addr,
    memory: &mut Memory<'_>,
) -> Result<String, GuestError> {
    let of = Struct::named(symbols, "struct dentry")?;
    let name = Addr(read_field(symbols, of, "d_name.name", dentry, memory)?);
    read_text("dentry.d_name", name, LONGEST_NAME, memory)
}

/// Up to its NUL, at most so many bytes.
pub(crate) fn read_text(
    what: &str,
    at: Addr,
    most: usize,
    memory: &mut Memory<'_>,
) -> Result<String, GuestError> {
    let mut bytes = Vec::new();
    while bytes.len() < most && !bytes.contains(&0) {
        // A page may end behind it: no read goes over an eighth byte's boundary.
        let at = at.wrapping_add(bytes.len() as u64);
        let mut part = vec![0; usize::try_from(8 - at.0 % 8).unwrap_or(8)];
        if !memory(at, &mut part) {
            return Err(GuestError::Unreadable {
                what: what.to_owned(),
                addr: at,
            });
        }
        bytes.extend(part);
    }
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()).min(most));
    let text = String::from_utf8_lossy(&bytes);
    // A name may hold anything but a NUL and a slash; a screen shows none of the rest.
    Ok(text
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_end_at_their_nul_and_hold_no_control_characters() {
        let bytes = b"..a\x07bc\0zzzzzzzzzz";
        let mut memory = |at: Addr, into: &mut [u8]| {
            let at = usize::try_from(at.0).unwrap();
            let Some(from) = bytes.get(at..at + into.len()) else {
                return false;
            };
            into.copy_from_slice(from);
            true
        };
        assert_eq!(read_text("x", Addr(2), 99, &mut memory).unwrap(), "a?bc");
        assert_eq!(read_text("x", Addr(2), 2, &mut memory).unwrap(), "a?");
        assert!(read_text("x", Addr(99), 2, &mut memory).is_err());
    }
}
