//! The servers that are known here, what they are asked, and one boot that answers.

use anyhow::{Context as _, Result, bail};
use debugger::crossing::Setup;
use debugger::qemu::image::Image;

use super::client::{Ask, Asks, Connections, Measured};
use crate::bench::cpu::cpu_seconds;
use crate::suites::guest::{Greeting, Guest};
use crate::suites::{memcached, redis};

/// Requests that are measured together.
#[derive(Debug)]
pub(super) struct Kind {
    /// `SET`, `1 set to 10 gets`.
    pub(super) name: &'static str,
    /// The requests in it as the image's `[request]` names them, and how many of each.
    pub(super) of: &'static [(&'static str, f64)],
    asks: Asks,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) image: &'static str,
    pub(super) client: &'static str,
    pub(super) kinds: &'static [Kind],
    greeting: Greeting,
    /// Sets every key that is asked for, by its number below [`Server::keys`].
    fill: fn(usize) -> Ask,
    keys: usize,
}

const SERVERS: &[Server] = &[
    Server {
        image: "redis",
        client: "the requests of redis-benchmark: one key, a value of 3 bytes",
        kinds: &[
            Kind {
                name: "SET",
                of: &[("SET", 1.0)],
                asks: |_, _| redis_set(),
            },
            Kind {
                name: "GET",
                of: &[("GET", 1.0)],
                asks: |_, _| redis_get(),
            },
        ],
        greeting: redis::GREETING,
        fill: |_| redis_set(),
        keys: 1,
    },
    Server {
        image: "memcached",
        client: "requests like memtier_benchmark's: 1,000 keys, values of 32 bytes, ten gets to a set",
        kinds: &[Kind {
            name: "1 set to 10 gets",
            of: &[("set", 1.0), ("get", 10.0)],
            asks: memcached_mix,
        }],
        greeting: memcached::GREETING,
        fill: memcached_set,
        keys: 1000,
    },
];

fn redis_set() -> Ask {
    Ask {
        request: "*3\r\n$3\r\nSET\r\n$16\r\nkey:__rand_int__\r\n$3\r\nxxx\r\n".to_owned(),
        answer: "+OK\r\n".to_owned(),
    }
}

fn redis_get() -> Ask {
    Ask {
        request: "*2\r\n$3\r\nGET\r\n$16\r\nkey:__rand_int__\r\n".to_owned(),
        answer: "$3\r\nxxx\r\n".to_owned(),
    }
}

const VALUE: &str = "0123456789abcdef0123456789abcdef";

fn memcached_set(key: usize) -> Ask {
    Ask {
        request: format!("set memtier-{key} 0 0 {}\r\n{VALUE}\r\n", VALUE.len()),
        answer: "STORED\r\n".to_owned(),
    }
}

fn memcached_mix(connection: usize, i: usize) -> Ask {
    // A prime, so that every key has its turn.
    let key = (connection * 31 + i * 7919) % 1000;
    if (connection + i).is_multiple_of(11) {
        return memcached_set(key);
    }
    Ask {
        request: format!("get memtier-{key}\r\n"),
        answer: format!(
            "VALUE memtier-{key} 0 {}\r\n{VALUE}\r\nEND\r\n",
            VALUE.len()
        ),
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) connections: usize,
    /// Of each kind.
    pub(super) requests: usize,
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
        let what = || {
            let console = console.display();
            format!(
                "loading {} in mode {setup}; its console is in {console}",
                self.image
            )
        };
        let guest = Guest::boot(image, setup, "", self.greeting, &console)?;
        let kinds = self.load(&guest, load).with_context(what)?;
        let first_reply_s = guest.first_reply_seconds;
        if let Some(first) = guest.end().first() {
            bail!("{}: the kernel says '{first}'", what());
        }
        Ok(Boot {
            first_reply_s,
            kinds,
        })
    }

    fn load(&self, guest: &Guest, load: Load) -> Result<Vec<OfKind>> {
        let first = (self.fill)(0);
        let mut open = Connections::open(guest.port, load.connections, &first)?;
        for key in 1..self.keys {
            open.ask(&(self.fill)(key))?;
        }
        let kinds = self.kinds.iter().map(|kind| {
            // Caches of all kinds, and translated code.
            open.load(kind.asks, load.requests / 10)?;
            let before = cpu_seconds(guest.pid())?;
            let client = open.load(kind.asks, load.requests)?;
            let cpu_s = cpu_seconds(guest.pid())? - before;
            Ok(OfKind {
                client,
                cpu_us: cpu_s * 1e6 / client.requests as f64,
            })
        });
        kinds.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{SERVERS, VALUE, memcached_mix};

    #[test]
    fn a_load_is_of_the_kinds_it_names() {
        assert_eq!(VALUE.len(), 32);
        let sets = |connection| {
            let asks = (0..1100).map(|i| memcached_mix(connection, i));
            asks.filter(|ask| ask.request.starts_with("set ")).count()
        };
        assert_eq!((sets(0), sets(5)), (100, 100));
        // Every key that is asked for was set.
        for i in 0..2000 {
            let request = memcached_mix(3, i).request;
            let name = request.split([' ', '\r']).nth(1).unwrap_or_default();
            let key: usize = name.strip_prefix("memtier-").unwrap().parse().unwrap();
            assert!(key < SERVERS[1].keys, "{request}");
        }
    }
}
