//! `parts`: a value taken apart, one level deep.

use super::Command;
use super::parse::{Input, WhatFound};

/// So many parts are told where nobody says how many.
const COUNT: u64 = 200;

/// What is to be taken apart, and which of its parts are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartsOf {
    /// The variables of the selected frame when there is none.
    pub expression: Option<String>,
    /// As `print/LETTER` writes numbers.
    pub letter: Option<char>,
    /// The first part, counted from 0.
    pub from: u64,
    pub count: u64,
}

/// `[/LETTER] [EXPRESSION] [from N]`
pub(super) fn parts(input: &Input<'_>) -> Result<Command, WhatFound> {
    let letter = input.letter()?;
    let text = input.rest;
    let (text, from) = match text.rsplit_once("from ") {
        Some((before, number)) if before.is_empty() || before.ends_with(' ') => {
            let from = number.trim().parse();
            let from = from.map_err(|_| format!("'{}' is no number", number.trim()))?;
            (before.trim(), from)
        }
        _ => (text, 0),
    };
    Ok(Command::Parts {
        of: vec![PartsOf {
            expression: Some(text.to_owned()).filter(|text| !text.is_empty()),
            letter,
            from,
            count: COUNT,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::parse;

    #[test]
    fn a_value_is_taken_apart_from_some_part_on() {
        let check = |line: &str, expression: Option<&str>, letter, from| {
            let of = PartsOf {
                expression: expression.map(str::to_owned),
                letter,
                from,
                count: COUNT,
            };
            assert_eq!(parse(line), Ok(Command::Parts { of: vec![of] }), "{line}");
        };
        check("parts", None, None, 0);
        check("parts file->f_path", Some("file->f_path"), None, 0);
        check("parts/x table from 200", Some("table"), Some('x'), 200);
        check("parts from 3", None, None, 3);
        check("parts wherefrom", Some("wherefrom"), None, 0);
        assert!(parse("parts table from here").is_err());
    }
}
