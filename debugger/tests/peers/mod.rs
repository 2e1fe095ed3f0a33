//! A served image, stock gdb and lldb as its clients, and one that speaks the protocol byte by byte.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod mi;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use debugger::crossing::Mode;
use debugger::event::{Answer, Event, Run};
use debugger::serve::Server;
use debugger::session::link::Endpoint;
use debugger::session::store::Store;
use debugger::session::{BootOptions, ReplayOptions, Session, StatesOptions};

use crate::debuggee::Debuggee;

/// Far beyond what any of them takes, also on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// An image that others can join, as its screen would open it.
pub(crate) struct Served {
    pub(crate) debuggee: Debuggee,
    pub(crate) socket: PathBuf,
    vmlinux: PathBuf,
    server: Option<Server>,
    /// Nobody but those who join is at it.
    alone: bool,
    _folder: tempfile::TempDir,
}

/// An answer as a line each of its debug text: the program's own text is the program's.
fn render(answer: &Answer) -> Vec<String> {
    format!("{answer:#?}").lines().map(str::to_owned).collect()
}

impl Served {
    /// At the application's main.
    pub(crate) fn at_main(image: &str, mode: Mode, smp: u32) -> Self {
        let options = BootOptions {
            mode: Some(mode),
            smp,
            ..BootOptions::default()
        };
        Self::boot(image, options, false)
    }

    /// As well, in another QEMU.
    pub(crate) fn at_main_in(qemu: &Path, image: &str, mode: Mode, smp: u32) -> Self {
        let options = BootOptions {
            mode: Some(mode),
            smp,
            qemu: Some(qemu.to_owned()),
            ..BootOptions::default()
        };
        Self::boot(image, options, false)
    }

    /// As well; it makes its first kind of call, `getppid`, for hours.
    pub(crate) fn endless(image: &str, mode: Mode) -> Self {
        let options = BootOptions {
            mode: Some(mode),
            calls: Some(100_000_000),
            ..BootOptions::default()
        };
        Self::boot(image, options, false)
    }

    /// Left to those who join.
    pub(crate) fn unattended(image: &str, options: BootOptions) -> Self {
        Self::boot(image, options, true)
    }

    /// A recorded run of this image, played again, at the application's main.
    pub(crate) fn replayed(image: &str, folder: PathBuf, options: ReplayOptions) -> Self {
        let handle = Session::replay(folder, options);
        let debuggee = Debuggee::opened(handle).unwrap_or_else(|why| panic!("{why}"));
        Self::open(image, debuggee, false)
    }

    /// A recording of this image with the machine at its crossings, at the first of them.
    pub(crate) fn states(image: &str, path: PathBuf) -> Self {
        let handle = Session::states(path, StatesOptions::default());
        let debuggee = Debuggee::opened(handle).unwrap_or_else(|why| panic!("{why}"));
        Self::open(image, debuggee, false)
    }

    fn boot(image: &str, options: BootOptions, alone: bool) -> Self {
        let debuggee = Debuggee::boot(image, options).unwrap_or_else(|why| panic!("{why}"));
        Self::open(image, debuggee, alone)
    }

    fn open(image: &str, debuggee: Debuggee, alone: bool) -> Self {
        if alone {
            debuggee.handle.unattended();
        }
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("gdb");
        let at = Endpoint::Unix(socket.clone());
        let server = Server::open(&at, debuggee.handle.door(), render, alone)
            .unwrap_or_else(|error| panic!("{error}"));
        let vmlinux = Store::open()
            .and_then(|store| store.image(image))
            .unwrap_or_else(|error| panic!("{error}"))
            .vmlinux();
        Self {
            debuggee,
            socket,
            vmlinux,
            server: Some(server),
            alone,
            _folder: folder,
        }
    }

    /// The program that debuggers are given.
    pub(crate) fn vmlinux(&self) -> &Path {
        &self.vmlinux
    }

    /// No client can join any more.
    pub(crate) fn close(&mut self) {
        self.server = None;
    }

    /// What stock gdb prints, carrying these out once it has joined.
    pub(crate) fn gdb(&self, commands: &[&str]) -> String {
        said(self.start_gdb(commands), "gdb")
    }

    /// As well, and does not wait for it.
    pub(crate) fn start_gdb(&self, commands: &[&str]) -> Child {
        self.start_gdb_at(&self.socket.display().to_string(), commands)
    }

    /// As [`Self::gdb`], joined there.
    pub(crate) fn gdb_at(&self, address: &str, commands: &[&str]) -> String {
        said(self.start_gdb_at(address, commands), "gdb")
    }

    fn start_gdb_at(&self, address: &str, commands: &[&str]) -> Child {
        let mut gdb = Command::new("gdb");
        // What it joins through may be a command of this shell.
        gdb.args(["-nx", "-q", "-batch"])
            .arg(&self.vmlinux)
            .env("SHELL", "/bin/bash")
            .stdin(Stdio::null());
        let join = format!("target remote {address}");
        let head = [
            "set pagination off",
            "set confirm off",
            "set remotetimeout 60",
            &join,
        ];
        for command in head.iter().chain(commands) {
            gdb.args(["-ex", command]);
        }
        start(gdb, "gdb")
    }

    /// What stock lldb prints.
    pub(crate) fn lldb(&self, commands: &[&str]) -> String {
        said(self.start_lldb(commands), "lldb")
    }

