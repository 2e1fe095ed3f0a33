//! What one address is: every way the kernel itself has to tell, the most particular first.

use super::layout::{self, Band, band_of};
use super::{Live, PhysAddr};
use crate::addr::{Addr, AddrRange};
use crate::count::counted;
use crate::guest::{
    self, Bases, PageKind, Stacks, Task, module_at, page, page_described, slab_object, vmalloc_area,
};
use crate::known::Known;
use crate::symbols::Symbols;
use crate::symbols::types::Type;
use crate::symbols::unwind::{Memory, RegisterSet};

/// One thing that an address is, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `symbol`, `task stack`, `slab object`, `mapping`, `per-CPU variable`, `vmalloc area`, `page`.
    pub kind: &'static str,
    pub what: String,
    pub because: String,
    /// In a few words, where the beginning of `what` is too long.
    pub short: Option<String>,
}

/// What is known of the machine before an address is asked of.
#[derive(Debug)]
pub struct Around<'a> {
    pub bands: &'a [Band],
    pub live: &'a Live,
    /// Those whose stacks and structures are to be recognised.
    pub tasks: &'a [Task],
    /// What the page tables say of the address.
    pub physical: Option<PhysAddr>,
}

impl Around<'_> {
    fn base(&self, name: &str) -> Addr {
        let band = self.bands.iter().find(|band| band.name == name);
        band.map_or(Addr(0), |band| band.range.start)
    }

    fn bases(&self) -> Bases {
        Bases {
            direct_map: self.base(layout::DIRECT_MAP),
            vmemmap: self.base(layout::VMEMMAP),
        }
    }
}

/// The most particular of it in a few words, in the brackets that symbols stand in.
pub fn in_short(
    symbols: &Symbols,
    around: &Around<'_>,
    at: Addr,
    memory: &mut Memory<'_>,
) -> Option<String> {
    let found = identify(symbols, around, at, memory);
    let first = found
        .iter()
        .find(|one| !matches!(one.kind, "page" | "band" | "nothing"))?;
    // What follows the first comma is for who asks for all of it.
    let what = first.what.split(", ").next().unwrap_or_default();
    let short = first.short.clone().unwrap_or_else(|| what.to_owned());
    Some(format!("<{short}>"))
}

struct Finder<'a, 'm, 'f> {
    symbols: &'a Symbols,
    around: &'a Around<'a>,
    at: Addr,
    memory: &'m mut Memory<'f>,
    found: Vec<Identity>,
}

/// Empty where nothing tells anything.
pub fn identify(
    symbols: &Symbols,
    around: &Around<'_>,
    at: Addr,
    memory: &mut Memory<'_>,
) -> Vec<Identity> {
    let mut finder = Finder {
        symbols,
        around,
        at,
        memory,
        found: Vec::new(),
    };
    let band = band_of(around.bands, at).map_or("", |band| band.name);
    if band == layout::USER_HALF {
        finder.symbol();
        finder.mapping();
    } else {
        finder.per_cpu();
        finder.stacks();
        finder.symbol();
        finder.task();
        finder.by_band(band);
    }
    finder.page(band);
    finder.found
}

