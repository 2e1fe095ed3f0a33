#![no_main]

use debugger::guest::descriptors;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = (descriptors::gate(data), descriptors::stacks(data));
    let _ = descriptors::segments(data);
});
