//! How every bench ends: one JSON document, or lines.

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;

/// The machine that measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Host {
    pub(super) cpus: usize,
    /// Of one minute, when the measurement ended: other work on the machine makes all of it slower.
    pub(super) load_average: f64,
}

impl Host {
    pub(super) fn now() -> Self {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let first = text.split(' ').next().unwrap_or_default();
        Self {
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            load_average: first.parse().unwrap_or(f64::NAN),
        }
    }

    pub(super) fn line(self) -> String {
        format!("{} CPUs, load {:.1}", self.cpus, self.load_average)
    }
}

/// # Errors
/// When standard output cannot be written.
pub(super) fn report<R: Serialize>(
    report: &R,
    json: bool,
    lines: impl FnOnce(&R) -> Vec<String>,
) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
        return Ok(());
    }
    for line in lines(report) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
