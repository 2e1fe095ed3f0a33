//! What a function has returned, as its type has it, when `finish` has come out of it.

use super::engine::Engine;
use crate::addr::Addr;
use crate::symbols::types::{Encoding, Type, TypeId};
use crate::symbols::{TypedValue, ValuePlace};

/// A function that is being left, and what it returns.
pub(super) struct Leaving {
    function: String,
    of: TypeId,
}

impl Engine {
    /// The function around an instruction; none where it returns nothing that a register holds.
    pub(super) fn being_left(&self, at: Addr) -> Option<Leaving> {
        let symbols = self.symbols.as_ref()?;
        let of = symbols.result_at(at)?;
        let in_register = match symbols.plain_type(of).1 {
            Type::Number { encoding, size, .. } => encoding != Encoding::Float && size <= 8,
            Type::Pointer { .. } | Type::Enum { .. } => true,
            _ => false,
        };
        let function = symbols.at(at)?.name.to_owned();
        in_register.then_some(Leaving { function, of })
    }

    /// `vfs_write returned (ssize_t) 1`, at the instruction that it returned to.
    pub(super) fn returned(&mut self, leaving: &Leaving) -> Option<String> {
        let bits = self.register("rax").ok()?;
        let value = TypedValue {
            of: leaving.of,
            place: ValuePlace::Bytes(bits.to_le_bytes().to_vec()),
            bits: None,
        };
        let told = self.reading(|symbols, memory| {
            let text = symbols.value_text(&value, memory).ok()?;
            Some(format!("({}) {text}", symbols.type_name(value.of)))
        });
        let told = told.flatten()?;
        Some(format!("{} returned {told}", leaving.function))
    }
}
