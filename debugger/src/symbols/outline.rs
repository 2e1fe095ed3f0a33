//! Types and functions written as C declares them.

use super::Pattern;
use super::Symbols;
use super::dies::{Die, DieId};
use super::index::{TYPES, What};
use super::types::{Member, Type, TypeId};
use super::variables::type_of;
use crate::addr::Addr;
use crate::count::counted;

/// A function as its definition tells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FunctionInfo {
    /// Of the file it is defined in, as places are shown.
    pub file: String,
    pub line: u32,
    /// `ssize_t vfs_read(struct file *, char *, size_t, loff_t *);`
    pub declaration: String,
}

/// Records within records are written out so deep where they have no name of their own.
const DEPTH: u32 = 8;

/// Pointers and typedefs of one type: more go in a circle.
const POINTERS: usize = 32;

impl Symbols {
    /// A declaration of `name` with this type: `int (*handler)(struct pt_regs *)`. Without a name it
    /// is the type alone.
    #[must_use]
    pub fn declaration(&self, of: TypeId, name: &str) -> String {
        self.declare(of, name.to_owned(), 24)
    }

    fn declare(&self, of: TypeId, inner: String, depth: u32) -> String {
        let Some(depth) = depth.checked_sub(1) else {
            return format!("… {inner}");
        };
        match self.type_of(of) {
            Type::Pointer { to, .. } => {
                let grouped = matches!(self.type_of(to), Type::Array { .. } | Type::Function);
                match grouped {
                    true => self.declare(to, format!("(*{inner})"), depth),
                    false => self.declare(to, format!("*{inner}"), depth),
                }
            }
            Type::Array { of, counts } => {
                let count = |count: &Option<u64>| match count {
                    Some(count) => format!("[{count}]"),
                    None => "[]".to_owned(),
                };
                let counts: String = counts.iter().map(count).collect();
                self.declare(of, format!("{inner}{counts}"), depth)
            }
            Type::Function => {
                let (result, parameters) = self.signature(of, depth);
                self.declare(result, format!("{inner}({parameters})"), depth)
            }
            Type::Qualified { keyword, to } => match self.type_of(to) {
                Type::Pointer { .. } if inner.is_empty() => {
                    self.declare(to, keyword.to_owned(), depth)
                }
                Type::Pointer { .. } => self.declare(to, format!("{keyword} {inner}"), depth),
                _ => {
                    let whole = self.declare(to, inner, depth);
                    match whole.starts_with(keyword) {
                        true => whole,
                        false => format!("{keyword} {whole}"),
                    }
                }
            },
            _ => {
                let name = self.type_name(of);
                match inner.is_empty() {
                    true => name,
                    false => format!("{name} {inner}"),
                }
            }
        }
    }

    /// What a function type returns, and its parameters' types.
    fn signature(&self, of: TypeId, depth: u32) -> (TypeId, String) {
        let Some(die) = of.0.and_then(|id| self.die(id)) else {
            return (TypeId::VOID, String::new());
        };
        (type_of(&die), self.parameter_types(&die, depth))
    }

    fn parameter_types(&self, die: &Die<'_>, depth: u32) -> String {
        let mut parameters = Vec::new();
        for child in die.children() {
            match child.tag() {
                gimli::DW_TAG_formal_parameter => {
                    parameters.push(self.declare(type_of(&child), String::new(), depth));
                }
                gimli::DW_TAG_unspecified_parameters => parameters.push("...".to_owned()),
                _ => {}
            }
        }
        if parameters.is_empty() && die.own(gimli::DW_AT_prototyped).is_some() {
            parameters.push("void".to_owned());
        }
        parameters.join(", ")
    }

