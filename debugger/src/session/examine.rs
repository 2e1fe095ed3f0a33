//! Registers, values and memory, as gdb prints them.

use super::engine::Engine;
use super::expression::{self, Type, digits, letter, print};
use super::target::TargetError;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::command::{Format, Syntax};
use crate::event::{Answer, DisassemblyLine, MemoryDump, Register, Value};
use crate::gdb::registers::display;
use crate::guest::Stack;
use crate::symbols::types::Type as Plain;
use crate::symbols::unwind::Reg;

/// Bits of eflags and their names (Intel SDM vol. 1, 3.4.3).
const FLAGS: [(u32, &str); 15] = [
    (0, "CF"),
    (2, "PF"),
    (4, "AF"),
    (6, "ZF"),
    (7, "SF"),
    (8, "TF"),
    (9, "IF"),
    (10, "DF"),
    (11, "OF"),
    (14, "NT"),
    (16, "RF"),
    (17, "VM"),
    (18, "AC"),
    (19, "VIF"),
    (21, "ID"),
];

/// Bits of cr0 that a reader looks for: protection, write protection, paging.
const CR0: [(u32, &str); 3] = [(0, "PE"), (16, "WP"), (31, "PG")];
const CR4: [(u32, &str); 7] = [
    (5, "PAE"),
    (7, "PGE"),
    (12, "LA57"),
    (16, "FSGSBASE"),
    (17, "PCIDE"),
    (20, "SMEP"),
    (21, "SMAP"),
];
const EFER: [(u32, &str); 4] = [(0, "SCE"), (8, "LME"), (10, "LMA"), (11, "NXE")];

impl Engine {
    /// `info registers`
    pub(super) fn all_registers(&mut self) -> Result<Vec<Register>, Trouble> {
        let registers = self.registers()?;
        // Outside the innermost frame: what its callees have saved of them.
        let saved = match self.frame {
            0 => None,
            _ => Some(self.selected_registers()?),
        };
        let rows: Vec<(String, u32, Option<Vec<u8>>)> = registers
            .iter()
            .map(|(register, bytes)| (register.name.clone(), register.bits, bytes))
            .collect();
        let mut list = Vec::with_capacity(rows.len());
        for (name, bits, bytes) in rows {
            if let Some(set) = &saved
                && let Some(number) = Reg::named(&name)
            {
                let value = set.get(number);
                list.push(Register {
                    note: value.and_then(|value| self.note(&name, value)),
                    value: value.map_or_else(
                        || "<not saved>".to_owned(),
                        |value| format!("0x{value:016x}"),
                    ),
                    name,
                    bits,
                    changed: false,
                });
                continue;
            }
            let before = self.register_before(&name);
            let changed =
                before.is_some_and(|before| bytes.as_ref().is_some_and(|now| *now != before));
            let number = registers.get(&name);
            list.push(Register {
                note: number.and_then(|number| self.note(&name, number)),
                value: bytes.map_or_else(|| "<unavailable>".to_owned(), |bytes| display(&bytes)),
                name,
                bits,
                changed,
            });
        }
        Ok(list)
    }

    fn note(&mut self, name: &str, bits: u64) -> Option<String> {
        match name {
            "eflags" => Some(set_bits(bits, &FLAGS)),
            "cr0" => Some(set_bits(bits, &CR0)),
            "cr4" => Some(set_bits(bits, &CR4)),
            "efer" => Some(set_bits(bits, &EFER)),
            "cs" => Some(format!("ring {}", bits & 3)),
            "rsp" => Some(self.stack(bits)),
            "cr2" | "cr3" | "cr8" | "ss" | "ds" | "es" | "fs" | "gs" => None,
            _ if bits < 0x1000 => None,
            _ => self.near(Addr(bits)).or_else(|| self.told(Addr(bits))),
        }
    }

    /// Which stack a stack pointer is on.
    pub(super) fn stack(&mut self, sp: u64) -> String {
        match self.stacks() {
            Some(stacks) => stacks.at(Addr(sp)).to_string(),
            None if Addr(sp).in_kernel_half() => "a stack of the kernel".to_owned(),
            None => Stack::Application.to_string(),
        }
    }

