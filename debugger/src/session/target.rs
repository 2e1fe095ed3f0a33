//! A stopped or running machine behind a gdb stub: a blocking view of it with one owner.
//!
//! What a stub says is not taken for the truth where it can be checked: writes and step flags are
//! read back, the traps are kept here, features are asked for. QEMU's habits that this hides are
//! described where they are handled:
//!
//! | habit of the stub | handled in |
//! |---|---|
//! | a condition sent with a breakpoint is answered OK and ignored | [`crate::gdb::request::Trap`] has no room for one |
//! | any byte but 0x03 stops a running guest; attaching greets with a stop | [`crate::gdb::client`] |
//! | asking why it stopped drops every breakpoint | [`Target::reconnect`] plants them again |
//! | continuing from a breakpoint hits it again without a step | [`Target::resume`] |
//! | a watched access made by a single step is told once more when it runs on | `again` |
//! | reverse steps abort QEMU outside of a replay, and pass over a breakpoint one instruction back within | [`crate::gdb::request::Request`] has none: snapshots are gone back to instead |
//! | long reads fail; features vary | `handshake`, [`Target::read`] |
//! | interrupts and time stand still in a step, or not | [`Target::step_flags`] |
//! | a step of `syscall` or of a faulting load ends in the handler | [`Target::step`] says where it began |

mod again;
mod beneath;
mod error;
mod handshake;
mod lines;
mod memory;
mod past;
mod registers;
mod replay;
mod run;
mod shelf;
mod traps;
mod verdicts;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::addr::Addr;
use crate::event::Vcpu;
use crate::gdb::client::Client;
use crate::gdb::description::Description;
use crate::gdb::reply::{self, ReplyError, Stop, Supported};
use crate::gdb::request::Request;
use crate::gdb::thread::ThreadId;
use crate::known::Known;
use crate::symbols::Contents;

use super::breakpoints::TrapTable;
use super::link::{Link, LinkError};
use super::moves::Moves;
use super::wire::Head;

pub use super::link::Endpoint;
pub use crate::gdb::registers::Registers;
pub use crate::gdb::reply::StopCause;
pub use crate::gdb::request::{Trap, TrapKind};
pub use beneath::Documents;
pub use error::TargetError;
pub use past::Kept;
pub(in crate::session) use run::STEP_TRIES;
pub use run::StepFlags;
pub use shelf::Shelf;
pub use verdicts::{Finding, Verdict};

/// Requests under way at once. The stub answers while we still send: with more of them both sides
/// could wait for room in their buffers for ever.
const WINDOW: usize = 64;

/// How many times the time for an answer a stub may take that has acknowledged the request, or sends
/// something: on a busy host one is slow, and not gone.
const PATIENT: u32 = 6;

/// Bytes that belong to no packet, after which nobody waits for one any more.
const MOST_JUNK: u64 = 4096;

/// Why the machine stands still, and which vCPU saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopReply {
    pub vcpu: Vcpu,
    pub cause: StopCause,
    /// Where a step began. A step of `syscall`, `int` or a faulting load ends on the first
    /// instruction of the handler: compare.
    pub from: Option<Addr>,
}

impl StopReply {
    /// The machine is gone: nothing more can be asked of it.
    #[must_use]
    pub const fn ended(&self) -> bool {
        matches!(self.cause, StopCause::Exited(_) | StopCause::Killed(_))
    }
}

#[derive(Debug)]
pub struct Target {
    link: Link,
    client: Client,
    /// For each answer, of silence.
    timeout: Duration,
    supported: Supported,
    vcont: bool,
    description: Arc<Description>,
    documents: Arc<Documents>,
    threads: Vec<ThreadId>,
    step_flags: Known<StepFlags>,
    /// The vCPU whose page tables memory is read through.
    selected: Vcpu,
    /// The vCPU that the stub reads through now.
    stub_selected: Option<Vcpu>,
    last_stop: StopReply,
    /// vCPUs whose instruction at the program counter has been stopped at already: the next resume
    /// steps them off a breakpoint there.
    reported: BTreeSet<Vcpu>,
    /// A stop that came while stepping off a breakpoint, not yet given out.
    pending: Option<StopReply>,
    again: again::Again,
    registers: BTreeMap<Vcpu, Registers>,
    memory: memory::Cache,
    traps: TrapTable,
    /// Those that are not planted for a while, and counted all the same.
    out: BTreeSet<Trap>,
    ended: Option<String>,
    /// What memory holds where there is no machine, only its file.
    file: Option<Contents>,
    /// Memory that can be read while the machine runs.
    window: Option<window::Window>,
    /// Looked at instead of the machine.
    past: Option<past::Past>,
    /// Who wants to know whether it moves.
    moves: Option<Moves>,
}

