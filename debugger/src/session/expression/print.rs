//! A value → the text gdb would print.

use super::{Environment, Type, Value, float_text};
use crate::addr::Addr;

/// Longer strings are cut, with dots.
const LONGEST: usize = 200;

/// As `print` shows a value without a letter, without its type.
pub fn print(value: &Value, on: &mut dyn Environment) -> String {
    if let Some(text) = &value.text {
        return text.clone();
    }
    if let Some(items) = &value.items {
        return items_text(items, on);
    }
    let Some(bits) = value.bits else {
        return match value.at {
            Some(at) => format!("<{} at {:#x}>", value.type_, at.0),
            None => format!("<{}>", value.type_),
        };
    };
    let near = |bits, on: &mut dyn Environment| on.near(Addr(bits)).map(|near| format!(" {near}"));
    match &value.type_ {
        type_ if type_.is_character() => character(bits, value),
        Type::Float { size, .. } => float_text(bits, *size),
        Type::Integer { signed: true, .. } => bits.cast_signed().to_string(),
        Type::Pointer(pointee) => {
            if pointee.is_character() {
                return match string(Addr(bits), on) {
                    Some(string) => format!("{bits:#x} {string}"),
                    None => format!("{bits:#x} <nothing can be read there>"),
                };
            }
            format!("{bits:#x}{}", near(bits, on).unwrap_or_default())
        }
        Type::Function => {
            format!("{bits:#x}{}", near(bits, on).unwrap_or_default())
        }
        _ => bits.to_string(),
    }
}

fn character(bits: u64, value: &Value) -> String {
    let byte = bits.to_le_bytes()[0];
    let number = if value.type_.signed() {
        i64::from(byte.cast_signed()).to_string()
    } else {
        byte.to_string()
    };
    format!("{number} '{}'", escaped(byte))
}

pub(in crate::session) fn escaped(byte: u8) -> String {
    match byte {
        0x07 => "\\a".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'\'' => "\\'".to_owned(),
        b'"' => "\\\"".to_owned(),
        b'\\' => "\\\\".to_owned(),
        0x20..0x7f => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    }
}

/// The bytes up to a zero, in quotation marks; none where nothing can be read.
pub(in crate::session) fn string(at: Addr, on: &mut dyn Environment) -> Option<String> {
    let mut text = String::from("\"");
    for i in 0..LONGEST as u64 {
        let mut byte = [0];
        if on.read(at + i, &mut byte).is_err() {
            return (i > 0).then_some(text + "\"...");
        }
        if byte[0] == 0 {
            return Some(text + "\"");
        }
        text.push_str(&escaped(byte[0]).replace("\\'", "'"));
    }
    Some(text + "\"...")
}

/// As `print/LETTER` shows bits of `size` bytes: x d u o t c f a s z.
pub fn letter(bits: u64, size: u8, letter: char, on: &mut dyn Environment) -> String {
    let unused = 64 - 8 * u32::from(size.clamp(1, 8));
    let unsigned = bits << unused >> unused;
    match letter {
        'a' => match on.near(Addr(unsigned)) {
            Some(near) => format!("{unsigned:#x} {near}"),
            None => format!("{unsigned:#x}"),
        },
        's' => string(Addr(bits), on).unwrap_or_else(|| format!("{unsigned:#x}")),
        letter => digits(bits, size, letter),
    }
}

/// As [`letter`], for what the bits alone tell.
pub(in crate::session) fn digits(bits: u64, size: u8, letter: char) -> String {
    let unused = 64 - 8 * u32::from(size.clamp(1, 8));
    let unsigned = bits << unused >> unused;
    let signed = (bits << unused).cast_signed() >> unused;
    match letter {
        'd' => signed.to_string(),
        'u' => unsigned.to_string(),
        'o' if unsigned == 0 => "0".to_owned(),
        'o' => format!("0{unsigned:o}"),
        't' => format!("{unsigned:b}"),
        'z' => format!("0x{unsigned:0width$x}", width = 2 * usize::from(size)),
        'f' if matches!(size, 4 | 8) => float_text(unsigned, size),
        'f' => signed.to_string(),
        'c' => {
            let byte = unsigned.to_le_bytes()[0];
            format!("{} '{}'", byte.cast_signed(), escaped(byte))
        }
        _ => format!("{unsigned:#x}"),
    }
}

/// A sequence, an entry a line; long ones are cut, and say so.
fn items_text(items: &[Value], on: &mut dyn Environment) -> String {
    const MOST: usize = 200;
    let mut lines = vec![format!("{} in all", items.len())];
    for (i, item) in items.iter().take(MOST).enumerate() {
        lines.push(format!("  [{i}] = {}", print(item, on)));
    }
    if items.len() > MOST {
        lines.push(format!("  … {} more", items.len() - MOST));
    }
    lines.join("\n")
}
