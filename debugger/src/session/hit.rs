//! What happens at a trap: filters, conditions, counts, log points, and the commands that follow.

use super::engine::Engine;
use super::expression::{self, letter, print};
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::command::{Command, LogPart, Only, parse};
use crate::event::{Event, Failure, StopReason};
use crate::guest::{self, GIVE_VMLINUX, Task};

/// What a stop is still to do: the lines of the breakpoint that stopped.
pub(super) type Due = (u32, Vec<String>);

impl Engine {
    /// The user's breakpoint here that is to stop; counts the hits and writes the log points' lines.
    pub(super) fn hit(&mut self, pc: Addr) -> Result<Option<StopReason>, Trouble> {
        let mut stops = self.scope_ended(pc)?;
        for number in self.book.at(pc) {
            if !self.counts(number)? {
                continue;
            }
            let Some(one) = self.book.get(number) else {
                continue;
            };
            if let Some(parts) = one.log.clone() {
                let line = self.log_line(&parts)?;
                self.port.send(Event::Notice(line));
                continue;
            }
            let (commands, temporary) = (one.commands.clone(), one.temporary);
            if one.crossing.is_some()
                && let Some(passage) = self.passage()?
            {
                let line = self.passing_line(&passage)?;
                let notice = format!("breakpoint {number}: {line}");
                self.port.send(Event::Notice(notice));
            }
            if temporary {
                self.delete(number)?;
            }
            // One whose commands run on does not hide another that stops.
            if stops.is_none() || !runs_on(&commands) {
                stops = Some(StopReason::Breakpoint { number });
            }
            self.due.push((number, commands));
        }
        Ok(stops)
    }

    /// Whether this hit is one: it is meant, and none to be ignored is left.
    pub(super) fn counts(&mut self, number: u32) -> Result<bool, Trouble> {
        if !self.is_meant_here(number)? {
            return Ok(false);
        }
        let Some(one) = self.book.get_mut(number) else {
            return Ok(false);
        };
        one.hits += 1;
        if one.ignore > 0 {
            one.ignore -= 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// The right vCPU and task, and the condition holds.
    pub(super) fn is_meant_here(&mut self, number: u32) -> Result<bool, Trouble> {
        let Some(one) = self.book.get(number) else {
            return Ok(false);
        };
        let only = one.only.clone();
        if let Some(filter) = one.crossing.clone() {
            let condition = one.condition.clone();
            match self.passage()? {
                Some(passage) if self.is_meant(&filter, &passage) => {}
                _ => return Ok(false),
            }
            // A condition on `len` is not met by a call that has none.
            if let Some(condition) = condition
                && self.misses_names(&condition)
            {
                return Ok(false);
            }
        }
        Ok(self.meant(number, &only)? && self.condition_holds(number)?)
    }

    fn meant(&mut self, number: u32, only: &Only) -> Result<bool, Trouble> {
        if only.vcpu.is_some_and(|vcpu| vcpu != self.vcpu.0) {
            return Ok(false);
        }
        let Some(task) = &only.task else {
            return Ok(true);
        };
        match self.running_task() {
            Ok(current) => {
                Ok(current.comm == *task || task.parse().is_ok_and(|id: u64| id == current.pid))
            }
            Err(Trouble::Failed(failure)) => {
                let notice =
                    format!("breakpoint {number} stops as its task is not known: {failure}");
                self.port.send(Event::Notice(notice));
                Ok(true)
            }
            Err(other) => Err(other),
        }
    }

    /// The task that the focused vCPU runs.
    pub(super) fn running_task(&mut self) -> Result<Task, Trouble> {
        let tried = || "asking which task runs".to_owned();
        self.symbols_or(tried)?;
        let set = self.cpu_registers()?;
        let task = self.reading(|symbols, memory| guest::current(symbols, &set, memory));
        match task {
            Some(Ok(task)) => Ok(task),
            Some(Err(error)) => Err(Trouble::new(tried(), error.to_string(), error.next())),
            None => Err(Trouble::new(tried(), "no vmlinux was given", GIVE_VMLINUX)),
        }
    }

    /// A condition that cannot be evaluated stops, and says why.
    fn condition_holds(&mut self, number: u32) -> Result<bool, Trouble> {
        let Some(text) = self.book.get(number).and_then(|one| one.condition.clone()) else {
            return Ok(true);
        };
        // The selected frame is that of the stop before: a condition is about this one.
        self.frame = 0;
        match self.evaluate(&text) {
            Ok(value) => Ok(value.holds()),
            Err(Trouble::Failed(failure)) => {
                let notice =
                    format!("breakpoint {number} stops as its condition failed: {failure}");
                self.port.send(Event::Notice(notice));
                Ok(true)
            }
            Err(other) => Err(other),
        }
    }

    /// What a log point writes. An expression that fails says so in its place.
    fn log_line(&mut self, parts: &[LogPart]) -> Result<String, Trouble> {
        self.frame = 0;
        let mut line = String::new();
        for part in parts {
            match part {
                LogPart::Text(text) => line.push_str(text),
                LogPart::Value {
                    expression,
                    letter: format,
                } => match self.evaluate(expression) {
                    Ok(value) => line.push_str(&self.log_value(&value, *format)),
                    Err(Trouble::Failed(failure)) => {
                        line.push_str(&format!("<{}>", failure.found));
                    }
                    Err(other) => return Err(other),
                },
            }
        }
        Ok(line.trim_end_matches('\n').to_owned())
    }

    fn log_value(&mut self, value: &expression::Value, format: Option<char>) -> String {
        match (format, value.bits) {
            (Some(format), Some(bits)) => {
                letter(bits, value.type_.size().unwrap_or(8), format, self)
            }
            _ => print(value, self),
        }
    }

    /// Carries out what the breakpoints that stopped are to do; the command that lets the target run
    /// on, where none of them stays, is the caller's.
    pub(super) fn carry_out(&mut self) -> Result<Option<Command>, Trouble> {
        let due = std::mem::take(&mut self.due);
        let (mut next, mut stays) = (None, due.is_empty());
        for (breakpoint, lines) in due {
            match self.carry_out_one(breakpoint, lines)? {
                Some(command) => next = Some(command),
                None => stays = true,
            }
        }
        Ok(next.filter(|_| !stays))
    }

    fn carry_out_one(
        &mut self,
        breakpoint: u32,
        lines: Vec<String>,
    ) -> Result<Option<Command>, Trouble> {
        for line in lines {
            if line == "silent" {
                continue;
            }
            let answer = match parse(&line) {
                Ok(command) if super::execute::runs(&command) => return Ok(Some(command)),
                Ok(command) => match self.execute(&command) {
                    Ok(answer) => Ok(answer),
                    Err(Trouble::Failed(failure)) => Err(failure),
                    Err(other) => return Err(other),
                },
                Err(error) => Err(Failure::from(error)),
            };
            let failed = answer.is_err();
            self.port.send(Event::Said {
                breakpoint,
                line,
                answer,
            });
            if failed {
                break;
            }
        }
        Ok(None)
    }
}

/// Whether a breakpoint's commands let the target run again.
fn runs_on(lines: &[String]) -> bool {
    lines
        .iter()
        .any(|line| parse(line).is_ok_and(|command| super::execute::runs(&command)))
}
