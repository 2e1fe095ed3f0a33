//! The commands of a replay: back in time, and to a moment by its position or its name.

use super::Command;
use super::parse::{Input, WhatFound};

/// A moment of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// Instructions since the machine's reset.
    At(u64),
    /// That many further on.
    On(u64),
    Back(u64),
    Mark(String),
    End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Back {
    Instructions {
        count: u64,
    },
    Lines {
        count: u64,
        /// What was called in between is passed over.
        over: bool,
    },
    /// To the last breakpoint or watchpoint before.
    Continue,
    /// To the call of the selected frame.
    Finish,
    /// To the instruction that has written this expression last.
    Written(String),
    To(Position),
}

pub(super) const PLACES: &[&str] = &["end"];

/// `N`, `1,000`, `+N`, `-N`, `end`, or a mark's name.
pub(super) fn position(input: &Input<'_>) -> Result<Command, WhatFound> {
    let Some(text) = input.optional() else {
        return Err("a position, +N, -N, end or a mark's name is missing".to_owned());
    };
    let number = |digits: &str| digits.replace(',', "").parse::<u64>().ok();
    let place = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(digits), _) => number(digits).map(Position::On),
        (_, Some(digits)) => number(digits).map(Position::Back),
        _ if text == "end" => Some(Position::End),
        _ => number(&text).map(Position::At),
    };
    let is_name = || text.starts_with(|first: char| first.is_alphabetic());
    match place {
        Some(place) => Ok(Command::Back(Back::To(place))),
        None if is_name() => Ok(Command::Back(Back::To(Position::Mark(text)))),
        None => Err(format!(
            "'{text}' is no position: a number, +N, -N, end, or a mark's name"
        )),
    }
}

pub(super) fn mark(input: &Input<'_>) -> Result<Command, WhatFound> {
    match input.optional() {
        Some(name) if name == "end" => Err("'end' is where the recording ends".to_owned()),
        Some(name)
            if name.starts_with(char::is_alphabetic) && !name.contains(char::is_whitespace) =>
        {
            Ok(Command::Mark(name))
        }
        Some(name) => Err(format!(
            "'{name}' is no name: one word that begins with a letter"
        )),
        None => Err("the name is missing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::parse;

    #[test]
    fn moments_are_read() {
        let check = |line: &str, place: Position| {
            assert_eq!(parse(line), Ok(Command::Back(Back::To(place))), "{line}");
        };
        check("goto 265,352,447", Position::At(265_352_447));
        check("goto +10", Position::On(10));
        check("goto -1", Position::Back(1));
        check("goto end", Position::End);
        check(
            "goto before-the-bug",
            Position::Mark("before-the-bug".to_owned()),
        );
        assert_eq!(parse("mark here"), Ok(Command::Mark("here".to_owned())));
        for line in [
            "goto", "goto 1x", "goto -", "mark", "mark 1", "mark a b", "mark end",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn steps_back_are_read_by_gdbs_names() {
        let check = |line: &str, back: Back| {
            assert_eq!(parse(line), Ok(Command::Back(back)), "{line}");
        };
        check("rsi", Back::Instructions { count: 1 });
        check("reverse-stepi 3", Back::Instructions { count: 3 });
        check(
            "rs",
            Back::Lines {
                count: 1,
                over: false,
            },
        );
        check(
            "reverse-next",
            Back::Lines {
                count: 1,
                over: true,
            },
        );
        check("rc", Back::Continue);
        check("reverse-finish", Back::Finish);
        check("written count", Back::Written("count".to_owned()));
    }
}
