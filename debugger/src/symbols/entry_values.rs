//! What a parameter was when its function was entered: the caller may still tell, by how it computed it
//! for this call.

use gimli::{Expression, Register};

use super::Symbols;
use super::dies::Die;
use super::image::Slice;
use super::locations::{DEPTH, Scope, ValuePlace, alone, in_list};
use super::unwind::Memory;
use crate::addr::Addr;

fn lost() -> String {
    "optimised out: its value at the function's entry is not kept".to_owned()
}

impl Symbols {
    /// Of a parameter that the function got in a register; nothing where it did not, or nobody kept it.
    pub(super) fn at_entry(
        &self,
        parameter: &Die<'_>,
        scope: Scope<'_>,
        memory: &mut Memory<'_>,
    ) -> Option<ValuePlace> {
        let function = scope.function?;
        let start = function.start()?;
        // A parameter of an inlined call was never handed over.
        let own = function.children();
        let own = own.iter().any(|child| child.id == parameter.id);
        if !own || parameter.tag() != gimli::DW_TAG_formal_parameter {
            return None;
        }
        let (value, owner) = parameter.attr(gimli::DW_AT_location)?;
        // One that has the same place everywhere has its value as well.
        let expression = match value.exprloc_value() {
            Some(_) => return None,
            None => in_list(&owner, value, start).ok()?,
        };
        let register = alone(expression, parameter)?;
        let value = self.register_at_entry(register, scope, memory, DEPTH);
        Some(ValuePlace::Bytes(value.ok()?.to_le_bytes().to_vec()))
    }

    /// `DW_OP_entry_value`
    pub(super) fn entry_value(
        &self,
        entry: Expression<Slice>,
        die: &Die<'_>,
        scope: Scope<'_>,
        memory: &mut Memory<'_>,
        depth: u32,
    ) -> Result<u64, String> {
        let register = alone(entry, die).ok_or_else(lost)?;
        self.register_at_entry(register, scope, memory, depth)
    }

    fn register_at_entry(
        &self,
        register: Register,
        scope: Scope<'_>,
        memory: &mut Memory<'_>,
        depth: u32,
    ) -> Result<u64, String> {
        let depth = depth.checked_sub(1).ok_or_else(lost)?;
        let callee = scope.function.ok_or_else(lost)?;
        let level = scope.level + 1;
        let caller = scope.backtrace.frames.get(level).ok_or_else(lost)?;
        if !caller.after_call {
            return Err(lost());
        }
        let function = self.function_die(caller.lookup()).ok_or_else(lost)?;
        let site = call_site(&function, caller.pc).ok_or_else(lost)?;
        let outer = Scope {
            backtrace: scope.backtrace,
            level,
            function: Some(&function),
        };
        if !self.is_call_of(&site, callee, outer, memory, depth) || calls_itself_last(callee) {
            return Err(lost());
        }
        for parameter in site.children() {
            let at = parameter.expression(gimli::DW_AT_location);
            if at.and_then(|at| alone(at, &parameter)) != Some(register) {
                continue;
            }
            let value = parameter
                .expression(gimli::DW_AT_call_value)
                .or_else(|| parameter.expression(gimli::DW_AT_GNU_call_site_value))
                .ok_or_else(lost)?;
            return self.value_of(value, &parameter, outer, memory, depth);
        }
        Err(lost())
    }

    /// Whether a call goes to this function: another that it was left to by a jump at its own end has
    /// other registers at its entry.
    fn is_call_of(
        &self,
        site: &Die<'_>,
        callee: &Die<'_>,
        outer: Scope<'_>,
        memory: &mut Memory<'_>,
        depth: u32,
    ) -> bool {
        if let Some(called) = origin_of(site) {
            return called.name() == callee.name();
        }
        let target = site
            .expression(gimli::DW_AT_call_target)
            .or_else(|| site.expression(gimli::DW_AT_GNU_call_site_target));
        let target = target.map(|target| self.value_of(target, site, outer, memory, depth));
        let start = callee.start();
        let start = start.map(|start| callee.image.slide.moved(Addr(start)).0);
        start.is_some_and(|start| target == Some(Ok(start)))
    }
}

/// The function that a call site names.
fn origin_of<'a>(site: &Die<'a>) -> Option<Die<'a>> {
    site.refer(gimli::DW_AT_call_origin)
        .or_else(|| site.refer(gimli::DW_AT_abstract_origin))
}

/// The call that returns to an address. Before DWARF 5 its tag and attributes were GNU's.
fn call_site<'a>(function: &Die<'a>, return_to: Addr) -> Option<Die<'a>> {
    let linked = function.image.slide.linked(return_to).0;
    find_site(function, &mut |site| {
        let at = site
            .attr_addr(gimli::DW_AT_call_return_pc)
            .or_else(|| site.attr_addr(gimli::DW_AT_low_pc));
        at == Some(linked)
    })
}

/// Whether a function may end in a jump to its own beginning, with other parameters than the caller's.
fn calls_itself_last(function: &Die<'_>) -> bool {
    let itself = |site: &Die<'_>| {
        let last = site.own(gimli::DW_AT_call_tail_call).is_some()
            || site.own(gimli::DW_AT_GNU_tail_call).is_some();
        last && origin_of(site).is_some_and(|called| called.name() == function.name())
    };
    find_site(function, &mut { itself }).is_some()
}

fn find_site<'a>(die: &Die<'a>, wanted: &mut impl FnMut(&Die<'a>) -> bool) -> Option<Die<'a>> {
    for child in die.children() {
        match child.tag() {
            gimli::DW_TAG_call_site | gimli::DW_TAG_GNU_call_site if wanted(&child) => {
                return Some(child);
            }
            gimli::DW_TAG_lexical_block | gimli::DW_TAG_inlined_subroutine => {
                let found = find_site(&child, wanted);
                if found.is_some() {
                    return found;
                }
            }
            _ => {}
        }
    }
    None
}
