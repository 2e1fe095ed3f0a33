//! A query's words → what is asked, or what is wrong and where.

use std::fmt;

use regex::RegexBuilder;

use super::field::{FIELDS, Field, Get};
use super::token::{KEYWORDS, Operator, Token, What, tokens};
use super::{Compare, Expr, OneOrigin, Query, Test, Value};
use crate::crossing::{CrossingKind, NoSetup, Setup};

/// What is wrong with a query, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {wrong}", at + 1)]
pub struct QueryError {
    pub at: usize,
    pub wrong: Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("'{name}' is no field{}", nearest(name))]
    Field { name: String },
    #[error("{name} is a {values} and can be compared by {operators}, not by {found}", name = field.name, values = field.values(), operators = field.operators())]
    Operator {
        field: &'static Field,
        found: &'static str,
    },
    #[error("'{0}' is no number: digits are expected, such as 2000")]
    Number(String),
    #[error("'{0}' is neither true nor false")]
    Flag(String),
    #[error("'{text}' is no kind of crossing: {kinds}", kinds = kinds())]
    Kind { text: String },
    #[error(transparent)]
    Mode(#[from] NoSetup),
    /// Says it itself.
    #[error("{0}")]
    Origin(String),
    #[error("'{text}' is no regular expression: {why}")]
    Pattern { text: String, why: String },
    #[error("{0} is not closed")]
    Unclosed(char),
    #[error("'{0}' stands for nothing here: != and !~ compare, 'not' turns a condition round")]
    Sign(char),
    #[error("{expected} is expected {found}")]
    Expected {
        expected: &'static str,
        found: Found,
    },
    #[error("parentheses are more than {MOST_DEEP} deep")]
    Deep,
}

/// What stands where something else was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    End,
    Text(String),
}

/// So that nobody's stack is used up.
const MOST_DEEP: usize = 64;

/// Of a compiled pattern: names are short, patterns too.
const MOST_BYTES: usize = 1 << 18;

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("at the end"),
            Self::Text(text) => write!(f, "before '{text}'"),
        }
    }
}

fn kinds() -> String {
    CrossingKind::ALL.map(CrossingKind::name).join(", ")
}

/// The field that was meant, or all of them.
fn nearest(name: &str) -> String {
    let near = FIELDS
        .iter()
        .map(|field| (distance(name, field.name), field.name))
        .min()
        .filter(|(distance, _)| *distance <= 1 + name.len() / 4);
    match near {
        Some((_, field)) => format!("; {field} is one"),
        None => {
            let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
            format!(": {}", names.join(", "))
        }
    }
}

/// How many letters must be put in, taken out or changed (Levenshtein); two that change places are two.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let changed = before + usize::from(letter != b[j]);
            before = row[j + 1];
            row[j + 1] = changed.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

pub(super) fn parse(text: &str) -> Result<Query, QueryError> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(Query::default());
    }
    let mut parser = Parser {
        text,
        tokens: &tokens,
        next: 0,
        deep: 0,
    };
    let root = parser.either()?;
    if parser.next < tokens.len() {
        return Err(parser.expected("a condition, 'and' or 'or'"));
    }
    Ok(Query {
        root: Some(bare(root)),
    })
}

/// Twice turned round is as before: `not call!=read`.
fn not(expr: Expr) -> Expr {
    match expr {
        Expr::Not(inner) => *inner,
        expr => Expr::Not(Box::new(expr)),
    }
}

