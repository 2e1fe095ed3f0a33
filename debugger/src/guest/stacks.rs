//! Which of the many stacks a stack pointer is on.

use std::fmt;

use super::Task;
use super::read_word;
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
    /// One of the small stacks of the CPU entry area: of exceptions, and of the way out.
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
            Self::Entry => f.write_str("entry stack"),
            Self::Other => f.write_str("a stack of neither the task nor the CPU"),
        }
    }
}

/// By the stack pointer, the current task and the CPU's own area.
pub fn stack_in_use(
    symbols: &Symbols,
    registers: &RegisterSet,
    current: Option<&Task>,
    memory: &mut Memory<'_>,
) -> Stack {
    let Some(sp) = registers.sp() else {
        return Stack::Other;
    };
    if !sp.in_kernel_half() {
        return Stack::Application;
    }
    // The top of a stack is its first address beyond.
    let on = |range: AddrRange| range.start < sp && sp <= range.end;
    if let Some(task) = current
        && on(task.stack)
    {
        return Stack::Task(task.label());
    }
    if on(CPU_ENTRY_AREA) {
        return Stack::Entry;
    }
    let top = symbols
        .address_of("hardirq_stack_ptr")
        .zip(registers.gs_base)
        .and_then(|(offset, base)| {
            read_word(
                "hardirq_stack_ptr",
                Addr(base).wrapping_add(offset.0),
                memory,
            )
            .ok()
        });
    match top {
        // The pointer stands a word below the top.
        Some(top)
            if on(AddrRange::new(
                Addr(top).wrapping_sub(INTERRUPT_STACK),
                Addr(top) + 8,
            )) =>
        {
            Stack::Interrupt
        }
        _ => Stack::Other,
    }
}
