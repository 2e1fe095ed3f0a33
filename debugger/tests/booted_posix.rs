//! What programs expect of an ordinary kernel, of the patched one: the parts of `kernel/tests/posix`. Mode linux is the judge of the
//! program itself: what does not hold there is a fault of the test.

mod common;

use common::{Boot, clean, expect};
use debugger::crossing::Mode;

/// The modes that the kernel carries all of it in.
const MODES: &[Mode] = &[Mode::Linux];

#[test]
#[ignore = "boots an image"]
fn every_part_holds_in_every_mode() {
    for &mode in MODES {
        let serial = expect("posix", &Boot::mode(mode), "posix: ok");
        clean(&serial);
    }
}
