//! Who asked what: answers find their askers, and slow answers do not queue up.

use std::collections::BTreeMap;

use crate::command::Command;
use crate::event::RequestId;

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// A key or a line of the user's: the answer goes to the log.
    Typed,
    Registers,
    Backtrace,
    Source,
    Disassembly,
    /// The variables of the frame, and what is open of them.
    Locals,
    /// What is open of the watch expressions.
    Watches,
    Tasks,
    TaskStack,
    Breakpoints,
    Threads,
    Why,
    Space,
    Address,
    Symbols,
    Memory,
    /// The same memory as words, with what they point at.
    Words,
    Found,
    Completion,
}

/// A command that was sent.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub topic: Topic,
    pub command: Command,
    /// The state of the target it was asked in.
    pub generation: u64,
}

#[derive(Debug, Default)]
pub struct Requests {
    last: u64,
    flying: BTreeMap<RequestId, Asked>,
    answered: BTreeMap<Topic, (u64, Command)>,
}

impl Requests {
    pub(super) fn ask(&mut self, topic: Topic, command: Command, generation: u64) -> RequestId {
        self.last += 1;
        let id = RequestId(self.last);
        let asked = Asked {
            topic,
            command,
            generation,
        };
        self.flying.insert(id, asked);
        id
    }

    pub(super) fn settle(&mut self, id: RequestId) -> Option<Asked> {
        let asked = self.flying.remove(&id)?;
        self.answered
            .insert(asked.topic, (asked.generation, asked.command.clone()));
        Some(asked)
    }

    /// One wish of a topic is under way at most; the newest is sent when that has been answered.
    pub(super) fn is_due(&self, topic: Topic, command: &Command, generation: u64) -> bool {
        if self.flying.values().any(|asked| asked.topic == topic) {
            return false;
        }
        self.answered
            .get(&topic)
            .is_none_or(|(when, what)| *when != generation || what != command)
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.flying.is_empty()
    }

    /// Whether the user waits for this answer.
    #[must_use]
    pub fn is_typed(&self, id: RequestId) -> bool {
        let asked = self.flying.get(&id);
        asked.is_some_and(|asked| asked.topic == Topic::Typed)
    }

    /// What the user asked for and waits for, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = &Command> {
        self.flying
            .values()
            .filter(|asked| asked.topic == Topic::Typed)
            .map(|asked| &asked.command)
    }
}
