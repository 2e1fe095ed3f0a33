//! Running the tools of a build: a fixed environment, a log, and the log's end in the error.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// How much of a log an error shows.
const TAIL_LINES: usize = 15;

/// What a build may see of the user's environment: where programs and temporary files are, and how to reach the network.
const KEPT: [&str; 9] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// A command whose result does not depend on the user's environment: no MAKEFLAGS, CROSS_COMPILE, CFLAGS or locale.
#[must_use]
pub(crate) fn tool(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").env("TZ", "UTC");
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the command; every line of its output goes to the log and to `on_line`.
///
/// # Errors
/// When it does not start, fails, or the log cannot be written: with the last lines and the log's path.
pub(crate) fn logged(
    mut command: Command,
    what: &str,
    log: &Path,
    mut on_line: impl FnMut(&str),
) -> Result<()> {
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("{what}: opening the log {}", log.display()))?;
    let (reader, writer) = io::pipe().with_context(|| format!("{what}: making a pipe"))?;
    let second = writer
        .try_clone()
        .with_context(|| format!("{what}: making a pipe"))?;
    command.stdout(writer).stderr(second);
    let described = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    let mut child = command.spawn().with_context(|| {
        format!(
            "{what}: starting {}; is it installed?",
            command.get_program().display()
        )
    })?;
    // The command holds the pipe's writing ends: without this the reader would wait for ever.
    drop(command);
    let mut tail = VecDeque::new();
    let mut log_full = None;
    for line in BufReader::new(reader).split(b'\n') {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Err(error) = writeln!(file, "{line}") {
            // The command goes on: it is its own result that counts.
            log_full.get_or_insert(error);
        }
        on_line(&line);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    let status = child
        .wait()
        .with_context(|| format!("{what}: waiting for it"))?;
    if status.success() {
        return Ok(());
    }
    let tail: Vec<String> = tail.into_iter().map(|line| format!("    {line}")).collect();
    let full = log_full.map_or(String::new(), |error| {
        format!("\n(the log is not complete: {error})")
    });
    bail!(
        "{what}: {status}; the last lines of {} are\n\n{}\n\nIt was run as {}{full}",
        log.display(),
        tail.join("\n"),
        described
    )
}

/// Standard output of a command that must succeed.
pub(crate) fn output(mut command: Command, what: &str) -> Result<String> {
    let program = command.get_program().display().to_string();
    let output = command
        .output()
        .with_context(|| format!("{what}: starting {program}; is it installed?"))?;
    if !output.status.success() {
        bail!(
            "{what}: {program} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first line a tool says of its version.
pub(crate) fn version(program: &str) -> Result<String> {
    let mut command = tool(program);
    command.arg("--version");
    let text = output(command, "asking for a version")?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Removes a file or a folder with all in it, whatever is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    result.with_context(|| format!("removing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{logged, tool};

    #[test]
    fn a_failure_shows_the_end_of_the_log_and_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("build.log");
        let mut command = tool("sh");
        command.args(["-c", "for i in $(seq 40); do echo line $i; done; exit 3"]);
        let error = logged(command, "building it", &log, |_| {})
            .unwrap_err()
            .to_string();
        assert!(error.contains("building it"), "{error}");
        assert!(error.contains("    line 40\n"), "{error}");
        assert!(!error.contains("line 20\n"), "{error}");
        assert!(error.contains(&log.display().to_string()), "{error}");
        assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 40);
    }

    #[test]
    fn the_environment_of_the_user_does_not_reach_a_build() {
        let folder = tempfile::tempdir().unwrap();
        let mut lines = Vec::new();
        let log = folder.path().join("log");
        logged(tool("env"), "looking", &log, |line| {
            lines.push(line.to_owned())
        })
        .unwrap();
        assert!(lines.iter().any(|line| line == "LC_ALL=C"));
        assert!(
            !lines.iter().any(|line| line.starts_with("CARGO")),
            "{lines:?}"
        );
    }
}
