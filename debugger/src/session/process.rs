//! A QEMU of our own: started, watched, ended.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::link::Endpoint;
use super::monitor::{Monitor, MonitorError};
use super::moves::Moves;
use super::replay::Pusher;
use super::serial::Serial;
use crate::qemu::arguments::{GdbServer, Machine, PACKAGE, PROGRAM, Sockets};
use crate::qemu::forward::{self, Forward};
use crate::qemu::replay::Way;

/// Another QEMU to start, by its path.
const QEMU_VARIABLE: &str = "UKLSCOPE_QEMU";

/// How long QEMU may take until it answers: building its machine takes 0.1 s, on a busy host more.
const START: Duration = Duration::from_secs(20);

/// Between two looks at a starting QEMU.
const LOOK: Duration = Duration::from_millis(5);

/// The folders of sockets are named so, with the process's id and a random end.
const FOLDERS: &str = "uklscope-";

/// How long the error output of a process that has ended is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Lines of its error output that are kept.
const KEPT_LINES: usize = 40;

#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    #[error(
        "starting {}: there is no such program; install it: apt-get install {PACKAGE}",
        program.display()
    )]
    NoProgram { program: PathBuf },
    #[error("starting {}: {source}; check that it may be run", program.display())]
    NotStarted { program: PathBuf, source: io::Error },
    #[error(
        "starting QEMU: making a folder for its sockets: {0}; check the space in the folder for temporary files"
    )]
    Folder(io::Error),
    #[error("starting QEMU: it ended at once ({status}): {said}; {}", advice(said))]
    Died { status: String, said: String },
    #[error(
        "opening the recorded run {}: it is open elsewhere, and its snapshots are one replay's at a time; close that \
         one, or open a copy of the folder",
        folder.display()
    )]
    Open { folder: PathBuf },
    #[error(
        "starting QEMU: no answer on its control socket in {START:?}; it said: {said}; try again on a less busy host"
    )]
    Silent { said: String },
    #[error("starting QEMU: it has no {what} at {}; build the image again with 'cargo xtask image NAME'", path.display())]
    NoFile { what: &'static str, path: PathBuf },
    #[error(transparent)]
    Monitor(#[from] MonitorError),
}

/// Why a machine has ended at once.
fn died(machine: &Machine, status: String, said: String) -> QemuError {
    let snapshots = machine
        .replay
        .as_ref()
        .and_then(|one| one.snapshots.as_ref());
    match snapshots.and_then(|file| file.parent()) {
        Some(folder) if said.contains("Failed to get \"write\" lock") => QemuError::Open {
            folder: folder.to_owned(),
        },
        _ => QemuError::Died { status, said },
    }
}

/// The next step after what QEMU said.
fn advice(said: &str) -> &'static str {
    if said.contains("Address already in use") {
        "the port is taken: choose another one, or end what listens there"
    } else if said.contains("KVM") || said.contains("/dev/kvm") {
        "run it with the accelerator tcg"
    } else if said.contains("Cannot allocate memory") || said.contains("cannot set up guest memory")
    {
        "give the machine less memory, or free some"
    } else {
        "mend what it says and start it again"
    }
}

/// A running QEMU. Dropping it kills it, waits for it and removes its folder; it also ends when
/// this program does, however that happens.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    monitor: Arc<Mutex<Monitor>>,
    /// Of a machine that replays.
    pusher: Option<Pusher>,
    gdb: Option<Endpoint>,
    serial: Serial,
    /// What comes of it.
    written: Receiver<Vec<u8>>,
    said: Arc<Mutex<VecDeque<String>>>,
    /// Its sockets; removed when dropped, after the process.
    _folder: tempfile::TempDir,
}

