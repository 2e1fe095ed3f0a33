//! `monitor uklscope COMMAND`: our commands for gdb's user; any other is QEMU's.

use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, outputln};

use super::machine::Machine;
use crate::command::{Command, parse};
use crate::event::{Answer, Failure};
use crate::session::joined::{Ask, Given};

const USAGE: &str = "\
monitor uklscope COMMAND carries out a command of uklscope: why, cross, bt, space ADDRESS, tasks
monitor uklscope help [COMMAND] lists them
monitor COMMAND is QEMU's own monitor: info registers, info mtree";

impl MonitorCmd for Machine {
    fn handle_monitor_cmd(
        &mut self,
        command: &[u8],
        mut out: ConsoleOutput<'_>,
    ) -> Result<(), Failure> {
        let line = String::from_utf8_lossy(command).trim().to_owned();
        match self.monitor(&line) {
            Ok(lines) => lines.iter().for_each(|line| outputln!(out, "{line}")),
            Err(failure) => outputln!(out, "{failure}"),
        }
        Ok(())
    }
}

impl Machine {
    fn monitor(&self, line: &str) -> Result<Vec<String>, Failure> {
        let ours = line.strip_prefix("uklscope").map(str::trim);
        let command = match ours {
            Some("") => return Ok(USAGE.lines().map(str::to_owned).collect()),
            Some(line) => parse(line)?,
            None if line.is_empty() || line == "help" => {
                let mut lines: Vec<_> = USAGE.lines().map(str::to_owned).collect();
                lines.extend(self.answer(Command::Monitor("help".to_owned()))?);
                return Ok(lines);
            }
            None => Command::Monitor(line.to_owned()),
        };
        self.answer(command)
    }

    fn answer(&self, command: Command) -> Result<Vec<String>, Failure> {
        let Given::Answer(answer) = self.joined.ask(Ask::Command(command))? else {
            return Ok(Vec::new());
        };
        let mut lines = (self.render)(&answer);
        if matches!(*answer, Answer::Stopped(_)) {
            lines.push(moved(self.kind).to_owned());
        }
        Ok(lines)
    }
}

/// What to do about a client that shows where the target stood before.
fn moved(kind: &str) -> &'static str {
    match kind {
        "gdb" => {
            "gdb does not know that the target has moved: 'maintenance flush register-cache' tells it"
        }
        // Nothing that lldb 14 has makes it ask again, but that the target has run.
        "lldb" => {
            "lldb does not know that the target has moved, until it has stepped it itself: 'process plugin packet monitor \
             uklscope bt' tells where it stands now"
        }
        _ => {
            "the client does not know that the target has moved, until it has stepped it itself: 'monitor uklscope bt' \
             tells where it stands now"
        }
    }
}
