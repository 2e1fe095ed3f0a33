//! The state of a task that is not running: where `__switch_to_asm` has left it.

use super::{GuestError, Struct, Task, read_word};
use crate::symbols::Symbols;
use crate::symbols::unwind::{Memory, Reg, RegisterSet};

/// A task's registers as they were pushed, and whether they stand behind a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asleep {
    pub registers: RegisterSet,
    /// False for a task that has never run: it will begin with an instruction that nothing called.
    pub after_call: bool,
}

/// `struct inactive_task_frame`'s fields (asm/switch_to.h).
const FIELDS: [(&str, Reg); 7] = [
    ("r15", Reg::R15),
    ("r14", Reg::R14),
    ("r13", Reg::R13),
    ("r12", Reg::R12),
    ("bx", Reg::RBX),
    ("bp", Reg::RBP),
    ("ret_addr", Reg::RIP),
];

/// Of a running task this is old: where it was when it last slept.
pub fn asleep(
    symbols: &Symbols,
    task: &Task,
    memory: &mut Memory<'_>,
) -> Result<Asleep, GuestError> {
    let of = Struct::named(symbols, "struct inactive_task_frame")?;
    let mut registers = RegisterSet::default();
    for (field, register) in FIELDS {
        let (at, _) = of.field(symbols, field)?;
        let value = read_word("inactive_task_frame", task.saved_sp + at, memory)?;
        registers.set(register, Some(value));
    }
    let above = task.saved_sp + of.size(symbols);
    registers.set(Reg::RSP, Some(above.0));
    let pc = registers.pc();
    let fresh = pc
        .and_then(|pc| symbols.at(pc))
        .is_some_and(|symbol| symbol.name.starts_with("ret_from_fork") && Some(symbol.addr) == pc);
    Ok(Asleep {
        registers,
        after_call: !fresh,
    })
}