impl Qemu {
    /// Starts the machine and waits until it answers.
    ///
    /// # Errors
    /// When QEMU is not there, ends at once, or does not answer.
    pub fn start(machine: &Machine) -> Result<Self, QemuError> {
        for (what, path) in [("kernel", &machine.kernel), ("initramfs", &machine.initrd)] {
            if !path.is_file() {
                let path = path.clone();
                return Err(QemuError::NoFile { what, path });
            }
        }
        sweep();
        let folder = tempfile::Builder::new()
            .prefix(&format!("{FOLDERS}{}-", std::process::id()))
            .tempdir()
            .map_err(QemuError::Folder)?;
        let sockets = Sockets {
            gdb: folder.path().join("gdb"),
            qmp: folder.path().join("qmp"),
        };
        let (to, written) = crossbeam_channel::unbounded();
        let mut command = Command::new(program(machine));
        command.args(machine.arguments(&sockets));
        let (mut child, serial) =
            spawn(command, to).map_err(|source| not_started(&program(machine), source))?;
        let said = Arc::default();
        let silence = keep_errors(&mut child, &said);
        let gdb = match &machine.gdb {
            GdbServer::Socket => Some(Endpoint::Unix(sockets.gdb.clone())),
            GdbServer::Tcp(address) => format!("tcp:{address}").parse().ok(),
            GdbServer::None => None,
        };
        let started = Instant::now();
        let monitor = loop {
            if let Ok(Some(status)) = child.try_wait() {
                // Its last words may still be in the pipe.
                let _ = silence.recv_timeout(LAST_WORDS);
                return Err(died(machine, ended(status), last_words(&said)));
            }
            match Monitor::connect(&sockets.qmp, START) {
                Ok(monitor) => break monitor,
                Err(MonitorError::NotThere) if started.elapsed() < START => thread::sleep(LOOK),
                // It ended in between: the next look tells.
                Err(MonitorError::Closed) if started.elapsed() < START => thread::sleep(LOOK),
                Err(MonitorError::NotThere | MonitorError::Closed) => {
                    end(&mut child);
                    return Err(QemuError::Silent {
                        said: last_words(&said),
                    });
                }
                Err(error) => {
                    end(&mut child);
                    return Err(error.into());
                }
            }
        };
        let monitor = Arc::new(Mutex::new(monitor));
        let replays = machine.replay.as_ref();
        let pusher = replays
            .filter(|replay| replay.way == Way::Replay)
            .map(|_| Pusher::start(Arc::clone(&monitor)))
            .transpose();
        let pusher = match pusher {
            Ok(pusher) => pusher,
            Err(source) => {
                end(&mut child);
                return Err(not_started(&program(machine), source));
            }
        };
        Ok(Self {
            child,
            monitor,
            pusher,
            gdb,
            serial,
            written,
            said,
            _folder: folder,
        })
    }

    /// Where its gdb stub listens, if it has one.
    #[must_use]
    pub fn gdb(&self) -> Option<&Endpoint> {
        self.gdb.as_ref()
    }