impl Finder<'_, '_, '_> {
    fn add(&mut self, kind: &'static str, what: String, because: impl Into<String>) {
        self.found.push(Identity {
            kind,
            what,
            because: because.into(),
            short: None,
        });
    }

    fn symbol(&mut self) {
        let Some(symbol) = self.symbols.at(self.at) else {
            return;
        };
        let what = format!("{}{}", symbol.name, plus(self.at - symbol.addr));
        let because = match symbol.size {
            0 => "it is the last symbol before it".to_owned(),
            size => format!(
                "the symbol has {} from {:#x}",
                counted(size, "byte"),
                symbol.addr.0
            ),
        };
        self.add("symbol", what, because);
    }

    fn mapping(&mut self) {
        let vmas = &self.around.live.vmas;
        let Some(vma) = vmas.iter().find(|vma| vma.range.contains(self.at)) else {
            return;
        };
        let owner = self.around.live.current.as_ref();
        let owner = owner.map_or_else(|| "the process".to_owned(), Task::label);
        let mut what = format!("{} of {owner}, {}", vma.backing, vma.flags.letters());
        let within = self.at - vma.range.start;
        if let guest::Backing::File(_) = vma.backing {
            what.push_str(&format!(
                ", byte {:#x} of the file",
                vma.offset.wrapping_add(within)
            ));
        }
        let because = format!("a vm_area_struct of {owner} is {}", vma.range);
        self.add("mapping", what, because);
    }

    fn per_cpu(&mut self) {
        let areas = self.around.live.cpu_areas.iter().enumerate();
        for (cpu, area) in areas {
            if !area.contains(self.at) {
                continue;
            }
            let offset = self.at - area.start;
            let because = format!("CPU {cpu}'s own area begins at {:#x}", area.start.0);
            match self.symbols.per_cpu_at(offset) {
                Some(variable) => {
                    let within = plus(offset - variable.addr.0);
                    let what = format!("{}{within} of CPU {cpu}", variable.name);
                    self.add("per-CPU variable", what, because);
                }
                None => self.add("per-CPU area", format!("of CPU {cpu}"), because),
            }
            return;
        }
        self.per_cpu_dynamic();
    }

    /// What was given out by `alloc_percpu` lies behind the variables, in the same unit.
    fn per_cpu_dynamic(&mut self) {
        let size = guest::read_variable(self.symbols, "pcpu_unit_size", self.memory).ok();
        let size = size.map(|size| size & 0x7fff_ffff);
        let Some(size) = size.filter(|size| *size > 0) else {
            return;
        };
        for (cpu, area) in self.around.live.cpu_areas.iter().enumerate() {
            let unit = AddrRange::new(area.start, area.start.wrapping_add(size));
            if unit.contains(self.at) {
                let what = format!("given out by alloc_percpu, CPU {cpu}'s copy");
                let because = format!(
                    "the CPU's unit of {size:#x} bytes begins at {:#x}",
                    area.start.0
                );
                self.add("per-CPU memory", what, because);
                return;
            }
        }
    }

    fn stacks(&mut self) {
        let owner = self
            .around
            .tasks
            .iter()
            .find(|task| task.stack.contains(self.at));
        if let Some(task) = owner {
            let depth = task.stack.end - self.at;
            let what = format!(
                "kernel stack of {}, {depth:#x} bytes below its top",
                task.label()
            );
            let because = format!(
                "task_struct {:#x} has its stack at {:#x}",
                task.addr.0, task.stack.start.0
            );
            self.add("task stack", what, because);
            return;
        }
        for (cpu, area) in self.around.live.cpu_areas.iter().enumerate() {
            let mut set = RegisterSet::from_names(|_| None);
            set.gs_base = Some(area.start.0);
            let stacks = Stacks::of(self.symbols, &set, None, self.memory);
            let Some((range, stack)) = stacks.of_cpu(self.at) else {
                continue;
            };
            let kind = match stack {
                guest::Stack::Interrupt => "IRQ stack",
                _ => "exception stack",
            };
            let what = format!(
                "{stack} of CPU {cpu}, {:#x} bytes below its top",
                range.end - self.at
            );
            let because = format!("CPU {cpu}'s own area points to it: {range}");
            self.add(kind, what, because);
            return;
        }
    }

    fn task(&mut self) {
        let Some(size) = self.symbols.type_named("struct task_struct") else {
            return;
        };
        let size = self.symbols.size_of(size);
        // DWARF's size has room for the largest FPU state; the next task may begin before that.
        let inside = self.around.tasks.iter();
        let inside = inside.filter(|task| self.at - task.addr < size);
        let owner = inside.min_by_key(|task| self.at - task.addr);
        if let Some(task) = owner {
            let what = format!(
                "task_struct of {}{}",
                task.label(),
                plus(self.at - task.addr)
            );
            self.add("task", what, "it is on the kernel's list of tasks");
        }
    }

    fn by_band(&mut self, band: &'static str) {
        match band {
            layout::VMALLOC => self.vmalloc(),
            layout::MODULES => {
                if let Ok(Some((name, within))) = module_at(self.symbols, self.at, self.memory) {
                    let because = "it is on the kernel's list of modules";
                    self.add("module", format!("{name}{}", plus(within)), because);
                }
                self.vmalloc();
            }
            layout::VMEMMAP => {
                let described = page_described(self.symbols, self.around.bases(), self.at);
                if let Some((page, within)) = described {
                    let what = format!("of the physical page {page}, byte {within}");
                    self.add("struct page", what, "vmemmap holds one for each page");
                }
            }
            layout::ENTRY_AREA => self.entry_area(),
            layout::FIXMAP => self.fixmap(),
            _ if self.found.is_empty() && band != layout::DIRECT_MAP && !band.is_empty() => {
                self.add(
                    "band",
                    band.to_owned(),
                    "the kernel's documentation of its layout",
                );
            }
            _ => {}
        }
    }

    fn vmalloc(&mut self) {
        match vmalloc_area(self.symbols, self.at, self.memory) {
            Ok(Some(area)) => {
                let size = area.range.len();
                let mut what = format!(
                    "{size:#x} bytes from {:#x}, {}",
                    area.range.start.0,
                    counted(area.pages, "page")
                );
                for word in area.words() {
                    what.push_str(", ");
                    what.push_str(word);
                }
                if let Some(caller) = area.caller.and_then(|at| self.symbols.at(at)) {
                    what.push_str(&format!(", asked for by {}", caller.name));
                }
                self.add(
                    "vmalloc area",
                    what,
                    "the kernel's tree of vmalloc areas has it",
                );
            }
            Ok(None) if self.found.is_empty() => {
                let because = "the kernel's tree of vmalloc areas has none around it";
                self.add("nothing", "no vmalloc area".to_owned(), because);
            }
            Ok(None) => {}
            Err(error) => self.add("band", "vmalloc".to_owned(), error.to_string()),
        }
    }

    /// `struct cpu_entry_area`, one behind the other after a page that shows the IDT.
    fn entry_area(&mut self) {
        let within = self.at - guest::CPU_ENTRY_AREA.start;
        if within < 0x1000 {
            let what = format!("interrupt {}'s gate", within / 16);
            let because = "the first page of the CPU entry area shows the IDT";
            return self.add("IDT", what, because);
        }
        let size = self.symbols.type_named("struct cpu_entry_area");
        let size = size.map_or(0, |of| self.symbols.size_of(of));
        let Some(slot) = (within - 0x1000).checked_div(size) else {
            return;
        };
        let offset = (within - 0x1000) % size;
        // Some kernels shuffle them: a CPU's slot is then in its own area.
        let shuffled = self.symbols.address_of("_cea_offset");
        let cpu = self
            .around
            .live
            .cpu_areas
            .iter()
            .position(|area| match shuffled {
                None => false,
                Some(variable) => {
                    let at = area.start.wrapping_add(variable.0);
                    guest::read_word("_cea_offset", at, self.memory)
                        .is_ok_and(|found| found & 0xffff_ffff == slot)
                }
            });
        let whose = match (cpu, shuffled) {
            (Some(cpu), _) => format!("CPU {cpu}"),
            (None, None) => format!("CPU {slot}"),
            (None, Some(_)) => "no CPU".to_owned(),
        };
        let part = self.symbols.type_named("struct cpu_entry_area");
        let part = part.and_then(|of| match self.symbols.plain_type(of).1 {
            Type::Record { members, .. } => members
                .into_iter()
                .rfind(|member| member.offset <= offset)
                .map(|member| format!("{}{}", member.name, plus(offset - member.offset))),
            _ => None,
        });
        let part = part.unwrap_or_else(|| format!("byte {offset:#x}"));
        self.add(
            "CPU entry area",
            format!("{part} of {whose}"),
            "struct cpu_entry_area",
        );
    }

    /// By the enumerators of `enum fixed_addresses`, counted downwards from the top.
    fn fixmap(&mut self) {
        const TOP: u64 = 0xffff_ffff_ff7f_f000;
        if self.at.0 >= TOP + 0x1000 {
            return self.add(
                "nothing",
                "above the fixed mappings".to_owned(),
                "the kernel leaves the last 8 MiB free",
            );
        }
        let index = TOP.wrapping_sub(self.at.0 & !0xfff) >> 12;
        let of = self.symbols.type_named("enum fixed_addresses");
        let name = of.and_then(|of| match self.symbols.plain_type(of).1 {
            Type::Enum { values, .. } => values
                .into_iter()
                .rfind(|(name, value)| value.cast_unsigned() <= index && !name.starts_with("__"))
                .map(|(name, value)| format!("{name}{}", plus(index - value.cast_unsigned()))),
            _ => None,
        });
        if self.at.0 & !0xfff == 0xffff_ffff_ff60_0000 {
            return self.add(
                "vsyscall",
                "the old page of system calls".to_owned(),
                "its place never changes",
            );
        }
        let what = name.unwrap_or_else(|| format!("page {index} from the top"));
        self.add("fixmap", what, "enum fixed_addresses");
    }

    /// The page of physical memory below it.
    fn page(&mut self, band: &'static str) {
        let Some(physical) = self.around.physical else {
            return;
        };
        let bases = self.around.bases();
        let page = match page(self.symbols, bases, physical, self.memory) {
            Ok(page) => page,
            Err(_) => return,
        };
        let because = format!("struct page at {:#x}, flags {:#x}", page.addr.0, page.flags);
        let start = page.start;
        let what = match &page.kind {
            PageKind::Slab if band == layout::DIRECT_MAP => return self.slab(&page, bases),
            PageKind::Slab => "objects of a kmem_cache".to_owned(),
            PageKind::Free => "free".to_owned(),
            PageKind::PageTable => "a page table".to_owned(),
            PageKind::Anonymous => "anonymous memory of processes".to_owned(),
            PageKind::File { name, offset } => {
                let within = physical.0.wrapping_sub(start.0) & !0xfff;
                format!(
                    "of the file {name}, from its byte {:#x}",
                    offset.wrapping_add(within)
                )
            }
            PageKind::Reserved => "the kernel's own since it booted".to_owned(),
            PageKind::Other => "in use by the kernel".to_owned(),
        };
        let top = bases.direct_map.wrapping_add(physical.0 & !0xfff);
        let owner = self.around.tasks.iter().find(|task| task.pgd == Some(top));
        if let Some(task) = owner {
            let what = format!("the outermost one of {}", task.label());
            self.add("page table", what, "its mm_struct.pgd points there");
        }
        self.add("page", format!("physical {physical}: {what}"), because);
    }

    fn slab(&mut self, page: &guest::Page, bases: Bases) {
        let areas = &self.around.live.cpu_areas;
        let object = slab_object(self.symbols, bases, page, self.at, areas, self.memory);
        let because = format!("the slab's struct page is {:#x}", page.addr.0);
        match object {
            Ok(object) => {
                let state = match &object.in_use {
                    Known::Yes(true) => "in use".to_owned(),
                    Known::Yes(false) => "free".to_owned(),
                    Known::Asked => "not asked".to_owned(),
                    Known::No(why) => format!("in use or not is unknown: {why}"),
                };
                let state = match object.sharing {
                    1 => state,
                    caches => format!("{state}; {caches} caches of this size share the name"),
                };
                let what = match object.index {
                    Some(index) => {
                        let within = self.at.0.wrapping_sub(object.start.0).cast_signed();
                        format!(
                            "{} object at {:#x}, byte {within} of {}, number {index} of {}, {state}",
                            object.cache, object.start.0, object.size, object.count
                        )
                    }
                    None => format!(
                        "behind the {} of {}",
                        counted(object.count, "object"),
                        object.cache
                    ),
                };
                let short = match &object.in_use {
                    Known::Yes(false) => format!("free {} object", object.cache),
                    _ => {
                        let within = self.at.0.wrapping_sub(object.start.0);
                        format!("{} object{}", object.cache, plus(within))
                    }
                };
                let at = usize::from(self.found.first().is_some_and(|one| one.kind == "task"));
                let identity = Identity {
                    kind: "slab object",
                    what,
                    because,
                    short: Some(short),
                };
                self.found.insert(at.min(self.found.len()), identity);
            }
            Err(error) => self.add(
                "slab",
                "an object of a kmem_cache".to_owned(),
                error.to_string(),
            ),
        }
    }
}

fn plus(offset: u64) -> String {
    match offset {
        0 => String::new(),
        offset => format!("+{offset:#x}"),
    }
}
