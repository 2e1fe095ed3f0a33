//! Places and formats as gdb's users write them.

use super::{Format, Location};
use crate::addr::Addr;
use crate::origin::Origin;

/// Reads a location; the error is what was found instead.
pub(super) fn location(text: &str) -> Result<Location, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("no location was given".to_owned());
    }
    if let Some(expression) = text.strip_prefix('*') {
        return Ok(address(expression.trim()));
    }
    if text.starts_with("0x") {
        return Ok(address(text));
    }
    if text.starts_with('$') {
        return Ok(Location::Expression(text.to_owned()));
    }
    if let Ok(line) = text.parse::<u32>() {
        return Ok(Location::Line { file: None, line });
    }
    let Some((before, last)) = text.rsplit_once(':') else {
        return symbol(text, None);
    };
    let file = before.trim_matches('\'');
    if let Ok(line) = last.parse::<u32>() {
        if file.is_empty() {
            return Err("no file is named before the line".to_owned());
        }
        return Ok(Location::Line {
            file: Some(file.to_owned()),
            line,
        });
    }
    // gdb's way to tell functions of one name apart.
    if file.contains('.') {
        symbol(last, None)?;
        return Ok(Location::Expression(format!("'{file}'::{last}")));
    }
    // `kernel:write` is any subsystem's, `kernel:fs:write` that of one.
    if before == "kernel" || before.parse::<Origin>().is_ok() {
        return symbol(last, Some(before.to_owned()));
    }
    Err(format!(
        "'{before}' before the colon is neither a file nor an origin (app, libc, entry, kernel, kernel:net)"
    ))
}

fn address(text: &str) -> Location {
    match text.strip_prefix("0x").map(|_| text.parse::<Addr>()) {
        Some(Ok(addr)) => Location::Addr(addr),
        _ => Location::Expression(text.to_owned()),
    }
}

fn symbol(name: &str, origin: Option<String>) -> Result<Location, String> {
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '@');
    if name.is_empty() {
        return Err("no symbol is named".to_owned());
    }
    match name.chars().find(|&c| !legal(c)) {
        None => Ok(Location::Symbol {
            name: name.to_owned(),
            origin,
        }),
        Some(c) => Err(format!(
            "'{name}' is no symbol: '{c}' occurs in none; an expression is written *{name}"
        )),
    }
}

/// Reads what follows the slash of `x/8gx`; gdb's letters in any order.
pub(super) fn format(text: &str) -> Result<Format, String> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let count = if digits.is_empty() {
        1
    } else {
        digits
            .parse()
            .ok()
            .filter(|count| (1..=65_536).contains(count))
            .ok_or_else(|| format!("the count {digits} is not between 1 and 65536"))?
    };
    let (mut unit, mut letter) = (None, None);
    for c in text[digits.len()..].chars() {
        match c {
            'b' => unit = Some(1),
            'h' => unit = Some(2),
            'w' => unit = Some(4),
            'g' => unit = Some(8),
            'x' | 'd' | 'u' | 'o' | 't' | 'c' | 's' | 'i' | 'a' | 'f' => letter = Some(c),
            _ => {
                return Err(format!(
                    "'{c}' is neither a unit (b h w g) nor a letter (x d u o t c f s i a)"
                ));
            }
        }
    }
    let letter = letter.unwrap_or('x');
    // An address is 8 bytes, characters and strings are bytes, unless said otherwise.
    let unit = unit.unwrap_or(match letter {
        'a' | 'f' => 8,
        'c' | 's' | 'i' => 1,
        _ => 4,
    });
    Ok(Format {
        count,
        unit,
        letter,
    })
}

/// The one letter of `p/x`.
pub(super) fn letter(text: &str) -> Result<char, String> {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(c @ ('x' | 'd' | 'u' | 'o' | 't' | 'c' | 'f' | 's' | 'i' | 'a' | 'z')), None) => {
            Ok(c)
        }
        _ => Err(format!(
            "'/{text}' is no format for a value: x d u o t c f s i a z"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, origin: Option<&str>) -> Location {
        Location::Symbol {
            name: name.to_owned(),
            origin: origin.map(str::to_owned),
        }
    }

    #[test]
    fn locations_are_read_in_all_their_forms() {
        assert_eq!(location("ksys_write"), Ok(named("ksys_write", None)));
        assert_eq!(location("app:write"), Ok(named("write", Some("app"))));
        assert_eq!(
            location("kernel:fs:write"),
            Ok(named("write", Some("kernel:fs")))
        );
        assert_eq!(location("kernel:write"), Ok(named("write", Some("kernel"))));
        assert_eq!(
            location("*0xffffffff81000000"),
            Ok(Location::Addr(Addr(0xffff_ffff_8100_0000)))
        );
        assert_eq!(
            location("*main+4"),
            Ok(Location::Expression("main+4".to_owned()))
        );
        assert_eq!(
            location("fs/read_write.c:636"),
            Ok(Location::Line {
                file: Some("fs/read_write.c".to_owned()),
                line: 636
            })
        );
        assert_eq!(
            location("'fs/read_write.c':636"),
            location("fs/read_write.c:636")
        );
        assert_eq!(
            location("fs/read_write.c:vfs_write"),
            Ok(Location::Expression(
                "'fs/read_write.c'::vfs_write".to_owned()
            ))
        );
        assert!(location("fs/read_write.c:vfs write").is_err());
        assert!(location("kernel:nowhere:write").is_err());
        assert!(location("a b").is_err());
        assert!(location(":5").is_err());
    }

    #[test]
    fn formats_take_their_letters_in_any_order() {
        let read = |text| format(text).map(|f| (f.count, f.unit, f.letter));
        assert_eq!(read("8gx"), Ok((8, 8, 'x')));
        assert_eq!(read("xg"), Ok((1, 8, 'x')));
        assert_eq!(read("10i"), Ok((10, 1, 'i')));
        assert_eq!(read("2a"), Ok((2, 8, 'a')));
        assert_eq!(read("3"), Ok((3, 4, 'x')));
        assert!(read("0x").is_err());
        assert!(read("4q").is_err());
        assert!(read("99999999999x").is_err());
    }
}
