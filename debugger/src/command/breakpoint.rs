//! What can be asked of breakpoints beyond setting one: filters, counts, commands, log points.

use super::crossing::crossing;
use super::location::location;
use super::parse::{Input, WhatFound};
use super::{Command, Location};

/// Which vCPU and which task a breakpoint stops; any where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Counted from 0.
    pub vcpu: Option<u32>,
    /// A task's name, or its thread's id.
    pub task: Option<String>,
}

impl Only {
    /// ` cpu 1 task redis`, as it is typed behind a location.
    #[must_use]
    pub fn typed(&self) -> String {
        let vcpu = self.vcpu.map(|vcpu| format!(" cpu {vcpu}"));
        let task = self.task.as_ref().map(|task| format!(" task {task}"));
        vcpu.into_iter().chain(task).collect()
    }
}

/// A breakpoint by its number, or the last one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Number(u32),
    /// `$bpnum`, as gdb calls it.
    Last,
}

/// A piece of what a log point writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPart {
    Text(String),
    Value {
        expression: String,
        /// gdb's letter; as the type says where there is none.
        letter: Option<char>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BreakCommand {
    /// Writes a line there and does not stop.
    Log {
        location: Location,
        parts: Vec<LogPart>,
        condition: Option<String>,
        only: Only,
        /// What stood behind the command's name.
        typed: String,
    },
    /// A breakpoint at every function with this in its name.
    Pattern(String),
    /// The next `count` hits do not stop.
    Ignore { which: Which, count: u64 },
    /// Carried out at each stop there; none takes them away.
    Commands { which: Which, lines: Vec<String> },
    /// All of them when none is named.
    Enable { which: Option<Which>, on: bool },
}

/// What stands before and behind `if`.
pub(super) fn condition_behind(rest: &str) -> Result<(&str, Option<String>), WhatFound> {
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
    Ok((place, condition.map(str::to_owned)))
}

/// Where to stop, and who: a location or a filter of crossings, here where nothing is said.
pub(super) fn stopping_place(text: &str) -> Result<(Location, Only, bool), WhatFound> {
    if let Some((filter, only, pending)) = crossing(text)? {
        return Ok((Location::Crossing(filter), only, pending));
    }
    let (place, only, pending) = only_behind(text)?;
    let location = match place {
        "" => Location::Expression("$pc".to_owned()),
        _ => location(place)?,
    };
    Ok((location, only, pending))
}

/// What stands behind a location: `cpu N`, `task NAME`, `pending`, in any order.
fn only_behind(place: &str) -> Result<(&str, Only, bool), WhatFound> {
    let (mut place, mut only, mut pending) = (place.trim(), Only::default(), false);
    loop {
        let (before, last) = place.rsplit_once(' ').unwrap_or(("", place));
        if last == "pending" && !before.is_empty() {
            pending = true;
            place = before.trim_end();
            continue;
        }
        let before = before.trim_end();
        let (start, word) = before.rsplit_once(' ').unwrap_or(("", before));
        match word {
            "cpu" => {
                let number = last.parse();
                only.vcpu = Some(number.map_err(|_| format!("'{last}' is no vCPU's number"))?);
            }
            "task" => only.task = Some(last.to_owned()),
            _ => return Ok((place, only, pending)),
        }
        place = start.trim_end();
    }
}

pub(super) const NO_NUMBER: &str = "no breakpoint's number was given";

pub(super) fn which(text: &str) -> Result<Which, WhatFound> {
    match text {
        "" => Err(NO_NUMBER.to_owned()),
        "$bpnum" => Ok(Which::Last),
        _ => text
            .parse()
            .map(Which::Number)
            .map_err(|_| format!("'{text}' is no breakpoint's number")),
    }
}

fn breaks(command: BreakCommand) -> Command {
    Command::Breaks(command)
}

pub(super) fn ignore(input: &Input<'_>) -> Result<Command, WhatFound> {
    let (number, count) = input.rest.split_once(' ').unwrap_or((input.rest, ""));
    let which = which(number)?;
    let count = match count.trim() {
        "" => return Err("no count of hits was given".to_owned()),
        count => count
            .parse()
            .map_err(|_| format!("'{count}' is no count of hits"))?,
    };
    Ok(breaks(BreakCommand::Ignore { which, count }))
}

pub(super) fn commands(input: &Input<'_>) -> Result<Command, WhatFound> {
    let (number, rest) = input.rest.split_once(' ').unwrap_or((input.rest, ""));
    let lines: Vec<String> = rest
        .split(';')
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    for line in &lines {
        if line != "silent" {
            super::parse(line).map_err(|error| format!("in '{line}': {error}"))?;
        }
    }
    Ok(breaks(BreakCommand::Commands {
        which: which(number)?,
        lines,
    }))
}

pub(super) fn enable(input: &Input<'_>, on: bool) -> Result<Command, WhatFound> {
    let which = input.optional().map(|text| which(&text)).transpose()?;
    Ok(breaks(BreakCommand::Enable { which, on }))
}

pub(super) fn pattern(input: &Input<'_>) -> Result<Command, WhatFound> {
    Ok(breaks(BreakCommand::Pattern(input.required("pattern")?)))
}

/// `log LOCATION, TEXT {EXPRESSION}`
pub(super) fn log(input: &Input<'_>) -> Result<Command, WhatFound> {
    let (place, text) = input
        .rest
        .split_once(',')
        .ok_or_else(|| "no ',' with a text stands behind the location".to_owned())?;
    let parts = log_parts(text.trim())?;
    log_point(place, parts, input.rest)
}

/// `dprintf LOCATION, "FORMAT", EXPRESSION, …`
pub(super) fn dprintf(input: &Input<'_>) -> Result<Command, WhatFound> {
    let (place, rest) = input
        .rest
        .split_once(',')
        .ok_or_else(|| "no ',' with a format stands behind the location".to_owned())?;
    let (format, arguments) = quoted(rest.trim())?;
    let parts = directives(&format, &split_arguments(arguments))?;
    log_point(place, parts, input.rest)
}

fn log_point(place: &str, parts: Vec<LogPart>, typed: &str) -> Result<Command, WhatFound> {
    let (place, condition) = condition_behind(place.trim())?;
    if place.is_empty() {
        return Err("no location was given".to_owned());
    }
    let (location, only, pending) = stopping_place(place)?;
    if pending {
        return Err("a log point does not wait for a name".to_owned());
    }
    Ok(breaks(BreakCommand::Log {
        location,
        parts,
        condition,
        only,
        typed: typed.to_owned(),
    }))
}

/// What a log point writes: `count {count} of {len}`; `{{` is a brace.
///
/// # Errors
/// What was found in place of an expression in braces.
pub fn log_parts(text: &str) -> Result<Vec<LogPart>, WhatFound> {
    let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find('{') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('{') {
            plain.push('{');
            rest = behind;
            continue;
        }
        let (expression, behind) = rest
            .split_once('}')
            .ok_or_else(|| "a '{' has no '}'".to_owned())?;
        if expression.trim().is_empty() {
            return Err("nothing stands in '{}'".to_owned());
        }
        if !plain.is_empty() {
            parts.push(LogPart::Text(std::mem::take(&mut plain)));
        }
        parts.push(LogPart::Value {
            expression: expression.trim().to_owned(),
            letter: None,
        });
        rest = behind;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(LogPart::Text(plain));
    }
    Ok(parts)
}

