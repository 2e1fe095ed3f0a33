//! The one address space: what lies where, whose it is, and what the page tables allow.

mod identify;
mod layout;
mod marks;
mod pages;
mod walk;

use crate::addr::{Addr, AddrRange, PhysAddr};
use crate::count::{counted, either};
use crate::guest::{Backing, Task, Vma};
use crate::origin::Origin;
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

pub use identify::{Around, Identity, identify, in_short};
pub use layout::{Band, Source, band_of, bands};
pub use pages::{PageSize, Resident, Run};
pub use walk::{
    Access, Entry, Mapped, Mappings, Physical, Root, Walk, WalkError, mapped, translate, walk,
};

/// A stretch of the address space that is one thing to its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    pub range: AddrRange,
    /// What the page tables allow, of a mapping what the process asked for. None where neither was read.
    pub access: Option<Access>,
    /// None where no page table was read.
    pub resident: Option<Resident>,
    /// The mapping of the process that it is, where it is one.
    pub vma: Option<Vma>,
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
    /// All others, whose stacks are to be named.
    pub tasks: Vec<Task>,
    /// The mappings of that task's process, by address.
    pub vmas: Vec<Vma>,
    /// Those of them that made no sense, and are not among these.
    pub damaged_vmas: usize,
    /// The application's stack pointer: the innermost frame's beyond the boundary.
    pub app_sp: Option<Addr>,
    /// Each CPU's own area.
    pub cpu_areas: Vec<AddrRange>,
    /// 4 or 5 levels of page tables; 0 is taken as 4.
    pub levels: u32,
    /// What the tables map; none where they could not be read.
    pub mappings: Option<Mappings>,
}

impl Live {
    /// What is missing in a map that is made of it, each in a sentence.
    #[must_use]
    pub fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        if let Some(mappings) = &self.mappings {
            if mappings.cut {
                let read = mappings.tables_read;
                lacks.push(format!(
                    "after {} no more were read",
                    counted(read, "page table")
                ));
            }
            if let [first, ..] = mappings.unreadable.as_slice() {
                let count = mappings.unreadable.len();
                lacks.push(format!(
                    "{} cannot be read, the first at {first}",
                    counted(count, "page table")
                ));
            }
        }
        if self.damaged_vmas > 0 {
            let count = self.damaged_vmas;
            lacks.push(format!(
                "{} of the process {} no sense",
                counted(count, "mapping"),
                either(count, "makes", "make")
            ));
        }
        lacks
    }
}

