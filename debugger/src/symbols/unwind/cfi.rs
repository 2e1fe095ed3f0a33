//! Call frame information: `.debug_frame` and `.eh_frame` through an index sorted by address.
//!
//! gimli's own look-up without `.eh_frame_hdr` is a linear scan: 0.3 ms in a kernel.

use std::cell::{OnceCell, RefCell};

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EhFrame, EndianSlice, EvaluationResult,
    LittleEndian, Reader, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, Value,
};

use super::super::image::{Image, Slice};
use super::registers::{Reg, RegisterSet};
use super::{Memory, read_u64};
use crate::addr::Addr;
use crate::profile::Profile;

#[derive(Debug, Default)]
pub(in super::super) struct Cfi {
    index: OnceCell<Vec<Fde>>,
    context: RefCell<UnwindContext<usize>>,
    /// The symbol at the beginning of the application's table, where that has no section of its own.
    app_eh_frame: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Fde {
    start: u64,
    end: u64,
    offset: usize,
    eh: bool,
}

/// What one row of the table gives.
pub(super) struct Row {
    pub(super) caller: RegisterSet,
    pub(super) cfa: u64,
    /// The CFA is computed by an expression: the stack changes here.
    pub(super) by_expression: bool,
}

impl Cfi {
    pub(in super::super) fn of(profile: &Profile) -> Self {
        Self {
            app_eh_frame: profile.boundary.app_eh_frame.clone(),
            ..Self::default()
        }
    }

    /// `at` is the address to look up: the call's, not the one it returns to. A known `cfa` holds
    /// against the table's: compilers do not see what inline assembly pushes.
    pub(super) fn step(
        &self,
        image: &Image,
        at: Addr,
        cfa: Option<u64>,
        registers: &RegisterSet,
        memory: &mut Memory<'_>,
    ) -> Option<Row> {
        let at = image.slide.linked(at);
        let index = self.index.get_or_init(|| build(image));
        let after = index.partition_point(|fde| fde.start <= at.0);
        let fde = index.get(after.checked_sub(1)?)?;
        if at.0 >= fde.end {
            return None;
        }
        let (section, bases) = eh_frame(image);
        if fde.eh {
            self.row(
                &section,
                &bases,
                fde.offset.into(),
                at,
                cfa,
                registers,
                memory,
            )
        } else {
            let section = debug_frame(image);
            self.row(
                &section,
                &bases,
                fde.offset.into(),
                at,
                cfa,
                registers,
                memory,
            )
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call, generic over two sections"
    )]
    fn row<S>(
        &self,
        section: &S,
        bases: &BaseAddresses,
        offset: S::Offset,
        at: Addr,
        known_cfa: Option<u64>,
        registers: &RegisterSet,
        memory: &mut Memory<'_>,
    ) -> Option<Row>
    where
        S: UnwindSection<Slice>,
    {
        let fde = section
            .fde_from_offset(bases, offset, S::cie_from_offset)
            .ok()?;
        let encoding = fde.cie().encoding();
        let mut context = self.context.borrow_mut();
        let row = fde
            .unwind_info_for_address(section, bases, &mut context, at.0)
            .ok()?;
        let mut evaluate = |expression: &UnwindExpression<usize>, start: Option<u64>| {
            let expression = expression.get(section).ok()?;
            evaluate(expression, encoding, start, registers, memory)
        };
        let (cfa, by_expression) = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                let base = registers.get(Reg(register.0))?;
                (
                    known_cfa.unwrap_or_else(|| base.wrapping_add_signed(*offset)),
                    false,
                )
            }
            CfaRule::Expression(expression) => (evaluate(expression, None)?, true),
        };
        let mut caller = registers.clone();
        caller.forget_volatile();
        caller.set(Reg::RSP, Some(cfa));
        caller.set(Reg::RIP, None);
        let mut rules: Vec<_> = row
            .registers()
            .map(|(reg, rule)| (*reg, rule.clone()))
            .collect();
        rules.retain(|(register, _)| register.0 <= Reg::RIP.0);
        let mut addresses = Vec::new();
        for (register, rule) in rules {
            let register_number = Reg(register.0);
            let value = match rule {
                RegisterRule::Undefined => None,
                RegisterRule::SameValue => registers.get(register_number),
                RegisterRule::Offset(offset) => {
                    addresses.push((register_number, cfa.wrapping_add_signed(offset)));
                    continue;
                }
                RegisterRule::ValOffset(offset) => Some(cfa.wrapping_add_signed(offset)),
                RegisterRule::Register(other) => registers.get(Reg(other.0)),
                RegisterRule::Expression(expression) => {
                    if let Some(address) = evaluate(&expression, Some(cfa)) {
                        addresses.push((register_number, address));
                    }
                    continue;
                }
                RegisterRule::ValExpression(expression) => evaluate(&expression, Some(cfa)),
                RegisterRule::Constant(value) => Some(value),
                _ => None,
            };
            caller.set(register_number, value);
        }
        for (register, address) in addresses {
            caller.set(register, read_u64(memory, Addr(address)));
        }
        // No rule at all for the return address: this is where the stack begins.
        Some(Row {
            caller,
            cfa,
            by_expression,
        })
    }
}

