//! The whole of a conversation with QEMU's stub, played again without QEMU.
//!
//! The recording is made by `UKLSCOPE_RECORD=1 cargo test --test booted_conversation -- --ignored`.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod conversation;

use std::time::Duration;

use debugger::session::link::Link;
use debugger::session::target::{Target, TargetError};

const PATIENCE: Duration = Duration::from_secs(5);

fn recording() -> String {
    std::fs::read_to_string(conversation::recording()).unwrap()
}

#[test]
fn the_recorded_conversation_holds_without_qemu() {
    let text = recording();
    let mut target = Target::over(Link::play(&text).unwrap(), PATIENCE).unwrap();
    conversation::hold(&mut target, conversation::Places::from_comments(&text));
}

/// A stub that goes away after any of its bytes: an error each time, never a panic, never a wait.
#[test]
fn the_conversation_may_break_anywhere() {
    let text = recording();
    let lines: Vec<_> = text.lines().collect();
    for end in 0..lines.len() {
        let part = lines[..end].join("\n");
        match Target::over(Link::play(&part).unwrap(), PATIENCE) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(mut target) => {
                // What is asked now is not what was asked then, or nobody is there any more.
                let error = target
                    .monitor("a question that was not recorded")
                    .unwrap_err();
                assert!(matches!(error, TargetError::LinkWhile { .. }), "{error}");
            }
        }
    }
}

/// A byte that arrives wrong is noticed by the packet's checksum, and its "again" is not in the
/// recording.
#[test]
fn a_damaged_byte_is_noticed() {
    let text = recording();
    let at = text.find("PacketSize").unwrap();
    let damaged = format!("{}q{}", &text[..at], &text[at + 1..]);
    let error = Target::over(Link::play(&damaged).unwrap(), PATIENCE).unwrap_err();
    assert!(error.to_string().contains("where '-' is sent"), "{error}");
}
