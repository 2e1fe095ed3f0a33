//! The conversation that is played again in `replayed_target.rs`, with the real stub.

mod conversation;
mod machine;

use debugger::crossing::Mode;
use debugger::session::link::Link;
use debugger::session::process::Qemu;
use debugger::session::target::Target;

/// Set, it writes the recording anew.
const SWITCH: &str = "UKLSCOPE_RECORD";

#[test]
#[ignore = "boots an image"]
fn the_conversation_holds_with_qemu() {
    let symbols = machine::Symbols::read();
    let places = conversation::Places {
        main: symbols.at("main"),
        banner: symbols.at("linux_banner"),
        jiffies: symbols.at("jiffies"),
    };
    let qemu = Qemu::start(&machine::machine(Mode::Bypass)).unwrap();
    let mut link = Link::connect(qemu.gdb().unwrap(), machine::PATIENCE).unwrap();
    link.record();
    let mut target = Target::over(link, machine::PATIENCE).unwrap();
    conversation::hold(&mut target, places);
    if std::env::var_os(SWITCH).is_some() {
        let text = format!("{}{}", places.comments(), target.transcript().unwrap());
        std::fs::write(conversation::recording(), text).unwrap();
    }
}