fn debug_frame(image: &Image) -> DebugFrame<Slice> {
    let data = image.section(".debug_frame").map_or(&[][..], |s| s.data);
    let mut frame = DebugFrame::from(EndianSlice::new(data, LittleEndian));
    frame.set_address_size(8);
    frame
}

fn eh_frame(image: &Image) -> (EhFrame<Slice>, BaseAddresses) {
    let (data, at) = eh_frame_bytes(image);
    let mut frame = EhFrame::from(EndianSlice::new(data, LittleEndian));
    frame.set_address_size(8);
    let linked = |addr| image.slide.linked(addr).0;
    let text = image.section(".text").map_or(0, |s| linked(s.range.start));
    let bases = BaseAddresses::default()
        .set_eh_frame(linked(Addr(at)))
        .set_text(text);
    (frame, bases)
}

/// A section of its own in a program. The kernel has none; that of an application linked into it lies
/// among the application's data, behind a symbol.
fn eh_frame_bytes(image: &Image) -> (&'static [u8], u64) {
    if let Some(section) = image.section(".eh_frame") {
        return (section.data, section.range.start.0);
    }
    let start = image.cfi.app_eh_frame.as_deref();
    let start = start.and_then(|name| image.table.named(name).next());
    let found = start.and_then(|start| {
        let section = image.section_at(Addr(start.addr))?;
        let skip = usize::try_from(Addr(start.addr) - section.range.start).ok()?;
        Some((section.data.get(skip..)?, start.addr))
    });
    found.unwrap_or((&[], 0))
}

fn build(image: &Image) -> Vec<Fde> {
    let mut index = Vec::new();
    let (section, bases) = eh_frame(image);
    collect(&section, &bases, true, &mut index);
    collect(&debug_frame(image), &bases, false, &mut index);
    // Sorting is stable, so of two tables the later, `.debug_frame`, is the one found.
    index.sort_by_key(|fde| fde.start);
    index
}

fn collect<S>(section: &S, bases: &BaseAddresses, eh: bool, index: &mut Vec<Fde>)
where
    S: UnwindSection<Slice>,
{
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else {
            continue;
        };
        let Ok(fde) = partial.parse(S::cie_from_offset) else {
            continue;
        };
        // Discarded functions are left at 0.
        if fde.initial_address() != 0 {
            index.push(Fde {
                start: fde.initial_address(),
                end: fde.initial_address().saturating_add(fde.len()),
                offset: fde.offset(),
                eh,
            });
        }
    }
}

/// Expressions in frame tables need registers and memory, nothing else.
fn evaluate<R: Reader<Offset = usize>>(
    expression: gimli::Expression<R>,
    encoding: gimli::Encoding,
    start: Option<u64>,
    registers: &RegisterSet,
    memory: &mut Memory<'_>,
) -> Option<u64> {
    let mut evaluation = expression.evaluation(encoding);
    evaluation.set_max_iterations(1000);
    if let Some(start) = start {
        evaluation.set_initial_value(start);
    }
    let mut result = evaluation.evaluate().ok()?;
    loop {
        result = match result {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                let value = registers.get(Reg(register.0))?;
                evaluation
                    .resume_with_register(Value::Generic(value))
                    .ok()?
            }
            EvaluationResult::RequiresMemory { address, .. } => {
                let value = read_u64(memory, Addr(address))?;
                evaluation.resume_with_memory(Value::Generic(value)).ok()?
            }
            _ => return None,
        };
    }
    match evaluation.result().first()?.location {
        gimli::Location::Address { address } => Some(address),
        gimli::Location::Value {
            value: Value::Generic(value),
        } => Some(value),
        _ => None,
    }
}
