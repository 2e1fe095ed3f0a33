//! Numbers with a point: their bits and how they are written.

use super::{Type, Value};

/// What a value of a floating type is; none for any other.
pub(super) fn as_double(value: &Value) -> Option<f64> {
    let (Type::Float { size, .. }, Some(bits)) = (&value.type_, value.bits) else {
        return None;
    };
    Some(double_of(bits, *size))
}

fn double_of(bits: u64, size: u8) -> f64 {
    match u32::try_from(bits & 0xffff_ffff) {
        Ok(low) if size == 4 => f64::from(f32::from_bits(low)),
        _ => f64::from_bits(bits),
    }
}

/// The bits of a number in so many bytes.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float keeps fewer digits, as in C"
)]
pub(super) fn from_double(double: f64, size: u8) -> u64 {
    match size {
        4 => u64::from((double as f32).to_bits()),
        _ => double.to_bits(),
    }
}

/// The bits of 4 or 8 bytes as the number they are: `1.5`, `1e300`, `inf`.
pub(in crate::session) fn float_text(bits: u64, size: u8) -> String {
    let double = double_of(bits, size);
    let digits = match u32::try_from(bits & 0xffff_ffff) {
        Ok(low) if size == 4 => shortest(f32::from_bits(low), double),
        _ => shortest(double, double),
    };
    digits.replace("NaN", "nan")
}

/// Far from 1 with an exponent.
fn shortest(number: impl std::fmt::Display + std::fmt::LowerExp, double: f64) -> String {
    let size = double.abs();
    match size == 0.0 || !size.is_finite() || (1e-5..1e17).contains(&size) {
        true => number.to_string(),
        false => format!("{number:e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_shortly() {
        let check = |double: f64, text: &str| assert_eq!(float_text(double.to_bits(), 8), text);
        check(1.5, "1.5");
        check(-0.1, "-0.1");
        check(1e300, "1e300");
        check(f64::NAN, "nan");
        check(f64::NEG_INFINITY, "-inf");
        assert_eq!(float_text(u64::from(0.1_f32.to_bits()), 4), "0.1");
    }
}
