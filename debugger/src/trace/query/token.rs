//! A query's text → its words and signs, each with its place.

use super::parse::{QueryError, Wrong};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Where it begins and ends, in bytes.
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Of letters, digits and most signs.
    Bare(String),
    /// Between quotes: never a keyword or a field.
    Quoted(String),
    Operator(Operator),
    Open,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Matches,
    MatchesNot,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// A longer one before its beginning.
const OPERATORS: [(&str, Operator); 8] = [
    ("!=", Operator::NotEqual),
    ("!~", Operator::MatchesNot),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("=", Operator::Equal),
    ("~", Operator::Matches),
    ("<", Operator::Less),
    (">", Operator::More),
];

/// What joins conditions, and so is no word of its own.
pub(super) const KEYWORDS: [&str; 3] = ["and", "or", "not"];

const fn ends_word(letter: char) -> bool {
    letter.is_ascii_whitespace()
        || matches!(letter, '(' | ')' | '=' | '~' | '<' | '>' | '!' | '"' | '\'')
}

/// Whether a text can stand without quotes.
pub(super) fn is_bare(text: &str) -> bool {
    let odd = |letter: char| ends_word(letter) || letter.is_whitespace();
    !text.is_empty() && !text.contains(odd) && !KEYWORDS.contains(&text)
}

impl Operator {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "~",
            Self::MatchesNot => "!~",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        if letter.is_whitespace() {
            at += letter.len_utf8();
            continue;
        }
        let (what, len) = one(&text[at..], letter).map_err(|wrong| QueryError { at, wrong })?;
        let end = at + len;
        tokens.push(Token { at, end, what });
        at = end;
    }
    Ok(tokens)
}

/// The token at the text's beginning, and its length.
fn one(text: &str, letter: char) -> Result<(What, usize), Wrong> {
    match letter {
        '(' => return Ok((What::Open, 1)),
        ')' => return Ok((What::Close, 1)),
        '"' | '\'' => {
            let inside = text[1..].split(letter).next().unwrap_or_default();
            let len = inside.len() + 2;
            return match text.len() < len {
                true => Err(Wrong::Unclosed(letter)),
                false => Ok((What::Quoted(inside.to_owned()), len)),
            };
        }
        _ => {}
    }
    let operator = OPERATORS.iter().find(|(sign, _)| text.starts_with(sign));
    if let Some((sign, operator)) = operator {
        return Ok((What::Operator(*operator), sign.len()));
    }
    let end = |letter: char| ends_word(letter) || letter.is_whitespace();
    let word = text.split(end).next().unwrap_or_default();
    match word {
        "" => Err(Wrong::Sign(letter)),
        _ => Ok((What::Bare(word.to_owned()), word.len())),
    }
}
