//! memcached's Perl tests that can use a running server (`T_MEMD_USE_DAEMON`), each with the server's arguments that it asks for.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use debugger::crossing::Setup;
use debugger::qemu::image::Image;

use super::guest::{Greeting, Guest};
use super::outcome::Outcome;
use crate::progress::Step;

pub(crate) const GREETING: Greeting = Greeting {
    question: b"version\r\n",
    answer: b"VERSION",
};

/// Seconds for one file of tests: the longest takes half a minute.
const PATIENCE: &str = "120";

/// Tests of expiry compare the guest's clock with the host's, and on a busy host the emulated one falls behind.
const TRIES: usize = 3;

/// Files that take a second each.
pub(super) const QUICK: [&str; 5] = [
    "cas.t",
    "flags.t",
    "incrdecr.t",
    "noreply.t",
    "binary-get.t",
];

/// Arguments of a server that is not there for others: another address, a daemon, one that shuts down, SASL, one that does not
/// speak the greeting's protocol.
const NOT_FROM_OUTSIDE: [&str; 6] = ["-l", "-d", "-A", "-S", "-P", "-B"];

/// # Errors
/// When the image does not boot, or the tests cannot be started.
pub(super) fn run(image: &Image, setup: &Setup, units: &[String]) -> Result<Outcome> {
    let logs = image.folder.join("suites");
    fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
    let log = logs.join(format!("{setup}.log"));
    let mut file = File::create(&log).with_context(|| format!("making {}", log.display()))?;
    let place = tempfile::tempdir().context("making a folder for the tests")?;
    let tests = lay_out(image, place.path())?;
    let mut step = Step::start(format!("memcached's tests in mode {setup}"));
    let started = Instant::now();
    let mut outcome = Outcome {
        mode: setup.to_string(),
        ..Outcome::default()
    };
    let found = with_arguments(&tests, image.manifest.memory_mib)?;
    if let Some(unit) = units.iter().find(|unit| !found.contains_key(*unit)) {
        bail!(
            "running memcached's {unit}: it is not among the tests that can use a running server: {}",
            found.into_keys().collect::<Vec<_>>().join(", ")
        );
    }
    for (name, arguments) in found {
        if !units.is_empty() && !units.contains(&name) {
            continue;
        }
        let mut file_outcome = Outcome::default();
        for tried in 0..TRIES {
            step.detail(&format!(
                "{} passed, {} failed, {name}",
                outcome.passed, outcome.failed
            ));
            let console = logs.join(format!("{setup}.{name}.console"));
            // One test's clock and counters are another's surprise: each has a server of its own.
            let guest = Guest::boot(image, setup, &format!("-- {arguments}"), GREETING, &console);
            let guest = match guest {
                Ok(guest) => guest,
                Err(error) => {
                    file_outcome.fail(&format!("{name}: its server"), &format!("{error:#}"));
                    break;
                }
            };
            let text = perl(place.path(), &name, guest.port)?;
            writeln!(file, "== {name} ({arguments})\n{text}")
                .with_context(|| format!("writing {}", log.display()))?;
            if outcome.first_reply_seconds == 0.0 {
                outcome.first_reply_seconds = guest.first_reply_seconds;
            }
            outcome.complaints.extend(guest.end());
            file_outcome = Outcome::default();
            read(&name, &text, &mut file_outcome);
            outcome.again += usize::from(tried > 0 && file_outcome.failed == 0);
            if file_outcome.failed == 0 {
                break;
            }
        }
        outcome.add(file_outcome);
    }
    outcome.seconds = started.elapsed().as_secs_f64();
    outcome.log = log;
    if outcome.passed + outcome.failed == 0 {
        bail!(
            "running memcached's tests in mode {setup}: none ran; see {}",
            outcome.log.display()
        );
    }
    step.done();
    Ok(outcome)
}

/// The tests, and the program under the name by which they ask it for its options. Gives their folder.
fn lay_out(image: &Image, place: &Path) -> Result<PathBuf> {
    let what = "laying out memcached's tests";
    let tests = image.folder.join("sources/memcached/t");
    let link = |from: &Path, name: &str| {
        std::os::unix::fs::symlink(from, place.join(name))
            .with_context(|| format!("{what}: linking {}", from.display()))
    };
    link(&tests, "t")?;
    link(&image.twin(), "memcached-debug")?;
    Ok(tests)
}

/// The files of tests, and the arguments with which each starts its server; those that start several, or one with more memory
/// than the guest has, are left out.
fn with_arguments(tests: &Path, memory_mib: u32) -> Result<BTreeMap<String, String>> {
    let what = || format!("listing {}; build the image again", tests.display());
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(tests).with_context(what)? {
        let name = entry.with_context(what)?.file_name();
        let name = name.to_string_lossy().into_owned();
        if !name.ends_with(".t") {
            continue;
        }
        let text = fs::read_to_string(tests.join(&name)).with_context(what)?;
        if let Some(arguments) = arguments(&text).filter(|words| fits(words, memory_mib)) {
            found.insert(name, arguments);
        }
    }
    Ok(found)
}

