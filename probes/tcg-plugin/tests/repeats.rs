//! Rounds of one instruction.

use uklscope_tcg::repeats::{self, Repeats};

#[test]
fn rounds_are_one_instruction_until_something_else_is_executed() {
    let mut repeats = Repeats::default();
    assert!(!repeats.goes_on(0x1000, 50, 1));
    // The clock is set back each time.
    assert!(repeats.goes_on(0x1000, 51, 1));
    assert!(repeats.goes_on(0x1000, 51, 1));
    assert_eq!(repeats.under_way(50), Some(0x1000));
    assert_eq!(repeats.under_way(51), None);
    // The one behind it, and its rounds.
    assert!(!repeats.goes_on(0x1002, 51, 1));
    assert!(repeats.goes_on(0x1002, 52, 1));
    // An interrupt has come between, or a loop leads back.
    assert!(!repeats.goes_on(0x1002, 90, 1));
    assert!(repeats.goes_on(0x1002, 91, 1));
}

#[test]
fn rounds_that_count_nothing_go_on_where_the_clock_stands() {
    let mut repeats = Repeats::default();
    assert!(!repeats.goes_on(0x1000, 50, 1));
    assert!(repeats.goes_on(0x1000, 50, 0));
    assert!(!repeats.goes_on(0x1000, 51, 0));
}

#[test]
fn as_many_go_on_as_were_interrupted() {
    const AT: u64 = 0x7000;
    assert!(!repeats::resumes(AT));
    repeats::interrupted(AT);
    repeats::interrupted(AT);
    assert!(!repeats::resumes(AT + 1));
    assert!(repeats::resumes(AT));
    assert!(repeats::resumes(AT));
    assert!(!repeats::resumes(AT));
}

#[test]
fn what_is_only_led_to_is_begun_once() {
    let mut repeats = Repeats::default();
    repeats.led_to(0x1000, 50);
    assert!(repeats.is_only_led_to());
    assert_eq!(repeats.under_way(50), Some(0x1000));
    assert!(!repeats.goes_on(0x1000, 50, 0), "its first round");
    assert!(!repeats.is_only_led_to());
    assert!(repeats.goes_on(0x1000, 50, 0));
}
