//! Values with their types: read, taken apart and written as text.

use super::Symbols;
use super::locations::{ValuePlace, number};
use super::types::{Bits, Encoding, Member, Type, TypeId, elements};
use super::unwind::Memory;
use crate::addr::Addr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedValue {
    pub of: TypeId,
    pub place: ValuePlace,
    /// Only these bits of the place.
    pub bits: Option<Bits>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    #[error("reading {len} bytes at {addr:?}: nothing readable is there")]
    Unreadable { addr: Addr, len: u64 },
    #[error("'{of}' is no pointer: it cannot be followed")]
    NoPointer { of: String },
    #[error("'{of}' has no member '{member}'; it has: {has}")]
    NoMember {
        of: String,
        member: String,
        has: String,
    },
    #[error("'{of}' is neither array nor pointer: it has no elements")]
    NoElements { of: String },
    #[error("'{of}' is no number")]
    NoNumber { of: String },
    #[error("the value has no address: it is held in registers")]
    NoAddress,
    #[error("the size of '{of}' is not known")]
    NoSize { of: String },
}

/// Values longer than this are not read whole.
const LARGEST: u64 = 1 << 20;
const MOST_ELEMENTS: u64 = 16;
const MOST_MEMBERS: usize = 40;
const LONGEST_TEXT: usize = 80;

/// How the numbers in a value are written, where not by their types.
type Leaf<'a> = Option<&'a dyn Fn(u64, u8) -> String>;

impl Symbols {
    /// The value's bytes, as many as its type has.
    pub fn value_bytes(
        &self,
        value: &TypedValue,
        memory: &mut Memory<'_>,
    ) -> Result<Vec<u8>, ValueError> {
        // A packed bit field may reach beyond what its type would take.
        let of_bits = value
            .bits
            .map_or(0, |bits| bits.first.saturating_add(bits.count).div_ceil(8));
        let size = match self.size_of(value.of) {
            0 => 0,
            size => size.max(of_bits),
        };
        if size == 0 || size > LARGEST {
            return Err(ValueError::NoSize {
                of: self.type_name(value.of),
            });
        }
        let len = usize::try_from(size).unwrap_or(0);
        match &value.place {
            ValuePlace::Bytes(bytes) => {
                let mut bytes = bytes.clone();
                bytes.resize(len, 0);
                Ok(bytes)
            }
            ValuePlace::Memory(addr) => {
                let mut bytes = vec![0; len];
                match memory(*addr, &mut bytes) {
                    true => Ok(bytes),
                    false => Err(ValueError::Unreadable {
                        addr: *addr,
                        len: size,
                    }),
                }
            }
        }
    }

