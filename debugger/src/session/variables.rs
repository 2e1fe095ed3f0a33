//! Named variables with their types.

use super::engine::Engine;
use super::expression::Value;
use crate::addr::Addr;
use crate::event::Variable;

impl Engine {
    /// A local variable or argument of the selected frame.
    pub(super) fn variable(&mut self, _name: &str) -> Option<Value> {
        None
    }

    /// A global variable, with the type its debug information gives.
    pub(super) fn typed_global(&mut self, _name: &str, _at: Addr) -> Option<Value> {
        None
    }

    /// `info locals`, `info args`
    pub(super) fn variables(
        &mut self,
        _arguments: bool,
    ) -> Result<Vec<Variable>, super::trouble::Trouble> {
        Ok(Vec::new())
    }
}
