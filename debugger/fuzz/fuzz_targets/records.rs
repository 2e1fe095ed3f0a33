#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{Chunk, Shape};

fuzz_target!(|data: &[u8]| {
    let _ = Shape::decode(data, data.len() as u64);
    if let Ok(chunk) = Chunk::decode(data) {
        for record in chunk.records() {
            let _ = record;
        }
    }
});
