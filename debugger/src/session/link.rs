//! The bytes between us and a stub: a UNIX socket, TCP, or a conversation that was recorded.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::states::Stub;
use super::transcript::{Direction, Player, Recorder, TranscriptError, lines};
use super::wire::{Head, Replay};

/// Where a stub listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `host:port`
    Tcp(String),
    Unix(PathBuf),
    /// A file made by `--record-wire`: nothing listens, it answers as the stub did.
    Wire(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no address of a stub: write host:port, :port, the path of a UNIX socket with a '/' in it, or a \
     recording's name, which ends in .wire"
)]
pub struct NoEndpoint(String);

/// `host:port`, `:port`, `tcp:host:port`, `/path`, `unix:path`, `file.wire`.
impl FromStr for Endpoint {
    type Err = NoEndpoint;

    fn from_str(text: &str) -> Result<Self, NoEndpoint> {
        let wrong = || NoEndpoint(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err(wrong())
            } else {
                Ok(Self::Unix(PathBuf::from(path)))
            };
        }
        if Path::new(text).extension().is_some_and(|end| end == "wire") {
            return Ok(Self::Wire(PathBuf::from(text)));
        }
        if text.contains('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        let text = text.strip_prefix("tcp:").unwrap_or(text);
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        if port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        let host = if host.is_empty() { "localhost" } else { host };
        Ok(Self::Tcp(format!("{host}:{port}")))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) | Self::Wire(path) => write!(f, "{}", path.display()),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(
        "connecting to {endpoint}: nothing listens there ({source}); {}",
        start(endpoint)
    )]
    NothingListens {
        endpoint: Endpoint,
        source: io::Error,
    },
    #[error(
        "connecting to {endpoint}: it is taken; QEMU serves one debugger at a time: end the other one"
    )]
    Taken { endpoint: Endpoint },
    #[error("connecting to {endpoint}: {source}; check the address")]
    Connect {
        endpoint: Endpoint,
        source: io::Error,
    },
    #[error(
        "the stub at {at} closed the connection: QEMU has ended, or was killed; start it and connect again"
    )]
    Closed { at: String },
    #[error("talking to the stub at {at}: {source}; connect again")]
    Io { at: String, source: io::Error },
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
    #[error("reading the recording {}: {source}; give a file made by --record-wire", path.display())]
    NoRecording { path: PathBuf, source: io::Error },
    #[error(
        "reading the recording {}: its first line is not that of one; give a file made by --record-wire",
        path.display()
    )]
    OtherFile { path: PathBuf },
    #[error("recording into {}: {source}; name a file that can be written", path.display())]
    NotRecorded { path: PathBuf, source: io::Error },
}

/// What would make something listen there.
fn start(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => {
            let port = address.rsplit(':').next().unwrap_or_default();
            format!("start QEMU with '-gdb tcp::{port}', or name the address it was started with")
        }
        Endpoint::Unix(path) => format!(
            "start QEMU with '-chardev socket,path={},server=on,wait=off,id=g -gdb chardev:g'",
            path.display()
        ),
        Endpoint::Wire(_) => "it is a recording".to_owned(),
    }
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Played(Player),
    Replayed(Box<Replay>),
    States(Box<Stub>),
}

/// A connection, from which a recording of every byte can be made.
#[derive(Debug)]
pub struct Link {
    stream: Stream,
    endpoint: Option<Endpoint>,
    recorder: Option<Recorder>,
    recording: Option<Recording>,
}

