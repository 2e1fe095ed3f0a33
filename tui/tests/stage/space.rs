//! One address space by hand, and what an address in it is.

use debugger::addr::{Addr, AddrRange, PhysAddr};
use debugger::event::{AddressInfo, Identity, PageTableEntry, RegionInfo, ResidentInfo, VmaInfo};
use debugger::known::Known;
use debugger::origin::Origin;

use super::facts::place;

pub(crate) fn regions() -> Vec<RegionInfo> {
    let region =
        |start: u64, end: u64, permissions: &str, origin, what: &str, band: &str| RegionInfo {
            resident: Some(ResidentInfo {
                bytes: end - start,
                accessed: end - start,
                dirty: if permissions.contains('w') { 0x1000 } else { 0 },
                pages_2m: (end - start) >> 21,
                pages_1g: 0,
            }),
            vma: None,
            range: AddrRange::new(Addr(start), Addr(end)),
            size: end - start,
            permissions: permissions.to_owned(),
            origin,
            what: what.to_owned(),
            band: band.to_owned(),
        };
    let kernel = Origin::kernel_source("init/main.c");
    let stack = RegionInfo {
        resident: Some(ResidentInfo {
            bytes: 0x5000,
            accessed: 0x5000,
            dirty: 0x4000,
            pages_2m: 0,
            pages_1g: 0,
        }),
        vma: Some(VmaInfo {
            file: None,
            offset: 0,
            flags: vec!["grows down"],
        }),
        ..region(
            0x7fff_fff0_0000,
            0x8000_0000_0000,
            "rw-p",
            Origin::App,
            "stack of syscalls/1",
            "user half",
        )
    };
    vec![
        stack,
        region(
            0xffff_8880_0000_0000,
            0xffff_8880_1000_0000,
            "rw-",
            kernel,
            "direct map",
            "direct map",
        ),
        region(
            0xffff_ffff_8100_0000,
            0xffff_ffff_8160_1000,
            "r-x",
            kernel,
            ".text, 23,356 symbols",
            "kernel image",
        ),
        region(
            0xffff_ffff_8160_1000,
            0xffff_ffff_8160_6000,
            "r-x",
            Origin::App,
            ".ukl.text",
            "kernel image",
        ),
        region(
            0xffff_ffff_81a0_0000,
            0xffff_ffff_81a0_2000,
            "rw-",
            Origin::App,
            ".ukl.data",
            "kernel image",
        ),
    ]
}

pub(crate) fn address() -> AddressInfo {
    let entry = |level, index, entry: u64, meaning: &str| PageTableEntry {
        level,
        index,
        entry,
        at: PhysAddr(0x2a4_4000 + u64::from(index) * 8),
        meaning: meaning.to_owned(),
    };
    AddressInfo {
        place: place(0x7fff_fff0_0000, "stack", "", 0, Origin::App),
        is: vec![
            Identity {
                kind: "mapping",
                what: "stack of syscalls/1, rw-p".to_owned(),
                because: "a vm_area_struct of syscalls/1 is 00007ffffff00000-0000800000000000"
                    .to_owned(),
            },
            Identity {
                kind: "page",
                what: "physical 0x1601000: anonymous memory of processes".to_owned(),
                because: "struct page at 0xffffea0000058040, flags 0x80014".to_owned(),
            },
        ],
        region: regions().into_iter().next(),
        walk: Known::Yes(vec![
            entry("pgd", 0xff, 0x2a4_5067, "present, writable, user"),
            entry("pud", 0x1ff, 0x2a4_6067, "present, writable, user"),
            entry("pmd", 0x1ff, 0x2a4_7067, "present, writable, user"),
            entry("pte", 0x100, 0x160_1067, "present, writable, no-execute"),
        ]),
        physical: Known::Yes(PhysAddr(0x160_1000)),
    }
}