impl Region {
    /// `r-x`, or `?` where it was not read; a mapping's with how it is shared, `rw-p`.
    #[must_use]
    pub fn permissions(&self) -> String {
        if let Some(vma) = &self.vma {
            return vma.flags.letters();
        }
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
    let mut regions: Vec<Region> = live
        .vmas
        .iter()
        .map(|vma| of_vma(vma, live, mappings, &marks))
        .collect();
    for piece in &mappings.ranges {
        for band in &bands {
            let within = overlap(piece.range, band.range);
            if within.is_empty() {
                continue;
            }
            let mut add = |range: AddrRange| {
                marks::cut(range, &marks, |range, mark| {
                    let (what, origin) = match mark {
                        Some(mark) => (mark.what.clone(), mark.origin),
                        None => unnamed(band.name),
                    };
                    regions.push(Region {
                        range,
                        access: Some(piece.access),
                        resident: Some(mappings.resident(range)),
                        vma: None,
                        origin,
                        what,
                        band: band.name,
                    });
                });
            };
            outside(within, &live.vmas, &mut add);
        }
    }
    regions.sort_by_key(|region| region.range.start);
    regions
}

/// What no mapping of the process covers: page tables may hold what its list does not.
fn outside(range: AddrRange, vmas: &[Vma], add: &mut dyn FnMut(AddrRange)) {
    let mut at = range.start;
    let first = vmas.partition_point(|vma| vma.range.end <= at);
    for vma in &vmas[first..] {
        if vma.range.start >= range.end {
            break;
        }
        if vma.range.start > at {
            add(AddrRange::new(at, vma.range.start));
        }
        at = at.max(vma.range.end);
    }
    if at < range.end {
        add(AddrRange::new(at, range.end));
    }
}

/// A mapping with its name and what of the ring-3 program lies in it.
fn of_vma(vma: &Vma, live: &Live, mappings: &Mappings, marks: &[marks::Mark]) -> Region {
    let owner = live.current.as_ref().map_or_else(String::new, Task::label);
    let mut what = match &vma.backing {
        Backing::Stack | Backing::Heap => format!("{} of {owner}", vma.backing),
        other => other.to_string(),
    };
    if let Backing::File(_) = vma.backing {
        let inside = marks
            .iter()
            .filter(|mark| vma.range.contains(mark.range.start));
        let inside: Vec<&str> = inside.map(|mark| mark.what.as_str()).collect();
        if !inside.is_empty() {
            what = format!("{what}: {}", inside.join("; "));
        }
    }
    for word in vma.flags.words().filter(|word| *word != "grows down") {
        what.push_str(", ");
        what.push_str(word);
    }
    Region {
        range: vma.range,
        access: Some(Access {
            write: vma.flags.write(),
            execute: vma.flags.execute(),
            user: true,
        }),
        resident: Some(mappings.resident(vma.range)),
        vma: Some(vma.clone()),
        origin: match vma.backing {
            Backing::Kernel(_) => Origin::kernel_source("arch/x86/entry/vdso/"),
            _ => Origin::App,
        },
        what,
        band: layout::USER_HALF,
    }
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
                resident: None,
                vma: None,
                origin,
                what,
                band: band.name,
            });
        }
        regions.extend(named.into_iter().map(|mark| Region {
            range: mark.range,
            access: None,
            resident: None,
            vma: None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::VmaFlags;

    fn vma(start: u64, end: u64, backing: Backing) -> Vma {
        Vma {
            range: AddrRange::new(Addr(start), Addr(end)),
            flags: VmaFlags(3),
            backing,
            offset: 0,
        }
    }

    #[test]
    fn what_no_mapping_covers_is_left() {
        let vmas = [
            vma(10, 20, Backing::Anonymous),
            vma(30, 40, Backing::Anonymous),
        ];
        let left = |start, end| {
            let mut found = Vec::new();
            let range = AddrRange::new(Addr(start), Addr(end));
            outside(range, &vmas, &mut |range| {
                found.push((range.start.0, range.end.0));
            });
            found
        };
        assert_eq!(left(0, 50), [(0, 10), (20, 30), (40, 50)]);
        assert_eq!(left(12, 18), []);
        assert_eq!(left(15, 35), [(20, 30)]);
        assert_eq!(left(50, 60), [(50, 60)]);
    }

    #[test]
    fn what_a_map_lacks_is_told() {
        let mut live = Live {
            mappings: Some(Mappings::default()),
            ..Live::default()
        };
        assert!(live.lacks().is_empty());
        live.damaged_vmas = 2;
        if let Some(mappings) = &mut live.mappings {
            (mappings.cut, mappings.tables_read) = (true, 7);
            mappings.unreadable = vec![PhysAddr(0x1000)];
        }
        assert_eq!(
            live.lacks(),
            [
                "after 7 page tables no more were read",
                "1 page table cannot be read, the first at 0x1000",
                "2 mappings of the process make no sense"
            ]
        );
    }

    #[test]
    fn a_mapping_is_named_with_its_owner() {
        let live = Live::default();
        let region = of_vma(
            &vma(0x1000, 0x2000, Backing::File("/app".to_owned())),
            &live,
            &Mappings::default(),
            &[],
        );
        assert_eq!(
            (region.what.as_str(), region.permissions().as_str()),
            ("/app", "rw-p")
        );
        assert_eq!(region.resident, Some(Resident::default()));
    }
}
