//! Which of the many stacks a stack pointer is on.

use std::fmt;

use super::{Struct, Task, in_each_cpu, read_word};
use crate::addr::{Addr, AddrRange};
use crate::symbols::Symbols;
use crate::symbols::unwind::{Memory, RegisterSet};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stack {
    /// In the user half: the application's, in whatever ring it runs.
    Application,
    /// The stack in the kernel of this task.
    Task(String),
    Interrupt,
    /// A stack of its own that the processor changes to for this: `NMI`, `double fault`.
    Exception(&'static str),
    /// The small stack of the CPU entry area by which ring 3 is entered and left.
    Entry,
    Other,
}

/// Documentation/x86/x86_64/mm.rst: the CPU entry area has a fixed place, with 4 and 5 levels.
pub(crate) const CPU_ENTRY_AREA: AddrRange = AddrRange {
    start: Addr(0xffff_fe00_0000_0000),
    end: Addr(0xffff_fe80_0000_0000),
};

/// arch/x86/include/asm/page_64_types.h: IRQ_STACK_SIZE, without KASAN.
const INTERRUPT_STACK: u64 = 0x4000;

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application => f.write_str("application stack"),
            Self::Task(label) => write!(f, "task stack of {label}"),
            Self::Interrupt => f.write_str("IRQ stack"),
            Self::Exception(of) => write!(f, "{of} stack"),
            Self::Entry => f.write_str("entry stack"),
            Self::Other => f.write_str("a stack of neither the task nor the CPU"),
        }
    }
}

/// The exception stacks of a CPU, as `struct cea_exception_stacks` calls them (asm/cpu_entry_area.h).
/// The last is that of UKL: `error_entry` leaves it before anything can nest.
const EXCEPTIONS: [(&str, &str); 7] = [
    ("DF_stack", "double fault"),
    ("NMI_stack", "NMI"),
    ("DB_stack", "debug exception"),
    ("MCE_stack", "machine check"),
    ("VC_stack", "VMM communication"),
    ("VC2_stack", "second VMM communication"),
    ("UKL_stack", "UKL shared exception"),
];

/// The stacks of a CPU and its current task, to place many stack pointers.
#[derive(Clone, Debug, Default)]
pub struct Stacks {
    known: Vec<(AddrRange, Stack)>,
}

impl Stacks {
    /// By the CPU's own area, which the registers point to.
    pub fn of(
        symbols: &Symbols,
        registers: &RegisterSet,
        current: Option<&Task>,
        memory: &mut Memory<'_>,
    ) -> Self {
        let mut known = Vec::new();
        if let Some(task) = current {
            known.push((task.stack, Stack::Task(task.label())));
        }
        if let Some(base) = registers.gs_base {
            let base = Addr(base);
            exception_stacks(symbols, base, memory, &mut known);
            if let Some(top) = interrupt_top(symbols, base, memory) {
                // The pointer stands a word below the top.
                let range = AddrRange::new(top.wrapping_sub(INTERRUPT_STACK), top + 8);
                known.push((range, Stack::Interrupt));
            }
        }
        // What is in it and not one of the above is the way in and out.
        known.push((CPU_ENTRY_AREA, Stack::Entry));
        Self { known }
    }

    /// The stack of this CPU that an address lies in, the task's own left out.
    #[must_use]
    pub fn of_cpu(&self, at: Addr) -> Option<(AddrRange, &Stack)> {
        let own = |stack: &Stack| matches!(stack, Stack::Interrupt | Stack::Exception(_));
        let found = self
            .known
            .iter()
            .find(|(range, stack)| own(stack) && range.contains(at))?;
        Some((found.0, &found.1))
    }

    #[must_use]
    pub fn at(&self, sp: Addr) -> Stack {
        if !sp.in_kernel_half() {
            return Stack::Application;
        }
        // The top of a stack is its first address beyond.
        let found = self
            .known
            .iter()
            .find(|(range, _)| range.start < sp && sp <= range.end);
        found.map_or(Stack::Other, |(_, stack)| stack.clone())
    }
}

fn exception_stacks(
    symbols: &Symbols,
    base: Addr,
    memory: &mut Memory<'_>,
    known: &mut Vec<(AddrRange, Stack)>,
) {
    let name = "cea_exception_stacks";
    let Some(offset) = symbols.address_of(name) else {
        return;
    };
    let Ok(start) = read_word(name, base.wrapping_add(offset.0), memory) else {
        return;
    };
    let Ok(of) = Struct::named(symbols, "struct cea_exception_stacks") else {
        return;
    };
    for (field, what) in EXCEPTIONS {
        if let Ok((at, kind)) = of.field(symbols, field) {
            let bottom = Addr(start).wrapping_add(at);
            let range = AddrRange::new(bottom, bottom.wrapping_add(symbols.size_of(kind)));
            if !range.is_empty() {
                known.push((range, Stack::Exception(what)));
            }
        }
    }
}

fn interrupt_top(symbols: &Symbols, base: Addr, memory: &mut Memory<'_>) -> Option<Addr> {
    let name = "hardirq_stack_ptr";
    let offset = in_each_cpu(symbols, name, name).ok()?;
    let top = read_word(name, base.wrapping_add(offset), memory).ok()?;
    Some(Addr(top)).filter(|top| top.in_kernel_half())
}
