//! Blocks that begin with a record, and are counted by it: it looks at the clock anyway.

use iced_x86::{Code, ConditionCode, Instruction, Mnemonic, OpKind};

use crate::plan::{Hook, Listed, What, decoder};

/// Whether the first callback of a block is a record that can count it. Where the block is executed to its end once it is
/// begun, the record of how it ends is made at its start too: moved there, or told with that of its function's entry.
pub fn counts(block: &[Listed], hooks: &mut Vec<Hook>) -> bool {
    let ends = !hooks.is_empty() && ends_for_sure(block);
    if ends && let Some(what) = known_at_the_start(hooks) {
        hooks.clear();
        hooks.push(Hook { at: 0, what });
    }
    let counting = |what| matches!(what, What::Record { .. } | What::Whole { .. });
    let first = hooks.first();
    // What does not end for sure may be executed again alone, out of a longer one that was counted.
    (ends || block.len() > 1) && first.is_some_and(|hook| hook.at == 0 && counting(hook.what))
}

/// One for all that is recorded of a block which is executed to its end.
fn known_at_the_start(hooks: &[Hook]) -> Option<What> {
    match *hooks {
        [
            Hook {
                what: what @ What::Record { after: true, .. },
                ..
            },
        ] => Some(what),
        [
            Hook {
                at: 0,
                what: What::Record { word, after: false },
            },
            Hook {
                what:
                    What::Record {
                        word: end,
                        after: true,
                    },
                ..
            },
        ] if end.function() == word.function() => Some(What::Whole {
            word,
            end: end.kind()?,
        }),
        _ => None,
    }
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
