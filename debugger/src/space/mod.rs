//! The one address space: what lies where, whose it is, and what the page tables allow.

mod layout;
mod marks;
mod walk;

use crate::addr::{Addr, AddrRange};
use crate::guest::Task;
use crate::origin::Origin;
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

pub use layout::{Band, Source, band_of, bands};
pub use walk::{Access, Entry, Mapped, Mappings, Physical, Root, Walk, WalkError, mapped, walk};

/// A stretch of the address space that is one thing to its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    pub range: AddrRange,
    /// None where no page table was read.
    pub access: Option<Access>,
    pub origin: Origin,
    /// `.text, 23,356 symbols`, `stack of syscalls/1`.
    pub what: String,
    /// The band of the layout it lies in.
    pub band: &'static str,
}

/// What is known of the running guest, as far as it is.
#[derive(Clone, Debug, Default)]
pub struct Live {
    pub current: Option<Task>,
    /// The application's stack pointer: the innermost frame's beyond the boundary.
    pub app_sp: Option<Addr>,
    /// Each CPU's own area.
    pub cpu_areas: Vec<AddrRange>,
    /// 4 or 5 levels of page tables; 0 is taken as 4.
    pub levels: u32,
    /// What the tables map; none where they could not be read.
    pub mappings: Option<Mappings>,
}

impl Region {
    /// `r-x`, or `?` where it was not read.
    #[must_use]
    pub fn permissions(&self) -> String {
        self.access.map_or_else(|| "?".to_owned(), Access::text)
    }
}

/// All regions, by address. Without page tables these are the layout's bands and the sections of
/// the kernel's image; with them, what is mapped, cut where one thing ends and another begins.
pub fn regions(symbols: &Symbols, live: &Live, memory: &mut Memory<'_>) -> Vec<Region> {
    let levels = if live.levels == 5 { 5 } else { 4 };
    let bands = bands(symbols, levels, memory);
    let marks = marks::marks(symbols, live);
    let Some(mappings) = &live.mappings else {
        return unmapped(&bands, &marks);
    };
    let mut regions = Vec::new();
    for piece in &mappings.ranges {
        for band in &bands {
            let within = overlap(piece.range, band.range);
            if within.is_empty() {
                continue;
            }
            marks::cut(within, &marks, |range, mark| {
                let (what, origin) = match mark {
                    Some(mark) => (mark.what.clone(), mark.origin),
                    None => unnamed(band.name),
                };
                regions.push(Region {
                    range,
                    access: Some(piece.access),
                    origin,
                    what,
                    band: band.name,
                });
            });
        }
    }
    regions
}

/// The region around an address.
#[must_use]
pub fn region_at(regions: &[Region], addr: Addr) -> Option<&Region> {
    let after = regions.partition_point(|region| region.range.start <= addr);
    let region = regions.get(after.checked_sub(1)?)?;
    region.range.contains(addr).then_some(region)
}

/// The layout alone.
fn unmapped(bands: &[Band], marks: &[marks::Mark]) -> Vec<Region> {
    let mut regions = Vec::new();
    for band in bands {
        let inside = |mark: &&marks::Mark| !overlap(mark.range, band.range).is_empty();
        let named: Vec<_> = marks.iter().filter(inside).collect();
        if named.is_empty() {
            let (what, origin) = unnamed(band.name);
            regions.push(Region {
                range: band.range,
                access: None,
                origin,
                what,
                band: band.name,
            });
        }
        regions.extend(named.into_iter().map(|mark| Region {
            range: mark.range,
            access: None,
            origin: mark.origin,
            what: mark.what.clone(),
            band: band.name,
        }));
    }
    regions
}

fn unnamed(band: &'static str) -> (String, Origin) {
    let kernel = Origin::kernel_source("mm/");
    match band {
        layout::USER_HALF => ("mapped by the process".to_owned(), Origin::App),
        layout::HOLE => ("no address".to_owned(), Origin::Unknown),
        layout::DIRECT_MAP => ("all physical memory".to_owned(), kernel),
        layout::VMALLOC => ("kernel stacks and vmalloc".to_owned(), kernel),
        layout::VMEMMAP => ("struct page of each page".to_owned(), kernel),
        layout::ENTRY_AREA => (
            "descriptor tables and entry stacks".to_owned(),
            Origin::Entry,
        ),
        layout::ESPFIX => ("stacks for 16-bit returns".to_owned(), Origin::Entry),
        layout::IMAGE => ("between sections".to_owned(), Origin::kernel_source("")),
        layout::MODULES => ("modules".to_owned(), Origin::kernel_source("")),
        layout::FIXMAP => ("fixed mappings, vsyscall".to_owned(), kernel),
        layout::EFI => ("EFI runtime services".to_owned(), Origin::Unknown),
        _ => ("nothing".to_owned(), Origin::Unknown),
    }
}

fn overlap(a: AddrRange, b: AddrRange) -> AddrRange {
    AddrRange::new(a.start.max(b.start), a.end.min(b.end))
}
