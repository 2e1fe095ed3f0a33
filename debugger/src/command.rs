//! All that can be asked of a session, and the one table of its commands.
//!
//! The table feeds the parser, help, completion and the book. gdb's names and abbreviations where
//! gdb has one.

use crate::addr::Addr;
use crate::origin::Origin;

/// A place as the user writes it; the session resolves it against the symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `*0xffffffff81000000` or a bare number with `0x`.
    Addr(Addr),
    /// `ksys_write`; with `app:write` or `kernel:fs:write` one of several homonyms is chosen.
    Symbol {
        name: String,
        origin: Option<String>,
    },
    /// `read_write.c:636`
    Line { file: String, line: u32 },
}

/// Where `until` ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    App,
    Kernel,
    Origin(Origin),
    Location(Location),
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
    Breakpoints,
    Threads,
    Symbol(String),
    Line(Option<Location>),
    Target,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Break {
        location: Location,
        temporary: bool,
        hardware: bool,
        condition: Option<String>,
    },
    Watch {
        kind: WatchKind,
        expression: String,
    },
    Delete {
        number: Option<u32>,
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
    /// To the next crossing, into either side.
    Cross,
    /// To the return to the application frame that made the call.
    CrossBack,
    /// Take the kernel as one opaque call.
    OverKernel,
    Why,
    Backtrace {
        limit: Option<u32>,
    },
    Frame {
        n: u32,
    },
    Examine {
        format: Format,
        expression: String,
    },
    Print {
        format: Option<char>,
        expression: String,
    },
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
    Symbols {
        pattern: String,
    },
    Monitor(String),
    /// Gives up the work of that name (`event::Work`).
    Cancel(String),
    Help(Option<String>),
}
