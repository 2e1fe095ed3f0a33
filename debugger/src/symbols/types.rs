//! The types of variables, as DWARF tells them, read when asked for.

use super::Symbols;
use super::complete::as_declared;
use super::dies::{Die, DieId};
use super::index::What;

/// Names a type of the image; `VOID` is C's `void`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeId(pub(super) Option<DieId>);

/// What a type is. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Void,
    Number {
        name: String,
        size: u64,
        encoding: Encoding,
    },
    Pointer {
        to: TypeId,
        size: u64,
    },
    Array {
        of: TypeId,
        /// Outermost dimension first; none where it is not told (`char name[]`).
        counts: Vec<Option<u64>>,
    },
    /// A struct, a union or a class.
    Record {
        keyword: &'static str,
        /// Empty for an anonymous one.
        name: String,
        size: u64,
        members: Vec<Member>,
    },
    Enum {
        name: String,
        size: u64,
        values: Vec<(String, i64)>,
    },
    Typedef {
        name: String,
        to: TypeId,
    },
    /// `const`, `volatile` and their like.
    Qualified {
        keyword: &'static str,
        to: TypeId,
    },
    Function,
    /// Only declared in the whole image, or of a kind that is not read: why.
    Unknown(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Signed,
    Unsigned,
    Bool,
    /// A character of one byte.
    Char,
    Float,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Empty for an anonymous struct or union: its members count as the outer one's.
    pub name: String,
    pub of: TypeId,
    /// Bytes from the record's start.
    pub offset: u64,
    pub bits: Option<Bits>,
}

/// A bit field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// Of the least significant bit, from the record's start.
    pub first: u64,
    pub count: u64,
}

impl TypeId {
    pub const VOID: Self = Self(None);
}

/// How many elements an array has in all its dimensions; none where one of them is not told.
#[must_use]
pub fn elements(counts: &[Option<u64>]) -> Option<u64> {
    let mut counts = counts.iter();
    counts.try_fold(1_u64, |all, count| all.checked_mul((*count)?))
}

/// Arrays of arrays: what goes deeper goes in a circle.
const DEEPEST: usize = 32;

impl Symbols {
    /// `struct task_struct`, `union x`, `enum y`, a typedef or a base type. Of several units'
    /// equal types the first; a complete one before a declaration.
    #[must_use]
    pub fn type_named(&self, name: &str) -> Option<TypeId> {
        self.memo.named(name, || {
            let (kind, name) = kind_and_name(name);
            let spelled = spelling(&name);
            let found = self.dies_named(spelled, kind);
            found.first().map(|id| TypeId(Some(*id)))
        })
    }

    /// As [`Self::type_named`], but all the different definitions of the name, each with where it is
    /// written: sources that do not know of each other may use one name for two things.
    #[must_use]
    pub fn types_named(&self, name: &str) -> Vec<(TypeId, String)> {
        let (kind, name) = kind_and_name(name);
        let mut found: Vec<((u64, u64, String), DieId)> = Vec::new();
        for id in self.dies_to_compare(spelling(&name), kind) {
            let Some(die) = self.die(id) else {
                continue;
            };
            let number = |name| die.number(name).unwrap_or(0);
            let size = number(gimli::DW_AT_byte_size);
            let line = number(gimli::DW_AT_decl_line);
            let key = (size, line, self.declared_in(&die).unwrap_or_default());
            if !found.iter().any(|(known, _)| *known == key) {
                found.push((key, id));
            }
        }
        found
            .into_iter()
            .map(|((_, line, file), id)| (TypeId(Some(id)), format!("{file}:{line}")))
            .collect()
    }

    /// What a type is, one level deep.
    #[must_use]
    pub fn type_of(&self, id: TypeId) -> Type {
        let Some(id) = id.0 else {
            return Type::Void;
        };
        let Some(die) = self.die(id) else {
            return Type::Unknown("damaged DWARF".to_owned());
        };
        if die.own(gimli::DW_AT_declaration).is_none() {
            return read(&die);
        }
        match self.defined_elsewhere(&die) {
            // A definition declares nothing, so this goes no deeper.
            Ok(definition) => self.type_of(definition),
            Err(why) => Type::Unknown(why),
        }
    }

    /// Typedefs and qualifiers taken off.
    #[must_use]
    pub fn plain_type(&self, id: TypeId) -> (TypeId, Type) {
        let mut id = id;
        for _ in 0..32 {
            match self.type_of(id) {
                Type::Typedef { to, .. } | Type::Qualified { to, .. } => id = to,
                plain => return (id, plain),
            }
        }
        (id, Type::Unknown("typedefs in a circle".to_owned()))
    }

    /// Bytes; 0 where it is not known.
    #[must_use]
    pub fn size_of(&self, id: TypeId) -> u64 {
        self.memo.size(id, || self.size_within(id))
    }

