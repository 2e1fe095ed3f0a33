//! The real program in a terminal of its own, as it is used: keys in, drawings out.

use std::ffi::OsStr;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::image::repository;
use crate::test::cargo;

/// For a guest to boot on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the screen writes behind each drawing: DEC's private mode 2026 is reset.
const DRAWN: &[u8] = b"\x1b[?2026l";

pub(super) struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    bytes: Receiver<(Instant, Vec<u8>)>,
    shown: vt100::Parser,
    /// The pair must stay open as long as the screen.
    _master: Box<dyn MasterPty + Send>,
    _state: tempfile::TempDir,
}

/// Until a drawing showed what was waited for.
pub(super) struct Painted {
    /// From the beginning to the last byte.
    pub(super) took: Duration,
    pub(super) bytes: usize,
    pub(super) drawings: usize,
}

/// The program to measure: the one that is given, else the one that is built here.
///
/// # Errors
/// When it cannot be built.
pub(super) fn program(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(program) = given {
        return Ok(program.to_owned());
    }
    cargo("uklscope", &["build", "--release", "--workspace"])?;
    Ok(repository().join("target/release/uklscope"))
}

impl Terminal {
    /// # Errors
    /// When there is no terminal to be had, or the program does not start.
    pub(super) fn start<'a>(
        program: &Path,
        arguments: impl IntoIterator<Item = &'a OsStr>,
        (width, height): (u16, u16),
    ) -> Result<Self> {
        let pty = native_pty_system()
            .openpty(PtySize {
                rows: height,
                cols: width,
                ..PtySize::default()
            })
            .context("opening a pseudo-terminal")?;
        let state = tempfile::tempdir()?;
        // A name with a folder in it would be looked for in PATH.
        let program = std::path::absolute(program)?;
        let mut command = CommandBuilder::new(&program);
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env("XDG_STATE_HOME", state.path());
        let mut reader = pty.master.try_clone_reader()?;
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender
                    .send((Instant::now(), buffer[..count].to_vec()))
                    .is_err()
                {
                    return;
                }
            }
        });
        let child = pty
            .slave
            .spawn_command(command)
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self {
            keys: pty.master.take_writer()?,
            child,
            bytes,
            shown: vt100::Parser::new(height, width, 0),
            _master: pty.master,
            _state: state,
        })
    }

    pub(super) fn pid(&self) -> Result<u32> {
        self.child.process_id().context("the screen has ended")
    }

    pub(super) fn press(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes())?;
        Ok(self.keys.flush()?)
    }

    pub(super) fn until(
        &mut self,
        what: &str,
        holds: impl Fn(&vt100::Screen) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !holds(self.shown.screen()) {
            let left = end.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok((_, bytes)) => self.shown.process(&bytes),
                Err(_) => bail!(
                    "waiting for {what}: the screen shows:\n{}",
                    self.shown.screen().contents()
                ),
            }
        }
        Ok(())
    }

    /// Until a drawing is whole that shows it.
    pub(super) fn drawn_until(
        &mut self,
        since: Instant,
        holds: impl Fn(&vt100::Screen) -> bool,
    ) -> Result<Painted> {
        let mut painted = Painted {
            took: Duration::ZERO,
            bytes: 0,
            drawings: 0,
        };
        // A read may end within the mark.
        let mut tail = Vec::new();
        loop {
            match self.bytes.recv_timeout(PATIENCE) {
                Ok((at, bytes)) => {
                    painted.took = at.saturating_duration_since(since);
                    painted.bytes += bytes.len();
                    self.shown.process(&bytes);
                    tail.extend_from_slice(&bytes);
                    tail.drain(..tail.len().saturating_sub(DRAWN.len()));
                    if tail != DRAWN {
                        continue;
                    }
                    painted.drawings += 1;
                    if holds(self.shown.screen()) {
                        return Ok(painted);
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!(
                    "nothing more was painted; the screen shows:\n{}",
                    self.shown.screen().contents()
                ),
                Err(RecvTimeoutError::Disconnected) => bail!("the screen has ended"),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.keys.write_all(b"qy");
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `VmRSS` of proc(5).
pub(super) fn resident_mib(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .context("reading what memory the screen holds")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("/proc has no VmRSS")?
        .parse()?;
    Ok(kib / 1024.0)
}