    /// Which ports of this host reach the guest.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn forwards(&mut self) -> Result<Vec<Forward>, QemuError> {
        let answer = self.monitor().human(forward::QUESTION)?;
        Ok(forward::forwards(&answer))
    }

    /// Who is to be told that the machine moves, and that it stands.
    pub(super) fn moves(&self) -> Option<&Moves> {
        self.pusher.as_ref().map(Pusher::moves)
    }

    /// Its control connection.
    pub fn monitor(&mut self) -> MutexGuard<'_, Monitor> {
        self.monitor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes from the guest's serial line, in order. The channel closes when QEMU ends.
    #[must_use]
    pub fn serial(&self) -> &Receiver<Vec<u8>> {
        &self.written
    }

    /// Lets all that a stopped machine has written come.
    pub(super) fn take_serial(&self) {
        self.serial.take();
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How QEMU ended, with its last words; `None` while it runs.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let said = last_words(&self.said);
        Some(format!("{}: {said}", ended(status)))
    }

    /// What QEMU wrote to its error output, the last lines of it.
    #[must_use]
    pub fn said(&self) -> String {
        last_words(&self.said)
    }

    /// Waits until QEMU has ended by itself; `false` when it still runs after that time.
    pub fn wait_for_end(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(LOOK);
        }
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        end(&mut self.child);
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Removes the folders of programs that were killed: those whose process is gone and whose QEMU
/// does not listen any more.
fn sweep() {
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(FOLDERS)?.split('-').next());
        let Some(owner) = owner.filter(|owner| owner.parse::<u32>().is_ok()) else {
            continue;
        };
        let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if !Path::new("/proc").join(owner).exists()
            && UnixStream::connect(entry.path().join("qmp")).is_err_and(refuses)
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Starts the process on the thread that will read its serial line.
///
/// The kernel sends the parent's death signal when the *thread* that started the process ends, so
/// that thread must last as long as QEMU does, and beyond the end of QEMU's output: QEMU closes it
/// before it exits.
fn spawn(mut command: Command, to: Sender<Vec<u8>>) -> io::Result<(Child, Serial)> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C at the terminal is for us: QEMU gets none of it.
        .process_group(0);
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are made: prctl and getppid, no
    // allocation, no lock.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have ended before the signal was asked for.
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        });
    }
    let (sender, receiver) = crossbeam_channel::bounded(1);
    thread::Builder::new()
        .name("serial".to_owned())
        .spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    let _ = sender.send(Err(error));
                    return;
                }
            };
            let Some(output) = child.stdout.take() else {
                let _ = sender.send(Err(io::ErrorKind::BrokenPipe.into()));
                return;
            };
            let serial = Serial::new(output, to);
            let pid = Pid::from_child(&child);
            if sender.send(Ok((child, serial.clone()))).is_ok() {
                serial.forward();
                // It is left to be waited for by its owner; where that was first, there is none.
                let _ = rustix::process::waitid(
                    WaitId::Pid(pid),
                    WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
                );
            }
        })?;
    receiver
        .recv()
        .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
}

/// Keeps what QEMU says; the channel closes when it can say no more.
fn keep_errors(child: &mut Child, said: &Arc<Mutex<VecDeque<String>>>) -> Receiver<()> {
    let (open, silence) = crossbeam_channel::bounded(0);
    let Some(stderr) = child.stderr.take() else {
        return silence;
    };
    let said = Arc::clone(said);
    thread::spawn(move || {
        let _open: Sender<()> = open;
        use std::io::BufRead;
        for line in io::BufReader::new(stderr)
            .split(b'\n')
            .map_while(Result::ok)
        {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() == KEPT_LINES {
                said.pop_front();
            }
            said.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    });
    silence
}

fn last_words(said: &Mutex<VecDeque<String>>) -> String {
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_empty() {
        return "it said nothing".to_owned();
    }
    let lines: Vec<_> = said.iter().map(String::as_str).collect();
    format!("'{}'", lines.join("; "))
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown status".to_owned(),
    }
}

fn end(child: &mut Child) {
    // Both fail only where it has been waited for already.
    let _ = child.kill();
    let _ = child.wait();
}

/// `$UKLSCOPE_QEMU` in place of the one on the path.
fn program(machine: &Machine) -> PathBuf {
    let named = std::env::var_os(QEMU_VARIABLE).filter(|name| !name.is_empty());
    match named {
        Some(named) if machine.program == Path::new(PROGRAM) => PathBuf::from(named),
        _ => machine.program.clone(),
    }
}

/// What the program says of itself, without a machine: `7.2.22`, or its first line where that is none of QEMU's.
pub(super) fn version(machine: &Machine) -> io::Result<String> {
    let line = says(machine)?;
    let words = line.strip_prefix("QEMU emulator version ");
    let number = words.and_then(|words| words.split_whitespace().next());
    Ok(number.unwrap_or(&line).to_owned())
}

/// `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)`
pub(super) fn says(machine: &Machine) -> io::Result<String> {
    let output = Command::new(program(machine)).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn not_started(program: &Path, source: io::Error) -> QemuError {
    let program = program.to_owned();
    if source.kind() == io::ErrorKind::NotFound {
        QemuError::NoProgram { program }
    } else {
        QemuError::NotStarted { program, source }
    }
}

#[cfg(test)]
mod tests;
