//! THE table of fields: it feeds the parser, completion and the book.

use std::borrow::Cow;
use std::fmt;

use super::evaluate::{At, By, Crossing};
use crate::origin::Origin;

/// What can be asked about.
pub struct Field {
    pub name: &'static str,
    /// Other spellings of it.
    pub also: &'static [&'static str],
    pub help: &'static str,
    pub(super) get: Get,
}

/// What a field is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Crossing,
    /// A function on the path.
    Node,
    /// Who made the crossings.
    Use,
}

/// How its value is found, and so what it can be compared with.
#[derive(Clone, Copy)]
pub(super) enum Get {
    Number(fn(&Crossing<'_>) -> u64),
    Flag(fn(&Crossing<'_>) -> bool),
    Text(for<'a> fn(&Crossing<'a>) -> Cow<'a, str>),
    /// A text out of a few.
    Kind(for<'a> fn(&Crossing<'a>) -> Cow<'a, str>),
    Mode(for<'a> fn(&Crossing<'a>) -> Cow<'a, str>),
    NodeNumber(fn(&At<'_>) -> u64),
    NodeText(for<'a> fn(&At<'a>) -> &'a str),
    NodeOrigin(fn(&At<'_>) -> Origin),
    /// A task has a name and a number.
    UseTask,
    UseText(for<'a> fn(&By<'a>) -> Cow<'a, str>),
}

const fn field(name: &'static str, get: Get, help: &'static str) -> Field {
    Field {
        name,
        also: &[],
        help,
        get,
    }
}

const fn also(field: Field, also: &'static [&'static str]) -> Field {
    Field { also, ..field }
}

#[rustfmt::skip]
pub const FIELDS: &[Field] = &[
    field("kind", Get::Kind(|c| c.class.kind.name().into()), "how control passed: `syscall`, `bypass`, `shortcut`, `fault`, `interrupt`, `signal`, `start`, `exit`"),
    field("call", Get::Text(|c| (&c.class.call).into()), "the system call, the function called directly, or the fault: `getppid`, `read:tcp`, `tcp_sendmsg`"),
    field("mode", Get::Mode(|c| c.mode.to_string().into()), "how the program ran: `linux`, `ukl`, `bypass`, `shortcut`, with the kernel's options after it: `ukl+ret`"),
    field("count", Get::Number(|c| c.class.count), "how many crossings the class has"),
    also(field("insns", Get::Number(|c| c.class.instructions), "the class's most frequent number of instructions in the kernel"), &["instructions"]),
    field("min", Get::Number(|c| c.class.min), "the smallest number of instructions"),
    field("max", Get::Number(|c| c.class.max), "the largest number of instructions"),
    field("exact", Get::Flag(|c| c.class.exact), "whether every crossing of the class has the same number"),
    field("interrupted", Get::Flag(|c| c.class.interrupted), "whether an interrupt, fault or task switch was cut out of the path"),
    field("class", Get::Text(|c| (&c.class.id).into()), "the class's id, the same in every run of an image"),
    field("phase.entry", Get::Number(|c| c.class.phases.entry), "instructions of the entry assembly"),
    field("phase.entry_work", Get::Number(|c| c.class.phases.entry_work), "instructions of the work on entry"),
    field("phase.dispatch", Get::Number(|c| c.class.phases.dispatch), "instructions that find the call's implementation"),
    field("phase.copy", Get::Number(|c| c.class.phases.copy), "instructions that copy between the application's memory and the kernel's"),
    field("phase.service", Get::Number(|c| c.class.phases.service), "instructions of the call's own work"),
    field("phase.exit_work", Get::Number(|c| c.class.phases.exit_work), "instructions of the work on exit"),
    field("phase.exit", Get::Number(|c| c.class.phases.exit), "instructions of the exit assembly"),
    field("phase.boundary", Get::Number(|c| c.class.phases.boundary()), "all of these but service and copy: the way in and out"),
    field("site", Get::UseText(|by| by.place()), "the place of the application's own code that made the crossing: `main.c:42`"),
    field("caller", Get::UseText(|by| by.caller()), "the application's function that this place lies in: `main`"),
    field("task", Get::UseTask, "the task that made the crossing: its name, `redis-server`, name and thread id, `redis-server/1`, or its number; tasks are numbered as they are first seen"),
    also(field("node", Get::NodeText(|n| &n.node.symbol), "a function on the path, by its symbol"), &["symbol"]),
    field("origin", Get::NodeOrigin(|n| n.node.origin), "what a function on the path belongs to: `entry`, `kernel:net`; `kernel` is any part of the kernel"),
    field("file", Get::NodeText(|n| n.node.file.as_deref().unwrap_or_default()), "the source file that a function on the path is defined in: `net/ipv4/tcp.c`"),
    field("own", Get::NodeNumber(|n| n.node.own), "instructions of a function on the path, without what it calls"),
    field("total", Get::NodeNumber(|n| n.node.total), "instructions of a function on the path, with what it calls"),
    field("calls", Get::NodeNumber(|n| n.node.calls), "how often a function is called there, one call after the other"),
    field("depth", Get::NodeNumber(|n| n.depth), "how many callers a function on the path has there; 0 is the first of the kernel"),
];

impl Field {
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        let is_it = |field: &&Self| field.name == name || field.also.contains(&name);
        FIELDS.iter().find(is_it)
    }

    #[must_use]
    pub const fn subject(&self) -> Subject {
        match self.get {
            Get::NodeNumber(_) | Get::NodeText(_) | Get::NodeOrigin(_) => Subject::Node,
            Get::UseTask | Get::UseText(_) => Subject::Use,
            _ => Subject::Crossing,
        }
    }

    /// What it is compared with, in a word.
    #[must_use]
    pub const fn values(&self) -> &'static str {
        match self.get {
            Get::Number(_) | Get::NodeNumber(_) => "number",
            Get::UseTask => "name or number",
            Get::Flag(_) => "true or false",
            Get::Text(_) | Get::NodeText(_) | Get::UseText(_) => "text",
            Get::Kind(_) => "kind",
            Get::Mode(_) => "mode",
            Get::NodeOrigin(_) => "origin",
        }
    }

    /// The signs that may follow it.
    #[must_use]
    pub const fn operators(&self) -> &'static str {
        match self.get {
            Get::Number(_) | Get::NodeNumber(_) => "= != < <= > >=",
            Get::UseTask => "= != ~ !~ < <= > >=",
            Get::Flag(_) => "= !=",
            _ => "= != ~ !~",
        }
    }
}

/// By its name: there is one of each.
impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Field {}
