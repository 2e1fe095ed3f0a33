//! Interrupts that come in a step, where they are not held back: recognised by the gate they came
//! through, and returned from.

use std::collections::BTreeMap;

use super::engine::Engine;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::disasm::Flow;
use crate::event::StopReason;
use crate::guest::descriptors;
use crate::known::Known;

use super::target::StepFlags;

/// Vectors below are exceptions: what the program does itself.
const FIRST_INTERRUPT: u8 = 32;
const NMI: u8 = 2;

/// How often an instruction is tried anew that an interrupt came before.
const TRIES: u32 = 64;

/// The handlers' first instructions, and their vectors.
pub(super) type Gates = BTreeMap<Addr, u8>;

impl Engine {
    /// Whether a step may end in an interrupt's handler.
    pub(super) fn interrupts_come(&self) -> bool {
        matches!(self.target.step_flags(), Known::Yes(flags) if flags.0 & StepFlags::NOIRQ == 0)
    }

    /// One step that may be interrupted: what came in between has been handled when it returns.
    pub(super) fn step_through_interrupts(&mut self) -> Result<Option<StopReason>, Trouble> {
        for _ in 0..TRIES {
            let from = self.pc()?;
            let flow = self.instruction(from)?.map(|found| found.flow);
            if let Some(reason) = self.step_alone()? {
                return Ok(Some(reason));
            }
            if flow == Some(Flow::Interrupt) || !self.in_an_interrupt()? {
                return Ok(None);
            }
            // rip, cs, rflags, rsp and ss: no external interrupt has an error code.
            let sp = Addr(self.sp()?);
            let (ip, saved_sp) = (self.word(sp)?, self.word(sp + 24)?);
            self.course.alone = true;
            let returned = self.run_to_frame(Addr(ip), Some(Addr(saved_sp)));
            self.course.alone = false;
            match returned? {
                StopReason::Arrived => self.course.interrupts += 1,
                other => return Ok(Some(other)),
            }
            if Addr(ip) != from {
                return Ok(None);
            }
        }
        Err(Trouble::new(
            "executing one instruction",
            format!("an interrupt came before it {TRIES} times in turn"),
            "'stepping interrupts off' holds them back",
        ))
    }

    fn in_an_interrupt(&mut self) -> Result<bool, Trouble> {
        let pc = self.pc()?;
        let vector = self.handlers().get(&pc);
        Ok(vector.is_some_and(|&vector| vector >= FIRST_INTERRUPT || vector == NMI))
    }

    /// Whether an interrupt's or an exception's handler begins there.
    pub(super) fn begins_handler(&mut self, at: Addr) -> bool {
        self.handlers().contains_key(&at)
    }

    /// Read anew until the kernel has set up those of interrupts.
    pub(super) fn handlers(&mut self) -> &Gates {
        let are_all = |gates: &Gates| gates.values().any(|vector| *vector >= FIRST_INTERRUPT);
        let known = self.gates.take().filter(are_all);
        let gates = known.unwrap_or_else(|| self.read_gates());
        self.gates.insert(gates)
    }

    /// None where the monitor does not tell where the table is, or it cannot be read: then the
    /// symbols' word is taken for it.
    fn read_gates(&mut self) -> Gates {
        match self.descriptor_table("IDT") {
            Ok(table) => gates(&table),
            Err(_) => self.named_gates(),
        }
    }

    fn named_gates(&self) -> Gates {
        let Some(symbols) = &self.symbols else {
            return Gates::new();
        };
        let entry = symbols.boundary().entry_text;
        symbols
            .starting_in(entry)
            .filter(|symbol| symbol.name.starts_with("asm_sysvec_"))
            .map(|symbol| (symbol.addr, FIRST_INTERRUPT))
            .collect()
    }
}

/// By their handlers: of several vectors with one the first.
fn gates(table: &[u8]) -> Gates {
    let mut gates = Gates::new();
    for (vector, bytes) in (0..=u8::MAX).zip(table.chunks_exact(descriptors::GATE)) {
        if let Some(gate) = descriptors::gate(bytes) {
            gates.entry(gate.handler).or_insert(vector);
        }
    }
    gates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_taken_apart() {
        const GATE: usize = descriptors::GATE;
        let mut table = vec![0; 3 * GATE];
        // Vector 1: ffffffff81400bd0, selector 10, present.
        table[GATE..2 * GATE].copy_from_slice(&[
            0xd0, 0x0b, 0x10, 0, 0, 0x8e, 0x40, 0x81, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
        ]);
        let found = gates(&table);
        assert_eq!(
            found,
            Gates::from([(Addr(0xffff_ffff_8140_0bd0), 1)]),
            "those that are not present are left out"
        );
        assert!(gates(&[0; 7]).is_empty());
    }
}
