//! Numbers of things, in words: one is one, and not `1 crossings`.

use std::fmt::Display;

/// `1 crossing`, `2 crossings`, `1,234 classes`: the number as it shows itself, and as many of the thing. The thing
/// is named in the singular, with its noun last: `damaged block`.
///
/// ```
/// use debugger::count::counted;
/// assert_eq!(counted(1, "crossing"), "1 crossing");
/// assert_eq!(counted(0, "entry"), "0 entries");
/// assert_eq!(counted(debugger::addr::Insns(1_234), "class"), "1,234 classes");
/// ```
#[must_use]
pub fn counted(number: impl Display, thing: &str) -> String {
    let number = number.to_string();
    let things = noun(&number, thing);
    format!("{number} {things}")
}

/// The thing alone, where its number is shown otherwise: `crossing` for 1, else `crossings`.
#[must_use]
pub fn noun(number: impl Display, thing: &str) -> String {
    if is_one(number) {
        return thing.to_owned();
    }
    let consonant = |c: char| !matches!(c, 'a' | 'e' | 'i' | 'o' | 'u');
    match thing.strip_suffix('y') {
        Some(stem) if stem.ends_with(consonant) => format!("{stem}ies"),
        _ if thing.ends_with(['s', 'x']) => format!("{thing}es"),
        _ => format!("{thing}s"),
    }
}

/// What is said of one thing, or of several: `either(count, "is", "are")`.
#[must_use]
pub fn either<T>(number: impl Display, one: T, several: T) -> T {
    match is_one(number) {
        true => one,
        false => several,
    }
}

/// By how it shows itself: numbers come in many types.
fn is_one(number: impl Display) -> bool {
    number.to_string() == "1"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Insns;

    #[test]
    fn one_is_one_and_all_else_are_several() {
        for (thing, several) in [
            ("crossing", "crossings"),
            ("class", "classes"),
            ("entry", "entries"),
            ("key", "keys"),
            ("damaged block", "damaged blocks"),
        ] {
            assert_eq!(counted(1_u64, thing), format!("1 {thing}"));
            for number in [0, 2, 11, 21] {
                assert_eq!(counted(number, thing), format!("{number} {several}"));
            }
        }
        assert_eq!(counted(Insns(1), "instruction"), "1 instruction");
        assert_eq!(counted(Insns(1_001), "instruction"), "1,001 instructions");
        assert_eq!(either(1, "is", "are"), "is");
        assert_eq!(either(Insns(0), "is", "are"), "are");
    }
}
