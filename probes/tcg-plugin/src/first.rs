//! Blocks that begin with a record, and are counted by it: it looks at the clock anyway.

use iced_x86::{Code, ConditionCode, Instruction, Mnemonic, OpKind};

use crate::plan::{Hook, Listed, What, decoder};

/// Whether the first callback of a block is a record that can count it. The record of how a block ends is moved to its
/// start, where it is the only one, and the block is executed to its end once it is begun.
pub fn counts(block: &[Listed], hooks: &mut [Hook]) -> bool {
    if let [only] = hooks
        && matches!(only.what, What::Record { after: true, .. })
        && ends_for_sure(block)
    {
        only.at = 0;
    }
    let is_record = |first: &Hook| first.at == 0 && matches!(first.what, What::Record { .. });
    block.len() > 1 && hooks.first().is_some_and(is_record)
}

/// It returns, or jumps to where it says. Before that nothing is accessed but the stack, which was written to, and nothing
/// faults.
fn ends_for_sure(block: &[Listed]) -> bool {
    let Some((last, before)) = block.split_last() else {
        return false;
    };
    let last = decoder(last).decode();
    let ends = matches!(last.code(), Code::Retnq | Code::Retnq_imm16)
        || last.is_jmp_short_or_near()
        || last.is_jcc_short_or_near();
    let mut before = before.iter();
    ends && before.all(|listed| goes_on_for_sure(&decoder(listed).decode()))
}

/// What compilers put there.
fn goes_on_for_sure(instruction: &Instruction) -> bool {
    let on_condition = instruction.condition_code() != ConditionCode::None;
    match instruction.mnemonic() {
        Mnemonic::Lea | Mnemonic::Nop => true,
        Mnemonic::Pop
        | Mnemonic::Leave
        | Mnemonic::Mov
        | Mnemonic::Movzx
        | Mnemonic::Movsx
        | Mnemonic::Movsxd
        | Mnemonic::Cdqe
        | Mnemonic::Add
        | Mnemonic::Sub
        | Mnemonic::Sbb
        | Mnemonic::Neg
        | Mnemonic::Not
        | Mnemonic::Inc
        | Mnemonic::Dec
        | Mnemonic::And
        | Mnemonic::Or
        | Mnemonic::Xor
        | Mnemonic::Cmp
        | Mnemonic::Test
        | Mnemonic::Sar
        | Mnemonic::Shr
        | Mnemonic::Shl => is_of_plain_registers(instruction),
        _ => on_condition && is_of_plain_registers(instruction),
    }
}

/// No memory, and none that only the kernel may use.
fn is_of_plain_registers(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).all(|i| match instruction.op_kind(i) {
        OpKind::Register => instruction.op_register(i).is_gpr(),
        OpKind::Memory => false,
        _ => true,
    })
}
