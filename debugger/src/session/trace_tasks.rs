//! The names of a traced run's tasks, read in the guest's memory while it runs: the guest does nothing for
//! it, and QEMU neither.

use std::collections::BTreeMap;
use std::time::Duration;

use wire::Choice;
use wire::layout::{MOST_NAMES, NAME_BYTES};

use super::shared_memory::SharedMemory;
use super::trace_error::TraceError;
use crate::addr::{Addr, PhysAddr};
use crate::symbols::Symbols;
use crate::trace::report::TaskName;

/// What the kernel's first byte of physical memory is linked at (`__START_KERNEL_map`).
const LINKED_AT: u64 = 0xffff_ffff_8000_0000;
/// Where all of memory is mapped, in a kernel that does not move it (`__PAGE_OFFSET_BASE_L4`).
const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;
/// Between two looks at tasks: a task may change its name.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where a name stands, from where the task's stack pointer is kept.
#[derive(Clone, Copy, Debug)]
struct Places {
    stack_pointer: u64,
    comm: u64,
    comm_bytes: usize,
    pid: u64,
}

/// What is known of the tasks so far.
#[derive(Debug)]
pub(super) struct TaskNames {
    memory: SharedMemory,
    /// Why no task can have a name, where none can.
    places: Result<Places, String>,
    /// Where the kernel keeps the base of its map of all memory, where it may be moved.
    base_at: Option<PhysAddr>,
    names: BTreeMap<u32, TaskName>,
}

impl TaskNames {
    pub(super) fn new(memory: SharedMemory, symbols: &Symbols) -> Self {
        let base = symbols.address_of("page_offset_base");
        let base = base.map(|base| symbols.slide().linked(base));
        Self {
            memory,
            places: places(symbols),
            base_at: base
                .and_then(|base| base.0.checked_sub(LINKED_AT))
                .map(PhysAddr),
            names: BTreeMap::new(),
        }
    }

    /// Looks at these tasks: their numbers, and where their stack pointers are kept. What was read of one
    /// before stays where nothing can be read now: it may have ended.
    pub(super) fn look(&mut self, tasks: impl Iterator<Item = (u32, u64)>) {
        for (task, address) in tasks {
            let found = match &self.places {
                Ok(places) => self.read(places, address),
                Err(why) => Err(why.clone()),
            };
            let known = self.names.entry(task).or_insert_with(|| TaskName {
                task,
                address: Addr(address),
                comm: None,
                pid: None,
                unknown: None,
            });
            match found {
                Ok((comm, pid)) => {
                    (known.comm, known.pid, known.unknown) = (Some(comm), Some(pid), None);
                }
                Err(why) if known.comm.is_none() => known.unknown = Some(why),
                Err(_) => {}
            }
        }
    }

    pub(super) fn list(&self) -> Vec<TaskName> {
        self.names.values().cloned().collect()
    }

    fn read(&self, places: &Places, address: u64) -> Result<(String, u64), String> {
        let task = address.wrapping_sub(places.stack_pointer);
        let read = |at: u64, bytes: &mut [u8]| {
            let physical = self.physical(at)?;
            self.memory.read(physical, bytes).then_some(())
        };
        let nothing = || format!("nothing readable is at its task_struct, 0x{task:x}");
        let mut comm = vec![0; places.comm_bytes];
        read(task.wrapping_add(places.comm), &mut comm).ok_or_else(nothing)?;
        let mut pid = [0; 4];
        read(task.wrapping_add(places.pid), &mut pid).ok_or_else(nothing)?;
        let end = comm.iter().position(|byte| *byte == 0);
        let name = end.and_then(|end| std::str::from_utf8(&comm[..end]).ok());
        let name = name.filter(|name| !name.is_empty() && !name.contains(char::is_control));
        let name =
            name.ok_or("its task_struct held no name when it was looked at: it had ended")?;
        Ok((name.to_owned(), u64::from(u32::from_le_bytes(pid))))
    }

    /// Of an address in the map of all memory, or in the kernel's image.
    fn physical(&self, at: u64) -> Option<PhysAddr> {
        if at >= LINKED_AT {
            return Some(PhysAddr(at - LINKED_AT));
        }
        let mut base = [0; 8];
        let is_read = self
            .base_at
            .is_some_and(|at| self.memory.read(at, &mut base));
        let base = match u64::from_le_bytes(base) {
            0 => DIRECT_MAP,
            moved if is_read => moved,
            _ => DIRECT_MAP,
        };
        at.checked_sub(base).map(PhysAddr)
    }
}

/// The tasks of these names, for the plugin; none: all.
pub(super) fn choice(names: &[String], symbols: &Symbols) -> Result<Choice, TraceError> {
    let mut choice = Choice::default();
    let Some(first) = names.first() else {
        return Ok(choice);
    };
    let failed = |name: &str, why: String| TraceError::Task {
        name: name.to_owned(),
        why,
    };
    if names.len() > choice.name.len() {
        let why = format!(
            "they are {}, {MOST_NAMES} at most can be named",
            names.len()
        );
        return Err(failed(&names.join(","), why));
    }
    let places = places(symbols).map_err(|why| {
        failed(
            first,
            format!("{why}; give a vmlinux with DWARF, or leave --only-tasks out"),
        )
    })?;
    choice.name_offset = places.comm.cast_signed() - places.stack_pointer.cast_signed();
    for (name, place) in names.iter().zip(&mut choice.name) {
        if name.is_empty() || name.len() >= NAME_BYTES {
            let most = NAME_BYTES - 1;
            let why = format!(
                "the kernel keeps 1 to {most} bytes of a task's name; give the name as the list of tasks has it"
            );
            return Err(failed(name, why));
        }
        place[..name.len()].copy_from_slice(name.as_bytes());
        choice.names += 1;
    }
    Ok(choice)
}

fn places(symbols: &Symbols) -> Result<Places, String> {
    let lacks = |what: &str| format!("vmlinux does not tell where task_struct.{what} is");
    let task = symbols
        .type_named("struct task_struct")
        .ok_or_else(|| lacks("comm"))?;
    let field = |path: &str| symbols.field(task, path).ok_or_else(|| lacks(path));
    let (comm, kind) = field("comm")?;
    let bytes = usize::try_from(symbols.size_of(kind)).unwrap_or(0);
    Ok(Places {
        stack_pointer: field("thread.sp")?.0,
        comm,
        comm_bytes: bytes.clamp(1, 64),
        pid: field("pid")?.0,
    })
}
