//! THE table: one row per command. Adding a command is a row here and an arm in the session.

use super::arguments::{
    INFO, backtrace, condition, cross, delete, disassemble, info, outline, over, set, space, stop,
    watch,
};
use super::back;
use super::breakpoint::{commands, dprintf, enable, ignore, log, pattern};
use super::entry::{Completes, Entry, Group};
use super::find::find;
use super::location::location;
use super::parts::parts;
use super::steps::{BESIDE, focus, stepping, until};
use super::{Command, Look, WatchKind};

macro_rules! row {
    ($group:ident, $name:literal, [$($short:literal),*], $arguments:literal, $help:literal, $completes:expr, $read:expr) => {
        Entry {
            name: $name,
            short: &[$($short),*],
            arguments: $arguments,
            help: $help,
            group: Group::$group,
            completes: $completes,
            read: $read,
        }
    };
}

use Completes::{Commands, Expressions, Nothing, Symbols, Words, WordsAndSymbols};

pub const TABLE: &[Entry] = &[
    row!(
        Running,
        "continue",
        ["c"],
        "",
        "run until something stops it",
        Nothing,
        |i| i.nothing(Command::Continue)
    ),
    row!(
        Running,
        "interrupt",
        [],
        "",
        "stop the running target",
        Nothing,
        |i| i.nothing(Command::Interrupt)
    ),
    row!(
        Running,
        "stepi",
        ["si"],
        "[N]",
        "execute one instruction, or N; no interrupt comes between",
        Nothing,
        |i| Ok(Command::StepInstruction { count: i.count()? })
    ),
    row!(
        Running,
        "nexti",
        ["ni"],
        "[N]",
        "as stepi, but over calls",
        Nothing,
        |i| Ok(Command::NextInstruction { count: i.count()? })
    ),
    row!(
        Running,
        "step",
        ["s"],
        "[N]",
        "execute until another source line, into calls and across the boundary",
        Nothing,
        |i| Ok(Command::Step { count: i.count()? })
    ),
    row!(
        Running,
        "next",
        ["n"],
        "[N]",
        "as step, but over calls",
        Nothing,
        |i| Ok(Command::Next { count: i.count()? })
    ),
    row!(
        Running,
        "finish",
        ["fin"],
        "",
        "run until the selected frame returns; says what it returned",
        Nothing,
        |i| i.nothing(Command::Finish)
    ),
    row!(
        Running,
        "until",
        ["u", "advance"],
        "[app | kernel | kernel:SUBSYSTEM | LOCATION]",
        "run until the origin is that, or until a place is reached; alone: to a line further down, out of a loop",
        WordsAndSymbols(&["app", "kernel"]),
        until
    ),
    row!(
        Running,
        "vcpu",
        ["thread"],
        "[NUMBER | next]",
        "focus on another vCPU, by its number in info threads: steps move it alone",
        Words(&["next"]),
        focus
    ),
    row!(
        Running,
        "stepping",
        [],
        "[interrupts | time | cpus on | off]",
        "what goes on beside a step: interrupts come, time passes, the other vCPUs run",
        Words(BESIDE),
        stepping
    ),
    row!(
        Boundary,
        "cross",
        [],
        "[back]",
        "run to the next crossing, into either side; back: to the application frame that made the call",
        Words(&["back"]),
        cross
    ),
    row!(
        Boundary,
        "over",
        [],
        "kernel",
        "take the kernel as one opaque call",
        Words(&["kernel"]),
        over
    ),
    row!(
        Boundary,
        "why",
        [],
        "",
        "how control came to this side: kind, call, arguments, stack, ring",
        Nothing,
        |i| i.nothing(Command::Why)
    ),
    row!(
        Boundary,
        "space",
        [],
        "[ADDRESS | task PID | task NAME]",
        "the regions of the one address space, of another task too, or what one address is",
        Expressions,
        space
    ),
    row!(
        Breakpoints,
        "break",
        ["b", "br"],
        "[LOCATION | cross FILTER…] [cpu N] [task NAME|ID] [pending] [if CONDITION]",
        "stop there; app:write chooses one of several with the same name; at crossings: from= to= kind= call=, dir in or out",
        WordsAndSymbols(&["cross"]),
        |i| stop(i, false, false)
    ),
    row!(
        Breakpoints,
        "tbreak",
        ["tb"],
        "[LOCATION] [if CONDITION]",
        "stop there once",
        Symbols,
        |i| stop(i, true, false)
    ),
    row!(
        Breakpoints,
        "hbreak",
        ["hb"],
        "[LOCATION] [if CONDITION]",
        "as break, by a debug register",
        Symbols,
        |i| stop(i, false, true)
    ),
    row!(
        Breakpoints,
        "rbreak",
        ["rb"],
        "PATTERN",
        "stop at every function with this in its name; * stands for anything",
        Symbols,
        pattern
    ),
    row!(
        Breakpoints,
        "log",
        [],
        "LOCATION | cross FILTER…, TEXT {EXPRESSION}",
        "write a line there and do not stop",
        Symbols,
        log
    ),
    row!(
        Breakpoints,
        "dprintf",
        [],
        "LOCATION, \"FORMAT\", EXPRESSION, …",
        "as log, with printf's format",
        Symbols,
        dprintf
    ),
    row!(
        Breakpoints,
        "watch",
        [],
        "[-location] EXPRESSION [if CONDITION]",
        "stop when it is written; on a local variable until its frame returns",
        Expressions,
        |i| watch(i, WatchKind::Write)
    ),
    row!(
        Breakpoints,
        "rwatch",
        [],
        "[-location] EXPRESSION [if CONDITION]",
        "stop when it is read",
        Expressions,
        |i| watch(i, WatchKind::Read)
    ),
    row!(
        Breakpoints,
        "awatch",
        [],
        "[-location] EXPRESSION [if CONDITION]",
        "stop when it is read or written",
        Expressions,
        |i| watch(i, WatchKind::Access)
    ),
    row!(
        Breakpoints,
        "condition",
        ["cond"],
        "NUMBER [CONDITION]",
        "stop at a breakpoint only when this is not 0",
        Expressions,
        condition
    ),
    row!(
        Breakpoints,
        "ignore",
        [],
        "NUMBER COUNT",
        "do not stop at its next COUNT hits; $bpnum is the last one set",
        Nothing,
        ignore
    ),
    row!(
        Breakpoints,
        "commands",
        [],
        "NUMBER [COMMAND; COMMAND; …]",
        "carry these out at each stop there; the last may run on",
        Nothing,
        commands
    ),
    row!(
        Breakpoints,
        "enable",
        ["en"],
        "[NUMBER]",
        "let a disabled breakpoint stop again, or all",
        Nothing,
        |i| enable(i, true)
    ),
    row!(
        Breakpoints,
        "disable",
        ["dis"],
        "[NUMBER]",
        "keep a breakpoint, but do not stop there",
        Nothing,
        |i| enable(i, false)
    ),
    row!(
        Breakpoints,
        "delete",
        ["d"],
        "[NUMBER]",
        "remove a breakpoint, or all",
        Nothing,
        delete
    ),
    back::STEPI,
    back::STEP,
    back::NEXT,
    back::CONTINUE,
    back::FINISH,
    back::CROSS,
    back::WRITTEN,
    back::CROSSED,
    back::GOTO,
    back::MARK,
    back::MARKS,
    row!(
        Looking,
        "backtrace",
        ["bt", "where"],
        "[LIMIT | task PID | task NAME]",
        "the frames of both worlds, with the crossings marked; of another task too, asleep or not",
        Words(&["task"]),
        backtrace
    ),
    row!(
        Looking,
        "tasks",
        [],
        "[TEXT]",
        "the guest's tasks: state, CPU, kind and what they wait for; those with this in a column",
        Nothing,
        |i| Ok(Command::Tasks {
            pattern: i.optional()
        })
    ),
    row!(
        Looking,
        "frame",
        ["f"],
        "[NUMBER]",
        "select a frame",
        Nothing,
        |i| Ok(Command::Frame {
            n: i.number()?.unwrap_or(0)
        })
    ),
    row!(
        Looking,
        "up",
        [],
        "[N]",
        "select the caller's frame",
        Nothing,
        |i| Ok(Command::Up {
            count: i.number()?.unwrap_or(1)
        })
    ),
    row!(
        Looking,
        "down",
        [],
        "[N]",
        "select the frame called",
        Nothing,
        |i| Ok(Command::Down {
            count: i.number()?.unwrap_or(1)
        })
    ),
    row!(
        Looking,
        "stops",
        [],
        "[N]",
        "the stops that can be looked at, or the newest N of them",
        Nothing,
        |i| Ok(Command::Stops { limit: i.number()? })
    ),
    row!(
        Looking,
        "past",
        ["tfind"],
        "[N]",
        "look at stop N, with what was looked at then; without one, say which it is",
        Nothing,
        |i| Ok(Command::Look(match i.number()? {
            Some(number) => Look::At(u64::from(number)),
            None => Look::Here,
        }))
    ),
    row!(
        Looking,
        "back",
        [],
        "[N]",
        "look at the stop before, or N before",
        Nothing,
        |i| Ok(Command::Look(Look::Back(i.count()?)))
    ),
    row!(
        Looking,
        "forward",
        [],
        "[N]",
        "look at the stop after, or N after",
        Nothing,
        |i| Ok(Command::Look(Look::Forward(i.count()?)))
    ),
    row!(
        Looking,
        "now",
        [],
        "",
        "look at where the target stands again; so does every command that runs it",
        Nothing,
        |i| i.nothing(Command::Look(Look::Now))
    ),
    row!(
        Looking,
        "x",
        [],
        "[/FORMAT] ADDRESS",
        "memory: count, unit (b h w g) and letter (x d u o t c f s i a)",
        Expressions,
        |i| Ok(Command::Examine {
            format: i.format()?,
            expression: i.required("address")?
        })
    ),
    row!(
        Looking,
        "find",
        [],
        "START, +LENGTH, \"TEXT\" | BYTES",
        "where memory holds a text or bytes in hexadecimal; pages that cannot be read are passed over",
        Expressions,
        find
    ),
    row!(
        Looking,
        "print",
        ["p", "inspect"],
        "[/LETTER] EXPRESSION",
        "the value of an expression",
        Expressions,
        |i| Ok(Command::Print {
            format: i.letter()?,
            expression: i.required("expression")?
        })
    ),
    row!(
        Looking,
        "parts",
        [],
        "[/LETTER] [EXPRESSION] [from N]",
        "what a value consists of, with the expression of each part; the frame's variables without one",
        Expressions,
        parts
    ),
    row!(
        Looking,
        "display",
        [],
        "[/LETTER] [EXPRESSION]",
        "show an expression at each stop; without one, all that are shown",
        Expressions,
        |i| Ok(Command::Display {
            letter: i.letter()?,
            expression: i.optional()
        })
    ),
    row!(
        Looking,
        "undisplay",
        [],
        "[NUMBER]",
        "no longer show it, or any",
        Nothing,
        |i| Ok(Command::Undisplay {
            number: i.number()?
        })
    ),
    row!(
        Looking,
        "ptype",
        ["pt"],
        "[/o] TYPE | EXPRESSION",
        "a type with its members; /o tells their places, sizes and the holes between them",
        Expressions,
        outline
    ),
    row!(
        Looking,
        "whatis",
        [],
        "TYPE | EXPRESSION",
        "the name of an expression's type",
        Expressions,
        |i| Ok(Command::Type {
            expression: i.required("expression")?,
            whole: false,
            offsets: false,
        })
    ),
    row!(
        Looking,
        "set",
        [],
        "[var] $REGISTER | VARIABLE | {TYPE}ADDRESS = EXPRESSION",
        "change a register, a variable, a member, a bit field or memory; it is read back",
        Expressions,
        set
    ),
    row!(
        Looking,
        "info",
        ["i"],
        "frame | registers | control | idt | gdt | interrupts | percpu VARIABLE | vmas [TASK] | locals | args | breakpoints | threads | symbol ADDRESS | line [LOCATION] | functions PATTERN | types PATTERN | target",
        "what is known of these",
        Words(INFO),
        info
    ),
    row!(
        Looking,
        "disassemble",
        ["disas"],
        "[/att | /intel] [LOCATION [COUNT]]",
        "the selected frame's function, or a place",
        Symbols,
        disassemble
    ),
    row!(
        Looking,
        "list",
        ["l"],
        "[LOCATION]",
        "source lines",
        Symbols,
        |i| Ok(Command::List {
            location: i.optional().map(|text| location(&text)).transpose()?,
            count: 10,
        })
    ),
    row!(
        Looking,
        "symbols",
        ["sym"],
        "PATTERN",
        "symbols with this in their name, homonyms side by side",
        Symbols,
        |i| Ok(Command::Symbols {
            pattern: i.required("pattern")?
        })
    ),
    row!(
        Other,
        "file",
        [],
        "VMLINUX",
        "take the names from this file from now on; breakpoints that wait for one are looked at again",
        Nothing,
        |i| Ok(Command::SymbolFile(i.required("file")?))
    ),
    row!(
        Other,
        "monitor",
        ["mon"],
        "COMMAND",
        "ask QEMU's monitor",
        Nothing,
        |i| Ok(Command::Monitor(i.required("command for the monitor")?))
    ),
    row!(
        Other,
        "cancel",
        [],
        "WORK",
        "give up slow work of that name",
        Nothing,
        |i| Ok(Command::Cancel(i.required("work's name")?))
    ),
    row!(
        Other,
        "complete",
        [],
        "LINE",
        "the lines that this one may become: names, and members behind -> and .",
        Nothing,
        |i| Ok(Command::Complete(i.required("line")?))
    ),
    row!(
        Other,
        "help",
        ["h"],
        "[COMMAND]",
        "the commands, or one of them",
        Commands,
        |i| Ok(Command::Help(i.optional()))
    ),
];
