//! The session's thread: opens the target, then carries out one command after the other.

use std::time::Duration;

use super::engine::Engine;
use super::handle::{Message, Port};
use super::trouble::{ASKING, Ending, Trouble};
use crate::command::Command;
use crate::event::{Answer, Event, Failure, RequestId, Run};

/// Between two looks at the guest's serial line while nothing is asked.
const IDLE: Duration = Duration::from_millis(20);

/// How long QEMU may take to end after its guest has.
const LAST_BYTES: Duration = Duration::from_millis(500);

pub(super) fn serve(port: Port, open: impl FnOnce(Port) -> Result<Engine, Trouble>) {
    let (events, messages, quit) = port.ends();
    let send = |event| {
        let _ = events.send(event);
    };
    send(Event::Run(Run::Starting));
    let why = match open(port) {
        Ok(mut engine) => {
            let why = engine.serve();
            engine.let_go();
            why
        }
        Err(trouble) => Some(trouble),
    };
    let why = match why {
        None | Some(Trouble::Quit) => return,
        Some(trouble) => trouble.to_string(),
    };
    send(Event::Run(Run::Ended(why.clone())));
    // Whoever asks now is told.
    while !quit() {
        match messages.recv_timeout(IDLE) {
            Ok(Message::Command(id, _)) => {
                let failure = Failure::new(
                    ASKING,
                    format!("the target is gone ({why})"),
                    "open it again",
                );
                send(Event::Answer(id, Err(failure)));
            }
            // Whoever joined is told by its channels, which are closed.
            Ok(Message::Join(..) | Message::Joined(..))
            | Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
            Err(crossbeam_channel::RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Engine {
    /// Until the target is gone, or whoever asks.
    fn serve(&mut self) -> Option<Trouble> {
        loop {
            if self.port.ended() {
                return None;
            }
            self.forward_serial();
            if std::mem::take(&mut self.run_freely) {
                match self.execute(&Command::Continue) {
                    Ok(_) | Err(Trouble::Failed(_)) => {}
                    Err(trouble) => return Some(self.with_last_words(trouble)),
                }
            }
            let Some(message) = self.next_message() else {
                continue;
            };
            if let Err(trouble) = self.answer(message) {
                return Some(trouble);
            }
        }
    }

    fn next_message(&mut self) -> Option<Message> {
        match self.waiting.pop_front() {
            Some(waiting) => Some(waiting),
            None => self.port.messages.recv_timeout(IDLE).ok(),
        }
    }

    /// Carries out what one asks and answers it; the error is the end of the session.
    pub(super) fn answer(&mut self, message: Message) -> Result<(), Trouble> {
        match message {
            Message::Command(id, command) => self.answer_command(id, &command),
            Message::Join(id, name, ends) => {
                self.join(id, name, ends);
                Ok(())
            }
            Message::Joined(id, ask) => self.serve_joined(id, ask),
        }
    }

    fn answer_command(&mut self, id: RequestId, command: &Command) -> Result<(), Trouble> {
        self.joining.opener_asks(command);
        match self.execute(command) {
            Ok(answer) => self.port.send(Event::Answer(id, Ok(answer))),
            Err(Trouble::Failed(failure)) => self.port.send(Event::Answer(id, Err(failure))),
            Err(Trouble::Quit) => return Err(Trouble::Quit),
            Err(trouble @ Trouble::Ended(_)) => {
                let trouble = self.with_last_words(trouble);
                // A program that has run to its end has done what it was asked.
                let answer = match command {
                    Command::Continue => Ok(Answer::Done(trouble.to_string())),
                    _ => Err(trouble.clone().failure(ASKING)),
                };
                self.port.send(Event::Answer(id, answer));
                for message in std::mem::take(&mut self.waiting) {
                    if let Message::Command(id, _) = message {
                        let failure = trouble.clone().failure(ASKING);
                        self.port.send(Event::Answer(id, Err(failure)));
                    }
                }
                return Err(trouble);
            }
        }
        Ok(())
    }

    /// What QEMU and the guest said at their end.
    pub(super) fn with_last_words(&mut self, trouble: Trouble) -> Trouble {
        let Trouble::Ended(end) = trouble else {
            return trouble;
        };
        let Some(qemu) = &mut self.qemu else {
            return Trouble::Ended(end);
        };
        let ended = qemu.wait_for_end(LAST_BYTES);
        while let Ok(bytes) = qemu.serial().recv_timeout(IDLE) {
            self.port.send(Event::Serial(bytes));
        }
        match qemu.ended() {
            Some(status) if ended => {
                Trouble::Ended(match status.strip_suffix(": it said nothing") {
                    Some("exit code 0") => {
                        Ending::exited("the guest has switched itself off".to_owned(), 0)
                    }
                    Some(status) => Ending::gone(format!("QEMU has ended with {status}")),
                    None => Ending::gone(format!("QEMU has ended with {status}")),
                })
            }
            _ => Trouble::Ended(end),
        }
    }

    /// Our own machine ends with the session; another's runs on without our traps.
    fn let_go(mut self) {
        if let Some(mut qemu) = self.qemu.take() {
            qemu.kill();
        }
    }
}
