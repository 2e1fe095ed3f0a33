//! Named variables with the types that debug information gives them.

use super::engine::Engine;
use super::expression::{ExpressionError, Type, Value};
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::event::Variable;
use crate::known::Known;
use crate::symbols::unwind::{Backtrace, Memory, RegisterSet};
use crate::symbols::{Local, Symbols, TypedValue, ValueError, ValuePlace};

impl Engine {
    /// Lets debug information read the guest's memory.
    pub(super) fn reading<T>(
        &mut self,
        ask: impl FnOnce(&Symbols, &mut dyn FnMut(Addr, &mut [u8]) -> bool) -> T,
    ) -> Option<T> {
        let symbols = self.symbols.as_ref()?;
        let target = &mut self.target;
        let mut memory = |at: Addr, bytes: &mut [u8]| target.read(at, bytes).is_ok();
        Some(ask(symbols, &mut memory))
    }

    /// A local variable or argument of the selected frame.
    pub(super) fn variable(&mut self, name: &str) -> Option<Value> {
        let found = match name.ends_with("@entry") {
            true => self.of_frame(Symbols::parameters_at_entry),
            false => self.of_frame(Symbols::locals),
        };
        let mut found = found.ok()?.into_iter();
        let local = found.rfind(|local| local.name == name)?;
        let register = local.register.map(|register| register.name().to_owned());
        Some(match local.value() {
            Known::Yes(typed) => {
                let mut value = self.typed(typed);
                value.register = register;
                value
            }
            Known::No(why) => missing(&local.type_name, &why),
            Known::Asked => missing(&local.type_name, "not asked yet"),
        })
    }

    /// The register that the selected frame's function has a variable in.
    pub(super) fn register_holding(&mut self, name: &str) -> Option<String> {
        let found = self.of_frame(Symbols::locals).ok()?;
        let local = found.iter().rfind(|local| local.name == name)?;
        Some(local.held_in?.name().to_owned())
    }

    /// The selected frame's function and its variables.
    pub(super) fn frame_locals(&mut self) -> Result<(Option<String>, Vec<Local>), Trouble> {
        let backtrace = self.unwind(None)?;
        let function = self.selected(&backtrace)?.place.symbol;
        Ok((function, self.of_frame(Symbols::locals)?))
    }

