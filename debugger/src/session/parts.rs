//! `parts`: a value taken apart, each part with the expression that gives it.
//!
//! What a part is made from is kept while one command is carried out, so that a tree with many open
//! nodes evaluates its roots alone.

use std::collections::BTreeMap;

use super::chains;
use super::engine::Engine;
use super::expression::{self, Tree, Type, Value};
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::command::PartsOf;
use crate::event::{Part, Parts, Variable};
use crate::known::Known;
use crate::symbols::types::{Type as Plain, TypeId, elements};
use crate::symbols::{Local, Symbols, TypedValue};

/// Records of anonymous records of anonymous records: no sound type goes deeper.
const NESTED: u32 = 8;

/// What a value consists of.
enum Inside {
    Nothing,
    Members {
        of: TypedValue,
        names: Vec<String>,
        /// `file->`, `init_task.`
        base: String,
    },
    Elements {
        of: TypedValue,
        count: u64,
        base: String,
    },
    /// Elements of what no debug information describes.
    Evaluated {
        count: u64,
        base: String,
    },
    /// A sequence's entries, then the members of what it was taken from.
    Items {
        items: Vec<Value>,
        base: String,
        then: Box<Self>,
    },
    Target {
        pointer: Value,
        expression: String,
    },
}

impl Engine {
    /// `parts`
    pub(super) fn parts(&mut self, asked: &[PartsOf]) -> Result<Vec<Parts>, Trouble> {
        let (function, locals) = match self.frame_locals() {
            Ok(found) => found,
            Err(Trouble::Failed(failure)) if asked.iter().any(|one| one.expression.is_none()) => {
                return Err(Trouble::Failed(failure));
            }
            Err(Trouble::Failed(_)) => (None, Vec::new()),
            Err(other) => return Err(other),
        };
        let mut known = BTreeMap::new();
        let mut answers = Vec::with_capacity(asked.len());
        for one in asked {
            let taken = match &one.expression {
                None => Ok(self.variables_apart(&locals, one, &mut known)),
                Some(text) => self.value_apart(text, one, &mut known),
            };
            answers.push(match taken {
                Ok(parts) => Parts {
                    function: function.clone(),
                    ..parts
                },
                // Of one that was asked for alone the trouble is the answer.
                Err(Trouble::Failed(failure)) if asked.len() > 1 => Parts {
                    function: function.clone(),
                    of: Part {
                        expression: one.expression.clone().unwrap_or_default(),
                        value: Known::no(failure.found),
                        ..Part::default()
                    },
                    from: 0,
                    total: 0,
                    parts: Vec::new(),
                },
                Err(other) => return Err(other),
            });
        }
        Ok(answers)
    }

    fn variables_apart(
        &mut self,
        locals: &[Local],
        asked: &PartsOf,
        known: &mut BTreeMap<String, Value>,
    ) -> Parts {
        let mut parts = Vec::new();
        for (i, local) in window(locals, asked) {
            let hidden = locals[i + 1..].iter().any(|other| other.name == local.name);
            let mut part = match local.value() {
                Known::Yes(typed) => {
                    let mut value = self.described(typed);
                    value.register = local.register.map(|register| register.name().to_owned());
                    let part = self.part(&local.name, &local.name, &value, asked.letter);
                    if !hidden {
                        known.insert(local.name.clone(), value);
                    }
                    part
                }
                Known::No(why) => unknown(&local.name, why),
                Known::Asked => unknown(&local.name, "not asked yet".to_owned()),
            };
            part.type_name = Some(local.type_name.clone());
            // The name means the inner one, so that only that can be taken apart.
            part.opens &= !hidden;
            parts.push(part);
        }
        if asked.letter.is_none() {
            self.mark_parts(&mut parts);
        }
        Parts {
            function: None,
            of: Part::default(),
            from: asked.from,
            total: locals.len() as u64,
            parts,
        }
    }

