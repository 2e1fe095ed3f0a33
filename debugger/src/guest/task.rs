//! Tasks: the current one, and all.

use super::{GuestError, Struct, address_of, in_each_cpu, read_field, read_word};
use crate::addr::{Addr, AddrRange};
use crate::known::Known;
use crate::symbols::Symbols;
use crate::symbols::unwind::{Memory, RegisterSet};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Of its `task_struct`.
    pub addr: Addr,
    pub comm: String,
    /// The thread's id.
    pub pid: u64,
    /// The process's.
    pub tgid: u64,
    /// Its stack in the kernel.
    pub stack: AddrRange,
    /// Where its stack stood when it was last switched away from.
    pub saved_sp: Addr,
    /// Its address space; none for a kernel thread.
    pub mm: Option<Addr>,
    /// Of that: where the outermost page table is mapped.
    pub pgd: Option<Addr>,
    /// The application's heap, from brk.
    pub heap: Option<AddrRange>,
    /// Whether it runs the application that is linked into the kernel.
    pub is_app: Known<bool>,
}

impl Task {
    /// `syscalls/1`, as the screens name a task.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}/{}", self.comm, self.pid)
    }
}

/// The task that the CPU of these registers runs.
pub fn current(
    symbols: &Symbols,
    registers: &RegisterSet,
    memory: &mut Memory<'_>,
) -> Result<Task, GuestError> {
    let base = registers.gs_base.ok_or(GuestError::NoCpuArea)?;
    let name = "current_task";
    let at = Addr(base).wrapping_add(in_each_cpu(symbols, name, name)?);
    let task = Addr(read_word(name, at, memory)?);
    read(symbols, task, memory)
}

/// Every process's first thread, from the idle task on, at most `limit`.
pub fn tasks(
    symbols: &Symbols,
    limit: usize,
    memory: &mut Memory<'_>,
) -> Result<Vec<Task>, GuestError> {
    let first = address_of(symbols, "init_task")?;
    let of = Struct::named(symbols, "struct task_struct")?;
    let (link, _) = of.field(symbols, "tasks")?;
    let mut tasks = Vec::new();
    let mut at = first;
    let mut seen = std::collections::HashSet::new();
    while tasks.len() < limit {
        if !seen.insert(at) {
            return Err(GuestError::Endless {
                what: "list of tasks",
                at,
                count: tasks.len(),
            });
        }
        tasks.push(read(symbols, at, memory)?);
        let next = read_field(symbols, of, "tasks.next", at, memory)?;
        at = Addr(next).wrapping_sub(link);
        if at == first {
            break;
        }
    }
    Ok(tasks)
}

/// The task whose `task_struct` is there.
pub fn read(symbols: &Symbols, addr: Addr, memory: &mut Memory<'_>) -> Result<Task, GuestError> {
    let of = Struct::named(symbols, "struct task_struct")?;
    let number = |path: &str, memory: &mut Memory<'_>| read_field(symbols, of, path, addr, memory);
    let (at, kind) = of.field(symbols, "comm")?;
    let mut comm = vec![0; usize::try_from(symbols.size_of(kind).clamp(1, 64)).unwrap_or(16)];
    if !memory(addr + at, &mut comm) {
        return Err(GuestError::Unreadable {
            what: "task_struct.comm".to_owned(),
            addr: addr + at,
        });
    }
    let end = comm.iter().position(|b| *b == 0).unwrap_or(comm.len());
    let stack = Addr(number("stack", memory)?);
    let mm = Some(Addr(number("mm", memory)?)).filter(|mm| mm.0 != 0);
    let mut task = Task {
        addr,
        comm: String::from_utf8_lossy(&comm[..end]).into_owned(),
        pid: number("pid", memory)?,
        tgid: number("tgid", memory)?,
        stack: AddrRange::new(stack, stack + stack_size(symbols)),
        saved_sp: Addr(number("thread.sp", memory)?),
        mm,
        pgd: None,
        heap: None,
        is_app: Known::Yes(false),
    };
    if let Some(mm) = mm {
        let of = Struct::named(symbols, "struct mm_struct")?;
        let number =
            |path: &str, memory: &mut Memory<'_>| read_field(symbols, of, path, mm, memory);
        task.pgd = Some(Addr(number("pgd", memory)?));
        let heap = AddrRange::new(
            Addr(number("start_brk", memory)?),
            Addr(number("brk", memory)?),
        );
        task.heap = Some(heap).filter(|heap| !heap.is_empty());
        let format = symbols.profile().task.format.as_deref();
        task.is_app = match format.and_then(|name| symbols.address_of(name)) {
            Some(format) => Known::from(number("binfmt", memory).map(|found| found == format.0)),
            None => Known::no("this kernel starts no linked-in application"),
        };
    }
    if let Some(field) = symbols.profile().task.mode_field.as_deref() {
        task.is_app = Known::from(number(field, memory).map(|mode| mode & 0xffff_ffff != 0));
    }
    Ok(task)
}

/// THREAD_SIZE is a macro; the first task's stack is as large.
fn stack_size(symbols: &Symbols) -> u64 {
    let start = symbols.address_of("__start_init_task");
    let end = symbols.address_of("__end_init_task");
    match (start, end) {
        (Some(start), Some(end)) if end > start => end - start,
        // arch/x86/include/asm/page_64_types.h, without KASAN.
        _ => 0x4000,
    }
}
