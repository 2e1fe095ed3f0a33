//! The crossing that is about to be made where control stands: at the first instruction of a way in,
//! or at the last of a way out.

use std::collections::HashMap;
use std::sync::Arc;

use super::doors::{Door, From};
use super::engine::Engine;
use super::expression::{Type, Value};
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::crossing::CrossingKind;
use crate::profile::Profile;
use crate::symbols::unwind::Reg;
use crate::symbols::{Parameter, TypedValue, ValuePlace};

/// The registers a system call takes its arguments in, and a function.
const CALL: [Reg; 6] = [Reg::RDI, Reg::RSI, Reg::RDX, Reg::R10, Reg::R8, Reg::R9];
const FUNCTION: [Reg; 6] = [Reg::RDI, Reg::RSI, Reg::RDX, Reg::RCX, Reg::R8, Reg::R9];

/// Parameters by the call's name; `None` where there is no debug information for it.
pub(super) type Prototypes = HashMap<(bool, String), Option<Arc<[Parameter]>>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) kind: CrossingKind,
    /// `write`, `asm_exc_page_fault`, `tcp_sendmsg`.
    pub(super) call: String,
    pub(super) into_kernel: bool,
    /// The application's instruction beside it: the one that control comes from or returns to.
    pub(super) app: Addr,
    /// The kernel's function that does the work.
    pub(super) implementation: Option<Addr>,
    /// The arguments, as the convention of the call has them.
    pub(super) values: [Option<u64>; 6],
    /// What a fault or an interrupt tells beside: its name and its bits.
    pub(super) beside: Vec<(&'static str, u64)>,
}

/// Where a call of this kind has its arguments.
pub(super) const fn convention(kind: CrossingKind) -> [Reg; 6] {
    match kind {
        CrossingKind::Shortcut => FUNCTION,
        _ => CALL,
    }
}

impl Passage {
    /// Whether it has arguments.
    pub(super) const fn is_call(&self) -> bool {
        matches!(
            self.kind,
            CrossingKind::Syscall | CrossingKind::Bypass | CrossingKind::Shortcut
        )
    }
}

/// What the kernel's functions for vectors begin with, behind the prefix of their stubs.
const VECTORS: [&str; 2] = ["exc_", "sysvec_"];

/// All the names that a call or a vector goes by, what it is shown as last: `asm_exc_page_fault` and
/// `page_fault`, a shortcut's stub and its function.
pub(super) fn names(profile: &Profile, kind: CrossingKind, call: &str) -> Vec<String> {
    if kind == CrossingKind::Shortcut {
        let function = profile.shortcut(call);
        let stub = profile.shortcut_stub(function);
        return stub.into_iter().chain([function.to_owned()]).collect();
    }
    let shorter = profile.behind(call).map(|behind| {
        let mut vectors = VECTORS.iter();
        let vector = vectors.find_map(|prefix| behind.strip_prefix(prefix));
        vector.unwrap_or(behind).to_owned()
    });
    std::iter::once(call.to_owned()).chain(shorter).collect()
}

impl Engine {
    /// What passes at the program counter; `None` where nothing does, or nothing can be read.
    pub(super) fn passage(&mut self) -> Result<Option<Passage>, Trouble> {
        if self.symbols.is_none() || self.target.is_file() {
            return Ok(None);
        }
        match self.passes_here() {
            Err(Trouble::Failed(_)) => Ok(None),
            found => found,
        }
    }

    fn passes_here(&mut self) -> Result<Option<Passage>, Trouble> {
        let doors = self.doors()?;
        let pc = self.pc()?;
        if let Some(door) = doors.way_in(pc) {
            let app = self.other_side(door.from)?;
            return match app.filter(|app| self.is_app(*app)) {
                Some(app) => self.passes_in(door, app).map(Some),
                None => Ok(None),
            };
        }
        if let Some(call) = doors.work.get(&pc) {
            return self.begins_work(pc, call);
        }
        let Some(from) = doors.out.get(&pc) else {
            return Ok(None);
        };
        let app = self.other_side(*from)?;
        match app.filter(|app| self.is_app(*app)) {
            Some(app) => self.passes_out(pc, app).map(Some),
            None => Ok(None),
        }
    }

    /// A system call at the first instruction of its own function, which is given the registers of its
    /// caller.
    fn begins_work(&mut self, pc: Addr, call: &str) -> Result<Option<Passage>, Trouble> {
        let frame = self.app_frame()?;
        let by_number = [CrossingKind::Syscall, CrossingKind::Bypass];
        let Some(kind) = frame.kind.filter(|kind| by_number.contains(kind)) else {
            return Ok(None);
        };
        let given = Addr(self.register("rdi")?);
        let values = match self.saved_at(given) {
            Some(saved) => CALL.map(|register| saved.registers.get(register)),
            None => [None; 6],
        };
        Ok(Some(Passage {
            kind,
            call: call.to_owned(),
            into_kernel: true,
            app: frame.pc,
            implementation: Some(pc),
            values,
            beside: Vec::new(),
        }))
    }

