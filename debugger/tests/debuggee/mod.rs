//! A session on an image of the store, asked line by line as a user would.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::{Duration, Instant};

use debugger::addr::Addr;
use debugger::command::parse;
use debugger::crossing::Mode;
use debugger::event::{
    Answer, DisassemblyLine, Event, Failure, Frame, RequestId, Run, Stop, StopReason,
};
use debugger::session::store::Store;
use debugger::session::{BootOptions, Handle, Session};

/// Far beyond what any command takes, also on a loaded machine: only a hanging one reaches it.
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct Debuggee {
    pub(crate) handle: Handle,
}

impl Debuggee {
    /// Booted, and stopped at the application's main.
    pub(crate) fn at_main(image: &str, mode: Mode) -> Self {
        Self::boot(
            image,
            BootOptions {
                mode: Some(mode),
                ..BootOptions::default()
            },
        )
        .unwrap_or_else(|why| panic!("{why}"))
    }

    /// The error is why the session ended.
    pub(crate) fn boot(image: &str, options: BootOptions) -> Result<Self, String> {
        let image = Store::open()
            .and_then(|store| store.image(image))
            .unwrap_or_else(|error| panic!("{error}"));
        Self::opened(Session::boot(image, options))
    }

    pub(crate) fn opened(handle: Handle) -> Result<Self, String> {
        let debuggee = Self { handle };
        loop {
            match debuggee.event() {
                Event::Run(Run::Stopped(_)) => return Ok(debuggee),
                Event::Run(Run::Ended(why)) => return Err(why),
                _ => {}
            }
        }
    }

    pub(crate) fn event(&self) -> Event {
        self.handle
            .events
            .recv_timeout(DEADLINE)
            .expect("the session says something in time")
    }

    pub(crate) fn send(&mut self, line: &str) -> RequestId {
        let command = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.handle.send(command)
    }

    pub(crate) fn try_ask(&mut self, line: &str) -> Result<Answer, Failure> {
        let id = self.send(line);
        self.answer_to(id)
    }

    pub(crate) fn answer_to(&self, id: RequestId) -> Result<Answer, Failure> {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Event::Answer(answered, answer) = self.event()
                && answered == id
            {
                return answer;
            }
            assert!(Instant::now() < until, "no answer in time");
        }
    }

    /// The answer, if it comes in that time.
    pub(crate) fn answer_within(
        &self,
        id: RequestId,
        time: Duration,
    ) -> Option<Result<Answer, Failure>> {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match self.handle.events.recv_timeout(left) {
                Ok(Event::Answer(answered, answer)) if answered == id => return Some(answer),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
        None
    }

    pub(crate) fn ask(&mut self, line: &str) -> Answer {
        self.try_ask(line)
            .unwrap_or_else(|failure| panic!("{line}: {failure}"))
    }

    pub(crate) fn stop(&mut self, line: &str) -> Stop {
        match self.ask(line) {
            Answer::Stopped(stop) => stop,
            other => panic!("{line}: {other:?}"),
        }
    }

    pub(crate) fn frames(&mut self) -> Vec<Frame> {
        match self.ask("bt") {
            Answer::Backtrace(frames) => frames,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn number(&mut self, expression: &str) -> u64 {
        match self.ask(&format!("p {expression}")) {
            Answer::Value(value) => value.bits.expect("it is a number"),
            other => panic!("{expression}: {other:?}"),
        }
    }

    pub(crate) fn pc(&mut self) -> Addr {
        Addr(self.number("$pc"))
    }

    pub(crate) fn instruction(&mut self) -> DisassemblyLine {
        match self.ask("x/1i $pc") {
            Answer::Disassembly(lines) => lines.into_iter().next().expect("one instruction"),
            other => panic!("{other:?}"),
        }
    }

    /// The application's first write, stopped in the kernel's function for it.
    pub(crate) fn in_ksys_write(mode: Mode) -> Self {
        let mut debuggee = Self::at_main("syscalls", mode);
        debuggee.ask("b ksys_write");
        let stop = debuggee.stop("c");
        assert_eq!(stop.reason, StopReason::Breakpoint { number: 1 });
        debuggee
    }
}
