//! All that can be asked of a session, and the one table of its commands.
//!
//! The table feeds the parser, help, completion and the book. gdb's names and abbreviations where
//! gdb has one.

use crate::addr::Addr;
use crate::event::Failure;
use crate::origin::Origin;

mod arguments;
mod back;
mod breakpoint;
mod complete;
mod crossing;
mod entry;
mod find;
mod live;
mod location;
mod member;
mod parse;
mod parts;
mod reference;
mod steps;
mod table;

pub use back::{Back, Position};
pub use breakpoint::{BreakCommand, LogPart, Only, Which, log_parts};
#[cfg(test)]
pub(crate) use complete::FUNCTIONS;
pub(crate) use complete::OF_THE_STOP;
pub use complete::{Names, complete, value_with_members};
pub use crossing::{CrossFilter, Territory};
pub use entry::{Entry, Group};
pub use find::bytes;
pub use parse::{background, parse};
pub use parts::PartsOf;
pub use reference::{help, reference};
pub use table::TABLE;

/// A place as the user writes it; the session resolves it against the symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `*0xffffffff81000000` or a bare number with `0x`.
    Addr(Addr),
    /// `*main+4`, `*$rip`: the address an expression gives.
    Expression(String),
    /// `ksys_write`; with `app:write` or `kernel:fs:write` one of several homonyms is chosen.
    Symbol {
        name: String,
        origin: Option<String>,
    },
    /// `read_write.c:636`; without a file (`636`) it is the one of the current frame.
    Line { file: Option<String>, line: u32 },
    /// `cross from=app kind=syscall`: wherever such a crossing begins. Of a breakpoint only.
    Crossing(CrossFilter),
}

/// Where `until` ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    App,
    Kernel,
    Origin(Origin),
    Location(Location),
}

/// Which stop to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    At(u64),
    Back(u64),
    Forward(u64),
    /// The one that the target stands at.
    Now,
    /// The one that is looked at already.
    Here,
}

