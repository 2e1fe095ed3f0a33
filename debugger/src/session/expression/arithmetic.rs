//! C's arithmetic: promotions, the usual conversions, pointers that move by what they point at.

use super::float::{as_double, from_double};
use super::{Environment, ExpressionError, Type, Value};

/// The bits of something that can be calculated with.
pub(super) fn number(value: &Value) -> Result<u64, ExpressionError> {
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

pub(super) fn promoted(type_: &Type) -> Type {
    match type_.size() {
        Some(size) if size < 4 => Type::int(),
        _ => type_.clone(),
    }
}

/// Whether it counts as true.
pub(super) fn truth(value: &Value) -> Result<bool, ExpressionError> {
    match as_double(value) {
        Some(double) => Ok(double != 0.0),
        None => Ok(number(value)? != 0),
    }
}

/// The bits that a value has as another type.
pub(in crate::session) fn converted(value: &Value, to: &Type) -> Result<u64, ExpressionError> {
    if let Some(text) = &value.text
        && value.bits.is_none()
        && value.at.is_none()
    {
        return Err(ExpressionError::NotANumber {
            name: text.clone(),
            type_: value.type_.to_string(),
        });
    }
    let bits = number(value)?;
    let is_float = matches!(value.type_, Type::Float { .. });
    if let Type::Float { size, .. } = to {
        let double = match as_double(value) {
            Some(double) => double,
            None => float_of(bits, value.type_.signed()),
        };
        return Ok(from_double(double, *size));
    }
    Ok(match as_double(value).filter(|_| is_float) {
        Some(double) => to.extend(whole(double)),
        None => to.extend(bits),
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "as C converts a whole number to a double"
)]
fn float_of(bits: u64, signed: bool) -> f64 {
    match signed {
        true => bits.cast_signed() as f64,
        false => bits as f64,
    }
}

/// Towards zero, as C does; what does not fit is cut to the nearest that does.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion that C has"
)]
fn whole(double: f64) -> u64 {
    match double < 0.0 {
        true => (double as i64).cast_unsigned(),
        false => double as u64,
    }
}

/// `-x`, `+x`, `!x` of a number with a point.
pub(super) fn negated(sign: &str, value: &Value) -> Result<Value, ExpressionError> {
    let double = as_double(value).unwrap_or(0.0);
    let of = |double| Ok(Value::of(f64::to_bits(double), Type::double()));
    match sign {
        "-" => of(-double),
        "+" => of(double),
        "!" => Ok(Value::of(u64::from(double == 0.0), Type::int())),
        _ => Err(ExpressionError::NotANumber {
            name: double.to_string(),
            type_: "double, which has no bits to turn".to_owned(),
        }),
    }
}

fn doubles(sign: &str, left: &Value, right: &Value) -> Result<Option<Value>, ExpressionError> {
    if as_double(left).is_none() && as_double(right).is_none() {
        return Ok(None);
    }
    let a = f64::from_bits(converted(left, &Type::double())?);
    let b = f64::from_bits(converted(right, &Type::double())?);
    let of = |double: f64| Value::of(double.to_bits(), Type::double());
    let truth = |truth| Value::of(u64::from(truth), Type::int());
    Ok(Some(match sign {
        "+" => of(a + b),
        "-" => of(a - b),
        "*" => of(a * b),
        "/" => of(a / b),
        #[expect(clippy::float_cmp, reason = "as C compares")]
        "==" => truth(a == b),
        #[expect(clippy::float_cmp, reason = "as C compares")]
        "!=" => truth(a != b),
        "<" => truth(a < b),
        ">" => truth(a > b),
        "<=" => truth(a <= b),
        ">=" => truth(a >= b),
        "&&" => truth(a != 0.0 && b != 0.0),
        "||" => truth(a != 0.0 || b != 0.0),
        other => {
            return Err(ExpressionError::NotANumber {
                name: format!("an operand of '{other}'"),
                type_: "double, which is no whole number".to_owned(),
            });
        }
    }))
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

/// An array of known elements is the pointer to its first one.
fn decayed(value: &Value, on: &mut dyn Environment) -> Result<Value, ExpressionError> {
    let array = matches!(value.type_, Type::Array(..) | Type::Other(_));
    let (Some(at), None, true) = (value.at, value.items.as_ref(), array) else {
        return Ok(value.clone());
    };
    let of = match &value.type_ {
        Type::Array(of, _) => (**of).clone(),
        _ => match on.element(value, 0) {
            Ok(Some(first)) => first.type_,
            _ => return Ok(value.clone()),
        },
    };
    Ok(Value::of(at.0, of.pointer()))
}

pub(super) fn binary(
    sign: &str,
    left: &Value,
    right: &Value,
    on: &mut dyn Environment,
) -> Result<Value, ExpressionError> {
    if let Some(value) = doubles(sign, left, right)? {
        return Ok(value);
    }
    let (left, right) = (&decayed(left, on)?, &decayed(right, on)?);
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
        "<<" | ">>" => return Ok(shifted(sign, left, a, b)),
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

/// The result has the left operand's type.
fn shifted(sign: &str, left: &Value, a: u64, b: u64) -> Value {
    let type_ = promoted(&left.type_);
    // A small number shifted is an address or a mask more often than an int.
    let type_ = match sign == "<<" && type_ == Type::int() {
        true => Type::long(),
        false => type_,
    };
    let by = u32::try_from(b).unwrap_or(u32::MAX);
    let bits = match sign {
        "<<" => a.checked_shl(by).unwrap_or(0),
        _ if left.type_.signed() => (a.cast_signed() >> by.min(63)).cast_unsigned(),
        _ => a.checked_shr(by).unwrap_or(0),
    };
    Value::of(type_.extend(bits), type_)
}
