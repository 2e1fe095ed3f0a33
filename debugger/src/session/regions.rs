//! `space`, `space task` and `info vmas`: the regions of the one address space, and what one address is.

use super::engine::Engine;
use super::trouble::Trouble;
use crate::addr::{Addr, AddrRange, PhysAddr};
use crate::event::{
    AddressInfo, Answer, Event, Identity, PageTableEntry, RegionInfo, ResidentInfo, VmaInfo,
};
use crate::guest::{self, Backing, Task};
use crate::known::Known;
use crate::origin::Origin;
use crate::space::{self, Around, Live, Physical, Region, Root, Walk};
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

/// Tables read before the map is given as it is: a machine of 64 GiB has about so many.
const TABLES: usize = 50_000;

/// Tasks among which an address's owner is looked for.
const TASKS: usize = 5_000;

const PAGE: u64 = 0x1000;

const EVERYTHING: AddrRange = AddrRange {
    start: Addr(0),
    end: Addr(u64::MAX),
};

const USER_HALF: AddrRange = AddrRange {
    start: Addr(0),
    end: Addr((1 << 63) - 1),
};

impl Engine {
    pub(super) fn space(&mut self, expression: Option<&str>) -> Result<Answer, Trouble> {
        match expression {
            None => {
                let regions = self.regions(EVERYTHING, None)?;
                Ok(Answer::Space(regions.iter().map(region_info).collect()))
            }
            Some(text) => {
                let at = self.address(text)?;
                self.address_info(at).map(Answer::Address)
            }
        }
    }

    /// The whole space as another task sees it.
    pub(super) fn task_space(&mut self, task: &str) -> Result<Vec<RegionInfo>, Trouble> {
        let task = self.task_named(task)?.task;
        let regions = self.regions(EVERYTHING, Some(task))?;
        Ok(regions.iter().map(region_info).collect())
    }

    /// The mappings of a process alone.
    pub(super) fn vmas(&mut self, task: Option<&str>) -> Result<Vec<RegionInfo>, Trouble> {
        self.types_or(|| "listing the mappings of the process".to_owned())?;
        let task = match task {
            Some(text) => Some(self.task_named(text)?.task),
            None => None,
        };
        let regions = self.regions(USER_HALF, task)?;
        let own = regions.iter().filter(|region| region.vma.is_some());
        let list: Vec<RegionInfo> = own.map(region_info).collect();
        if list.is_empty() {
            return Err(Trouble::new(
                "listing the mappings of the process",
                "the current task has none, or the kernel's structures are not known",
                "'info vmas PID' lists another's; it needs a vmlinux with DWARF",
            ));
        }
        Ok(list)
    }

    pub(super) fn address_info(&mut self, at: Addr) -> Result<AddressInfo, Trouble> {
        let walk = self.walk_tables(at)?;
        let page = AddrRange::new(Addr(at.0 & !0xfff), Addr(at.0 | 0xfff));
        let regions = self.regions(page, None)?;
        let region = space::region_at(&regions, at).map(region_info);
        let physical = match &walk {
            Known::Yes(walk) => match walk.physical {
                Some(physical) => Known::Yes(physical),
                None => Known::no("no page is mapped there"),
            },
            Known::Asked => Known::Asked,
            Known::No(why) => Known::No(why.clone()),
        };
        // What no symbol covers belongs to what its region does.
        let mut place = self.place(at);
        if let (Origin::Unknown, Some(region)) = (place.origin, &region) {
            place.origin = region.origin;
        }
        Ok(AddressInfo {
            place,
            is: self.identify(at, physical.yes().copied()),
            region,
            walk: walk.map(|walk| walk.entries.iter().map(entry_info).collect()),
            physical,
        })
    }

    fn identify(&mut self, at: Addr, physical: Option<PhysAddr>) -> Vec<Identity> {
        let Ok(live) = self.live(None, USER_HALF.contains(at)) else {
            return Vec::new();
        };
        let found = self.reading(|symbols, memory| {
            let tasks = all_tasks(symbols, memory);
            let bands = space::bands(symbols, live.levels, memory);
            let around = Around {
                bands: &bands,
                live: &live,
                tasks: &tasks,
                physical,
            };
            space::identify(symbols, &around, at, memory)
        });
        let told = |one: space::Identity| Identity {
            kind: one.kind,
            what: one.what,
            because: one.because,
        };
        found.into_iter().flatten().map(told).collect()
    }

    /// `<filp+24>`, `<stack of init/1>`: an address that no symbol covers, in short. Only where reading costs
    /// nothing: many are asked for at each stop.
    pub(super) fn told(&mut self, at: Addr) -> Option<String> {
        if !at.in_kernel_half() || self.target.kernel_root().is_none() {
            return None;
        }
        let current = self.current();
        let cpus = self.info.vcpus;
        let root = self.target.kernel_root()?;
        // A small negative number is an address as well, but nothing lies there.
        let physical = Some(self.physically(|read| space::translate(root, at, read))?);
        self.reading(|symbols, memory| {
            let live = Live {
                cpu_areas: guest::cpu_areas(symbols, cpus, memory).unwrap_or_default(),
                ..Live::default()
            };
            let bands = space::bands(symbols, root.levels, memory);
            let tasks: Vec<Task> = current.into_iter().collect();
            let around = Around {
                bands: &bands,
                live: &live,
                tasks: &tasks,
                physical,
            };
            space::in_short(symbols, &around, at, memory)
        })?
    }

