//! Redis's Tcl tests for an external server, as its own continuous integration runs them.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Instant, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use debugger::crossing::Setup;
use debugger::qemu::image::Image;

use super::guest::{Greeting, Guest, free_port};
use super::outcome::Outcome;
use crate::progress::Step;

/// Units that take seconds.
pub(super) const QUICK: [&str; 8] = [
    "unit/protocol",
    "unit/keyspace",
    "unit/info",
    "unit/type/incr",
    "unit/type/list-2",
    "unit/multi",
    "unit/pubsub",
    "unit/quit",
];

/// As in Redis's `.github/workflows/external.yml`; the rest is in `demo.toml`.
const ARGUMENTS: &str = "-- --enable-protected-configs yes --enable-debug-command yes \
                         --enable-module-command yes";

pub(crate) const GREETING: Greeting = Greeting {
    question: b"PING\r\n",
    answer: b"+PONG",
};

/// It takes a port on the tests' host and expects that the server cannot listen there.
const ON_ONE_HOST: &str = "CONFIG SET rollback on apply error";

/// Seconds without a finished test after which the suite gives up.
const PATIENCE: &str = "600";

/// # Errors
/// When the image does not boot, or the tests cannot be started.
pub(super) fn run(image: &Image, setup: &Setup, units: &[String]) -> Result<Outcome> {
    let logs = image.folder.join("suites");
    fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
    let log = logs.join(format!("{setup}.log"));
    let mut step = Step::start(format!("Redis's tests in mode {setup}"));
    let console = logs.join(format!("{setup}.console"));
    let guest = Guest::boot(image, setup, ARGUMENTS, GREETING, &console)?;
    let place = tempfile::tempdir().context("making a folder for the tests")?;
    lay_out(image, place.path(), clock_difference(guest.port)?)?;
    let started = Instant::now();
    let mut tclsh = Command::new("tclsh");
    tclsh
        .current_dir(place.path())
        .args(["tests/test_helper.tcl", "--host", "127.0.0.1", "--port"])
        .arg(guest.port.to_string())
        .args(["--tags", "-slow", "--durable", "--timeout", PATIENCE])
        .args(["--skiptest", ON_ONE_HOST])
        // Its two processes meet 32 ports below the base.
        .arg("--baseport")
        .arg((u32::from(free_port()?) + 32).to_string());
    for unit in units {
        tclsh.args(["--single", unit]);
    }
    let mut child = tclsh
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("starting tclsh; install it: apt-get install tcl")?;
    let mut file = File::create(&log).with_context(|| format!("making {}", log.display()))?;
    let mut reading = Reading::default();
    let output = child.stdout.take().context("tclsh has no output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = plain(&String::from_utf8_lossy(
            &line.context("reading what the tests print")?,
        ));
        writeln!(file, "{line}").with_context(|| format!("writing {}", log.display()))?;
        reading.take(&line);
        step.detail(&reading.at());
    }
    let status = child.wait().context("waiting for the tests")?;
    let mut outcome = reading.outcome;
    if !reading.ended {
        let early = format!("the suite ended early, in '{}' ({status})", reading.unit);
        outcome.complaints.push(early);
    }
    outcome.mode = setup.to_string();
    outcome.seconds = started.elapsed().as_secs_f64();
    outcome.first_reply_seconds = guest.first_reply_seconds;
    outcome.complaints.extend(guest.end());
    outcome.log = log;
    if outcome.passed + outcome.failed == 0 {
        bail!(
            "running Redis's tests in mode {setup}: none ran; see {}",
            outcome.log.display()
        );
    }
    step.done();
    Ok(outcome)
}

/// Milliseconds that the guest's clock is ahead of the host's at least, as Redis's TIME tells: the best of a few tries. A
/// clock that is a little behind the server's gives no time to live that is longer than what was asked.
fn clock_difference(port: u16) -> Result<i128> {
    let mut best = i128::MIN;
    for _ in 0..5 {
        best = best.max(time_of_redis(port)? - now()?);
    }
    Ok(best)
}

fn now() -> Result<i128> {
    let since = UNIX_EPOCH.elapsed().context("reading the host's clock")?;
    Ok(since.as_millis().cast_signed())
}

fn time_of_redis(port: u16) -> Result<i128> {
    let what = "asking Redis for the time";
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context(what)?;
    stream.write_all(b"TIME\r\n").context(what)?;
    let mut lines = BufReader::new(stream).lines();
    let mut numbers = Vec::new();
    // *2, $10, seconds, $6, microseconds
    for _ in 0..5 {
        let line = lines.next().context(what)?.context(what)?;
        numbers.push(line.parse::<i128>().ok());
    }
    let [_, _, Some(seconds), _, Some(micros)] = numbers.as_slice() else {
        bail!("{what}: the reply is no time");
    };
    Ok(seconds * 1000 + micros / 1000)
}

