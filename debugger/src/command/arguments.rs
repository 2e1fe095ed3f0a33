//! The arguments of the commands that take more than a number or a text.

use super::breakpoint::{NO_NUMBER, condition_behind, stopping_place};
use super::location::location;
use super::parse::{Input, WhatFound};
use super::{Command, Info, Location, Syntax, WatchKind};
use crate::addr::Addr;

pub(super) const INFO: &[&str] = &[
    "args",
    "breakpoints",
    "control",
    "frame",
    "functions",
    "gdt",
    "idt",
    "interrupts",
    "line",
    "locals",
    "percpu",
    "registers",
    "symbol",
    "target",
    "threads",
    "types",
    "vmas",
];

pub(super) fn cross(input: &Input<'_>) -> Result<Command, WhatFound> {
    match input.rest {
        "" => Ok(Command::Cross),
        "back" => Ok(Command::CrossBack),
        other => Err(format!("'{other}' is not 'back'")),
    }
}

pub(super) fn over(input: &Input<'_>) -> Result<Command, WhatFound> {
    match input.rest {
        "kernel" => Ok(Command::OverKernel),
        "" => Err("it does not say what to go over".to_owned()),
        other => Err(format!("'{other}' is not 'kernel'")),
    }
}

pub(super) fn stop(
    input: &Input<'_>,
    temporary: bool,
    hardware: bool,
) -> Result<Command, WhatFound> {
    let (place, condition) = condition_behind(input.rest)?;
    let (location, only, pending) = stopping_place(place)?;
    Ok(Command::Break {
        location,
        temporary,
        hardware,
        condition,
        only,
        pending,
    })
}

pub(super) fn watch(input: &Input<'_>, kind: WatchKind) -> Result<Command, WhatFound> {
    let (expression, condition) = condition_behind(input.rest)?;
    let fixed = ["-location ", "-l "]
        .into_iter()
        .find_map(|option| expression.strip_prefix(option));
    let text = fixed.unwrap_or(expression).trim();
    if text.is_empty() {
        return Err("no expression was given".to_owned());
    }
    Ok(Command::Watch {
        kind,
        expression: text.to_owned(),
        condition,
        fixed: fixed.is_some(),
    })
}

pub(super) fn condition(input: &Input<'_>) -> Result<Command, WhatFound> {
    let (number, rest) = input.rest.split_once(' ').unwrap_or((input.rest, ""));
    if number.is_empty() {
        return Err(NO_NUMBER.to_owned());
    }
    let number = number
        .parse()
        .map_err(|_| format!("'{number}' is no breakpoint's number"))?;
    let expression = Some(rest.trim().to_owned()).filter(|text| !text.is_empty());
    Ok(Command::Condition { number, expression })
}

pub(super) fn delete(input: &Input<'_>) -> Result<Command, WhatFound> {
    Ok(Command::Delete {
        number: input.number()?,
    })
}

pub(super) fn backtrace(input: &Input<'_>) -> Result<Command, WhatFound> {
    if let Some(task) = input.rest.strip_prefix("task") {
        let task = task.trim().to_owned();
        if task.is_empty() {
            return Err("it does not say of which task: a process id or a name".to_owned());
        }
        return Ok(Command::TaskBacktrace { task });
    }
    Ok(Command::Backtrace {
        limit: input.number()?,
    })
}

pub(super) fn space(input: &Input<'_>) -> Result<Command, WhatFound> {
    if let Some(task) = input.rest.strip_prefix("task ") {
        return Ok(Command::TaskSpace {
            task: task.trim().to_owned(),
        });
    }
    Ok(Command::Space {
        expression: input.optional(),
    })
}

pub(super) fn set(input: &Input<'_>) -> Result<Command, WhatFound> {
    if let Some(word) = input.rest.strip_prefix("scheduler-locking") {
        return super::steps::scheduler_locking(word.trim());
    }
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

pub(super) fn info(input: &Input<'_>) -> Result<Command, WhatFound> {
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
        _ if word == "f" => "frame",
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
        "frame" => needs_nothing(Info::Frame),
        "control" => needs_nothing(Info::Control),
        "gdt" => needs_nothing(Info::Gdt),
        "idt" => needs_nothing(Info::Idt),
        "interrupts" => needs_nothing(Info::Interrupts),
        "percpu" if rest.is_empty() => Err("info percpu wants a per-CPU variable".to_owned()),
        "percpu" => Ok(Command::Info(Info::PerCpu(rest.to_owned()))),
        "vmas" => Ok(Command::Info(Info::Vmas {
            task: Some(rest.to_owned()).filter(|task| !task.is_empty()),
        })),
        "target" => needs_nothing(Info::Target),
        "functions" | "types" if rest.is_empty() => Err(format!("info {name} wants a pattern")),
        "functions" => Ok(Command::Info(Info::Functions(rest.to_owned()))),
        "types" => Ok(Command::Info(Info::Types(rest.to_owned()))),
        "symbol" if rest.is_empty() => Err("info symbol wants an address".to_owned()),
        "symbol" => Ok(Command::Info(Info::Symbol(rest.to_owned()))),
        _ => Ok(Command::Info(Info::Line(if rest.is_empty() {
            None
        } else {
            Some(location(rest)?)
        }))),
    }
}

pub(super) fn outline(input: &Input<'_>) -> Result<Command, WhatFound> {
    let offsets = match input.slash {
        None => false,
        Some("o") => true,
        Some(other) => return Err(format!("'/{other}' is not /o")),
    };
    Ok(Command::Type {
        expression: input.required("type or expression")?,
        whole: true,
        offsets,
    })
}

pub(super) fn disassemble(input: &Input<'_>) -> Result<Command, WhatFound> {
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
    let location = match place.parse() {
        _ if place.is_empty() => None,
        // Elsewhere a number is a line; here it is an address, as in gdb.
        Ok(at) => Some(Location::Addr(Addr(at))),
        Err(_) => Some(location(place)?),
    };
    Ok(Command::Disassemble {
        location,
        count,
        syntax,
    })
}