    /// Against the stop before the one that is looked at.
    fn mark_parts(&mut self, parts: &mut [Part]) {
        let variable = |part: &Part| Variable {
            name: part.name.clone(),
            type_name: part.type_name.clone().unwrap_or_default(),
            value: part.value.clone(),
            argument: false,
            changed: false,
        };
        let mut list: Vec<Variable> = parts.iter().map(variable).collect();
        self.mark_changed(&mut list);
        for (part, variable) in parts.iter_mut().zip(list) {
            part.changed = variable.changed;
        }
    }

    fn value_apart(
        &mut self,
        text: &str,
        asked: &PartsOf,
        known: &mut BTreeMap<String, Value>,
    ) -> Result<Parts, Trouble> {
        let value = match known.get(text) {
            Some(value) => value.clone(),
            None => {
                let failed = |error| Trouble::expression(text, &error);
                if expression::parse(text).map_err(failed)?.assigns() {
                    return Err(Trouble::new(
                        format!("taking '{text}' apart"),
                        "it changes what it shows",
                        "'set' and 'print' assign once",
                    ));
                }
                self.evaluate(text)?
            }
        };
        let of = self.part(text, text, &value, asked.letter);
        let inside = self.inside(text, &value);
        let total = inside.len();
        let mut parts = Vec::new();
        for i in asked.from..total.min(asked.from.saturating_add(asked.count)) {
            let (name, expression, found) = self.child(&inside, i);
            parts.push(match found {
                Ok(value) => {
                    let part = self.part(&name, &expression, &value, asked.letter);
                    known.insert(expression, value);
                    part
                }
                Err(why) => Part {
                    expression,
                    ..unknown(&name, why)
                },
            });
        }
        Ok(Parts {
            function: None,
            of,
            from: asked.from,
            total,
            parts,
        })
    }

    fn part(&mut self, name: &str, expression: &str, value: &Value, letter: Option<char>) -> Part {
        let text = match (&value.typed, letter) {
            (Some(typed), None) => self.typed_text(typed),
            _ => self
                .shown(value, letter)
                .map(|text| text.lines().next().unwrap_or_default().to_owned())
                .map_err(|trouble| trouble.to_string()),
        };
        let described = value.typed.clone();
        let types = described.and_then(|typed| {
            self.reading(|symbols, _| (symbols.type_name(typed.of), symbols.size_of(typed.of)))
        });
        let (type_name, size) = match types {
            Some((name, size)) => (name, Some(size).filter(|size| *size > 0)),
            None => (value.type_.to_string(), value.type_.size().map(u64::from)),
        };
        Part {
            name: name.to_owned(),
            expression: expression.to_owned(),
            type_name: Some(type_name),
            value: text.into(),
            opens: self.opens(value),
            address: value.at,
            size,
            changed: false,
        }
    }

    pub(super) fn opens(&mut self, value: &Value) -> bool {
        if let Some(items) = &value.items {
            return !items.is_empty();
        }
        if let Some(typed) = &value.typed {
            let points = value.bits.is_some_and(|bits| bits != 0);
            let opens = self.reading(|symbols, _| match symbols.plain_type(typed.of).1 {
                Plain::Record { members, .. } => !members.is_empty(),
                Plain::Array { counts, .. } => elements(&counts).unwrap_or(0) > 0,
                Plain::Pointer { to, .. } => points && symbols.size_of(to) > 0,
                _ => false,
            });
            return opens.unwrap_or(false);
        }
        match &value.type_ {
            Type::Pointer(to) => {
                let sized = match &**to {
                    Type::Other(name) => self.reading(|symbols, _| {
                        symbols
                            .type_named(name)
                            .is_some_and(|id| symbols.size_of(id) > 0)
                    }),
                    other => Some(other.size().is_some()),
                };
                value.bits.is_some_and(|bits| bits != 0) && sized == Some(true)
            }
            Type::Array(_, count) => *count > 0 && value.at.is_some(),
            _ => false,
        }
    }

