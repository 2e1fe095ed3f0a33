#![no_main]

use debugger::gdb::{packet, reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (items, _) = packet::decode_all(data);
    for item in items {
        if let packet::Item::Packet(payload) = item {
            reply::decode_any(&payload);
        }
    }
    // What is sent is read back as it was, whatever bytes it has.
    let (items, junk) = packet::decode_all(&packet::encode(data));
    assert_eq!((items, junk), (vec![packet::Item::Packet(data.to_vec())], 0));
});
