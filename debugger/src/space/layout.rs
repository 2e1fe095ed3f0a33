//! The bands of the one address space: what the kernel keeps where.
//!
//! Source: Documentation/x86/x86_64/mm.rst of 6.1. Three of the bands are at places the kernel
//! decides at boot, and says so in variables; the others are where that page says.

use crate::addr::{Addr, AddrRange};
use crate::guest::read_variable;
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    pub name: &'static str,
    pub range: AddrRange,
    /// Where the place is known from.
    pub source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The running kernel's own variable.
    Kernel(&'static str),
    /// The kernel's documentation of its layout.
    Documentation,
    /// The processor: addresses in between are not canonical.
    Processor,
}

pub(super) const USER_HALF: &str = "user half";
pub(super) const HOLE: &str = "canonical hole";
pub(super) const DIRECT_MAP: &str = "direct map";
pub(super) const VMALLOC: &str = "vmalloc";
pub(super) const VMEMMAP: &str = "vmemmap";
pub(super) const ENTRY_AREA: &str = "CPU entry area";
pub(super) const ESPFIX: &str = "espfix stacks";
pub(super) const EFI: &str = "EFI";
pub(super) const IMAGE: &str = "kernel image";
pub(super) const MODULES: &str = "modules";
pub(super) const FIXMAP: &str = "fixmap";
pub(super) const RESERVED: &str = "reserved";

/// Bands without gaps, from 0 to the last address.
pub fn bands(symbols: &Symbols, levels: u32, memory: &mut Memory<'_>) -> Vec<Band> {
    let five = levels == 5;
    let user_end = if five { 1 << 56 } else { 1 << 47 };
    let mut starts = vec![
        (0, USER_HALF, Source::Processor),
        (user_end, HOLE, Source::Processor),
        (
            u64::MAX << (if five { 56 } else { 47 }),
            RESERVED,
            Source::Documentation,
        ),
    ];
    let movable: [(&str, &str, u64, u64); 3] = [
        (
            "page_offset_base",
            DIRECT_MAP,
            0xffff_8880_0000_0000,
            0xff11_0000_0000_0000,
        ),
        (
            "vmalloc_base",
            VMALLOC,
            0xffff_c900_0000_0000,
            0xffa0_0000_0000_0000,
        ),
        (
            "vmemmap_base",
            VMEMMAP,
            0xffff_ea00_0000_0000,
            0xffd4_0000_0000_0000,
        ),
    ];
    for (variable, name, with_four, with_five) in movable {
        let said = read_variable(symbols, variable, memory).ok();
        match said.filter(|start| start >> 63 == 1) {
            Some(start) => starts.push((start, name, Source::Kernel(variable))),
            None => {
                let start = if five { with_five } else { with_four };
                starts.push((start, name, Source::Documentation));
            }
        }
    }
    let fixed = [
        (0xffff_fc00_0000_0000, RESERVED),
        (0xffff_fe00_0000_0000, ENTRY_AREA),
        (0xffff_fe80_0000_0000, RESERVED),
        (0xffff_ff00_0000_0000, ESPFIX),
        (0xffff_ff80_0000_0000, RESERVED),
        (0xffff_ffef_0000_0000, EFI),
        (0xffff_ffff_0000_0000, RESERVED),
        (0xffff_ffff_8000_0000, IMAGE),
        (image_end(symbols), MODULES),
        (0xffff_ffff_ff00_0000, FIXMAP),
    ];
    starts.extend(fixed.map(|(start, name)| (start, name, Source::Documentation)));
    starts.sort_by_key(|(start, ..)| *start);
    let ends = starts.iter().skip(1).map(|(start, ..)| *start);
    let ends: Vec<u64> = ends.chain([u64::MAX]).collect();
    starts
        .iter()
        .zip(ends)
        .map(|((start, name, source), end)| Band {
            name,
            range: AddrRange::new(Addr(*start), Addr(end)),
            source: *source,
        })
        .collect()
}

/// 512 MiB, or twice that where the image may be moved (CONFIG_RANDOMIZE_BASE).
fn image_end(symbols: &Symbols) -> u64 {
    match symbols.address_of("kaslr_get_random_long") {
        Some(_) => 0xffff_ffff_c000_0000,
        None => 0xffff_ffff_a000_0000,
    }
}

/// The band an address lies in.
#[must_use]
pub fn band_of(bands: &[Band], addr: Addr) -> Option<&Band> {
    let after = bands.partition_point(|band| band.range.start <= addr);
    bands.get(after.checked_sub(1)?)
}
