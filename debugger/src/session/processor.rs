//! `info idt`, `info gdt`, `info interrupts` and `info percpu`: the processors' tables and what each has of
//! its own.

use super::control_state::{preempt_words, section, table};
use super::engine::Engine;
use super::environment::RUNS;
use super::trouble::Trouble;
use crate::addr::{Addr, AddrRange};
use crate::event::{
    CounterInfo, CpuInterrupts, CpuValue, GateInfo, InterruptInfo, PerCpuInfo, SegmentInfo, Vcpu,
};
use crate::guest::descriptors::{self, GateKind, SegmentKind};
use crate::guest::{self, GIVE_VMLINUX, GuestError, Stacks};
use crate::known::Known;
use crate::symbols::unwind::RegisterSet;

/// Bytes of a 64-bit task state segment up to its I/O map.
const TASK_STATE: usize = 104;

/// arch/x86/include/asm/segment.h, for 64 bits.
const NAMES: [(u16, &str); 8] = [
    (0x08, "__KERNEL32_CS"),
    (0x10, "__KERNEL_CS"),
    (0x18, "__KERNEL_DS"),
    (0x20, "__USER32_CS"),
    (0x28, "__USER_DS"),
    (0x30, "__USER_CS"),
    (0x40, "GDT_ENTRY_TSS"),
    (0x78, "__CPUNODE_SEG"),
];

