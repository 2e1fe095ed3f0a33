//! The variables of a frame, and those of the whole program by name.

use super::dies::{Die, DieId};
use super::index::What;
use super::lines::ends_with_steps;
use super::locations::{Scope, ValuePlace};
use super::table::Kind;
use super::types::TypeId;
use super::unwind::{Backtrace, Memory, Reg, RegisterSet};
use super::values::TypedValue;
use super::{Symbol, Symbols};
use crate::addr::Addr;
use crate::known::Known;
use crate::origin::Origin;

/// A parameter or local variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    pub name: String,
    pub of: TypeId,
    pub type_name: String,
    pub argument: bool,
    pub place: Known<ValuePlace>,
    /// The register that its function has it in. One of a caller's may be on the stack by now.
    pub held_in: Option<Reg>,
    /// The register it lies in, where that is the running function's own.
    pub register: Option<Reg>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    pub name: String,
    pub value: TypedValue,
    pub origin: Origin,
    /// The unit it is defined in.
    pub file: Option<String>,
}

impl Local {
    fn entered(&self, place: ValuePlace) -> Self {
        Self {
            name: format!("{}@entry", self.name),
            place: Known::Yes(place),
            held_in: None,
            register: None,
            ..self.clone()
        }
    }

    /// The value with its type, to be formatted or taken apart.
    #[must_use]
    pub fn value(&self) -> Known<TypedValue> {
        self.place.clone().map(|place| TypedValue {
            of: self.of,
            place,
            bits: None,
        })
    }
}

impl Symbols {
    /// Of the frame at `level` and, in it, of the call `inlined` counts from the innermost (0) out:
    /// parameters first, then locals from outer blocks to inner ones. The last of a name is the one
    /// that C means. Behind a parameter `fd` that has no value here comes `fd@entry`, what it was when
    /// the function was entered, where the caller still tells.
    pub fn locals(
        &self,
        backtrace: &Backtrace,
        level: usize,
        inlined: usize,
        memory: &mut Memory<'_>,
    ) -> Vec<Local> {
        let mut locals = Vec::new();
        self.each_variable(backtrace, level, inlined, &mut |die, scope| {
            let of = type_of(die);
            let held_in = self.register_of(die, scope);
            let local = Local {
                name: die.name().to_owned(),
                of,
                type_name: self.type_name(of),
                argument: die.tag() == gimli::DW_TAG_formal_parameter,
                held_in,
                register: held_in.filter(|_| level == 0),
                place: match self.locate(die, scope, memory) {
                    Ok(place) => Known::Yes(place),
                    Err(why) => Known::No(why),
                },
            };
            let entered = match local.place {
                Known::Yes(_) => None,
                _ => self.at_entry(die, scope, memory),
            };
            let entered = entered.map(|place| local.entered(place));
            locals.push(local);
            locals.extend(entered);
        });
        locals.sort_by_key(|local| !local.argument);
        locals
    }

    /// The parameters of a frame as they were when its function was entered, `fd@entry`: those of which
    /// the caller still tells it.
    pub fn parameters_at_entry(
        &self,
        backtrace: &Backtrace,
        level: usize,
        inlined: usize,
        memory: &mut Memory<'_>,
    ) -> Vec<Local> {
        let mut found = Vec::new();
        self.each_variable(backtrace, level, inlined, &mut |die, scope| {
            if let Some(place) = self.at_entry(die, scope, memory) {
                let of = type_of(die);
                let local = Local {
                    name: die.name().to_owned(),
                    of,
                    type_name: self.type_name(of),
                    argument: true,
                    held_in: None,
                    register: None,
                    place: Known::Asked,
                };
                found.push(local.entered(place));
            }
        });
        found
    }

    fn each_variable(
        &self,
        backtrace: &Backtrace,
        level: usize,
        inlined: usize,
        each: &mut dyn FnMut(&Die<'_>, Scope<'_>),
    ) {
        let Some(frame) = backtrace.frames.get(level) else {
            return;
        };
        let pc = frame.lookup();
        let Some(function) = self.function_die(pc) else {
            return;
        };
        let mut calls = vec![function.clone()];
        inlined_at(&function, pc, &mut calls);
        let Some(at) = calls.len().checked_sub(inlined + 1) else {
            return;
        };
        let scope = Scope {
            backtrace,
            level,
            function: Some(&function),
        };
        let mut dies = Vec::new();
        variables_at(&calls[at], pc, &mut dies);
        for die in &dies {
            // Declarations of globals inside a function have no place here.
            if !die.name().is_empty() && die.own(gimli::DW_AT_declaration).is_none() {
                each(die, scope);
            }
        }
    }