    /// A number, pointer, character or enumerator as 64 bits, sign-extended.
    pub fn value_number(
        &self,
        value: &TypedValue,
        memory: &mut Memory<'_>,
    ) -> Result<u64, ValueError> {
        let (plain, kind) = self.plain_type(value.of);
        let bytes = |memory: &mut Memory<'_>| {
            let plain = TypedValue {
                of: plain,
                ..value.clone()
            };
            self.value_bytes(&plain, memory)
        };
        match kind {
            Type::Number { encoding, .. } if encoding != Encoding::Float => {
                let signed = matches!(encoding, Encoding::Signed | Encoding::Char);
                Ok(extract(&bytes(memory)?, value.bits, signed))
            }
            Type::Enum { values, .. } => {
                let signed = values.iter().any(|(_, number)| *number < 0);
                Ok(extract(&bytes(memory)?, value.bits, signed))
            }
            Type::Pointer { .. } => Ok(extract(&bytes(memory)?, None, false)),
            // An array stands for its address, as in C.
            Type::Array { .. } => self.address_of_value(value).map(|addr| addr.0),
            _ => Err(ValueError::NoNumber {
                of: self.type_name(value.of),
            }),
        }
    }

    pub fn address_of_value(&self, value: &TypedValue) -> Result<Addr, ValueError> {
        match value.place {
            ValuePlace::Memory(addr) => Ok(addr),
            ValuePlace::Bytes(_) => Err(ValueError::NoAddress),
        }
    }

    /// `value.name`.
    pub fn value_member(&self, value: &TypedValue, name: &str) -> Result<TypedValue, ValueError> {
        let Some(member) = self.member(value.of, name) else {
            let has = match self.plain_type(value.of).1 {
                Type::Record { members, .. } => {
                    let names = members.iter().map(|member| member.name.as_str());
                    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
                    some_of(&names, name, &self.type_name(value.of))
                }
                Type::Unknown(why) => format!("none, as {why}"),
                _ => "no members at all".to_owned(),
            };
            return Err(ValueError::NoMember {
                of: self.type_name(value.of),
                member: name.to_owned(),
                has,
            });
        };
        Ok(TypedValue {
            of: member.of,
            place: within(&value.place, member.offset),
            bits: bits_within(&member),
        })
    }

    /// `*value`.
    pub fn value_target(
        &self,
        value: &TypedValue,
        memory: &mut Memory<'_>,
    ) -> Result<TypedValue, ValueError> {
        self.value_element(value, 0, memory)
    }

    /// `value[index]`, of an array or a pointer.
    pub fn value_element(
        &self,
        value: &TypedValue,
        index: i64,
        memory: &mut Memory<'_>,
    ) -> Result<TypedValue, ValueError> {
        let (of, start) = match self.plain_type(value.of).1 {
            Type::Pointer { to, .. } => {
                let addr = Addr(self.value_number(value, memory)?);
                (to, ValuePlace::Memory(addr))
            }
            // Of a matrix this gives its elements in a row.
            Type::Array { of, .. } => (of, value.place.clone()),
            _ if index == 0 => {
                return Err(ValueError::NoPointer {
                    of: self.type_name(value.of),
                });
            }
            _ => {
                return Err(ValueError::NoElements {
                    of: self.type_name(value.of),
                });
            }
        };
        let step = index.wrapping_mul(self.size_of(of).cast_signed());
        Ok(TypedValue {
            of,
            place: within(&start, step.cast_unsigned()),
            bits: None,
        })
    }

    /// As text: numbers in decimal, pointers with what they point to, records two levels deep.
    pub fn value_text(
        &self,
        value: &TypedValue,
        memory: &mut Memory<'_>,
    ) -> Result<String, ValueError> {
        self.text(value, memory, 2, None)
    }

    /// As [`Self::value_text`], with every number, pointer and character of at most 8 bytes written
    /// by `leaf`: of its bits and its bytes' count.
    pub fn value_text_by(
        &self,
        value: &TypedValue,
        memory: &mut Memory<'_>,
        leaf: &dyn Fn(u64, u8) -> String,
    ) -> Result<String, ValueError> {
        self.text(value, memory, 2, Some(leaf))
    }

    /// The bits of a float or double.
    pub fn value_float(&self, value: &TypedValue, memory: &mut Memory<'_>) -> Option<u64> {
        match self.plain_type(value.of).1 {
            Type::Number {
                encoding: Encoding::Float,
                size: 4 | 8,
                ..
            } => self
                .value_bytes(value, memory)
                .ok()
                .map(|bytes| number(&bytes)),
            _ => None,
        }
    }

    fn text(
        &self,
        value: &TypedValue,
        memory: &mut Memory<'_>,
        depth: u32,
        leaf: Leaf<'_>,
    ) -> Result<String, ValueError> {
        let (plain, kind) = self.plain_type(value.of);
        let value = &TypedValue {
            of: plain,
            ..value.clone()
        };
        if let (
            Some(leaf),
            Type::Number { size, .. } | Type::Enum { size, .. } | Type::Pointer { size, .. },
        ) = (leaf, &kind)
            && let Ok(size @ 1..=8) = u8::try_from(*size)
        {
            let bytes = self.value_bytes(value, memory)?;
            return Ok(leaf(extract(&bytes, value.bits, false), size));
        }
        match kind {
            Type::Number { encoding, size, .. } => {
                let bytes = self.value_bytes(value, memory)?;
                Ok(number_text(&bytes, value.bits, encoding, size))
            }
            Type::Enum { values, .. } => {
                let number = self.value_number(value, memory)?;
                let found = values.iter().find(|(_, v)| v.cast_unsigned() == number);
                Ok(match found {
                    Some((name, _)) => name.clone(),
                    None => number.cast_signed().to_string(),
                })
            }
            Type::Pointer { to, .. } => {
                let addr = Addr(self.value_number(value, memory)?);
                Ok(self.pointer_text(addr, to, memory))
            }
            Type::Array { of, counts } => {
                self.array_text(value, of, &counts, memory, (depth, leaf))
            }
            Type::Record { members, .. } => {
                if depth == 0 {
                    return Ok("{…}".to_owned());
                }
                // Read once, so that all members are of one moment.
                let value = &TypedValue {
                    place: match self.value_bytes(value, memory) {
                        Ok(bytes) => ValuePlace::Bytes(bytes),
                        Err(ValueError::NoSize { .. }) => value.place.clone(),
                        Err(error) => return Err(error),
                    },
                    ..value.clone()
                };
                let mut parts = Vec::new();
                for member in members.iter().take(MOST_MEMBERS) {
                    let part = TypedValue {
                        of: member.of,
                        place: within(&value.place, member.offset),
                        bits: bits_within(member),
                    };
                    let text = match self.text(&part, memory, depth - 1, leaf) {
                        Ok(text) => text,
                        Err(error) => format!("<{error}>"),
                    };
                    parts.push(match member.name.is_empty() {
                        true => text,
                        false => format!("{} = {text}", member.name),
                    });
                }
                if members.len() > MOST_MEMBERS {
                    parts.push(format!("… {} more", members.len() - MOST_MEMBERS));
                }
                Ok(format!("{{{}}}", parts.join(", ")))
            }
            Type::Function | Type::Void => match value.place {
                ValuePlace::Memory(addr) => Ok(self.pointer_text(addr, value.of, memory)),
                ValuePlace::Bytes(_) => Ok("void".to_owned()),
            },
            Type::Unknown(_) | Type::Typedef { .. } | Type::Qualified { .. } => {
                Err(ValueError::NoSize {
                    of: self.type_name(value.of),
                })
            }
        }
    }

    fn pointer_text(&self, addr: Addr, to: TypeId, memory: &mut Memory<'_>) -> String {
        let number = format!("{:#x}", addr.0);
        if addr.0 == 0 {
            return number;
        }
        if let Type::Number { size: 1, .. } = self.plain_type(to).1
            && let Some(text) = string_at(addr, memory)
        {
            return format!("{number} {text}");
        }
        match self.at(addr) {
            Some(symbol) if symbol.addr == addr => format!("{number} <{}>", symbol.name),
            Some(symbol) => format!("{number} <{}+{:#x}>", symbol.name, addr - symbol.addr),
            None => number,
        }
    }

    fn array_text(
        &self,
        value: &TypedValue,
        of: TypeId,
        counts: &[Option<u64>],
        memory: &mut Memory<'_>,
        (depth, leaf): (u32, Leaf<'_>),
    ) -> Result<String, ValueError> {
        // As long as whoever made it has chosen: C does not tell.
        let Some(count) = elements(counts) else {
            return Ok("{…}".to_owned());
        };
        let element = self.plain_type(of).1;
        // Arrays in a circle have no size.
        if matches!(element, Type::Array { .. }) && self.size_of(of) == 0 {
            return Err(ValueError::NoSize {
                of: self.type_name(of),
            });
        }
        let characters = matches!(
            element,
            Type::Number {
                encoding: Encoding::Char,
                ..
            }
        );
        if characters && counts.len() == 1 && count > 0 && leaf.is_none() {
            return Ok(quoted(&self.value_bytes(value, memory)?));
        }
        let mut parts = Vec::new();
        for i in 0..count.min(MOST_ELEMENTS) {
            let element = self.value_element(value, i.cast_signed(), memory)?;
            parts.push(self.text(&element, memory, depth.saturating_sub(1), leaf)?);
        }
        if count > MOST_ELEMENTS {
            parts.push(format!("… {} more", count - MOST_ELEMENTS));
        }
        Ok(format!("{{{}}}", parts.join(", ")))
    }
}

