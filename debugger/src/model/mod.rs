//! What is known of the target: a fold over [`Event`], one topic a file.
//!
//! Nothing here is styled and nothing here asks: views read it, and only the target's answers move
//! it. Live targets and recordings look the same to it.

mod calm;
mod console;
mod crossings;
mod log;
mod requests;
mod run;
mod slot;
mod values;
mod work;

pub use console::Console;
pub use crossings::Crossings;
pub use log::{Entry, Log};
pub use requests::{Requests, Topic};
pub use run::RunState;
pub use slot::Slot;
pub use values::{Node, Path, Values};
pub use work::Works;

use std::sync::Arc;

use values::When;

use crate::command::Command;
use crate::event::{
    AddressInfo, Answer, BreakpointInfo, DisassemblyLine, Event, Failure, Found, Frame, Looking,
    MemoryDump, RegionInfo, Register, RequestId, SourceWindow, SymbolInfo, TargetInfo, TaskInfo,
    ThreadInfo, Watched, Why,
};
use crate::trace::call_map::CallMap;
use crate::trace::import::{Stacks, StacksDiff};
use crate::trace::recording::Stored;

#[derive(Debug, Default)]
pub struct Model {
    pub target: Option<TargetInfo>,
    pub run: RunState,
    pub requests: Requests,
    pub registers: Slot<Vec<Register>>,
    pub frames: Slot<Vec<Frame>>,
    /// The frame that source, disassembly and locals are of.
    pub selected_frame: u32,
    pub source: Slot<SourceWindow>,
    pub disassembly: Slot<Vec<DisassemblyLine>>,
    /// The selected frame's variables, and what is open of them.
    pub variables: Values,
    pub breakpoints: Slot<Vec<BreakpointInfo>>,
    pub threads: Slot<Vec<ThreadInfo>>,
    pub why: Slot<Why>,
    /// The stop of the past that is looked at, and that all the rest is of.
    pub past: Option<Looking>,
    /// The watch expressions, as of the last stop.
    pub watched: Vec<Watched>,
    /// What is open of them.
    pub watches: Values,
    pub tasks: Slot<Vec<TaskInfo>>,
    /// The stack of the task that was chosen.
    pub task_frames: Slot<Vec<Frame>>,
    pub regions: Slot<Vec<RegionInfo>>,
    pub address: Slot<AddressInfo>,
    /// What the palette's pattern matched.
    pub symbols: Slot<Vec<SymbolInfo>>,
    pub memory: Slot<MemoryDump>,
    pub words: Slot<MemoryDump>,
    pub found: Slot<Found>,
    /// What a line may become, and the line.
    pub completion: Option<(String, Result<Vec<String>, Failure>)>,
    pub crossings: Crossings,
    /// The runs whose records can be looked at.
    pub recorded: Option<Arc<Stored>>,
    /// Where the image's application leaves its code.
    pub call_map: Option<Arc<CallMap>>,
    /// Stacks of another tool, where there are no crossings.
    pub imported: Option<Arc<Stacks<'static>>>,
    /// They beside others.
    pub differ: Option<Arc<StacksDiff>>,
    /// Who has joined the session beside the screen.
    pub joined: Vec<String>,
    pub console: Console,
    pub log: Log,
    pub works: Works,
}