/// A file that each byte goes into as it passes.
#[derive(Debug)]
struct Recording {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Recording {
    fn add(&mut self, direction: Direction, bytes: &[u8]) -> Result<(), LinkError> {
        let written = self.file.write_all(lines(direction, bytes).as_bytes());
        written.map_err(|source| LinkError::NotRecorded {
            path: self.path.clone(),
            source,
        })
    }
}

/// What a recording says of itself, and all of its text.
///
/// # Errors
/// When there is no such file, or it is none.
pub(super) fn recording(path: &Path) -> Result<(Head, String), LinkError> {
    let path = || path.to_owned();
    let text = std::fs::read_to_string(path()).map_err(|source| LinkError::NoRecording {
        path: path(),
        source,
    })?;
    let head = Head::read(&text).ok_or_else(|| LinkError::OtherFile { path: path() })?;
    Ok((head, text))
}

impl Link {
    /// # Errors
    /// When nothing listens there, or not within the time.
    pub fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<Self, LinkError> {
        let stream = match endpoint {
            Endpoint::Tcp(address) => connect_tcp(address, timeout).map(Stream::Tcp),
            Endpoint::Unix(path) => connect_unix(path, timeout).map(Stream::Unix),
            Endpoint::Wire(path) => {
                let (_, text) = recording(path)?;
                Ok(Stream::Replayed(Box::new(Replay::new(&text)?)))
            }
        };
        let stream = stream.map_err(|source| {
            let endpoint = endpoint.clone();
            match source.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                    LinkError::NothingListens { endpoint, source }
                }
                io::ErrorKind::WouldBlock => LinkError::Taken { endpoint },
                _ => LinkError::Connect { endpoint, source },
            }
        })?;
        Ok(Self {
            stream,
            endpoint: Some(endpoint.clone()),
            recorder: None,
            recording: None,
        })
    }

    /// Of a recording with the machine's states.
    #[must_use]
    pub(super) fn states(stub: Stub) -> Self {
        Self {
            stream: Stream::States(Box::new(stub)),
            endpoint: None,
            recorder: None,
            recording: None,
        }
    }

    /// The stub of such a recording.
    pub(super) fn stub(&mut self) -> Option<&mut Stub> {
        match &mut self.stream {
            Stream::States(stub) => Some(stub),
            _ => None,
        }
    }

    pub(super) const fn is_states(&self) -> bool {
        matches!(self.stream, Stream::States(_))
    }

    /// Plays a transcript instead of talking to a stub.
    ///
    /// # Errors
    /// When the text is no transcript.
    pub fn play(transcript: &str) -> Result<Self, LinkError> {
        Ok(Self {
            stream: Stream::Played(Player::new(transcript)?),
            endpoint: None,
            recorder: None,
            recording: None,
        })
    }

    /// `None` for a transcript.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// Keeps every byte from here on.
    pub fn record(&mut self) {
        self.recorder = Some(Recorder::default());
    }

    /// Whether every byte is kept.
    #[must_use]
    pub const fn records(&self) -> bool {
        self.recorder.is_some() || self.recording.is_some()
    }

    /// Writes every byte from here on into a file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn record_to(&mut self, path: &Path, head: &Head) -> Result<(), LinkError> {
        let made = File::create(path).and_then(|file| {
            let mut file = BufWriter::new(file);
            file.write_all(head.text().as_bytes())?;
            Ok(file)
        });
        let path = path.to_owned();
        match made {
            Ok(file) => self.recording = Some(Recording { path, file }),
            Err(source) => return Err(LinkError::NotRecorded { path, source }),
        }
        Ok(())
    }

    /// Whether nothing listens: what is asked is looked up.
    #[must_use]
    pub const fn is_replayed(&self) -> bool {
        matches!(self.stream, Stream::Replayed(_) | Stream::States(_))
    }

    /// What was kept, as a transcript.
    #[must_use]
    pub fn transcript(&self) -> Option<String> {
        self.recorder.as_ref().map(Recorder::text)
    }

    /// # Errors
    /// When the other side is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let sent = match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
            Stream::Played(player) => return Ok(player.send(bytes)?),
            Stream::Replayed(replay) => {
                replay.send(bytes);
                Ok(())
            }
            Stream::States(stub) => {
                stub.send(bytes);
                Ok(())
            }
        };
        sent.map_err(|source| self.failed(source))?;
        self.keep(Direction::Sent, bytes)
    }

    /// What has passed, where it is recorded.
    fn keep(&mut self, direction: Direction, bytes: &[u8]) -> Result<(), LinkError> {
        if let Some(recorder) = &mut self.recorder {
            recorder.add(direction, bytes);
        }
        match &mut self.recording {
            Some(recording) => recording.add(direction, bytes),
            None => Ok(()),
        }
    }

    /// Waits for bytes and appends them; `false` when none came in that time. With no time at all it
    /// only looks.
    ///
    /// # Errors
    /// When the other side has closed the connection, or it broke.
    pub fn receive(&mut self, bytes: &mut Vec<u8>, timeout: Duration) -> Result<bool, LinkError> {
        let before = bytes.len();
        if let Stream::Played(player) = &mut self.stream {
            let received = player.receive().ok_or_else(|| LinkError::Closed {
                at: "the end of the transcript".to_owned(),
            })?;
            bytes.extend(received);
            return Ok(bytes.len() > before);
        }
        if let Stream::Replayed(replay) = &mut self.stream {
            let received = replay.receive(timeout);
            bytes.extend(&received);
            self.keep(Direction::Received, &received)?;
            return Ok(bytes.len() > before);
        }
        if let Stream::States(stub) = &mut self.stream {
            let received = stub.receive(timeout);
            bytes.extend(&received);
            self.keep(Direction::Received, &received)?;
            return Ok(bytes.len() > before);
        }
        if !self.readable(timeout)? {
            return Ok(false);
        }
        let mut buffer = [0; 1 << 16];
        let read = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(&mut buffer),
            Stream::Unix(stream) => stream.read(&mut buffer),
            Stream::Played(_) | Stream::Replayed(_) | Stream::States(_) => Ok(0),
        };
        match read {
            Ok(0) => Err(LinkError::Closed { at: self.at() }),
            Ok(read) => {
                bytes.extend(&buffer[..read]);
                self.keep(Direction::Received, &buffer[..read])?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(source) => Err(self.failed(source)),
        }
    }

    #[must_use]
    pub fn at(&self) -> String {
        self.endpoint
            .as_ref()
            .map_or_else(|| "the transcript".to_owned(), ToString::to_string)
    }

    fn failed(&self, source: io::Error) -> LinkError {
        match source.kind() {
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted => LinkError::Closed { at: self.at() },
            _ => LinkError::Io {
                at: self.at(),
                source,
            },
        }
    }

    fn readable(&self, timeout: Duration) -> Result<bool, LinkError> {
        let Some(fd) = self.fd() else {
            return Ok(true);
        };
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).ok();
            match rustix::event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], left.as_ref()) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(self.failed(error.into())),
            }
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.stream {
            Stream::Tcp(stream) => Some(stream.as_fd()),
            Stream::Unix(stream) => Some(stream.as_fd()),
            Stream::Played(_) | Stream::Replayed(_) | Stream::States(_) => None,
        }
    }
}

