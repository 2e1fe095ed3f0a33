//! A tree → a value.

use super::arithmetic::{binary, converted, negated, number, promoted, truth};
use super::calls::Argument;
use super::{Environment, ExpressionError, Given, Tree, Type, Value};
use crate::addr::Addr;

/// # Errors
/// When a name, a register or memory is not there, or an operation has no result.
pub fn evaluate(tree: &Tree, on: &mut dyn Environment) -> Result<Value, ExpressionError> {
    match tree {
        Tree::Number(bits) => {
            let type_ = if *bits <= 0x7fff_ffff {
                Type::int()
            } else if *bits >> 63 == 0 {
                Type::long()
            } else {
                Type::unsigned_long()
            };
            Ok(Value::of(*bits, type_))
        }
        Tree::Float(bits) => Ok(Value::of(*bits, Type::double())),
        Tree::Text(text) => Ok(Value::text(text)),
        Tree::Register(name) => {
            if let Some(value) = on.convenience(name) {
                return value;
            }
            let bits = on.register(name)?;
            let type_ = match name.as_str() {
                "rip" | "pc" => Type::Function.pointer(),
                "rsp" | "rbp" | "sp" | "fp" => Type::Void.pointer(),
                _ => Type::long(),
            };
            let mut value = Value::of(bits, type_);
            value.register = Some(name.clone());
            Ok(value)
        }
        Tree::Name { origin, name } => on.name(origin.as_deref(), name),
        Tree::Cast(type_, inner) => {
            let inner = evaluate(inner, on)?;
            cast(&inner, type_, on)
        }
        Tree::Unary("*", inner) => {
            let inner = evaluate(inner, on)?;
            if let Some(value) = on.target(&inner)? {
                return Ok(value);
            }
            let at = Addr(number(&inner)?);
            let pointee = match inner.type_ {
                Type::Pointer(pointee) => *pointee,
                Type::Array(of, _) => *of,
                // gdb reads a long at a bare number.
                _ => Type::long(),
            };
            load(at, pointee, on)
        }
        Tree::Member(inner, name, arrow) => {
            let of = evaluate(inner, on)?;
            if let Some(items) = &of.items {
                let members: Result<Vec<Value>, ExpressionError> = items
                    .iter()
                    .map(|item| member(item, name, *arrow, on))
                    .collect();
                return members.map(Value::sequence);
            }
            member(&of, name, *arrow, on)
        }
        Tree::Index(inner, index) => {
            let of = evaluate(inner, on)?;
            let index = evaluate(index, on)?;
            let count = number(&index)?.cast_signed();
            if let Some(items) = &of.items {
                let item = usize::try_from(count).ok().and_then(|at| items.get(at));
                let count_of = items.len();
                return item.cloned().ok_or(ExpressionError::NoItem {
                    index: count,
                    count: count_of,
                });
            }
            if let Some(value) = on.element(&of, count)? {
                return Ok(value);
            }
            let place = binary("+", &of, &index, on)?;
            if let Some(value) = on.target(&place)? {
                return Ok(value);
            }
            match place.type_.clone() {
                Type::Pointer(pointee) => load(Addr(number(&place)?), *pointee, on),
                other => Err(ExpressionError::Pointee(other.to_string())),
            }
        }
        Tree::Unary("&", inner) => {
            let value = evaluate(inner, on)?;
            let at = value
                .at
                .ok_or_else(|| ExpressionError::NoAddress(shown(inner)))?;
            Ok(Value::of(at.0, value.type_.pointer()))
        }
        Tree::Unary(sign, inner) => {
            let value = evaluate(inner, on)?;
            if matches!(value.type_, Type::Float { .. }) {
                return negated(sign, &value);
            }
            let bits = number(&value)?;
            let type_ = promoted(&value.type_);
            Ok(match *sign {
                "-" => Value::of(type_.extend(bits.wrapping_neg()), type_),
                "~" => Value::of(type_.extend(!bits), type_),
                "!" => Value::of(u64::from(bits == 0), Type::int()),
                _ => Value::of(bits, type_),
            })
        }
        Tree::Binary(sign, left, right) => {
            // Texts are compared by what they say, not by where they lie.
            if let ("==" | "!=", Tree::Text(text), other) | ("==" | "!=", other, Tree::Text(text)) =
                (*sign, &**left, &**right)
            {
                let same = match other {
                    Tree::Text(other) => other == text,
                    other => {
                        let other = evaluate(other, on)?;
                        on.text_of(&other)? == text.as_bytes()
                    }
                };
                return Ok(Value::of(u64::from(same == (*sign == "==")), Type::int()));
            }
            let left = evaluate(left, on)?;
            // As in C, what decides alone is not followed by the rest.
            match *sign {
                "&&" if !truth(&left)? => return Ok(Value::of(0, Type::int())),
                "||" if truth(&left)? => return Ok(Value::of(1, Type::int())),
                _ => {}
            }
            let right = evaluate(right, on)?;
            if *sign == "@" {
                return repeated(&left, number(&right)?.cast_signed(), on);
            }
            binary(sign, &left, &right, on)
        }
        Tree::SizeOfType(type_) => size(on.size_of(type_), type_),
        Tree::SizeOf(inner) => match (evaluate(inner, on), &**inner) {
            (Ok(value), _) => size(on.size_of_value(&value), &value.type_),
            // A typedef's name looks like a variable's.
            (Err(error), Tree::Name { origin: None, name }) => {
                let type_ = Type::named(name);
                let bytes = on.size_of(&type_);
                bytes.map_or(Err(error), |bytes| size(Some(bytes), &type_))
            }
            (Err(error), _) => Err(error),
        },
        Tree::OffsetOf(type_, path) => {
            let offset = on.offset_of(type_, path)?;
            Ok(Value::of(offset, Type::unsigned_long()))
        }
        Tree::ContainerOf(inner, type_, path) => {
            let inner = evaluate(inner, on)?;
            let offset = on.offset_of(type_, path)?;
            let start = number(&inner)?.wrapping_sub(offset);
            Ok(Value::of(start, type_.clone().pointer()))
        }
        Tree::Choice(condition, then, otherwise) => {
            let holds = evaluate(condition, on)?;
            match truth(&holds)? {
                true => evaluate(then, on),
                false => evaluate(otherwise, on),
            }
        }
        Tree::Assign(sign, left, right) => {
            let place = evaluate(left, on)?;
            let mut value = evaluate(right, on)?;
            if let Some(sign) = sign {
                value = binary(sign, &place, &value, on)?;
            }
            let bits = converted(&value, &place.type_)?;
            on.assign(&place, bits)?;
            // What is shown is read again.
            evaluate(left, on)
        }
        Tree::At(type_, inner) => {
            let at = evaluate(inner, on)?;
            load(Addr(number(&at)?), type_.clone(), on)
        }
        Tree::Call(name, arguments) => {
            let mut given = Vec::with_capacity(arguments.len());
            for argument in arguments {
                given.push(match argument {
                    Argument::Value(tree) => Given::Value(Box::new(evaluate(tree, on)?)),
                    Argument::Type(type_) => Given::Type(type_.clone()),
                    Argument::Path(path) => Given::Path(path.clone()),
                });
            }
            if let ("len", [Given::Value(of)]) = (*name, given.as_slice()) {
                let items = of.items.as_ref().map(Vec::len);
                let count = items.ok_or_else(|| ExpressionError::Sequence {
                    what: of.type_.to_string(),
                    found: "it is no sequence".to_owned(),
                })?;
                return Ok(Value::of(count as u64, Type::unsigned_long()));
            }
            on.call(name, &given)
        }
    }
}