    /// Variables with a fixed place, in every file that has one of this name. Those of the unit
    /// around `near` come first, then those of its side. `cpu` gives the place of per-CPU ones.
    pub fn globals(
        &self,
        name: &str,
        near: Option<Addr>,
        cpu: Option<&RegisterSet>,
        memory: &mut Memory<'_>,
    ) -> Vec<Global> {
        let mut found: Vec<(DieId, Global)> = Vec::new();
        for id in self.dies_named(name, &[What::Variable]) {
            let Some(die) = self.die(id) else {
                continue;
            };
            let Ok(place) = self.locate(&die, Scope::GLOBAL, memory) else {
                continue;
            };
            let unit = die.image.units().head(id.unit);
            let path = unit.map(|unit| super::units::join(unit.folder, unit.name));
            let place = self.in_cpu(place, cpu);
            let origin = match (&place, unit) {
                (ValuePlace::Memory(addr), Some(unit)) => self.data_origin(*addr, unit),
                _ => Origin::Unknown,
            };
            let value = TypedValue {
                of: type_of(&die),
                place,
                bits: None,
            };
            if found.iter().any(|(_, global)| global.value == value) {
                continue;
            }
            found.push((
                id,
                Global {
                    name: name.to_owned(),
                    value,
                    origin,
                    file: path.map(|path| self.shown_path(&path)),
                },
            ));
        }
        if found.is_empty() {
            return self.by_symbol(name, cpu);
        }
        let place = near.and_then(|addr| {
            let number: u8 = (!self.in_kernel_image(addr)).into();
            let unit = self.numbered(number)?.units().number_at(addr)?;
            Some((number, unit, self.origin(addr).is_app_side()))
        });
        found.sort_by_key(|(id, global)| match place {
            Some((image, unit, _)) if id.image == image && id.unit == unit => 0,
            Some((.., app)) if global.origin.is_app_side() == app => 1,
            _ => 2,
        });
        found.into_iter().map(|(_, global)| global).collect()
    }

    /// Whether a function or variable comes from a file whose path ends so.
    #[must_use]
    pub fn is_defined_in(&self, symbol: &Symbol<'_>, file: &str) -> bool {
        let is = |path: Option<String>| path.is_some_and(|path| ends_with_steps(&path, file));
        if symbol.kind.is_code() {
            return is(self.place(symbol.addr).file);
        }
        let known = self.globals(symbol.name, None, None, &mut |_, _| false);
        let place = ValuePlace::Memory(symbol.addr);
        let found = known.into_iter().find(|global| global.value.place == place);
        match found {
            Some(global) => is(global.file),
            None => is(symbol.file.map(str::to_owned)),
        }
    }

    /// Variables of the linker script or of assembly have a symbol, and a type where C declares them.
    fn by_symbol(&self, name: &str, cpu: Option<&RegisterSet>) -> Vec<Global> {
        let declared = self.dies_named(name, &[What::Declaration]);
        let die = declared.first().and_then(|id| self.die(*id));
        let of = die.map_or(TypeId::VOID, |die| type_of(&die));
        let symbols = self.lookup(name);
        let data = symbols.iter().filter(|symbol| {
            matches!(symbol.kind, Kind::Data | Kind::PerCpu) || of != TypeId::VOID
        });
        data.map(|symbol| Global {
            name: name.to_owned(),
            value: TypedValue {
                of,
                place: self.in_cpu(ValuePlace::Memory(symbol.addr), cpu),
                bits: None,
            },
            origin: symbol.origin,
            file: None,
        })
        .collect()
    }

