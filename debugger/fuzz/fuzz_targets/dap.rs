//! What an editor sends: any bytes are messages, or told as none; a message behind them is read.

#![no_main]

use libfuzzer_sys::fuzz_target;

// Of the program, without all that it draws its screens with.
#[path = "../../../tui/src/dap/frame.rs"]
mod frame;
#[allow(dead_code, reason = "answers are not read")]
#[path = "../../../tui/src/dap/message.rs"]
mod message;

use frame::{Frames, framed};
use message::Request;

fuzz_target!(|data: &[u8]| {
    let (cut, rest) = data.split_first().unwrap_or((&1, &[]));
    let mut frames = Frames::default();
    for piece in rest.chunks(usize::from(*cut).max(1)) {
        frames.push(piece);
        for frame in &mut frames {
            let Ok(body) = frame else { continue };
            let Ok(Some(request)) = Request::read(&body) else {
                continue;
            };
            let _ = request.arguments::<serde_json::Map<String, serde_json::Value>>();
            let again = framed(&body);
            let mut frames = Frames::default();
            frames.push(&again);
            assert_eq!(frames.next(), Some(Ok(body)));
        }
    }
});
