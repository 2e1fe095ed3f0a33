//! Text → tokens.

use super::ExpressionError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Number(u64),
    /// Without the `$`.
    Register(String),
    Word(String),
    Sign(&'static str),
}

/// The longer of two that begin alike comes first.
const SIGNS: &[&str] = &[
    "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "->", "::", "@", ",", "+", "-", "*", "/", "%",
    "&", "|", "^", "~", "!", "<", ">", "(", ")", ":", ".", "[", "]",
];

const COPIES: &[&str] = &[".isra.", ".part.", ".constprop.", ".cold", ".llvm."];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExpressionError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = |text: &str| text.find(|c| !word(c)).unwrap_or(text.len());
        let used = if first.is_ascii_digit() {
            let end = length(rest);
            tokens.push(Token::Number(number(&rest[..end])?));
            end
        } else if first == '$' {
            let end = 1 + length(&rest[1..]);
            tokens.push(Token::Register(rest[1..end].to_owned()));
            end
        } else if first == '\'' {
            let mut letters = rest.chars().skip(1);
            let path = rest[1..]
                .split_once('\'')
                .filter(|(path, _)| path.len() > 1);
            if let Some((path, behind)) = path
                && behind.starts_with("::")
            {
                tokens.push(Token::Word(path.to_owned()));
                rest = behind;
                continue;
            }
            match (letters.next(), letters.next()) {
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
