//! Every task with its state: all threads of all processes.

use super::{GuestError, Struct, Task, read_field, task};
use crate::addr::Addr;
use crate::known::Known;
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

/// A task, and what it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Every {
    pub task: Task,
    pub state: State,
    pub cpu: Known<u32>,
    pub kernel_thread: bool,
}

/// Bits of `__state` and `exit_state` (include/linux/sched.h), as they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub bits: u64,
    /// It is on a CPU now.
    pub on_cpu: bool,
}

const INTERRUPTIBLE: u64 = 0x1;
const UNINTERRUPTIBLE: u64 = 0x2;
const STOPPED: u64 = 0x4;
const TRACED: u64 = 0x8;
const EXIT_DEAD: u64 = 0x10;
const ZOMBIE: u64 = 0x20;
const PARKED: u64 = 0x40;
const DEAD: u64 = 0x80;
const WAKEKILL: u64 = 0x100;
const NOLOAD: u64 = 0x400;
const NEW: u64 = 0x800;

/// `PF_KTHREAD` of `task_struct.flags`.
const KERNEL_THREAD: u64 = 0x0020_0000;

impl State {
    /// In words, and the letter that `ps` has for it.
    #[must_use]
    pub fn words(self) -> (&'static str, char) {
        let has = |bit| self.bits & bit != 0;
        if has(ZOMBIE) {
            ("zombie: ended, its parent has not asked yet", 'Z')
        } else if has(EXIT_DEAD) || has(DEAD) {
            ("dead", 'X')
        } else if has(TRACED) {
            ("stopped by a tracer", 't')
        } else if has(STOPPED) {
            ("stopped", 'T')
        } else if has(PARKED) {
            ("parked", 'P')
        } else if has(UNINTERRUPTIBLE) && has(NOLOAD) {
            ("idle: waits for work", 'I')
        } else if has(UNINTERRUPTIBLE) && has(WAKEKILL) {
            ("sleeping, only a fatal signal wakes it early", 'D')
        } else if has(UNINTERRUPTIBLE) {
            ("sleeping, no signal wakes it", 'D')
        } else if has(INTERRUPTIBLE) {
            ("sleeping", 'S')
        } else if has(NEW) {
            ("being created", 'R')
        } else if self.on_cpu {
            ("running", 'R')
        } else {
            ("waiting for a CPU", 'R')
        }
    }

    /// Whether its stack is as it left it: it is on no CPU.
    #[must_use]
    pub const fn is_asleep(self) -> bool {
        !self.on_cpu
    }
}

/// All tasks, the idle task first, at most `limit`. A thread that cannot be read ends the list of its
/// process's with what was found so far.
pub fn every(
    symbols: &Symbols,
    limit: usize,
    memory: &mut Memory<'_>,
) -> Result<Vec<Every>, GuestError> {
    let leaders = task::tasks(symbols, limit, memory)?;
    let of = Struct::named(symbols, "struct task_struct")?;
    let signal = Struct::named(symbols, "struct signal_struct")?;
    let (link, _) = of.field(symbols, "thread_node")?;
    let (head, _) = signal.field(symbols, "thread_head")?;
    let mut found = Vec::new();
    for leader in leaders {
        if found.len() >= limit {
            break;
        }
        let leader_at = leader.addr;
        let list = Addr(read_field(symbols, of, "signal", leader_at, memory)?) + head;
        found.push(detail(symbols, of, leader, memory)?);
        // The leader is on its own list as well. A list that changes while it is read may lead in a circle.
        let mut at = Addr(super::read_word("thread_head", list, memory)?);
        let mut links = 0;
        while at != list && links < limit && found.len() < limit {
            let thread = at.wrapping_sub(link);
            if thread != leader_at {
                let Ok(task) = task::read(symbols, thread, memory) else {
                    break;
                };
                found.push(detail(symbols, of, task, memory)?);
            }
            at = Addr(super::read_word("thread_node", at, memory)?);
            links += 1;
        }
    }
    Ok(found)
}

fn detail(
    symbols: &Symbols,
    of: Struct,
    task: Task,
    memory: &mut Memory<'_>,
) -> Result<Every, GuestError> {
    let at = task.addr;
    let mut number = |path: &str| read_field(symbols, of, path, at, memory);
    // Renamed in 5.14.
    let state = number("__state").or_else(|_| number("state"))?;
    let state = State {
        bits: state | number("exit_state")?,
        on_cpu: number("on_cpu").is_ok_and(|on| on != 0),
    };
    let cpu = number("thread_info.cpu").or_else(|_| number("cpu"));
    Ok(Every {
        state,
        cpu: Known::from(cpu).map(|cpu| u32::try_from(cpu).unwrap_or(u32::MAX)),
        kernel_thread: number("flags")? & KERNEL_THREAD != 0,
        task,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_named_as_ps_does() {
        let letter = |bits, on_cpu| State { bits, on_cpu }.words().1;
        assert_eq!(letter(0, true), 'R');
        assert_eq!(letter(1, false), 'S');
        assert_eq!(letter(2, false), 'D');
        assert_eq!(letter(0x402, false), 'I');
        assert_eq!(letter(0x102, false), 'D');
        assert_eq!(letter(0x80 | 0x20, false), 'Z');
        assert_eq!(letter(0x2001, false), 'S', "freezable");
    }
}
