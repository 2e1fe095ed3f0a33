//! Those who have joined, at the session's end: their turn, their breakpoints, what they are told.
//!
//! The turn: one moves the target at a time. Whoever else asks to move it while it runs waits for the
//! stop with the one who does, and every stop is told to all who wait. Who last saw the target elsewhere
//! than it stands is told where it stands before anything moves at its wish. Anyone may stop it.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::beside::needs_memory_alone;
use super::book::{Breakpoint, Kind, Owner};
use super::engine::Engine;
use super::execute::RunCommand;
use super::handle::Message;
use super::joined::{Ask, Cause, Ends, Given, Joiner, Move, StoppedFor, Told, Wanted, Welcome};
use super::run::sets_breakpoints;
use super::target::TrapKind;
use super::trouble::{ASKING, Ending, Trouble};
use crate::command::{Back, Command, WatchKind};
use crate::count::counted;
use crate::event::{Answer, Event, Failure, Stop, StopReason};

/// More bytes than these are no variable.
const MOST_WATCHED: u64 = 4096;

/// Longer reads than this are no client's.
const MOST_READ: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Joining {
    list: Vec<Client>,
    /// How often the target was moved.
    moves: u64,
    /// Whose wish it was, the last time; none for whoever opened the session.
    mover: Option<Joiner>,
    /// The run that joining has interrupted goes on when this one leaves before anything moved.
    interrupted_for: Option<Joiner>,
}

#[derive(Debug)]
struct Client {
    id: Joiner,
    name: String,
    answers: Sender<Result<Given, Failure>>,
    told: Sender<Told>,
    /// The move after which it last saw the target stand.
    seen: u64,
    waits: bool,
}

impl Joining {
    fn get_mut(&mut self, id: Joiner) -> Option<&mut Client> {
        self.list.iter_mut().find(|client| client.id == id)
    }

    fn get(&self, id: Joiner) -> Option<&Client> {
        self.list.iter().find(|client| client.id == id)
    }

    fn answer(&self, id: Joiner, given: Result<Given, Failure>) {
        if let Some(client) = self.get(id) {
            // One that is gone has sent that it leaves.
            let _ = client.answers.send(given);
        }
    }

    /// Whether anyone is there beside the one who opened the session.
    pub(super) fn has_joined(&self) -> bool {
        !self.list.is_empty()
    }

    /// The target is about to be moved.
    pub(super) fn moves(&mut self) {
        self.moves += 1;
        self.interrupted_for = None;
    }

    /// Whoever opened the session moves it from here on.
    pub(super) fn opener_asks(&mut self, command: &Command) {
        if super::execute::runs(command) {
            self.mover = None;
        }
    }

    /// `gdb 1`; none when it was whoever opened the session.
    fn mover(&self) -> Option<&str> {
        let client = self.get(self.mover?)?;
        Some(&client.name)
    }
}

impl Engine {
    /// Takes in one who joins; the target stands.
    pub(super) fn join(&mut self, id: Joiner, name: String, ends: Ends) {
        let welcome = Welcome {
            documents: Arc::clone(self.target.own_account()),
            shelf: Arc::clone(self.target.shelf()),
            goes_back: self.replay.is_some(),
        };
        if ends.welcome.send(welcome).is_err() {
            return;
        }
        self.port.send(Event::Notice(format!("{name} has joined")));
        self.joining.list.push(Client {
            id,
            name,
            answers: ends.answers,
            told: ends.told,
            seen: self.joining.moves,
            waits: false,
        });
        self.tell_joined();
    }

    /// That joining has stopped a target that ran.
    pub(super) fn joining_interrupts(&mut self, id: Joiner) {
        self.joining.interrupted_for = Some(id);
    }

    /// Carries out what one who joined asks, and answers it; the error is the end of the session.
    pub(super) fn serve_joined(&mut self, id: Joiner, ask: Ask) -> Result<(), Trouble> {
        let given = match ask {
            Ask::Run(how) => self.run_for(id, how),
            Ask::Leave { run_on } => return self.let_leave(id, run_on),
            Ask::Kill => self.kill_for(id),
            Ask::Command(command) => self.command_for(id, &command).map(Some),
            other => self.given(id, other).map(Some),
        };
        match given {
            // Answered already, or by what it is told.
            Ok(None) => {}
            Ok(Some(given)) => self.joining.answer(id, Ok(given)),
            Err(Trouble::Failed(failure)) => self.joining.answer(id, Err(failure)),
            Err(over) => {
                self.joining.answer(id, Err(over.clone().failure(ASKING)));
                return Err(over);
            }
        }
        Ok(())
    }