    /// As well, and does not wait for it.
    pub(crate) fn start_lldb(&self, commands: &[&str]) -> Child {
        let mut lldb = Command::new("lldb");
        lldb.args(["--no-lldbinit", "--batch"])
            .arg(&self.vmlinux)
            .stdin(Stdio::null());
        let join = format!("process connect unix-connect://{}", self.socket.display());
        let head = [
            "settings set plugin.process.gdb-remote.packet-timeout 60",
            &join,
        ];
        for command in head.iter().chain(commands) {
            lldb.args(["-o", command]);
        }
        start(lldb, "lldb")
    }

    /// One more server, by TCP, and its port.
    pub(crate) fn tcp(&self, address: &str) -> (Server, u16) {
        let at = Endpoint::Tcp(address.to_owned());
        let server = Server::open(&at, self.debuggee.handle.door(), render, self.alone)
            .unwrap_or_else(|error| panic!("{error}"));
        let at = server.at().to_string();
        let port = at.rsplit(':').next().and_then(|port| port.parse().ok());
        (server, port.expect("it has one"))
    }

    /// The next event of this kind.
    pub(crate) fn until<T>(&self, what: &str, pick: impl Fn(Event) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = pick(self.debuggee.event()) {
                return found;
            }
            assert!(Instant::now() < end, "{what}");
        }
    }

    pub(crate) fn until_running(&self) {
        self.until("it runs", |event| {
            matches!(event, Event::Run(Run::Running)).then_some(())
        });
    }

    pub(crate) fn joined(&self) -> Vec<String> {
        self.until("somebody joins or leaves", |event| match event {
            Event::Joined(names) => Some(names),
            _ => None,
        })
    }

    pub(crate) fn until_alone(&self) {
        while !self.joined().is_empty() {}
    }
}

/// lldb's own Python carries out a script of this folder, in an environment with these; does not wait for it.
pub(crate) fn start_in_lldb(script: &str, environment: &[(&str, &str)]) -> Child {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    let script = folder.join(script);
    let mut lldb = Command::new("lldb");
    lldb.args(["--no-lldbinit", "--batch", "-o"])
        .arg(format!("command script import {}", script.display()))
        .envs(environment.iter().copied())
        .env("PYTHONPATH", python_of_lldb())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    start(lldb, "lldb")
}

/// Where lldb's Python module lies: the lldb of Debian 12 looks for it elsewhere.
fn python_of_lldb() -> PathBuf {
    let told = Command::new("lldb").arg("-P").output().expect("lldb runs");
    let told = PathBuf::from(String::from_utf8_lossy(&told.stdout).trim());
    if told.join("lldb").is_dir() {
        return told;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).map(|folder| folder.join("lldb"));
    let lldb = folders.find_map(|lldb| lldb.canonicalize().ok());
    let lldb = lldb.expect("it is in PATH");
    let libraries = lldb.with_file_name("../lib");
    let entries = std::fs::read_dir(libraries)
        .expect("its libraries")
        .flatten();
    entries
        .map(|entry| entry.path().join("dist-packages"))
        .find(|folder| folder.join("lldb/embedded_interpreter.py").exists())
        .expect("lldb's Python module; install it: apt-get install python3-lldb-14")
}

fn start(mut command: Command, name: &str) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}; install it: apt-get install {name}"))
}

/// All that it has said by its end.
pub(crate) fn said(child: Child, name: &str) -> String {
    let output = child
        .wait_with_output()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// That these are in the text, one behind the other.
pub(crate) fn has(text: &str, wanted: &[&str]) {
    let mut rest = text;
    for part in wanted {
        let Some(at) = rest.find(part) else {
            panic!("no '{part}', or not behind the ones before, in\n{text}");
        };
        rest = &rest[at + part.len()..];
    }
}

trait Socket: Read + Write {}
impl<T: Read + Write> Socket for T {}

/// A client that is nobody's: packets as they are typed here.
pub(crate) struct Raw {
    stream: Box<dyn Socket>,
    acknowledges: bool,
}

impl Raw {
    pub(crate) fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("somebody listens");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a time can be set");
        Self::over(stream)
    }

    pub(crate) fn connect_tcp(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a time can be set");
        Self::over(stream)
    }

    fn over(stream: impl Socket + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            acknowledges: true,
        }
    }

    /// As gdb begins, and without acknowledgements from there on.
    pub(crate) fn joined(socket: &Path) -> Self {
        let mut raw = Self::connect(socket);
        let features = raw.ask("qSupported:multiprocess+;swbreak+;hwbreak+");
        assert!(features.contains("PacketSize=020000"), "{features}");
        assert_eq!(raw.ask("QStartNoAckMode"), "OK");
        raw.acknowledges = false;
        raw
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("it is read");
    }

    pub(crate) fn send(&mut self, payload: &str) {
        self.write(&debugger::gdb::packet::encode(payload.as_bytes()));
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream
            .read_exact(&mut byte)
            .expect("it answers in time");
        byte[0]
    }

    /// The next packet's payload.
    pub(crate) fn receive(&mut self) -> String {
        let mut decoder = debugger::gdb::packet::Decoder::default();
        loop {
            match decoder.push(self.byte()) {
                Ok(Some(debugger::gdb::packet::Item::Packet(payload))) => {
                    if self.acknowledges {
                        self.write(b"+");
                    }
                    return String::from_utf8_lossy(&payload).into_owned();
                }
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn ask(&mut self, payload: &str) -> String {
        self.send(payload);
        self.receive()
    }

    /// The stop that a move ends in, without what was said before it.
    pub(crate) fn stop(&mut self) -> String {
        loop {
            let payload = self.receive();
            if !payload.starts_with('O') {
                return payload;
            }
        }
    }
}
