//! The commands of a replay: back in time, and to a moment by its position or its name.

use super::Command;
use super::entry::{Completes, Entry, Group};
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
    /// To the last crossing of the boundary.
    Cross,
    /// To the instruction that has written this expression last.
    Written(String),
    /// To the crossing in which it was written last.
    Crossed(String),
    To(Position),
}

/// What the rows of the table have in common.
const ROW: Entry = Entry {
    name: "",
    short: &[],
    arguments: "",
    help: "",
    group: Group::Back,
    completes: Completes::Nothing,
    read: |i| i.nothing(Command::Marks),
};

pub(super) const STEPI: Entry = Entry {
    name: "reverse-stepi",
    short: &["rsi"],
    arguments: "[N]",
    help: "back by one instruction, or N; of a replay, as all of these",
    completes: Completes::Nothing,
    read: |i| Ok(Command::Back(Back::Instructions { count: i.count()? })),
    ..ROW
};

pub(super) const STEP: Entry = Entry {
    name: "reverse-step",
    short: &["rs"],
    arguments: "[N]",
    help: "back to where the source line before began, into calls and across the boundary",
    completes: Completes::Nothing,
    read: |i| lines(i, false),
    ..ROW
};

pub(super) const NEXT: Entry = Entry {
    name: "reverse-next",
    short: &["rn"],
    arguments: "[N]",
    help: "as reverse-step, but over calls",
    completes: Completes::Nothing,
    read: |i| lines(i, true),
    ..ROW
};

pub(super) const CONTINUE: Entry = Entry {
    name: "reverse-continue",
    short: &["rc"],
    arguments: "",
    help: "back to the last breakpoint or watchpoint, or to the machine's reset",
    completes: Completes::Nothing,
    read: |i| i.nothing(Command::Back(Back::Continue)),
    ..ROW
};

pub(super) const FINISH: Entry = Entry {
    name: "reverse-finish",
    short: &["rfin"],
    arguments: "",
    help: "back to the call of the selected frame",
    completes: Completes::Nothing,
    read: |i| i.nothing(Command::Back(Back::Finish)),
    ..ROW
};

pub(super) const WRITTEN: Entry = Entry {
    name: "written",
    short: &["lastwrite"],
    arguments: "EXPRESSION",
    help: "back to the instruction that has written it last",
    completes: Completes::Expressions,
    read: |i| Ok(Command::Back(Back::Written(i.required("expression")?))),
    ..ROW
};

pub(super) const CROSS: Entry = Entry {
    name: "reverse-cross",
    short: &["rcross"],
    arguments: "",
    help: "back to the last instruction before the last crossing of the boundary",
    completes: Completes::Nothing,
    read: |i| i.nothing(Command::Back(Back::Cross)),
    ..ROW
};

pub(super) const CROSSED: Entry = Entry {
    name: "crossed",
    short: &[],
    arguments: "EXPRESSION",
    help: "back to the application's call in which it was written last",
    completes: Completes::Expressions,
    read: |i| Ok(Command::Back(Back::Crossed(i.required("expression")?))),
    ..ROW
};

pub(super) const GOTO: Entry = Entry {
    name: "goto",
    short: &[],
    arguments: "POSITION | +N | -N | end | MARK",
    help: "to a moment, by the instructions since the machine's reset or by its name",
    completes: Completes::Words(&["end"]),
    read: position,
    ..ROW
};

pub(super) const MARK: Entry = Entry {
    name: "mark",
    short: &[],
    arguments: "NAME",
    help: "give the moment a name, kept with the recording",
    completes: Completes::Nothing,
    read: mark,
    ..ROW
};

pub(super) const MARKS: Entry = Entry {
    name: "marks",
    short: &["position"],
    arguments: "",
    help: "the position, and those with names",
    completes: Completes::Nothing,
    read: |i| i.nothing(Command::Marks),
    ..ROW
};

fn lines(input: &Input<'_>, over: bool) -> Result<Command, WhatFound> {
    let count = input.count()?;
    Ok(Command::Back(Back::Lines { count, over }))
}

/// `N`, `1,000`, `+N`, `-N`, `end`, or a mark's name.
fn position(input: &Input<'_>) -> Result<Command, WhatFound> {
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

fn mark(input: &Input<'_>) -> Result<Command, WhatFound> {
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
        check("rcross", Back::Cross);
        check("crossed count", Back::Crossed("count".to_owned()));
    }
}
