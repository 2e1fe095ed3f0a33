//! The kernel's own unwind table, which covers its assembly: `.orc_unwind_ip` holds, sorted, where
//! each entry begins (relative to the entry itself), `.orc_unwind` what holds from there.
//!
//! ```text
//! up to 6.2:  s16 sp_offset, s16 bp_offset, then bits  sp_reg 4, bp_reg 4, type 2, end 1
//! 6.3:        s16 sp_offset, s16 bp_offset, then bits  sp_reg 4, bp_reg 4, type 2, signal 1, end 1
//! from 6.4:   s16 sp_offset, s16 bp_offset, then bits  sp_reg 4, bp_reg 4, type 3, signal 1
//! ```
//! Since 6.5 a section `.orc_header` holds a hash of the header file that defines the form
//! (scripts/orc_hash.sh); before, only the kernel's version tells it. A form that is not known is
//! not read. Source: arch/x86/include/asm/orc_types.h.

use super::super::image::Image;
use crate::addr::Addr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) sp_offset: i64,
    pub(super) bp_offset: i64,
    pub(super) sp_reg: u8,
    pub(super) bp_reg: u8,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A return address lies below the caller's stack pointer.
    Call,
    /// A whole `pt_regs` lies there.
    Regs,
    /// Only what the CPU pushes lies there.
    IretRegs,
    /// The stack begins here, or what lies on it is not told.
    End,
}

pub(super) const REG_UNDEFINED: u8 = 0;
pub(super) const REG_PREV_SP: u8 = 1;
pub(super) const REG_DX: u8 = 2;
pub(super) const REG_DI: u8 = 3;
pub(super) const REG_BP: u8 = 4;
pub(super) const REG_SP: u8 = 5;
pub(super) const REG_R10: u8 = 6;
pub(super) const REG_R13: u8 = 7;
pub(super) const REG_BP_INDIRECT: u8 = 8;
pub(super) const REG_SP_INDIRECT: u8 = 9;

/// Which form a kernel's entries have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Up to 6.3: the types are {call, regs, part of regs}.
    TwoBits,
    /// From 6.4: the types are {undefined, end, call, regs, part of regs}.
    ThreeBits,
}

/// The hash of orc_types.h as of 6.3 (commit ffb1b4a41016) and 6.4 (commit fb799447ae29).
const HASHES: [([u8; 20], Format); 2] = [
    (
        [
            0xdb, 0x84, 0xae, 0xd4, 0x10, 0x3b, 0x31, 0xdd, 0x51, 0xe0, 0x17, 0xf8, 0xf7, 0x97,
            0x83, 0xca, 0x98, 0x5c, 0x2c, 0x51,
        ],
        Format::TwoBits,
    ),
    (
        [
            0xfe, 0x5d, 0x32, 0xbf, 0x58, 0x1b, 0xd6, 0x3b, 0x2c, 0xa9, 0xa5, 0xc6, 0x5b, 0xa5,
            0xa6, 0x25, 0xea, 0xb3, 0xfe, 0x24,
        ],
        Format::ThreeBits,
    ),
];

/// Why the tables are not read.
pub(in super::super) fn refused(image: &Image) -> Option<String> {
    format(image).err()
}

fn format(image: &Image) -> Result<Format, String> {
    if let Some(header) = image.section(".orc_header") {
        let known = HASHES.iter().find(|(hash, _)| header.data == hash);
        return known.map(|(_, format)| *format).ok_or_else(|| {
            let hash: String = header.data.iter().map(|b| format!("{b:02x}")).collect();
            format!("its form {hash} is not known")
        });
    }
    Ok(match version(image) {
        Some(version) if version >= (6, 4) => Format::ThreeBits,
        _ => Format::TwoBits,
    })
}

/// From the banner, `Linux version 6.1.192 (…`.
fn version(image: &Image) -> Option<(u32, u32)> {
    let banner = image.table.named("linux_banner").next()?;
    let text = image.initial(Addr(banner.addr), 32)?;
    let text = text.strip_prefix(b"Linux version ")?;
    let end = text
        .iter()
        .position(|b| !b.is_ascii_digit() && *b != b'.')?;
    let mut parts = std::str::from_utf8(&text[..end]).ok()?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(super) fn find(image: &Image, at: Addr) -> Option<Entry> {
    let ips = image.section(".orc_unwind_ip")?;
    let entries = image.section(".orc_unwind")?;
    let count = ips.data.len() / 4;
    if entries.data.len() / 6 != count {
        return None;
    }
    let start_of = |i: usize| {
        let bytes = ips.data.get(i * 4..i * 4 + 4)?;
        let relative = i32::from_le_bytes(bytes.try_into().ok()?);
        let place = ips.range.start.0.wrapping_add(i as u64 * 4);
        Some(place.wrapping_add_signed(i64::from(relative)))
    };
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if start_of(middle)? <= at.0 {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let i = low.checked_sub(1)?;
    let bytes = entries.data.get(i * 6..i * 6 + 6)?.try_into().ok()?;
    decode(bytes, format(image).ok()?)
}

fn decode(bytes: [u8; 6], form: Format) -> Option<Entry> {
    let offset = |low, high| i64::from(i16::from_le_bytes([low, high]));
    let bits = bytes[5];
    let sp_reg = bytes[4] & 0xf;
    let kind = if form == Format::ThreeBits {
        match bits & 7 {
            0 | 1 => Kind::End,
            2 => Kind::Call,
            3 => Kind::Regs,
            4 => Kind::IretRegs,
            _ => return None,
        }
    } else {
        match (bits & 3, sp_reg) {
            (_, REG_UNDEFINED) => Kind::End,
            (0, _) => Kind::Call,
            (1, _) => Kind::Regs,
            (2, _) => Kind::IretRegs,
            _ => return None,
        }
    };
    Some(Entry {
        sp_offset: offset(bytes[0], bytes[1]),
        bp_offset: offset(bytes[2], bytes[3]),
        sp_reg,
        bp_reg: bytes[4] >> 4,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_decode() {
        let entry = decode([0x10, 0, 0xf0, 0xff, 0x15, 0x04], Format::TwoBits).unwrap();
        assert_eq!((entry.sp_offset, entry.bp_offset), (16, -16));
        assert_eq!((entry.sp_reg, entry.bp_reg), (REG_SP, REG_PREV_SP));
        assert_eq!(entry.kind, Kind::Call);
        assert_eq!(
            decode([0, 0, 0, 0, 0x05, 1], Format::TwoBits).unwrap().kind,
            Kind::Regs
        );
        assert_eq!(
            decode([0, 0, 0, 0, 0x00, 4], Format::TwoBits).unwrap().kind,
            Kind::End
        );
        assert_eq!(
            decode([0, 0, 0, 0, 0x05, 2], Format::ThreeBits)
                .unwrap()
                .kind,
            Kind::Call
        );
        assert_eq!(
            decode([0, 0, 0, 0, 0x05, 4], Format::ThreeBits)
                .unwrap()
                .kind,
            Kind::IretRegs
        );
        assert_eq!(decode([0, 0, 0, 0, 0x05, 7], Format::ThreeBits), None);
    }
}
