//! A booted image whose server the host reaches.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use debugger::crossing::Setup;
use debugger::qemu::arguments::{GdbServer, Machine};
use debugger::qemu::image::Image;
use debugger::session::process::Qemu;

/// Far beyond any boot: only a hanging guest reaches it.
const BOOT: Duration = Duration::from_secs(180);

/// Between two tries to reach the server.
const LOOK: Duration = Duration::from_millis(20);

/// How long one try waits at least: QEMU accepts a connection before the guest does, and drops it later.
const ANSWER: Duration = Duration::from_millis(250);

/// A try waits this part of the time since the boot where that is longer: a slow machine answers slowly.
const PART: u32 = 20;

/// How the lines begin that the kernel prints when it is at fault itself.
const COMPLAINTS: [&str; 9] = [
    "BUG: ",
    "WARNING: CPU",
    "Oops: ",
    "PANIC: ",
    "Kernel panic",
    "general protection fault",
    "rcu: INFO",
    "INFO: task",
    "watchdog: BUG",
];

#[derive(Debug)]
pub(crate) struct Guest {
    qemu: Qemu,
    /// On the host, at 127.0.0.1.
    pub(crate) port: u16,
    /// From the guest's first instruction.
    pub(crate) first_reply_seconds: f64,
    console: Option<JoinHandle<Vec<String>>>,
}

/// What to say to a server, and what its answer begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Greeting {
    pub(crate) question: &'static [u8],
    pub(crate) answer: &'static [u8],
}

impl Guest {
    /// Boots and waits for the first answer. `more` goes to the kernel's command line: words for the kernel and for
    /// `/init`, and after `--` arguments of the application. The console goes to the file `log`.
    ///
    /// # Errors
    /// When QEMU does not start, or nothing answers in time.
    pub(crate) fn boot(
        image: &Image,
        setup: &Setup,
        more: &str,
        greeting: Greeting,
        log: &Path,
    ) -> Result<Self> {
        let what = format!("booting {} in mode {setup}", image.manifest.name);
        let mut machine = Machine {
            gdb: GdbServer::None,
            ..Machine::of(image, setup.mode, None)
        };
        let options = setup
            .append()
            .map_or(String::new(), |options| format!("{options} "));
        machine.append = format!("{} {options}{more}", machine.append);
        let mut qemu = Qemu::start(&machine)?;
        let forwards = qemu.forwards()?;
        let port = forwards.first().with_context(|| {
            format!("{what}: no port of the host reaches the guest; name one as 'ports' in its demo.toml")
        })?;
        let port = port.host;
        let file = File::create(log).with_context(|| format!("making {}", log.display()))?;
        let started = Instant::now();
        qemu.monitor().execute("cont", None)?;
        let serial = qemu.serial().clone();
        let console = std::thread::spawn(move || watch(&serial, file));
        let mut guest = Self {
            qemu,
            port,
            first_reply_seconds: 0.0,
            console: Some(console),
        };
        while !answers(port, greeting, ANSWER.max(started.elapsed() / PART)) {
            if let Some(end) = guest.qemu.ended() {
                bail!(
                    "{what}: QEMU ended before the server answered ({end}); its console is in {}",
                    log.display()
                );
            }
            if started.elapsed() > BOOT {
                bail!(
                    "{what}: no answer in {BOOT:?}; the console is in {}",
                    log.display()
                );
            }
            std::thread::sleep(LOOK);
        }
        guest.first_reply_seconds = started.elapsed().as_secs_f64();
        Ok(guest)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.qemu.pid()
    }

    /// Ends the machine; gives the kernel's complaints, and one more where it had ended before.
    pub(crate) fn end(mut self) -> Vec<String> {
        let ended = self.qemu.ended();
        self.qemu.kill();
        let console = self.console.take().map(JoinHandle::join);
        let mut complaints = console.and_then(Result::ok).unwrap_or_default();
        complaints.extend(ended.map(|end| format!("the machine ended during the tests ({end})")));
        complaints
    }
}

/// Keeps the console in a file until it ends; gives the lines that are complaints.
fn watch(serial: &crossbeam_channel::Receiver<Vec<u8>>, mut file: File) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut rest = Vec::new();
    for bytes in serial {
        // The lines are looked at whether or not the file can take them.
        let _ = file.write_all(&bytes);
        rest.extend(bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            if complains(&line) {
                complaints.push(line);
            }
        }
    }
    complaints
}

/// The kernel's own lines, with or without the time before them; a server begins its lines otherwise.
fn complains(line: &str) -> bool {
    let line = match line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    {
        Some((time, rest)) if time.trim().parse::<f64>().is_ok() => rest,
        _ => line,
    };
    COMPLAINTS
        .iter()
        .any(|complaint| line.starts_with(complaint))
}

fn answers(port: u16, greeting: Greeting, within: Duration) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, within)?;
        stream.set_read_timeout(Some(within))?;
        stream.write_all(greeting.question)?;
        let mut answer = vec![0; greeting.answer.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer == greeting.answer)
    };
    ask().unwrap_or(false)
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::complains;

    #[test]
    fn only_the_kernel_is_heard() {
        assert!(complains(
            "[   12.345678] WARNING: CPU: 0 PID: 1 at ukl/bypass.c:10"
        ));
        assert!(complains(
            "Kernel panic - not syncing: Attempted to kill init!"
        ));
        assert!(complains(
            "[    3.1] BUG: kernel NULL pointer dereference, address: 0"
        ));
        assert!(!complains(
            "1:M 23 Nov 2026 13:55:16.464 # WARNING: Memory overcommit"
        ));
        assert!(!complains(
            "[    3.1] ukl: starting the application, mode ukl"
        ));
    }
}
