//! A line of text → a [`Command`].

use super::entry::{Entry, Group};
use super::location;
use super::table::TABLE;
use super::{Command, CommandError, Format};

/// What stood where an argument was expected; the usage is added by [`parse`].
pub(super) type WhatFound = String;

/// A line taken apart: `x/8gx $rsp` is the command `x`, the slash `8gx`, the rest `$rsp`.
#[derive(Debug)]
pub(super) struct Input<'a> {
    pub(super) slash: Option<&'a str>,
    pub(super) rest: &'a str,
}

/// Reads one command.
///
/// # Errors
/// When no command has this name, several may be meant, or its arguments are not what it takes.
pub fn parse(line: &str) -> Result<Command, CommandError> {
    let line = line.trim();
    let line = background(line).unwrap_or(line);
    let (word, input) = take_apart(line);
    if word.is_empty() {
        if line.is_empty() {
            return Err(CommandError::Empty);
        }
        return Err(CommandError::Unknown {
            word: line.to_owned(),
            near: Vec::new(),
        });
    }
    let entry = find(word)?;
    (entry.read)(&input).map_err(|found| CommandError::Arguments {
        line: line.to_owned(),
        found,
        expected: entry.usage(),
    })
}

/// What stands before gdb's `&`: a command that lets the target run, and is not waited for.
#[must_use]
pub fn background(line: &str) -> Option<&str> {
    let before = line.trim_end().strip_suffix('&')?.trim_end();
    let entry = find(take_apart(before).0).ok()?;
    matches!(entry.group, Group::Running | Group::Boundary | Group::Back).then_some(before)
}

/// The command's word, and the rest of the line.
pub(super) fn take_apart(line: &str) -> (&str, Input<'_>) {
    let line = line.trim_start();
    let until = |ends: fn(char) -> bool| line.find(ends).unwrap_or(line.len());
    let dashed = until(|c| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    // A dash belongs to the word where a command has one: `x-1` and `p-1` are an argument each.
    let is_name =
        |word: &str| word.contains('-') && TABLE.iter().any(|entry| entry.name.starts_with(word));
    let end = match is_name(&line[..dashed]) {
        true => dashed,
        false => until(|c| !(c.is_ascii_alphanumeric() || c == '_')),
    };
    let (word, rest) = line.split_at(end);
    // Behind a space it may as well be the beginning of a path.
    let spaced = || {
        let takes = find(word).is_ok_and(|entry| entry.arguments.starts_with("[/"));
        rest.trim_start().strip_prefix('/').filter(|_| takes)
    };
    match rest.strip_prefix('/').or_else(spaced) {
        Some(rest) => {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (slash, rest) = rest.split_at(end);
            let input = Input {
                slash: Some(slash),
                rest: rest.trim(),
            };
            (word, input)
        }
        None => {
            let input = Input {
                slash: None,
                rest: rest.trim(),
            };
            (word, input)
        }
    }
}

/// The command of this name: an exact name or abbreviation, else the only name that begins so.
pub(super) fn find(word: &str) -> Result<&'static Entry, CommandError> {
    let exact = |entry: &&Entry| entry.name == word || entry.short.contains(&word);
    if let Some(entry) = TABLE.iter().find(exact) {
        return Ok(entry);
    }
    let begins: Vec<&Entry> = TABLE
        .iter()
        .filter(|entry| entry.name.starts_with(word))
        .collect();
    match begins.as_slice() {
        [entry] => Ok(entry),
        [] => Err(CommandError::Unknown {
            word: word.to_owned(),
            near: near(word),
        }),
        several => Err(CommandError::Ambiguous {
            word: word.to_owned(),
            candidates: several.iter().map(|entry| entry.name).collect(),
        }),
    }
}

