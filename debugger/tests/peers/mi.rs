//! gdb's machine interface as an adapter of an editor uses it: one command after the other, each with a token, and
//! the records that come between.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use super::DEADLINE;

pub(crate) struct Mi {
    gdb: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    token: u32,
    /// All that was said and asked, for who reads a failure.
    log: String,
    /// Console, target and log stream since the last command.
    streams: String,
    stops: VecDeque<String>,
}

impl Mi {
    /// Without a program: the adapter names it.
    pub(crate) fn start() -> Self {
        let mut gdb = Command::new("gdb");
        gdb.args(["-nx", "-q", "--interpreter=mi"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null());
        let mut gdb = super::start(gdb, "gdb");
        let input = gdb.stdin.take().expect("it is a pipe");
        let output = gdb.stdout.take().expect("it is a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            gdb,
            input,
            lines,
            token: 1000,
            log: String::new(),
            streams: String::new(),
            stops: VecDeque::new(),
        }
    }

    fn send(&mut self, command: &str) {
        self.log.push_str(&format!("<- {command}\n"));
        writeln!(self.input, "{command}").expect("gdb reads");
    }

    /// The next line, told apart by its first character.
    fn hear(&mut self) -> String {
        let Ok(line) = self.lines.recv_timeout(DEADLINE) else {
            panic!("gdb says nothing more behind\n{}", self.log);
        };
        self.log.push_str(&format!("-> {line}\n"));
        match line.chars().next() {
            Some('~' | '@' | '&') => self.streams.push_str(&line[1..]),
            Some('*') if line.starts_with("*stopped") => self.stops.push_back(line.clone()),
            _ => {}
        }
        line
    }

    /// The result record, without its token.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.token += 1;
        self.streams.clear();
        self.send(&format!("{}{command}", self.token));
        let head = format!("{}^", self.token);
        loop {
            if let Some(result) = self.hear().strip_prefix(&head) {
                return result.to_owned();
            }
        }
    }

    fn expect(&mut self, command: &str, class: &str) -> String {
        let result = self.ask(command);
        assert!(
            result.starts_with(class),
            "{command}: {result} in\n{}",
            self.log
        );
        result
    }

    pub(crate) fn done(&mut self, command: &str) -> String {
        self.expect(command, "done")
    }

    pub(crate) fn connected(&mut self, command: &str) -> String {
        self.expect(command, "connected")
    }

    /// Lets the target go; where it stops next.
    pub(crate) fn moved(&mut self, command: &str) -> String {
        self.expect(command, "running");
        self.stop()
    }

    /// As [`Self::moved`], and does not wait for the stop.
    pub(crate) fn running(&mut self, command: &str) {
        self.expect(command, "running");
    }

    /// What a command of the console says, as the strings of the streams.
    pub(crate) fn console(&mut self, command: &str) -> String {
        let quoted = command.replace('\\', "\\\\").replace('"', "\\\"");
        self.done(&format!("-interpreter-exec console \"{quoted}\""));
        self.streams.clone()
    }

    /// All that was asked and said, to now.
    pub(crate) fn log(&self) -> &str {
        &self.log
    }

    /// The next stop that was told and not taken yet.
    pub(crate) fn stop(&mut self) -> String {
        loop {
            if let Some(stop) = self.stops.pop_front() {
                return stop;
            }
            self.hear();
        }
    }

    /// Ends gdb, which says so.
    pub(crate) fn exit(mut self) {
        self.send("-gdb-exit");
        self.gdb.wait().expect("it ends");
    }
}

impl Drop for Mi {
    /// After a failure none is left behind.
    fn drop(&mut self) {
        let _ = self.gdb.kill();
        let _ = self.gdb.wait();
    }
}

/// The value of a field: of `name="count"` its `count`.
pub(crate) fn field<'a>(record: &'a str, name: &str) -> &'a str {
    let head = format!("{name}=\"");
    let start = record
        .match_indices(&head)
        .find(|(at, _)| record[..*at].ends_with(['{', ',', '[']))
        .map(|(at, _)| at + head.len());
    let Some(start) = start else {
        panic!("no {name} in {record}");
    };
    record[start..].split('"').next().unwrap_or_default()
}
