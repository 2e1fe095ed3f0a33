//! The arguments of a call, by the types that both sides give them.

use super::contents::Pointed;
use super::engine::Engine;
use super::expression::{self, Type};
use super::passage::Passage;
use super::why::Entry;
use crate::addr::Addr;
use crate::crossing::CrossingKind;
use crate::event::CallArgument;
use crate::known::Known;
use crate::origin::Origin;
use crate::symbols::unwind::{Backtrace, Reg};
use crate::symbols::{Parameter, types};

/// What the application's side called, as its own debug information has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AppSide {
    pub(super) function: String,
    pub(super) parameters: Vec<Parameter>,
    /// What they hold in the frame of that function, where it has one and they are still known.
    values: Vec<Option<u64>>,
    /// It is the very call: its parameters are the arguments, one by one.
    same: bool,
}

impl Engine {
    /// In one line: `fd = 1, buf = 0x7ffffffdfea7, count = 13`.
    pub(super) fn short_arguments(&mut self, passage: &Passage) -> String {
        let Some(parameters) = self.prototype(passage.kind, &passage.call) else {
            return "…".to_owned();
        };
        let mut parts = Vec::new();
        for (parameter, bits) in parameters.iter().zip(passage.values) {
            let text = match bits {
                Some(bits) => self.argument_text(bits, &parameter.type_name),
                None => "?".to_owned(),
            };
            parts.push(format!("{} = {text}", parameter.name));
        }
        parts.join(", ")
    }

    /// Each with its types on both sides, and with what lies behind it.
    pub(super) fn call_arguments(
        &mut self,
        entry: &Entry,
        values: &[Option<u64>],
        registers: &[Reg; 6],
        app: Option<&AppSide>,
    ) -> Vec<CallArgument> {
        let Some(parameters) = self.prototype(entry.kind, &entry.call) else {
            // Without the prototype the registers stand for themselves.
            return registers
                .iter()
                .zip(values)
                .map(|(register, bits)| CallArgument {
                    name: register.name().to_owned(),
                    value: bits.map_or_else(unkept, |bits| format!("{bits:#x}")),
                    ..CallArgument::default()
                })
                .collect();
        };
        let mut arguments = Vec::new();
        for (i, parameter) in parameters.iter().enumerate() {
            let bits = values.get(i).copied().flatten();
            let theirs = app.and_then(|app| self.counterpart(app, &entry.call, i, bits));
            let mut argument = CallArgument {
                name: parameter.name.clone(),
                kernel_type: Some(parameter.type_name.clone()),
                app_type: theirs.as_ref().map(|one| one.type_name.clone()),
                value: unkept(),
                ..CallArgument::default()
            };
            if let Some(bits) = bits {
                argument.value = self.argument_text(bits, &parameter.type_name);
                let next = parameters.get(i + 1).cloned();
                let next = next.zip(values.get(i + 1).copied().flatten());
                let pointed = Pointed {
                    kernel: parameter.clone(),
                    app: theirs,
                    bits,
                    next,
                };
                self.describe(&mut argument, &pointed, entry.kind);
            }
            arguments.push(argument);
        }
        arguments
    }

    fn describe(&mut self, argument: &mut CallArgument, pointed: &Pointed, kind: CrossingKind) {
        if let Some(file) = self.descriptor(pointed) {
            argument.holds.push(file);
            return;
        }
        let at = Addr(pointed.bits);
        if !self.is_pointer(&pointed.kernel) || at.0 == 0 {
            return;
        }
        argument.holds = self.contents(pointed);
        argument.memory = self.whose_memory(at);
        if at.in_kernel_half() {
            argument.note = Some(match kind {
                CrossingKind::Shortcut => {
                    "an address of the kernel's half, given without access_ok(): only the function itself can check it".to_owned()
                }
                _ => "an address of the kernel's half: access_ok() refuses it, in ring 0 as in ring 3"
                    .to_owned(),
            });
        }
    }