impl Model {
    /// Takes in one thing that happened.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Target(info) => {
                for lack in &info.lacks {
                    self.log.push(Entry::Notice(lack.clone()));
                }
                self.target = Some(info);
            }
            Event::Run(run) => {
                if self.run.moved(run) {
                    self.selected_frame = 0;
                }
            }
            Event::Progress(progress) => self.run.progress = Some(progress),
            Event::Answer(id, result) => self.answer(id, result),
            Event::Serial(bytes) => self.console.push(&bytes),
            Event::Work(work) => self.works.news(work),
            Event::Trace(news) => self.crossings.news(news),
            Event::Compared(comparison) => self.crossings.compared(comparison),
            Event::Recorded(stored) => self.recorded = Some(stored),
            Event::Mapped(map) => self.call_map = Some(map),
            Event::Imported(stacks) => self.imported = Some(stacks),
            Event::Differ(differ) => self.differ = Some(differ),
            Event::Stepped(instructions) => self.crossings.stepped = Some(instructions),
            Event::Watched(watched) => self.watched = watched,
            Event::Pulse => self.run.pulsed(),
            Event::Joined(names) => {
                self.joined = names;
                self.run.touched();
            }
            Event::Looking(looking) => {
                self.past = Some(looking).filter(Looking::is_back);
                self.run.turned();
                self.selected_frame = 0;
            }
            Event::Notice(text) => self.log.push(Entry::Notice(text)),
            Event::Said {
                breakpoint,
                line,
                answer,
            } => {
                self.log
                    .push(Entry::Typed(format!("{line}  (breakpoint {breakpoint})")));
                self.log.push(match answer {
                    Ok(answer) => Entry::Answer(Box::new(answer)),
                    Err(failure) => Entry::Failure(failure),
                });
            }
        }
    }

    /// Takes in what a traced run beside the session tells: its crossings, work and notices. Its
    /// state and its serial line are not those of the target on the screen.
    pub fn traced(&mut self, event: Event) {
        match event {
            Event::Trace(_)
            | Event::Compared(_)
            | Event::Recorded(_)
            | Event::Mapped(_)
            | Event::Imported(_)
            | Event::Differ(_)
            | Event::Stepped(_)
            | Event::Work(_)
            | Event::Notice(_) => self.apply(event),
            Event::Run(crate::event::Run::Ended(why)) => {
                self.crossings.stopped();
                self.log
                    .push(Entry::Notice(format!("the traced run ended: {why}")));
            }
            Event::Target(_)
            | Event::Run(_)
            | Event::Progress(_)
            | Event::Answer(..)
            | Event::Said { .. }
            | Event::Serial(_)
            | Event::Pulse
            | Event::Joined(_)
            | Event::Looking(_)
            | Event::Watched(_) => {}
        }
    }

    /// Notes that `command` is on its way, and numbers it.
    pub fn ask(&mut self, topic: Topic, command: &Command) -> RequestId {
        self.requests
            .ask(topic, command.clone(), self.run.generation)
    }

    /// Whether a panel that wants `command` should send it now: not when it is known as of this
    /// stop or pulse, not while an earlier wish of the same topic is under way, and of a running target only
    /// what its memory alone tells.
    #[must_use]
    pub fn is_due(&self, topic: Topic, command: &Command) -> bool {
        let answers = self.run.answers() || (self.is_live() && command.needs_memory_alone());
        answers && self.requests.is_due(topic, command, self.run.generation)
    }

    /// Whether the target runs and is read all the same.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.run.live_since.is_some()
    }

    /// Whether `slot` holds what was true at the present stop, or was read since the target runs.
    #[must_use]
    pub fn is_fresh<T>(&self, slot: &Slot<T>) -> bool {
        match self.run.live_since {
            Some(since) => slot.as_of >= since,
            None => self.run.answers() && slot.as_of == self.run.generation,
        }
    }

    fn answer(&mut self, id: RequestId, result: Result<Answer, Failure>) {
        let Some(asked) = self.requests.settle(id) else {
            return;
        };
        let as_of = asked.generation;
        let when = When {
            generation: as_of,
            stop: self.run.stops,
        };
        match (asked.topic, result) {
            (Topic::Typed, result) => self.typed(&asked.command, result),
            (Topic::Registers, result) => self.registers.set(as_of, result, registers),
            (Topic::Backtrace, result) => self.frames.set(as_of, result, frames),
            (Topic::Source, result) => self.source.set(as_of, result, source),
            (Topic::Disassembly, result) => self.disassembly.set(as_of, result, disassembly),
            (Topic::Locals, result) => self.variables.set(when, true, &asked.command, result),
            (Topic::Watches, result) => self.watches.set(when, false, &asked.command, result),
            (Topic::Tasks, result) => self.tasks.set(as_of, result, tasks),
            (Topic::TaskStack, result) => self.task_frames.set(as_of, result, frames),
            (Topic::Breakpoints, result) => self.breakpoints.set(as_of, result, breakpoints),
            (Topic::Threads, result) => self.threads.set(as_of, result, threads),
            (Topic::Why, result) => self.why.set(as_of, result, why),
            (Topic::Space, result) => self.regions.set(as_of, result, regions),
            (Topic::Address, result) => self.address.set(as_of, result, address),
            (Topic::Symbols, result) => self.symbols.set(as_of, result, symbols),
            (Topic::Memory, result) => self.memory.set(as_of, result, memory),
            (Topic::Words, result) => self.words.set(as_of, result, memory),
            (Topic::Found, result) => self.found.set(as_of, result, found),
            (Topic::Completion, result) => self.completed(asked.command, result),
        }
    }

    fn completed(&mut self, command: Command, result: Result<Answer, Failure>) {
        let Command::Complete(line) = command else {
            return;
        };
        self.completion = Some((
            line,
            result.map(|answer| match answer {
                Answer::Text(lines) => lines,
                _ => Vec::new(),
            }),
        ));
    }

    /// A command of the user's own may have changed anything: what is shown is asked for again.
    fn typed(&mut self, command: &Command, result: Result<Answer, Failure>) {
        let chooses = matches!(
            command,
            Command::Frame { .. } | Command::Up { .. } | Command::Down { .. }
        );
        match (&result, command) {
            (Ok(Answer::Backtrace(frames)), _) if chooses => {
                if let [frame] = frames.as_slice() {
                    self.selected_frame = frame.n;
                }
            }
            (Ok(_), Command::Frame { n }) => self.selected_frame = *n,
            _ => {}
        }
        // A command that ran the target, or turned to another stop, has told of it already: once is
        // enough.
        if !matches!(result, Ok(Answer::Stopped(_) | Answer::Looking(_))) {
            self.run.touched();
        }
        self.log.push(match result {
            Ok(answer) => Entry::Answer(Box::new(answer)),
            Err(failure) => Entry::Failure(failure),
        });
    }
}

/// Each of these takes its own kind of answer and hands back any other.
macro_rules! takes {
    ($($name:ident: $variant:ident($type:ty)),* $(,)?) => {
        $(fn $name(answer: Answer) -> Result<$type, Box<Answer>> {
            match answer {
                Answer::$variant(value) => Ok(value),
                other => Err(Box::new(other)),
            }
        })*
    };
}

takes! {
    registers: Registers(Vec<Register>),
    frames: Backtrace(Vec<Frame>),
    source: Source(SourceWindow),
    disassembly: Disassembly(Vec<DisassemblyLine>),
    tasks: Tasks(Vec<TaskInfo>),
    breakpoints: Breakpoints(Vec<BreakpointInfo>),
    threads: Threads(Vec<ThreadInfo>),
    why: Why(Why),
    regions: Space(Vec<RegionInfo>),
    address: Address(AddressInfo),
    symbols: Symbols(Vec<SymbolInfo>),
    memory: Memory(MemoryDump),
    found: Found(Found),
}

#[cfg(test)]
mod tests;
