//! The real program in a terminal of its own.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// For a guest to boot on a busy machine; a screen that does come is seen at once.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Terminal {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    bytes: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// As it was before the program began.
    modes: String,
    _state: tempfile::TempDir,
}

impl Terminal {
    pub(crate) fn start(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let size = PtySize {
            rows: 24,
            cols: 80,
            ..PtySize::default()
        };
        let pty = native_pty_system()
            .openpty(size)
            .expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        let state = tempfile::tempdir().expect("a folder");
        command.env("XDG_STATE_HOME", state.path());
        for (name, value) in environment {
            command.env(name, value);
        }
        let modes = modes(pty.master.as_ref());
        let mut reader = pty.master.try_clone_reader().expect("a reader");
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = reader.read(&mut buffer) {
                if count == 0 || sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let child = pty
            .slave
            .spawn_command(command)
            .expect("the program starts");
        Self {
            keys: pty.master.take_writer().expect("a writer"),
            master: pty.master,
            child,
            bytes,
            screen: vt100::Parser::new(24, 80, 0),
            modes,
            _state: state,
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys
            .write_all(keys.as_bytes())
            .expect("keys are taken");
        self.keys.flush().expect("keys are taken");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().expect("it runs")
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    pub(crate) fn resize(&mut self, rows: u16, cols: u16) {
        let size = PtySize {
            rows,
            cols,
            ..PtySize::default()
        };
        self.master.resize(size).expect("a new size");
        self.screen.screen_mut().set_size(rows, cols);
    }

    /// Waits until the screen holds the text.
    pub(crate) fn until(&mut self, text: &str) -> String {
        self.until_that(text, |screen| screen.contains(text))
    }

    /// Waits until this holds of the screen; `what` names it.
    pub(crate) fn until_that(&mut self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let contents = self.screen.screen().contents();
            if holds(&contents) {
                return contents;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(error) => panic!("'{what}' did not come ({error}); the screen:\n{contents}"),
            }
        }
    }

    pub(crate) fn is_on_the_alternate_screen(&self) -> bool {
        self.screen.screen().alternate_screen()
    }

    /// Waits for the program's end; its exit code, and what is on the terminal then.
    pub(crate) fn until_ended(&mut self) -> (u32, String) {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        while let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(200)) {
            self.screen.process(&bytes);
        }
        (status.exit_code(), self.screen.screen().contents())
    }

    /// The terminal is as it was: its modes, its screen, its cursor, the mouse.
    pub(crate) fn assert_given_back(&self) {
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the alternate screen is left");
        assert!(!screen.hide_cursor(), "the cursor is shown");
        assert!(!screen.bracketed_paste(), "pasting is as it was");
        assert_eq!(
            screen.mouse_protocol_mode(),
            vt100::MouseProtocolMode::None,
            "the mouse is free"
        );
        assert_eq!(
            modes(self.master.as_ref()),
            self.modes,
            "the modes are back"
        );
    }
}

fn modes(master: &(dyn MasterPty + Send)) -> String {
    format!("{:?}", master.get_termios())
}
