//! What `$name` and `$name(…)` stand for: values printed before, and the debugger's own functions.

use super::engine::Engine;
use super::environment::RUNS;
use super::expression::{Environment, ExpressionError, Given, Type, Value};
use crate::addr::Addr;
use crate::command::OF_THE_STOP;
use crate::guest::containers;
use crate::known::Known;
use crate::symbols::Kind;

impl Engine {
    /// `$` is the last value printed, `$$` the one before, `$$3` the third before; `$3` the third
    /// of the session.
    pub(super) fn known_value(&mut self, name: &str) -> Option<Result<Value, ExpressionError>> {
        if let Some(value) = self.of_the_stop(name) {
            return Some(value);
        }
        let before = match name.strip_prefix('$') {
            Some("") => Some(1),
            Some(count) => Some(count.parse().ok()?),
            None if name.is_empty() => Some(0),
            None => None,
        };
        let count = self.history.len();
        let at = match before {
            Some(before) => count.checked_sub(1_usize.saturating_add(before)),
            None => name.parse::<usize>().ok()?.checked_sub(1),
        };
        let value = at.and_then(|at| self.history.get(at)).cloned();
        Some(value.ok_or_else(|| ExpressionError::NoHistory {
            name: name.to_owned(),
            count,
        }))
    }

    pub(super) fn call_function(
        &mut self,
        name: &str,
        arguments: &[Given],
    ) -> Result<Value, ExpressionError> {
        match (name, arguments) {
            ("container_of", [Given::Value(pointer), Given::Type(of), Given::Path(member)]) => {
                let offset = self.offset_of(of, member)?;
                let start = pointer.bits.unwrap_or(0).wrapping_sub(offset);
                Ok(Value::of(start, of.clone().pointer()))
            }
            ("percpu", [Given::Path(variable), Given::Value(cpu)]) => {
                self.per_cpu_value(variable, cpu.bits.unwrap_or(0))
            }
            (
                "list" | "hlist" | "rbtree",
                [Given::Value(head), Given::Type(of), Given::Path(member)],
            ) => self.entries(name, head, of, member),
            ("xarray" | "maple", [Given::Value(tree), Given::Type(of)]) => {
                self.indexed(name, tree, of)
            }
            _ => Err(ExpressionError::NoFunction {
                name: name.to_owned(),
                known: Vec::new(),
            }),
        }
    }