    /// The top of the current task's stack in the kernel.
    pub(super) fn task_stack(&mut self) -> Option<Addr> {
        let offset = self
            .symbols
            .as_ref()?
            .lookup("cpu_current_top_of_stack")
            .first()?
            .addr;
        let base = self.per_cpu_base()?;
        self.word(base + offset.0).ok().map(Addr)
    }

    /// `print`, with gdb's letter or without.
    pub(super) fn print(&mut self, format: Option<char>, text: &str) -> Result<Value, Trouble> {
        // A register too wide to calculate with is shown whole.
        if let Some(name) = text.trim().strip_prefix('$')
            && let Some(shown) = self.wide_register(name)?
        {
            return Ok(Value {
                expression: text.to_owned(),
                text: shown,
                bits: None,
                type_name: None,
            });
        }
        let value = self.evaluate(text)?;
        let shown = self.shown(&value, format)?;
        self.history.push(value.clone());
        Ok(Value {
            expression: text.to_owned(),
            text: shown,
            bits: value.bits,
            type_name: Some(value.type_.to_string()),
        })
    }

    /// A value as `print/LETTER` shows it.
    pub(super) fn shown(
        &mut self,
        value: &expression::Value,
        format: Option<char>,
    ) -> Result<String, Trouble> {
        if let (Some('i'), Some(at)) = (format, value.bits.or(value.at.map(|at| at.0))) {
            let lines = self.disassemble_at(Addr(at), 1, Syntax::Intel)?;
            let text = |line: &DisassemblyLine| format!("{} {}", line.mnemonic, line.operands);
            let text = lines.first().map(text).unwrap_or_default();
            let near = self.near(Addr(at)).unwrap_or_default();
            return Ok(format!("{at:#x} {near}: {}", text.trim_end()));
        }
        // What has parts is shown with each of them in this format.
        let letters = format.filter(|letter| !matches!(letter, 's' | 'a'));
        if let (Some(letter), Some(typed)) = (letters, &value.typed) {
            let leaf = |bits, size| digits(bits, size, letter);
            let parts = self.reading(|symbols, memory| {
                let has_parts = matches!(
                    symbols.plain_type(typed.of).1,
                    Plain::Record { .. } | Plain::Array { .. }
                );
                has_parts.then(|| symbols.value_text_by(typed, memory, &leaf))
            });
            if let Some(Some(Ok(text))) = parts {
                return Ok(text);
            }
        }
        if let (Some(_), Some(items)) = (format, &value.items) {
            let mut lines = vec![format!("{} in all", items.len())];
            for (i, item) in items.iter().enumerate() {
                lines.push(format!("  [{i}] = {}", self.shown(item, format)?));
            }
            return Ok(lines.join("\n"));
        }
        Ok(match (format, value.bits) {
            (Some('s'), Some(bits)) if matches!(value.type_, Type::Pointer(_)) => {
                letter(bits, 8, 's', self)
            }
            (None | Some('s'), _) | (_, None) => print(value, self),
            (Some(format), Some(bits)) => {
                letter(bits, value.type_.size().unwrap_or(8), format, self)
            }
        })
    }

    fn wide_register(&mut self, name: &str) -> Result<Option<String>, Trouble> {
        let registers = self.registers()?;
        let bytes = registers
            .iter()
            .find(|(register, _)| register.name == name && register.bits > 64)
            .and_then(|(_, bytes)| bytes);
        Ok(bytes.map(|bytes| display(&bytes)))
    }

    /// `x/FMT`
    pub(super) fn examine(&mut self, format: Format, text: &str) -> Result<Answer, Trouble> {
        let at = self.address(text)?;
        match format.letter {
            'i' => {
                let lines = self.disassemble_at(at, format.count, Syntax::Intel)?;
                Ok(Answer::Disassembly(lines))
            }
            's' => self.strings(at, format).map(Answer::Memory),
            _ => self.numbers(at, format).map(Answer::Memory),
        }
    }