    fn given(&mut self, id: Joiner, ask: Ask) -> Result<Given, Trouble> {
        let target = &mut self.target;
        Ok(match ask {
            Ask::Vcpus => Given::Vcpus {
                count: self.info.vcpus,
                stopped: self.vcpu,
            },
            Ask::VcpuState(vcpu) => {
                Given::Text(target.with_machine(|target| target.vcpu_state(vcpu))?)
            }
            Ask::Registers(vcpu) => {
                let registers = target.with_machine(|target| target.registers_of(vcpu))?;
                Given::Registers(registers.all_bytes().to_vec())
            }
            Ask::SetRegister {
                vcpu,
                number,
                bytes,
            } => {
                let set = |target: &mut super::target::Target| {
                    target.set_register_bytes(vcpu, number, bytes)
                };
                target.with_machine(set)?;
                self.changed_by_joined();
                Given::Done
            }
            Ask::SetRegisters { bytes, .. } if bytes.len() != target.description().size() => {
                return Err(Trouble::new(
                    "setting all registers",
                    format!("{} came", counted(bytes.len(), "byte")),
                    "give as many as they have",
                ));
            }
            Ask::SetRegisters { vcpu, bytes } => {
                target.with_machine(|target| target.set_registers(vcpu, bytes))?;
                self.changed_by_joined();
                Given::Done
            }
            Ask::Read { vcpu, addr, len } => {
                let len = len.min(MOST_READ);
                Given::Memory(target.with_machine(|target| target.read_of(vcpu, addr, len))?)
            }
            Ask::Write { vcpu, addr, bytes } => {
                target.with_machine(|target| target.write_of(vcpu, addr, &bytes))?;
                self.changed_by_joined();
                Given::Done
            }
            Ask::Insert(wanted) => {
                self.insert_for(id, wanted)?;
                Given::Done
            }
            Ask::Remove(wanted) => {
                self.remove_for(id, wanted)?;
                Given::Done
            }
            Ask::Interrupt | Ask::Run(_) | Ask::Command(_) | Ask::Leave { .. } | Ask::Kill => {
                Given::Done
            }
        })
    }

    /// What is shown of the stop may be another now.
    fn changed_by_joined(&mut self) {
        self.since = None;
        self.unwound = None;
        self.tell_joined();
    }

    fn tell_joined(&self) {
        let names = self.joining.list.iter();
        let names = names.map(|client| client.name.clone()).collect();
        self.port.send(Event::Joined(names));
    }

    fn command_for(&mut self, id: Joiner, command: &Command) -> Result<Given, Trouble> {
        self.joining.mover = Some(id);
        let answer = self.execute(command);
        // It asked for the move itself, and has the answer.
        let moves = self.joining.moves;
        if let Some(client) = self.joining.get_mut(id) {
            client.seen = moves;
        }
        Ok(Given::Answer(Box::new(answer?)))
    }