    fn size_within(&self, id: TypeId) -> u64 {
        let (mut at, mut all) = (id, 1_u64);
        for _ in 0..DEEPEST {
            match self.plain_type(at).1 {
                Type::Number { size, .. }
                | Type::Pointer { size, .. }
                | Type::Record { size, .. }
                | Type::Enum { size, .. } => return all.checked_mul(size).unwrap_or(0),
                Type::Array { of, counts } => {
                    let more = elements(&counts).and_then(|count| all.checked_mul(count));
                    let Some(more) = more else { return 0 };
                    (at, all) = (of, more);
                }
                Type::Void
                | Type::Function
                | Type::Unknown(_)
                | Type::Typedef { .. }
                | Type::Qualified { .. } => return 0,
            }
        }
        0
    }

    /// As C writes it: `struct file *`, `char [16]`.
    #[must_use]
    pub fn type_name(&self, id: TypeId) -> String {
        self.name_within(id, 16)
    }

    fn name_within(&self, id: TypeId, depth: u32) -> String {
        if depth == 0 {
            return "…".to_owned();
        }
        match self.type_of(id) {
            Type::Void => "void".to_owned(),
            Type::Number { name, .. } | Type::Typedef { name, .. } => name,
            Type::Pointer { to, .. } => {
                let to_name = self.name_within(to, depth - 1);
                match self.type_of(to) {
                    Type::Pointer { .. } => format!("{to_name}*"),
                    Type::Function => self.declaration(id, ""),
                    _ => format!("{to_name} *"),
                }
            }
            Type::Array { of, counts } => {
                let mut name = self.name_within(of, depth - 1);
                name.push(' ');
                for count in counts {
                    match count {
                        Some(count) => name.push_str(&format!("[{count}]")),
                        None => name.push_str("[]"),
                    }
                }
                name
            }
            Type::Record { keyword, name, .. } => match name.is_empty() {
                true => format!("{keyword} {{…}}"),
                false => format!("{keyword} {name}"),
            },
            Type::Enum { name, .. } => match name.is_empty() {
                true => "enum {…}".to_owned(),
                false => format!("enum {name}"),
            },
            Type::Qualified { keyword, to } => {
                let of = self.name_within(to, depth - 1);
                match self.type_of(to) {
                    Type::Pointer { .. } => format!("{of} {keyword}"),
                    // A constant array of constants is written once.
                    _ if of.starts_with(keyword) => of,
                    _ => format!("{keyword} {of}"),
                }
            }
            Type::Function => self.declaration(id, ""),
            Type::Unknown(why) => {
                let die = id.0.and_then(|id| self.die(id));
                let declared = die.and_then(|die| as_declared(&die));
                declared.unwrap_or_else(|| format!("? ({why})"))
            }
        }
    }

    /// A member by name, through anonymous inner records.
    #[must_use]
    pub fn member(&self, of: TypeId, name: &str) -> Option<Member> {
        self.member_within(of, name, 8)
    }

    fn member_within(&self, of: TypeId, name: &str, depth: u32) -> Option<Member> {
        let Type::Record { members, .. } = self.plain_type(of).1 else {
            return None;
        };
        if let Some(found) = members.iter().find(|m| m.name == name) {
            return Some(found.clone());
        }
        let anonymous = members.iter().filter(|m| m.name.is_empty());
        for outer in anonymous {
            let Some(depth) = depth.checked_sub(1) else {
                break;
            };
            if let Some(mut inner) = self.member_within(outer.of, name, depth) {
                inner.offset = inner.offset.wrapping_add(outer.offset);
                if let Some(bits) = &mut inner.bits {
                    bits.first = bits.first.wrapping_add(outer.offset.wrapping_mul(8));
                }
                return Some(inner);
            }
        }
        None
    }

    /// The place of a field in a struct by its path, `thread.sp`: bytes from the start, and its type.
    #[must_use]
    pub fn field(&self, of: TypeId, path: &str) -> Option<(u64, TypeId)> {
        self.memo.field(of, path, || {
            let mut at = (0_u64, of);
            for step in path.split('.') {
                let member = self.member(at.1, step)?;
                at = (at.0.wrapping_add(member.offset), member.of);
            }
            Some(at)
        })
    }
}

/// `struct file` is one of structs; without a keyword it may be any type.
fn kind_and_name(name: &str) -> (&'static [What], String) {
    let name = name.trim();
    let (kind, name) = match name.split_once(char::is_whitespace) {
        Some(("struct", rest)) => (&[What::Struct][..], rest),
        Some(("union", rest)) => (&[What::Union][..], rest),
        Some(("enum", rest)) => (&[What::Enum][..], rest),
        _ => (
            &[What::Type, What::Struct, What::Union, What::Enum][..],
            name,
        ),
    };
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    (kind, name)
}

