//! `uklscope dap`: a debug adapter, by which editors are a front end of a session.
//!
//! ```text
//! editor ──bytes→ frame → message::Request → Adapter → Command → session
//! editor ←bytes── message::Out ← Adapter ← Event, Answer ← session
//! ```
//! One thread reads what the editor sends; the adapter itself is one loop over what the editor and the
//! session say. What the editor is shown is asked of the session when it asks for it.

mod adapter;
mod breakpoints;
mod console;
mod crossings;
mod debuggee;
mod exception;
pub mod frame;
mod launch;
mod memory;
pub mod message;
mod progress;
mod running;
mod source;
mod stack;
mod variables;
mod wish;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};

use anyhow::{Context as _, bail};
use crossbeam_channel::{Receiver, Sender, unbounded};

use self::adapter::{Adapter, Incoming};
use self::frame::Frames;
use self::message::{Refusal, Request};

#[derive(Debug, clap::Args)]
pub struct DapArgs {
    /// Wait for editors at this address of this machine, one after the other, in place of standard input
    /// and output: host:port, or :port (0 chooses one).
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
}

/// Serves one editor on standard input and output, or one after the other at an address.
///
/// # Errors
/// When nobody can listen at the address.
pub fn run(args: &DapArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let Some(address) = &args.listen else {
        serve(io::stdin(), out);
        return Ok(());
    };
    let listener = listener(address)?;
    let at = listener.local_addr().context("asking where it listens")?;
    writeln!(io::stderr(), "uklscope: a debug adapter listens at {at}")?;
    for stream in listener.incoming() {
        let mut stream = stream.context("taking in an editor")?;
        // Small messages that are each waited for.
        let _ = stream.set_nodelay(true);
        let from = stream.try_clone().context("taking in an editor")?;
        serve(from, &mut stream);
        let _ = TcpStream::shutdown(&stream, std::net::Shutdown::Both);
    }
    Ok(())
}

/// Of this machine alone: who reaches an adapter can run what it likes.
fn listener(address: &str) -> anyhow::Result<TcpListener> {
    let whole = match address.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None => address.to_owned(),
    };
    let found: Vec<SocketAddr> = whole
        .to_socket_addrs()
        .with_context(|| format!("listening at {address}: give host:port, or :port"))?
        .collect();
    if let Some(wide) = found.iter().find(|at| !at.ip().is_loopback()) {
        bail!(
            "listening at {address}: {wide} can be reached from other machines, and who reaches an adapter can run what it likes; give :port, and reach it by 'ssh -L'"
        );
    }
    TcpListener::bind(found.as_slice())
        .with_context(|| format!("listening at {address}; choose another port, or :0"))
}

fn serve(from: impl Read + Send + 'static, to: &mut dyn Write) {
    let (into, incoming) = unbounded();
    let reader = std::thread::Builder::new().name("editor".to_owned());
    // Without a thread the channel is closed, which is taken as the editor's end.
    let _ = reader.spawn(move || read(from, &into));
    answer(&incoming, to);
}

fn read(mut from: impl Read, into: &Sender<Incoming>) {
    let mut frames = Frames::default();
    let mut bytes = vec![0; 16 << 10];
    loop {
        let count = match from.read(&mut bytes) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        frames.push(&bytes[..count]);
        for frame in &mut frames {
            let message = match frame {
                Ok(body) => Request::read(&body).transpose(),
                Err(error) => Some(Err(Refusal(format!(
                    "reading what the editor sent: {error}"
                )))),
            };
            if let Some(message) = message
                && into.send(message).is_err()
            {
                return;
            }
        }
    }
}

/// Until the editor leaves; then nothing of its session is left.
fn answer(incoming: &Receiver<Incoming>, to: &mut dyn Write) {
    Adapter::new(incoming.clone(), to).run();
}
