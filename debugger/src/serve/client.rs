//! One client: packets in, replies out, until it leaves or hangs up.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use gdbstub::common::Signal;
use gdbstub::stub::state_machine::GdbStubStateMachine;
use gdbstub::stub::{DisconnectReason, GdbStub, GdbStubError, MultiThreadStopReason};

use super::house::House;
use super::machine::Machine;
use super::resume::reason;
use super::stream::Stream;
use super::wire::{End, Heard, PACKET, Wire};
use crate::event::Failure;
use crate::session::joined::{Ask, Ending, Told};

/// How long the wish to stop of a client that waits may lie unread.
const SLICE: Duration = Duration::from_millis(10);

/// `EACCES`: a second owner without the token, the end of a machine that others are at.
const REFUSED: &[u8] = b"E0d";

/// `EINVAL`, for what is no request.
const MALFORMED: &[u8] = b"E16";

type Stub<'a> = GdbStubStateMachine<'a, Machine, End>;
type StubError = GdbStubError<Failure, io::Error>;

/// What a new state machine has to be told of the conversation so far.
#[derive(Debug, Default)]
struct Said {
    supported: Option<Vec<u8>>,
    /// `Hg` and `Hc`.
    threads: [Option<Vec<u8>>; 2],
}

/// Serves a client from its first packet on.
///
/// # Errors
/// When the connection breaks. One that hangs up does not break it.
pub(super) fn serve(stream: Stream, house: &House) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    // Who only connects does not stop anything.
    let first = loop {
        match wire.hear(true)? {
            Heard::Packet(payload) => break payload,
            Heard::Interrupt | Heard::Nothing => {}
            Heard::HungUp => return Ok(()),
        }
    };
    let Some(_place) = house.enter(|line| wire.began_with(line)) else {
        // What gdb shows of it is its text.
        return wire.reply(REFUSED);
    };
    let kind = kind(&first);
    let Ok(joined) = house.door.join(kind) else {
        return Ok(());
    };
    let mut client = Client {
        wire: Rc::new(RefCell::new(wire)),
        machine: Machine::new(joined, house.render, kind),
        said: Said::default(),
        lets_go: house.lets_go,
    };
    // gdbstub looks for a second '#' behind each packet, to the end of its buffer: it finds one at once.
    let mut buffer = vec![b'#'; PACKET];
    let mut heard = Heard::Packet(first);
    loop {
        let stub = client.begin(&mut buffer)?;
        match client.converse(stub, heard)? {
            After::Lost => heard = Heard::Nothing,
            After::HungUp => return Ok(()),
            After::Over(reason) => {
                client.end(reason);
                return Ok(());
            }
        }
    }
}

/// How one of gdbstub's conversations came to its end.
enum After {
    /// It does not go on behind what it did not expect: another one does.
    Lost,
    HungUp,
    Over(DisconnectReason),
}

/// gdb and lldb are told apart by what they ask first.
fn kind(first: &[u8]) -> &'static str {
    let has = |word: &[u8]| first.windows(word.len()).any(|window| window == word);
    match first {
        b"QStartNoAckMode" => "lldb",
        _ if has(b"qRelocInsn+") => "gdb",
        _ => "client",
    }
}

struct Client {
    wire: Rc<RefCell<Wire>>,
    machine: Machine,
    said: Said,
    lets_go: bool,
}

