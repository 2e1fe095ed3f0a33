//! The inlined calls around an address, and functions that never return.

use super::Symbols;
use super::dies::DieId;
use super::variables::inlined_at;
use crate::addr::Addr;

/// A call that the compiler has replaced by the function's code: one place of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlinedCall {
    id: DieId,
    pub function: String,
}

impl Symbols {
    /// Outermost first; empty where the code is the function's own, or without DWARF.
    #[must_use]
    pub fn inlined_calls(&self, pc: Addr) -> Vec<InlinedCall> {
        let Some(function) = self.function_die(pc) else {
            return Vec::new();
        };
        let mut calls = Vec::new();
        inlined_at(&function, pc, &mut calls);
        calls
            .iter()
            .map(|die| InlinedCall {
                id: die.id,
                function: die.name().to_owned(),
            })
            .collect()
    }

    /// Whether the function around an address is declared so (`noreturn`).
    #[must_use]
    pub fn never_returns(&self, at: Addr) -> bool {
        self.function_die(at)
            .is_some_and(|die| die.attr(gimli::DW_AT_noreturn).is_some())
    }
}
