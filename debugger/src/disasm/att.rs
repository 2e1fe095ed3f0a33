//! The AT&T syntax by capstone, with names in the place of addresses.

use capstone::Capstone;
use capstone::arch::BuildsCapstone as _;
use capstone::arch::BuildsCapstoneSyntax as _;
use capstone::arch::x86::{ArchMode, ArchSyntax};
use iced_x86::{Formatter as _, GasFormatter};

use super::{Decoded, Reference, Resolve};
use crate::addr::Addr;

pub(super) struct Writer {
    capstone: Capstone,
}

impl Writer {
    /// `None` where capstone was built without x86.
    pub(super) fn new() -> Option<Self> {
        let capstone = Capstone::new()
            .x86()
            .mode(ArchMode::Mode64)
            .syntax(ArchSyntax::Att)
            .build()
            .ok()?;
        Some(Self { capstone })
    }

    pub(super) fn write(
        &self,
        code: &[u8],
        found: &Decoded,
        names: &dyn Resolve,
    ) -> (String, String) {
        let Some((mnemonic, operands)) = self.plain(code, found) else {
            // Newer than capstone's tables: SERIALIZE, PVALIDATE and others.
            let mut formatter = GasFormatter::new();
            let mut mnemonic = String::new();
            formatter.format_mnemonic(&found.instruction, &mut mnemonic);
            let mut operands = String::new();
            formatter.format_all_operands(&found.instruction, &mut operands);
            return (mnemonic, operands);
        };
        let operands = named_relative(&operands, found, names).unwrap_or(operands);
        (mnemonic, named(&operands, found, names))
    }

    fn plain(&self, code: &[u8], found: &Decoded) -> Option<(String, String)> {
        let list = self.capstone.disasm_count(code, found.addr.0, 1).ok()?;
        let instruction = list.iter().next()?;
        let whole = instruction.bytes().len() == found.len;
        let mnemonic = instruction.mnemonic().filter(|_| whole)?;
        Some((mnemonic.to_owned(), instruction.op_str()?.to_owned()))
    }
}

/// The displacement before `(%rip)`, in whatever base it is written, is known from decoding.
fn named_relative(operands: &str, found: &Decoded, names: &dyn Resolve) -> Option<String> {
    let end = operands.find("(%rip)")?;
    let number = |c: char| c.is_ascii_hexdigit() || c == 'x' || c == '-';
    let start = operands[..end].trim_end_matches(number).len();
    let reference = match found.per_cpu {
        Some(offset) => Reference::PerCpu(offset),
        None => Reference::Address(found.memory?),
    };
    let name = names.resolve(reference)?.text();
    Some(format!("{}{name}{}", &operands[..start], &operands[end..]))
}

/// Numbers that are addresses get names: a branch's target, a memory operand's place, constants in
/// the kernel's half.
fn named(operands: &str, found: &Decoded, names: &dyn Resolve) -> String {
    let mut text = String::with_capacity(operands.len());
    let mut rest = operands;
    while let Some(at) = rest.find("0x") {
        let digits = rest[at + 2..]
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(rest.len() - at - 2);
        let end = at + 2 + digits;
        let negative = rest[..at].ends_with('-');
        let value = u64::from_str_radix(&rest[at + 2..end], 16).unwrap_or(0);
        let value = if negative {
            value.wrapping_neg()
        } else {
            value
        };
        let before = &rest[..at - usize::from(negative)];
        let after = &rest[end..];
        let resolved = reference(value, after, found).and_then(|r| names.resolve(r));
        match resolved {
            Some(resolved) => {
                text.push_str(before);
                text.push_str(&resolved.text());
            }
            None => text.push_str(&rest[..end]),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

fn reference(value: u64, after: &str, found: &Decoded) -> Option<Reference> {
    let here = Addr(value);
    if found.per_cpu == Some(here.0) {
        return Some(Reference::PerCpu(here.0));
    }
    let known = found.target == Some(here) || found.memory == Some(here);
    // A displacement from a register is a distance, however large.
    let distance = after.starts_with("(%");
    (known || (here.in_kernel_half() && !distance)).then_some(Reference::Address(here))
}
