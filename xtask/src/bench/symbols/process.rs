//! One process, timed and weighed.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

/// What a tool took for a task.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Run {
    pub(super) seconds: Option<f64>,
    /// The most that was resident, its mapped pages of the file included.
    pub(super) resident_mib: Option<f64>,
    /// Of the whole process, the part without its start: as the tool itself measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inside_seconds: Option<f64>,
    /// Why there is no number, or what it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// A tool that needs longer is given up.
const DEADLINE: Duration = Duration::from_secs(300);

impl Run {
    pub(super) fn missing(why: impl Into<String>) -> Self {
        Self {
            note: Some(why.into()),
            ..Self::default()
        }
    }

    /// The one in the middle, by its time; one that is missing where any is.
    pub(super) fn median(mut runs: Vec<Self>) -> Self {
        let time = |run: &Self| run.seconds.unwrap_or(f64::NEG_INFINITY);
        runs.sort_by(|a, b| time(a).total_cmp(&time(b)));
        let middle = match runs.first() {
            Some(first) if first.seconds.is_none() => 0,
            _ => runs.len() / 2,
        };
        runs.into_iter().nth(middle).unwrap_or_default()
    }

    pub(super) fn time(&self) -> f64 {
        self.seconds.unwrap_or(f64::NAN)
    }

    pub(super) fn text(&self) -> String {
        match (self.seconds, self.resident_mib) {
            (Some(seconds), Some(mib)) => format!("{seconds:.3} s {mib:>5.0} MiB"),
            (Some(seconds), None) => format!("{seconds:.3} s"),
            _ => "-".to_owned(),
        }
    }
}

/// Runs it and gives what it wrote; `Err` says why there is nothing.
pub(super) fn timed(command: &mut Command) -> Result<(Run, String), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let errors = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let (Ok(to), Ok(errors_to)) = (output.reopen(), errors.reopen()) else {
        return Err("no temporary file can be opened".to_owned());
    };
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(to)
        .stderr(errors_to)
        .spawn()
        .map_err(|error| format!("{name} cannot be started ({error})"))?;
    // The last look before the end: /proc has no word of a process that is gone.
    let mut peak = 0.0_f64;
    let status = loop {
        peak = peak.max(resident_mib(child.id()).unwrap_or(0.0));
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if began.elapsed() > DEADLINE => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{name} was given up after {DEADLINE:?}"));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(error.to_string()),
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let text =
        |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    if !status.success() {
        let said = text(errors.path());
        let last = said.lines().last().unwrap_or("nothing").to_owned();
        return Err(format!("{name} ended with {status}; it said: {last}"));
    }
    let run = Run {
        seconds: Some(seconds),
        resident_mib: (peak > 0.0).then_some(peak),
        ..Run::default()
    };
    Ok((run, text(output.path())))
}

/// `VmHWM` of proc(5).
fn resident_mib(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}
