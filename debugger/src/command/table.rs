//! THE table: one row per command. Adding a command is a row here and an arm in the session.

use super::location::location;
use super::parse::{Input, WhatFound};
use super::{Command, Info, Location, Syntax, Until, WatchKind};
use crate::origin::Origin;

/// The heading a command stands under in help and the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Running,
    Boundary,
    Breakpoints,
    Looking,
    Other,
}

/// What an argument may begin with, for completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completes {
    Nothing,
    Symbols,
    /// Symbols, and registers behind a `$`.
    Expressions,
    Words(&'static [&'static str]),
    WordsAndSymbols(&'static [&'static str]),
    Commands,
}

#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub name: &'static str,
    /// Abbreviations that hold even where another command begins so.
    pub short: &'static [&'static str],
    /// The arguments' form: `LOCATION [if CONDITION]`.
    pub arguments: &'static str,
    /// One line.
    pub help: &'static str,
    pub group: Group,
    pub(super) completes: Completes,
    pub(super) read: fn(&Input<'_>) -> Result<Command, WhatFound>,
}

const INFO: &[&str] = &[
    "args",
    "breakpoints",
    "line",
    "locals",
    "registers",
    "symbol",
    "target",
    "threads",
];

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
        "run until the selected frame returns",
        Nothing,
        |i| i.nothing(Command::Finish)
    ),
    row!(
        Running,
        "until",
        ["u", "advance"],
        "app | kernel | kernel:SUBSYSTEM | LOCATION",
        "run until the origin is that, or until a place is reached",
        WordsAndSymbols(&["app", "kernel"]),
        until
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
        "[ADDRESS]",
        "the regions of the one address space, or what one address is",
        Expressions,
        |i| Ok(Command::Space {
            expression: i.optional()
        })
    ),
    row!(
        Breakpoints,
        "break",
        ["b", "br"],
        "[LOCATION] [if CONDITION]",
        "stop there; app:write chooses one of several with the same name",
        Symbols,
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
        "watch",
        [],
        "EXPRESSION",
        "stop when it is written",
        Expressions,
        |i| watch(i, WatchKind::Write)
    ),
    row!(
        Breakpoints,
        "rwatch",
        [],
        "EXPRESSION",
        "stop when it is read",
        Expressions,
        |i| watch(i, WatchKind::Read)
    ),
    row!(
        Breakpoints,
        "awatch",
        [],
        "EXPRESSION",
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
        Nothing,
        condition
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
    row!(
        Looking,
        "backtrace",
        ["bt", "where"],
        "[LIMIT]",
        "the frames of both worlds, with the crossings marked",
        Nothing,
        backtrace
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
        "x",
        [],
        "[/FORMAT] ADDRESS",
        "memory: count, unit (b h w g) and letter (x d u o t c s i a)",
        Expressions,
        |i| Ok(Command::Examine {
            format: i.format()?,
            expression: i.required("address")?
        })
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
        "set",
        [],
        "$REGISTER = EXPRESSION | *(TYPE *)ADDRESS = EXPRESSION",
        "change a register or memory",
        Expressions,
        set
    ),
    row!(
        Looking,
        "info",
        ["i"],
        "registers | locals | args | breakpoints | threads | symbol ADDRESS | line [LOCATION] | target",
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
        "help",
        ["h"],
        "[COMMAND]",
        "the commands, or one of them",
        Commands,
        |i| Ok(Command::Help(i.optional()))
    ),
];

impl Entry {
    /// `break [LOCATION] [if CONDITION]`
    #[must_use]
    pub fn usage(&self) -> String {
        format!("{} {}", self.name, self.arguments)
            .trim_end()
            .to_owned()
    }
}

fn until(input: &Input<'_>) -> Result<Command, WhatFound> {
    let text = input.required("place")?;
    Ok(Command::Until(match text.as_str() {
        "app" => Until::App,
        "kernel" => Until::Kernel,
        _ => match text.parse::<Origin>() {
            Ok(origin) => Until::Origin(origin),
            // `kernel:nowhere` is a mistyped subsystem; `kernel:fs:read` is a location.
            Err(why) if text.starts_with("kernel:") && text.matches(':').count() == 1 => {
                return Err(why);
            }
            Err(_) => Until::Location(location(&text)?),
        },
    }))
}

fn cross(input: &Input<'_>) -> Result<Command, WhatFound> {
    match input.rest {
        "" => Ok(Command::Cross),
        "back" => Ok(Command::CrossBack),
        other => Err(format!("'{other}' is not 'back'")),
    }
}

fn over(input: &Input<'_>) -> Result<Command, WhatFound> {
    match input.rest {
        "kernel" => Ok(Command::OverKernel),
        "" => Err("it does not say what to go over".to_owned()),
        other => Err(format!("'{other}' is not 'kernel'")),
    }
}

