//! Blocks of code: a function's body, the copy of an inlined one, braces with variables of their own.

use super::Symbols;
use super::dies::{Die, DieId};
use crate::addr::Addr;

impl Symbols {
    /// Of several instructions of one line the first in each block: a line that the compiler has
    /// taken apart is one place, a line of an inlined function is one in each of its copies.
    #[must_use]
    pub fn first_of_each_block(&self, mut addrs: Vec<Addr>) -> Vec<Addr> {
        addrs.sort();
        let mut seen: Vec<DieId> = Vec::new();
        addrs.retain(|addr| match self.block_at(*addr) {
            Some(block) if seen.contains(&block) => false,
            Some(block) => {
                seen.push(block);
                true
            }
            None => true,
        });
        addrs
    }

    fn block_at(&self, addr: Addr) -> Option<DieId> {
        let mut block = self.function_die(addr)?;
        let mut innermost = block.id;
        loop {
            let inner = block.children().into_iter().find(|die| {
                matches!(
                    die.tag(),
                    gimli::DW_TAG_inlined_subroutine | gimli::DW_TAG_lexical_block
                ) && die.covers(addr)
            });
            let Some(inner) = inner else {
                return Some(innermost);
            };
            if inner.tag() == gimli::DW_TAG_inlined_subroutine || has_variables(&inner) {
                innermost = inner.id;
            }
            block = inner;
        }
    }
}

fn has_variables(block: &Die<'_>) -> bool {
    let variables = [gimli::DW_TAG_variable, gimli::DW_TAG_formal_parameter];
    block
        .children()
        .iter()
        .any(|die| variables.contains(&die.tag()))
}
