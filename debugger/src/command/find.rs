//! `find START, +LENGTH, PATTERN`: bytes looked for in memory.

use super::Command;
use super::parse::{Input, WhatFound};

/// `find $sp, +4096, "text"` or `find 0xffffffff81000000, +65536, 7f 45 4c 46`.
pub(super) fn find(input: &Input<'_>) -> Result<Command, WhatFound> {
    let mut parts = input.rest.splitn(3, ',').map(str::trim);
    let (Some(start), Some(len), Some(pattern)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("it is not START, +LENGTH, PATTERN".to_owned());
    };
    let number = len.strip_prefix('+').unwrap_or("");
    let len = match number.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => number.parse(),
    };
    Ok(Command::Find {
        start: start.to_owned(),
        len: len.map_err(|_| format!("'{number}' behind the '+' is no length"))?,
        pattern: bytes(pattern)?,
    })
}

/// A text in quotes, or bytes as pairs of hexadecimal digits.
///
/// # Errors
/// What was found instead.
pub fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let quoted = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    if let Some(quoted) = quoted {
        return match quoted.is_empty() {
            true => Err("there is nothing between the quotes".to_owned()),
            false => Ok(quoted.as_bytes().to_vec()),
        };
    }
    let digits: String = text
        .split([' ', ','])
        .map(|word| word.strip_prefix("0x").unwrap_or(word))
        .collect();
    if digits.is_empty() || !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return Err(format!(
            "'{text}' is neither pairs of hex digits nor a text in quotes"
        ));
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16))
        .collect::<Result<_, _>>()
        .map_err(|_| format!("'{text}' is neither pairs of hex digits nor a text in quotes"))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn a_pattern_is_a_text_or_bytes() {
        assert_eq!(bytes("\"ELF\""), Ok(b"ELF".to_vec()));
        assert_eq!(bytes("7f 45 0x4c46"), Ok(vec![0x7f, 0x45, 0x4c, 0x46]));
        for wrong in ["", "\"\"", "7", "xy", "é1"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        let found = parse("find $sp, +0x100, \"a, b\"").ok();
        let expected = Command::Find {
            start: "$sp".to_owned(),
            len: 0x100,
            pattern: b"a, b".to_vec(),
        };
        assert_eq!(found, Some(expected));
        assert!(parse("find $sp, 5, 00").is_err());
    }
}