/// gdb's `/FMT`: `x/8gx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub count: u32,
    /// Bytes per unit: 1, 2, 4 or 8.
    pub unit: u8,
    /// x d u o t c s i a
    pub letter: char,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchKind {
    Write,
    Read,
    Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Formatted by iced-x86.
    Intel,
    /// Formatted by capstone, as kernel sources and objdump show it.
    Att,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info {
    Registers,
    Locals,
    Arguments,
    Breakpoints,
    Threads,
    Symbol(String),
    Line(Option<Location>),
    /// The selected one.
    Frame,
    /// The processor's own state, decoded.
    Control,
    /// The gates and segments of the CPU that stopped.
    Idt,
    Gdt,
    /// What came how often, by CPU.
    Interrupts,
    /// A per-CPU variable as each CPU has it.
    PerCpu(String),
    /// The mappings of the current process, or of a task by its id or name.
    Vmas {
        task: Option<String>,
    },
    Target,
    /// By pattern.
    Functions(String),
    Types(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Break {
        location: Location,
        temporary: bool,
        hardware: bool,
        condition: Option<String>,
        only: Only,
        /// Where nothing has this name yet, it waits for it.
        pending: bool,
    },
    Breaks(BreakCommand),
    Watch {
        kind: WatchKind,
        expression: String,
        condition: Option<String>,
        /// The memory where it lies now, whatever the expression means later.
        fixed: bool,
    },
    /// All of them when no number is given.
    Delete {
        number: Option<u32>,
    },
    /// Stop there only when the expression is not 0; always again when there is none.
    Condition {
        number: u32,
        expression: Option<String>,
    },
    Continue,
    /// Stop the running target.
    Interrupt,
    StepInstruction {
        count: u64,
    },
    /// As `si`, but over calls.
    NextInstruction {
        count: u64,
    },
    Step {
        count: u64,
    },
    Next {
        count: u64,
    },
    Finish,
    Until(Until),
    /// To a line further down, out of loops.
    Forward,
    /// What happens beside a step; changed, or only told.
    Stepping(Option<(Beside, bool)>),
    /// Another vCPU, or which one it is.
    Focus(Option<Focus>),
    /// To the next crossing, into either side.
    Cross,
    /// To the return to the application frame that made the call.
    CrossBack,
    /// Take the kernel as one opaque call.
    OverKernel,
    /// Back in time, or to a moment: of a replay.
    Back(Back),
    /// Gives the position a name.
    Mark(String),
    /// The position, and those with names.
    Marks,
    Why,
    Backtrace {
        limit: Option<u32>,
    },
    /// Of a task by its id or name, asleep or not.
    TaskBacktrace {
        task: String,
    },
    /// All, or those whose name, kind or state contains the text.
    Tasks {
        pattern: Option<String>,
    },
    Frame {
        n: u32,
    },
    /// Towards the callers.
    Up {
        count: u32,
    },
    /// Towards the innermost frame.
    Down {
        count: u32,
    },
    /// The past stops; the newest of them where a number is given.
    Stops {
        limit: Option<u32>,
    },
    Look(Look),
    Examine {
        format: Format,
        expression: String,
    },
    /// Bytes looked for in memory.
    Find {
        start: String,
        /// Bytes looked through.
        len: u64,
        pattern: Vec<u8>,
    },
    Print {
        format: Option<char>,
        expression: String,
    },
    /// Shows an expression at each stop from now on; without one, all such as they are now.
    Display {
        letter: Option<char>,
        expression: Option<String>,
    },
    /// All of them when no number is given.
    Undisplay {
        number: Option<u32>,
    },
    /// What values consist of: one typed, or all that a tree on the screen has open.
    Parts {
        of: Vec<PartsOf>,
    },
    /// The type of an expression, or a type by its name.
    Type {
        expression: String,
        /// With what is in it.
        whole: bool,
        /// With the members' places.
        offsets: bool,
    },
    /// `set $rax = 1`, `set *(int *)0xffffffff81000000 = 2`.
    Set {
        target: String,
        value: String,
    },
    /// The whole function when `count` is 0.
    Disassemble {
        location: Option<Location>,
        count: u32,
        syntax: Syntax,
    },
    /// `count` lines around the location, or around the selected frame's line.
    List {
        location: Option<Location>,
        count: u32,
    },
    Info(Info),
    /// Regions, or what one address is.
    Space {
        expression: Option<String>,
    },
    /// The regions as a task sees them, by its id or name.
    TaskSpace {
        task: String,
    },
    Symbols {
        pattern: String,
    },
    Monitor(String),
    /// A vmlinux to take the names from.
    SymbolFile(String),
    /// What a half-typed line may become.
    Complete(String),
    /// Gives up the work of that name (`event::Work`).
    Cancel(String),
    Help(Option<String>),
}

/// What may go on while one vCPU is stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    Interrupts,
    Time,
    /// The other vCPUs.
    Cpus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    Vcpu(u32),
    Next,
}

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("nothing was typed")]
    Empty,
    #[error("no command has this name")]
    Unknown {
        word: String,
        near: Vec<&'static str>,
    },
    #[error("it may mean {}", .candidates.join(", "))]
    Ambiguous {
        word: String,
        candidates: Vec<&'static str>,
    },
    #[error("{found}")]
    Arguments {
        /// The line as it was typed.
        line: String,
        found: String,
        /// The usage of the command: `break LOCATION [if CONDITION]`.
        expected: String,
    },
}

/// What elsewhere ends a debugger, and is no command here: each front end has its own way out.
#[must_use]
pub fn leaves(word: &str) -> bool {
    matches!(word, "q" | "quit" | "exit")
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let found = error.to_string();
        match error {
            CommandError::Empty => Self::new("reading a command", found, "'help' lists them"),
            CommandError::Unknown { word, .. } if leaves(&word) => Self::new(
                "leaving",
                "no command ends the session",
                "'q' leaves the screen, Stop or Disconnect an editor's session, 'detach' a debugger that has joined",
            ),
            CommandError::Unknown { word, near } => {
                let next = if near.is_empty() {
                    "'help' lists them".to_owned()
                } else {
                    format!("nearest: {}", near.join(", "))
                };
                Self::new(format!("reading '{word}'"), found, next)
            }
            CommandError::Ambiguous { word, .. } => {
                Self::new(format!("reading '{word}'"), found, "type more of the name")
            }
            CommandError::Arguments { line, expected, .. } => Self::new(
                format!("reading '{line}'"),
                found,
                format!("write {expected}"),
            ),
        }
    }
}