impl Target {
    /// Of a file: its memory can be read, all else fails and says why.
    ///
    /// # Errors
    /// None is expected: the conversation with no stub is empty.
    pub fn of_file(contents: Contents) -> Result<Self, TargetError> {
        let mut target = Self::silent(Link::play("")?, Duration::ZERO);
        target.file = Some(contents);
        Ok(target)
    }

    /// Whether there is no machine.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// Connects to a stub. A machine that runs is stopped by that, and its breakpoints, if another
    /// debugger left any, are gone.
    ///
    /// `timeout` holds for connecting and afterwards for each answer.
    ///
    /// # Errors
    /// When nothing listens, or what listens is no stub with a target description.
    pub fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<Self, TargetError> {
        Self::over(Link::connect(endpoint, timeout)?, timeout)
    }

    /// As [`Self::connect`], over any link: a recorded one, or the player of a recording.
    ///
    /// # Errors
    /// See [`Self::connect`].
    pub fn over(link: Link, timeout: Duration) -> Result<Self, TargetError> {
        let mut target = Self::silent(link, timeout);
        target.handshake()?;
        Ok(target)
    }

    /// As [`Self::connect`], and writes every byte into a file.
    ///
    /// # Errors
    /// See [`Self::connect`], and when the file cannot be made.
    pub fn connect_recording(
        endpoint: &Endpoint,
        timeout: Duration,
        record: Option<(&Path, &Head)>,
    ) -> Result<Self, TargetError> {
        let mut link = Link::connect(endpoint, timeout)?;
        if let Some((path, head)) = record {
            link.record_to(path, head)?;
        }
        Self::over(link, timeout)
    }

    fn silent(link: Link, timeout: Duration) -> Self {
        Self {
            link,
            client: Client::default(),
            timeout,
            supported: Supported::default(),
            vcont: false,
            description: Arc::default(),
            documents: Arc::default(),
            threads: Vec::new(),
            step_flags: Known::Asked,
            selected: Vcpu(0),
            stub_selected: None,
            last_stop: StopReply {
                vcpu: Vcpu(0),
                cause: StopCause::Signal(0),
                from: None,
            },
            reported: BTreeSet::new(),
            pending: None,
            again: again::Again::default(),
            registers: BTreeMap::new(),
            memory: memory::Cache::default(),
            traps: TrapTable::default(),
            out: BTreeSet::new(),
            ended: None,
            file: None,
            window: None,
            past: None,
            moves: None,
        }
    }

    /// The vCPUs there are now.
    ///
    /// # Errors
    /// While the target runs, and when the stub does not answer.
    pub fn vcpus(&mut self) -> Result<Vec<Vcpu>, TargetError> {
        self.needs_machine("listing the vCPUs")?;
        self.read_threads()?;
        Ok((0..).map(Vcpu).take(self.threads.len()).collect())
    }

    /// What the stub says of a vCPU: `CPU#0 [running]`, `CPU#1 [halted ]`.
    ///
    /// # Errors
    /// See [`Self::vcpus`].
    pub fn vcpu_state(&mut self, vcpu: Vcpu) -> Result<String, TargetError> {
        self.needs_machine("asking what a vCPU does")?;
        let thread = self.thread(vcpu)?;
        let text = self.ask_decoded(&Request::ThreadExtraInfo(thread), |payload| {
            reply::bytes(payload, None)
        })?;
        Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
    }

    /// The stop that the machine stands at, or last stood at.
    #[must_use]
    pub fn last_stop(&self) -> StopReply {
        self.last_stop
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        self.client.is_running() || self.pending.is_some()
    }

    /// For each answer from here on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// What the stub announced.
    #[must_use]
    pub fn supported(&self) -> &Supported {
        &self.supported
    }

    #[must_use]
    pub fn description(&self) -> &Arc<Description> {
        &self.description
    }

