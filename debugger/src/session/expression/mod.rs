//! Expressions as gdb takes them: registers, symbols, memory, casts to basic types, arithmetic.
//!
//! Text → tree ([`parse`]) → [`Value`] ([`evaluate`]), over whatever gives registers, names and
//! memory ([`Environment`]) → text ([`print`]).

mod evaluate;
mod parse;
mod print;
mod token;
mod types;

pub use evaluate::evaluate;
pub use parse::{Tree, parse};
pub(super) use print::string;
pub use print::{letter, print};
pub use types::Type;

use crate::addr::Addr;
use crate::symbols::TypedValue;

/// What an expression is about.
pub trait Environment {
    /// A register's bits; `pc` and `sp` as well.
    ///
    /// # Errors
    /// When there is none of this name, or it is wider than 64 bits.
    fn register(&mut self, name: &str) -> Result<u64, ExpressionError>;

    /// A variable or function; `origin` chooses among homonyms.
    ///
    /// # Errors
    /// When nothing or several things have this name.
    fn name(&mut self, origin: Option<&str>, name: &str) -> Result<Value, ExpressionError>;

    /// # Errors
    /// When nothing can be read there.
    fn read(&mut self, at: Addr, bytes: &mut [u8]) -> Result<(), ExpressionError>;

    /// `<main+4>`, for an address something is known of.
    fn near(&mut self, at: Addr) -> Option<String>;

    /// What a pointer points at, where debug information says more of it than its size.
    ///
    /// # Errors
    /// When it cannot be followed.
    fn target(&mut self, _pointer: &Value) -> Result<Option<Value>, ExpressionError> {
        Ok(None)
    }

    /// Bytes of a type; none where it is not known.
    fn size_of(&mut self, type_: &Type) -> Option<u64> {
        type_.size().map(u64::from)
    }

    /// Bytes of a value, as `sizeof` counts them.
    fn size_of_value(&mut self, value: &Value) -> Option<u64> {
        self.size_of(&value.type_)
    }

    /// Bytes from a record's start to a member.
    ///
    /// # Errors
    /// When the type or the member is not known.
    fn offset_of(&mut self, type_: &Type, path: &str) -> Result<u64, ExpressionError> {
        Err(ExpressionError::Member(format!(
            "{type_} has no member {path}"
        )))
    }

    /// `value@count`: so many values of its type, one behind the other.
    ///
    /// # Errors
    /// When it does not lie in memory.
    fn repeat(&mut self, value: &Value, _count: u64) -> Result<Value, ExpressionError> {
        Err(ExpressionError::Pointee(value.type_.to_string()))
    }

    /// # Errors
    /// When it has no such member.
    fn member(&mut self, of: &Value, name: &str) -> Result<Value, ExpressionError> {
        Err(ExpressionError::Member(format!(
            "{} has no member {name}",
            of.type_
        )))
    }

    /// An element of an array or behind a pointer, where debug information tells.
    ///
    /// # Errors
    /// When there is none.
    fn element(&mut self, _of: &Value, _index: i64) -> Result<Option<Value>, ExpressionError> {
        Ok(None)
    }
}

/// What an expression gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Sign- or zero-extended from the type's size; unknown for what no basic type holds.
    pub bits: Option<u64>,
    pub type_: Type,
    /// Where it lies, when it lies in memory.
    pub at: Option<Addr>,
    /// The register it lies in.
    pub register: Option<String>,
    /// As its own reader printed it: structures, what was optimised out.
    pub text: Option<String>,
    /// As debug information describes it.
    pub typed: Option<TypedValue>,
}

impl Value {
    #[must_use]
    pub const fn of(bits: u64, type_: Type) -> Self {
        Self {
            bits: Some(bits),
            type_,
            at: None,
            register: None,
            text: None,
            typed: None,
        }
    }

    /// Whether a condition with this value holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.bits.is_some_and(|bits| bits != 0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    #[error("the expression is empty")]
    Empty,
    #[error("'{found}' stands where {expected} was expected")]
    Expected {
        expected: &'static str,
        found: String,
    },
    #[error("'{0}' is no number")]
    Number(String),
    #[error("it is nested more than {0} deep")]
    Nested(usize),
    #[error("no symbol or variable is named {0}")]
    NoName(String),
    #[error("{name} names several things: {}", .choices.join(", "))]
    Homonyms { name: String, choices: Vec<String> },
    #[error("there is no register ${0}")]
    NoRegister(String),
    #[error("${0} is not known: no machine runs, only a vmlinux is open")]
    NoMachine(String),
    #[error("${0} is wider than 64 bits")]
    WideRegister(String),
    #[error("${0} is not known in frame {1}: its callees may have changed it")]
    NotInFrame(String, u32),
    #[error("nothing can be read at {at:#x}: {why}", at = .at.0)]
    Unreadable { at: Addr, why: String },
    #[error("{name} is of type {type_}, which is no number")]
    NotANumber { name: String, type_: String },
    #[error("{0} does not lie in memory, so it has no address")]
    NoAddress(String),
    #[error(
        "what it points at is of type {0}, which cannot be read: cast it first, as in *(long *)…"
    )]
    Pointee(String),
    #[error("the size of {0} is not known")]
    NoSize(String),
    #[error("'@' takes a count from 1 to {most}, not {found}")]
    Count { most: u64, found: i64 },
    #[error("division by zero")]
    DivisionByZero,
    #[error("{0}")]
    Member(String),
}

#[cfg(test)]
mod tests;
