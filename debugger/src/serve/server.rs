//! Where clients connect: a UNIX socket or TCP.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::client;
use super::house::{House, token};
use super::machine::Render;
use super::stream::Stream;
use crate::session::joined::Door;
use crate::session::target::Endpoint;

/// Between two looks at whether the server is to close.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("listening on {at}: {source}; name an address that is free, as :1234 or ./gdb.socket")]
    Taken { at: String, source: io::Error },
    #[error(
        "listening on {0}: a recording is no address; name host:port, :port or the path of a UNIX socket"
    )]
    Recording(String),
    #[error(
        "listening on {at}, where others can connect: no token could be made ({source}); listen on this machine alone, as :1234"
    )]
    NoToken { at: String, source: io::Error },
    #[error("serving on {at}: {source}; free some of this machine's resources")]
    NoThread { at: String, source: io::Error },
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// Takes in clients until it is dropped, which ends their conversations.
#[derive(Debug)]
pub struct Server {
    at: Endpoint,
    token: Option<String>,
    closing: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// What each client's thread has.
#[derive(Clone, Debug)]
struct Shared {
    house: House,
    closing: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<(u64, Stream)>>>,
}

impl Server {
    /// Listens. `lets_go` says that the target runs on when the last client detaches.
    ///
    /// # Errors
    /// When nobody can listen there.
    pub fn open(
        at: &Endpoint,
        door: Door,
        render: Render,
        lets_go: bool,
    ) -> Result<Self, ServeError> {
        let (listener, at) = Listener::open(at)?;
        let closing = Arc::new(AtomicBool::new(false));
        let token = match &listener {
            Listener::Tcp(listener) if !is_of_this_machine(listener) => {
                Some(token().map_err(|source| ServeError::NoToken {
                    at: at.to_string(),
                    source,
                })?)
            }
            Listener::Tcp(_) | Listener::Unix(..) => None,
        };
        let house = House {
            door,
            render,
            lets_go,
            token: token.clone(),
            inside: Arc::default(),
        };
        let shared = Shared {
            house,
            closing: Arc::clone(&closing),
            open: Arc::default(),
        };
        let accepting = thread::Builder::new()
            .name("serve".to_owned())
            .spawn(move || accept(&listener, &shared))
            .map_err(|source| ServeError::NoThread {
                at: at.to_string(),
                source,
            })?;
        Ok(Self {
            at,
            token,
            closing,
            accepting: Some(accepting),
        })
    }

    /// Where it listens; a port that was left open is filled in.
    #[must_use]
    pub const fn at(&self) -> &Endpoint {
        &self.at
    }

    /// What a second client says first, in a line `token TOKEN`, where others than this machine can
    /// connect.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        if let Some(accepting) = self.accepting.take() {
            // Its clients have been told to go by then.
            let _ = accepting.join();
        }
    }
}

impl Listener {
    fn open(at: &Endpoint) -> Result<(Self, Endpoint), ServeError> {
        let taken = |source| ServeError::Taken {
            at: at.to_string(),
            source,
        };
        match at {
            Endpoint::Tcp(address) => {
                let listener = TcpListener::bind(address).map_err(taken)?;
                let address = listener.local_addr().map_err(taken)?;
                listener.set_nonblocking(true).map_err(taken)?;
                Ok((Self::Tcp(listener), Endpoint::Tcp(address.to_string())))
            }
            Endpoint::Unix(path) => {
                // A socket that nobody listens at was left behind.
                if UnixStream::connect(path)
                    .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
                {
                    fs::remove_file(path).map_err(taken)?;
                }
                let listener = UnixListener::bind(path).map_err(taken)?;
                listener.set_nonblocking(true).map_err(taken)?;
                Ok((Self::Unix(listener, path.clone()), at.clone()))
            }
            Endpoint::Wire(path) => Err(ServeError::Recording(path.display().to_string())),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener, _) => listener.as_fd(),
        }
    }

    /// The next client; none where none came for a while.
    fn next(&self) -> io::Result<Option<Stream>> {
        let wait = Timespec::try_from(LOOK).ok();
        let fd = self.fd();
        let ready = rustix::event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], wait.as_ref());
        if !matches!(ready, Ok(1..)) {
            return Ok(None);
        }
        let stream = match self {
            Self::Tcp(listener) => listener
                .accept()
                .and_then(|(stream, _)| Stream::tcp(stream)),
            Self::Unix(listener, _) => listener
                .accept()
                .and_then(|(stream, _)| Stream::unix(stream)),
        };
        stream.map(Some)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // What somebody else has removed is gone.
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether nobody else can connect.
fn is_of_this_machine(listener: &TcpListener) -> bool {
    listener
        .local_addr()
        .is_ok_and(|address| address.ip().is_loopback())
}

fn accept(listener: &Listener, shared: &Shared) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    let mut number = 0;
    while !shared.closing.load(Ordering::Relaxed) {
        threads.retain(|thread| !thread.is_finished());
        // One that has gone before it was let in, or for whom there is no room: the next may be.
        let Ok(Some(stream)) = listener.next() else {
            continue;
        };
        number += 1;
        threads.extend(begin(stream, number, shared));
    }
    for (_, stream) in &*shared.streams() {
        stream.close();
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Gives a client its thread; none where the host has none left, and the client is hung up on.
fn begin(stream: Stream, number: u64, shared: &Shared) -> Option<JoinHandle<()>> {
    let kept = stream.try_clone().ok()?;
    shared.streams().push((number, kept));
    let of_thread = shared.clone();
    let thread = thread::Builder::new()
        .name(format!("client {number}"))
        .spawn(move || {
            // A connection that broke is one that ended.
            let _ = client::serve(stream, &of_thread.house);
            of_thread.forget(number);
        });
    if thread.is_err() {
        shared.forget(number);
    }
    thread.ok()
}

impl Shared {
    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Stream)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, number: u64) {
        let mut streams = self.streams();
        if let Some(at) = streams.iter().position(|(open, _)| *open == number) {
            // The client has hung up, or is to see that this side has.
            streams.swap_remove(at).1.close();
        }
    }
}