    /// A type with what is in it, as `ptype` prints it: of a record its members, of an enumeration its
    /// values. With `offsets` each member's place, size and the holes between them are told.
    #[must_use]
    pub fn outline(&self, of: TypeId, offsets: bool) -> Vec<String> {
        // What a typedef stands for; of a pointer what it points at is written out too.
        let mut lines = Vec::new();
        let mut stars = String::new();
        let mut at = of;
        for _ in 0..POINTERS {
            match self.type_of(at) {
                Type::Typedef { to, .. } | Type::Qualified { to, .. } => at = to,
                Type::Pointer { to, .. } if self.is_outlined(to) => {
                    stars.push('*');
                    at = to;
                }
                _ => break,
            }
        }
        match self.type_of(at) {
            Type::Record { .. } | Type::Enum { .. } => {
                let tail = match stars.is_empty() {
                    true => String::new(),
                    false => format!(" {stars}"),
                };
                self.write_out(at, 0, &tail, offsets.then_some(0), DEPTH, &mut lines);
            }
            _ => lines.push(self.declaration(self.without_typedefs(of), "")),
        }
        lines
    }

    fn without_typedefs(&self, of: TypeId) -> TypeId {
        let mut at = of;
        for _ in 0..POINTERS {
            match self.type_of(at) {
                Type::Typedef { to, .. } => at = to,
                _ => break,
            }
        }
        at
    }

    fn is_outlined(&self, of: TypeId) -> bool {
        let mut at = of;
        for _ in 0..POINTERS {
            match self.plain_type(at).1 {
                Type::Record { .. } | Type::Enum { .. } => return true,
                Type::Pointer { to, .. } => at = to,
                _ => return false,
            }
        }
        false
    }

    fn write_out(
        &self,
        of: TypeId,
        indent: usize,
        tail: &str,
        offset: Option<u64>,
        depth: u32,
        lines: &mut Vec<String>,
    ) {
        let margin = match offset {
            Some(_) => " ".repeat(24),
            None => String::new(),
        };
        let pad = "    ".repeat(indent);
        let named = |keyword: &str, name: &str| match name.is_empty() {
            true => format!("{margin}{pad}{keyword} {{"),
            false => format!("{margin}{pad}{keyword} {name} {{"),
        };
        match self.type_of(of) {
            Type::Enum { name, values, .. } => {
                let values: Vec<String> = numbered(&values);
                let open = named("enum", &name);
                lines.push(format!(
                    "{open}{}}}{tail}{}",
                    values.join(", "),
                    end(indent)
                ));
            }
            Type::Record {
                keyword,
                name,
                size,
                members,
            } => {
                lines.push(named(keyword, &name));
                let mut next = offset.map(|_| 0);
                for member in &members {
                    if keyword != "union" {
                        hole(&mut next, member, indent + 1, lines);
                    }
                    self.write_member(member, indent + 1, offset, depth, lines);
                    if let Some(next) = &mut next {
                        *next = after(self, member);
                    }
                }
                let size = match offset {
                    Some(_) => format!("{margin}{pad}    /* {} in all */", counted(size, "byte")),
                    None => String::new(),
                };
                if !size.is_empty() {
                    lines.push(size);
                }
                lines.push(format!("{margin}{pad}}}{tail}{}", end(indent)));
            }
            _ => lines.push(format!("{margin}{pad}{}{tail};", self.type_name(of))),
        }
    }

    fn write_member(
        &self,
        member: &Member,
        indent: usize,
        offset: Option<u64>,
        depth: u32,
        lines: &mut Vec<String>,
    ) {
        let start = offset.map(|outer| outer.wrapping_add(member.offset));
        let bits = member
            .bits
            .map_or_else(String::new, |bits| format!(" : {}", bits.count));
        // Only what has no name to ask for by itself is written out here.
        let nested = match (self.type_of(member.of), depth.checked_sub(1)) {
            (Type::Record { name, .. } | Type::Enum { name, .. }, Some(depth))
                if name.is_empty() =>
            {
                Some(depth)
            }
            _ => None,
        };
        if let Some(depth) = nested {
            let tail = match member.name.is_empty() {
                true => bits,
                false => format!(" {}{bits}", member.name),
            };
            self.write_out(member.of, indent, &tail, start, depth, lines);
            return;
        }
        let place = start.map_or_else(String::new, |start| {
            let at = match member.bits {
                Some(bits) => format!("{start}:{}", bits.first % 8),
                None => start.to_string(),
            };
            format!(
                "{:<24}",
                format!("/* {at:>7} |{:>6} */", self.size_of(member.of))
            )
        });
        lines.push(format!(
            "{place}{}{}{bits};",
            "    ".repeat(indent),
            self.declaration(member.of, &member.name)
        ));
    }

