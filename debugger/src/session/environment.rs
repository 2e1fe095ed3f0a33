//! What expressions are about: the selected frame's registers, the symbols, the guest's memory.

use super::engine::Engine;
use super::expression::{self, Environment, ExpressionError, Given, Type, Value};
use super::target::TargetError;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::count::counted;
use crate::symbols::Kind;
use crate::symbols::unwind::Reg;

/// Why a register and what is of a stop cannot be told.
pub(super) const RUNS: &str = "the target runs, and 'interrupt' stops it";

impl Engine {
    pub(super) fn evaluate(&mut self, text: &str) -> Result<Value, Trouble> {
        let failed = |error| Trouble::expression(text, &error);
        let tree = expression::parse(text).map_err(failed)?;
        expression::evaluate(&tree, self).map_err(failed)
    }

    /// The address or number an expression gives.
    pub(super) fn address(&mut self, text: &str) -> Result<Addr, Trouble> {
        let value = self.evaluate(text)?;
        value
            .bits
            .or(value.at.map(|at| at.0))
            .map(Addr)
            .ok_or_else(|| {
                Trouble::new(
                    format!("evaluating '{text}'"),
                    format!("it is of type {}, no address", value.type_),
                    "write an address, a symbol or a register",
                )
            })
    }
}

impl Environment for Engine {
    fn register(&mut self, name: &str) -> Result<u64, ExpressionError> {
        let name = match name {
            "pc" => "rip",
            "sp" => "rsp",
            "fp" => "rbp",
            other => other,
        };
        if self.target.is_file() {
            return Err(ExpressionError::NoMachine(name.to_owned()));
        }
        if self.target.is_running() {
            return Err(ExpressionError::NotKnown {
                name: name.to_owned(),
                why: RUNS.to_owned(),
            });
        }
        let unknown = |_| ExpressionError::NoRegister(name.to_owned());
        if self.frame > 0
            && let Some(number) = Reg::named(name)
        {
            let set = self.selected_registers().map_err(unknown)?;
            return set
                .get(number)
                .ok_or_else(|| ExpressionError::NotInFrame(name.to_owned(), self.frame));
        }
        let registers = self.registers().map_err(unknown)?;
        if let Some(bits) = registers.get(name) {
            return Ok(bits);
        }
        if let Some(part) = expression::part(name) {
            return Environment::register(self, part.whole).map(|whole| part.of(whole));
        }
        let wide = registers
            .iter()
            .any(|(register, _)| register.name == name && register.bits > 64);
        Err(if wide {
            ExpressionError::WideRegister(name.to_owned())
        } else {
            ExpressionError::NoRegister(name.to_owned())
        })
    }

    fn name(&mut self, origin: Option<&str>, name: &str) -> Result<Value, ExpressionError> {
        let globally = origin == Some("");
        let origin = origin.filter(|origin| !origin.is_empty());
        if origin.is_none()
            && !globally
            && let Some(value) = self.passing(name).or_else(|| self.variable(name))
        {
            return Ok(value);
        }
        let missing = || ExpressionError::NoName(name.to_owned());
        let symbols = self.symbols.as_ref().ok_or_else(missing)?;
        let found = self.named(symbols, name, origin);
        if let [one] = found.as_slice() {
            let (kind, addr, size) = (one.kind, one.addr, one.size);
            return Ok(self.global(name, kind, addr, size));
        }
        if found.is_empty() {
            let per_cpu = symbols
                .lookup(name)
                .into_iter()
                .find(|symbol| symbol.kind == Kind::PerCpu)
                .map(|symbol| (symbol.addr, symbol.size));
            let Some((offset, size)) = per_cpu else {
                return Err(missing());
            };
            // Without a machine there is the area that each CPU's is copied from.
            let base = match self.target.is_file() {
                true => Some(Addr(0)),
                false => self.per_cpu_base(),
            };
            let base = base.ok_or_else(|| {
                ExpressionError::NoName(format!(
                    "{name} (a per-CPU variable, and which CPU's is not known now: $percpu({name}, 0) names one)"
                ))
            })?;
            if let Some(value) = self.typed_global(name, base + offset.0) {
                return Ok(value);
            }
            return Ok(self.global(name, Kind::Data, base + offset.0, size));
        }
        Err(ExpressionError::Homonyms {
            name: name.to_owned(),
            choices: found
                .iter()
                .map(|symbol| format!("{}:{name} at {:#x}", symbol.origin, symbol.addr.0))
                .collect(),
        })
    }

    fn read(&mut self, at: Addr, bytes: &mut [u8]) -> Result<(), ExpressionError> {
        self.target
            .read(at, bytes)
            .map_err(|error| ExpressionError::Unreadable {
                at,
                why: match error {
                    TargetError::NotKept { stop, .. } => {
                        format!("it is not kept with stop {stop}, for nobody looked at it then")
                    }
                    _ => "nothing is mapped there".to_owned(),
                },
            })
    }

