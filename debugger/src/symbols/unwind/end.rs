//! Where a stack ends, and whether that is where it begins.

use super::super::Symbols;
use super::{Backtrace, UnwoundFrame};
use crate::profile::Calls;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The stack begins here, with what it begins with.
    Start(String),
    /// It goes on, but cannot be followed.
    Lost(String),
    /// As many frames as were asked for.
    Limit,
}

/// Assembly that nothing calls: the first code of a CPU, where the kernel's table has no caller.
const FIRST_CODE: [&str; 9] = [
    "startup_64",
    "secondary_startup_64",
    "secondary_startup_64_no_verify",
    "common_startup_64",
    "start_cpu0",
    "rewind_stack_and_make_dead",
    "rewind_stack_do_exit",
    "pvh_start_xen",
    "startup_xen",
];

/// What a thread of the kernel begins with.
const THREAD_START: [&str; 2] = ["ret_from_fork", "ret_from_fork_asm"];

/// What each CPU runs when it has nothing to do.
const IDLE: [&str; 3] = ["do_idle", "cpu_startup_entry", "default_idle"];

impl End {
    /// Whether the whole stack was followed.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self, Self::Start(_))
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start(what) => write!(f, "the stack begins here: {what}"),
            Self::Lost(why) => write!(f, "the stack cannot be followed further: {why}"),
            Self::Limit => f.write_str("there are more frames than were asked for"),
        }
    }
}

/// Functions nobody calls: the first of a program or a thread.
pub(super) fn beginning(calls: &Calls, name: &str) -> Option<&'static str> {
    if calls.program_start.has(name) {
        return Some("the application starts here");
    }
    let thread = calls.thread_start.has(name);
    thread.then_some("a thread of the application starts here")
}

pub(super) fn is_thread_start(name: &str) -> bool {
    THREAD_START.contains(&name)
}

/// Where the kernel's table has no caller.
pub(super) fn without_caller(name: &str, frame: &UnwoundFrame) -> End {
    if is_thread_start(name) {
        return End::Start(format!("a kernel thread starts in {name}"));
    }
    if FIRST_CODE.contains(&name) {
        return End::Start(format!("the CPU starts in {name}"));
    }
    match name {
        "" => End::Lost(format!("the kernel's tables end it at {}", frame.pc)),
        name => End::Lost(format!(
            "the kernel's table has no caller for {name} at {}",
            frame.pc
        )),
    }
}

impl Symbols {
    /// Says of a whole stack of the kernel what runs on it.
    pub(super) fn named_end(&self, mut backtrace: Backtrace) -> Backtrace {
        let End::Start(what) = &mut backtrace.end else {
            return backtrace;
        };
        let names: Vec<&str> = backtrace
            .frames
            .iter()
            .rev()
            .map(|frame| self.at(frame.lookup()).map_or("", |symbol| symbol.name))
            .collect();
        if names.iter().any(|name| IDLE.contains(name)) {
            what.push_str(", this is the idle loop");
        } else if names.first().is_some_and(|name| is_thread_start(name)) {
            let mut inner = names.iter().skip(1);
            let first = inner.find(|name| **name != "kthread" && !is_thread_start(name));
            if let Some(first) = first {
                what.push_str(", its function is ");
                what.push_str(first);
            }
        }
        backtrace
    }
}
