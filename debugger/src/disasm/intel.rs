//! The Intel syntax by iced, with names in the place of addresses.

use iced_x86::{
    Formatter, FormatterOutput, FormatterTextKind, Instruction, IntelFormatter, NumberKind,
};

use super::{Decoded, Reference, Resolve};
use crate::addr::Addr;

pub(super) struct Writer {
    formatter: IntelFormatter,
}

struct Output<'a> {
    text: String,
    found: &'a Decoded,
    names: &'a dyn Resolve,
}

impl Writer {
    pub(super) fn new() -> Self {
        let mut formatter = IntelFormatter::new();
        let options = formatter.options_mut();
        options.set_hex_prefix("0x");
        options.set_hex_suffix("");
        options.set_uppercase_hex(false);
        options.set_branch_leading_zeros(false);
        options.set_show_branch_size(false);
        Self { formatter }
    }

    pub(super) fn write(&mut self, found: &Decoded, names: &dyn Resolve) -> (String, String) {
        // Without a base register a displacement is an address: written as one, not as a distance.
        let based = found.instruction.memory_base() != iced_x86::Register::None;
        let options = self.formatter.options_mut();
        options.set_signed_memory_displacements(based);
        let mut mnemonic = String::new();
        self.formatter
            .format_mnemonic(&found.instruction, &mut mnemonic);
        let mut output = Output {
            text: String::new(),
            found,
            names,
        };
        self.formatter
            .format_all_operands(&found.instruction, &mut output);
        (mnemonic, output.text)
    }
}

impl FormatterOutput for Output<'_> {
    fn write(&mut self, text: &str, _: FormatterTextKind) {
        self.text.push_str(text);
    }

    fn write_number(
        &mut self,
        _: &Instruction,
        _: u32,
        _: Option<u32>,
        text: &str,
        value: u64,
        _: NumberKind,
        _: FormatterTextKind,
    ) {
        let addr = Addr(value);
        let reference = match self.found.per_cpu {
            Some(offset) if offset == value => Some(Reference::PerCpu(offset)),
            // A small number is seldom an address; a branch's always is.
            _ if addr.in_kernel_half()
                || self.found.target == Some(addr)
                || self.found.memory == Some(addr) =>
            {
                Some(Reference::Address(addr))
            }
            _ => None,
        };
        match reference.and_then(|reference| self.names.resolve(reference)) {
            Some(resolved) => self.text.push_str(&resolved.text()),
            None => self.text.push_str(text),
        }
    }
}
