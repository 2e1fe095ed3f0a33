#![no_main]

use debugger::gdb::description;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| description::decode_any(data));
