//! What is told of the processor's own tables, of interrupts, and of each CPU's own variables.

use serde::Serialize;

use super::Place;
use crate::addr::Addr;
use crate::known::Known;

/// An entry of the interrupt descriptor table that is present.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GateInfo {
    pub vector: u32,
    /// `page fault`; empty for an interrupt that is no exception.
    pub exception: &'static str,
    /// `interrupt gate`: enters with interrupts held back; `trap gate`.
    pub kind: String,
    pub selector: u16,
    /// The stack of the interrupt stack table that it changes to, from 1; 0 for none.
    pub ist: u8,
    /// The least privileged ring that may ask for it by an instruction.
    pub dpl: u8,
    #[serde(flatten)]
    pub handler: Place,
}

/// An entry of the global descriptor table that is present.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentInfo {
    pub selector: u16,
    /// `64-bit code`, `data, writable`, `task state, busy`.
    pub kind: String,
    /// What Linux has it for: `__KERNEL_CS`.
    pub name: &'static str,
    pub base: Addr,
    pub limit: u64,
    pub dpl: u8,
    /// Of a task state segment: the stacks in it, and what they are.
    pub stacks: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InterruptInfo {
    pub cpus: Vec<CpuInterrupts>,
    pub counters: Vec<CounterInfo>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CpuInterrupts {
    pub cpu: u32,
    /// Its interrupt flag.
    pub enabled: Known<bool>,
    /// The preempt count in words: `hard interrupts 1`.
    pub depth: Known<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CounterInfo {
    /// `IRQ 4`, `apic_timer_irqs`, `softirq TIMER`.
    pub name: String,
    /// `ttyS0, IO-APIC`
    pub what: String,
    /// Counted from CPU 0.
    pub by_cpu: Vec<u64>,
}

/// A per-CPU variable as each CPU has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PerCpuInfo {
    pub variable: String,
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    pub values: Vec<CpuValue>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CpuValue {
    pub cpu: u32,
    pub addr: Option<Addr>,
    pub value: Known<String>,
}