    /// The structures that a container chains together.
    fn entries(
        &mut self,
        name: &str,
        head: &Value,
        of: &Type,
        member: &str,
    ) -> Result<Value, ExpressionError> {
        let offset = self.offset_of(of, member)?;
        let nowhere = || ExpressionError::NoAddress(head.type_.to_string());
        let at = head.bits.map(Addr).or(head.at).ok_or_else(nowhere)?;
        let links = self.reading(|symbols, memory| match name {
            "list" => containers::list(symbols, at, memory),
            "hlist" => containers::hlist(symbols, at, memory),
            _ => containers::rbtree(symbols, at, memory),
        });
        let failed = |found: String| ExpressionError::Sequence {
            what: format!("${name} at {:#x}", at.0),
            found,
        };
        let links = links
            .ok_or_else(|| failed("no vmlinux was given".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        let entry = |link: &Addr| Value::of(link.wrapping_sub(offset).0, of.clone().pointer());
        Ok(Value::sequence(links.iter().map(entry).collect()))
    }

    /// What a tree of indices points to.
    fn indexed(&mut self, name: &str, tree: &Value, of: &Type) -> Result<Value, ExpressionError> {
        let nowhere = || ExpressionError::NoAddress(tree.type_.to_string());
        let at = tree.bits.map(Addr).or(tree.at).ok_or_else(nowhere)?;
        let found = self.reading(|symbols, memory| match name {
            "xarray" => containers::xarray(symbols, at, memory),
            _ => containers::maple(symbols, at, memory),
        });
        let failed = |found: String| ExpressionError::Sequence {
            what: format!("${name} at {:#x}", at.0),
            found,
        };
        let found = found
            .ok_or_else(|| failed("no vmlinux was given".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        let entry = |&(bits, number): &(u64, bool)| match number {
            true => Value::of(bits, Type::unsigned_long()),
            false => Value::of(bits, of.clone().pointer()),
        };
        Ok(Value::sequence(found.iter().map(entry).collect()))
    }

    /// What the debugger itself knows of the stop: `$_cpu`, `$_task`, `$_crossing`, `$_kind`,
    /// `$_insns`, `$_result`.
    fn of_the_stop(&mut self, name: &str) -> Option<Result<Value, ExpressionError>> {
        if !OF_THE_STOP.contains(&name) {
            return None;
        }
        if self.target.is_file() {
            return Some(Err(ExpressionError::NoMachine(name.to_owned())));
        }
        // At the boundary itself no stack need be followed for it.
        if matches!(name, "_crossing" | "_kind")
            && let Ok(Some(passage)) = self.passage()
        {
            return Some(Ok(Value::text(match name {
                "_kind" => passage.kind.name(),
                _ => &passage.call,
            })));
        }
        if name == "_insns"
            && let Some(count) = self.stepped_since()
        {
            return Some(Ok(Value::of(count, Type::unsigned_long())));
        }
        let unknown = |why: String| ExpressionError::NotKnown {
            name: name.to_owned(),
            why,
        };
        if self.target.is_running() {
            return Some(Err(unknown(RUNS.to_owned())));
        }
        Some(match name {
            "_cpu" => Ok(Value::of(u64::from(self.vcpu.0), Type::int())),
            "_task" => self
                .running_task()
                .map_err(|trouble| unknown(trouble.to_string()))
                .map(|task| Value::of(task.addr.0, Type::named("struct task_struct").pointer())),
            "_result" => self
                .crossing_result()
                .map(|bits| Value::of(bits, Type::named("long")))
                .map_err(unknown),
            _ => self
                .why()
                .map_err(|trouble| unknown(trouble.to_string()))
                .and_then(|why| {
                    let text = match name {
                        "_crossing" => why.call,
                        "_kind" => why.kind.map(|kind| kind.to_string()),
                        _ => {
                            return match why.since {
                                Known::Yes(count) => Ok(Value::of(count.0, Type::unsigned_long())),
                                Known::No(reason) => Err(unknown(reason)),
                                Known::Asked => Err(unknown("not asked yet".to_owned())),
                            };
                        }
                    };
                    match text {
                        Known::Yes(text) => Ok(Value::text(&text)),
                        // In the application there is none, which a condition may ask for.
                        Known::No(_) | Known::Asked => Ok(Value::text("")),
                    }
                }),
        })
    }

    /// A per-CPU variable as one CPU has it, by the kernel's own table of their areas.
    fn per_cpu_value(&mut self, name: &str, cpu: u64) -> Result<Value, ExpressionError> {
        let missing = |what: &str| ExpressionError::NoName(format!("{name} ({what})"));
        let symbols = self
            .symbols
            .as_ref()
            .ok_or_else(|| missing("no vmlinux was given"))?;
        let variable = symbols
            .lookup(name)
            .into_iter()
            .find(|symbol| symbol.kind == Kind::PerCpu)
            .map(|symbol| (symbol.addr, symbol.size));
        let table = symbols.address_of("__per_cpu_offset");
        let (offset, size) =
            variable.ok_or_else(|| missing("no per-CPU variable has this name"))?;
        let table = table.ok_or_else(|| missing("the kernel has no table of its CPUs' areas"))?;
        let cpus = u64::from(self.info.vcpus);
        if cpu >= cpus.max(1) {
            return Err(missing(&format!(
                "there is no CPU {cpu}: the machine has {cpus}"
            )));
        }
        let mut bytes = [0; 8];
        Environment::read(self, table + cpu * 8, &mut bytes)?;
        let base = Addr(u64::from_le_bytes(bytes));
        if !base.in_kernel_half() {
            return Err(missing("the CPUs' areas are not set up yet"));
        }
        let at = base.wrapping_add(offset.0);
        if let Some(value) = self.typed_global_of(name, at, Some(base)) {
            return Ok(value);
        }
        Ok(self.global(name, Kind::Data, at, size))
    }
}
