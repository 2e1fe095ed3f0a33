#![no_main]

use debugger::guest::sockets;
use libfuzzer_sys::fuzz_target;

// A socket address as the guest's memory has it: any bytes are told as one of some kind, in one line.
fuzz_target!(|data: &[u8]| {
    let text = sockets::address(data);
    assert!(!text.is_empty() && !text.contains('\n'));
});