    /// Lets the target move at one's wish.
    fn run_for(&mut self, id: Joiner, how: Move) -> Result<Option<Given>, Trouble> {
        let vcpu = match how {
            Move::Continue | Move::ContinueBack | Move::StepBack => None,
            Move::ContinueOne(vcpu) | Move::Step { vcpu, .. } | Move::StepWithin { vcpu, .. } => {
                Some(vcpu)
            }
        };
        if let Some(vcpu) = vcpu.filter(|vcpu| vcpu.0 >= self.info.vcpus) {
            return Err(Trouble::new(
                format!("moving cpu{}", vcpu.0),
                format!("there are {}, counted from 0", self.info.vcpus),
                "name one of them",
            ));
        }
        let moves = self.joining.moves;
        let (stands, stopped) = (self.vcpu, self.stop.clone());
        let mover = self.joining.mover().unwrap_or("the session").to_owned();
        self.joining.answer(id, Ok(Given::Done));
        let Some(client) = self.joining.get_mut(id) else {
            return Ok(None);
        };
        if client.seen != moves {
            client.seen = moves;
            let at = stopped.map_or_else(String::new, |stop| format!(" to {}", named(&stop)));
            let told = Told::Stopped(StoppedFor {
                vcpu: stands,
                cause: Cause::Interrupted,
                note: Some(format!(
                    "{mover} has moved the target meanwhile{at}; nothing was moved now"
                )),
            });
            let _ = client.told.send(told);
            return Ok(None);
        }
        client.waits = true;
        self.joining.mover = Some(id);
        let others = self.others;
        let run = match how {
            Move::Continue => RunCommand::Continue,
            Move::ContinueOne(_) => RunCommand::ContinueAlone,
            Move::Step { others, .. } => {
                self.others = others && self.info.vcpus > 1;
                RunCommand::Instructions {
                    count: 1,
                    over: false,
                }
            }
            Move::StepWithin { others, range, .. } => {
                self.others = others && self.info.vcpus > 1;
                RunCommand::Within(range)
            }
            Move::ContinueBack => RunCommand::Back(Back::Continue),
            Move::StepBack => RunCommand::Back(Back::Instructions { count: 1 }),
        };
        // A step off a breakpoint lifts all of them, to set them again behind it.
        if matches!(
            how,
            Move::Continue | Move::ContinueOne(_) | Move::ContinueBack
        ) {
            self.forget_lifted(id);
        }
        self.leave_from_here()?;
        if let Some(vcpu) = vcpu {
            self.vcpu = vcpu;
            self.target.select(vcpu)?;
        }
        if matches!(how, Move::Continue | Move::ContinueOne(_)) {
            self.meet_own(id)?;
        }
        let ran = self.run_command(run);
        self.others = others;
        match ran {
            // Why it stands is told with the stop.
            Ok(_) | Err(Trouble::Failed(_)) => Ok(None),
            Err(over) => Err(self.with_last_words(over)),
        }
    }

    /// Debuggers step off their own breakpoints: one that lets the target go on from one wants to stop there,
    /// as after `jump`. A `rep` that a step has left where it was goes on.
    fn meet_own(&mut self, id: Joiner) -> Result<(), Trouble> {
        let pc = self.pc()?;
        let own = |number: &u32| self.book.get(*number).is_some_and(|one| one.is_of(id));
        let stopped = self.stop.as_ref().map(|stop| stop.place.addr);
        let stayed = stopped == Some(pc) && self.target.last_stop().from == stopped;
        if !stayed && self.book.at(pc).iter().any(own) {
            self.target.not_met(self.vcpu);
        }
        Ok(())
    }

    /// Tells all who wait what became of a run.
    pub(super) fn tell_waiting(&mut self, outcome: &Result<Answer, Trouble>) {
        let moves = self.joining.moves;
        for i in 0..self.joining.list.len() {
            if !self.joining.list[i].waits {
                continue;
            }
            let told = match outcome {
                Ok(Answer::Stopped(stop)) => {
                    Told::Stopped(self.stop_for(self.joining.list[i].id, stop))
                }
                Ok(_) => continue,
                Err(Trouble::Failed(failure)) => Told::Stopped(StoppedFor {
                    vcpu: self.vcpu,
                    cause: Cause::Interrupted,
                    note: Some(failure.to_string()),
                }),
                Err(Trouble::Ended(end)) => Told::Ended(end.clone()),
                Err(over @ Trouble::Quit) => Told::Ended(Ending::gone(over.to_string())),
            };
            let client = &mut self.joining.list[i];
            client.waits = false;
            client.seen = moves;
            let _ = client.told.send(told);
        }
    }

