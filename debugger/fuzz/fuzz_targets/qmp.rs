#![no_main]

use debugger::qemu::qmp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = qmp::decode(data);
});