/// A bit field's place counted from its member's first byte.
fn bits_within(member: &Member) -> Option<Bits> {
    member.bits.map(|bits| Bits {
        first: bits.first.wrapping_sub(member.offset.wrapping_mul(8)),
        ..bits
    })
}

/// All names where they are few, else those like the one that was asked for.
fn some_of(names: &[&str], wanted: &str, of: &str) -> String {
    const FEW: usize = 12;
    if names.len() <= FEW {
        return names.join(", ");
    }
    let begins: String = wanted.chars().take(3).collect();
    let like = names
        .iter()
        .filter(|name| name.contains(wanted) || name.starts_with(&begins));
    let like: Vec<&str> = like.take(FEW).copied().collect();
    let begun = match like.as_slice() {
        [] => String::new(),
        like => format!("{}, … ", like.join(", ")),
    };
    format!("{begun}{} in all; 'ptype {of}' lists them", names.len())
}

fn within(place: &ValuePlace, offset: u64) -> ValuePlace {
    match place {
        ValuePlace::Memory(addr) => ValuePlace::Memory(addr.wrapping_add(offset)),
        ValuePlace::Bytes(bytes) => {
            let at = usize::try_from(offset).unwrap_or(usize::MAX);
            ValuePlace::Bytes(bytes.get(at..).unwrap_or(&[]).to_vec())
        }
    }
}

