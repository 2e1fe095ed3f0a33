//! Values seen as other types: casts, `{TYPE}ADDRESS`, `value@count`, texts.

use super::engine::Engine;
use super::expression::{Environment, ExpressionError, Type, Value, converted, escaped, print};
use super::variables::type_of;
use crate::addr::Addr;
use crate::symbols::types::Type as Plain;
use crate::symbols::{TypedValue, ValuePlace};

/// The longest text compared with.
const LONGEST: u64 = 4096;

impl Engine {
    /// What lies at an address, as a type that debug information knows.
    pub(super) fn placed(&mut self, at: Addr, type_: &Type) -> Result<Value, ExpressionError> {
        let missing = || ExpressionError::Pointee(type_.to_string());
        let of = self.reading(|symbols, _| symbols.type_named(&type_.to_string()));
        let of = of.flatten().ok_or_else(missing)?;
        Ok(self.typed(TypedValue {
            of,
            place: ValuePlace::Memory(at),
            bits: None,
        }))
    }

    /// `(gfp_t)5`, `(enum pid_type)1`; a structure in memory may be seen as another.
    pub(super) fn cast_to(
        &mut self,
        value: &Value,
        type_: &Type,
    ) -> Result<Value, ExpressionError> {
        let missing = || ExpressionError::NoSize(type_.to_string());
        let found = self.reading(|symbols, _| {
            let of = symbols.type_named(&type_.to_string())?;
            let (_, plain) = symbols.plain_type(of);
            Some((of, symbols.size_of(of), plain))
        });
        let (of, size, plain) = found.flatten().ok_or_else(missing)?;
        let place = match plain {
            Plain::Number { .. } | Plain::Enum { .. } | Plain::Pointer { .. } => {
                let typed = TypedValue {
                    of,
                    place: ValuePlace::Bytes(Vec::new()),
                    bits: None,
                };
                let to = self.reading(|symbols, _| type_of(symbols, &typed));
                let to = to.unwrap_or(Type::Void);
                let bytes = converted(value, &to)?.to_le_bytes();
                let size = usize::try_from(size).unwrap_or(8).min(8);
                ValuePlace::Bytes(bytes[..size].to_vec())
            }
            _ => {
                let nowhere = || ExpressionError::NoAddress(value.type_.to_string());
                ValuePlace::Memory(value.at.ok_or_else(nowhere)?)
            }
        };
        Ok(self.typed(TypedValue {
            of,
            place,
            bits: None,
        }))
    }

    /// The bytes before the zero of a character array, or of what a pointer points to.
    pub(super) fn characters(&mut self, value: &Value) -> Result<Vec<u8>, ExpressionError> {
        let none = || ExpressionError::NoText(value.type_.to_string());
        let before_zero = |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
            bytes
        };
        if let Some(typed) = &value.typed {
            let read = self.reading(|symbols, memory| {
                let (_, Plain::Array { of, .. }) = symbols.plain_type(typed.of) else {
                    return None;
                };
                (symbols.size_of(of) == 1).then(|| symbols.value_bytes(typed, memory).ok())
            });
            if let Some(Some(bytes)) = read {
                return bytes.map(before_zero).ok_or_else(none);
            }
        }
        let (at, most) = match (&value.type_, value.bits, value.at, &value.text) {
            (Type::Pointer(of), Some(bits), ..) if of.size() == Some(1) => (Addr(bits), LONGEST),
            (Type::Array(of, count), _, Some(at), _) if of.size() == Some(1) => (at, *count),
            // What the debugger itself tells, such as $_crossing.
            (Type::Array(..), None, None, Some(text)) => {
                return Ok(text.trim_matches('"').as_bytes().to_vec());
            }
            _ => return Err(none()),
        };
        let mut found = Vec::new();
        for i in 0..most.min(LONGEST) {
            let mut byte = [0];
            Environment::read(self, at.wrapping_add(i), &mut byte)?;
            if byte[0] == 0 {
                break;
            }
            found.push(byte[0]);
        }
        Ok(found)
    }

    /// `value@count`
    pub(super) fn repeated(&mut self, value: &Value, count: u64) -> Result<Value, ExpressionError> {
        let none = || ExpressionError::NoAddress(value.type_.to_string());
        let at = value.at.ok_or_else(none)?;
        let size = self.size_of_value(value);
        let size = size.ok_or_else(|| ExpressionError::NoSize(value.type_.to_string()))?;
        let length = usize::try_from(count).unwrap_or(0);
        if value.type_.is_character() && count > 1 {
            let mut bytes = vec![0; length];
            self.read(at, &mut bytes)?;
            let mut array = Value::unknown(Type::Array(Box::new(value.type_.clone()), count));
            array.at = Some(at);
            array.text = Some(quoted(&bytes));
            return Ok(array);
        }
        let mut parts = Vec::with_capacity(length);
        for i in 0..count {
            let place = at.wrapping_add(i.wrapping_mul(size));
            let text = match &value.typed {
                Some(typed) => self.typed_text(&TypedValue {
                    of: typed.of,
                    place: ValuePlace::Memory(place),
                    bits: None,
                }),
                None => {
                    let element = Engine::load(self, place, value.type_.clone());
                    match element.bits {
                        Some(_) => Ok(print(&element, self)),
                        None => Err(format!("nothing can be read at {:#x}", place.0)),
                    }
                }
            };
            parts.push(text.unwrap_or_else(|why| format!("<{why}>")));
        }
        let mut array = Value::unknown(Type::Array(Box::new(value.type_.clone()), count));
        array.at = Some(at);
        array.text = Some(format!("{{{}}}", parts.join(", ")));
        Ok(array)
    }
}

/// Up to the zeros at the end, as gdb shows a buffer: zeros inside are shown.
fn quoted(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .rposition(|b| *b != 0)
        .map_or(0, |last| last + 1);
    let text: String = bytes[..end].iter().map(|byte| escaped(*byte)).collect();
    format!("\"{}\"", text.replace("\\'", "'"))
}