    /// A stop as it is to one of them.
    fn stop_for(&self, id: Joiner, stop: &Stop) -> StoppedFor {
        let moved_it = self.joining.mover == Some(id);
        let own = |number: &u32| {
            let one = self.book.get(*number)?;
            one.owner.as_ref().filter(|owner| owner.id == id)
        };
        // Another's may stand at the same address.
        let here = self.book.at(stop.place.addr);
        let here = here.iter().find_map(own);
        let (cause, note) = match &stop.reason {
            StopReason::Watchpoint { number, addr } => match own(number) {
                Some(owner) => {
                    let (kind, addr) = (owner.wanted.kind, *addr);
                    (Cause::Watchpoint { kind, addr }, None)
                }
                None => (Cause::Interrupted, self.whose(*number)),
            },
            StopReason::Breakpoint { .. } if here.is_some() => {
                let hardware = here.is_some_and(|owner| owner.wanted.kind == TrapKind::Hard);
                (Cause::Breakpoint { hardware }, None)
            }
            StopReason::Breakpoint { number } => (Cause::Interrupted, self.whose(*number)),
            StopReason::Beginning => (Cause::Beginning, None),
            StopReason::End => (Cause::End, None),
            StopReason::Step if moved_it => (Cause::Step, None),
            StopReason::Signal { number } if *number != 5 => (Cause::Signal(*number), None),
            StopReason::Interrupted => (Cause::Interrupted, None),
            _ => {
                let mover = self.joining.mover().unwrap_or("the session");
                let note = format!("{mover} has moved the target to {}", named(stop));
                (Cause::Interrupted, Some(note))
            }
        };
        StoppedFor {
            vcpu: stop.vcpu,
            cause,
            note,
        }
    }

    fn whose(&self, number: u32) -> Option<String> {
        let one = self.book.get(number)?;
        let of = one.owner.as_ref();
        let of = of.map_or("the session", |owner| owner.name.as_str());
        Some(format!("breakpoint {number} of {of}: {}", one.text))
    }

    /// While a command is at work: answers what needs no more of the target, and lets the rest wait.
    pub(super) fn attend_joined(&mut self, id: Joiner, ask: Ask) {
        match ask {
            Ask::Interrupt | Ask::Command(Command::Interrupt) => {
                self.interrupted = true;
                self.joining.answer(id, Ok(Given::Done));
            }
            Ask::Run(_) => {
                self.joining.answer(id, Ok(Given::Done));
                if let Some(client) = self.joining.get_mut(id) {
                    client.waits = true;
                }
            }
            Ask::Vcpus => {
                let given = self.given(id, Ask::Vcpus);
                let given = given.map_err(|trouble| trouble.failure(ASKING));
                self.joining.answer(id, given);
            }
            other => {
                let message = Message::Joined(id, other);
                // Between two steps it stands, and they may be over in a moment.
                let waits = !self.target.is_running()
                    || self.concerns_breakpoints(&message)
                    || needs_memory_alone(&message);
                if waits {
                    self.waiting.push_back(message);
                } else {
                    self.decline(message);
                }
            }
        }
    }

    /// Whether it is about breakpoints, for which a running target is stopped for a moment.
    pub(super) fn concerns_breakpoints(&self, message: &Message) -> bool {
        match message {
            Message::Command(_, command) | Message::Joined(_, Ask::Command(command)) => {
                sets_breakpoints(command)
            }
            Message::Joined(_, ask) => {
                matches!(
                    ask,
                    Ask::Insert(_) | Ask::Remove(_) | Ask::Leave { .. } | Ask::Kill
                )
            }
            Message::Join(..) => false,
        }
    }

    /// Says of what needs the target stopped that it runs.
    pub(super) fn decline(&mut self, message: Message) {
        match message {
            Message::Command(id, command) => {
                let failure = self.declined(command.needs_memory_alone());
                self.port.send(Event::Answer(id, Err(failure)));
            }
            Message::Joined(id, ask) => {
                let memory = matches!(ask, Ask::Read { .. });
                let failure = self.declined(memory);
                self.joining.answer(id, Err(failure));
            }
            // It is let in at the stop that its joining has asked for.
            join @ Message::Join(..) => self.waiting.push_back(join),
        }
    }

    fn insert_for(&mut self, id: Joiner, wanted: Wanted) -> Result<(), Trouble> {
        if wanted.len == 0 || wanted.len > MOST_WATCHED {
            return Err(Trouble::new(
                format!(
                    "watching {} at {}",
                    counted(wanted.len, "byte"),
                    wanted.addr
                ),
                format!("1 to {MOST_WATCHED} can be watched"),
                "watch a part of it",
            ));
        }
        let had = self.book.iter().find(|one| one.is_for(id, wanted));
        let number = match had.map(|one| one.number) {
            Some(number) => number,
            None => {
                let Some(name) = self.joining.get(id).map(|client| client.name.clone()) else {
                    return Ok(());
                };
                let owner = Owner { id, name, wanted };
                self.book.add_owned(owned(owner)).number
            }
        };
        self.arm(number)?;
        let failed = self.book.get(number).and_then(|one| one.failed.clone());
        if let Some(found) = failed {
            self.book.remove(number);
            return Err(Trouble::new(
                format!("planting at {}", wanted.addr),
                found,
                "remove another",
            ));
        }
        self.tell_joined();
        Ok(())
    }