fn extract(bytes: &[u8], bits: Option<Bits>, signed: bool) -> u64 {
    let (value, width) = match bits {
        // A field may begin behind the first eight bytes of its unit.
        Some(bits) => {
            let skip = usize::try_from(bits.first / 8).unwrap_or(0);
            let rest = bytes.get(skip..).unwrap_or(&[]);
            let shift = u32::try_from(bits.first % 8).unwrap_or(0);
            let ninth = rest.get(8).map_or(0, |byte| u64::from(*byte));
            let high = ninth.checked_shl(64 - shift).unwrap_or(0);
            (number(rest) >> shift | high, bits.count)
        }
        None => (number(bytes), bytes.len() as u64 * 8),
    };
    match width {
        0 | 64.. => value,
        width => {
            let unused = 64 - width;
            match signed {
                true => ((value << unused).cast_signed() >> unused).cast_unsigned(),
                false => value << unused >> unused,
            }
        }
    }
}

fn number_text(bytes: &[u8], bits: Option<Bits>, encoding: Encoding, size: u64) -> String {
    match encoding {
        Encoding::Bool => match extract(bytes, bits, false) {
            0 => "false".to_owned(),
            1 => "true".to_owned(),
            other => format!("true ({other})"),
        },
        Encoding::Float => match bytes {
            [a, b, c, d] => f32::from_le_bytes([*a, *b, *c, *d]).to_string(),
            bytes if bytes.len() == 8 => f64::from_bits(number(bytes)).to_string(),
            _ => format!("a floating-point number of {size} bytes"),
        },
        Encoding::Char => {
            let code = extract(bytes, bits, true);
            let shown = quoted(&code.to_le_bytes()[..1]);
            match code {
                0 => "0 '\\0'".to_owned(),
                code => format!("{} '{}'", code.cast_signed(), shown.trim_matches('"')),
            }
        }
        Encoding::Signed if size <= 8 => extract(bytes, bits, true).cast_signed().to_string(),
        Encoding::Unsigned if size <= 8 => extract(bytes, bits, false).to_string(),
        Encoding::Signed | Encoding::Unsigned => {
            let digits: String = bytes.iter().rev().map(|b| format!("{b:02x}")).collect();
            format!("0x{digits}")
        }
    }
}

