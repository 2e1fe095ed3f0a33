#![no_main]

use debugger::trace::import::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // An event is worth more than the list around it.
    let listed = [&b"[{\"ph\":"[..], data, b"}]"].concat();
    for bytes in [data, &listed] {
        if let Ok(stacks) = read(bytes) {
            let own: u64 = stacks.flame.frames.iter().map(|frame| frame.own).sum();
            assert_eq!(own, stacks.flame.total());
        }
    }
});