    pub(super) fn root(&mut self) -> Result<Known<Root>, Trouble> {
        if self.target.reads_beside() {
            return Ok(self.target.root_beside());
        }
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
        Ok(self.physically(|read| space::walk(root, at, read)).into())
    }

    /// Lets page tables be read.
    pub(super) fn physically<T>(&mut self, ask: impl FnOnce(&mut Physical<'_>) -> T) -> T {
        let target = &mut self.target;
        ask(&mut |at: PhysAddr, bytes: &mut [u8]| target.read_physical(at, bytes).is_ok())
    }

    /// The page tables whose outermost one is mapped there.
    pub(super) fn root_at(&mut self, table: Addr, now: Root) -> Option<Root> {
        let table = self.physically(|read| space::translate(now, table, read))?;
        Some(Root { table, ..now })
    }

    /// What is known of the guest as one of its tasks sees it, the current one where none is given.
    fn live(&mut self, of: Option<Task>, user_half: bool) -> Result<Live, Trouble> {
        let root = self.root()?;
        let cpus = self.info.vcpus;
        let mut live = Live::default();
        if let Known::Yes(root) = root {
            live.levels = root.levels;
        }
        let current = match of {
            Some(task) => Some(task),
            None => self.current(),
        };
        let tried = "mapping the address space";
        let (vmas, areas) = self
            .reading(|symbols, memory| {
                let areas = guest::cpu_areas(symbols, cpus, memory).unwrap_or_default();
                let task = current.as_ref().filter(|_| user_half);
                // Where the kernel's structures are not known the page tables alone tell.
                let vmas = task.and_then(|task| guest::vmas(symbols, task, memory).ok());
                (vmas.unwrap_or_default(), areas)
            })
            .ok_or_else(|| {
                Trouble::new(
                    tried,
                    "no vmlinux was given, so nothing in it has a name",
                    "attach with --vmlinux; 'space ADDRESS' needs one as well",
                )
            })?;
        live.app_sp = self.application_sp();
        (live.vmas, live.damaged_vmas) = (vmas.list, vmas.damaged);
        (live.cpu_areas, live.current) = (areas, current);
        Ok(live)
    }

    fn current(&mut self) -> Option<Task> {
        if self.target.reads_beside() {
            return self.process_beside().cloned();
        }
        self.running_task().ok()
    }

    fn regions(&mut self, range: AddrRange, of: Option<Task>) -> Result<Vec<Region>, Trouble> {
        let mut root = self.root()?;
        if let (Some(task), Known::Yes(now)) = (&of, &root) {
            root = self.root_of(task, *now);
            if let Known::No(why) = root {
                return Err(Trouble::new(
                    format!("mapping the address space of {}", task.label()),
                    why,
                    "'tasks' lists the processes",
                ));
            }
        }
        let mut live = self.live(of, !range.start.in_kernel_half())?;
        live.vmas
            .retain(|vma| vma.range.start < range.end && range.start < vma.range.end);
        if let Known::Yes(root) = root {
            let mut go_on = |tables: usize| tables < TABLES;
            // A mapping is counted whole, whatever part of it was asked for.
            let whole = live.vmas.iter().fold(range, |all, vma| {
                AddrRange::new(all.start.min(vma.range.start), all.end.max(vma.range.end))
            });
            let mappings = self.physically(|read| space::mapped(root, whole, read, &mut go_on));
            live.mappings = Some(mappings);
        }
        // Of a single page it says nothing worth a line.
        let lacks = live.lacks().join("; ");
        if !lacks.is_empty() && range.len() > PAGE {
            let notice = format!("this map of the address space is not whole: {lacks}");
            self.port.send(Event::Notice(notice));
        }
        let regions = self.reading(|symbols, memory| {
            if range.end.in_kernel_half() {
                live.tasks = all_tasks(symbols, memory);
            }
            space::regions(symbols, &live, memory)
        });
        Ok(regions.unwrap_or_default())
    }

    /// Another task's page tables hold the same kernel.
    fn root_of(&mut self, task: &Task, now: Root) -> Known<Root> {
        let Some(pgd) = task.pgd else {
            return Known::no("it is a thread of the kernel, which has no user half of its own");
        };
        match self.root_at(pgd, now) {
            Some(root) => Known::Yes(root),
            None => Known::no("its outermost page table is not mapped"),
        }
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

fn all_tasks(symbols: &Symbols, memory: &mut Memory<'_>) -> Vec<Task> {
    let tasks = guest::every(symbols, TASKS, memory).unwrap_or_default();
    tasks.into_iter().map(|one| one.task).collect()
}

fn region_info(region: &Region) -> RegionInfo {
    RegionInfo {
        range: region.range,
        size: region.range.len(),
        permissions: region.permissions(),
        origin: region.origin,
        what: region.what.clone(),
        band: region.band.to_owned(),
        resident: region.resident.map(|there| ResidentInfo {
            bytes: there.bytes,
            accessed: there.accessed,
            dirty: there.dirty,
            pages_2m: there.large,
            pages_1g: there.huge,
        }),
        vma: region.vma.as_ref().map(|vma| VmaInfo {
            file: match &vma.backing {
                Backing::File(path) => Some(path.clone()),
                _ => None,
            },
            offset: vma.offset,
            flags: vma.flags.words().collect(),
        }),
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
