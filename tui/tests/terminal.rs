//! The terminal is given back on every way out; no guest is needed to see that.

use std::path::Path;

mod pty;

use pty::Terminal;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/builtin.uklrec");

fn recording() -> Terminal {
    let program = Path::new(env!("CARGO_BIN_EXE_uklscope"));
    let mut terminal = Terminal::start(program, &["open", RECORDING], &[]);
    terminal.until("crossings in");
    assert!(terminal.is_on_the_alternate_screen());
    terminal
}

#[test]
fn a_recording_is_shown_without_qemu() {
    let mut terminal = recording();
    terminal.press("4");
    terminal.until("path of");
    terminal.press("\t");
    terminal.until("balances to the instruction");
    terminal.resize(50, 200);
    terminal.until("7 Console");
    terminal.press("q");
    let (code, _) = terminal.until_ended();
    assert_eq!(code, 0);
    terminal.assert_given_back();
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for signal in ["TERM", "HUP"] {
        let mut terminal = recording();
        terminal.signal(signal);
        terminal.until_ended();
        terminal.assert_given_back();
    }
}

/// Not a test by itself: the child of the next one.
const CHILD: &str = "UKLSCOPE_TEST_PANIC";

#[test]
fn a_panic_gives_the_terminal_back_and_is_readable() {
    if std::env::var_os(CHILD).is_some() {
        let _terminal = tui::term::Terminals::take().expect("a terminal");
        panic!("on purpose");
    }
    let program = std::env::current_exe().expect("this program");
    let name = "a_panic_gives_the_terminal_back_and_is_readable";
    let arguments = ["--exact", name, "--nocapture", "--test-threads=1"];
    let mut terminal = Terminal::start(&program, &arguments, &[(CHILD, "1")]);
    let (code, text) = terminal.until_ended();
    assert_ne!(code, 0);
    assert!(text.contains("on purpose"), "{text}");
    terminal.assert_given_back();
}