    /// Where it is connected to; `None` for a transcript.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.link.endpoint()
    }

    /// The conversation so far, where the link records it.
    #[must_use]
    pub fn transcript(&self) -> Option<String> {
        self.link.transcript()
    }

    /// QEMU's monitor. What was read before is forgotten: the command may have changed it.
    ///
    /// # Errors
    /// While the target runs, and for commands that would make it run.
    pub fn monitor(&mut self, command: &str) -> Result<String, TargetError> {
        if matches!(
            command.split_whitespace().next(),
            Some("c" | "cont" | "system_reset")
        ) {
            return Err(TargetError::MonitorRuns(command.to_owned()));
        }
        self.forget();
        self.monitor_text(command)
    }

    /// Removes every trap, lets the machine run on and leaves it.
    ///
    /// # Errors
    /// When the stub does not answer. The connection is closed all the same.
    pub fn detach(mut self) -> Result<(), TargetError> {
        self.leave()
    }

    /// Hangs up and leaves the machine standing, with its traps, for another client of its stub.
    pub fn hand_over(mut self) {
        self.ended = Some("handed over".to_owned());
    }

    /// Ends the machine.
    ///
    /// # Errors
    /// When the request cannot be sent.
    pub fn kill(mut self) -> Result<(), TargetError> {
        self.stop_if_running()?;
        self.send(&Request::Kill)?;
        self.ended = Some("killed".to_owned());
        // There is no answer: the connection ends with the machine.
        match self.exchange(Instant::now(), || tried(&Request::Kill)) {
            Ok(_)
            | Err(TargetError::LinkWhile {
                source: LinkError::Closed { .. },
                ..
            }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn leave(&mut self) -> Result<(), TargetError> {
        self.stop_if_running()?;
        let process = self.threads.first().and_then(|thread| thread.process);
        let mut requests: Vec<_> = self.traps.standing().map(Request::Remove).collect();
        requests.push(Request::Detach { process });
        let replies = self.batch(&requests)?;
        self.ended = Some("left".to_owned());
        for (request, payload) in requests.iter().zip(&replies) {
            reply::ok(payload).map_err(|source| refused(request, source))?;
        }
        Ok(())
    }

    fn stop_if_running(&mut self) -> Result<(), TargetError> {
        if self.client.is_running() {
            self.interrupt()?;
            self.wait(self.timeout)?;
        }
        self.pending = None;
        Ok(())
    }

    fn needs_machine(&self, tried: &str) -> Result<(), TargetError> {
        if self.is_file() {
            return Err(TargetError::NoMachine {
                tried: tried.to_owned(),
            });
        }
        self.past
            .as_ref()
            .map_or(Ok(()), |past| Err(past.refuses(tried)))
    }

    /// Forgets everything that was read: the machine may have changed it.
    fn forget(&mut self) {
        self.registers.clear();
        self.memory.clear();
    }

    fn thread(&self, vcpu: Vcpu) -> Result<ThreadId, TargetError> {
        let missing = TargetError::NoSuchVcpu(vcpu, self.threads.len());
        let index = usize::try_from(vcpu.0).unwrap_or(usize::MAX);
        self.threads.get(index).copied().ok_or(missing)
    }

    fn vcpu_of(&self, thread: Option<ThreadId>) -> Vcpu {
        let index = thread
            .and_then(|thread| self.threads.iter().position(|other| other.same(thread)))
            .and_then(|index| u32::try_from(index).ok());
        index.map_or(self.last_stop.vcpu, Vcpu)
    }

    fn send(&mut self, request: &Request) -> Result<(), TargetError> {
        let tried = || tried(request);
        if self.is_file() {
            return Err(TargetError::NoMachine { tried: tried() });
        }
        if let Some(how) = &self.ended {
            return Err(TargetError::Ended {
                tried: tried(),
                how: how.clone(),
            });
        }
        if self.is_running() {
            return Err(TargetError::Running { tried: tried() });
        }
        let at = self.link.at();
        self.client
            .send(request)
            .map_err(|source| TargetError::Wire {
                tried: tried(),
                at,
                source,
            })
    }

    fn ask(&mut self, request: &Request) -> Result<Vec<u8>, TargetError> {
        self.send(request)?;
        self.next_reply(request, self.timeout)
    }

    fn ask_decoded<T>(
        &mut self,
        request: &Request,
        decode: impl FnOnce(&[u8]) -> Result<T, ReplyError>,
    ) -> Result<T, TargetError> {
        let payload = self.ask(request)?;
        decode(&payload).map_err(|source| refused(request, source))
    }

    /// Sends many requests at once and gives their replies in order.
    fn batch(&mut self, requests: &[Request]) -> Result<Vec<Vec<u8>>, TargetError> {
        let mut replies = Vec::with_capacity(requests.len());
        for window in requests.chunks(WINDOW) {
            for request in window {
                self.send(request)?;
            }
            for request in window {
                replies.push(self.next_reply(request, self.timeout)?);
            }
        }
        Ok(replies)
    }

    /// A stub that has not even taken the request is waited for as long as `wait`, one that is at work
    /// on it longer.
    fn next_reply(&mut self, request: &Request, wait: Duration) -> Result<Vec<u8>, TargetError> {
        let began = Instant::now();
        let last = began + wait * PATIENT;
        let mut deadline = began + wait;
        loop {
            if let Some(payload) = self.client.next_reply() {
                return Ok(payload);
            }
            let heard = self.client.heard();
            let silent = !self.exchange(deadline, || tried(request))?;
            if self.client.heard() > heard || (silent && self.client.is_at_work()) {
                deadline = last.min(Instant::now() + wait);
            }
            if silent && Instant::now() >= deadline {
                let error = self.no_answer(request, began.elapsed());
                self.client.abandon();
                return Err(error);
            }
        }
    }

    /// Tells another thread from now on whether the machine moves.
    pub(super) fn tell_moves(&mut self, to: Moves) {
        self.moves = Some(to);
        self.tell_whether_it_moves();
    }

    fn tell_whether_it_moves(&self) {
        if let Some(moves) = &self.moves {
            moves.tell(self.client.is_running());
        }
    }

    /// Sends what is to be sent and takes what comes; `false` at the deadline, without a reply.
    fn exchange(
        &mut self,
        deadline: Instant,
        tried: impl Fn() -> String,
    ) -> Result<bool, TargetError> {
        let lost = |source| TargetError::LinkWhile {
            tried: tried(),
            source,
        };
        let output = self.client.take_output();
        let left = deadline.saturating_duration_since(Instant::now());
        let mut bytes = Vec::new();
        self.tell_whether_it_moves();
        let exchanged = if output.is_empty() {
            Ok(())
        } else {
            self.link.send(&output)
        }
        .and_then(|()| self.link.receive(&mut bytes, left));
        match exchanged {
            Ok(_) => {}
            Err(error) => {
                self.ended
                    .get_or_insert_with(|| "its stub is gone".to_owned());
                return Err(lost(error));
            }
        }
        self.client.receive(&bytes).map_err(|source| {
            self.ended
                .get_or_insert_with(|| "its stub sent what cannot be read".to_owned());
            TargetError::Wire {
                tried: tried(),
                at: self.link.at(),
                source,
            }
        })?;
        self.tell_whether_it_moves();
        match self.client.junk() {
            Some((bytes, shown)) if bytes > MOST_JUNK => {
                self.ended
                    .get_or_insert_with(|| "it is no gdb stub".to_owned());
                let at = self.link.at();
                Err(TargetError::NoStub { at, bytes, shown })
            }
            _ => Ok(self.client.has_reply() || Instant::now() < deadline),
        }
    }

    fn no_answer(&self, request: &Request, waited: Duration) -> TargetError {
        let at = self.link.at();
        if let Some((bytes, shown)) = self.client.junk() {
            return TargetError::NoStub { at, bytes, shown };
        }
        let found = match self.client.unfinished() {
            Some(part) => format!("only the beginning of one came, '{part}': connect again"),
            None if matches!(request, Request::Supported) => {
                "another debugger may be attached, QEMU serves one at a time: end it".to_owned()
            }
            None => "QEMU may be stuck: connect again".to_owned(),
        };
        TargetError::NoAnswer {
            tried: tried(request),
            at,
            waited,
            found,
        }
    }

    fn take_stop(&mut self, stop: &Stop, from: Option<Addr>) -> StopReply {
        let reply = StopReply {
            vcpu: self.vcpu_of(stop.thread),
            cause: stop.cause,
            from,
        };
        if reply.ended() {
            self.ended = Some(match stop.cause {
                StopCause::Exited(code) => format!("it exited with {code}"),
                _ => "it was killed".to_owned(),
            });
        }
        self.last_stop = reply;
        self.selected = reply.vcpu;
        // QEMU reads through the vCPU that met a trap or was stepped; a mere interrupt leaves what it
        // reads through as it was.
        let moved = matches!(stop.cause, StopCause::TRAP | StopCause::Watch { .. });
        self.stub_selected = (moved && stop.thread.is_some()).then_some(reply.vcpu);
        reply
    }
}

/// Leaves the machine as [`Target::detach`] does, as far as that is still possible: QEMU keeps the
/// traps of a debugger that just hangs up, and the guest would stand at the first of them for ever.
impl Drop for Target {
    fn drop(&mut self) {
        if self.ended.is_none() && self.link.endpoint().is_some() {
            self.timeout = self.timeout.min(Duration::from_secs(1));
            let _ = self.leave();
        }
    }
}

fn tried(request: &Request) -> String {
    const SHOWN: usize = 60;
    let payload = request.payload();
    let shown = payload[..payload.len().min(SHOWN)].escape_ascii();
    let dots = if payload.len() > SHOWN { "..." } else { "" };
    format!("asking the stub '{shown}{dots}'")
}

fn refused(request: &Request, source: ReplyError) -> TargetError {
    TargetError::Reply {
        tried: tried(request),
        source,
    }
}
