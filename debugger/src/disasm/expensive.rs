//! Instructions that cost far more than others: of these a count of instructions says least.

use iced_x86::{Mnemonic, OpKind, Register};

use super::Decoded;

/// What makes each of them expensive (Intel SDM vol. 2; Agner Fog's tables of latencies).
const EXPENSIVE: &[(Mnemonic, &str)] = &[
    (Mnemonic::Syscall, "changes ring"),
    (Mnemonic::Sysret, "changes ring"),
    (Mnemonic::Sysretq, "changes ring"),
    (Mnemonic::Iret, "serialises, reloads segments"),
    (Mnemonic::Iretd, "serialises, reloads segments"),
    (Mnemonic::Iretq, "serialises, reloads segments"),
    (Mnemonic::Swapgs, "exchanges the base of GS"),
    (Mnemonic::Wrmsr, "writes a model-specific register"),
    (Mnemonic::Rdmsr, "reads a model-specific register"),
    (Mnemonic::Wrfsbase, "writes a segment's base"),
    (Mnemonic::Wrgsbase, "writes a segment's base"),
    (Mnemonic::Lfence, "waits for all before it"),
    (Mnemonic::Mfence, "waits for loads and stores"),
    (Mnemonic::Sfence, "waits for stores"),
    (Mnemonic::Serialize, "serialises"),
    (Mnemonic::Cpuid, "serialises; leaves a virtual machine"),
    (Mnemonic::Rdtsc, "reads the time-stamp counter"),
    (Mnemonic::Rdtscp, "reads the time-stamp counter, waits"),
    (Mnemonic::Rdpmc, "reads a performance counter"),
    (Mnemonic::Invpcid, "drops translations"),
    (Mnemonic::Invlpg, "drops a translation"),
    (Mnemonic::Verw, "clears buffers against MDS"),
    (Mnemonic::Xsave, "saves the FPU's state"),
    (Mnemonic::Xsave64, "saves the FPU's state"),
    (Mnemonic::Xsaveopt, "saves the FPU's state"),
    (Mnemonic::Xsaveopt64, "saves the FPU's state"),
    (Mnemonic::Xsavec, "saves the FPU's state"),
    (Mnemonic::Xsavec64, "saves the FPU's state"),
    (Mnemonic::Xsaves, "saves the FPU's state"),
    (Mnemonic::Xsaves64, "saves the FPU's state"),
    (Mnemonic::Xrstor, "restores the FPU's state"),
    (Mnemonic::Xrstor64, "restores the FPU's state"),
    (Mnemonic::Xrstors, "restores the FPU's state"),
    (Mnemonic::Xrstors64, "restores the FPU's state"),
    (Mnemonic::Fxsave, "saves the FPU's state"),
    (Mnemonic::Fxsave64, "saves the FPU's state"),
    (Mnemonic::Fxrstor, "restores the FPU's state"),
    (Mnemonic::Fxrstor64, "restores the FPU's state"),
    (Mnemonic::Xsetbv, "serialises"),
    (Mnemonic::Lgdt, "serialises"),
    (Mnemonic::Lidt, "serialises"),
    (Mnemonic::Ltr, "serialises"),
    (Mnemonic::Lldt, "serialises"),
    (Mnemonic::Wbinvd, "writes back and drops the caches"),
    (Mnemonic::Invd, "drops the caches"),
    (Mnemonic::Clflush, "writes back a line of the cache"),
    (Mnemonic::Hlt, "waits for an interrupt"),
    (Mnemonic::Pause, "waits"),
    (Mnemonic::Cli, "masks interrupts"),
    (Mnemonic::Sti, "unmasks interrupts"),
    (Mnemonic::Popfq, "may unmask interrupts"),
    (Mnemonic::Clac, "changes access to user memory"),
    (Mnemonic::Stac, "changes access to user memory"),
    (Mnemonic::In, "leaves a virtual machine"),
    (Mnemonic::Out, "leaves a virtual machine"),
    (Mnemonic::Vmcall, "leaves a virtual machine"),
    (Mnemonic::Vmmcall, "leaves a virtual machine"),
];

/// Why an instruction is expensive; `None` for ordinary ones.
#[must_use]
pub fn expensive(decoded: &Decoded) -> Option<&'static str> {
    let instruction = &decoded.instruction;
    let mnemonic = instruction.mnemonic();
    if mnemonic == Mnemonic::Mov {
        let (to, from) = (instruction.op0_register(), instruction.op1_register());
        return if to == Register::CR3 {
            Some("changes the page table, drops translations")
        } else if to.is_cr() || to.is_dr() {
            Some("writes a control register")
        } else if from.is_cr() || from.is_dr() {
            Some("reads a control register")
        } else {
            None
        };
    }
    let known = EXPENSIVE.iter().find(|(known, _)| *known == mnemonic);
    let locked =
        instruction.has_lock_prefix() || mnemonic == Mnemonic::Xchg && is_in_memory(decoded);
    known
        .map(|(_, why)| *why)
        .or(locked.then_some("locks a line of the cache"))
}

/// XCHG with memory locks without a prefix.
fn is_in_memory(decoded: &Decoded) -> bool {
    let kinds = [
        decoded.instruction.op0_kind(),
        decoded.instruction.op1_kind(),
    ];
    kinds.contains(&OpKind::Memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Addr;
    use crate::disasm::decode;

    fn check(bytes: &[u8], expected: Option<&str>) {
        let decoded = decode(bytes, Addr(0x1000)).expect("an instruction");
        assert_eq!(expensive(&decoded), expected, "{bytes:x?}");
    }

    #[test]
    fn what_the_way_in_and_out_is_made_of() {
        check(&[0x0f, 0x01, 0xf8], Some("exchanges the base of GS"));
        check(&[0x48, 0x0f, 0x07], Some("changes ring"));
        check(&[0x48, 0xcf], Some("serialises, reloads segments"));
        check(&[0x0f, 0x30], Some("writes a model-specific register"));
        check(&[0x0f, 0xae, 0xe8], Some("waits for all before it"));
        check(
            &[0x0f, 0x22, 0xd8],
            Some("changes the page table, drops translations"),
        );
        check(&[0x0f, 0x20, 0xd8], Some("reads a control register"));
        check(&[0x0f, 0x22, 0xe0], Some("writes a control register"));
        check(
            &[0x0f, 0x00, 0x2d, 0, 0, 0, 0],
            Some("clears buffers against MDS"),
        );
        check(&[0xf0, 0x0f, 0xb1, 0x0f], Some("locks a line of the cache"));
        check(&[0x87, 0x07], Some("locks a line of the cache"));
    }

    #[test]
    fn most_are_not() {
        check(&[0x90], None);
        check(&[0x48, 0x87, 0xd8], None);
        check(&[0x48, 0x89, 0xe5], None);
        check(&[0xc3], None);
        check(&[0xe8, 0, 0, 0, 0], None);
    }
}