    fn near(&mut self, at: Addr) -> Option<String> {
        Engine::near(self, at).or_else(|| self.told(at))
    }

    fn size_of(&mut self, type_: &Type) -> Option<u64> {
        if let Some(size) = type_.size() {
            return Some(u64::from(size));
        }
        let name = match type_ {
            Type::Other(name) => name,
            Type::Array(of, count) => {
                let size = Environment::size_of(self, of)?;
                return size.checked_mul(*count);
            }
            _ => return None,
        };
        let symbols = self.symbols.as_ref()?;
        let size = symbols.size_of(symbols.type_named(name)?);
        Some(size).filter(|size| *size > 0)
    }

    fn size_of_value(&mut self, value: &Value) -> Option<u64> {
        match (&value.typed, &self.symbols) {
            (Some(typed), Some(symbols)) => {
                Some(symbols.size_of(typed.of)).filter(|size| *size > 0)
            }
            _ => Environment::size_of(self, &value.type_),
        }
    }

    fn offset_of(&mut self, type_: &Type, path: &str) -> Result<u64, ExpressionError> {
        let name = type_.to_string();
        let symbols = self.symbols.as_ref();
        let of = symbols.and_then(|symbols| Some((symbols, symbols.type_named(&name)?)));
        let Some((symbols, of)) = of else {
            return Err(ExpressionError::NoSize(name));
        };
        let field = symbols.field(of, path);
        let missing = || ExpressionError::Member(format!("{name} has no member {path}"));
        field.map(|(offset, _)| offset).ok_or_else(missing)
    }

    fn cast(&mut self, value: &Value, type_: &Type) -> Result<Value, ExpressionError> {
        self.cast_to(value, type_)
    }

    fn place(&mut self, at: Addr, type_: &Type) -> Result<Value, ExpressionError> {
        self.placed(at, type_)
    }

    fn assign(&mut self, place: &Value, bits: u64) -> Result<(), ExpressionError> {
        self.write_to(place, bits)
    }

    fn text_of(&mut self, value: &Value) -> Result<Vec<u8>, ExpressionError> {
        self.characters(value)
    }

    fn convenience(&mut self, name: &str) -> Option<Result<Value, ExpressionError>> {
        self.known_value(name)
    }

    fn call(&mut self, name: &str, arguments: &[Given]) -> Result<Value, ExpressionError> {
        self.call_function(name, arguments)
    }

    fn repeat(&mut self, value: &Value, count: u64) -> Result<Value, ExpressionError> {
        self.repeated(value, count)
    }

    fn target(&mut self, pointer: &Value) -> Result<Option<Value>, ExpressionError> {
        self.follow(pointer)
    }

    fn member(&mut self, of: &Value, name: &str) -> Result<Value, ExpressionError> {
        self.member_of(of, name)
    }

    fn element(&mut self, of: &Value, index: i64) -> Result<Option<Value>, ExpressionError> {
        self.element_of(of, index)
    }
}

impl Engine {
    /// Where this CPU's variables lie: in the kernel in gs_base, in ring 3 and around `swapgs` in
    /// the other register.
    pub(super) fn per_cpu_base(&mut self) -> Option<Addr> {
        if self.target.is_running() {
            return self.only_cpu();
        }
        let registers = self.registers().ok()?;
        ["gs_base", "k_gs_base"]
            .iter()
            .filter_map(|name| registers.get(name).map(Addr))
            .find(|base| base.in_kernel_half())
    }

    pub(super) fn global(&mut self, name: &str, kind: Kind, at: Addr, size: u64) -> Value {
        if kind.is_code() {
            let mut value = Value::of(at.0, Type::Function);
            value.at = Some(at);
            return value;
        }
        if let Some(value) = self.typed_global(name, at) {
            return value;
        }
        // No type is known: by its size it may be a number.
        let type_ = match size {
            1 => Type::named("unsigned char"),
            2 => Type::named("unsigned short"),
            4 => Type::named("unsigned int"),
            8 => Type::unsigned_long(),
            _ => Type::Other(format!("{} of data", counted(size, "byte"))),
        };
        self.load(at, type_)
    }

    /// A value in memory; without its bits where no basic type holds it or nothing can be read.
    pub(super) fn load(&mut self, at: Addr, type_: Type) -> Value {
        let mut bytes = [0; 8];
        let len = usize::from(type_.size().unwrap_or(0));
        let readable = len > 0 && self.target.read(at, &mut bytes[..len]).is_ok();
        let bits = readable.then(|| type_.extend(u64::from_le_bytes(bytes)));
        let mut value = Value::unknown(type_);
        (value.bits, value.at) = (bits, Some(at));
        value
    }
}
