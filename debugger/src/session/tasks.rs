//! `tasks` and `backtrace task`: what the guest's tasks do, and where they sleep.

use super::engine::Engine;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::event::{Frame, TaskInfo, Vcpu};
use crate::guest::{self, Every, GIVE_VMLINUX, GuestError, Stacks};
use crate::known::Known;
use crate::symbols::Symbols;
use crate::symbols::unwind::{Backtrace, Memory, RegisterSet};

/// More tasks than the machines here have memory for.
const TASKS: usize = 20_000;

/// Frames looked at for what a task waits for.
const SHALLOW: usize = 24;

/// As deep as a whole stack of a task goes.
const DEEPEST: usize = 256;

impl Engine {
    /// What the command that lists needs: symbols, memory and the CPU's own area.
    fn with_guest<T>(
        &mut self,
        tried: &str,
        ask: impl FnOnce(&Symbols, Option<u64>, &mut Memory<'_>) -> Result<T, GuestError>,
    ) -> Result<T, Trouble> {
        let gs_base = self.per_cpu_base().map(|base| base.0);
        let Some(symbols) = &self.symbols else {
            return Err(Trouble::new(
                tried,
                "no vmlinux was given, so the kernel's structures are not known",
                GIVE_VMLINUX,
            ));
        };
        let target = &mut self.target;
        let mut memory = |at: Addr, bytes: &mut [u8]| target.read(at, bytes).is_ok();
        ask(symbols, gs_base, &mut memory)
            .map_err(|error| Trouble::new(tried, error.to_string(), error.next()))
    }

    pub(super) fn tasks(&mut self, pattern: Option<&str>) -> Result<Vec<TaskInfo>, Trouble> {
        let list = self.with_guest("listing the tasks", |symbols, gs_base, memory| {
            let all = guest::every(symbols, TASKS, memory)?;
            Ok(all
                .into_iter()
                .map(|one| task_info(symbols, one, gs_base, memory))
                .collect::<Vec<_>>())
        })?;
        let Some(pattern) = pattern else {
            return Ok(list);
        };
        let fits = |task: &TaskInfo| {
            let waits = task.waits_in.yes().map_or("", String::as_str);
            [task.comm.as_str(), task.state.as_str(), task.kind, waits]
                .iter()
                .any(|column| column.contains(pattern))
                || task.pid.to_string() == pattern
        };
        Ok(list.into_iter().filter(fits).collect())
    }

    pub(super) fn task_named(&mut self, text: &str) -> Result<Every, Trouble> {
        let tried = format!("looking for the task {text}");
        let all = self.with_guest(&tried, |symbols, _, memory| {
            guest::every(symbols, TASKS, memory)
        })?;
        let number = text.parse::<u64>().ok();
        let fits = |one: &&Every| match number {
            Some(pid) => one.task.pid == pid,
            None => one.task.comm == text || one.task.label() == text,
        };
        let mut found = all.iter().filter(fits);
        match (found.next(), found.count()) {
            (Some(one), 0) => Ok(one.clone()),
            (Some(_), more) => Err(Trouble::new(
                tried,
                format!("{} tasks have this name", more + 1),
                "give a process id; 'tasks' lists them",
            )),
            (None, _) => Err(Trouble::new(
                tried,
                format!("none of {} is it", all.len()),
                "'tasks' lists them by process id and name",
            )),
        }
    }

    /// `backtrace task PID`: of a task that runs from its CPU's registers, of one that sleeps from
    /// where it was switched away.
    pub(super) fn task_backtrace(&mut self, text: &str) -> Result<Vec<Frame>, Trouble> {
        let found = self.task_named(text)?;
        let running = found.cpu.yes().filter(|_| found.state.on_cpu).copied();
        let (backtrace, stacks) = match running {
            Some(cpu) => {
                let registers = self.target.registers(Vcpu(cpu))?;
                let set = RegisterSet::from_names(|name| registers.get(name));
                self.with_guest("following the task's stack", |symbols, _, memory| {
                    let stacks = Stacks::of(symbols, &set, Some(&found.task), memory);
                    Ok((symbols.backtrace(&set, memory, DEEPEST), stacks))
                })?
            }
            None => self.with_guest("following the task's stack", |symbols, gs_base, memory| {
                let backtrace = sleeping(symbols, &found, gs_base, memory, DEEPEST)?;
                let mut set = RegisterSet::from_names(|_| None);
                set.gs_base = gs_base;
                let stacks = Stacks::of(symbols, &set, Some(&found.task), memory);
                Ok((backtrace, stacks))
            })?,
        };
        Ok(self.event_frames(&backtrace, &stacks, None))
    }
}

fn sleeping(
    symbols: &Symbols,
    one: &Every,
    gs_base: Option<u64>,
    memory: &mut Memory<'_>,
    limit: usize,
) -> Result<Backtrace, GuestError> {
    let mut asleep = guest::asleep(symbols, &one.task, memory)?;
    asleep.registers.gs_base = gs_base;
    Ok(symbols.backtrace_from(&asleep.registers, asleep.after_call, memory, limit))
}

fn task_info(
    symbols: &Symbols,
    one: Every,
    gs_base: Option<u64>,
    memory: &mut Memory<'_>,
) -> TaskInfo {
    let (state, letter) = one.state.words();
    let waits_in = if !one.state.is_asleep() {
        Known::no("it runs")
    } else if matches!(letter, 'Z' | 'X') {
        Known::no("it has ended")
    } else {
        match sleeping(symbols, &one, gs_base, memory, SHALLOW) {
            Ok(backtrace) => waits_in(symbols, &backtrace),
            Err(error) => Known::no(error.to_string()),
        }
    };
    let waits_for = waits_in
        .yes()
        .filter(|_| letter != 'R')
        .and_then(|function| guest::waits_for(function));
    let Every {
        task,
        cpu,
        kernel_thread,
        ..
    } = one;
    TaskInfo {
        pid: task.pid,
        tgid: task.tgid,
        state: state.to_owned(),
        letter,
        cpu,
        kind: match (&task.is_app, kernel_thread) {
            (Known::Yes(true), _) => "application thread",
            _ if task.pid == 0 => "idle task",
            (_, true) => "kernel thread",
            _ => "process",
        },
        addr: task.addr,
        stack: task.stack,
        comm: task.comm,
        waits_in,
        waits_for,
    }
}

/// The first function that is not the scheduler's. A function without words of its own is passed for
/// one further out that has them.
fn waits_in(symbols: &Symbols, backtrace: &Backtrace) -> Known<String> {
    let mut first = None;
    for frame in &backtrace.frames {
        let Some(symbol) = symbols.at(frame.lookup()) else {
            break;
        };
        if guest::is_scheduler(&symbol) {
            continue;
        }
        if !symbol.origin.is_kernel_side() {
            break;
        }
        if guest::waits_for(symbol.name).is_some() {
            return Known::Yes(symbol.name.to_owned());
        }
        first.get_or_insert(symbol.name);
    }
    match first {
        Some(name) => Known::Yes(name.to_owned()),
        None => Known::no(backtrace.end.to_string()),
    }
}
