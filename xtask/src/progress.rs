//! Long work on the terminal: named steps, a percentage where one is known, plain lines elsewhere.

#![expect(
    clippy::print_stderr,
    reason = "the one place where xtask speaks of its progress"
)]

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a line on a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(100);

/// One named piece of work, from its start until `done` or its end by an error.
#[derive(Debug)]
pub(crate) struct Step {
    name: String,
    started: Instant,
    drawn: Option<Instant>,
    terminal: bool,
    finished: bool,
}

impl Step {
    #[must_use]
    pub(crate) fn start(name: impl Into<String>) -> Self {
        let step = Self {
            name: name.into(),
            started: Instant::now(),
            drawn: None,
            terminal: io::stderr().is_terminal(),
            finished: false,
        };
        if step.terminal {
            draw(&format!("  {} ...", step.name));
        } else {
            eprintln!("  {} ...", step.name);
        }
        step
    }

    /// Shows how far the work is; `total` may be an estimate, so 100 % is kept for the end.
    pub(crate) fn percent(&mut self, done: usize, total: usize) {
        let percent = (done * 100 / total.max(1)).min(99);
        self.detail(&format!("{percent:3} %"));
    }

    /// Shows what the work is at, on a terminal alone.
    pub(crate) fn detail(&mut self, text: &str) {
        if !self.terminal || self.drawn.is_some_and(|at| at.elapsed() < REDRAW) {
            return;
        }
        self.drawn = Some(Instant::now());
        let text: String = text.chars().take(50).collect();
        draw(&format!("  {} {text}", self.name));
    }

    pub(crate) fn done(mut self) {
        self.finished = true;
        let seconds = self.started.elapsed().as_secs_f64();
        if self.terminal {
            draw(&format!("  {} done ({seconds:.1} s)\n", self.name));
        } else {
            eprintln!("  {} done ({seconds:.1} s)", self.name);
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.finished && self.terminal {
            draw(&format!("  {} failed\n", self.name));
        }
    }
}

/// A line of its own, for what is no step.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Replaces the terminal's current line. A terminal that went away is no reason to stop the work.
fn draw(line: &str) {
    let mut out = io::stderr().lock();
    let _ = write!(out, "\r\x1b[2K{line}");
    let _ = out.flush();
}
