//! What holds at every state of a run: the kernel's code and constants, and what describes the machine.

use crate::addr::{Addr, AddrRange};
use crate::session::slide;
use crate::session::target::{Target, TargetError};
use crate::symbols::{Contents, Symbols};
use crate::trace::recording::{Machine, PIECE};

/// Bytes of one look at the kernel's code.
const LOOK: u64 = 0x400;
/// Of the interrupt descriptor table.
const TABLE: usize = 4096;

/// What holds at every state: the kernel's code and constants, of which only those pieces are kept that
/// are not as vmlinux has them.
pub(super) fn machine(target: &mut Target, symbols: &Symbols) -> Result<Machine, TargetError> {
    let told = target.monitor("info registers").unwrap_or_default();
    let is_table = |line: &&str| {
        ["LDT=", "TR =", "GDT=", "IDT="]
            .iter()
            .any(|key| line.starts_with(key))
    };
    let tables: String = told
        .lines()
        .filter(is_table)
        .map(|line| format!("{line}\n"))
        .collect();
    let mut machine = Machine {
        documents: (**target.own_account()).clone(),
        said: [("info registers".to_owned(), tables)].into(),
        ..Machine::default()
    };
    let table = slide::interrupt_table(target);
    // The monitor's answers have let them go; they tell the page tables that shared memory is read through.
    target.registers(target.last_stop().vcpu)?;
    if let Some(table) = table {
        let mut bytes = [0; TABLE];
        if target.read(table, &mut bytes).is_ok() {
            machine.memory.put(table.0, &bytes);
        }
    }
    let contents = symbols.contents();
    for range in constant(symbols) {
        compare(target, &contents, range, &mut machine)?;
    }
    Ok(machine)
}

/// Code and constants, which hardly change once the kernel is up.
fn constant(symbols: &Symbols) -> Vec<AddrRange> {
    let between = |from, to| {
        let (from, to) = (symbols.address_of(from)?, symbols.address_of(to)?);
        Some(AddrRange::new(from, to))
    };
    let kernel = [
        between("_stext", "_etext"),
        between("__start_rodata", "__end_rodata"),
    ];
    let mut ranges: Vec<AddrRange> = kernel.into_iter().flatten().collect();
    ranges.extend(symbols.boundary().app_text.iter());
    ranges
}

fn compare(
    target: &mut Target,
    contents: &Contents,
    range: AddrRange,
    machine: &mut Machine,
) -> Result<(), TargetError> {
    let first = range.start.0.next_multiple_of(LOOK);
    let places: Vec<Addr> = (first..range.end.0.saturating_sub(LOOK))
        .step_by(usize::try_from(LOOK).unwrap_or(1))
        .map(Addr)
        .collect();
    let len = usize::try_from(LOOK).unwrap_or(0);
    let read = target.probe(&places, len)?;
    for (start, bytes) in places.iter().zip(read) {
        let Some(bytes) = bytes else {
            continue;
        };
        match machine.of_file.last_mut() {
            Some((from, known)) if *from + *known == start.0 => *known += LOOK,
            _ => machine.of_file.push((start.0, LOOK)),
        }
        let pieces = bytes.chunks_exact(usize::try_from(PIECE).unwrap_or(1));
        for (at, piece) in (0..).map(|i| start.0 + i * PIECE).zip(pieces) {
            let mut same = vec![0; piece.len()];
            if !contents.read(Addr(at), &mut same) || same != piece {
                machine.memory.put(at, piece);
            }
        }
    }
    Ok(())
}
