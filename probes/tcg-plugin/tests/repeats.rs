//! Rounds of one instruction.

use uklscope_tcg::repeats::Repeats;

#[test]
fn rounds_are_one_instruction_until_something_else_is_executed() {
    let mut repeats = Repeats::default();
    assert!(!repeats.goes_on(0x1000, 50));
    // The clock is set back each time.
    assert!(repeats.goes_on(0x1000, 51));
    assert!(repeats.goes_on(0x1000, 51));
    assert_eq!(repeats.under_way(50), Some(0x1000));
    assert_eq!(repeats.under_way(51), None);
    // The one behind it, and its rounds.
    assert!(!repeats.goes_on(0x1002, 51));
    assert!(repeats.goes_on(0x1002, 52));
    // An interrupt has come between, or a loop leads back.
    assert!(!repeats.goes_on(0x1002, 90));
    assert!(repeats.goes_on(0x1002, 91));
}
