//! The types an expression can be of.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Integer {
        name: String,
        /// Bytes: 1, 2, 4 or 8.
        size: u8,
        signed: bool,
    },
    /// Its bits are those of the number in memory.
    Float {
        name: String,
        /// Bytes: 4 or 8.
        size: u8,
    },
    Pointer(Box<Self>),
    /// So many of a type, one behind the other.
    Array(Box<Self>, u64),
    Void,
    /// Code: its value is its address.
    Function,
    /// Anything else, by its name: structures, arrays, data without debug information.
    Other(String),
}

/// C's names, and the kernel's, of the basic types: name, bytes, signed.
const BASIC: &[(&str, u8, bool)] = &[
    ("char", 1, true),
    ("signed char", 1, true),
    ("unsigned char", 1, false),
    ("bool", 1, false),
    ("_Bool", 1, false),
    ("short", 2, true),
    ("short int", 2, true),
    ("unsigned short", 2, false),
    ("short unsigned int", 2, false),
    ("int", 4, true),
    ("signed", 4, true),
    ("unsigned", 4, false),
    ("unsigned int", 4, false),
    ("long", 8, true),
    ("long int", 8, true),
    ("long long", 8, true),
    ("long long int", 8, true),
    ("unsigned long", 8, false),
    ("long unsigned int", 8, false),
    ("unsigned long long", 8, false),
    ("long long unsigned int", 8, false),
    ("size_t", 8, false),
    ("ssize_t", 8, true),
    ("loff_t", 8, true),
    ("uintptr_t", 8, false),
    ("u8", 1, false),
    ("u16", 2, false),
    ("u32", 4, false),
    ("u64", 8, false),
    ("s8", 1, true),
    ("s16", 2, true),
    ("s32", 4, true),
    ("s64", 8, true),
    ("uint8_t", 1, false),
    ("uint16_t", 2, false),
    ("uint32_t", 4, false),
    ("uint64_t", 8, false),
    ("int8_t", 1, true),
    ("int16_t", 2, true),
    ("int32_t", 4, true),
    ("int64_t", 8, true),
    ("pid_t", 4, true),
    ("umode_t", 2, false),
];

impl Type {
    #[must_use]
    pub fn long() -> Self {
        Self::integer("long", 8, true)
    }

    #[must_use]
    pub fn unsigned_long() -> Self {
        Self::integer("unsigned long", 8, false)
    }

    #[must_use]
    pub fn int() -> Self {
        Self::integer("int", 4, true)
    }

    #[must_use]
    pub fn pointer(self) -> Self {
        Self::Pointer(Box::new(self))
    }

    #[must_use]
    pub fn double() -> Self {
        Self::named("double")
    }

    fn integer(name: &str, size: u8, signed: bool) -> Self {
        Self::Integer {
            name: name.to_owned(),
            size,
            signed,
        }
    }

    /// The type of this name as C writes it: `unsigned long`, `char *`, `struct file *`.
    #[must_use]
    pub fn named(text: &str) -> Self {
        let text = text.trim();
        if let Some(pointee) = text.strip_suffix('*') {
            return Self::named(pointee).pointer();
        }
        let words: Vec<&str> = text
            .split_whitespace()
            .filter(|word| !matches!(*word, "const" | "volatile"))
            .collect();
        let name = words.join(" ");
        match name.as_str() {
            "void" => return Self::Void,
            "float" => return Self::Float { name, size: 4 },
            "double" => return Self::Float { name, size: 8 },
            _ => {}
        }
        match BASIC.iter().find(|(basic, ..)| *basic == name) {
            Some((name, size, signed)) => Self::integer(name, *size, *signed),
            None => Self::Other(name),
        }
    }

    /// Whether a cast may begin with this word.
    pub(super) fn begins_with(word: &str) -> bool {
        matches!(
            word,
            "struct" | "union" | "enum" | "void" | "const" | "volatile" | "float" | "double"
        ) || BASIC
            .iter()
            .any(|(name, ..)| name.split(' ').next() == Some(word))
    }

    /// Bytes; none for what cannot be read as a number.
    #[must_use]
    pub const fn size(&self) -> Option<u8> {
        match self {
            Self::Integer { size, .. } | Self::Float { size, .. } => Some(*size),
            Self::Pointer(_) => Some(8),
            Self::Void | Self::Function | Self::Array(..) | Self::Other(_) => None,
        }
    }

    /// A character of C's, or a byte of the kernel's that serves as one.
    #[must_use]
    pub fn is_character(&self) -> bool {
        matches!(self, Self::Integer { size: 1, name, .. } if name.contains("char"))
    }

    #[must_use]
    pub const fn signed(&self) -> bool {
        matches!(self, Self::Integer { signed: true, .. })
    }

    /// Cuts bits to the type's size and extends them by its sign.
    #[must_use]
    pub fn extend(&self, bits: u64) -> u64 {
        let unused = 64 - 8 * u32::from(self.size().unwrap_or(8));
        if self.signed() {
            ((bits << unused).cast_signed() >> unused).cast_unsigned()
        } else {
            bits << unused >> unused
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { name, .. } | Self::Float { name, .. } | Self::Other(name) => {
                f.write_str(name)
            }
            Self::Array(of, count) => write!(f, "{of} [{count}]"),
            Self::Pointer(pointee) if matches!(**pointee, Self::Array(..)) => {
                let Self::Array(of, count) = &**pointee else {
                    return Ok(());
                };
                write!(f, "{of} (*)[{count}]")
            }
            Self::Pointer(pointee) if matches!(**pointee, Self::Pointer(_)) => {
                write!(f, "{pointee}*")
            }
            Self::Pointer(pointee) => write!(f, "{pointee} *"),
            Self::Void => f.write_str("void"),
            Self::Function => f.write_str("code"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_their_names() {
        for text in ["unsigned long", "char *", "void **", "struct file *", "u32"] {
            assert_eq!(Type::named(text).to_string(), text);
        }
        assert_eq!(Type::named("const char*").to_string(), "char *");
        assert_eq!(Type::named("s8").extend(0x1ff), u64::MAX);
        assert_eq!(Type::named("u8").extend(0x1ff), 0xff);
        assert_eq!(
            Type::named("int").extend(0x8000_0000),
            0xffff_ffff_8000_0000
        );
    }
}