/// What the one call of `new_memcached` in a test passes; none where it is not the same in all, or known only as it runs.
fn arguments(test: &str) -> Option<String> {
    let mut found: Option<String> = None;
    for rest in test.split("new_memcached(").skip(1) {
        let (inside, _) = rest.split_once(')')?;
        let inside = inside.trim();
        let words = match inside.chars().next() {
            None => "",
            Some(quote @ ('"' | '\'')) => inside.strip_prefix(quote)?.strip_suffix(quote)?,
            Some(_) => return None,
        };
        if words.contains(['$', '"', '\'']) || found.as_ref().is_some_and(|found| found != words) {
            return None;
        }
        if words
            .split(' ')
            .any(|word| NOT_FROM_OUTSIDE.contains(&word))
        {
            return None;
        }
        found = Some(words.to_owned());
    }
    found
}

/// Whether the memory that `-m` asks for is less than the guest's.
fn fits(arguments: &str, memory_mib: u32) -> bool {
    let mut words = arguments
        .split(' ')
        .skip_while(|word| *word != "-m")
        .skip(1);
    let asked = words.next().and_then(|word| word.parse::<u32>().ok());
    asked.is_none_or(|asked| asked < memory_mib)
}

/// What one file of tests prints.
fn perl(place: &Path, name: &str, port: u16) -> Result<String> {
    let output = Command::new("timeout")
        .args([PATIENCE, "perl", &format!("t/{name}")])
        .current_dir(place)
        .env("T_MEMD_USE_DAEMON", format!("127.0.0.1:{port}"))
        // A test that ends kills its server, which it has not: that is to reach nobody else.
        .process_group(0)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .context("starting perl; install it: apt-get install perl")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads the Test Anything Protocol: `1..3`, `ok 1 - NAME`, `not ok 2 - NAME`, `ok 3 # skip WHY`, `1..0 # SKIP WHY`.
fn read(name: &str, text: &str, outcome: &mut Outcome) {
    let (mut planned, mut seen) = (None, 0);
    for line in text.lines() {
        if let Some(plan) = line.strip_prefix("1..") {
            let (count, why) = plan.split_once(' ').unwrap_or((plan, ""));
            planned = count.parse::<usize>().ok();
            outcome.skipped += usize::from(planned == Some(0) && !why.is_empty());
            continue;
        }
        let (passed, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => continue,
        };
        seen += 1;
        let test = format!("{name}: {rest}");
        if rest.to_ascii_lowercase().contains("# skip") {
            outcome.skipped += 1;
        } else if passed {
            outcome.pass(&test);
        } else {
            outcome.fail(&test, "not ok");
        }
    }
    if planned != Some(seen) {
        let planned = planned.map_or("an unknown number".to_owned(), |planned| {
            planned.to_string()
        });
        outcome.fail(
            &format!("{name}: its end"),
            &format!("{seen} of {planned} tests ran"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, arguments, fits, read};

    #[test]
    fn the_servers_arguments_are_read_from_a_test() {
        assert_eq!(arguments("my $s = new_memcached();"), Some(String::new()));
        assert_eq!(
            arguments("new_memcached('-m 3'); new_memcached(\"-m 3\")"),
            Some("-m 3".to_owned())
        );
        assert_eq!(arguments("new_memcached('-m 3'); new_memcached()"), None);
        assert_eq!(arguments("new_memcached(\"-e $path\")"), None);
        assert_eq!(arguments("new_memcached($args)"), None);
        assert_eq!(arguments("new_memcached('-m 3 -l 127.0.0.1')"), None);
        assert_eq!(arguments("new_memcached('-B binary')"), None);
        assert_eq!(arguments("print 1;"), None);
        assert!(fits("", 512) && fits("-M -m 64", 512));
        assert!(!fits("-m 4098 -M", 512));
    }

    #[test]
    fn what_a_test_prints_is_read() {
        let mut outcome = Outcome::default();
        read(
            "a.t",
            "1..3\nok 1 - x\nnot ok 2 - y\nok 3 # skip no z\n",
            &mut outcome,
        );
        read("b.t", "1..0 # SKIP no b\n", &mut outcome);
        assert_eq!((outcome.passed, outcome.failed, outcome.skipped), (1, 1, 2));
        assert_eq!(outcome.failures["a.t: 2 - y"], "not ok");
        read("c.t", "1..2\nok 1\n", &mut outcome);
        assert_eq!(outcome.failures["c.t: its end"], "1 of 2 tests ran");
    }
}
