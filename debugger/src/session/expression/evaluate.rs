//! A tree → a value.

use super::{Environment, ExpressionError, Tree, Type, Value};
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
        Tree::Register(name) => {
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
            let bits = number(&inner)?;
            Ok(Value::of(type_.extend(bits), type_.clone()))
        }
        Tree::Unary("*", inner) => {
            let inner = evaluate(inner, on)?;
            if let Some(value) = on.target(&inner)? {
                return Ok(value);
            }
            let at = Addr(number(&inner)?);
            let pointee = match inner.type_ {
                Type::Pointer(pointee) => *pointee,
                // gdb reads a long at a bare number.
                _ => Type::long(),
            };
            load(at, pointee, on)
        }
        Tree::Member(inner, name, arrow) => {
            let mut of = evaluate(inner, on)?;
            if *arrow || matches!(of.type_, Type::Pointer(_)) {
                of = on
                    .target(&of)?
                    .ok_or_else(|| ExpressionError::Pointee(of.type_.to_string()))?;
            }
            on.member(&of, name)
        }
        Tree::Index(inner, index) => {
            let of = evaluate(inner, on)?;
            let index = evaluate(index, on)?;
            let count = number(&index)?.cast_signed();
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
            let left = evaluate(left, on)?;
            // As in C, what decides alone is not followed by the rest.
            match *sign {
                "&&" if number(&left)? == 0 => return Ok(Value::of(0, Type::int())),
                "||" if number(&left)? != 0 => return Ok(Value::of(1, Type::int())),
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

fn load(at: Addr, type_: Type, on: &mut dyn Environment) -> Result<Value, ExpressionError> {
    if type_ == Type::Function {
        let mut value = Value::of(at.0, type_);
        value.at = Some(at);
        return Ok(value);
    }
    let size = type_
        .size()
        .ok_or_else(|| ExpressionError::Pointee(type_.to_string()))?;
    let mut bytes = [0; 8];
    on.read(at, &mut bytes[..usize::from(size)])?;
    let mut value = Value::of(type_.extend(u64::from_le_bytes(bytes)), type_);
    value.at = Some(at);
    Ok(value)
}

/// The bits of something that can be calculated with.
fn number(value: &Value) -> Result<u64, ExpressionError> {
    match (value.bits, &value.type_, value.at) {
        (Some(bits), _, _) => Ok(bits),
        // An array or a structure stands for its place.
        (None, _, Some(at)) => Ok(at.0),
        (None, type_, None) => Err(ExpressionError::NotANumber {
            name: value.text.clone().unwrap_or_else(|| "it".to_owned()),
            type_: type_.to_string(),
        }),
    }
}

fn promoted(type_: &Type) -> Type {
    match type_.size() {
        Some(size) if size < 4 => Type::int(),
        _ => type_.clone(),
    }
}

/// The type two operands are brought to: the wider, the unsigned of two alike.
fn common(left: &Type, right: &Type) -> Type {
    match (left, right) {
        (Type::Integer { .. }, Type::Integer { .. }) => {
            let (left, right) = (promoted(left), promoted(right));
            let rank = |type_: &Type| (type_.size(), !type_.signed());
            if rank(&right) > rank(&left) {
                right
            } else {
                left
            }
        }
        (Type::Integer { .. }, _) => Type::unsigned_long(),
        (other, Type::Integer { .. }) if other.size().is_some() => other.clone(),
        _ => Type::unsigned_long(),
    }
}

fn binary(
    sign: &str,
    left: &Value,
    right: &Value,
    on: &mut dyn Environment,
) -> Result<Value, ExpressionError> {
    let (a, b) = (number(left)?, number(right)?);
    // A pointer moves by what it points at; as in gdb by bytes where that has no size.
    let mut stride = |type_: &Type| match type_ {
        Type::Pointer(pointee) => on.size_of(pointee).filter(|size| *size > 0).unwrap_or(1),
        _ => 1,
    };
    match (sign, &left.type_, &right.type_) {
        ("+" | "-", Type::Pointer(_), Type::Integer { .. }) => {
            let by = b.wrapping_mul(stride(&left.type_));
            let bits = if sign == "+" {
                a.wrapping_add(by)
            } else {
                a.wrapping_sub(by)
            };
            return Ok(Value::of(bits, left.type_.clone()));
        }
        ("+", Type::Integer { .. }, Type::Pointer(_)) => return binary(sign, right, left, on),
        ("-", Type::Pointer(_), Type::Pointer(_)) => {
            let bytes = a.wrapping_sub(b).cast_signed();
            let stride = stride(&left.type_).cast_signed();
            return Ok(Value::of((bytes / stride).cast_unsigned(), Type::long()));
        }
        // A function or an array plus an offset is an address.
        ("+" | "-", Type::Function | Type::Other(_), _) => {
            let bits = if sign == "+" {
                a.wrapping_add(b)
            } else {
                a.wrapping_sub(b)
            };
            let type_ = match left.type_ {
                Type::Function => Type::Function.pointer(),
                _ => Type::Void.pointer(),
            };
            return Ok(Value::of(bits, type_));
        }
        _ => {}
    }
    let type_ = common(&left.type_, &right.type_);
    let signed = type_.signed();
    let (sa, sb) = (a.cast_signed(), b.cast_signed());
    let shift = u32::try_from(b & 63).unwrap_or(0);
    let truth = |truth: bool| Ok(Value::of(u64::from(truth), Type::int()));
    let bits = match sign {
        "+" => a.wrapping_add(b),
        "-" => a.wrapping_sub(b),
        "*" => a.wrapping_mul(b),
        "/" | "%" if b == 0 => return Err(ExpressionError::DivisionByZero),
        "/" if signed => sa.wrapping_div(sb).cast_unsigned(),
        "/" => a / b,
        "%" if signed => sa.wrapping_rem(sb).cast_unsigned(),
        "%" => a % b,
        "<<" => {
            // A small number shifted is an address or a mask more often than an int.
            let type_ = if type_ == Type::int() {
                Type::long()
            } else {
                type_
            };
            return Ok(Value::of(a << shift, type_));
        }
        ">>" if left.type_.signed() => (sa >> shift).cast_unsigned(),
        ">>" => a >> shift,
        "&" => a & b,
        "|" => a | b,
        "^" => a ^ b,
        "==" => return truth(a == b),
        "!=" => return truth(a != b),
        "<" => return truth(if signed { sa < sb } else { a < b }),
        ">" => return truth(if signed { sa > sb } else { a > b }),
        "<=" => return truth(if signed { sa <= sb } else { a <= b }),
        ">=" => return truth(if signed { sa >= sb } else { a >= b }),
        "&&" => return truth(a != 0 && b != 0),
        _ => return truth(a != 0 || b != 0),
    };
    Ok(Value::of(type_.extend(bits), type_))
}

fn shown(tree: &Tree) -> String {
    match tree {
        Tree::Number(bits) => bits.to_string(),
        Tree::Register(name) => format!("${name}"),
        Tree::Name { name, .. } => name.clone(),
        _ => "the result of an operation".to_owned(),
    }
}