    fn strings(&mut self, at: Addr, format: Format) -> Result<MemoryDump, Trouble> {
        let mut lines = Vec::new();
        let mut bytes = Vec::new();
        let mut next = at;
        for _ in 0..format.count {
            // Reads at least one byte, so that an unmapped address is an error and no empty text.
            self.target.read(next, &mut [0])?;
            let near = self
                .near(next)
                .map_or_else(String::new, |near| format!(" {near}"));
            let text = expression::string(next, self).unwrap_or_default();
            lines.push(format!("{:#x}{near}:\t{text}", next.0));
            let start = next;
            let mut byte = [0];
            while self.target.read(next, &mut byte).is_ok() && next - start < 200 {
                bytes.push(byte[0]);
                next = next + 1;
                if byte[0] == 0 {
                    break;
                }
            }
        }
        Ok(MemoryDump {
            addr: at,
            unit: 1,
            format: 's',
            changed: self.changed_bytes(at, &bytes),
            bytes,
            lines,
        })
    }

    /// Reads them all; of a past stop those that are kept with it, and says where they end.
    fn read_kept(
        &mut self,
        at: Addr,
        bytes: &mut Vec<u8>,
        unit: usize,
    ) -> Result<Option<String>, Trouble> {
        match self.target.read(at, bytes) {
            Ok(()) => Ok(None),
            Err(TargetError::NotKept { addr, stop }) if addr - at >= unit as u64 => {
                let good = usize::try_from(addr - at).unwrap_or(0);
                bytes.truncate(good - good % unit);
                self.target.read(at, bytes)?;
                Ok(Some(format!(
                    "{:#x}: not kept with stop {stop}, for nobody looked at it then",
                    addr.0
                )))
            }
            Err(other) => Err(other.into()),
        }
    }

    fn numbers(&mut self, at: Addr, format: Format) -> Result<MemoryDump, Trouble> {
        let unit = usize::from(format.unit);
        let count = usize::try_from(format.count).unwrap_or(1);
        let mut bytes = vec![0; unit * count];
        let cut = self.read_kept(at, &mut bytes, unit)?;
        let per_line = per_line(format);
        let mut lines = Vec::new();
        for (i, row) in bytes.chunks(unit * per_line).enumerate() {
            let start = at + (i * unit * per_line) as u64;
            let near = self
                .near(start)
                .or_else(|| self.told(start))
                .map_or_else(String::new, |near| format!(" {near}"));
            let mut line = format!("{:#x}{near}:", start.0);
            for piece in row.chunks(unit) {
                let mut word = [0; 8];
                word[..piece.len()].copy_from_slice(piece);
                // `x` pads with zeros, `print` does not.
                let shown = match format.letter {
                    'x' => 'z',
                    other => other,
                };
                line.push('\t');
                line.push_str(&letter(u64::from_le_bytes(word), format.unit, shown, self));
            }
            lines.push(line);
        }
        lines.extend(cut);
        Ok(MemoryDump {
            addr: at,
            unit: format.unit,
            format: format.letter,
            changed: self.changed_bytes(at, &bytes),
            bytes,
            lines,
        })
    }
}

/// As many as gdb puts on a line.
fn per_line(format: Format) -> usize {
    match (format.letter, format.unit) {
        ('a', _) => 2,
        ('c', _) => 8,
        ('t', 1) => 8,
        ('t', 2) => 8,
        ('t', 4) => 4,
        ('t', _) => 2,
        (_, 1 | 2) => 8,
        (_, 4) => 4,
        _ => 2,
    }
}

fn set_bits(bits: u64, names: &[(u32, &str)]) -> String {
    let set: Vec<&str> = names
        .iter()
        .filter(|(bit, _)| bits >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    format!("[ {} ]", set.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_as_gdb_names_them() {
        assert_eq!(set_bits(0x246, &FLAGS), "[ PF ZF IF ]");
        assert_eq!(set_bits(0x8001_0001, &CR0), "[ PE WP PG ]");
    }
}
