//! Recordings with the machine at its crossings: what was written comes back, wherever the bytes end or are
//! wrong.

use super::super::*;
use super::{run, sample};
use crate::crossing::CrossingKind;

/// More than one block of them.
const STATES: u64 = 700;

fn state(number: u64) -> State {
    let mut memory = Memory::default();
    memory.put(0x7000 + number % 5 * PIECE, &[3; 200]);
    memory.put(
        0xffff_8880_0000_0000 + number * PIECE,
        &number.to_le_bytes().repeat(8),
    );
    State {
        passed: Passed {
            crossing: number / 2 + 1,
            side: if number.is_multiple_of(2) {
                Side::Entry
            } else {
                Side::Exit
            },
            kind: CrossingKind::Syscall,
            call: "write".to_owned(),
        },
        vcpu: u32::from(number % 3 == 1),
        registers: vec![Some(1), None, Some(u8::try_from(number % 200).unwrap())],
        others: (0..number % 2)
            .map(|_| Other {
                vcpu: 7,
                registers: vec![None, Some(2)],
            })
            .collect(),
        memory,
    }
}

fn machine() -> Machine {
    let mut memory = Memory::default();
    memory.put(0xffff_ffff_8100_0000, &[0x90; 128]);
    Machine {
        documents: [("target.xml".to_owned(), "<target/>".to_owned())].into(),
        said: [("info registers".to_owned(), "IDT= 0".to_owned())].into(),
        of_file: vec![(0xffff_ffff_8100_0000, 0x1000)],
        memory,
    }
}

/// A run without states, and one with them.
fn bytes() -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), &sample().head).unwrap();
    writer.report(&run(1)).unwrap();
    writer.machine(&machine()).unwrap();
    for number in 0..STATES {
        writer.state(state(number)).unwrap();
    }
    writer.report(&run(2)).unwrap();
    writer.finish().unwrap()
}

fn states<B: AsRef<[u8]>>(stored: &Stored<B>, run: usize) -> Vec<State> {
    let blocks = 0..stored.state_blocks(run);
    let read = blocks.filter_map(|block| stored.states(run, block));
    read.flatten().collect()
}

#[test]
fn states_belong_to_their_run_and_come_back_whole() {
    let stored = Stored::open(bytes()).unwrap();
    assert_eq!(stored.issues(), []);
    assert_eq!(stored.recording().runs, [run(1), run(2)]);
    assert!(!stored.runs()[0].has_states() && stored.machine(0).is_none());
    assert!(stored.runs()[1].has_states());
    assert_eq!(stored.machine(1), Some(machine()));
    assert!(stored.state_blocks(1) > 1);
    let expected: Vec<State> = (0..STATES).map(state).collect();
    assert_eq!(states(&stored, 1), expected);
}

#[test]
fn what_was_written_before_a_cut_is_there() {
    let whole = bytes();
    let all: Vec<State> = (0..STATES).map(state).collect();
    let mut most = 0;
    for cut in (8..whole.len()).step_by(97) {
        let Ok(stored) = Stored::open(&whole[..cut]) else {
            continue;
        };
        let last = stored.runs().len().saturating_sub(1);
        let found = states(&stored, last);
        assert!(all.starts_with(&found), "cut at {cut}");
        assert!(!stored.issues().is_empty(), "cut at {cut}");
        most = most.max(found.len());
    }
    assert!(most > 500, "{most}");
}

#[test]
fn a_damaged_block_of_states_is_left_out_and_the_others_are_read() {
    let whole = bytes();
    let all: Vec<State> = (0..STATES).map(state).collect();
    let mut damaged = 0;
    for at in (200..whole.len()).step_by(211) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let Ok(stored) = Stored::open(&bytes[..]) else {
            continue;
        };
        let last = stored.runs().len().saturating_sub(1);
        let found = states(&stored, last);
        assert!(found.iter().all(|one| all.contains(one)), "byte {at}");
        damaged += usize::from(found.len() < all.len());
    }
    assert!(damaged > 0);
}