/// The text between quotes, with its escapes undone, and what stands behind it.
fn quoted(text: &str) -> Result<(String, &str), WhatFound> {
    let body = text
        .strip_prefix('"')
        .ok_or_else(|| "the format is not in quotes".to_owned())?;
    let (mut format, mut escaped) = (String::new(), false);
    for (at, c) in body.char_indices() {
        match (escaped, c) {
            (true, 'n') => format.push('\n'),
            (true, 't') => format.push('\t'),
            (true, other) => format.push(other),
            (false, '\\') => {
                escaped = true;
                continue;
            }
            (false, '"') => return Ok((format, body[at + 1..].trim().trim_start_matches(','))),
            (false, other) => format.push(other),
        }
        escaped = false;
    }
    Err("the format has no closing quote".to_owned())
}

/// At the commas that stand in no brackets.
fn split_arguments(text: &str) -> Vec<String> {
    let (mut depth, mut arguments, mut one) = (0_u32, Vec::new(), String::new());
    for c in text.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c == ',' && depth == 0 {
            arguments.push(std::mem::take(&mut one));
        } else {
            one.push(c);
        }
    }
    arguments.push(one);
    arguments
        .iter()
        .map(|one| one.trim().to_owned())
        .filter(|one| !one.is_empty())
        .collect()
}