    /// Per-CPU variables are told by their offset into each CPU's area, which gs points to.
    fn in_cpu(&self, place: ValuePlace, cpu: Option<&RegisterSet>) -> ValuePlace {
        let ValuePlace::Memory(addr) = place else {
            return place;
        };
        let per_cpu = !addr.in_kernel_half()
            && self
                .per_cpu_at(addr.0)
                .is_some_and(|symbol| symbol.kind == Kind::PerCpu);
        match cpu.and_then(|cpu| cpu.gs_base) {
            Some(base) if per_cpu => ValuePlace::Memory(addr.wrapping_add(base)),
            _ => place,
        }
    }

    /// The function whose own code, not an inlined copy's, lies at an address.
    pub(super) fn function_die(&self, addr: Addr) -> Option<Die<'_>> {
        let number: u8 = (!self.in_kernel_image(addr)).into();
        let image = self.numbered(number)?;
        let unit_number = image.units().number_at(addr)?;
        let unit = image.unit(unit_number)?;
        let mut entries = unit.entries();
        entries.next_dfs().ok()?;
        entries.next_dfs().ok()?;
        while let Some(entry) = entries.current() {
            if entry.tag() == gimli::DW_TAG_subprogram {
                let id = DieId {
                    image: number,
                    unit: unit_number,
                    offset: entry.offset().0,
                };
                let die = Die::of(id, image, unit, entry.clone());
                if die.covers(addr) {
                    return Some(die);
                }
            }
            entries.next_sibling().ok()??;
        }
        None
    }
}

pub(super) fn type_of(die: &Die<'_>) -> TypeId {
    let owner = die.attr(gimli::DW_AT_type).map(|(_, owner)| owner);
    let of = owner.and_then(|owner| owner.refer(gimli::DW_AT_type));
    TypeId(of.map(|of| of.id))
}

/// The inlined calls that cover an address, outermost first, appended.
pub(super) fn inlined_at<'a>(die: &Die<'a>, pc: Addr, calls: &mut Vec<Die<'a>>) {
    for child in die.children() {
        match child.tag() {
            gimli::DW_TAG_inlined_subroutine if child.covers(pc) => {
                calls.push(child.clone());
                return inlined_at(&child, pc, calls);
            }
            gimli::DW_TAG_lexical_block if child.covers(pc) => {
                let before = calls.len();
                inlined_at(&child, pc, calls);
                if calls.len() > before {
                    return;
                }
            }
            _ => {}
        }
    }
}

/// Parameters and variables of a function and of its blocks around an address. What the compiler has
/// left out of a copy altogether is found in the original: it has no value there.
fn variables_at<'a>(die: &Die<'a>, pc: Addr, found: &mut Vec<Die<'a>>) {
    if let Some(original) = die.refer(gimli::DW_AT_abstract_origin) {
        let mut copied = Vec::new();
        originals(die, &mut copied);
        left_out(&original, &copied, found);
    }
    for child in die.children() {
        match child.tag() {
            _ if is_variable(&child) => found.push(child),
            // One without code has lost it all: what it declares has no value, and is no less there.
            gimli::DW_TAG_lexical_block if child.covers(pc) || !has_code(&child) => {
                variables_at(&child, pc, found)
            }
            _ => {}
        }
    }
}

/// What the variables and blocks of a copy are copies of, appended.
fn originals(copy: &Die<'_>, found: &mut Vec<DieId>) {
    for child in copy.children() {
        let is_block = child.tag() == gimli::DW_TAG_lexical_block;
        if is_block || is_variable(&child) {
            let original = child.refer(gimli::DW_AT_abstract_origin);
            found.extend(original.map(|die| die.id));
        }
        if is_block {
            originals(&child, found);
        }
    }
}

/// The variables of an original that are not among the copied ones, appended.
fn left_out<'a>(original: &Die<'a>, copied: &[DieId], found: &mut Vec<Die<'a>>) {
    for child in original.children() {
        if copied.contains(&child.id) {
            continue;
        }
        if is_variable(&child) {
            found.push(child);
        } else if child.tag() == gimli::DW_TAG_lexical_block {
            left_out(&child, copied, found);
        }
    }
}

fn has_code(block: &Die<'_>) -> bool {
    let told = [gimli::DW_AT_low_pc, gimli::DW_AT_ranges];
    told.into_iter().any(|name| block.own(name).is_some())
}

fn is_variable(die: &Die<'_>) -> bool {
    matches!(
        die.tag(),
        gimli::DW_TAG_formal_parameter | gimli::DW_TAG_variable
    )
}