impl Engine {
    /// A descriptor table of the CPU that stopped: QEMU's monitor tells where it lies.
    pub(super) fn descriptor_table(&mut self, key: &str) -> Result<Vec<u8>, Trouble> {
        let tried = format!("reading the {key}");
        let text = self.target.monitor("info registers -a")?;
        let Some((base, limit)) = table(section(&text, self.vcpu.0), key) else {
            return Err(Trouble::new(
                tried,
                "QEMU's monitor does not tell where it lies",
                "attach to a stub of QEMU",
            ));
        };
        let len = usize::try_from(limit.min(0xffff) + 1).unwrap_or(0);
        let mut bytes = vec![0; len];
        self.target.read(Addr(base), &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn gates(&mut self) -> Result<Vec<GateInfo>, Trouble> {
        let table = self.descriptor_table("IDT")?;
        let entries = table.chunks_exact(descriptors::GATE).enumerate();
        let gates = entries.filter_map(|(vector, bytes)| Some((vector, descriptors::gate(bytes)?)));
        Ok(gates
            .map(|(vector, gate)| GateInfo {
                vector: u32::try_from(vector).unwrap_or(u32::MAX),
                exception: descriptors::exception(vector),
                kind: match gate.kind {
                    GateKind::Interrupt => "interrupt gate".to_owned(),
                    GateKind::Trap => "trap gate".to_owned(),
                    GateKind::Odd(kind) => format!("type {kind:#x}"),
                },
                selector: gate.selector,
                ist: gate.stack,
                dpl: gate.ring,
                handler: self.place(gate.handler),
            })
            .collect())
    }

    pub(super) fn segments(&mut self) -> Result<Vec<SegmentInfo>, Trouble> {
        let table = self.descriptor_table("GDT")?;
        let mut list = Vec::new();
        for segment in descriptors::segments(&table) {
            let mut stacks = Vec::new();
            let kind = match segment.kind {
                SegmentKind::Code { bits } => format!("{bits}-bit code"),
                SegmentKind::Data { writable: true } => "data, writable".to_owned(),
                SegmentKind::Data { writable: false } => "data".to_owned(),
                SegmentKind::TaskState { busy } => {
                    stacks = self.stacks_of(segment.base);
                    let busy = if busy { ", busy" } else { "" };
                    format!("task state{busy}")
                }
                SegmentKind::LocalTable => "local table".to_owned(),
                SegmentKind::Odd(kind) => format!("type {kind:#x}"),
            };
            let name = NAMES
                .iter()
                .find(|(selector, _)| *selector == segment.selector);
            list.push(SegmentInfo {
                selector: segment.selector,
                kind,
                name: name.map_or("", |(_, name)| name),
                base: segment.base,
                limit: segment.limit,
                dpl: segment.ring,
                stacks,
            });
        }
        Ok(list)
    }

    /// `IST 1: 0xfffffe0000009000, double fault stack`
    fn stacks_of(&mut self, state: Addr) -> Vec<String> {
        let mut bytes = [0; TASK_STATE];
        if let Err(error) = self.target.read(state, &mut bytes) {
            return vec![error.to_string()];
        }
        let mut set = RegisterSet::from_names(|_| None);
        set.gs_base = self.per_cpu_base().map(|base| base.0);
        let known = self.reading(|symbols, memory| Stacks::of(symbols, &set, None, memory));
        let mut lines = Vec::new();
        for (i, stack) in descriptors::stacks(&bytes).iter().enumerate() {
            if stack.0 == 0 {
                continue;
            }
            let of = match i {
                0 => "ring 0".to_owned(),
                i => format!("IST {i}"),
            };
            let what = known.as_ref().map(|known| known.at(*stack).to_string());
            let what = what.unwrap_or_else(|| "unknown without a vmlinux".to_owned());
            lines.push(format!("{of}: {stack:?}, {what}"));
        }
        lines
    }

    pub(super) fn interrupts(&mut self) -> Result<InterruptInfo, Trouble> {
        let tried = "counting interrupts";
        let areas = self.each_cpu(tried)?;
        let counters = self.reading(|symbols, memory| guest::counters(symbols, &areas, memory));
        let counters = counters.unwrap_or_else(|| Ok(Vec::new()));
        let counters = counters.map_err(|error| failed(tried, &error))?;
        let mut cpus = Vec::new();
        for (cpu, area) in (0..).zip(&areas) {
            let count =
                self.reading(|symbols, memory| guest::preempt_count(symbols, area.start, memory));
            let depth = match count {
                Some(count) => Known::from(count).map(preempt_words),
                None => Known::no("no vmlinux was given"),
            };
            let enabled = if self.target.is_running() {
                Known::no(RUNS)
            } else {
                let registers = self.target.registers(Vcpu(cpu));
                Known::from(registers).map(|registers| {
                    registers
                        .get("eflags")
                        .is_some_and(|flags| flags >> 9 & 1 == 1)
                })
            };
            cpus.push(CpuInterrupts {
                cpu,
                enabled,
                depth,
            });
        }
        Ok(InterruptInfo {
            cpus,
            counters: counters
                .into_iter()
                .map(|one| CounterInfo {
                    name: one.name,
                    what: one.what,
                    by_cpu: one.by_cpu,
                })
                .collect(),
        })
    }

    fn each_cpu(&mut self, tried: &str) -> Result<Vec<AddrRange>, Trouble> {
        let cpus = self.info.vcpus;
        let areas = self.reading(|symbols, memory| guest::cpu_areas(symbols, cpus, memory));
        match areas {
            Some(areas) => areas.map_err(|error| failed(tried, &error)),
            None => Err(Trouble::new(
                tried,
                "no vmlinux was given, so the CPUs' own areas are not known",
                GIVE_VMLINUX,
            )),
        }
    }

    /// `info percpu VARIABLE`, or a member of one.
    pub(super) fn on_each_cpu(&mut self, variable: &str) -> Result<PerCpuInfo, Trouble> {
        let tried = format!("reading {variable} on each CPU");
        let areas = self.each_cpu(&tried)?;
        let end = variable.find(['.', '[', '-']).unwrap_or(variable.len());
        let (name, rest) = variable.split_at(end);
        let mut type_name = None;
        let mut values = Vec::new();
        let mut first = None;
        for cpu in (0..).zip(&areas).map(|(cpu, _)| cpu) {
            let found = self
                .evaluate(&format!("$percpu({name}, {cpu}){rest}"))
                .and_then(|value| Ok((self.shown(&value, None)?, value)));
            values.push(match found {
                Ok((text, value)) => {
                    type_name.get_or_insert_with(|| value.type_.to_string());
                    CpuValue {
                        cpu,
                        addr: value.at,
                        value: Known::Yes(text),
                    }
                }
                Err(trouble) => {
                    let why = trouble.to_string();
                    first.get_or_insert(trouble);
                    CpuValue {
                        cpu,
                        addr: None,
                        value: Known::No(why),
                    }
                }
            });
        }
        match first {
            // On none of them: the question is what is wrong.
            Some(trouble) if type_name.is_none() => Err(trouble),
            _ => Ok(PerCpuInfo {
                variable: variable.to_owned(),
                type_name,
                values,
            }),
        }
    }
}

fn failed(tried: &str, error: &GuestError) -> Trouble {
    Trouble::new(tried, error.to_string(), error.next())
}