impl Client {
    fn converse(&mut self, mut stub: Stub<'_>, mut heard: Heard) -> io::Result<After> {
        loop {
            stub = match heard {
                Heard::HungUp => return Ok(After::HungUp),
                Heard::Packet(payload) => match self.take(stub, &payload)? {
                    Some(stub) => stub,
                    None => return Ok(After::Lost),
                },
                Heard::Interrupt => {
                    if self.machine.runs {
                        // The stop is told as any other; a session that is over is found out below.
                        let _ = self.machine.joined.ask(Ask::Interrupt);
                    }
                    stub
                }
                Heard::Nothing => stub,
            };
            if let Stub::Disconnected(gone) = &stub {
                return Ok(After::Over(gone.get_reason()));
            }
            heard = if self.machine.runs {
                let told = self.machine.joined.told().recv_timeout(SLICE);
                match told {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(told) => stub = self.tell(stub, told)?,
                    Err(RecvTimeoutError::Disconnected) => {
                        let over = Ending::gone("the session is over".to_owned());
                        stub = self.tell(stub, Told::Ended(over))?;
                    }
                }
                if let Stub::Disconnected(gone) = &stub {
                    return Ok(After::Over(gone.get_reason()));
                }
                self.wire.borrow_mut().hear(false)?
            } else {
                self.wire.borrow_mut().hear(true)?
            };
        }
    }

    /// One packet and its reply.
    fn take<'a>(&mut self, stub: Stub<'a>, payload: &[u8]) -> io::Result<Option<Stub<'a>>> {
        if payload.len() + 4 > PACKET
            || asks_for_too_much(payload)
            || writes_another_length(payload)
        {
            self.wire.borrow_mut().reply(MALFORMED)?;
            return Ok(Some(stub));
        }
        self.machine.reading.heard(payload);
        if let Some(reply) = self.machine.read_on(payload) {
            self.wire.borrow_mut().reply(&reply)?;
            return Ok(Some(stub));
        }
        if let Some(reply) = self.machine.region_at(payload) {
            self.wire.borrow_mut().reply(&reply)?;
            return Ok(Some(stub));
        }
        if self.machine.runs && moves(payload) {
            // It was let go already.
            self.wire.borrow_mut().reply(MALFORMED)?;
            return Ok(Some(stub));
        }
        if payload.starts_with(b"vKill;") && self.machine.joined.ask(Ask::Kill).is_ok() {
            // gdbstub ends there without the answer that gdb waits for.
            self.wire.borrow_mut().reply(b"OK")?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if payload.starts_with(b"vKill;") {
            self.wire.borrow_mut().reply(REFUSED)?;
            return Ok(Some(stub));
        }
        let fed = feed(stub, &mut self.machine, payload);
        match fed {
            Ok(stub) => {
                self.remember(payload);
                // A resume is acknowledged before its stop comes.
                self.wire.borrow_mut().send()?;
                Ok(Some(stub))
            }
            Err(error) if error.is_connection_error() => {
                Err(error.into_connection_error().map_or_else(
                    || io::Error::other("the connection broke"),
                    |(error, _)| error,
                ))
            }
            Err(_) => {
                self.wire.borrow_mut().reply(MALFORMED)?;
                Ok(None)
            }
        }
    }

    fn remember(&mut self, payload: &[u8]) {
        match payload {
            b"QStartNoAckMode" => self.wire.borrow_mut().acknowledges = false,
            [b'H', b'g', ..] => self.said.threads[0] = Some(payload.to_vec()),
            [b'H', b'c', ..] => self.said.threads[1] = Some(payload.to_vec()),
            _ if payload.starts_with(b"qSupported") => self.said.supported = Some(payload.to_vec()),
            _ => {}
        }
    }

    /// A conversation of gdbstub's, told of what was agreed so far.
    fn begin<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<Stub<'a>> {
        let stub = GdbStub::builder(End(Rc::clone(&self.wire)))
            .with_packet_buffer(buffer)
            .build()
            .map_err(io::Error::other)?
            .run_state_machine(&mut self.machine)
            .map_err(|error| io::Error::other(error.to_string()))?;
        self.wire.borrow_mut().muted = true;
        let agreed = self.agree_again(stub);
        self.wire.borrow_mut().muted = false;
        agreed
    }

    fn agree_again<'a>(&mut self, mut stub: Stub<'a>) -> io::Result<Stub<'a>> {
        let no_ack = !self.wire.borrow().acknowledges;
        let threads = self.said.threads.iter().flatten();
        let said = self.said.supported.iter().chain(threads).cloned();
        let mut said: Vec<Vec<u8>> = said.collect();
        said.extend(no_ack.then(|| b"QStartNoAckMode".to_vec()));
        said.extend(self.machine.runs.then(|| b"vCont;c".to_vec()));
        for payload in said {
            stub = feed(stub, &mut self.machine, &payload)
                .map_err(|error| io::Error::other(error.to_string()))?;
            self.wire.borrow_mut().send()?;
        }
        Ok(stub)
    }

    /// A stop that it waited for.
    fn tell<'a>(&mut self, stub: Stub<'a>, told: Told) -> io::Result<Stub<'a>> {
        let Stub::Running(running) = stub else {
            return Ok(stub);
        };
        self.machine.runs = false;
        let reason = match &told {
            Told::Stopped(stop) => {
                if let Some(note) = &stop.note {
                    self.wire.borrow_mut().say(&format!("uklscope: {note}\n"))?;
                }
                reason(stop)
            }
            Told::Ended(end) => {
                match end.exited {
                    // The client's own words say as much.
                    Some(code) => MultiThreadStopReason::Exited(code),
                    None => {
                        self.wire.borrow_mut().say(&format!("uklscope: {end}\n"))?;
                        MultiThreadStopReason::Terminated(Signal::SIGKILL)
                    }
                }
            }
        };
        running
            .report_stop(&mut self.machine, reason)
            .map_err(|error| io::Error::other(error.to_string()))
    }

    fn end(self, reason: DisconnectReason) {
        match reason {
            // Where it may not, it leaves. lldb waits for word of the end, which gdb does not read.
            DisconnectReason::Kill => {
                if self.machine.joined.ask(Ask::Kill).is_ok() {
                    let _ = self.wire.borrow_mut().reply(b"X09");
                }
            }
            // What could not be taken away, the session has said.
            DisconnectReason::Disconnect => drop(self.machine.joined.leave(self.lets_go)),
            DisconnectReason::TargetExited(_) | DisconnectReason::TargetTerminated(_) => {}
        }
    }
}

