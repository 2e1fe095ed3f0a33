//! `cargo xtask bench join`: round trips of a client that has joined a session, beside those of the stub
//! that the session itself talks to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use debugger::crossing::Mode;
use debugger::event::{Answer, Event, Run};
use debugger::gdb::packet::encode;
use debugger::qemu::arguments::{GdbServer, Machine};
use debugger::qemu::image::Image;
use debugger::serve::Server;
use debugger::session::link::Endpoint;
use debugger::session::process::Qemu;
use debugger::session::{BootOptions, Handle, Session, store};
use serde::Serialize;

use super::print::{self, Host};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[arg(long, default_value = "syscalls")]
    image: String,
    /// Reads that are timed, of each kind
    #[arg(long, default_value_t = 20_000)]
    reads: u32,
}

/// The longest read that QEMU 7.2's own stub answers.
const BYTES: u32 = 0x7ff;

/// For reads of memory that was read before.
const AIM_PER_S: f64 = 20_000.0;

/// For a guest to boot on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where all of memory is mapped in Linux without KASLR, and physical memory from 1 MiB on.
const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;
const MEMORY: u64 = 0x10_0000;

/// Bytes of guest memory that are read from: less than any image has.
const SPAN: u64 = 100 << 20;

const PAGE: u64 = 0x1000;

/// What is read one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Pattern {
    /// The same again.
    Hot,
    /// What follows, never read before.
    Onward,
    /// Pages far from each other, never read before.
    Scattered,
}

impl Pattern {
    const fn addr(self, number: u64) -> u64 {
        match self {
            Self::Hot => 0,
            Self::Onward => number * BYTES as u64 % SPAN,
            // A prime: each page once before any is read again.
            Self::Scattered => number * 7919 % (SPAN / PAGE) * PAGE,
        }
    }
}

#[derive(Serialize)]
struct Report {
    schema: u32,
    image: String,
    bytes: u32,
    reads: u32,
    aim_per_s: f64,
    ways: Vec<Way>,
    host: Host,
}

#[derive(Serialize)]
struct Way {
    /// `joined`, or `stub`: QEMU's, without a session.
    who: &'static str,
    over: &'static str,
    pattern: Pattern,
    per_s: f64,
}

/// # Errors
/// When the image cannot be booted or read.
pub(super) fn run(args: &Args) -> Result<()> {
    let image = store::image(&args.image)?;
    let mut ways = joined(&image, args.reads)?;
    ways.extend(stub(&image, args.reads)?);
    let report = Report {
        schema: 1,
        image: args.image.clone(),
        bytes: BYTES,
        reads: args.reads,
        aim_per_s: AIM_PER_S,
        ways,
        host: Host::now(),
    };
    print::report(&report, args.json, lines)
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{} reads of {} bytes, one after the other, on {} (aim: {:.0} a second, hot):",
        report.reads,
        report.bytes,
        report.host.line(),
        report.aim_per_s
    )];
    lines.extend(report.ways.iter().map(|way| {
        let who = match way.who {
            "joined" => "a client that joined",
            _ => "QEMU's stub itself",
        };
        let pattern = format!("{:?}", way.pattern).to_lowercase();
        format!(
            "  {who:<20}  {:<4}  {pattern:<9}  {:>8.0} a second",
            way.over, way.per_s
        )
    }));
    lines
}

/// At the application's main, over both kinds of sockets.
fn joined(image: &Image, reads: u32) -> Result<Vec<Way>> {
    let options = BootOptions {
        mode: Some(Mode::Ukl),
        ..BootOptions::default()
    };
    let mut session = Session::boot(image.clone(), options);
    until_stopped(&session)?;
    let folder = tempfile::tempdir()?;
    let words: fn(&Answer) -> Vec<String> = |_| Vec::new();
    let mut ways = Vec::new();
    for at in [
        Endpoint::Unix(folder.path().join("gdb")),
        Endpoint::Tcp("127.0.0.1:0".to_owned()),
    ] {
        let server = Server::open(&at, session.door(), words, false)?;
        let mut client = Client::connect(server.at())?;
        client.ask("qSupported:multiprocess+")?;
        client.ask("QStartNoAckMode")?;
        (client.acknowledges, client.owed) = (false, b"");
        ways.extend(client.measure("joined", DIRECT_MAP + MEMORY, reads)?);
        drop(client);
        // What was read is forgotten.
        session.send(debugger::command::parse("si").map_err(|error| anyhow::anyhow!("{error}"))?);
        until_stopped(&session)?;
    }
    Ok(ways)
}