    fn inside(&mut self, text: &str, value: &Value) -> Inside {
        let tree = expression::parse(text).ok();
        let base = match &tree {
            Some(
                Tree::Name { .. }
                | Tree::Register(_)
                | Tree::Member(..)
                | Tree::Index(..)
                | Tree::Call(..),
            ) => text.to_owned(),
            _ => format!("({text})"),
        };
        if let Some(items) = &value.items {
            return Inside::Items {
                items: items.clone(),
                base,
                then: Box::new(Inside::Nothing),
            };
        }
        let Some(typed) = &value.typed else {
            return self.inside_of_untyped(base, value);
        };
        let plain = self.reading(|symbols, _| symbols.plain_type(typed.of).1);
        match plain {
            Some(Plain::Record { .. }) => {
                let members = self.members(typed, format!("{base}."));
                self.with_entries(text, tree.as_ref(), value, members)
            }
            Some(Plain::Array { counts, .. }) => Inside::Elements {
                of: typed.clone(),
                count: elements(&counts).unwrap_or(0),
                base,
            },
            Some(Plain::Pointer { .. }) if self.opens(value) => self.inside_of_pointer(base, value),
            _ => Inside::Nothing,
        }
    }

    fn inside_of_untyped(&mut self, base: String, value: &Value) -> Inside {
        match &value.type_ {
            Type::Pointer(_) if self.opens(value) => self.inside_of_pointer(base, value),
            Type::Array(_, count) if value.at.is_some() => Inside::Evaluated {
                count: *count,
                base,
            },
            _ => Inside::Nothing,
        }
    }

    /// The members of the record it points at, else what it points at.
    fn inside_of_pointer(&mut self, base: String, pointer: &Value) -> Inside {
        let target = self.follow_bare(pointer);
        let record = target.filter(|typed| {
            let is_record = self.reading(|symbols, _| {
                matches!(symbols.plain_type(typed.of).1, Plain::Record { .. })
            });
            is_record == Some(true)
        });
        match record {
            Some(typed) => self.members(&typed, format!("{base}->")),
            None => Inside::Target {
                pointer: pointer.clone(),
                expression: format!("*{base}"),
            },
        }
    }

    fn members(&mut self, of: &TypedValue, base: String) -> Inside {
        let names = self.reading(|symbols, _| member_names(symbols, of.of));
        Inside::Members {
            of: of.clone(),
            names: names.unwrap_or_default(),
            base,
        }
    }

    /// Before the members of a list's head, what is chained on it, where it is known what that is.
    fn with_entries(
        &mut self,
        text: &str,
        tree: Option<&Tree>,
        value: &Value,
        members: Inside,
    ) -> Inside {
        let holder = match tree {
            Some(Tree::Member(inner, name, _)) => {
                let inner = expression::evaluate(inner, self).ok();
                inner.map(|inner| (record_name(&inner.type_), name.clone()))
            }
            Some(Tree::Name { name, .. }) => Some((String::new(), name.clone())),
            _ => None,
        };
        let call = holder.and_then(|(record, member)| {
            chains::call(&value.type_.to_string(), &record, &member, text)
        });
        let Some(call) = call else {
            return members;
        };
        match self.evaluate(&call).map(|value| value.items) {
            Ok(Some(items)) => Inside::Items {
                items,
                base: call,
                then: Box::new(members),
            },
            _ => members,
        }
    }

