//! Which addresses a probe reports, and as what: from the symbols' names.

use std::sync::Arc;

use wire::{Kind, Site, SiteFlags, Word};

use super::call_sites::CallSite;
use super::fold::{IMPLEMENTATION, names_a_call};
use super::functions::{Function, Functions};
use crate::addr::{Addr, AddrRange, AddrRanges};
use crate::origin::Origin;
use crate::profile::{EntryCode, Profile};

/// A symbol of code, as the symbol table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code<'a> {
    pub name: &'a str,
    pub range: AddrRange,
    pub origin: Origin,
    /// A place in assembly without the type of a function.
    pub label: bool,
    pub global: bool,
    pub file: Option<&'a str>,
}

/// Where the application's code and the entry assembly lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    pub app_text: AddrRanges,
    pub entry_text: AddrRange,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteTable {
    pub sites: Vec<Site>,
    pub functions: Functions,
    /// Where the application's code leaves it.
    pub calls: Vec<CallSite>,
}

/// Assembly that is called, though it has no type: handlers of exceptions call it first.
const CALLED: &[&str] = &["error_entry", "xen_error_entry", "paranoid_entry"];

/// Tables of interrupt stubs of eight bytes each (`IDT_ALIGN`): the CPU may enter at any of them.
const STUBS: &[&str] = &["irq_entries_start", "spurious_entries_start"];
const STUB_BYTES: u64 = 8;

/// Handlers of exceptions that come after the instruction that caused them, or after none. What `asm_exc_`
/// begins any other comes before it: Intel's manual, volume 3, "Exception classifications". A double fault is
/// there a fault whose own frame found no stack.
const AFTERWARDS: &[&str] = &[
    "asm_exc_int3",
    "asm_exc_overflow",
    "asm_exc_debug",
    "asm_exc_nmi",
    "asm_exc_machine_check",
    "asm_exc_xen_hypervisor_callback",
];

const PAGE_FAULT: &str = "asm_exc_page_fault";

/// The handlers of exceptions while the kernel starts: stubs of one length, one after the other.
const EARLY: &str = "early_idt_handler_array";
const EARLY_STUBS: u64 = 32;
/// Debug exception, NMI, breakpoint and overflow are [`AFTERWARDS`].
const EARLY_AFTERWARDS: std::ops::RangeInclusive<u64> = 1..=4;

/// Entry points of instructions that make a system call, for programs of 32 bits.
const COMPAT_ENTRIES: &[&str] = &[
    "entry_SYSCALL_compat",
    "entry_SYSENTER_compat",
    "entry_INT80_compat",
];

/// The first instructions of a new task.
const TASK_STARTS: &[&str] = &["ret_from_fork", "ret_from_fork_asm"];

/// The function that changes the stack from one task's to the next one's.
const SWITCHER: &str = "__switch_to_asm";