/// Up to the first NUL, as C writes it.
fn quoted(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let cut = end > LONGEST_TEXT;
    let mut text = String::from("\"");
    for byte in &bytes[..end.min(LONGEST_TEXT)] {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(*byte));
            }
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\r' => text.push_str("\\r"),
            0x20..=0x7e => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    text.push_str(if cut { "\"…" } else { "\"" });
    text
}

/// A string in memory, where one can be read; pages end, so it is read in small steps.
fn string_at(addr: Addr, memory: &mut Memory<'_>) -> Option<String> {
    let mut bytes = Vec::new();
    while bytes.len() <= LONGEST_TEXT && !bytes.contains(&0) {
        let at = addr.wrapping_add(bytes.len() as u64);
        let to_page = 0x1000 - usize::try_from(at.0 & 0xfff).ok()?;
        let mut part = vec![0; to_page.min(32)];
        if !memory(at, &mut part) {
            break;
        }
        bytes.extend(part);
    }
    (!bytes.is_empty()).then(|| quoted(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_by_their_encoding() {
        let text = |bytes: &[u8], encoding| number_text(bytes, None, encoding, bytes.len() as u64);
        assert_eq!(text(&[0xff; 4], Encoding::Signed), "-1");
        assert_eq!(text(&[0xff; 4], Encoding::Unsigned), "4294967295");
        assert_eq!(text(&[1], Encoding::Bool), "true");
        assert_eq!(text(&[65], Encoding::Char), "65 'A'");
        assert_eq!(text(&[0], Encoding::Char), "0 '\\0'");
        assert_eq!(text(&1.5_f64.to_le_bytes(), Encoding::Float), "1.5");
        // A packed field of 60 bits that begins in the middle of a byte.
        let long = Some(Bits {
            first: 7,
            count: 60,
        });
        let bytes = [0x80, 0, 0, 0, 0, 0, 0, 0, 0b100];
        let value = (1 << 59 | 1_u64).to_string();
        assert_eq!(number_text(&bytes, long, Encoding::Unsigned, 8), value);
        let letter = Some(Bits { first: 8, count: 8 });
        assert_eq!(number_text(&[0, b'A'], letter, Encoding::Char, 1), "65 'A'");
        let field = Some(Bits { first: 9, count: 3 });
        assert_eq!(
            number_text(&[0, 0b1010, 0, 0], field, Encoding::Unsigned, 4),
            "5"
        );
        assert_eq!(
            number_text(&[0, 0b1010, 0, 0], field, Encoding::Signed, 4),
            "-3"
        );
    }

    #[test]
    fn of_many_members_those_like_the_wanted_one_are_told() {
        let few = ["pid", "tgid"];
        assert_eq!(some_of(&few, "x", "struct t"), "pid, tgid");
        let many: Vec<String> = (0..20).map(|n| format!("member{n}")).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        many.push("comm");
        assert_eq!(
            some_of(&many, "command", "struct t"),
            "comm, … 21 in all; 'ptype struct t' lists them"
        );
        assert_eq!(
            some_of(&many, "x", "struct t"),
            "21 in all; 'ptype struct t' lists them"
        );
    }

    #[test]
    fn strings_end_at_nul_and_escape() {
        assert_eq!(quoted(b"a\"b\n\x01\0rest"), "\"a\\\"b\\n\\x01\"");
        assert!(quoted(&[b'x'; 200]).ends_with("\"…"));
    }
}
