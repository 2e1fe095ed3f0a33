//! What is taken back where a block was left in its middle, or at a fault.

use uklscope_tcg::fault::Place;
use uklscope_tcg::left::Left;
use uklscope_tcg::rests::Rest;

#[test]
fn what_lies_behind_an_access_that_left_its_block_is_taken_back_once() {
    let mut left = Left::default();
    // A block of ten, left at its fourth.
    assert_eq!(left.accessed(110, 7), 6);
    // The same instruction writes what it has read.
    assert_eq!(left.accessed(104, 7), 0);
    // Again, from the block that goes back there.
    assert_eq!(left.accessed(114, 7), 6);
    assert_eq!(left.accessed(108, 7), 0);
}

#[test]
fn an_instruction_that_is_told_whole_was_counted_as_it_is() {
    let mut left = Left::default();
    left.begun(50);
    assert_eq!(left.accessed(50, 7), 0);
    assert_eq!(left.accessed(50, 7), 0);
    // The next time it is a device's.
    assert_eq!(left.accessed(60, 7), 6);
    // At the end of its block it leaves nothing.
    assert_eq!(left.accessed(70, 1), 0);
}

#[test]
fn a_write_into_the_own_block_takes_back_the_instruction_too_once() {
    let mut left = Left::default();
    // A block of ten, left at its fourth, which was executed again.
    left.begun(111);
    assert_eq!(left.accessed(111, 7), 0, "it reads there first");
    assert!(left.overwrote(111, 7));
    assert!(!left.overwrote(104, 7), "its second write");
    assert_eq!(left.accessed(104, 7), 0);
    // A device's, of which nothing else is told.
    assert_eq!(left.accessed(114, 7), 6);
    assert!(!left.overwrote(108, 7));
}

#[test]
fn a_write_into_the_own_block_at_its_end_takes_back_the_instruction_alone() {
    let mut left = Left::default();
    // A block of ten, left at its last.
    left.begun(111);
    assert_eq!(left.accessed(111, 1), 0);
    assert!(left.overwrote(111, 1));
    assert!(!left.overwrote(110, 1), "its second write");
    // The next time it is the same.
    left.begun(121);
    assert!(left.overwrote(121, 1));
}

#[test]
fn no_more_is_left_of_a_block_than_was_counted_since_the_last_record() {
    let left = |insns| {
        Place::Inside(Rest {
            insns,
            ambiguous: false,
        })
    };
    let inside = left(7);
    assert_eq!(inside.within(7), inside);
    assert_eq!(inside.within(6), Place::Unknown);
    let last = left(1);
    assert_eq!(last.within(0), last, "a call that faults");
    assert_eq!(Place::Between.within(0), Place::Between);
}
