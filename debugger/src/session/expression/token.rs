//! Text → tokens.

use super::ExpressionError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Number(u64),
    /// With a point or an exponent, as its bits.
    Float(u64),
    /// What stands in quotation marks, escapes resolved.
    Text(String),
    /// Without the `$`.
    Register(String),
    Word(String),
    Sign(&'static str),
}

/// The longer of two that begin alike comes first.
const SIGNS: &[&str] = &[
    "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "->", "::", "@", ",", "+", "-", "*", "/", "%",
    "&", "|", "^", "~", "!", "<", ">", "(", ")", ":", ".", "[", "]", "{", "}", "?", "=",
];

const COPIES: &[&str] = &[".isra.", ".part.", ".constprop.", ".cold", ".llvm."];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExpressionError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = |text: &str| text.find(|c| !word(c)).unwrap_or(text.len());
        let used = if first.is_ascii_digit() {
            match float(rest) {
                Some((bits, end)) => {
                    tokens.push(Token::Float(bits));
                    end
                }
                None => {
                    let end = length(rest);
                    tokens.push(Token::Number(number(&rest[..end])?));
                    end
                }
            }
        } else if first == '"' {
            let (text, end) = quoted(rest)?;
            tokens.push(Token::Text(text));
            end
        } else if first == '$' {
            // `$$` is the value before the last, `$$3` the third before it.
            let dollars = 1 + usize::from(rest[1..].starts_with('$'));
            let end = dollars + length(&rest[dollars..]);
            tokens.push(Token::Register(rest[1..end].to_owned()));
            end
        } else if first == '\'' {
            let mut letters = rest.chars().skip(1);
            let path = rest[1..]
                .split_once('\'')
                .filter(|(path, _)| path.len() > 1 && !path.starts_with('\\'));
            if let Some((path, behind)) = path
                && behind.starts_with("::")
            {
                tokens.push(Token::Word(path.to_owned()));
                rest = behind;
                continue;
            }
            match (letters.next(), letters.next()) {
                (Some('\\'), Some(c)) if letters.next() == Some('\'') => {
                    let byte =
                        escaped(c).ok_or_else(|| ExpressionError::Number(rest.to_owned()))?;
                    tokens.push(Token::Number(u64::from(byte)));
                    4
                }
                (Some(c), Some('\'')) if c.is_ascii() => {
                    tokens.push(Token::Number(u64::from(u32::from(c))));
                    3
                }
                _ => return Err(ExpressionError::Number(rest.to_owned())),
            }
        } else if word(first) {
            let mut end = length(rest);
            // A compiler's copies have points in their names: `do_work.isra.0`.
            if COPIES.iter().any(|copy| rest[end..].starts_with(copy)) {
                end = rest.find(|c| !(word(c) || c == '.')).unwrap_or(rest.len());
            }
            // What a parameter was when its function was entered: `fd@entry`.
            let entered = rest[end..].strip_prefix("@entry");
            if entered.is_some_and(|behind| !behind.starts_with(word)) {
                end += "@entry".len();
            }
            tokens.push(Token::Word(rest[..end].to_owned()));
            end
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            sign.len()
        } else {
            return Err(ExpressionError::Expected {
                expected: "a number, a $register, a name or an operator",
                found: first.to_string(),
            });
        };
        rest = rest[used..].trim_start();
    }
    Ok(tokens)
}

/// Decimal, `0x` hexadecimal, `0b` binary, or octal behind a 0; C's suffixes are skipped.
fn number(text: &str) -> Result<u64, ExpressionError> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = if let Some(digits) = lower.strip_prefix("0x") {
        (digits, 16)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (digits, 2)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    let digits = digits.trim_end_matches(['u', 'l']);
    u64::from_str_radix(digits, radix).map_err(|_| ExpressionError::Number(text.to_owned()))
}

/// `1.5`, `2e10`, `1.5e-3f`: its bits as a double, and how many bytes it takes.
fn float(text: &str) -> Option<(u64, usize)> {
    let digits = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    let mut end = digits(text);
    let mut is_float = false;
    if text[end..].starts_with('.') && text[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        end += 1 + digits(&text[end + 1..]);
        is_float = true;
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        let exponent = digits(&text[end + 1 + sign..]);
        if exponent > 0 {
            end += 1 + sign + exponent;
            is_float = true;
        }
    }
    let value: f64 = text[..end].parse().ok().filter(|_| is_float)?;
    let suffix = usize::from(text[end..].starts_with(['f', 'F']));
    Some((value.to_bits(), end + suffix))
}

/// Behind a backslash.
const fn escaped(c: char) -> Option<u8> {
    Some(match c {
        'n' => b'\n',
        't' => b'\t',
        'r' => b'\r',
        'a' => 7,
        '0' => 0,
        '\\' => b'\\',
        '\'' => b'\'',
        '"' => b'"',
        _ => return None,
    })
}

/// What stands in quotation marks at the start, and the bytes it takes with them.
fn quoted(text: &str) -> Result<(String, usize), ExpressionError> {
    let mut found = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, c)) = letters.next() {
        match c {
            '"' => return Ok((found, at + 1)),
            '\\' => {
                let next = letters.next().map_or('\0', |(_, c)| c);
                found.push(escaped(next).map_or(next, char::from));
            }
            other => found.push(other),
        }
    }
    Err(ExpressionError::Expected {
        expected: "a closing quotation mark",
        found: "the end".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_entry_is_one_word() {
        let word = |text: &str| Token::Word(text.to_owned());
        let check = |text, expected: &[Token]| assert_eq!(tokens(text).unwrap(), expected);
        check("fd@entry", &[word("fd@entry")]);
        check(
            "fd@entry@2",
            &[word("fd@entry"), Token::Sign("@"), Token::Number(2)],
        );
        check(
            "x@entry_count",
            &[word("x"), Token::Sign("@"), word("entry_count")],
        );
        check("x @entry", &[word("x"), Token::Sign("@"), word("entry")]);
    }
}