fn stop(input: &Input<'_>, temporary: bool, hardware: bool) -> Result<Command, WhatFound> {
    let rest = input.rest;
    let (place, condition) = match rest.strip_prefix("if ") {
        Some(condition) => ("", Some(condition)),
        None => match rest.split_once(" if ") {
            Some((place, condition)) => (place.trim(), Some(condition)),
            None => (rest, None),
        },
    };
    let condition = condition.map(str::trim);
    if condition == Some("") || rest.ends_with(" if") || rest == "if" {
        return Err("no condition stands behind 'if'".to_owned());
    }
    let location = if place.is_empty() {
        Location::Expression("$pc".to_owned())
    } else {
        location(place)?
    };
    Ok(Command::Break {
        location,
        temporary,
        hardware,
        condition: condition.map(str::to_owned),
    })
}

fn watch(input: &Input<'_>, kind: WatchKind) -> Result<Command, WhatFound> {
    Ok(Command::Watch {
        kind,
        expression: input.required("expression")?,
    })
}

fn condition(input: &Input<'_>) -> Result<Command, WhatFound> {
    let (number, rest) = input.rest.split_once(' ').unwrap_or((input.rest, ""));
    let number = number
        .parse()
        .map_err(|_| format!("'{number}' is no breakpoint's number"))?;
    let expression = Some(rest.trim().to_owned()).filter(|text| !text.is_empty());
    Ok(Command::Condition { number, expression })
}

fn delete(input: &Input<'_>) -> Result<Command, WhatFound> {
    Ok(Command::Delete {
        number: input.number()?,
    })
}

fn backtrace(input: &Input<'_>) -> Result<Command, WhatFound> {
    Ok(Command::Backtrace {
        limit: input.number()?,
    })
}

fn set(input: &Input<'_>) -> Result<Command, WhatFound> {
    let text = input.rest.strip_prefix("var ").unwrap_or(input.rest);
    let (target, value) = text
        .split_once('=')
        .ok_or_else(|| "there is no '=' in it".to_owned())?;
    let (target, value) = (target.trim(), value.trim());
    if target.is_empty() || value.is_empty() || value.starts_with('=') {
        return Err("an assignment has something on both sides of one '='".to_owned());
    }
    Ok(Command::Set {
        target: target.to_owned(),
        value: value.to_owned(),
    })
}

fn info(input: &Input<'_>) -> Result<Command, WhatFound> {
    let (word, rest) = input.rest.split_once(' ').unwrap_or((input.rest, ""));
    let rest = rest.trim();
    if word.is_empty() {
        return Err("it does not say of what".to_owned());
    }
    // gdb's `info b` is breakpoints, whatever else begins so.
    let found: Vec<&str> = INFO
        .iter()
        .copied()
        .filter(|name| name.starts_with(word))
        .collect();
    let name = match found.as_slice() {
        _ if word == "s" || word == "symbol" => "symbol",
        _ if word == "l" => "line",
        _ if word == "regs" || word == "r" => "registers",
        [] => return Err(format!("'{word}' is not among them")),
        [one] => one,
        several => return Err(format!("'{word}' may mean {}", several.join(", "))),
    };
    let needs_nothing = |info| {
        if rest.is_empty() {
            Ok(Command::Info(info))
        } else {
            Err(format!(
                "'{rest}' stands behind info {name}, which takes nothing"
            ))
        }
    };
    match name {
        "registers" if !rest.is_empty() => Ok(Command::Print {
            format: Some('x'),
            expression: format!("${}", rest.trim_start_matches('$')),
        }),
        "registers" => needs_nothing(Info::Registers),
        "locals" => needs_nothing(Info::Locals),
        "args" => needs_nothing(Info::Arguments),
        "breakpoints" => needs_nothing(Info::Breakpoints),
        "threads" => needs_nothing(Info::Threads),
        "target" => needs_nothing(Info::Target),
        "symbol" if rest.is_empty() => Err("info symbol wants an address".to_owned()),
        "symbol" => Ok(Command::Info(Info::Symbol(rest.to_owned()))),
        _ => Ok(Command::Info(Info::Line(if rest.is_empty() {
            None
        } else {
            Some(location(rest)?)
        }))),
    }
}

fn disassemble(input: &Input<'_>) -> Result<Command, WhatFound> {
    let syntax = match input.slash {
        None | Some("intel" | "r" | "s" | "m") => Syntax::Intel,
        Some("att") => Syntax::Att,
        Some(other) => return Err(format!("'/{other}' is neither /att nor /intel")),
    };
    let (place, count) = match input.rest.rsplit_once([' ', ',']) {
        Some((place, count)) => {
            let count = count.trim().trim_start_matches('+');
            let count = count
                .parse()
                .map_err(|_| format!("'{count}' is no count of instructions"))?;
            (place.trim().trim_end_matches(','), count)
        }
        None => (input.rest, 0),
    };
    let location = if place.is_empty() {
        None
    } else {
        Some(location(place)?)
    };
    Ok(Command::Disassemble {
        location,
        count,
        syntax,
    })
}
