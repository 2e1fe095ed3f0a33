//! What `trace` and `compare` share: options from the command line, progress, Ctrl-C.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, bail};
use debugger::addr::Insns;
use debugger::crossing::Setup;
use debugger::event::Event;
use debugger::session::trace_switch::Switch;

/// `5s`, `300ms`, `2m`, or a number of seconds.
///
/// # Errors
/// When the text is none of these.
pub fn duration(text: &str) -> anyhow::Result<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        unit => bail!("reading the time '{text}': '{unit}' is no unit; use ms, s or m, such as 5s"),
    };
    let number: f64 = digits
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && (0.0..1e9).contains(number))
        .with_context(|| format!("reading the time '{text}': no number; write it such as 5s"))?;
    Ok(Duration::from_secs_f64(number * scale))
}

/// Set by Ctrl-C, which ends the run and keeps what was recorded. A second one ends the program.
///
/// # Errors
/// When the signal cannot be caught.
pub fn cancel_by_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&cancel))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&cancel)))
            .context("catching Ctrl-C: the system refused; run it again")?;
    }
    Ok(cancel)
}

/// SIGUSR1 stops recording, and goes on with it.
///
/// # Errors
/// When the signal cannot be caught.
pub fn turn_by_signal(switch: &Switch) -> anyhow::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGUSR1])
        .context("catching SIGUSR1: the system refused; run it again")?;
    let switch = switch.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || signals.forever().for_each(|_| switch.turn()))
        .context("starting a thread for signals: the system refused; run it again")?;
    Ok(())
}

/// One line on a terminal's error stream, written over itself.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    terminal: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            shown: false,
            terminal: std::io::stderr().is_terminal(),
        }
    }
}

impl Progress {
    pub fn event(&mut self, mode: &Setup, event: &Event) {
        if let Event::Notice(words) = event {
            // What the figures hang on is in the report.
            let _ = writeln!(std::io::stderr(), "{words}");
        }
        if let Event::Trace(news) = event
            && self.terminal
        {
            self.shown = true;
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(
                std::io::stderr(),
                "\rtracing mode {mode}: {} events, {:.1} million a second   ",
                Insns(news.events),
                news.events_per_s / 1e6
            );
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r{:70}\r", "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("5s").unwrap(), Duration::from_secs(5));
        assert_eq!(duration("0.5").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("300ms").unwrap(), Duration::from_millis(300));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        for wrong in ["", "s", "5h", "-1s", "nan"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
