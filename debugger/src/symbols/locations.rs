//! Where a variable is: DWARF's location expressions, evaluated in a frame.

use gimli::{EvaluationResult, Expression, Location, Operation, Piece, Register, Value, ValueType};

use super::Symbols;
use super::dies::Die;
use super::image::Slice;
use super::unwind::{Backtrace, Memory, Reg, UnwoundFrame};
use crate::addr::Addr;
use crate::count::counted;

/// Where a value lies, or the value itself where it has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValuePlace {
    Memory(Addr),
    /// From registers or computed; the least significant byte first.
    Bytes(Vec<u8>),
}

/// What an expression is evaluated in: a frame of a backtrace, and the function around.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) backtrace: &'a Backtrace,
    pub(super) level: usize,
    /// The function that the frame base belongs to; none for globals.
    pub(super) function: Option<&'a Die<'a>>,
}

const EMPTY: Backtrace = Backtrace {
    frames: Vec::new(),
    end: super::unwind::End::Limit,
};

impl Scope<'_> {
    /// For variables that have a fixed place.
    pub(super) const GLOBAL: Scope<'static> = Scope {
        backtrace: &EMPTY,
        level: 0,
        function: None,
    };

    fn frame(&self) -> Option<&UnwoundFrame> {
        self.backtrace.frames.get(self.level)
    }
}

/// Calls between an argument and the caller that still knows it.
pub(super) const DEPTH: u32 = 6;

impl Symbols {
    /// The place of the entry's variable; the reason where there is none.
    pub(super) fn locate(
        &self,
        die: &Die<'_>,
        scope: Scope<'_>,
        memory: &mut Memory<'_>,
    ) -> Result<ValuePlace, String> {
        if let Some((value, _)) = die.attr(gimli::DW_AT_const_value) {
            let number = value.udata_value();
            let number = number.or_else(|| value.sdata_value().map(i64::cast_unsigned));
            return match (number, value) {
                (Some(number), _) => Ok(ValuePlace::Bytes(number.to_le_bytes().to_vec())),
                (None, gimli::AttributeValue::Block(bytes)) => {
                    Ok(ValuePlace::Bytes(bytes.slice().to_vec()))
                }
                _ => Err("a constant of a form that is not read".to_owned()),
            };
        }
        let expression = expression_of(die, scope)?;
        self.evaluate(expression, die, scope, memory, DEPTH)
    }

    /// The general register that holds the whole of a variable.
    pub(super) fn register_of(&self, die: &Die<'_>, scope: Scope<'_>) -> Option<Reg> {
        let register = alone(expression_of(die, scope).ok()?, die)?;
        (register.0 <= Reg::R15.0).then_some(Reg(register.0))
    }

    /// Of an expression that gives a number, or the place of one that is taken for it.
    pub(super) fn value_of(
        &self,
        expression: Expression<Slice>,
        die: &Die<'_>,
        scope: Scope<'_>,
        memory: &mut Memory<'_>,
        depth: u32,
    ) -> Result<u64, String> {
        let place = self.evaluate(expression, die, scope, memory, depth)?;
        Ok(match place {
            ValuePlace::Memory(addr) => addr.0,
            ValuePlace::Bytes(bytes) => number(&bytes),
        })
    }

