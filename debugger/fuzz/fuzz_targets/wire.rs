#![no_main]

use std::time::Duration;

use debugger::session::wire::{Head, Replay};
use libfuzzer_sys::fuzz_target;

// A recording, and a client that asks it: the first byte says how much of the input is which.
fuzz_target!(|data: &[u8]| {
    let Some((part, rest)) = data.split_first() else { return };
    let (asked, text) = rest.split_at(usize::from(*part).min(rest.len()));
    let text = String::from_utf8_lossy(text);
    let _ = Head::read(&text);
    if let Ok(mut replay) = Replay::new(&text) {
        replay.send(asked);
        let _ = replay.receive(Duration::ZERO);
    }
});
