//! Which blocks the record they begin with counts.

mod listed;

use listed::block;
use uklscope_tcg::first::counts;
use uklscope_tcg::plan::{Hook, What};
use wire::{Kind, Word};

const POP_RBP: &[u8] = &[0x5d];
const MOV_EAX_EBX: &[u8] = &[0x89, 0xd8];
const LOAD_RAX: &[u8] = &[0x48, 0x8b, 0x07];
const MOV_CR3_RAX: &[u8] = &[0x0f, 0x22, 0xd8];
const DIV_RCX: &[u8] = &[0x48, 0xf7, 0xf1];
const CMOVE: &[u8] = &[0x48, 0x0f, 0x44, 0xc1];
const RET: &[u8] = &[0xc3];
const IRETQ: &[u8] = &[0x48, 0xcf];
const JE: &[u8] = &[0x74, 0x10];
const CALL: &[u8] = &[0xe8, 0, 1, 0, 0];

fn record(at: usize, after: bool) -> Hook {
    let word = Word::new(Kind::Return, 1);
    let what = What::Record { word, after };
    Hook { at, what }
}

/// Whether it is counted so, and where its records are then.
fn counted(instructions: &[&[u8]], mut hooks: Vec<Hook>) -> (bool, Vec<usize>) {
    let counts = counts(&block(0x40_0000, instructions), &mut hooks);
    (counts, hooks.iter().map(|hook| hook.at).collect())
}

#[test]
fn a_function_s_entry_counts_its_first_block() {
    let entry = || vec![record(0, false)];
    assert_eq!(counted(&[LOAD_RAX, CALL], entry()), (true, vec![0]));
    assert_eq!(counted(&[RET], entry()), (true, vec![0]));
    assert_eq!(
        counted(&[LOAD_RAX], entry()),
        (false, vec![0]),
        "it may be executed alone out of a longer one"
    );
    assert_eq!(
        counted(&[LOAD_RAX, CALL], vec![record(1, false)]),
        (false, vec![1])
    );
    let gate = Hook {
        at: 0,
        what: What::Gate { open: true },
    };
    assert!(!counted(&[LOAD_RAX, CALL], vec![gate, record(0, false)]).0);
    assert!(!counted(&[LOAD_RAX, CALL], Vec::new()).0);
}

#[test]
fn a_return_counts_its_block_where_nothing_can_come_between() {
    let last = |block: &[&[u8]]| counted(block, vec![record(block.len() - 1, true)]);
    for block in [
        [MOV_EAX_EBX, POP_RBP, RET],
        [CMOVE, POP_RBP, RET],
        [MOV_EAX_EBX, POP_RBP, JE],
    ] {
        assert_eq!(last(&block), (true, vec![0]), "{block:x?}");
    }
    for block in [
        [LOAD_RAX, POP_RBP, RET],
        [DIV_RCX, POP_RBP, RET],
        [MOV_CR3_RAX, POP_RBP, RET],
        [MOV_EAX_EBX, POP_RBP, IRETQ],
        [MOV_EAX_EBX, POP_RBP, CALL],
    ] {
        assert_eq!(last(&block), (false, vec![2]), "{block:x?}");
    }
    assert_eq!(last(&[RET]), (true, vec![0]));
}

#[test]
fn a_function_of_one_block_is_told_at_once_where_nothing_can_come_between() {
    let entry = Word::new(Kind::AppEntry, 7);
    let both = |end| {
        let what = |word, after| What::Record { word, after };
        [(0, what(entry, false)), (1, what(end, true))].map(|(at, what)| Hook { at, what })
    };
    let returns = Word::new(Kind::AppReturn, 7);
    let mut hooks = both(returns).to_vec();
    assert!(counts(&block(0x40_0000, &[POP_RBP, RET]), &mut hooks));
    let what = What::Whole {
        word: entry,
        end: Kind::AppReturn,
    };
    assert_eq!(hooks, [Hook { at: 0, what }]);
    // What may fault, and what begins in one function and ends in another.
    let other = Word::new(Kind::AppReturn, 8);
    for (instructions, end) in [([LOAD_RAX, RET], returns), ([POP_RBP, RET], other)] {
        let mut hooks = both(end).to_vec();
        assert!(counts(&block(0x40_0000, &instructions), &mut hooks));
        assert_eq!(hooks, both(end));
    }
}
