//! The real screen in a terminal of its own, stepped by its keys.

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use debugger::crossing::Mode;
use serde::Serialize;

use crate::bench::cpu::cpu_seconds;
use crate::bench::figures::percentile;
use crate::bench::terminal::{Painted, Terminal, resident_mib};
use crate::progress::{self, Step};

/// Between a screen that is painted and the next key, so that each step begins on an idle one.
const BETWEEN: Duration = Duration::from_millis(4);
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

struct Screen(Terminal);

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
        let before = cpu_seconds(screen.pid()?)?;
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
        let cpu = cpu_seconds(screen.pid()?)? - before;
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
        let mut arguments = vec!["run", opened.image, "--mode", opened.mode.name()];
        // Far more calls than are stepped through: the application does not end.
        arguments.extend(["--calls", "1000000"]);
        let arguments = arguments.into_iter().map(OsStr::new);
        let mut terminal = Terminal::start(opened.program, arguments, (width, height))?;
        terminal.until("main on the screen", |screen| {
            screen.contents().contains("int main(") && is_whole(screen, "■ arrived")
        })?;
        Ok(Self(terminal))
    }

    fn pid(&self) -> Result<u32> {
        self.0.pid()
    }

    /// One instruction, until the screen shows the stop and all about it.
    fn step(&mut self) -> Result<Painted> {
        let pressed = Instant::now();
        self.0.press("i")?;
        self.0
            .drawn_until(pressed, |screen| is_whole(screen, "■ step"))
            .context("stepping")
    }
}

/// Whether the bar tells of that stop, and of no answers that are under way.
fn is_whole(screen: &vt100::Screen, stop: &str) -> bool {
    let (_, width) = screen.size();
    let bar = screen.rows(0, width).next().unwrap_or_default();
    bar.contains(stop) && !bar.contains('…')
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
