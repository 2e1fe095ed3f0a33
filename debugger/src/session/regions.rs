//! `space`: the regions of the one address space, and what one address is.

use super::engine::Engine;
use super::trouble::Trouble;
use crate::addr::{Addr, AddrRange, PhysAddr};
use crate::event::{AddressInfo, Answer, PageTableEntry, RegionInfo};
use crate::guest;
use crate::known::Known;
use crate::space::{self, Live, Region, Root, Walk};
use crate::symbols::unwind::RegisterSet;

/// Tables read before the map is given as it is: a machine of 64 GiB has about so many.
const TABLES: usize = 50_000;

const EVERYTHING: AddrRange = AddrRange {
    start: Addr(0),
    end: Addr(u64::MAX),
};

impl Engine {
    pub(super) fn space(&mut self, expression: Option<&str>) -> Result<Answer, Trouble> {
        match expression {
            None => {
                let regions = self.regions(EVERYTHING)?;
                Ok(Answer::Space(regions.iter().map(region_info).collect()))
            }
            Some(text) => {
                let at = self.address(text)?;
                self.address_info(at).map(Answer::Address)
            }
        }
    }

    fn address_info(&mut self, at: Addr) -> Result<AddressInfo, Trouble> {
        let walk = self.walk_tables(at)?;
        let page = AddrRange::new(Addr(at.0 & !0xfff), Addr(at.0 | 0xfff));
        let regions = self.regions(page)?;
        let region = space::region_at(&regions, at).map(region_info);
        let physical = match &walk {
            Known::Yes(walk) => match walk.physical {
                Some(physical) => Known::Yes(physical),
                None => Known::no("no page is mapped there"),
            },
            Known::Asked => Known::Asked,
            Known::No(why) => Known::No(why.clone()),
        };
        Ok(AddressInfo {
            place: self.place(at),
            region,
            walk: walk.map(|walk| walk.entries.iter().map(entry_info).collect()),
            physical,
        })
    }

    fn root(&mut self) -> Result<Known<Root>, Trouble> {
        let (cr0, cr3, cr4) = (
            self.register("cr0")?,
            self.register("cr3")?,
            self.register("cr4")?,
        );
        Ok(Root::of(cr0, cr3, cr4).into())
    }

    fn walk_tables(&mut self, at: Addr) -> Result<Known<Walk>, Trouble> {
        let root = match self.root()? {
            Known::Yes(root) => root,
            Known::Asked => return Ok(Known::Asked),
            Known::No(why) => return Ok(Known::No(why)),
        };
        let target = &mut self.target;
        let mut read = |at: PhysAddr, bytes: &mut [u8]| target.read_physical(at, bytes).is_ok();
        Ok(space::walk(root, at, &mut read).into())
    }

    fn regions(&mut self, range: AddrRange) -> Result<Vec<Region>, Trouble> {
        let root = self.root()?;
        let app_sp = self.application_sp();
        let registers = self.registers()?;
        let mut set = RegisterSet::from_names(|name| registers.get(name));
        set.gs_base = self.per_cpu_base().map(|base| base.0);
        let cpus = self.info.vcpus;
        let Some(symbols) = &self.symbols else {
            return Err(Trouble::new(
                "mapping the address space",
                "no vmlinux was given, so nothing in it has a name",
                "attach with --vmlinux; 'space ADDRESS' needs one as well",
            ));
        };
        let target = &mut self.target;
        let mut live = Live {
            app_sp,
            ..Live::default()
        };
        if let Known::Yes(root) = root {
            live.levels = root.levels;
            let mut read = |at: PhysAddr, bytes: &mut [u8]| target.read_physical(at, bytes).is_ok();
            let mut go_on = |tables: usize| tables < TABLES;
            live.mappings = Some(space::mapped(root, range, &mut read, &mut go_on));
        }
        let mut memory = |at: Addr, bytes: &mut [u8]| target.read(at, bytes).is_ok();
        live.current = guest::current(symbols, &set, &mut memory).ok();
        live.cpu_areas = guest::cpu_areas(symbols, cpus, &mut memory).unwrap_or_default();
        Ok(space::regions(symbols, &live, &mut memory))
    }

    /// The application's stack pointer: of the CPU, or of the frame that control returns to.
    fn application_sp(&mut self) -> Option<Addr> {
        let sp = self.sp().ok()?;
        if !Addr(sp).in_kernel_half() {
            return Some(Addr(sp));
        }
        self.app_frame().ok().map(|frame| Addr(frame.sp))
    }
}

fn region_info(region: &Region) -> RegionInfo {
    RegionInfo {
        range: region.range,
        size: region.range.len(),
        permissions: region.permissions(),
        origin: region.origin,
        what: region.what.clone(),
        band: region.band.to_owned(),
    }
}

fn entry_info(entry: &space::Entry) -> PageTableEntry {
    PageTableEntry {
        level: entry.level,
        index: entry.index,
        entry: entry.entry,
        at: entry.at,
        meaning: entry.meaning.clone(),
    }
}