    fn remove_for(&mut self, id: Joiner, wanted: Wanted) -> Result<(), Trouble> {
        let had = self.book.iter().find(|one| one.is_for(id, wanted));
        let Some(number) = had.map(|one| one.number) else {
            return Err(Trouble::new(
                format!("removing what stands at {}", wanted.addr),
                "it has planted nothing there",
                "plant it first",
            ));
        };
        self.disarm(number)?;
        self.tell_joined();
        Ok(())
    }

    /// gdb takes its breakpoints away at each stop and sets them again before it goes on: those that it
    /// does not set again are gone.
    fn forget_lifted(&mut self, id: Joiner) {
        let lifted = |one: &&Breakpoint| one.is_of(id) && !one.planted;
        let numbers: Vec<u32> = self
            .book
            .iter()
            .filter(lifted)
            .map(|one| one.number)
            .collect();
        for number in numbers {
            self.book.remove(number);
        }
    }

    fn let_leave(&mut self, id: Joiner, run_on: bool) -> Result<(), Trouble> {
        let own = self.book.iter().filter(|one| one.is_of(id));
        let numbers: Vec<u32> = own.map(|one| one.number).collect();
        let mut outcome = Ok(Given::Done);
        for number in numbers {
            match self.disarm(number) {
                Ok(()) => {}
                Err(Trouble::Failed(failure)) => outcome = Err(failure),
                Err(over) => return Err(over),
            }
            self.book.remove(number);
        }
        self.joining.answer(id, outcome);
        let at = self.joining.list.iter().position(|one| one.id == id);
        let Some(at) = at else {
            return Ok(());
        };
        let client = self.joining.list.remove(at);
        self.port
            .send(Event::Notice(format!("{} has left", client.name)));
        self.tell_joined();
        let interrupted = self.joining.interrupted_for == Some(id);
        if (run_on || interrupted) && self.joining.list.is_empty() && !self.target.is_running() {
            self.run_freely = true;
        }
        Ok(())
    }

    fn kill_for(&mut self, id: Joiner) -> Result<Option<Given>, Trouble> {
        let alone = self.joining.list.iter().all(|client| client.id == id);
        let name = self.joining.get(id).map(|client| client.name.clone());
        let name = name.unwrap_or_default();
        if !alone || !self.port.is_unattended() {
            return Err(Trouble::new(
                "ending the machine",
                "others are at it",
                "let them leave first; 'detach' leaves it to them",
            ));
        }
        let over = Trouble::Ended(Ending::gone(format!("{name} has ended the machine")));
        self.joining.answer(id, Ok(Given::Done));
        Err(over)
    }
}

/// `ksys_write+4 of kernel:fs`
fn named(stop: &Stop) -> String {
    let place = &stop.place;
    match (&place.symbol, place.offset) {
        (Some(symbol), 0) => format!("{symbol} of {}", place.origin),
        (Some(symbol), offset) => format!("{symbol}+{offset} of {}", place.origin),
        (None, _) => place.addr.to_string(),
    }
}

fn owned(owner: Owner) -> Breakpoint {
    let Wanted { kind, addr, len } = owner.wanted;
    let watch = |kind| Kind::Watch { kind };
    let kind = match kind {
        TrapKind::Soft => Kind::Code { hardware: false },
        TrapKind::Hard => Kind::Code { hardware: true },
        TrapKind::Write => watch(WatchKind::Write),
        TrapKind::Read => watch(WatchKind::Read),
        TrapKind::Access => watch(WatchKind::Access),
    };
    let text = match kind {
        Kind::Code { .. } => format!("*{addr:?}"),
        Kind::Watch { .. } => format!("{} at {addr:?}", counted(len, "byte")),
    };
    let mut breakpoint = Breakpoint::new(text, kind, vec![addr]);
    breakpoint.owner = Some(owner);
    breakpoint
}