/// Parentheses around all of it say nothing.
fn bare(expr: Expr) -> Expr {
    match expr {
        Expr::All(mut parts) if parts.len() == 1 => parts.pop().map_or(Expr::All(parts), bare),
        expr => expr,
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    next: usize,
    deep: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&What> {
        self.tokens.get(self.next).map(|token| &token.what)
    }

    fn is_keyword(&self, word: &str) -> bool {
        matches!(self.peek(), Some(What::Bare(found)) if found == word)
    }

    fn take_keyword(&mut self, word: &str) -> bool {
        let found = self.is_keyword(word);
        self.next += usize::from(found);
        found
    }

    fn at(&self) -> usize {
        self.tokens
            .get(self.next)
            .map_or(self.text.len(), |token| token.at)
    }

    fn wrong(&self, wrong: Wrong) -> QueryError {
        QueryError {
            at: self.at(),
            wrong,
        }
    }

    fn expected(&self, expected: &'static str) -> QueryError {
        let found = self.tokens.get(self.next).map_or(Found::End, |token| {
            Found::Text(self.text[token.at..token.end].to_owned())
        });
        self.wrong(Wrong::Expected { expected, found })
    }

    fn either(&mut self) -> Result<Expr, QueryError> {
        let mut parts = vec![self.all()?];
        while self.take_keyword("or") {
            parts.push(self.all()?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => Expr::Either(parts),
        })
    }

    fn all(&mut self) -> Result<Expr, QueryError> {
        let mut parts = vec![self.negated()?];
        loop {
            let more = match self.peek() {
                None | Some(What::Close | What::Operator(_)) => false,
                Some(_) => !self.is_keyword("or"),
            };
            if !(self.take_keyword("and") || more) {
                break;
            }
            parts.push(self.negated()?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => Expr::All(parts),
        })
    }

    fn negated(&mut self) -> Result<Expr, QueryError> {
        let mut times = 0;
        while self.take_keyword("not") {
            times += 1;
        }
        let expr = self.one()?;
        Ok(match times % 2 {
            1 => not(expr),
            _ => expr,
        })
    }

    fn one(&mut self) -> Result<Expr, QueryError> {
        const CONDITION: &str = "a condition such as insns>2000";
        match self.peek().cloned() {
            Some(What::Open) => self.group(),
            Some(What::Quoted(text)) => {
                self.next += 1;
                match self.peek() {
                    Some(What::Operator(_)) => {
                        self.next -= 1;
                        Err(self.wrong(Wrong::Field { name: text }))
                    }
                    _ => Ok(Expr::Word(text)),
                }
            }
            Some(What::Bare(word)) if !KEYWORDS.contains(&word.as_str()) => self.test(&word),
            _ => Err(self.expected(CONDITION)),
        }
    }

    fn group(&mut self) -> Result<Expr, QueryError> {
        if self.deep == MOST_DEEP {
            return Err(self.wrong(Wrong::Deep));
        }
        let opened = self.at();
        self.next += 1;
        self.deep += 1;
        let expr = self.either()?;
        self.deep -= 1;
        match self.peek() {
            Some(What::Close) => self.next += 1,
            None => {
                return Err(QueryError {
                    at: opened,
                    wrong: Wrong::Unclosed('('),
                });
            }
            Some(_) => return Err(self.expected("')'")),
        }
        // Kept, though it is one: a condition in parentheses is about a function of its own.
        Ok(match expr {
            Expr::Test(_) => Expr::All(vec![expr]),
            expr => expr,
        })
    }

    fn test(&mut self, word: &str) -> Result<Expr, QueryError> {
        let field = Field::named(word);
        let operator = match self.tokens.get(self.next + 1).map(|token| &token.what) {
            Some(What::Operator(operator)) => *operator,
            _ => {
                self.next += 1;
                return match field {
                    Some(field) if matches!(field.get, Get::Flag(_)) => Ok(Expr::Test(Test {
                        field,
                        value: Value::Flag(true),
                    })),
                    Some(_) => Err(self.expected("a sign such as =, ~ or >")),
                    None => Ok(Expr::Word(word.to_owned())),
                };
            }
        };
        let Some(field) = field else {
            return Err(self.wrong(Wrong::Field {
                name: word.to_owned(),
            }));
        };
        self.next += 1;
        let negated = matches!(operator, Operator::NotEqual | Operator::MatchesNot);
        let how = how(field, operator).map_err(|wrong| self.wrong(wrong))?;
        self.next += 1;
        let text = match self.peek() {
            Some(What::Bare(text) | What::Quoted(text)) => text.clone(),
            _ => return Err(self.expected("a value")),
        };
        let value = value(field, how, text).map_err(|wrong| self.wrong(wrong))?;
        self.next += 1;
        let test = Expr::Test(Test { field, value });
        Ok(match negated {
            true => not(test),
            false => test,
        })
    }
}

/// What an operator asks, but for `not`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Compares(Compare),
    Matches,
}

fn how(field: &'static Field, operator: Operator) -> Result<How, Wrong> {
    let how = match operator {
        Operator::Equal | Operator::NotEqual => return Ok(How::Compares(Compare::Equal)),
        Operator::Matches | Operator::MatchesNot => How::Matches,
        Operator::Less => How::Compares(Compare::Less),
        Operator::AtMost => How::Compares(Compare::AtMost),
        Operator::More => How::Compares(Compare::More),
        Operator::AtLeast => How::Compares(Compare::AtLeast),
    };
    let fits = match field.get {
        Get::Number(_) | Get::NodeNumber(_) => how != How::Matches,
        Get::UseTask => true,
        Get::Flag(_) => false,
        _ => how == How::Matches,
    };
    let found = operator.sign();
    fits.then_some(how).ok_or(Wrong::Operator { field, found })
}

fn value(field: &Field, how: How, text: String) -> Result<Value, Wrong> {
    let compare = match how {
        How::Matches => return pattern(text),
        How::Compares(compare) => compare,
    };
    Ok(match field.get {
        // Its name, which is a text, else its number.
        Get::UseTask
            if compare == Compare::Equal && !text.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            Value::Text(text)
        }
        Get::Number(_) | Get::NodeNumber(_) | Get::UseTask => {
            let digits = text.replace([',', '_'], "");
            match digits.parse() {
                Ok(number) => Value::Number(compare, number),
                Err(_) => return Err(Wrong::Number(text)),
            }
        }
        Get::Flag(_) => Value::Flag(text.parse().map_err(|_| Wrong::Flag(text))?),
        Get::Kind(_) if !CrossingKind::ALL.iter().any(|kind| kind.name() == text) => {
            return Err(Wrong::Kind { text });
        }
        Get::Mode(_) => Value::Text(text.parse::<Setup>()?.to_string()),
        Get::NodeOrigin(_) if text == "kernel" => Value::Origin(OneOrigin::Kernel),
        Get::NodeOrigin(_) => Value::Origin(OneOrigin::This(text.parse().map_err(Wrong::Origin)?)),
        Get::Kind(_) | Get::Text(_) | Get::NodeText(_) | Get::UseText(_) => Value::Text(text),
    })
}

fn pattern(text: String) -> Result<Value, Wrong> {
    match RegexBuilder::new(&text).size_limit(MOST_BYTES).build() {
        Ok(regex) => Ok(Value::Pattern(Box::new(regex))),
        Err(error) => {
            // Its text has a drawing in several lines; the last one says what is wrong.
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default();
            Err(Wrong::Pattern {
                text,
                why: why.trim_start_matches("error: ").to_owned(),
            })
        }
    }
}
