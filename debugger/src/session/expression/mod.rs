//! Expressions as gdb takes them: C's, with registers, symbols, memory, casts, and assignment.
//!
//! Text → tree ([`parse`]) → [`Value`] ([`evaluate`]), over whatever gives registers, names and
//! memory ([`Environment`]) → text ([`print`]).

mod arithmetic;
pub mod calls;
mod evaluate;
mod float;
mod lvalues;
mod parse;
mod part;
mod print;
mod token;
mod types;

pub(super) use arithmetic::converted;
pub use evaluate::evaluate;
pub(super) use float::float_text;
pub use parse::{Tree, parse};
pub(super) use part::part;
pub(super) use print::string;
pub(super) use print::{digits, escaped};
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

    /// A number as a type that only debug information knows: `(gfp_t)5`, `(enum pid_type)1`.
    ///
    /// # Errors
    /// When no type has this name, or it is none of one number.
    fn cast(&mut self, _value: &Value, type_: &Type) -> Result<Value, ExpressionError> {
        Err(ExpressionError::NoSize(type_.to_string()))
    }

    /// What lies at an address, as a type that is no basic one.
    ///
    /// # Errors
    /// When no type has this name.
    fn place(&mut self, _at: Addr, type_: &Type) -> Result<Value, ExpressionError> {
        Err(ExpressionError::Pointee(type_.to_string()))
    }

    /// `place = bits`
    ///
    /// # Errors
    /// When it is no place, or does not keep what was written.
    fn assign(&mut self, place: &Value, _bits: u64) -> Result<(), ExpressionError> {
        Err(ExpressionError::NoPlace(place.type_.to_string()))
    }

    /// The text that a pointer to characters or an array of them has.
    ///
    /// # Errors
    /// When it has none, or nothing can be read there.
    fn text_of(&mut self, value: &Value) -> Result<Vec<u8>, ExpressionError> {
        Err(ExpressionError::NoText(value.type_.to_string()))
    }

    /// `$`, `$3`, `$_cpu`: what was printed before, and what the debugger knows itself.
    fn convenience(&mut self, _name: &str) -> Option<Result<Value, ExpressionError>> {
        None
    }

    /// `$list(…)` and its like.
    ///
    /// # Errors
    /// When it cannot be carried out.
    fn call(&mut self, name: &str, _arguments: &[Given]) -> Result<Value, ExpressionError> {
        Err(ExpressionError::NoMachine(name.to_owned()))
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

/// An argument of `$list(…)`, as it is carried out with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    Value(Box<Value>),
    Type(Type),
    Path(String),
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
    /// What a sequence holds: a list's entries, or one member of each.
    pub items: Option<Vec<Self>>,
}

impl Value {
    #[must_use]
    pub const fn of(bits: u64, type_: Type) -> Self {
        let mut value = Self::unknown(type_);
        value.bits = Some(bits);
        value
    }

    /// Of a type, and nothing else is known of it.
    #[must_use]
    pub const fn unknown(type_: Type) -> Self {
        Self {
            bits: None,
            type_,
            at: None,
            register: None,
            text: None,
            typed: None,
            items: None,
        }
    }

    /// A text that lies in no memory of the guest.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let of = Box::new(Type::named("char"));
        let mut value = Self::unknown(Type::Array(of, text.len() as u64 + 1));
        value.text = Some(format!("{text:?}"));
        value
    }

    /// In a sequence's place: its entries.
    #[must_use]
    pub fn sequence(items: Vec<Self>) -> Self {
        let of = items
            .first()
            .map_or_else(|| "nothing".to_owned(), |first| first.type_.to_string());
        let mut value = Self::unknown(Type::Other(format!("{} of {of}", items.len())));
        value.items = Some(items);
        value
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
    #[error("{0} is no place that can be assigned to")]
    NoPlace(String),
    #[error("writing it: {0}")]
    NotWritten(String),
    #[error("a value of type {0} has no text to compare with")]
    NoText(String),
    #[error("there is no function ${name}; there is: {}", .known.join(", "))]
    NoFunction {
        name: String,
        known: Vec<&'static str>,
    },
    #[error("${name} is not among the values printed so far, of which there are {count}")]
    NoHistory { name: String, count: usize },
    #[error("${name} is not known here: {why}")]
    NotKnown { name: String, why: String },
    #[error("following {what}: {found}")]
    Sequence { what: String, found: String },
    #[error("there are {count} in it, counted from 0; {index} is not among them")]
    NoItem { index: i64, count: usize },
    #[error("{0}")]
    Member(String),
}

#[cfg(test)]
mod tests;