    fn child(&mut self, inside: &Inside, i: u64) -> (String, String, Result<Value, String>) {
        let at = usize::try_from(i).unwrap_or(usize::MAX);
        let gone = || Err("there is no such part".to_owned());
        match inside {
            Inside::Nothing => (String::new(), String::new(), gone()),
            Inside::Members { of, names, base } => {
                let name = names.get(at).cloned().unwrap_or_default();
                let found = self.reading(|symbols, _| symbols.value_member(of, &name));
                let value = self.taken(found);
                (name.clone(), format!("{base}{name}"), value)
            }
            Inside::Elements { of, base, .. } => {
                let found = self
                    .reading(|symbols, memory| symbols.value_element(of, i.cast_signed(), memory));
                let value = self.taken(found);
                (format!("[{i}]"), format!("{base}[{i}]"), value)
            }
            Inside::Evaluated { base, .. } => {
                let expression = format!("{base}[{i}]");
                let value = self.evaluate(&expression);
                let value = value.map_err(|trouble| trouble.to_string());
                (format!("[{i}]"), expression, value)
            }
            Inside::Items { items, base, then } => match items.get(at) {
                Some(item) => (format!("[{i}]"), format!("{base}[{i}]"), Ok(item.clone())),
                None => self.child(then, i - items.len() as u64),
            },
            Inside::Target {
                pointer,
                expression,
            } => {
                let value = match self.follow_bare(pointer) {
                    Some(typed) => Ok(self.described(typed)),
                    None => self
                        .evaluate(expression)
                        .map_err(|trouble| trouble.to_string()),
                };
                ("*".to_owned(), expression.clone(), value)
            }
        }
    }

    fn taken<E: ToString>(
        &mut self,
        found: Option<Result<TypedValue, E>>,
    ) -> Result<Value, String> {
        match found {
            Some(Ok(typed)) => Ok(self.described(typed)),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("no vmlinux was given".to_owned()),
        }
    }

    /// What a pointer points at, as debug information describes it.
    fn follow_bare(&mut self, pointer: &Value) -> Option<TypedValue> {
        match (&pointer.typed, &pointer.type_) {
            (Some(typed), _) => self
                .reading(|symbols, memory| symbols.value_target(typed, memory))?
                .ok(),
            (None, Type::Pointer(to)) => match &**to {
                of @ Type::Other(_) => self.placed(Addr(pointer.bits?), of).ok()?.typed,
                _ => None,
            },
            _ => None,
        }
    }
}

impl Inside {
    fn len(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Members { names, .. } => names.len() as u64,
            Self::Elements { count, .. } | Self::Evaluated { count, .. } => *count,
            Self::Items { items, then, .. } => (items.len() as u64).saturating_add(then.len()),
            Self::Target { .. } => 1,
        }
    }
}

fn window<'a>(
    locals: &'a [Local],
    asked: &PartsOf,
) -> impl Iterator<Item = (usize, &'a Local)> + use<'a> {
    let from = usize::try_from(asked.from).unwrap_or(usize::MAX);
    let count = usize::try_from(asked.count).unwrap_or(usize::MAX);
    locals.iter().enumerate().skip(from).take(count)
}

fn unknown(name: &str, why: String) -> Part {
    Part {
        name: name.to_owned(),
        expression: name.to_owned(),
        value: Known::No(why),
        ..Part::default()
    }
}

/// The members' names; those of an anonymous member in its place, as C has them.
pub(super) fn member_names(symbols: &Symbols, of: TypeId) -> Vec<String> {
    let mut names = Vec::new();
    name_members(symbols, of, NESTED, &mut names);
    names
}

fn name_members(symbols: &Symbols, of: TypeId, depth: u32, names: &mut Vec<String>) {
    let Plain::Record { members, .. } = symbols.plain_type(of).1 else {
        return;
    };
    for member in members {
        if !member.name.is_empty() {
            names.push(member.name);
        } else if depth > 0 {
            name_members(symbols, member.of, depth - 1, names);
        }
    }
}

/// `task_struct`, of the record or of a pointer to it.
fn record_name(type_: &Type) -> String {
    let name = type_.to_string();
    let name = name.trim_end_matches(['*', ' ']);
    name.strip_prefix("struct ").unwrap_or(name).to_owned()
}