    fn passes_in(&mut self, door: &Door, app: Addr) -> Result<Passage, Trouble> {
        let mut passage = Passage {
            kind: door.kind,
            call: door.name.clone(),
            into_kernel: true,
            app,
            implementation: door.implementation,
            values: [None; 6],
            beside: Vec::new(),
        };
        match door.kind {
            CrossingKind::Syscall | CrossingKind::Bypass => {
                let number = self.register("rax")?;
                passage.call = self
                    .call_name(number)
                    .unwrap_or_else(|| format!("call {}", number.cast_signed()));
                passage.implementation = self
                    .symbols
                    .as_ref()
                    .and_then(|symbols| symbols.call_implementation(number));
                passage.values = self.in_registers(&CALL)?;
            }
            CrossingKind::Shortcut => {
                passage.call = self.profile().shortcut(&door.name).to_owned();
                passage.values = self.in_registers(&FUNCTION)?;
            }
            CrossingKind::Fault => {
                if let From::Stack(8) = door.from {
                    let sp = self.sp()?;
                    passage.beside.push(("error_code", self.word(Addr(sp))?));
                }
                if door.name == "asm_exc_page_fault" {
                    passage.beside.push(("address", self.register("cr2")?));
                }
            }
            CrossingKind::Interrupt => {
                if let From::Stack(8) = door.from {
                    let sp = self.sp()?;
                    // A byte, sign-extended by the push.
                    let vector = self.word(Addr(sp))? & 0xff;
                    passage.beside.push(("vector", vector));
                }
            }
            _ => {}
        }
        Ok(passage)
    }

    fn passes_out(&mut self, pc: Addr, app: Addr) -> Result<Passage, Trouble> {
        let (kind, call) = self.leaving(pc)?;
        let saved = self.saved_by_stub();
        let values = convention(kind).map(|register| {
            let saved = saved.as_ref()?;
            // Where a call leaves rcx, its stub has put the address that a restart returns to.
            saved
                .registers
                .get(register)
                .filter(|_| register != Reg::RCX)
        });
        let symbols = self.symbols.as_ref();
        let implementation = match (kind, &saved) {
            (CrossingKind::Syscall | CrossingKind::Bypass, Some(saved)) => {
                symbols.and_then(|symbols| symbols.call_implementation(saved.orig_ax))
            }
            (CrossingKind::Shortcut, _) => symbols.and_then(|symbols| symbols.address_of(&call)),
            _ => None,
        };
        Ok(Passage {
            kind,
            call,
            into_kernel: false,
            app,
            implementation,
            values,
            beside: Vec::new(),
        })
    }

    fn in_registers(&mut self, registers: &[Reg; 6]) -> Result<[Option<u64>; 6], Trouble> {
        let found = self.registers()?;
        Ok(registers.map(|register| found.get(register.name())))
    }

    /// The parameters of a call: a system call's, or those of the kernel's function behind a shortcut.
    pub(super) fn prototype(&mut self, kind: CrossingKind, call: &str) -> Option<Arc<[Parameter]>> {
        let system_call = kind != CrossingKind::Shortcut;
        let key = (system_call, call.to_owned());
        if let Some(known) = self.prototypes.get(&key) {
            return known.clone();
        }
        let profile = self.profile();
        let symbols = self.symbols.as_ref()?;
        let found = match system_call {
            true => symbols.call_parameters(call),
            false => profile
                .shortcut_service(call)
                .and_then(|name| symbols.parameters(&name))
                .or_else(|| symbols.parameters(call)),
        };
        let found: Option<Arc<[Parameter]>> = found.map(Into::into);
        self.prototypes.insert(key, found.clone());
        found
    }

    /// A parameter of the call that passes here, by the name that the kernel's prototype gives it; of a
    /// fault its `address` and `error_code`, of an interrupt its `vector`.
    pub(super) fn passing(&mut self, name: &str) -> Option<Value> {
        if self.frame != 0 {
            return None;
        }
        let passage = self.passage().ok()??;
        if let Some((_, bits)) = passage.beside.iter().find(|(known, _)| *known == name) {
            return Some(Value::of(*bits, Type::unsigned_long()));
        }
        if !passage.is_call() {
            return None;
        }
        let parameters = self.prototype(passage.kind, &passage.call)?;
        let (parameter, bits) = parameters
            .iter()
            .zip(passage.values)
            .find(|(parameter, _)| parameter.name == name)?;
        Some(self.argument_value(parameter, bits?))
    }

    /// The bits of a register as a parameter of that type.
    pub(super) fn argument_value(&mut self, parameter: &Parameter, bits: u64) -> Value {
        let size = self.reading(|symbols, _| symbols.size_of(parameter.of));
        let size = usize::try_from(size.unwrap_or(8)).unwrap_or(8).clamp(1, 8);
        self.typed(TypedValue {
            of: parameter.of,
            place: ValuePlace::Bytes(bits.to_le_bytes()[..size].to_vec()),
            bits: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_goes_by_its_whole_name_and_by_a_short_one() {
        use CrossingKind::{Fault, Interrupt, Shortcut, Syscall};
        let ukl = Profile::recognise(|name| name == "__ukl_text_start");
        let check = |kind, call, expected: &[&str]| {
            assert_eq!(names(&ukl, kind, call), expected);
        };
        check(Syscall, "write", &["write"]);
        check(
            Fault,
            "asm_exc_page_fault",
            &["asm_exc_page_fault", "page_fault"],
        );
        check(
            Interrupt,
            "asm_common_interrupt",
            &["asm_common_interrupt", "common_interrupt"],
        );
        for call in ["ukl_tcp_sendmsg", "tcp_sendmsg"] {
            check(Shortcut, call, &["ukl_tcp_sendmsg", "tcp_sendmsg"]);
        }
        assert_eq!(names(&Profile::linux(), Shortcut, "f"), ["f"]);
    }
}
