//! QEMU's control socket: commands with answers, and the events between them.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::qemu::qmp::{Client, Message, QmpError};

/// Events kept until somebody asks for them.
const MOST_EVENTS: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    #[error("connecting to QEMU's control socket: nobody listens there; start QEMU again")]
    NotThere,
    #[error("talking to QEMU's control socket: it was closed, QEMU has ended; start it again")]
    Closed,
    #[error("talking to QEMU's control socket: {0}; start QEMU again")]
    Io(io::Error),
    #[error(
        "asking QEMU's control socket '{command}': no answer in {waited:?}; QEMU may be stuck, end it"
    )]
    NoAnswer { command: String, waited: Duration },
    #[error(
        "asking QEMU's control socket '{command}': {description} ({class}); see 'help' of QEMU's monitor"
    )]
    Refused {
        command: String,
        class: String,
        description: String,
    },
    #[error(transparent)]
    Qmp(#[from] QmpError),
}

/// What QEMU says of its machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub running: bool,
    /// `running`, `paused`, `prelaunch`, `shutdown`, `internal-error`.
    pub status: String,
}

#[derive(Debug)]
pub struct Monitor {
    stream: UnixStream,
    client: Client,
    messages: VecDeque<Message>,
    events: VecDeque<Message>,
    timeout: Duration,
    version: String,
}

impl Monitor {
    pub(super) fn connect(path: &Path, timeout: Duration) -> Result<Self, MonitorError> {
        let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => MonitorError::NotThere,
            _ => MonitorError::Io(error),
        })?;
        let mut monitor = Self {
            stream,
            client: Client::default(),
            messages: VecDeque::new(),
            events: VecDeque::new(),
            timeout,
            version: String::new(),
        };
        let deadline = Instant::now() + timeout;
        while monitor.version.is_empty() {
            match monitor.next_message("the greeting", deadline)? {
                Message::Greeting { version } => monitor.version = version,
                other => monitor.keep_event(other),
            }
        }
        monitor.execute("qmp_capabilities", None)?;
        Ok(monitor)
    }

    /// `7.2.22`
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When QEMU refuses the command, does not answer, or has ended.
    pub fn execute(
        &mut self,
        command: &str,
        arguments: Option<Map<String, Value>>,
    ) -> Result<Value, MonitorError> {
        let (asked, line) = self.client.execute(command, arguments);
        self.stream.write_all(&line).map_err(broken)?;
        let deadline = Instant::now() + self.timeout;
        loop {
            match self.next_message(command, deadline)? {
                Message::Return { id, value } if id == Some(asked) => return Ok(value),
                Message::Error {
                    id,
                    class,
                    description,
                } if id.is_none_or(|id| id == asked) => {
                    return Err(MonitorError::Refused {
                        command: command.to_owned(),
                        class,
                        description,
                    });
                }
                // The answer to a command that was given up.
                Message::Return { .. } | Message::Error { .. } | Message::Greeting { .. } => {}
                event @ Message::Event { .. } => self.keep_event(event),
            }
        }
    }

    /// # Errors
    /// See [`Self::execute`].
    pub fn status(&mut self) -> Result<Status, MonitorError> {
        let value = self.execute("query-status", None)?;
        Ok(Status {
            running: value["running"].as_bool().unwrap_or_default(),
            status: value["status"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// A line for the monitor that people use, and what it prints.
    ///
    /// # Errors
    /// See [`Self::execute`].
    pub fn human(&mut self, line: &str) -> Result<String, MonitorError> {
        let mut arguments = Map::new();
        arguments.insert("command-line".to_owned(), line.into());
        let value = self.execute("human-monitor-command", Some(arguments))?;
        Ok(value.as_str().unwrap_or_default().replace("\r\n", "\n"))
    }

    /// Lets QEMU's main loop go round so many times: it takes what it is sent here byte by byte, with a turn
    /// for each (`monitor/monitor.c`, `chardev/char-socket.c`), and empty lines ask nothing.
    pub(super) fn turn(&mut self, times: usize) -> Result<(), MonitorError> {
        self.stream.write_all(&vec![b'\n'; times]).map_err(broken)
    }

    /// The events that came while answers were waited for, oldest first.
    pub fn events(&mut self) -> impl Iterator<Item = Message> {
        self.events.drain(..)
    }

    /// Whether this event has come and was not asked for yet. Reads what is there and waits for nothing.
    ///
    /// # Errors
    /// When QEMU has ended.
    pub(super) fn has_come(&mut self, event: &str) -> Result<bool, MonitorError> {
        self.stream
            .set_nonblocking(true)
            .map_err(MonitorError::Io)?;
        let read = self.read();
        self.stream
            .set_nonblocking(false)
            .map_err(MonitorError::Io)?;
        read?;
        for message in std::mem::take(&mut self.messages) {
            if matches!(message, Message::Event { .. }) {
                self.keep_event(message);
            }
        }
        let is_it = |kept: &Message| matches!(kept, Message::Event { name, .. } if name == event);
        Ok(self.events.iter().any(is_it))
    }

    fn keep_event(&mut self, message: Message) {
        if self.events.len() == MOST_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(message);
    }

    fn next_message(&mut self, command: &str, deadline: Instant) -> Result<Message, MonitorError> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(message);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(MonitorError::NoAnswer {
                    command: command.to_owned(),
                    waited: self.timeout,
                });
            }
            self.stream
                .set_read_timeout(Some(left))
                .map_err(MonitorError::Io)?;
            self.read()?;
        }
    }

    /// What comes until the stream's time is over, or there is nothing more.
    fn read(&mut self) -> Result<(), MonitorError> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(MonitorError::Closed),
            Ok(read) => {
                for message in self.client.push(&buffer[..read]) {
                    self.messages.push_back(message?);
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(broken(error)),
        }
        Ok(())
    }
}

fn broken(error: io::Error) -> MonitorError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => MonitorError::Closed,
        _ => MonitorError::Io(error),
    }
}
