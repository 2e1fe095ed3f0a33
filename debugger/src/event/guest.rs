//! What is told of the guest's own things: its tasks.

use serde::Serialize;

use crate::addr::{Addr, AddrRange};
use crate::known::Known;

/// A task of the guest: a thread of a process, or of the kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskInfo {
    /// The thread's id, and the process's.
    pub pid: u64,
    pub tgid: u64,
    pub comm: String,
    /// `running`, `waiting for a CPU`, `sleeping`, `sleeping, no signal wakes it`.
    pub state: String,
    /// As `ps` has it: R S D I T t Z X P.
    pub letter: char,
    pub cpu: Known<u32>,
    /// `application thread`, `kernel thread`, `process`.
    pub kind: &'static str,
    /// Its `task_struct`.
    pub addr: Addr,
    /// Its stack in the kernel.
    pub stack: AddrRange,
    /// The first function on its stack that is not the scheduler's; why none, where it runs.
    pub waits_in: Known<String>,
    /// What that means: `a futex`, `time to pass`, `data on a socket`.
    pub waits_for: Option<&'static str>,
}
