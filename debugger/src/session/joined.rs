//! Others at the same target: what one that has joined a session may ask, and what it is told.
//!
//! A session has one owner of its target, its thread. Who joins sends what it asks into the same queue
//! as whoever opened the session, and waits for the answer on a channel of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::handle::Message;
use super::target::Shelf;
use crate::addr::{Addr, AddrRange};
use crate::command::Command;
use crate::event::{Answer, Failure, Vcpu};

pub use super::target::{Documents, TrapKind};
pub use super::trouble::Ending;

/// Numbers those who joined, from 1; none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Joiner(pub u32);

/// What one who joined asks. Registers are bytes as a stub's `g` has them.
#[derive(Clone, Debug)]
pub enum Ask {
    Vcpus,
    /// What a vCPU does: `CPU#0 [running]`.
    VcpuState(Vcpu),
    Registers(Vcpu),
    SetRegisters {
        vcpu: Vcpu,
        bytes: Vec<u8>,
    },
    SetRegister {
        vcpu: Vcpu,
        number: u32,
        bytes: Vec<u8>,
    },
    Read {
        vcpu: Vcpu,
        addr: Addr,
        len: usize,
    },
    Write {
        vcpu: Vcpu,
        addr: Addr,
        bytes: Vec<u8>,
    },
    Insert(Wanted),
    Remove(Wanted),
    /// Answered at once; the stop is told when it comes.
    Run(Move),
    Interrupt,
    /// A command as whoever opened the session types it.
    Command(Command),
    /// Takes all that it planted away; `run_on` lets the target go where nobody else has joined.
    Leave {
        run_on: bool,
    },
    /// Ends the machine, where nobody else is at it.
    Kill,
}

/// A breakpoint or watchpoint of somebody who joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub kind: TrapKind,
    pub addr: Addr,
    /// Bytes watched; 1 for a breakpoint.
    pub len: u64,
}

/// How the target is to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Continue,
    /// One vCPU, while the others stand still.
    ContinueOne(Vcpu),
    /// One instruction; whether the other vCPUs run meanwhile.
    Step {
        vcpu: Vcpu,
        others: bool,
    },
    /// Instructions until one lies outside of the range.
    StepWithin {
        vcpu: Vcpu,
        others: bool,
        range: AddrRange,
    },
    /// To the breakpoint or the watched access before, in a machine that replays.
    ContinueBack,
    /// To the instruction before, in a machine that replays.
    StepBack,
}

#[derive(Clone, Debug)]
pub enum Given {
    Done,
    /// How many there are, and the one that stopped last.
    Vcpus {
        count: u32,
        stopped: Vcpu,
    },
    /// `None` where the target does not have a byte.
    Registers(Vec<Option<u8>>),
    Memory(Vec<u8>),
    Text(String),
    Answer(Box<Answer>),
}

/// What is told to one who waits for a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Stopped(StoppedFor),
    Ended(Ending),
}

/// A stop as it is to one who joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoppedFor {
    pub vcpu: Vcpu,
    pub cause: Cause,
    /// For its user: what it did not see come.
    pub note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its own.
    Breakpoint {
        hardware: bool,
    },
    /// Its own.
    Watchpoint {
        kind: TrapKind,
        addr: Addr,
    },
    /// The step it asked for.
    Step,
    /// Somebody asked for a stop, or moved the target meanwhile, or another's breakpoint was hit.
    Interrupted,
    /// Of a replay: the machine's reset, before which nothing was.
    Beginning,
    /// Of a replay: where its recording ends.
    End,
    Signal(u8),
}

/// Through which others join a session.
#[derive(Clone, Debug)]
pub struct Door {
    pub(super) messages: Sender<Message>,
    pub(super) next: Arc<AtomicU32>,
}

/// One who has joined. Dropping it leaves, with nothing left planted.
#[derive(Debug)]
pub struct Joined {
    id: Joiner,
    messages: Sender<Message>,
    answers: Receiver<Result<Given, Failure>>,
    told: Receiver<Told>,
    welcome: Welcome,
    left: bool,
}

/// What one who joins is told of the target at once.
#[derive(Clone, Debug)]
pub(super) struct Welcome {
    pub(super) documents: Arc<Documents>,
    pub(super) shelf: Arc<Shelf>,
    /// It replays a recording.
    pub(super) goes_back: bool,
}

/// Where a session sends what concerns one who joined.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) answers: Sender<Result<Given, Failure>>,
    pub(super) told: Sender<Told>,
    pub(super) welcome: Sender<Welcome>,
}

impl Door {
    /// Joins, which stops a target that runs.
    ///
    /// # Errors
    /// When the session is over.
    pub fn join(&self, name: &str) -> Result<Joined, Failure> {
        let id = Joiner(self.next.fetch_add(1, Ordering::Relaxed));
        let (answers_in, answers) = unbounded();
        let (told_in, told) = unbounded();
        let (welcome_in, welcome) = unbounded();
        let ends = Ends {
            answers: answers_in,
            told: told_in,
            welcome: welcome_in,
        };
        let join = Message::Join(id, format!("{name} {}", id.0), ends);
        self.messages.send(join).map_err(|_| over())?;
        Ok(Joined {
            id,
            messages: self.messages.clone(),
            answers,
            told,
            welcome: welcome.recv().map_err(|_| over())?,
            left: false,
        })
    }
}

impl Joined {
    #[must_use]
    pub const fn id(&self) -> Joiner {
        self.id
    }

    /// The stub's own account of its registers, by name of the document.
    #[must_use]
    pub fn documents(&self) -> &Documents {
        &self.welcome.documents
    }

    /// Whether the target can be moved back.
    #[must_use]
    pub const fn goes_back(&self) -> bool {
        self.welcome.goes_back
    }

    /// What was read of the target since it stopped is answered without a word to the session's thread.
    ///
    /// # Errors
    /// When it was not done.
    pub fn ask(&self, ask: Ask) -> Result<Given, Failure> {
        if let Some(given) = self.on_shelf(&ask) {
            return Ok(given);
        }
        self.messages
            .send(Message::Joined(self.id, ask))
            .map_err(|_| over())?;
        self.answers.recv().map_err(|_| over())?
    }

    /// Another one where the target may have changed since; none where it may run, or nothing was read of it yet.
    #[must_use]
    pub fn stop_number(&self) -> Option<u64> {
        self.welcome.shelf.stop()
    }

    fn on_shelf(&self, ask: &Ask) -> Option<Given> {
        let shelf = &self.welcome.shelf;
        match ask {
            Ask::Read { vcpu, addr, len } => shelf.read(*vcpu, *addr, *len).map(Given::Memory),
            Ask::Registers(vcpu) => shelf.registers(*vcpu).map(Given::Registers),
            _ => None,
        }
    }

    /// Where it is told of stops that it waits for; closed when the session is over.
    #[must_use]
    pub const fn told(&self) -> &Receiver<Told> {
        &self.told
    }

    /// Leaves; `run_on` lets the target go where nobody else has joined.
    ///
    /// # Errors
    /// When something could not be taken away.
    pub fn leave(mut self, run_on: bool) -> Result<(), Failure> {
        self.left = true;
        self.ask(Ask::Leave { run_on }).map(|_| ())
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if !self.left {
            // A session that is over holds nothing of anybody.
            let leave = Ask::Leave { run_on: false };
            let _ = self.messages.send(Message::Joined(self.id, leave));
        }
    }
}

fn over() -> Failure {
    Failure::new(
        "asking the target",
        "the session is over",
        "open the target again",
    )
}