impl SiteTable {
    /// From all symbols of code, in any order; several at one address are names of one function.
    #[must_use]
    pub fn build<'a>(
        symbols: impl Iterator<Item = Code<'a>>,
        ranges: &Ranges,
        profile: &Arc<Profile>,
    ) -> Self {
        let of_site = |code: &Code<'a>| is_site(code, ranges, profile);
        let mut code: Vec<Code<'a>> = symbols.filter(of_site).collect();
        code.sort_by_key(|code| (code.range.start, worth(code)));
        code.dedup_by_key(|code| code.range.start);
        let mut table = Self {
            sites: Vec::new(),
            functions: Functions::of(Arc::clone(profile)),
            calls: Vec::new(),
        };
        for (i, symbol) in code.iter().enumerate() {
            table.add(symbol, ranges, profile);
            let next = code.get(i + 1).map(|next| next.range.start);
            let end = symbol.range.end;
            // Where the next function is on the other side of a wide hole, this one's code ends.
            if next.is_none_or(|next| end < next && next - end > 1 << 20) {
                let flags = SiteFlags::END;
                table.sites.push(Site::new(
                    end.0,
                    Kind::Entry,
                    wire::record::NO_FUNCTION,
                    flags,
                ));
            }
        }
        table
    }

    /// Where crossings begin and end, and what they are named by, alone: all other functions are their
    /// callers'.
    #[must_use]
    pub fn boundary(mut self) -> Self {
        let profile = Arc::clone(self.functions.profile());
        let named = |site: &Site| &self.functions.get(site.word().function()).name;
        let is_gate = |site: &Site| site.is_app() && profile.calls.gate.has(named(site));
        // What is linked into the kernel calls by them.
        let has_gates = self.sites.iter().any(is_gate);
        for site in &mut self.sites {
            let name = &self.functions.get(site.word().function()).name;
            let has = |flag| site.flags & flag != 0;
            if has(SiteFlags::END) {
                continue;
            }
            if site.is_app() {
                site.flags &= !SiteFlags::OWN;
                if profile.calls.gate.has(name) {
                    // Its jump tells that the application calls.
                    site.flags |= SiteFlags::INNER;
                } else if !profile.begins_in_app(name) {
                    let by_gates = has_gates && Addr(site.address).in_kernel_half();
                    let calls = if by_gates { 0 } else { SiteFlags::CALLS };
                    site.flags |= SiteFlags::QUIET | calls;
                }
            } else if has(SiteFlags::LABEL) && !name.starts_with("asm_") {
                // Interrupts are named by what their stubs jump to.
                let kind = site.word().kind().unwrap_or(Kind::Entry);
                site.word = Word::new(kind, wire::record::NO_FUNCTION).0;
                site.flags |= SiteFlags::INNER;
            } else if site.word().kind() == Some(Kind::Entry)
                && !has(SiteFlags::LEAVES | SiteFlags::SWITCHES)
                && !profile.calls.bypass.has(name)
                && !names_a_call(name)
            {
                site.flags |= SiteFlags::QUIET;
            } else if name.starts_with(IMPLEMENTATION) {
                site.flags |= SiteFlags::WITHIN;
            }
        }
        self.calls.clear();
        self
    }

    fn add(&mut self, symbol: &Code<'_>, ranges: &Ranges, profile: &Profile) {
        let kind = kind(symbol, ranges, profile);
        let label = is_label(symbol, kind, ranges, profile);
        let function = self.functions.push(Function {
            name: symbol.name.to_owned(),
            origin: symbol.origin,
            label,
            file: symbol.file.map(str::to_owned),
        });
        let mut flags = if label { SiteFlags::LABEL } else { 0 };
        if symbol.name == SWITCHER {
            flags |= SiteFlags::SWITCHES;
        }
        let exception = kind == Kind::FaultEntry && symbol.name != EARLY;
        if exception && !AFTERWARDS.contains(&symbol.name) {
            flags |= SiteFlags::FAULTS;
        }
        if CALLED.contains(&symbol.name) {
            flags |= SiteFlags::FRAMES;
        }
        if symbol.name == PAGE_FAULT {
            flags |= SiteFlags::PAGE_FAULTS;
        }
        if kind == Kind::AppEntry && symbol.origin == Origin::App {
            flags |= SiteFlags::OWN;
        }
        // The last instruction of the way back by a return leaves the kernel.
        if profile.calls.returns_to_app.has(symbol.name) {
            flags |= SiteFlags::RETURNS;
        }
        if ranges.entry_text.contains(symbol.range.start) {
            flags |= SiteFlags::LEAVES;
        }
        let Addr(start) = symbol.range.start;
        if symbol.name == EARLY {
            let length = symbol.range.len() / EARLY_STUBS;
            self.sites.extend((0..EARLY_STUBS).map(|i| {
                let faults = !EARLY_AFTERWARDS.contains(&i);
                let flags = if faults {
                    flags | SiteFlags::FAULTS
                } else {
                    flags
                };
                Site::new(start + i * length, kind, function, flags)
            }));
            return;
        }
        self.sites.push(Site::new(start, kind, function, flags));
        if STUBS.contains(&symbol.name) {
            let stubs = symbol.range.len() / STUB_BYTES;
            let at = |i| Site::new(start + i * STUB_BYTES, kind, function, flags);
            self.sites.extend((1..stubs).map(at));
        }
    }
}

/// Labels matter in the entry assembly, which has hardly anything else; elsewhere only a task's start.
fn is_site(code: &Code<'_>, ranges: &Ranges, profile: &Profile) -> bool {
    if !code.label {
        return !code.range.is_empty();
    }
    // Marks on a single instruction, and the ends of things.
    let mark = code.name.starts_with("__")
        || code.name.ends_with("_end")
        || profile.entry_code(code.name) == Some(EntryCode::StubReturn);
    let place = ranges.entry_text.contains(code.range.start)
        || ranges.app_text.contains(code.range.start)
        || TASK_STARTS.contains(&code.name)
        || code.name == EARLY;
    place && !mark
}