/// Up to three names that a slip of the fingers may have turned into `word`.
fn near(word: &str) -> Vec<&'static str> {
    let limit = 1 + word.len() / 3;
    let mut found: Vec<(usize, &'static str)> = TABLE
        .iter()
        .map(|entry| (distance(word, entry.name), entry.name))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    found.sort_unstable();
    // A slip rarely hits the first letter.
    let same_first = |(_, name): &(usize, &str)| name.chars().next() == word.chars().next();
    if found.iter().any(same_first) {
        found.retain(same_first);
    }
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Levenshtein's: insertions, deletions and exchanges that make `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

impl Input<'_> {
    pub(super) fn nothing(&self, command: Command) -> Result<Command, WhatFound> {
        if self.rest.is_empty() && self.slash.is_none() {
            Ok(command)
        } else {
            Err(format!(
                "'{}' stands behind it, and it takes nothing",
                self.rest
            ))
        }
    }

    pub(super) fn optional(&self) -> Option<String> {
        Some(self.rest.to_owned()).filter(|text| !text.is_empty())
    }

    pub(super) fn required(&self, what: &str) -> Result<String, WhatFound> {
        self.optional()
            .ok_or_else(|| format!("no {what} was given"))
    }

    pub(super) fn number(&self) -> Result<Option<u32>, WhatFound> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let text = self.rest;
        text.parse()
            .map(Some)
            .map_err(|_| format!("'{text}' is no number"))
    }

    /// How often; once when it does not say.
    pub(super) fn count(&self) -> Result<u64, WhatFound> {
        match self.rest {
            "" => Ok(1),
            text => match text.parse() {
                Ok(0) => Err("0 times is not at all".to_owned()),
                Ok(count) => Ok(count),
                Err(_) => Err(format!("'{text}' is no number")),
            },
        }
    }

    pub(super) fn format(&self) -> Result<Format, WhatFound> {
        location::format(self.slash.unwrap_or(""))
    }

    pub(super) fn letter(&self) -> Result<Option<char>, WhatFound> {
        self.slash.map(location::letter).transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Info, Location, Syntax, Until};
    use super::*;
    use crate::addr::Addr;
    use crate::event::Failure;

    fn named(name: &str) -> Location {
        Location::Symbol {
            name: name.to_owned(),
            origin: None,
        }
    }

    #[test]
    fn names_and_abbreviations_are_gdbs() {
        for (line, expected) in [
            ("c", Command::Continue),
            ("c &", Command::Continue),
            ("si 3", Command::StepInstruction { count: 3 }),
            ("s", Command::Step { count: 1 }),
            ("n", Command::Next { count: 1 }),
            ("fin", Command::Finish),
            ("bt 4", Command::Backtrace { limit: Some(4) }),
            ("f 2", Command::Frame { n: 2 }),
            ("d 1", Command::Delete { number: Some(1) }),
            ("cross", Command::Cross),
            ("cross back", Command::CrossBack),
            ("over kernel", Command::OverKernel),
            ("u app", Command::Until(Until::App)),
            (
                "until ksys_write",
                Command::Until(Until::Location(named("ksys_write"))),
            ),
            ("info b", Command::Info(Info::Breakpoints)),
            ("info regs", Command::Info(Info::Registers)),
            ("info f", Command::Info(Info::Frame)),
            ("i s $rip", Command::Info(Info::Symbol("$rip".to_owned()))),
            (
                "disas 0",
                Command::Disassemble {
                    location: Some(Location::Addr(Addr(0))),
                    count: 0,
                    syntax: Syntax::Intel,
                },
            ),
            (
                "disas 4096, 3",
                Command::Disassemble {
                    location: Some(Location::Addr(Addr(4096))),
                    count: 3,
                    syntax: Syntax::Intel,
                },
            ),
            (
                "disas/att main 5",
                Command::Disassemble {
                    location: Some(named("main")),
                    count: 5,
                    syntax: Syntax::Att,
                },
            ),
            (
                "p/x $rax + 1",
                Command::Print {
                    format: Some('x'),
                    expression: "$rax + 1".to_owned(),
                },
            ),
            (
                "p $rip",
                Command::Print {
                    format: None,
                    expression: "$rip".to_owned(),
                },
            ),
            (
                "set $rax = 5",
                Command::Set {
                    target: "$rax".to_owned(),
                    value: "5".to_owned(),
                },
            ),
            (
                "cond 2 $rdi == 1",
                Command::Condition {
                    number: 2,
                    expression: Some("$rdi == 1".to_owned()),
                },
            ),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn a_format_may_stand_behind_a_space_where_a_command_takes_one() {
        for (spaced, close) in [
            ("p /x $rax", "p/x $rax"),
            ("x  /4i $rip", "x/4i $rip"),
            ("ptype /o struct page", "ptype/o struct page"),
        ] {
            assert_eq!(parse(spaced), parse(close), "{spaced}");
            assert!(parse(spaced).is_ok(), "{spaced}");
        }
        let path = "/boot/vmlinux".into();
        assert_eq!(parse("file /boot/vmlinux"), Ok(Command::SymbolFile(path)));
    }

    #[test]
    fn a_breakpoint_may_have_a_condition() {
        let read = |line| match parse(line) {
            Ok(Command::Break {
                location,
                condition,
                temporary,
                ..
            }) => (location, condition, temporary),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(
            read("tb ksys_write if $rdi == 1"),
            (named("ksys_write"), Some("$rdi == 1".to_owned()), true)
        );
        let here = Location::Expression("$pc".to_owned());
        assert_eq!(read("b"), (here.clone(), None, false));
        assert_eq!(read("b if $rax"), (here, Some("$rax".to_owned()), false));
        assert!(parse("b main if").is_err());
    }

    #[test]
    fn an_unknown_command_names_its_neighbours() {
        let said = |line: &str| Failure::from(parse(line).unwrap_err()).to_string();
        assert_eq!(
            said("stpe"),
            "reading 'stpe': no command has this name; nearest: step, stepi, stops"
        );
        assert_eq!(
            said("st"),
            "reading 'st': it may mean stepi, step, stepping, stops; type more of the name"
        );
        assert_eq!(
            said("si x"),
            "reading 'si x': 'x' is no number; write stepi [N]"
        );
        assert_eq!(
            said("until kernel:nets").split(':').next(),
            Some("reading 'until kernel")
        );
        for line in ["quit", "q", "exit"] {
            assert!(said(line).contains("an editor's session"), "{}", said(line));
        }
        assert_eq!(parse("  "), Err(CommandError::Empty));
    }

    #[test]
    fn every_abbreviation_means_one_command() {
        let mut all: Vec<&str> = TABLE
            .iter()
            .flat_map(|entry| entry.short.iter().copied().chain([entry.name]))
            .collect();
        let before = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), before);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in ".*") {
            let _ = parse(&line);
        }

        #[test]
        fn no_arguments_make_a_command_panic(
            which in 0..TABLE.len(),
            slash in "(/[0-9a-z]{0,4})?",
            rest in "[ a-z0-9:*$=,+./é-]{0,12}",
        ) {
            let _ = parse(&format!("{}{slash} {rest}", TABLE[which].name));
        }
    }
}