    pub(super) fn evaluate(
        &self,
        expression: Expression<Slice>,
        die: &Die<'_>,
        scope: Scope<'_>,
        memory: &mut Memory<'_>,
        depth: u32,
    ) -> Result<ValuePlace, String> {
        if expression.0.is_empty() {
            return Err("optimised out here".to_owned());
        }
        let damaged = |error: gimli::Error| format!("a location that cannot be read ({error})");
        let mut evaluation = expression.evaluation(die.unit.encoding());
        evaluation.set_max_iterations(10_000);
        let mut result = evaluation.evaluate().map_err(damaged)?;
        loop {
            let next = match result {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister {
                    register,
                    base_type,
                } => {
                    let value = register_value(scope, register.0)?;
                    let value = Value::from_u64(value_type(die, base_type), value);
                    evaluation.resume_with_register(value.map_err(damaged)?)
                }
                EvaluationResult::RequiresMemory {
                    address,
                    size,
                    base_type,
                    ..
                } => {
                    let mut bytes = [0; 8];
                    let part = &mut bytes[..usize::from(size.min(8))];
                    if !memory(Addr(address), part) {
                        return Err(format!("{address:#x} cannot be read"));
                    }
                    let value = u64::from_le_bytes(bytes);
                    let value = Value::from_u64(value_type(die, base_type), value);
                    evaluation.resume_with_memory(value.map_err(damaged)?)
                }
                EvaluationResult::RequiresFrameBase => {
                    let base = self.frame_base(scope, memory, depth)?;
                    evaluation.resume_with_frame_base(base)
                }
                EvaluationResult::RequiresCallFrameCfa => {
                    let cfa = scope.frame().and_then(|frame| frame.cfa);
                    let cfa = cfa.ok_or("the frame's caller was not found")?;
                    evaluation.resume_with_call_frame_cfa(cfa.0)
                }
                EvaluationResult::RequiresRelocatedAddress(address) => {
                    let address = die.image.slide.moved(Addr(address));
                    evaluation.resume_with_relocated_address(address.0)
                }
                EvaluationResult::RequiresIndexedAddress { index, .. } => {
                    let address = die.image.dwarf().address(die.unit, index);
                    let address = die.image.slide.moved(Addr(address.map_err(damaged)?));
                    evaluation.resume_with_indexed_address(address.0)
                }
                EvaluationResult::RequiresBaseType(offset) => {
                    evaluation.resume_with_base_type(value_type(die, offset))
                }
                EvaluationResult::RequiresEntryValue(entry) => {
                    let value = self.entry_value(entry, die, scope, memory, depth)?;
                    evaluation.resume_with_entry_value(Value::Generic(value))
                }
                EvaluationResult::RequiresTls(_) => {
                    return Err("thread-local storage is not looked into".to_owned());
                }
                _ => return Err("a location of a kind that is not read".to_owned()),
            };
            result = next.map_err(damaged)?;
        }
        let pieces = evaluation.result();
        place(&pieces, scope, memory)
    }

    fn frame_base(
        &self,
        scope: Scope<'_>,
        memory: &mut Memory<'_>,
        depth: u32,
    ) -> Result<u64, String> {
        let function = scope.function.ok_or("no function around")?;
        let value = function.attr(gimli::DW_AT_frame_base);
        let expression = value.and_then(|(value, _)| value.exprloc_value());
        let expression = expression.ok_or("the function has no frame base")?;
        let depth = depth.checked_sub(1).ok_or("locations in a circle")?;
        // A single register holds the base itself.
        let mut operations = expression.operations(function.unit.encoding());
        if let Ok(Some(Operation::Register { register })) = operations.next() {
            return register_value(scope, register.0);
        }
        self.value_of(expression, function, scope, memory, depth)
    }
}

/// The expression of an entry's location that holds in a frame.
fn expression_of(die: &Die<'_>, scope: Scope<'_>) -> Result<Expression<Slice>, String> {
    let (value, owner) = die.attr(gimli::DW_AT_location).ok_or("optimised out")?;
    if let Some(expression) = value.exprloc_value() {
        return Ok(expression);
    }
    let pc = scope.frame().map_or(Addr(0), UnwoundFrame::lookup);
    in_list(&owner, value, owner.image.slide.linked(pc).0)
}

/// The register that an expression is, and nothing more.
pub(super) fn alone(expression: Expression<Slice>, die: &Die<'_>) -> Option<Register> {
    let mut operations = expression.operations(die.unit.encoding());
    match (operations.next(), operations.next()) {
        (Ok(Some(Operation::Register { register })), Ok(None)) => Some(register),
        _ => None,
    }
}

/// The expression of a location list that holds at an address.
pub(super) fn in_list(
    die: &Die<'_>,
    value: super::dies::Value,
    pc: u64,
) -> Result<Expression<Slice>, String> {
    let list = die.image.dwarf().attr_locations(die.unit, value);
    let Ok(Some(mut list)) = list else {
        return Err("a location of a form that is not read".to_owned());
    };
    let mut elsewhere = Vec::new();
    let moved = |at: u64| die.image.slide.moved(Addr(at)).0;
    while let Ok(Some(entry)) = list.next() {
        if entry.range.begin <= pc && pc < entry.range.end {
            return Ok(entry.data);
        }
        if !entry.data.0.is_empty() && entry.range.begin < entry.range.end {
            elsewhere.push((moved(entry.range.begin), moved(entry.range.end)));
        }
    }
    Err(gone(&mut elsewhere))
}

/// Where a variable still has a value: the ranges that its location list has, joined.
fn gone(ranges: &mut [(u64, u64)]) -> String {
    const SHOWN: usize = 3;
    ranges.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for &(begin, end) in ranges.iter() {
        match joined.last_mut() {
            Some(last) if begin <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((begin, end)),
        }
    }
    let shown = |(begin, end): &(u64, u64)| format!("{begin:#x}-{end:#x}");
    let first: Vec<String> = joined.iter().take(SHOWN).map(shown).collect();
    let more = match joined.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {}", counted(more, "more range")),
    };
    match first.is_empty() {
        true => "optimised out here".to_owned(),
        false => format!("optimised out here; a value at {}{more}", first.join(", ")),
    }
}

