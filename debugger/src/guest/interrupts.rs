//! How often what has interrupted which CPU.

use super::path::read_text;
use super::{GuestError, Struct, address_of, containers, read_field, read_word};
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
    match soft(symbols, cpus, memory) {
        Ok(counted) => found.extend(counted),
        // A kernel may keep no statistics of these.
        Err(GuestError::NoSymbol { .. } | GuestError::NoField { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// A number of so many bytes that each CPU keeps in its own area.
fn on_each(
    cpus: &[AddrRange],
    what: &str,
    (offset, size): (u64, u64),
    memory: &mut Memory<'_>,
) -> Result<Vec<u64>, GuestError> {
    let unused = 64 - size.clamp(1, 8) * 8;
    let mut counts = Vec::new();
    for cpu in cpus {
        let word = read_word(what, cpu.start.wrapping_add(offset), memory)?;
        counts.push(word << unused >> unused);
    }
    Ok(counts)
}

fn of_devices(
    symbols: &Symbols,
    cpus: &[AddrRange],
    memory: &mut Memory<'_>,
) -> Result<Vec<Counter>, GuestError> {
    // A maple tree of another name from 6.5.
    let descriptors = match symbols.address_of("irq_desc_tree") {
        Some(tree) => containers::xarray(symbols, tree, memory)?,
        None => containers::maple(symbols, address_of(symbols, "sparse_irqs")?, memory)?,
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
        let by_cpu = on_each(cpus, "kstat_irqs", (counts, 4), memory)?;
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
    let variable = address_of(symbols, name)?;
    let of = symbols.type_named("irq_cpustat_t");
    let members = match of.map(|of| symbols.plain_type(of).1) {
        Some(Type::Record { members, .. }) => members,
        _ => return Ok(Vec::new()),
    };
    let mut found = Vec::new();
    for member in members {
        let size = symbols.size_of(member.of);
        let counts = (1..=8).contains(&size) && !member.name.is_empty();
        if !counts || member.name.starts_with("__softirq") {
            continue;
        }
        let offset = variable.0.wrapping_add(member.offset);
        found.push(Counter {
            name: member.name,
            what: "the processor's own".to_owned(),
            by_cpu: on_each(cpus, name, (offset, size), memory)?,
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
    let counts = address_of(symbols, "kstat")?;
    let names = address_of(symbols, "softirq_to_name")?;
    let (within, all) = Struct::named(symbols, "struct kernel_stat")?.field(symbols, "softirqs")?;
    let mut found = Vec::new();
    for number in 0..(symbols.size_of(all) / 4).min(SOFT) {
        let name = Addr(read_word("softirq_to_name", names + number * 8, memory)?);
        let name = read_text("softirq_to_name", name, 16, memory)?;
        let offset = (counts + within + number * 4).0;
        found.push(Counter {
            name: format!("softirq {name}"),
            what: String::new(),
            by_cpu: on_each(cpus, "kernel_stat.softirqs", (offset, 4), memory)?,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cpu_has_its_own_count() {
        let area = |start| AddrRange::new(Addr(start), Addr(start + 0x100));
        let mut memory = |at: Addr, bytes: &mut [u8]| {
            bytes.fill(0xff);
            bytes[0] = u8::try_from(at.0 >> 12).unwrap();
            bytes[1..4].fill(0);
            at.0 < 0x3000
        };
        let cpus = [area(0x1000), area(0x2000)];
        let found = on_each(&cpus, "x", (0x10, 4), &mut memory);
        assert_eq!(found, Ok(vec![1, 2]));
        let found = on_each(&cpus, "x", (0x10, 8), &mut memory);
        assert_eq!(
            found,
            Ok(vec![0xffff_ffff_0000_0001, 0xffff_ffff_0000_0002])
        );
        assert!(on_each(&[area(0x3000)], "x", (0, 4), &mut memory).is_err());
    }
}