fn size(bytes: Option<u64>, type_: &Type) -> Result<Value, ExpressionError> {
    let bytes = bytes.ok_or_else(|| ExpressionError::NoSize(type_.to_string()))?;
    Ok(Value::of(bytes, Type::unsigned_long()))
}

fn repeated(value: &Value, count: i64, on: &mut dyn Environment) -> Result<Value, ExpressionError> {
    const MOST: u64 = 200;
    let found = count;
    match u64::try_from(count) {
        Ok(count @ 1..=MOST) => on.repeat(value, count),
        _ => Err(ExpressionError::Count { most: MOST, found }),
    }
}

fn member(
    of: &Value,
    name: &str,
    arrow: bool,
    on: &mut dyn Environment,
) -> Result<Value, ExpressionError> {
    if !arrow && !matches!(of.type_, Type::Pointer(_)) {
        return on.member(of, name);
    }
    let target = on
        .target(of)?
        .ok_or_else(|| ExpressionError::Pointee(of.type_.to_string()))?;
    on.member(&target, name)
}

fn cast(value: &Value, type_: &Type, on: &mut dyn Environment) -> Result<Value, ExpressionError> {
    match type_ {
        Type::Void => {
            let mut nothing = Value::unknown(Type::Void);
            nothing.text = Some("void".to_owned());
            Ok(nothing)
        }
        // `(char[16])buffer`: the same bytes, seen otherwise.
        Type::Array(..) => match value.at {
            Some(at) => load(at, type_.clone(), on),
            None => Err(ExpressionError::NoAddress(value.type_.to_string())),
        },
        Type::Other(_) => on.cast(value, type_),
        _ => Ok(Value::of(converted(value, type_)?, type_.clone())),
    }
}

pub(super) fn load(
    at: Addr,
    type_: Type,
    on: &mut dyn Environment,
) -> Result<Value, ExpressionError> {
    if type_ == Type::Function {
        let mut value = Value::of(at.0, type_);
        value.at = Some(at);
        return Ok(value);
    }
    if let Type::Array(of, count) = &type_ {
        let first = load(at, (**of).clone(), on)?;
        let mut value = repeated(&first, count.cast_signed(), on)?;
        value.type_ = type_;
        return Ok(value);
    }
    let Some(size) = type_.size() else {
        return on.place(at, &type_);
    };
    let mut bytes = [0; 8];
    on.read(at, &mut bytes[..usize::from(size)])?;
    let mut value = Value::of(type_.extend(u64::from_le_bytes(bytes)), type_);
    value.at = Some(at);
    Ok(value)
}

fn shown(tree: &Tree) -> String {
    match tree {
        Tree::Number(bits) => bits.to_string(),
        Tree::Text(text) => format!("{text:?}"),
        Tree::Register(name) => format!("${name}"),
        Tree::Name { name, .. } => name.clone(),
        _ => "the result of an operation".to_owned(),
    }
}
