//! A client's connection: TCP or a UNIX socket.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// A client that takes nothing for so long is gone.
const UNREAD: Duration = Duration::from_secs(10);

/// How long the next bytes are looked for before they are slept for: a debugger that reads asks again as soon
/// as it is answered, and being woken takes longer than its question.
const LOOKED_FOR: Duration = Duration::from_micros(100);

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        // Without it each reply waits for a delayed acknowledgement.
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(UNREAD))?;
        Ok(Self::Tcp(stream))
    }

    pub(super) fn unix(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(UNREAD))?;
        Ok(Self::Unix(stream))
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }

    /// Ends the conversation, also for a thread that waits for its bytes.
    pub(super) fn close(&self) {
        // One that is closed already is closed.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }

    /// Waits for bytes; 0 when the client has hung up. Where `wait` is false it only looks, and an error
    /// of the kind `WouldBlock` says that there are none.
    pub(super) fn receive(&mut self, buffer: &mut [u8], wait: bool) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            let looks = !wait || began.elapsed() < LOOKED_FOR;
            let flags = match looks {
                true => RecvFlags::DONTWAIT,
                false => RecvFlags::empty(),
            };
            let read = match self {
                Self::Tcp(stream) => recv(stream, &mut *buffer, flags),
                Self::Unix(stream) => recv(stream, &mut *buffer, flags),
            };
            match read {
                Ok((read, _)) => return Ok(read),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if wait && looks => std::thread::yield_now(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