/// DWARF's name of a base type by the ways C allows to write it.
fn spelling(name: &str) -> &str {
    match name {
        "unsigned" => "unsigned int",
        "long" => "long int",
        "short" => "short int",
        "unsigned long" => "long unsigned int",
        "unsigned short" => "short unsigned int",
        "long long" => "long long int",
        "unsigned long long" => "long long unsigned int",
        other => other,
    }
}

fn read(die: &Die<'_>) -> Type {
    let to = || TypeId(die.refer(gimli::DW_AT_type).map(|die| die.id));
    let name = || die.name().to_owned();
    let size = die.number(gimli::DW_AT_byte_size).unwrap_or(0);
    match die.tag() {
        gimli::DW_TAG_base_type => Type::Number {
            name: name(),
            size,
            encoding: encoding(die),
        },
        gimli::DW_TAG_pointer_type
        | gimli::DW_TAG_reference_type
        | gimli::DW_TAG_rvalue_reference_type => Type::Pointer {
            to: to(),
            size: if size == 0 { 8 } else { size },
        },
        gimli::DW_TAG_array_type => Type::Array {
            of: to(),
            counts: die.children().iter().filter_map(count).collect(),
        },
        gimli::DW_TAG_structure_type => record(die, "struct", size),
        gimli::DW_TAG_class_type => record(die, "class", size),
        gimli::DW_TAG_union_type => record(die, "union", size),
        gimli::DW_TAG_enumeration_type => Type::Enum {
            name: name(),
            size,
            values: die
                .children()
                .iter()
                .filter_map(|value| {
                    let number = value.signed(gimli::DW_AT_const_value)?;
                    Some((value.name().to_owned(), number))
                })
                .collect(),
        },
        gimli::DW_TAG_typedef => Type::Typedef {
            name: name(),
            to: to(),
        },
        gimli::DW_TAG_const_type => qualified("const", to()),
        gimli::DW_TAG_volatile_type => qualified("volatile", to()),
        gimli::DW_TAG_restrict_type => qualified("restrict", to()),
        gimli::DW_TAG_atomic_type => qualified("_Atomic", to()),
        gimli::DW_TAG_subroutine_type => Type::Function,
        gimli::DW_TAG_unspecified_type => Type::Void,
        other => Type::Unknown(other.to_string()),
    }
}

fn qualified(keyword: &'static str, to: TypeId) -> Type {
    Type::Qualified { keyword, to }
}

fn encoding(die: &Die<'_>) -> Encoding {
    let size = die.number(gimli::DW_AT_byte_size).unwrap_or(0);
    let code = match die.own(gimli::DW_AT_encoding) {
        Some(gimli::AttributeValue::Encoding(code)) => code,
        _ => return Encoding::Unsigned,
    };
    match code {
        gimli::DW_ATE_boolean => Encoding::Bool,
        gimli::DW_ATE_float => Encoding::Float,
        gimli::DW_ATE_signed_char | gimli::DW_ATE_unsigned_char if size == 1 => {
            // A number by its name (`u8` is `unsigned char`), a character only as plain `char`.
            match die.name() {
                "char" => Encoding::Char,
                _ if code == gimli::DW_ATE_signed_char => Encoding::Signed,
                _ => Encoding::Unsigned,
            }
        }
        gimli::DW_ATE_signed | gimli::DW_ATE_signed_char => Encoding::Signed,
        _ => Encoding::Unsigned,
    }
}

/// A dimension: `Some(None)` where its length is not told.
fn count(die: &Die<'_>) -> Option<Option<u64>> {
    if die.tag() != gimli::DW_TAG_subrange_type {
        return None;
    }
    let count = die.number(gimli::DW_AT_count);
    let last = || {
        let bound = die.own(gimli::DW_AT_upper_bound)?;
        bound.udata_value()?.checked_add(1)
    };
    Some(count.or_else(last))
}

fn record(die: &Die<'_>, keyword: &'static str, size: u64) -> Type {
    let members = die.children();
    let members = members
        .iter()
        .filter(|member| member.tag() == gimli::DW_TAG_member)
        .map(|member| {
            let offset = member
                .number(gimli::DW_AT_data_member_location)
                .unwrap_or(0);
            let bits = member.number(gimli::DW_AT_bit_size).map(|count| {
                let within = member.number(gimli::DW_AT_data_bit_offset);
                Bits {
                    first: within.unwrap_or(offset.wrapping_mul(8)),
                    count,
                }
            });
            Member {
                name: member.name().to_owned(),
                of: TypeId(member.refer(gimli::DW_AT_type).map(|die| die.id)),
                offset: bits.map_or(offset, |bits| bits.first / 8),
                bits,
            }
        })
        .collect();
    Type::Record {
        keyword,
        name: die.name().to_owned(),
        size,
        members,
    }
}