/// The tests compute times of expiry with Tcl's `clock`; the guest's clock lost time while it booted. This goes before them.
fn clock_of_the_guest(ahead: i128) -> String {
    format!(
        "rename clock host_clock\n\
         proc clock {{what args}} {{\n\
         \x20   if {{$args ne {{}}}} {{ return [host_clock $what {{*}}$args] }}\n\
         \x20   set micros [expr {{[host_clock microseconds] + {ahead} * 1000}}]\n\
         \x20   switch -- $what {{\n\
         \x20       seconds {{ return [expr {{$micros / 1000000}}] }}\n\
         \x20       milliseconds {{ return [expr {{$micros / 1000}}] }}\n\
         \x20       microseconds {{ return $micros }}\n\
         \x20       default {{ return [host_clock $what] }}\n\
         \x20   }}\n\
         }}\n"
    )
}

/// The tests write beside themselves, and look for Redis's programs in `src/`.
fn lay_out(image: &Image, place: &Path, ahead: i128) -> Result<()> {
    let tests = image.folder.join("sources/redis/tests");
    let status = Command::new("cp")
        .arg("-r")
        .args([&tests, &place.join("tests")])
        .status()
        .context("copying the tests: starting cp")?;
    if !status.success() {
        bail!(
            "copying the tests of {}: cp failed; build the image again with 'cargo xtask image redis --force'",
            tests.display()
        );
    }
    let main = place.join("tests/test_helper.tcl");
    let text = fs::read_to_string(&main).with_context(|| format!("reading {}", main.display()))?;
    fs::write(&main, clock_of_the_guest(ahead) + &text)
        .with_context(|| format!("writing {}", main.display()))?;
    fs::create_dir_all(place.join("tests/tmp")).context("making a folder for the tests")?;
    std::os::unix::fs::symlink(image.folder.join("bin"), place.join("src"))
        .context("linking Redis's programs beside the tests")
}

/// What was read of the suite's output so far.
#[derive(Debug, Default)]
struct Reading {
    outcome: Outcome,
    unit: String,
    /// A failure whose message is on the line that comes.
    failing: Option<String>,
    ended: bool,
}

impl Reading {
    /// A line without colours: `[ok]: NAME (3 ms)`, `[err]: NAME in tests/unit/x.tcl` and its message below, `[skip]: NAME`,
    /// `[ignore]: REASON`, `[exception]: TEXT`, `Testing unit/x`.
    fn take(&mut self, line: &str) {
        if let Some(name) = self.failing.take() {
            self.outcome.fail(&name, line.trim());
        }
        if let Some(unit) = line.strip_prefix("Testing ") {
            self.unit = unit.to_owned();
        } else if let Some(name) = line.strip_prefix("[ok]: ") {
            let name = name.rsplit_once(" (").map_or(name, |(name, _)| name);
            let name = self.named(name);
            self.outcome.pass(&name);
        } else if let Some(name) = line.strip_prefix("[err]: ") {
            let name = name
                .rsplit_once(" in tests/")
                .map_or(name, |(name, _)| name);
            self.failing = Some(self.named(name));
        } else if line.starts_with("[skip]: ") || line.starts_with("[ignore]: ") {
            self.outcome.skipped += 1;
        } else if let Some(text) = line.strip_prefix("[exception]: ") {
            let name = self.named("an exception outside a test");
            self.outcome.fail(&name, text);
        } else if line.trim() == "The End" {
            self.ended = true;
        }
    }

    fn named(&self, test: &str) -> String {
        format!("{}: {test}", self.unit)
    }

    fn at(&self) -> String {
        format!(
            "{} passed, {} failed, {}",
            self.outcome.passed, self.outcome.failed, self.unit
        )
    }
}

/// A line without the terminal's colours.
fn plain(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Reading, plain};

    #[test]
    fn what_the_suite_prints_is_read() {
        let printed = "\x1b[1;37;49mTesting unit/dump\x1b[0m\n\
            [\x1b[0;32;49mok\x1b[0m]: RESTORE can set (a TTL) (4 ms)\n\
            [\x1b[0;31;49merr\x1b[0m]: RESTORE fails in tests/unit/dump.tcl\n\
            Expected 'a' to equal or match 'b'\n\
            [\x1b[0;36;49mignore\x1b[0m]: MIGRATE: Not supported on external server\n\
            [\x1b[0;33;49mskip\x1b[0m]: another\n\
            \n                   The End\n";
        let mut reading = Reading::default();
        printed.lines().for_each(|line| reading.take(&plain(line)));
        assert!(reading.ended);
        let outcome = reading.outcome;
        assert_eq!((outcome.passed, outcome.failed, outcome.skipped), (1, 1, 2));
        assert!(
            outcome
                .passes
                .contains("unit/dump: RESTORE can set (a TTL)")
        );
        assert_eq!(
            outcome.failures["unit/dump: RESTORE fails"],
            "Expected 'a' to equal or match 'b'"
        );
    }
}
