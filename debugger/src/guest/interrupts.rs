//! How often what has interrupted which CPU.

use super::path::read_text;
use super::{GuestError, Struct, containers, read_field, read_word};
use crate::addr::{Addr, AddrRange};
use crate::symbols::Symbols;
use crate::symbols::types::Type;
use crate::symbols::unwind::Memory;

/// A count that each CPU keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// `IRQ 4`, `apic_timer_irqs`, `softirq TIMER`.
    pub name: String,
    /// Who handles it and by what chip: `ttyS0, IO-APIC`.
    pub what: String,
    pub by_cpu: Vec<u64>,
}

/// Soft interrupts are ten; a damaged count must not lead further.
const SOFT: u64 = 16;

/// Those of the processor's own (`irq_stat`), of devices (`irq_desc`), and soft interrupts.
pub fn counters(
    symbols: &Symbols,
    cpus: &[AddrRange],
    memory: &mut Memory<'_>,
) -> Result<Vec<Counter>, GuestError> {
    let mut found = of_devices(symbols, cpus, memory)?;
    found.extend(of_the_processor(symbols, cpus, memory)?);
    // A kernel may keep no statistics of these.
    found.extend(soft(symbols, cpus, memory).unwrap_or_default());
    Ok(found)
}

fn of_devices(
    symbols: &Symbols,
    cpus: &[AddrRange],
    memory: &mut Memory<'_>,
) -> Result<Vec<Counter>, GuestError> {
    let name = "irq_desc_tree";
    // A maple tree of another name from 6.5.
    let descriptors = match symbols.address_of(name) {
        Some(tree) => containers::xarray(symbols, tree, memory)?,
        None => {
            let name = "sparse_irqs";
            let tree = symbols
                .address_of(name)
                .ok_or(GuestError::NoSymbol { name })?;
            containers::maple(symbols, tree, memory)?
        }
    };
    let of = Struct::named(symbols, "struct irq_desc")?;
    let action_of = Struct::named(symbols, "struct irqaction")?;
    let chip_of = Struct::named(symbols, "struct irq_chip")?;
    let mut found = Vec::new();
    for (descriptor, _) in descriptors {
        let at = Addr(descriptor);
        let mut number = |path: &str| read_field(symbols, of, path, at, memory);
        let (irq, counts) = (number("irq_data.irq")?, number("kstat_irqs")?);
        let (action, chip) = (Addr(number("action")?), Addr(number("irq_data.chip")?));
        let mut by_cpu = Vec::new();
        for cpu in cpus {
            let at = cpu.start.wrapping_add(counts);
            by_cpu.push(read_word("kstat_irqs", at, memory)? & 0xffff_ffff);
        }
        let mut name = |of: Struct, at: Addr| -> Option<String> {
            let name = read_field(symbols, of, "name", at, memory).ok()?;
            read_text("name", Addr(name), 32, memory).ok()
        };
        let handler = if action.0 == 0 {
            None
        } else {
            name(action_of, action)
        };
        if handler.is_none() && by_cpu.iter().all(|count| *count == 0) {
            continue;
        }
        let chip = name(chip_of, chip).unwrap_or_else(|| "?".to_owned());
        found.push(Counter {
            name: format!("IRQ {irq}"),
            what: format!("{}, {chip}", handler.as_deref().unwrap_or("nobody")),
            by_cpu,
        });
    }
    Ok(found)
}

/// Every member of `irq_cpustat_t`, under the name it has there.
fn of_the_processor(
    symbols: &Symbols,
    cpus: &[AddrRange],
    memory: &mut Memory<'_>,
) -> Result<Vec<Counter>, GuestError> {
    let name = "irq_stat";
    let variable = symbols
        .address_of(name)
        .ok_or(GuestError::NoSymbol { name })?;
    let of = symbols.type_named("irq_cpustat_t");
    let members = match of.map(|of| symbols.plain_type(of).1) {
        Some(Type::Record { members, .. }) => members,
        _ => return Ok(Vec::new()),
    };
    let mut found = Vec::new();
    for member in members {
        let size = symbols.size_of(member.of);
        if size > 8 || member.name.starts_with("__softirq") || member.name.is_empty() {
            continue;
        }
        let mut by_cpu = Vec::new();
        for cpu in cpus {
            let at = cpu
                .start
                .wrapping_add(variable.0.wrapping_add(member.offset));
            let word = read_word(name, at, memory)?;
            by_cpu.push(if size == 8 {
                word
            } else {
                word & ((1 << (size * 8)) - 1)
            });
        }
        found.push(Counter {
            name: member.name,
            what: "the processor's own".to_owned(),
            by_cpu,
        });
    }
    Ok(found)
}

/// `kstat.softirqs`, by the kernel's own names for them.
fn soft(
    symbols: &Symbols,
    cpus: &[AddrRange],
    memory: &mut Memory<'_>,
) -> Result<Vec<Counter>, GuestError> {
    let variable = "kstat";
    let at = symbols
        .address_of(variable)
        .ok_or(GuestError::NoSymbol { name: variable })?;
    let names = "softirq_to_name";
    let names = symbols
        .address_of(names)
        .ok_or(GuestError::NoSymbol { name: names })?;
    let (within, all) = Struct::named(symbols, "struct kernel_stat")?.field(symbols, "softirqs")?;
    let mut found = Vec::new();
    for number in 0..(symbols.size_of(all) / 4).min(SOFT) {
        let name = Addr(read_word("softirq_to_name", names + number * 8, memory)?);
        let mut by_cpu = Vec::new();
        for cpu in cpus {
            let at = cpu
                .start
                .wrapping_add(at.0.wrapping_add(within) + number * 4);
            by_cpu.push(read_word("kernel_stat.softirqs", at, memory)? & 0xffff_ffff);
        }
        found.push(Counter {
            name: format!(
                "softirq {}",
                read_text("softirq_to_name", name, 16, memory)?
            ),
            what: String::new(),
            by_cpu,
        });
    }
    Ok(found)
}