    /// The parameter of the application's side that became this argument: where both are known to
    /// hold the same, or it is the same call.
    fn counterpart(
        &self,
        app: &AppSide,
        call: &str,
        i: usize,
        bits: Option<u64>,
    ) -> Option<Parameter> {
        let parameter = app.parameters.get(i)?;
        let symbols = self.symbols.as_ref()?;
        let agrees = match (app.values.get(i).copied().flatten(), bits) {
            (Some(theirs), Some(ours)) => {
                let bytes = symbols.size_of(parameter.of).clamp(1, 8);
                let mask = u64::MAX >> (64 - 8 * bytes);
                theirs & mask == ours & mask
            }
            _ => app.same || app.function == call,
        };
        agrees.then(|| parameter.clone())
    }

    /// The function by which the application made the call: its C library's, or, where it calls the
    /// kernel itself, the kernel's as the application's source declares it.
    pub(super) fn app_side(
        &mut self,
        backtrace: &Backtrace,
        level: usize,
        call: &str,
    ) -> Option<AppSide> {
        let shown = self.symbols.as_ref()?.shown_frames(backtrace);
        let outside = shown.iter().filter(|frame| frame.level >= level);
        let mut library = None;
        let mut own = None;
        for frame in outside {
            match frame.place.origin {
                Origin::Libc if !frame.inlined => library = Some(frame),
                Origin::App => {
                    own = Some(frame);
                    break;
                }
                Origin::Libc | Origin::Entry => {}
                _ => break,
            }
        }
        if let Some(frame) = library {
            let function = frame.place.symbol.clone()?;
            let at = backtrace.frames.get(frame.level)?.lookup();
            let inlined = shown
                .iter()
                .filter(|one| one.level == frame.level)
                .count()
                .saturating_sub(1);
            let frame_level = frame.level;
            let parameters = self.symbols.as_ref()?.parameters_at(at)?;
            let found = self.reading(|symbols, memory| {
                let locals = symbols.locals(backtrace, frame_level, inlined, memory);
                let value = |parameter: &Parameter| {
                    let local = locals
                        .iter()
                        .find(|local| local.argument && local.name == parameter.name)?;
                    match local.value() {
                        Known::Yes(typed) => symbols.value_number(&typed, memory).ok(),
                        _ => None,
                    }
                };
                parameters.iter().map(value).collect::<Vec<_>>()
            });
            return Some(AppSide {
                function,
                parameters,
                values: found.unwrap_or_default(),
                same: false,
            });
        }
        let near = backtrace.frames.get(own?.level)?.lookup();
        let stub = self.profile().shortcut_stub(call);
        let symbols = self.symbols.as_ref()?;
        let declared = stub
            .into_iter()
            .chain([call.to_owned()])
            .find_map(|name| Some((symbols.declared_near(near, &name)?, name)));
        let (parameters, function) = declared?;
        Some(AppSide {
            function,
            parameters,
            values: Vec::new(),
            same: true,
        })
    }

    fn is_pointer(&self, parameter: &Parameter) -> bool {
        self.symbols.as_ref().is_some_and(|symbols| {
            matches!(
                symbols.plain_type(parameter.of).1,
                types::Type::Pointer { .. }
            )
        })
    }

    fn argument_text(&mut self, bits: u64, type_: &str) -> String {
        let type_ = Type::named(type_);
        if type_.size().is_some_and(|size| size < 8) || type_.signed() {
            let bits = type_.extend(bits);
            return if type_.signed() {
                bits.cast_signed().to_string()
            } else {
                bits.to_string()
            };
        }
        let text = matches!(&type_, Type::Pointer(to) if to.to_string().contains("char"));
        if text && let Some(string) = expression::string(Addr(bits), self) {
            return format!("{bits:#x} {string}");
        }
        if bits < 0x10000 {
            return bits.to_string();
        }
        match self.near(Addr(bits)).or_else(|| self.told(Addr(bits))) {
            Some(near) => format!("{bits:#x} {near}"),
            None => format!("{bits:#x}"),
        }
    }
}

/// `write(int fd, const void *buf, size_t count)`
pub(super) fn prototype_text(function: &str, parameters: &[Parameter]) -> String {
    let list: Vec<String> = parameters
        .iter()
        .map(|one| match one.type_name.ends_with('*') {
            true => format!("{}{}", one.type_name, one.name),
            false => format!("{} {}", one.type_name, one.name),
        })
        .map(|one| one.trim_end().to_owned())
        .collect();
    format!("{function}({})", list.join(", "))
}

fn unkept() -> String {
    "(not kept by the entry code)".to_owned()
}