    /// The type of a function's code, as a declaration: `ssize_t vfs_read(struct file *, …)`.
    #[must_use]
    pub fn function_declaration(&self, addr: Addr) -> Option<String> {
        let die = self.function_die(addr)?;
        Some(self.declared(&die))
    }

    fn declared(&self, die: &Die<'_>) -> String {
        let own = die.refer(gimli::DW_AT_abstract_origin);
        let die = own.as_ref().unwrap_or(die);
        let parameters = self.parameter_types(die, 16);
        let inner = format!("{}({parameters})", die.name());
        self.declare(type_of(die), inner, 24)
    }

    /// The functions that C defines with a name like this, those inlined everywhere included; at most
    /// so many names, and whether there are more.
    #[must_use]
    pub fn functions_like(&self, pattern: &Pattern, most: usize) -> (Vec<FunctionInfo>, bool) {
        let mut found = Vec::new();
        let (names, more) = self.names_like(pattern, What::Function, most);
        for name in names {
            for id in self.dies_named(name, &[What::Function]) {
                found.extend(self.function_info(id));
            }
        }
        found.sort();
        found.dedup();
        (found, more)
    }

    fn function_info(&self, id: DieId) -> Option<FunctionInfo> {
        let die = self.die(id)?;
        let line = die.number(gimli::DW_AT_decl_line).unwrap_or(0);
        Some(FunctionInfo {
            file: self.declared_in(&die).unwrap_or_default(),
            line: u32::try_from(line).unwrap_or(0),
            declaration: format!("{};", self.declared(&die)),
        })
    }

    /// The names of structs, unions, enumerations and other types like this, sorted.
    #[must_use]
    pub fn types_like(&self, pattern: &Pattern, most: usize) -> (Vec<String>, bool) {
        let mut all = Vec::new();
        let mut cut = false;
        for (kind, keyword) in TYPES {
            let (names, more) = self.names_like(pattern, kind, most);
            all.extend(names.iter().map(|name| format!("{keyword}{name}")));
            cut |= more;
        }
        (all, cut)
    }

    fn names_like(&self, pattern: &Pattern, what: What, most: usize) -> (Vec<&'static str>, bool) {
        let images = self.images();
        let all = images.flat_map(|image| image.names().with(what));
        let mut names: Vec<_> = all.filter(|name| pattern.matches(name)).collect();
        names.sort_unstable();
        names.dedup();
        let more = names.len() > most;
        names.truncate(most);
        (names, more)
    }
}

fn end(indent: usize) -> &'static str {
    match indent {
        0 => "",
        _ => ";",
    }
}

/// Values that follow from the one before are left out, as C lets them be.
fn numbered(values: &[(String, i64)]) -> Vec<String> {
    let mut expected = 0_i64;
    let mut all = Vec::new();
    for (name, value) in values {
        all.push(match *value == expected {
            true => name.clone(),
            false => format!("{name} = {value}"),
        });
        expected = value.wrapping_add(1);
    }
    all
}

fn hole(next: &mut Option<u64>, member: &Member, indent: usize, lines: &mut Vec<String>) {
    if let Some(expected) = next
        && member.bits.is_none()
        && member.offset > *expected
    {
        let bytes = member.offset - *expected;
        let pad = "    ".repeat(indent);
        lines.push(format!(
            "{}{pad}/* a hole of {} */",
            " ".repeat(24),
            counted(bytes, "byte")
        ));
    }
}

/// The first byte behind a member.
fn after(symbols: &Symbols, member: &Member) -> u64 {
    match member.bits {
        Some(bits) => bits.first.wrapping_add(bits.count).div_ceil(8),
        None => member.offset.wrapping_add(symbols.size_of(member.of)),
    }
}
