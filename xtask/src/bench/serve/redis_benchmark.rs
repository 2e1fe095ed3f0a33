//! Redis's own client, on the host: it is built with the image.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use debugger::qemu::image::Image;

use super::load::{Kind, Load, Measured};

pub(super) const DESCRIPTION: &str = "redis-benchmark, one key, values of 3 bytes, no pipelining";

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "SET",
        of: &[("SET", 1.0)],
    },
    Kind {
        name: "GET",
        of: &[("GET", 1.0)],
    },
];

/// Only a guest that hangs reaches it.
const DEADLINE: Duration = Duration::from_secs(300);

const LOOK: Duration = Duration::from_millis(20);

pub(super) fn load(image: &Image, port: u16, kind: &Kind, load: Load) -> Result<Measured> {
    let program = image.folder.join("bin/redis-benchmark");
    let mut client = Command::new(&program)
        .args(["-h", "127.0.0.1", "--csv", "-d", "3"])
        .args(["-p", &port.to_string()])
        .args(["-c", &load.connections.to_string()])
        .args(["-n", &load.requests.to_string()])
        .args(["-t", &kind.name.to_lowercase()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| {
            format!(
                "starting {}; build the image again: 'cargo xtask image redis --force'",
                program.display()
            )
        })?;
    let started = Instant::now();
    // What it prints is a few lines, which the pipes hold.
    let status = loop {
        if let Some(status) = client.try_wait().context("waiting for redis-benchmark")? {
            break status;
        }
        if started.elapsed() > DEADLINE {
            client.kill().context("ending redis-benchmark")?;
            client.wait().context("ending redis-benchmark")?;
            bail!("redis-benchmark did not end within {DEADLINE:?}: the server hangs");
        }
        std::thread::sleep(LOOK);
    };
    let (mut printed, mut said) = (String::new(), String::new());
    if let (Some(mut out), Some(mut err)) = (client.stdout.take(), client.stderr.take()) {
        out.read_to_string(&mut printed)
            .context("reading what redis-benchmark prints")?;
        err.read_to_string(&mut said)
            .context("reading what redis-benchmark says")?;
    }
    if !status.success() {
        bail!("redis-benchmark failed ({status}): '{}'", said.trim());
    }
    read(&printed, kind.name, load.requests).with_context(|| {
        format!(
            "redis-benchmark printed no figures of {}: '{printed}'",
            kind.name
        )
    })
}

/// `"test","rps",…,"p50_latency_ms",…` and below it `"SET","5036.00",…`.
fn read(csv: &str, test: &str, requests: usize) -> Option<Measured> {
    let split = |line: &str| -> Vec<String> {
        let fields = line.split(',');
        fields
            .map(|field| field.trim_matches('"').to_owned())
            .collect()
    };
    let mut lines = csv.lines().map(split);
    let head = lines.find(|fields| fields.first().is_some_and(|first| first == "test"))?;
    let figures = lines.find(|fields| fields.first().is_some_and(|first| first == test))?;
    let named = |name: &str| {
        let at = head.iter().position(|field| field == name)?;
        figures.get(at)?.parse().ok()
    };
    Some(Measured {
        requests,
        per_s: named("rps")?,
        p50_ms: named("p50_latency_ms")?,
        p99_ms: named("p99_latency_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn figures_are_found_by_their_names() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
                   \"p99_latency_ms\",\"max_latency_ms\"\n\
                   \"SET\",\"5036.00\",\"2.1\",\"0.5\",\"1.991\",\"4.0\",\"6.127\",\"30.0\"\n";
        let read_set = read(csv, "SET", 1000).unwrap();
        assert_eq!(read_set.per_s, 5036.0);
        assert_eq!((read_set.p50_ms, read_set.p99_ms), (1.991, 6.127));
        assert!(read(csv, "GET", 1000).is_none());
        assert!(read("", "SET", 1000).is_none());
    }
}