/// Of several names the one to show comes first: functions, then global ones, then the shortest.
fn worth(code: &Code<'_>) -> (bool, bool, bool, usize, String) {
    let compiler_made = code.name.contains('.') || code.name.starts_with("__pfx");
    (
        code.label,
        compiler_made,
        !code.global,
        code.name.len(),
        code.name.to_owned(),
    )
}

fn kind(code: &Code<'_>, ranges: &Ranges, profile: &Profile) -> Kind {
    let name = code.name;
    if ranges.app_text.contains(code.range.start) || !code.range.start.in_kernel_half() {
        Kind::AppEntry
    } else if COMPAT_ENTRIES.contains(&name) || profile.is_syscall_door(name) {
        Kind::SyscallEntry
    } else if name.starts_with("asm_exc_") || name == EARLY {
        Kind::FaultEntry
    } else if name.starts_with("asm_sysvec_") || STUBS.contains(&name) {
        Kind::InterruptEntry
    } else if TASK_STARTS.contains(&name) {
        Kind::TaskStart
    } else {
        Kind::Entry
    }
}

fn is_label(code: &Code<'_>, kind: Kind, ranges: &Ranges, profile: &Profile) -> bool {
    let entered_by_call = profile.entry_code(code.name) == Some(EntryCode::Stub);
    code.label
        && kind == Kind::Entry
        && ranges.entry_text.contains(code.range.start)
        && !CALLED.contains(&code.name)
        && !entered_by_call
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: &str, start: u64, size: u64, label: bool) -> Code<'_> {
        Code {
            name,
            range: AddrRange::new(Addr(start), Addr(start + size)),
            origin: Origin::Unknown,
            label,
            global: true,
            file: None,
        }
    }

    const BASE: u64 = 0xffff_ffff_8100_0000;

    fn ranges() -> Ranges {
        Ranges {
            app_text: AddrRange::new(Addr(BASE + 0x8000), Addr(BASE + 0x9000)).into(),
            entry_text: AddrRange::new(Addr(BASE + 0x4000), Addr(BASE + 0x5000)),
        }
    }

    fn ukl() -> std::sync::Arc<Profile> {
        Profile::recognise(|name| name == "__ukl_text_start")
    }

    fn check(symbol: Code<'_>, kind: Kind, flags: u32) {
        let table = SiteTable::build(std::iter::once(symbol.clone()), &ranges(), &ukl());
        let site = table.sites[0];
        assert_eq!(
            (site.word().kind(), site.flags & !SiteFlags::LEAVES),
            (Some(kind), flags),
            "{}",
            symbol.name
        );
        assert_eq!(
            table.functions.get(site.word().function()).name,
            symbol.name
        );
    }

    #[test]
    fn names_and_places_decide_what_an_entry_is() {
        check(code("vfs_read", BASE, 64, false), Kind::Entry, 0);
        check(code("main", BASE + 0x8000, 64, false), Kind::AppEntry, 0);
        check(code("main", 0x40_1000, 64, false), Kind::AppEntry, 0);
        check(
            code("asm_exc_page_fault", BASE + 0x4100, 40, true),
            Kind::FaultEntry,
            SiteFlags::FAULTS | SiteFlags::PAGE_FAULTS,
        );
        check(
            code("asm_exc_int3", BASE + 0x4100, 40, true),
            Kind::FaultEntry,
            0,
        );
        check(
            code("asm_sysvec_reboot", BASE + 0x4100, 40, true),
            Kind::InterruptEntry,
            0,
        );
        check(
            code("entry_SYSCALL_64", BASE + 0x4100, 40, true),
            Kind::SyscallEntry,
            0,
        );
        check(
            code("error_entry", BASE + 0x4100, 40, true),
            Kind::Entry,
            SiteFlags::FRAMES,
        );
        check(
            code("error_return", BASE + 0x4100, 40, true),
            Kind::Entry,
            SiteFlags::LABEL,
        );
        check(
            code("ukl_bypass_syscall", BASE + 0x4100, 40, true),
            Kind::Entry,
            0,
        );
        check(
            code("ukl_ret_to_app", BASE + 0x4100, 40, true),
            Kind::Entry,
            SiteFlags::LABEL | SiteFlags::RETURNS,
        );
        check(code("ret_from_fork", BASE, 40, true), Kind::TaskStart, 0);
        check(
            code("__switch_to_asm", BASE, 40, false),
            Kind::Entry,
            SiteFlags::SWITCHES,
        );
    }

    #[test]
    fn every_interrupt_stub_is_an_entry_of_the_same_function() {
        let stubs = code("irq_entries_start", BASE + 0x4000, 32, true);
        let table = SiteTable::build(std::iter::once(stubs), &ranges(), &ukl());
        let entries: Vec<_> = table
            .sites
            .iter()
            .filter(|site| site.flags == SiteFlags::LEAVES)
            .collect();
        assert_eq!(entries.len(), 4);
        assert!(entries.iter().all(|site| site.word == entries[0].word));
        assert_eq!(entries[3].address, BASE + 0x4000 + 24);
    }

    #[test]
    fn every_handler_of_the_kernel_s_start_is_one_of_a_fault_but_for_four() {
        let stubs = code("early_idt_handler_array", BASE, 32 * 9, true);
        let table = SiteTable::build(std::iter::once(stubs), &ranges(), &ukl());
        let entries = table
            .sites
            .iter()
            .filter(|site| site.flags & SiteFlags::END == 0);
        let faults = entries.map(|site| site.flags & SiteFlags::FAULTS != 0);
        let faults: Vec<bool> = faults.collect();
        assert_eq!(faults.len(), 32);
        assert_eq!(faults[..6], [true, false, false, false, false, true]);
        assert!(faults[5..].iter().all(|faults| *faults));
        assert_eq!(table.sites[14].address, BASE + 14 * 9);
    }

    #[test]
    fn the_boundary_is_where_crossings_begin_end_and_are_named() {
        let symbols = [
            code("vfs_read", BASE, 64, false),
            code("__x64_sys_read", BASE + 0x100, 64, false),
            code("tcp_recvmsg", BASE + 0x200, 64, false),
            code("ukl_bypass_syscall", BASE + 0x4000, 64, true),
            code("error_return", BASE + 0x4100, 64, true),
            code("main", BASE + 0x8000, 64, false),
            code("ukl__start", BASE + 0x8100, 64, false),
            code("__ukl_syscall", BASE + 0x8200, 64, false),
        ];
        let table = SiteTable::build(symbols.into_iter(), &ranges(), &ukl()).boundary();
        let found: Vec<_> = table
            .sites
            .iter()
            .map(|site| (site.address - BASE, site.flags))
            .collect();
        let (label, inner) = (SiteFlags::LABEL, SiteFlags::INNER);
        let expected = [
            (0, SiteFlags::QUIET),
            (0x100, SiteFlags::WITHIN),
            (0x200, 0),
            (0x4000, SiteFlags::LEAVES),
            (0x4100, SiteFlags::LEAVES | label | inner),
            (0x8000, SiteFlags::QUIET),
            (0x8100, 0),
            (0x8200, inner),
            (0x8240, SiteFlags::END),
        ];
        assert_eq!(found, expected);
        let label = table.sites[4].word();
        assert_eq!(label.function(), wire::record::NO_FUNCTION);
    }

    #[test]
    fn who_has_no_gate_calls_by_an_instruction() {
        let calls = |symbols: Vec<Code<'_>>| {
            let table = SiteTable::build(symbols.into_iter(), &ranges(), &ukl()).boundary();
            table.sites[0].flags & SiteFlags::CALLS != 0
        };
        let gate = || code("__ukl_syscall", BASE + 0x8200, 64, false);
        let linked = || code("main", BASE + 0x8000, 64, false);
        assert!(!calls(vec![linked(), gate()]));
        assert!(calls(vec![linked()]));
        // In ring 3, beside a kernel that has an application with gates in it.
        assert!(calls(vec![code("main", 0x40_1000, 64, false), gate()]));
    }

    #[test]
    fn one_address_is_one_function_under_its_best_name() {
        let symbols = [
            code("__irqentry_text_end", BASE + 0x4000, 0, true),
            code("memcpy", BASE, 32, false),
            code("__memcpy", BASE, 32, false),
        ];
        let table = SiteTable::build(symbols.into_iter(), &ranges(), &ukl());
        assert_eq!(table.functions.len(), 2);
        assert_eq!(table.functions.get(1).name, "memcpy");
    }
}
