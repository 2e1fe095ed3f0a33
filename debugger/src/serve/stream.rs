//! A client's connection: TCP or a UNIX socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A client that takes nothing for so long is gone.
const UNREAD: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Stream {
    socket: Socket,
    /// As it was set last.
    waits: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        // Without it each reply waits for a delayed acknowledgement.
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(UNREAD))?;
        Ok(Self::of(Socket::Tcp(stream)))
    }

    pub(super) fn unix(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(UNREAD))?;
        Ok(Self::of(Socket::Unix(stream)))
    }

    const fn of(socket: Socket) -> Self {
        let waits = true;
        Self { socket, waits }
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::of(match &self.socket {
            Socket::Tcp(stream) => Socket::Tcp(stream.try_clone()?),
            Socket::Unix(stream) => Socket::Unix(stream.try_clone()?),
        }))
    }

    /// Ends the conversation, also for a thread that waits for its bytes.
    pub(super) fn close(&self) {
        // One that is closed already is closed.
        let _ = match &self.socket {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.set_waits(true)?;
        match &mut self.socket {
            Socket::Tcp(stream) => stream.write_all(bytes),
            Socket::Unix(stream) => stream.write_all(bytes),
        }
    }

    /// Waits for bytes; 0 when the client has hung up. Where `wait` is false it only looks, and an error
    /// of the kind `WouldBlock` says that there are none.
    pub(super) fn receive(&mut self, buffer: &mut [u8], wait: bool) -> io::Result<usize> {
        self.set_waits(wait)?;
        loop {
            let read = match &mut self.socket {
                Socket::Tcp(stream) => stream.read(buffer),
                Socket::Unix(stream) => stream.read(buffer),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn set_waits(&mut self, waits: bool) -> io::Result<()> {
        if waits == self.waits {
            return Ok(());
        }
        match &self.socket {
            Socket::Tcp(stream) => stream.set_nonblocking(!waits)?,
            Socket::Unix(stream) => stream.set_nonblocking(!waits)?,
        }
        self.waits = waits;
        Ok(())
    }
}