fn register_value(scope: Scope<'_>, register: u16) -> Result<u64, String> {
    let number = Reg(register);
    let frame = scope.frame().ok_or("no frame")?;
    frame.registers.get(number).ok_or_else(|| match register {
        0..=16 => format!("it was in {}, which was not kept", number.name()),
        _ => "it is in a vector register, which is not read".to_owned(),
    })
}

fn value_type(die: &Die<'_>, offset: gimli::UnitOffset) -> ValueType {
    if offset.0 == 0 {
        return ValueType::Generic;
    }
    let found = die.at(offset);
    found
        .and_then(|die| ValueType::from_entry(&die.entry).ok().flatten())
        .unwrap_or(ValueType::Generic)
}

fn place(
    pieces: &[Piece<Slice>],
    scope: Scope<'_>,
    memory: &mut Memory<'_>,
) -> Result<ValuePlace, String> {
    let one = match pieces {
        [] => return Err("optimised out".to_owned()),
        [one] => one,
        several => return joined(several, scope, memory),
    };
    match one.location {
        Location::Address { address } => Ok(ValuePlace::Memory(Addr(address))),
        Location::Empty => Err("optimised out".to_owned()),
        location => bytes_of(location, scope).map(ValuePlace::Bytes),
    }
}

fn bytes_of(location: Location<Slice>, scope: Scope<'_>) -> Result<Vec<u8>, String> {
    match location {
        Location::Register { register } => {
            Ok(register_value(scope, register.0)?.to_le_bytes().to_vec())
        }
        Location::Value { value } => {
            let value = value.to_u64(u64::MAX);
            let value = value.map_err(|_| "a value that is no whole number".to_owned())?;
            Ok(value.to_le_bytes().to_vec())
        }
        Location::Bytes { value } => Ok(value.slice().to_vec()),
        Location::ImplicitPointer { .. } => {
            Err("a pointer to something that was optimised out".to_owned())
        }
        Location::Empty | Location::Address { .. } => Err("optimised out".to_owned()),
    }
}

/// A value scattered over registers and memory.
fn joined(
    pieces: &[Piece<Slice>],
    scope: Scope<'_>,
    memory: &mut Memory<'_>,
) -> Result<ValuePlace, String> {
    let mut all = Vec::new();
    for piece in pieces {
        let len = piece_bytes(piece)?;
        let mut bytes = match piece.location {
            Location::Address { address } => {
                let mut bytes = vec![0; len];
                if !memory(Addr(address), &mut bytes) {
                    return Err(format!("{address:#x} cannot be read"));
                }
                bytes
            }
            Location::Empty => return Err("a part of it is optimised out".to_owned()),
            location => bytes_of(location, scope)?,
        };
        bytes.resize(len, 0);
        all.extend(bytes);
    }
    Ok(ValuePlace::Bytes(all))
}

/// How long a piece is; one that does not begin and end at bytes is refused.
fn piece_bytes(piece: &Piece<Slice>) -> Result<usize, String> {
    const MOST: u64 = 4096;
    let (bits, skipped) = (
        piece.size_in_bits.unwrap_or(64),
        piece.bit_offset.unwrap_or(0),
    );
    if !bits.is_multiple_of(8) || skipped != 0 || bits / 8 > MOST {
        return Err(format!(
            "a part of it is {} from bit {skipped} on, which is not read",
            counted(bits, "bit")
        ));
    }
    usize::try_from(bits / 8).map_err(|error| error.to_string())
}

pub(super) fn number(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    let len = bytes.len().min(8);
    word[..len].copy_from_slice(&bytes[..len]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_whole_bytes_are_read_and_no_others() {
        let check = |size_in_bits, bit_offset, expected: Option<usize>| {
            let piece = Piece {
                size_in_bits,
                bit_offset,
                location: Location::Empty,
            };
            assert_eq!(piece_bytes(&piece).ok(), expected);
        };
        check(None, None, Some(8));
        check(Some(32), Some(0), Some(4));
        check(Some(4), None, None);
        check(Some(8), Some(4), None);
        check(Some(u64::MAX - 7), None, None);
    }

    #[test]
    fn what_is_gone_says_where_it_still_lives() {
        assert_eq!(gone(&mut []), "optimised out here");
        assert_eq!(
            gone(&mut [(0x30, 0x40), (0x10, 0x20), (0x20, 0x28)]),
            "optimised out here; a value at 0x10-0x28, 0x30-0x40"
        );
        let mut many = [(1, 2), (3, 4), (5, 6), (7, 8)];
        assert!(gone(&mut many).ends_with("0x5-0x6 and 1 more range"));
    }
}
