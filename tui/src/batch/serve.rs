//! `uklscope serve`: a target that gdb, lldb and editors join.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::bail;
use crossbeam_channel::RecvTimeoutError;
use debugger::event::{Event, Run};
use debugger::serve::Server;
use debugger::session::Handle;
use debugger::session::target::Endpoint;
use serde_json::json;

use super::session::Opened;
use super::{text, tracing};

#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub on: Opened,
    /// Where to listen: host:port, :port (of this machine alone; 0 chooses one), or the path of a UNIX
    /// socket. May be given many times.
    #[arg(long, required = true, value_name = "ADDR")]
    pub gdb: Vec<Endpoint>,
}

/// Between two looks at whether Ctrl-C was pressed.
const SLICE: Duration = Duration::from_millis(50);

/// Serves until the target is gone or Ctrl-C is pressed.
///
/// # Errors
/// When the target cannot be opened, or nobody can listen at an address.
pub fn run(args: &ServeArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let handle = args.on.open()?;
    handle.unattended();
    until_open(&handle)?;
    let servers: Vec<Server> = args
        .gdb
        .iter()
        .map(|at| Server::open(at, handle.door(), text::lines, true))
        .collect::<Result<_, _>>()?;
    for server in &servers {
        let (at, token) = (server.at().to_string(), server.token());
        match json {
            true => writeln!(out, "{}", json!({"schema": 1, "gdb": at, "token": token}))?,
            false => writeln!(out, "{}", invitation(server))?,
        }
    }
    out.flush()?;
    let cancel = tracing::cancel_by_signal()?;
    while !cancel.load(Ordering::Relaxed) {
        match handle.events.recv_timeout(SLICE) {
            Ok(Event::Run(Run::Ended(why))) => {
                tell(json, &why, out)?;
                return Ok(());
            }
            Ok(Event::Notice(words)) => tell(json, &words, out)?,
            Ok(Event::Serial(bytes)) if args.on.serial => std::io::stderr().write_all(&bytes)?,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
    Ok(())
}

fn until_open(handle: &Handle) -> anyhow::Result<()> {
    for event in &handle.events {
        match event {
            Event::Run(Run::Stopped(_)) => return Ok(()),
            Event::Run(Run::Ended(why)) => bail!("{why}"),
            _ => {}
        }
    }
    bail!("opening the target: the session has ended without a word; run it again")
}

/// How to join.
#[must_use]
pub fn invitation(server: &Server) -> String {
    let at = server.at().to_string();
    let lldb = match at.contains('/') {
        true => format!("process connect unix-connect://{at}"),
        false => format!("gdb-remote {at}"),
    };
    let token = server.token().map_or_else(String::new, |token| {
        let address = at.replace(':', " ");
        format!(
            "; others can connect there: a second client says 'token {token}' first, in gdb by \
             'target remote | (echo token {token}; cat) | nc {address}'"
        )
    });
    format!("{at}: join with 'target remote {at}' in gdb, '{lldb}' in lldb{token}")
}

fn tell(json: bool, words: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    match json {
        true => writeln!(out, "{}", json!({"schema": 1, "notice": words}))?,
        false => writeln!(out, "{words}")?,
    }
    Ok(out.flush()?)
}