fn until_stopped(session: &Handle) -> Result<()> {
    loop {
        match session.events.recv_timeout(PATIENCE).context("booting")? {
            Event::Run(Run::Stopped(_)) => return Ok(()),
            Event::Run(Run::Ended(why)) => bail!("booting: {why}"),
            _ => {}
        }
    }
}

/// At the machine's reset, where addresses are physical.
fn stub(image: &Image, reads: u32) -> Result<Vec<Way>> {
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut ways = Vec::new();
    for server in [GdbServer::Socket, GdbServer::Tcp(free.to_string())] {
        let mut machine = Machine::of(image, Mode::Ukl, None);
        machine.stopped_at_start = true;
        machine.gdb = server;
        let qemu = Qemu::start(&machine)?;
        let at = qemu.gdb().context("QEMU has no stub")?;
        let mut client = Client::connect(at)?;
        client.ask("qSupported:multiprocess+")?;
        ways.extend(client.measure("stub", MEMORY, reads)?);
    }
    Ok(ways)
}

trait Socket: Read + Write {}
impl<T: Read + Write> Socket for T {}

struct Client {
    stream: Box<dyn Socket>,
    over: &'static str,
    buffer: Vec<u8>,
    reply: Vec<u8>,
    acknowledges: bool,
    /// Sent with the next packet: an acknowledgement alone would be a packet of its own.
    owed: &'static [u8],
}

impl Client {
    fn connect(at: &Endpoint) -> Result<Self> {
        let began = Instant::now();
        let (stream, over) = loop {
            let connected = match at {
                Endpoint::Unix(path) => UnixStream::connect(path).and_then(|stream| {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    Ok((Box::new(stream) as Box<dyn Socket>, "unix"))
                }),
                Endpoint::Tcp(address) => TcpStream::connect(address).and_then(|stream| {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_nodelay(true)?;
                    Ok((Box::new(stream) as Box<dyn Socket>, "tcp"))
                }),
                Endpoint::Wire(_) => bail!("a recording answers nobody"),
            };
            match connected {
                Ok(connected) => break connected,
                // QEMU listens in a moment.
                Err(_) if began.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error).context(format!("connecting to {at}")),
            }
        };
        Ok(Self {
            stream,
            over,
            buffer: vec![0; 1 << 16],
            reply: Vec::new(),
            acknowledges: true,
            owed: b"",
        })
    }

    fn measure(&mut self, who: &'static str, base: u64, reads: u32) -> Result<Vec<Way>> {
        let mut ways = Vec::new();
        for pattern in [Pattern::Onward, Pattern::Hot, Pattern::Scattered] {
            let began = Instant::now();
            for number in 0..u64::from(reads) {
                let at = base + pattern.addr(number);
                let answer = self.ask(&format!("m{at:x},{BYTES:x}"))?;
                if answer < 8 {
                    bail!("reading at {at:#x}: it cannot be read");
                }
            }
            ways.push(Way {
                who,
                over: self.over,
                pattern,
                per_s: f64::from(reads) / began.elapsed().as_secs_f64(),
            });
        }
        Ok(ways)
    }

    /// The length of the reply, as it was sent.
    fn ask(&mut self, payload: &str) -> Result<usize> {
        let packet = [self.owed, &encode(payload.as_bytes())].concat();
        self.stream.write_all(&packet)?;
        self.reply.clear();
        loop {
            let read = self.stream.read(&mut self.buffer)?;
            if read == 0 {
                bail!("the connection was closed");
            }
            self.reply.extend(&self.buffer[..read]);
            if let [.., b'#', _, _] = self.reply.as_slice() {
                break;
            }
        }
        if self.acknowledges {
            self.owed = b"+";
        }
        let start = self.reply.iter().position(|byte| *byte == b'$');
        let start = start.context("it sends no packet")?;
        Ok(self.reply.len() - start - 4)
    }
}
