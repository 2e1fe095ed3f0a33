//! What is known of a task while records are walked, and what is told of it.

use serde::{Deserialize, Serialize};
use wire::Kind;

/// How a function was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entered {
    /// The application's code, by a call.
    App,
    /// The application's code, by a jump out of the function above.
    AppJump,
    /// The kernel's code, by a call.
    Kernel,
    /// The kernel's code, by a jump, or by falling into it.
    KernelJump,
    /// These begin a crossing: the `syscall` instruction,
    Syscall,
    /// a call by the application: a bypass or a shortcut,
    Call,
    Fault,
    Interrupt,
}

/// A call that has not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    pub function: u32,
    pub entered: Entered,
    /// The vCPU's clock at its first instruction.
    pub began: u64,
    /// The task's own clock then: instructions of the task alone, without what interrupted it.
    pub(super) own: u64,
}

/// All that is known of a task at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskState {
    /// Counts tasks from 1 as they are seen first; 0 stands for one that is not known.
    pub number: u32,
    /// Where its stack pointer is kept while it sleeps; 0 where that was not seen.
    pub address: u64,
    /// Its own code was seen: it is the application's.
    pub user: bool,
    pub stack: Vec<Frame>,
    /// Its own clock when it ran last.
    pub(super) own: u64,
    /// Its own code runs, and not the kernel.
    pub(super) in_app: bool,
    /// Something was cut out of the innermost crossing: a signal's handler may run in the middle of it.
    #[serde(skip)]
    pub(super) cut: bool,
    /// The crossing that is open gives a handler's place back to what it interrupted.
    #[serde(skip)]
    pub(super) sigreturn: bool,
}

/// A call that has ended, or was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    pub task: u32,
    pub frame: Frame,
    /// How many calls it lay in.
    pub depth: usize,
    /// The vCPU's clock after its last instruction.
    pub ended: u64,
    /// Its own and its callees' instructions, without what interrupted it and other tasks.
    pub instructions: u64,
    /// It returned; else it was given up, or what followed was not recorded.
    pub returned: bool,
}

/// What a walk is followed for.
pub trait Follow {
    /// A task ran `from..to` in a function.
    fn ran(&mut self, _task: u32, _function: u32, _from: u64, _to: u64) {}
    fn entered(&mut self, _task: u32, _frame: &Frame, _depth: usize) {}
    fn closed(&mut self, _closed: Closed) {}
    /// Another task runs from here on.
    fn switched(&mut self, _to: u32, _clock: u64) {}
}

impl Entered {
    #[must_use]
    pub const fn is_app(self) -> bool {
        matches!(self, Self::App | Self::AppJump)
    }

    /// Whether a crossing begins with it.
    #[must_use]
    pub const fn crosses(self) -> bool {
        matches!(
            self,
            Self::Syscall | Self::Call | Self::Fault | Self::Interrupt
        )
    }

    /// By a crossing that is no call.
    pub(super) const fn by(kind: Kind) -> Self {
        match kind {
            Kind::FaultEntry => Self::Fault,
            Kind::InterruptEntry => Self::Interrupt,
            _ => Self::Syscall,
        }
    }

    pub(super) const fn by_jump(self) -> bool {
        matches!(self, Self::AppJump | Self::KernelJump)
    }
}
