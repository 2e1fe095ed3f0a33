//! Questions about crossings and the functions on their paths: one language for every filter.
//!
//! ```text
//! kind=syscall call~"send.*" insns>2000 not (origin=kernel:net own>50)
//! ```
//!
//! Conditions that stand side by side must all hold. Those about functions that stand together are about
//! one and the same function; in parentheses of their own they may be about another.

mod complete;
mod evaluate;
mod field;
mod parse;
mod reference;
mod token;

use std::fmt;
use std::str::FromStr;

use regex::Regex;

use crate::origin::Origin;

pub use complete::complete;
pub use evaluate::{At, Crossing};
pub use field::{FIELDS, Field, Subject};
pub use parse::{QueryError, Wrong};
pub use reference::reference;

/// A question; the empty one holds for everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    root: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expr {
    /// Every one holds; of those about functions, for one function.
    All(Vec<Self>),
    Either(Vec<Self>),
    Not(Box<Self>),
    Test(Test),
    /// A text in the names that a reader sees first.
    Word(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Test {
    field: &'static Field,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Number(Compare, u64),
    Text(String),
    Pattern(Box<Regex>),
    Flag(bool),
    Origin(OneOrigin),
}

/// What an origin is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OneOrigin {
    /// Any part of the kernel.
    Kernel,
    This(Origin),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Query {
    /// Whether it holds for everything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Whether it knows tasks by their names, which are read only after what they did.
    #[must_use]
    pub fn names_tasks(&self) -> bool {
        self.root.as_ref().is_some_and(Expr::names_tasks)
    }
}

impl Expr {
    fn names_tasks(&self) -> bool {
        match self {
            Self::All(list) | Self::Either(list) => list.iter().any(Self::names_tasks),
            Self::Not(inner) => inner.names_tasks(),
            Self::Test(test) => {
                matches!(test.field.get, field::Get::UseTask)
                    && !matches!(test.value, Value::Number(..))
            }
            Self::Word(_) => false,
        }
    }
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        parse::parse(text)
    }
}

/// Patterns are the same when they are written the same.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(how, a), Self::Number(other, b)) => how == other && a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Pattern(a), Self::Pattern(b)) => a.as_str() == b.as_str(),
            (Self::Flag(a), Self::Flag(b)) => a == b,
            (Self::Origin(a), Self::Origin(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Compare {
    const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }

    const fn holds(self, found: u64, wanted: u64) -> bool {
        match self {
            Self::Equal => found == wanted,
            Self::Less => found < wanted,
            Self::AtMost => found <= wanted,
            Self::More => found > wanted,
            Self::AtLeast => found >= wanted,
        }
    }
}

/// As it would be typed: it reads back as itself.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.as_ref().map_or(Ok(()), |root| root.write(f))
    }
}

impl Expr {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => Self::list(parts, " ", f),
            Self::Either(parts) => Self::list(parts, " or ", f),
            Self::Not(part) => {
                f.write_str("not ")?;
                part.inner(f)
            }
            Self::Test(test) => test.write(f),
            // Bare it would be the field.
            Self::Word(word) if Field::named(word).is_some() => write!(f, "\"{word}\""),
            Self::Word(word) => quoted(word, f),
        }
    }

    fn list(parts: &[Self], between: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in parts.iter().enumerate() {
            f.write_str(if i > 0 { between } else { "" })?;
            part.inner(f)?;
        }
        Ok(())
    }

    fn inner(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self, Self::All(_) | Self::Either(_)) {
            f.write_str("(")?;
            self.write(f)?;
            f.write_str(")")
        } else {
            self.write(f)
        }
    }
}

impl Test {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.name)?;
        match &self.value {
            Value::Number(how, number) => write!(f, "{}{number}", how.sign()),
            Value::Flag(flag) => write!(f, "={flag}"),
            Value::Origin(OneOrigin::Kernel) => f.write_str("=kernel"),
            Value::Origin(OneOrigin::This(origin)) => write!(f, "={origin}"),
            Value::Text(text) => {
                f.write_str("=")?;
                quoted(text, f)
            }
            Value::Pattern(pattern) => {
                f.write_str("~")?;
                quoted(pattern.as_str(), f)
            }
        }
    }
}

/// Bare where it can be, else between the quotes that it does not hold.
fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if token::is_bare(text) {
        f.write_str(text)
    } else if text.contains('"') {
        write!(f, "'{text}'")
    } else {
        write!(f, "\"{text}\"")
    }
}

#[cfg(test)]
mod tests;