/// printf's directives, each with its argument.
fn directives(format: &str, arguments: &[String]) -> Result<Vec<LogPart>, WhatFound> {
    let (mut parts, mut plain) = (Vec::new(), String::new());
    let mut arguments = arguments.iter();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            plain.push(c);
            continue;
        }
        let directive = chars.find(|c| !(c.is_ascii_digit() || "lhzjt#+- .".contains(*c)));
        let letter = match directive {
            Some('%') => {
                plain.push('%');
                continue;
            }
            Some('d' | 'i') => Some('d'),
            Some('u') => Some('u'),
            Some('x' | 'X') => Some('x'),
            Some('o') => Some('o'),
            Some('c') => Some('c'),
            Some('p') => Some('a'),
            Some('s') => Some('s'),
            Some(other) => return Err(format!("'%{other}' is no directive of the format")),
            None => return Err("the format ends in a '%'".to_owned()),
        };
        if !plain.is_empty() {
            parts.push(LogPart::Text(std::mem::take(&mut plain)));
        }
        let expression = arguments
            .next()
            .ok_or_else(|| "the format has more directives than arguments".to_owned())?;
        parts.push(LogPart::Value {
            expression: expression.clone(),
            letter,
        });
    }
    if !plain.is_empty() {
        parts.push(LogPart::Text(plain));
    }
    match arguments.next() {
        None => Ok(parts),
        Some(more) => Err(format!("the format has no directive for '{more}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn read(line: &str) -> BreakCommand {
        match parse(line) {
            Ok(Command::Breaks(command)) => command,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn filters_stand_behind_the_location_in_any_order() {
        assert_eq!(
            only_behind("main task redis cpu 1"),
            Ok((
                "main",
                Only {
                    vcpu: Some(1),
                    task: Some("redis".to_owned())
                },
                false
            ))
        );
        assert_eq!(
            only_behind("later pending"),
            Ok(("later", Only::default(), true))
        );
        assert_eq!(
            only_behind("*main + 4"),
            Ok(("*main + 4", Only::default(), false))
        );
        assert!(only_behind("main cpu x").is_err());
    }

    #[test]
    fn what_is_left_out_is_named() {
        for (line, expected) in [
            ("ignore", "no breakpoint's number was given"),
            ("ignore 1", "no count of hits was given"),
            ("commands", "no breakpoint's number was given"),
            ("condition", "no breakpoint's number was given"),
            ("written", "no expression was given"),
            ("crossed", "no expression was given"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert_eq!(error, expected, "{line}");
        }
    }

    #[test]
    fn log_points_take_braces_or_a_format() {
        let value = |expression: &str, letter| LogPart::Value {
            expression: expression.to_owned(),
            letter,
        };
        let text = |text: &str| LogPart::Text(text.to_owned());
        let parts = |line| match read(line) {
            BreakCommand::Log { parts, .. } => parts,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(
            parts("log ksys_write, {count} bytes {{of {fd}"),
            [value("count", None), text(" bytes {of "), value("fd", None)]
        );
        assert_eq!(
            parts(r#"dprintf ksys_write,"%d of 100%% at %#lx\n",(int)f(a, b),buf"#),
            [
                value("(int)f(a, b)", Some('d')),
                text(" of 100% at "),
                value("buf", Some('x')),
                text("\n")
            ]
        );
        for bad in [
            "log main",
            "log main, {",
            "log main, {}",
            r#"dprintf main,"%d""#,
            r#"dprintf main,"x",1"#,
            r#"dprintf main,"%y",1"#,
            "dprintf main,x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_and_commands_name_a_breakpoint() {
        assert_eq!(
            read("ignore $bpnum 5"),
            BreakCommand::Ignore {
                which: Which::Last,
                count: 5
            }
        );
        assert_eq!(
            read("commands 2 bt 3; p $rax; c"),
            BreakCommand::Commands {
                which: Which::Number(2),
                lines: ["bt 3", "p $rax", "c"].map(str::to_owned).to_vec()
            }
        );
        assert_eq!(
            read("disable"),
            BreakCommand::Enable {
                which: None,
                on: false
            }
        );
        assert!(parse("commands 1 nonsense").is_err());
        assert!(parse("ignore 1").is_err());
    }
}
