//! Assignment: to registers, variables, members, bit fields and memory. What was written is read
//! back; a stub's OK alone is not believed.

use super::engine::Engine;
use super::expression::{Environment, ExpressionError, Value, part};
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::count::counted;
use crate::event::Answer;
use crate::symbols::types::Bits;
use crate::symbols::unwind::Reg;

impl Engine {
    /// `set TARGET = VALUE`; the target may end with an operator, as in `x += 1`.
    pub(super) fn assign(&mut self, target: &str, value: &str) -> Result<Answer, Trouble> {
        let place = self.evaluate(&format!("{target}= {value}"))?;
        let bits = place.bits.unwrap_or(0);
        let field = place.typed.as_ref().and_then(|typed| typed.bits);
        let target = target.trim_end_matches(|c: char| !c.is_alphanumeric() && !")]}".contains(c));
        Ok(Answer::Done(match (place.register, place.at, field) {
            (Some(_), ..) | (_, _, Some(_)) | (_, None, _) => format!("{target} = {bits:#x}"),
            (_, Some(at), None) => {
                let size = place.type_.size().unwrap_or(0);
                format!("{} at {:#x} = {bits:#x}", counted(size, "byte"), at.0)
            }
        }))
    }

    pub(super) fn write_to(&mut self, place: &Value, bits: u64) -> Result<(), ExpressionError> {
        if let Some(name) = &place.register {
            // A variable in a register may be narrower than that.
            let size = place.typed.as_ref().and(place.type_.size());
            return self.write_register(name, size, bits);
        }
        let none = || ExpressionError::NoPlace(place.type_.to_string());
        let (at, size) = place.at.zip(place.type_.size()).ok_or_else(none)?;
        if let Some(field) = place.typed.as_ref().and_then(|typed| typed.bits) {
            return self.write_field(at, field, bits);
        }
        self.write_memory(at, &bits.to_le_bytes()[..usize::from(size)])
    }

    fn write_memory(&mut self, at: Addr, bytes: &[u8]) -> Result<(), ExpressionError> {
        let failed =
            |error: super::target::TargetError| ExpressionError::NotWritten(error.to_string());
        self.target.write(at, bytes).map_err(failed)
    }

    /// Its neighbours in the same bytes stay.
    fn write_field(&mut self, at: Addr, field: Bits, bits: u64) -> Result<(), ExpressionError> {
        let start = at.wrapping_add(field.first / 8);
        let shift = field.first % 8;
        let length = usize::try_from((shift + field.count).div_ceil(8)).unwrap_or(16);
        let mut bytes = [0; 16];
        let bytes = bytes
            .get_mut(..length)
            .ok_or_else(|| ExpressionError::NoPlace("a bit field of this width".to_owned()))?;
        Environment::read(self, start, bytes)?;
        put(bytes, shift, field.count, bits);
        let bytes = bytes.to_vec();
        self.write_memory(start, &bytes)
    }

    fn write_register(
        &mut self,
        name: &str,
        size: Option<u8>,
        bits: u64,
    ) -> Result<(), ExpressionError> {
        let part = part(name);
        let whole = match (part, name) {
            (Some(part), _) => part.whole,
            (None, "pc") => "rip",
            (None, "sp") => "rsp",
            (None, "fp") => "rbp",
            (None, other) => other,
        };
        if self.frame > 0 && Reg::named(whole).is_some() {
            return Err(ExpressionError::NoPlace(format!(
                "${name} of frame {}, which is kept on the stack or not at all (select frame 0),",
                self.frame
            )));
        }
        let mut value = bits;
        if let Some(part) = part {
            value = part.put(Environment::register(self, whole)?, bits);
        } else if let Some(size @ (1 | 2)) = size {
            let mask = (1_u64 << (8 * u32::from(size))) - 1;
            value = (Environment::register(self, whole)? & !mask) | (bits & mask);
        } else if size == Some(4) {
            value = bits & 0xffff_ffff;
        }
        let failed =
            |error: super::target::TargetError| ExpressionError::NotWritten(error.to_string());
        self.target
            .set_register(self.vcpu, whole, value)
            .map_err(failed)
    }
}

/// Puts the lowest `count` bits into the bytes, from bit `shift` on.
fn put(bytes: &mut [u8], shift: u64, count: u64, bits: u64) {
    for i in 0..count.min(64) {
        let at = shift + i;
        let Some(byte) = usize::try_from(at / 8)
            .ok()
            .and_then(|at| bytes.get_mut(at))
        else {
            return;
        };
        let mask = 1_u8 << (at % 8);
        match bits >> i & 1 {
            0 => *byte &= !mask,
            _ => *byte |= mask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_fields_neighbours_stay() {
        let mut bytes = [0b1111_0001, 0b1000_0011];
        put(&mut bytes, 4, 6, 0b10_0101);
        assert_eq!(bytes, [0b0101_0001, 0b1000_0010]);
        put(&mut bytes, 0, 1, 0);
        assert_eq!(bytes[0], 0b0101_0000);
    }
}