fn connect_tcp(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut result = Err(io::Error::new(
        io::ErrorKind::NotFound,
        "the host has no address",
    ));
    for address in address.to_socket_addrs()? {
        result = TcpStream::connect_timeout(&address, timeout);
        if result.is_ok() {
            break;
        }
    }
    let stream = result?;
    // Without it each reply waits for a delayed acknowledgement: 23 round trips a second.
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}

/// Non-blocking while connecting: where the listener's queue is full, `connect` would wait for ever.
fn connect_unix(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        let check = |text: &str, expected: Endpoint| {
            assert_eq!(text.parse::<Endpoint>().unwrap(), expected);
        };
        check(":1234", Endpoint::Tcp("localhost:1234".to_owned()));
        check("box:99", Endpoint::Tcp("box:99".to_owned()));
        check("tcp::1234", Endpoint::Tcp("localhost:1234".to_owned()));
        check("[::1]:5", Endpoint::Tcp("[::1]:5".to_owned()));
        check("/run/g", Endpoint::Unix("/run/g".into()));
        check("./g", Endpoint::Unix("./g".into()));
        check("unix:g", Endpoint::Unix("g".into()));
        for text in ["", "box", "box:", "box:70000", "unix:"] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.to_string().contains("host:port"), "{text}");
        }
    }

    #[test]
    fn nothing_listening_says_how_to_start_it() {
        let check = |endpoint: Endpoint, expected: &str| {
            let error = Link::connect(&endpoint, Duration::from_secs(1)).unwrap_err();
            assert!(matches!(error, LinkError::NothingListens { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        };
        let folder = tempfile::tempdir().unwrap();
        check(
            Endpoint::Unix(folder.path().join("none")),
            "server=on,wait=off,id=g",
        );
        // A socket whose listener is gone.
        let stale = folder.path().join("stale");
        drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
        check(Endpoint::Unix(stale), "start QEMU with");
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        check(
            Endpoint::Tcp(format!("127.0.0.1:{port}")),
            &format!("-gdb tcp::{port}"),
        );
    }

    /// With Nagle's algorithm it is 23 round trips a second.
    #[test]
    fn tcp_does_not_wait_to_fill_a_packet() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let link = Link::connect(&Endpoint::Tcp(address), Duration::from_secs(5)).unwrap();
        match &link.stream {
            Stream::Tcp(stream) => assert!(stream.nodelay().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_full_queue_is_told_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let endpoint = Endpoint::Unix(path);
        let mut links = Vec::new();
        let error = loop {
            match Link::connect(&endpoint, Duration::from_secs(1)) {
                Ok(link) => links.push(link),
                Err(error) => break error,
            }
            assert!(links.len() < 100_000, "the queue never fills");
        };
        assert!(matches!(error, LinkError::Taken { .. }), "{error}");
    }

    #[test]
    fn receiving_waits_no_longer_than_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut link = Link::connect(&Endpoint::Unix(path), Duration::from_secs(1)).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        assert!(!link.receive(&mut bytes, Duration::ZERO).unwrap());
        peer.write_all(b"$OK#9a").unwrap();
        assert!(link.receive(&mut bytes, Duration::from_secs(5)).unwrap());
        assert_eq!(bytes, b"$OK#9a");
        drop(peer);
        let error = link
            .receive(&mut bytes, Duration::from_secs(5))
            .unwrap_err();
        assert!(matches!(error, LinkError::Closed { .. }), "{error}");
    }
}
