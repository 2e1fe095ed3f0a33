//! What a loaded server did, and by which client.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use debugger::crossing::Setup;
use debugger::qemu::image::Image;

use super::{memtier, redis_benchmark};
use crate::suites::guest::{Greeting, Guest};
use crate::suites::{memcached, redis};

/// Requests that are measured together.
#[derive(Debug)]
pub(super) struct Kind {
    /// `SET`, `1 set to 10 gets`.
    pub(super) name: &'static str,
    /// The requests in it as the image's `[request]` names them, and how many of each.
    pub(super) of: &'static [(&'static str, f64)],
}

/// A server that is known here, and how it is loaded.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) image: &'static str,
    pub(super) client: &'static str,
    pub(super) kinds: &'static [Kind],
    greeting: Greeting,
    /// Before any load.
    prepare: fn(u16) -> Result<()>,
    load: fn(&Image, u16, &Kind, Load) -> Result<Measured>,
}

const SERVERS: &[Server] = &[
    Server {
        image: "redis",
        client: redis_benchmark::DESCRIPTION,
        kinds: redis_benchmark::KINDS,
        greeting: redis::GREETING,
        prepare: |_| Ok(()),
        load: redis_benchmark::load,
    },
    Server {
        image: "memcached",
        client: memtier::DESCRIPTION,
        kinds: memtier::KINDS,
        greeting: memcached::GREETING,
        prepare: memtier::fill,
        load: memtier::load,
    },
];

#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) connections: usize,
    /// Of each kind.
    pub(super) requests: usize,
}

/// What a client measured of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) requests: usize,
    pub(super) per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct OfKind {
    pub(super) client: Measured,
    /// Of QEMU, all its threads, per request.
    pub(super) cpu_us: f64,
}

/// What one boot did.
#[derive(Clone, Debug)]
pub(super) struct Boot {
    /// From the guest's first instruction to the first answer.
    pub(super) first_reply_s: f64,
    /// In the order of the server's kinds.
    pub(super) kinds: Vec<OfKind>,
}

impl Server {
    /// # Errors
    /// When nothing is known to ask that image.
    pub(super) fn of(image: &str) -> Result<&'static Self> {
        let known = SERVERS.iter().find(|server| server.image == image);
        known.with_context(|| {
            let names: Vec<&str> = SERVERS.iter().map(|server| server.image).collect();
            format!(
                "loading {image}: it is no server that is known here; give one of {}",
                names.join(", ")
            )
        })
    }

    /// Boots the image and loads it.
    ///
    /// # Errors
    /// When it does not boot, an answer is wrong, or the kernel complains.
    pub(super) fn boot(&self, image: &Image, setup: &Setup, load: Load) -> Result<Boot> {
        let logs = image.folder.join("bench");
        std::fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
        let console = logs.join(format!("{setup}.console"));
        let guest = Guest::boot(image, setup, "", self.greeting, &console)?;
        let kinds = self.kinds.iter().map(|kind| {
            // Caches of all kinds, translated code, and the connections' windows.
            (self.load)(image, guest.port, kind, load.warm_up())?;
            let before = cpu_seconds(guest.pid())?;
            let client = (self.load)(image, guest.port, kind, load)?;
            let cpu_s = cpu_seconds(guest.pid())? - before;
            Ok(OfKind {
                client,
                cpu_us: cpu_s * 1e6 / client.requests as f64,
            })
        });
        let prepared = (self.prepare)(guest.port);
        let kinds = prepared.and_then(|()| kinds.collect::<Result<_>>());
        let kinds = kinds.with_context(|| {
            format!(
                "loading {} in mode {setup}; its console is in {}",
                self.image,
                console.display()
            )
        })?;
        let first_reply_s = guest.first_reply_seconds;
        let complaints = guest.end();
        if let Some(first) = complaints.first() {
            bail!(
                "loading {} in mode {setup}: the kernel says '{first}'; its console is in {}",
                self.image,
                console.display()
            );
        }
        Ok(Boot {
            first_reply_s,
            kinds,
        })
    }
}

impl Load {
    fn warm_up(self) -> Self {
        Self {
            requests: (self.requests / 10).max(self.connections),
            ..self
        }
    }
}

/// What a process and its threads took so far: `utime` and `stime` of proc(5), in hundredths of a second.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(Path::new(&path))
        .with_context(|| format!("reading {path}, for the time QEMU took"))?;
    // The second field is a name in parentheses, which may hold anything; the third follows it.
    let rest = text.rsplit(") ").next().unwrap_or_default();
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
        bail!("reading {path}, for the time QEMU took: its 14th and 15th field are no numbers");
    };
    Ok((user + system) / 100.0)
}