/// Hands a packet to gdbstub.
fn feed<'a>(
    mut stub: Stub<'a>,
    machine: &mut Machine,
    payload: &[u8],
) -> Result<Stub<'a>, StubError> {
    for byte in crate::gdb::packet::encode(payload) {
        stub = match stub {
            Stub::Idle(idle) => idle.incoming_data(machine, byte)?,
            Stub::Running(running) => running.incoming_data(machine, byte)?,
            // Interrupts never come this far.
            Stub::CtrlCInterrupt(interrupted) => {
                interrupted.interrupt_handled(machine, None::<MultiThreadStopReason<u64>>)?
            }
            Stub::Disconnected(gone) => return Ok(gone.into()),
        };
    }
    Ok(stub)
}

/// Whether a packet lets the target move.
fn moves(payload: &[u8]) -> bool {
    payload.starts_with(b"vCont;")
        || matches!(payload, [b'c' | b's' | b'C' | b'S', ..] | b"bc" | b"bs")
}

/// A write of other bytes than it says: gdbstub would write those there are.
fn writes_another_length(payload: &[u8]) -> bool {
    let Some(colon) = payload.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let (head, data) = (&payload[..colon], payload.len() - colon - 1);
    let len = head.split(|byte| *byte == b',').nth(1);
    let len = len.and_then(crate::gdb::hex::number);
    match head.first() {
        Some(b'M') => len.is_none_or(|len| len.checked_mul(2) != Some(data as u64)),
        Some(b'X') => len.is_none_or(|len| len != data as u64),
        _ => false,
    }
}

/// A read whose reply is longer than a packet: gdbstub would answer it in one all the same.
fn asks_for_too_much(payload: &[u8]) -> bool {
    let Some(numbers) = payload.strip_prefix(b"m") else {
        return false;
    };
    let len = numbers.split(|byte| *byte == b',').nth(1);
    let len = len.and_then(crate::gdb::hex::number);
    len.is_some_and(|len| len > (PACKET / 2) as u64)
}
