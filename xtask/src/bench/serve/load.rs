//! Requests over the host's network, and one boot that answers them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use debugger::crossing::Setup;
use debugger::qemu::arguments::{GdbServer, Machine};
use debugger::qemu::image::Image;
use debugger::session::process::Qemu;
use debugger::session::trace::TraceOptions;

/// A request and the whole answer to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) name: &'static str,
    request: &'static str,
    answer: &'static str,
}

/// By image: the port, and what to ask in this order.
const SERVERS: &[(&str, u16, &[Ask])] = &[
    (
        "redis",
        6379,
        &[
            Ask {
                name: "SET",
                request: "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$3\r\nxxx\r\n",
                answer: "+OK\r\n",
            },
            Ask {
                name: "GET",
                request: "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n",
                answer: "$3\r\nxxx\r\n",
            },
        ],
    ),
    (
        "memcached",
        11211,
        &[
            Ask {
                name: "set",
                request: "set key 0 0 3\r\nxxx\r\n",
                answer: "STORED\r\n",
            },
            Ask {
                name: "get",
                request: "get key\r\n",
                answer: "VALUE key 0 3\r\nxxx\r\nEND\r\n",
            },
        ],
    ),
];

#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    port: u16,
    pub(super) asks: &'static [Ask],
}

impl Server {
    /// # Errors
    /// When nothing is known to ask that image.
    pub(super) fn of(image: &str) -> Result<Self> {
        let known = SERVERS.iter().find(|(name, _, _)| *name == image);
        let (_, port, asks) = known.with_context(|| {
            let names: Vec<&str> = SERVERS.iter().map(|(name, _, _)| *name).collect();
            format!(
                "loading {image}: it is no server that is known here; there are {}",
                names.join(", ")
            )
        })?;
        Ok(Self { port: *port, asks })
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) connections: usize,
    /// Of each kind.
    pub(super) requests: usize,
}

/// What one boot did.
#[derive(Clone, Debug)]
pub(super) struct Boot {
    /// From the guest's first instruction to the first answer.
    pub(super) first_reply_s: f64,
    /// In the order of the asks.
    pub(super) asked: Vec<Asked>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) per_s: f64,
    /// 99 of 100 answers came within this.
    pub(super) p99_s: f64,
}

/// For a boot, and for an answer: only a guest that hangs reaches it.
const DEADLINE: Duration = Duration::from_secs(120);
/// For an answer of a server that may not listen yet.
const PATIENCE: Duration = Duration::from_millis(250);
const NAP: Duration = Duration::from_millis(20);

/// Boots the image and loads it.
///
/// # Errors
/// When it does not boot, or an answer is wrong.
pub(super) fn boot(image: &Image, setup: &Setup, server: Server, load: Load) -> Result<Boot> {
    let mut qemu = Qemu::start(&Machine {
        gdb: GdbServer::None,
        ..TraceOptions::new(setup.clone()).machine(image)
    })?;
    let forwards = qemu.forwards()?;
    let host = forwards.iter().find(|forward| forward.guest == server.port);
    let host = host
        .with_context(|| {
            format!(
                "loading {}: port {} is not reached from the host; name it in 'ports' of its demo.toml",
                image.manifest.name, server.port
            )
        })?
        .host;
    let first = server
        .asks
        .first()
        .context("a server with nothing to ask")?;
    let began = Instant::now();
    qemu.monitor().execute("cont", None)?;
    while !answers(host, first) {
        if began.elapsed() > DEADLINE || qemu.ended().is_some() {
            bail!(
                "loading {} in mode {setup}: no answer within {} s; look at it with 'uklscope run {0} --mode {setup}'",
                image.manifest.name,
                began.elapsed().as_secs()
            );
        }
        std::thread::sleep(NAP);
    }
    let first_reply_s = began.elapsed().as_secs_f64();
    let mut streams = Vec::new();
    for _ in 0..load.connections {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, host))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        streams.push(stream);
    }
    let asked = server
        .asks
        .iter()
        .map(|ask| {
            // Caches of all kinds, and the connections' windows.
            many(&mut streams, ask, load.requests / 10)?;
            many(&mut streams, ask, load.requests)
        })
        .collect::<Result<_>>()
        .with_context(|| format!("loading {} in mode {setup}", image.manifest.name))?;
    Ok(Boot {
        first_reply_s,
        asked,
    })
}

fn answers(port: u16, ask: &Ask) -> bool {
    let asked = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(ask.request.as_bytes())?;
        let mut answer = vec![0; ask.answer.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer == ask.answer.as_bytes())
    };
    asked().unwrap_or(false)
}

/// Each connection has one request at a time; all are written before the first answer is read.
fn many(streams: &mut [TcpStream], ask: &Ask, requests: usize) -> Result<Asked> {
    let rounds = (requests / streams.len().max(1)).max(1);
    let mut waits = Vec::with_capacity(rounds * streams.len());
    let mut answer = vec![0; ask.answer.len()];
    let began = Instant::now();
    for _ in 0..rounds {
        let mut sent = Vec::with_capacity(streams.len());
        for stream in &mut *streams {
            stream.write_all(ask.request.as_bytes())?;
            sent.push(Instant::now());
        }
        for (stream, sent) in streams.iter_mut().zip(sent) {
            stream
                .read_exact(&mut answer)
                .map_err(|error| match error.kind() {
                    ErrorKind::WouldBlock => {
                        anyhow::anyhow!("no answer within {} s", DEADLINE.as_secs())
                    }
                    _ => error.into(),
                })?;
            ensure!(
                answer == ask.answer.as_bytes(),
                "{} was answered by {:?}",
                ask.name,
                String::from_utf8_lossy(&answer)
            );
            waits.push(sent.elapsed().as_secs_f64());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    waits.sort_by(f64::total_cmp);
    Ok(Asked {
        per_s: waits.len() as f64 / seconds,
        p99_s: waits[(waits.len() * 99 / 100).min(waits.len() - 1)],
    })
}