    /// What debug information tells of the selected frame's variables.
    fn of_frame(
        &mut self,
        ask: impl FnOnce(&Symbols, &Backtrace, usize, usize, &mut Memory<'_>) -> Vec<Local>,
    ) -> Result<Vec<Local>, Trouble> {
        let backtrace = self.unwind(None)?;
        let selected = self.selected(&backtrace)?;
        let shown = self
            .symbols
            .as_ref()
            .map_or_else(Vec::new, |symbols| symbols.shown_frames(&backtrace));
        let n = usize::try_from(self.frame).unwrap_or(0);
        let inlined = shown
            .iter()
            .take(n)
            .filter(|frame| frame.level == selected.level)
            .count();
        let found = self
            .reading(|symbols, memory| ask(symbols, &backtrace, selected.level, inlined, memory));
        Ok(found.unwrap_or_default())
    }

    /// A global variable at an address, with the type its debug information gives.
    pub(super) fn typed_global(&mut self, name: &str, at: Addr) -> Option<Value> {
        let base = self.per_cpu_base();
        self.typed_global_of(name, at, base)
    }

    /// As [`Self::typed_global`], where a CPU's own variables begin at `base`.
    pub(super) fn typed_global_of(
        &mut self,
        name: &str,
        at: Addr,
        base: Option<Addr>,
    ) -> Option<Value> {
        let near = self.selected_place().ok().map(|place| place.addr);
        let mut cpu = RegisterSet::default();
        cpu.gs_base = base.map(|base| base.0);
        let found =
            self.reading(|symbols, memory| symbols.globals(name, near, Some(&cpu), memory))?;
        let global = found
            .into_iter()
            .find(|global| global.value.place == ValuePlace::Memory(at))?;
        let value = self.typed(global.value);
        (value.type_ != Type::Void).then_some(value)
    }

    /// `info locals`, `info args`
    pub(super) fn variables(&mut self, arguments: bool) -> Result<Vec<Variable>, Trouble> {
        let locals = self.of_frame(Symbols::locals)?;
        let mut list: Vec<Variable> = locals
            .into_iter()
            .filter(|local| local.argument || !arguments)
            .map(|local| {
                let value = local.value();
                Variable {
                    value: match value {
                        Known::Yes(typed) => self.typed_text(&typed).into(),
                        Known::No(why) => Known::No(why),
                        Known::Asked => Known::Asked,
                    },
                    name: local.name,
                    type_name: local.type_name,
                    argument: local.argument,
                    changed: false,
                }
            })
            .collect();
        self.mark_changed(&mut list);
        Ok(list)
    }

    pub(super) fn typed_text(&mut self, typed: &TypedValue) -> Result<String, String> {
        self.reading(|symbols, memory| symbols.value_text(typed, memory))
            .unwrap_or_else(|| Ok(String::new()))
            .map_err(|error| match (error, self.not_kept()) {
                (ValueError::Unreadable { addr, len }, Some(why)) => {
                    format!("{len} bytes at {addr:?} are not known: {why}")
                }
                (error, _) => error.to_string(),
            })
    }

    /// A value as debug information describes it, as one to calculate with.
    pub(super) fn typed(&mut self, typed: TypedValue) -> Value {
        let text = self
            .typed_text(&typed)
            .unwrap_or_else(|why| format!("<{why}>"));
        let mut value = self.described(typed);
        value.text = Some(text);
        value
    }

    /// As [`Self::typed`], without its text.
    pub(super) fn described(&mut self, typed: TypedValue) -> Value {
        let read = self.reading(|symbols, memory| {
            let number = symbols.value_number(&typed, memory).ok();
            (
                number.or_else(|| symbols.value_float(&typed, memory)),
                symbols.address_of_value(&typed).ok(),
                type_of(symbols, &typed),
            )
        });
        let (bits, at, type_) = read.unwrap_or((None, None, Type::Void));
        let bits = bits.map(|bits| type_.extend(bits));
        let mut value = Value::unknown(type_);
        (value.bits, value.at) = (bits, at);
        value.typed = Some(typed);
        value
    }

    pub(super) fn follow(&mut self, pointer: &Value) -> Result<Option<Value>, ExpressionError> {
        if let Some(typed) = &pointer.typed {
            let found = self.reading(|symbols, memory| symbols.value_target(typed, memory));
            return match found {
                Some(found) => found
                    .map(|typed| Some(self.typed(typed)))
                    .map_err(|error| ExpressionError::Member(error.to_string())),
                None => Ok(None),
            };
        }
        // A cast: `(struct file *)0xffff888000001000`.
        let (Type::Pointer(pointee), Some(bits)) = (&pointer.type_, pointer.bits) else {
            return Ok(None);
        };
        match &**pointee {
            of @ Type::Other(_) => Ok(self.placed(Addr(bits), of).ok()),
            _ => Ok(None),
        }
    }

    pub(super) fn member_of(&mut self, of: &Value, name: &str) -> Result<Value, ExpressionError> {
        let found = of
            .typed
            .as_ref()
            .and_then(|typed| self.reading(|symbols, _| symbols.value_member(typed, name)));
        match found {
            Some(Ok(typed)) => Ok(self.typed(typed)),
            Some(Err(error)) => Err(ExpressionError::Member(error.to_string())),
            None => Err(ExpressionError::Member(format!(
                "{} has no members",
                of.type_
            ))),
        }
    }

    pub(super) fn element_of(
        &mut self,
        of: &Value,
        index: i64,
    ) -> Result<Option<Value>, ExpressionError> {
        let found = of.typed.as_ref().and_then(|typed| {
            self.reading(|symbols, memory| symbols.value_element(typed, index, memory))
        });
        match found {
            Some(Ok(typed)) => Ok(Some(self.typed(typed))),
            Some(Err(error)) => Err(ExpressionError::Member(error.to_string())),
            None => Ok(None),
        }
    }
}

fn missing(type_name: &str, why: &str) -> Value {
    let mut value = Value::unknown(Type::named(type_name));
    value.text = Some(format!("<{why}>"));
    value
}

pub(super) fn type_of(symbols: &Symbols, typed: &TypedValue) -> Type {
    use crate::symbols::types::{Encoding, Type as Plain};
    let name = symbols.type_name(typed.of);
    let (_, plain) = symbols.plain_type(typed.of);
    let number = |size: u64, signed| match u8::try_from(size) {
        Ok(size @ (1 | 2 | 4 | 8)) => Type::Integer {
            name: name.clone(),
            size,
            signed,
        },
        _ => Type::Other(name.clone()),
    };
    match plain {
        Plain::Void => Type::Void,
        Plain::Number { size, encoding, .. } => match encoding {
            Encoding::Signed | Encoding::Char => number(size, true),
            Encoding::Unsigned | Encoding::Bool => number(size, false),
            Encoding::Float => match u8::try_from(size) {
                Ok(size @ (4 | 8)) => Type::Float { name, size },
                _ => Type::Other(name),
            },
        },
        Plain::Enum { size, values, .. } => {
            number(size, values.iter().any(|(_, value)| *value < 0))
        }
        Plain::Pointer { to, .. } => Type::named(&symbols.type_name(to)).pointer(),
        _ => Type::Other(name),
    }
}
