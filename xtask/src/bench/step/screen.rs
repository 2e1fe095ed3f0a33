//! The real screen in a terminal of its own, stepped by its keys.

use std::io::{Read as _, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use debugger::crossing::Mode;
use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};
use serde::Serialize;

use crate::bench::figures::percentile;
use crate::progress::{self, Step};

/// For a guest to boot on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between a screen that is painted and the next key, so that each step begins on an idle one.
const BETWEEN: Duration = Duration::from_millis(4);
/// What the screen writes behind each drawing: DEC's private mode 2026 is reset.
const DRAWN: &[u8] = b"\x1b[?2026l";
/// Steps that are taken before any is timed: what is read once is read.
const FIRST: usize = 10;

pub(super) struct Opened<'a> {
    pub(super) program: &'a Path,
    pub(super) image: &'a str,
    pub(super) mode: Mode,
}

/// Milliseconds from the key to the last byte painted.
#[derive(Serialize)]
pub(super) struct Timed {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) median_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) worst_ms: f64,
    pub(super) median_bytes: f64,
    /// Drawings of a step; more than one where an answer came late.
    pub(super) drawings_per_step: f64,
    /// Of the screen's process, QEMU's not included: other work on the machine moves it little.
    pub(super) cpu_ms_per_step: f64,
}

#[derive(Serialize)]
pub(super) struct Growth {
    pub(super) steps: usize,
    pub(super) resident: Vec<Resident>,
    /// Between the first of them and the last.
    pub(super) grown_mib: f64,
    pub(super) steps_per_s: f64,
}

/// The memory that the screen's process holds after so many steps.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Resident {
    pub(super) after_steps: usize,
    pub(super) mib: f64,
}

struct Painted {
    /// From the key to the last byte.
    took: Duration,
    bytes: usize,
    drawings: usize,
}

struct Screen {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    bytes: Receiver<(Instant, Vec<u8>)>,
    shown: vt100::Parser,
    _state: tempfile::TempDir,
}

impl Opened<'_> {
    /// # Errors
    /// When the screen does not come, or stops painting.
    pub(super) fn timed(
        &self,
        width: u16,
        height: u16,
        steps: usize,
        step: &mut Step,
    ) -> Result<Timed> {
        let mut screen = Screen::open(self, width, height)?;
        for _ in 0..FIRST {
            screen.step()?;
        }
        let before = cpu_seconds(screen.pid()?);
        let mut times = Vec::new();
        let mut bytes = Vec::new();
        let mut drawings = 0;
        for done in 0..steps {
            step.percent(done, steps);
            std::thread::sleep(BETWEEN);
            let painted = screen.step()?;
            times.push(painted.took.as_secs_f64() * 1_000.0);
            bytes.push(count(painted.bytes));
            drawings += painted.drawings;
        }
        let cpu = cpu_seconds(screen.pid()?) - before;
        Ok(Timed {
            width,
            height,
            median_ms: percentile(times.clone(), 50),
            p90_ms: percentile(times.clone(), 90),
            p99_ms: percentile(times.clone(), 99),
            worst_ms: percentile(times, 100),
            median_bytes: percentile(bytes, 50),
            drawings_per_step: count(drawings) / count(steps.max(1)),
            cpu_ms_per_step: cpu * 1_000.0 / count(steps.max(1)),
        })
    }

    /// Looks at the memory after a tenth of the steps, when all that is kept up to a number is
    /// full, then at the half and at the end.
    ///
    /// # Errors
    /// See [`Self::timed`].
    pub(super) fn growth(&self, steps: usize, step: &mut Step) -> Result<Growth> {
        let mut screen = Screen::open(self, 80, 24)?;
        let began = Instant::now();
        let mut resident = Vec::new();
        let mut done = 0;
        for after in [steps / 10, steps / 2, steps] {
            while done < after {
                screen.step()?;
                done += 1;
                step.percent(done, steps);
            }
            let mib = resident_mib(screen.pid()?)?;
            progress::say(&format!("    {mib:.1} MiB after {done} steps"));
            resident.push(Resident {
                after_steps: done,
                mib,
            });
        }
        let mib = |one: Option<&Resident>| one.map_or(f64::NAN, |one| one.mib);
        Ok(Growth {
            steps,
            grown_mib: mib(resident.last()) - mib(resident.first()),
            resident,
            steps_per_s: count(steps) / began.elapsed().as_secs_f64(),
        })
    }
}

impl Screen {
    fn open(opened: &Opened<'_>, width: u16, height: u16) -> Result<Self> {
        let pty = native_pty_system()
            .openpty(PtySize {
                rows: height,
                cols: width,
                ..PtySize::default()
            })
            .context("opening a pseudo-terminal")?;
        let state = tempfile::tempdir()?;
        let mut command = CommandBuilder::new(opened.program);
        command.args(["run", opened.image, "--mode", opened.mode.name()]);
        // Far more calls than are stepped through: the application does not end.
        command.args(["--calls", "1000000"]);
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
            .with_context(|| format!("starting {}", opened.program.display()))?;
        let mut screen = Self {
            keys: pty.master.take_writer()?,
            child,
            bytes,
            shown: vt100::Parser::new(height, width, 0),
            _state: state,
        };
        // The pair must stay open as long as the screen.
        std::mem::forget(pty.master);
        screen.until(|screen| {
            screen.shown.screen().contents().contains("int main(") && screen.is_whole("■ arrived")
        })?;
        Ok(screen)
    }

    fn pid(&self) -> Result<u32> {
        self.child.process_id().context("the screen has ended")
    }

    fn until(&mut self, holds: impl Fn(&Self) -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            let left = end.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok((_, bytes)) => self.shown.process(&bytes),
                Err(_) => bail!(
                    "waiting for main on the screen, which shows:\n{}",
                    self.shown.screen().contents()
                ),
            }
        }
        Ok(())
    }

    /// One instruction, until the screen shows the stop and all about it.
    fn step(&mut self) -> Result<Painted> {
        let pressed = Instant::now();
        self.keys.write_all(b"i")?;
        self.keys.flush()?;
        self.settle(pressed, "■ step")
    }

    /// Until a drawing is whole that shows a stop and waits for no more answers about it.
    fn settle(&mut self, since: Instant, stop: &str) -> Result<Painted> {
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
                    if self.is_whole(stop) {
                        return Ok(painted);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "stepping: nothing more was painted; the screen shows:\n{}",
                        self.shown.screen().contents()
                    );
                }
                Err(RecvTimeoutError::Disconnected) => bail!("stepping: the screen has ended"),
            }
        }
    }

    /// Whether the bar tells of that stop, and of no answers that are under way.
    fn is_whole(&self, stop: &str) -> bool {
        let screen = self.shown.screen();
        let (_, width) = screen.size();
        let bar = screen.rows(0, width).next().unwrap_or_default();
        bar.contains(stop) && !bar.contains('…')
    }
}

impl Drop for Screen {
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

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

/// User and system time, by proc(5) in hundredths of a second.
fn cpu_seconds(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = text.rsplit(") ").next().unwrap_or_default();
    let field = |at: usize| rest.split(' ').nth(at)?.parse::<f64>().ok();
    field(11)
        .zip(field(12))
        .map_or(f64::NAN, |(user, system)| (user + system) / 100.0)
}

/// `VmRSS` of proc(5).
fn resident_mib(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .context("reading what memory the screen holds")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("/proc has no VmRSS")?
        .parse()?;
    Ok(kib / 1024.0)
}
