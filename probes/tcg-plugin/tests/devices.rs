//! What an access to a device takes back.

use uklscope_tcg::devices::Devices;

#[test]
fn what_lies_behind_an_access_that_left_its_block_is_taken_back_once() {
    let mut devices = Devices::default();
    // A block of ten, left at its fourth.
    assert_eq!(devices.accessed(110, 7), 6);
    // The same instruction writes what it has read.
    assert_eq!(devices.accessed(104, 7), 0);
    // Again, from the block that goes back there.
    assert_eq!(devices.accessed(114, 7), 6);
    assert_eq!(devices.accessed(108, 7), 0);
}

#[test]
fn an_instruction_that_is_told_whole_was_counted_as_it_is() {
    let mut devices = Devices::default();
    devices.begun(50);
    assert_eq!(devices.accessed(50, 7), 0);
    assert_eq!(devices.accessed(50, 7), 0);
    // The next time it is a device's.
    assert_eq!(devices.accessed(60, 7), 6);
    // At the end of its block it leaves nothing.
    assert_eq!(devices.accessed(70, 1), 0);
}
