//! Bytes at an address → instructions, with operands resolved to symbols.
//!
//! iced-x86 decodes and writes the Intel syntax; capstone writes AT&T, as kernel sources and objdump
//! show it, and checks iced's lengths in a test.

mod att;
mod expensive;
mod flow;
mod intel;
mod next;

use crate::addr::Addr;
use crate::origin::Origin;

pub use expensive::expensive;
pub use flow::{Decoded, Flow, decode};
pub use next::{Next, State};

/// What an operand may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    Address(Addr),
    /// An offset into the CPU's own area, through gs.
    PerCpu(u64),
}

/// Names what operands refer to.
pub trait Resolve {
    fn resolve(&self, reference: Reference) -> Option<Resolved>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub name: String,
    /// Bytes from the symbol's start.
    pub offset: u64,
    pub origin: Origin,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    #[default]
    Intel,
    Att,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub addr: Addr,
    pub bytes: Vec<u8>,
    /// `(bad)` where the bytes are no instruction.
    pub mnemonic: String,
    /// Addresses that have a name stand as `name+0x10`.
    pub operands: String,
    pub flow: Flow,
    /// Where a direct branch or call goes.
    pub target: Option<Addr>,
    /// The address of a memory operand that is known without registers.
    pub memory: Option<Addr>,
}

/// For code without symbols.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Resolve for NoNames {
    fn resolve(&self, _: Reference) -> Option<Resolved> {
        None
    }
}

impl<F: Fn(Reference) -> Option<Resolved>> Resolve for F {
    fn resolve(&self, reference: Reference) -> Option<Resolved> {
        self(reference)
    }
}

impl Resolved {
    /// `name` or `name+0x10`.
    #[must_use]
    pub fn text(&self) -> String {
        match self.offset {
            0 => self.name.clone(),
            offset => format!("{}+{offset:#x}", self.name),
        }
    }
}

/// All instructions in `bytes`, which lie at `addr`. A byte that is no instruction's start is a
/// `(bad)` one of its own; what the end cuts off is left out.
pub fn disassemble(
    bytes: &[u8],
    addr: Addr,
    names: &dyn Resolve,
    syntax: Syntax,
) -> Vec<Instruction> {
    let att = match syntax {
        Syntax::Intel => None,
        Syntax::Att => att::Writer::new(),
    };
    let mut intel = intel::Writer::new();
    let mut instructions = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let here = addr.wrapping_add(at as u64);
        let rest = &bytes[at..];
        let Some(found) = decode(rest, here) else {
            if rest.len() < flow::LONGEST && flow::is_cut_off(rest) {
                break;
            }
            instructions.push(bad(here, rest[0]));
            at += 1;
            continue;
        };
        let code = &rest[..found.len];
        let (mnemonic, operands) = match &att {
            Some(att) => att.write(code, &found, names),
            None => intel.write(&found, names),
        };
        instructions.push(Instruction {
            addr: here,
            bytes: code.to_vec(),
            mnemonic,
            operands,
            flow: found.flow,
            target: found.target,
            memory: found.memory,
        });
        at += found.len;
    }
    instructions
}

fn bad(addr: Addr, byte: u8) -> Instruction {
    Instruction {
        addr,
        bytes: vec![byte],
        mnemonic: "(bad)".to_owned(),
        operands: String::new(),
        flow: Flow::Invalid,
        target: None,
        memory: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: Addr = Addr(0xffff_ffff_8100_0000);

    fn names(reference: Reference) -> Option<Resolved> {
        let (name, offset) = match reference {
            Reference::Address(addr) if addr - AT < 0x1000 => ("here", addr - AT),
            Reference::PerCpu(0x1ac00) => ("current_task", 0),
            _ => return None,
        };
        Some(Resolved {
            name: name.to_owned(),
            offset,
            origin: Origin::App,
        })
    }

    fn check(bytes: &[u8], intel: &str, att: &str, flow: Flow) {
        for (syntax, expected) in [(Syntax::Intel, intel), (Syntax::Att, att)] {
            let list = disassemble(bytes, AT, &names, syntax);
            assert_eq!(list.len(), 1, "{list:?}");
            let text = format!("{} {}", list[0].mnemonic, list[0].operands);
            assert_eq!(text.trim(), expected);
            assert_eq!(list[0].flow, flow);
            assert_eq!(list[0].bytes, bytes);
        }
    }

    #[test]
    fn instructions_read_in_both_syntaxes() {
        check(
            &[0x48, 0x89, 0xe5],
            "mov rbp,rsp",
            "movq %rsp, %rbp",
            Flow::Next,
        );
        check(&[0x0f, 0x05], "syscall", "syscall", Flow::Syscall);
        check(&[0xc3], "ret", "retq", Flow::Return);
        check(&[0x48, 0xcf], "iretq", "iretq", Flow::InterruptReturn);
        check(&[0x48, 0x0f, 0x07], "sysretq", "sysretq", Flow::Sysret);
        check(
            &[0xe8, 0x0b, 0, 0, 0],
            "call here+0x10",
            "callq here+0x10",
            Flow::Call,
        );
        check(&[0x74, 0xfe], "je here", "je here", Flow::Branch);
        check(
            &[0x48, 0x83, 0xec, 0x18],
            "sub rsp,0x18",
            "subq $0x18, %rsp",
            Flow::Next,
        );
    }

    #[test]
    fn memory_operands_are_named() {
        // mov rax,[rip+9]
        let list = disassemble(&[0x48, 0x8b, 5, 9, 0, 0, 0], AT, &names, Syntax::Intel);
        assert_eq!(list[0].operands, "rax,[here+0x10]");
        assert_eq!(list[0].memory, Some(AT + 0x10));
        let list = disassemble(&[0x48, 0x8b, 5, 9, 0, 0, 0], AT, &names, Syntax::Att);
        assert_eq!(list[0].operands, "here+0x10(%rip), %rax");
        // mov rcx,gs:0x1ac00
        let code = [0x65, 0x48, 0x8b, 0x0c, 0x25, 0, 0xac, 1, 0];
        let list = disassemble(&code, AT, &names, Syntax::Intel);
        assert_eq!(list[0].operands, "rcx,gs:[current_task]");
        // mov rcx,[rax*8 - 0x7efffff0]: a table in the kernel's image
        let code = [0x48, 0x8b, 0x0c, 0xc5, 0x10, 0, 0, 0x81];
        let list = disassemble(&code, AT, &names, Syntax::Intel);
        assert_eq!(list[0].operands, "rcx,[rax*8+here+0x10]");
        // mov eax,[rbp-8]
        let list = disassemble(&[0x8b, 0x45, 0xf8], AT, &names, Syntax::Intel);
        assert_eq!(list[0].operands, "eax,[rbp-8]");
    }

    #[test]
    fn bad_bytes_stand_alone_and_the_cut_end_is_left_out() {
        let list = disassemble(&[0x06, 0xc3, 0x48, 0x8b], AT, &NoNames, Syntax::Intel);
        let mnemonics: Vec<_> = list.iter().map(|i| i.mnemonic.as_str()).collect();
        assert_eq!(mnemonics, ["(bad)", "ret"]);
    }

    proptest! {
        #[test]
        fn any_bytes_disassemble(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for syntax in [Syntax::Intel, Syntax::Att] {
                let list = disassemble(&bytes, AT, &names, syntax);
                let len: usize = list.iter().map(|i| i.bytes.len()).sum();
                prop_assert!(len <= bytes.len() && bytes.len() - len < flow::LONGEST);
            }
        }
    }
}
