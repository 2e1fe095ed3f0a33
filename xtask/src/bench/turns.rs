//! Measured programs take turns on the machine: each runs alone for a moment, again and again, so that what makes
//! the machine faster or slower meanwhile does the same to all of them.
//!
//! Each is a process of its own, with its QEMU, and all of it stands while another one has its turn.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use rustix::process::{Pid, Signal};

use super::cpu::cpu_seconds;
use super::run::{BEGAN, DEADLINE, ENDED, Measured, Work};
use crate::progress::Step;

/// Much longer than filling the caches anew takes, and much shorter than a host stays as fast as it is.
const TURN: Duration = Duration::from_millis(200);

/// All rounds of all works: of each work what its rounds gave, in order.
///
/// # Errors
/// When one of them does not come to its end.
pub(super) fn rounds(works: &[(&str, Work)], rounds: usize) -> Result<Vec<Vec<Measured>>> {
    let mut all: Vec<Vec<Measured>> = vec![Vec::new(); works.len()];
    for number in 1..=rounds {
        let mut step = Step::start(format!("round {number} of {rounds}"));
        // Another one is booted first each time, while most of the memory is still in one piece.
        let order: Vec<usize> = (0..works.len())
            .map(|at| (at + number) % works.len())
            .collect();
        let commands = order.iter().map(|at| {
            let (name, work) = &works[*at];
            Ok((*name, command(work)?))
        });
        let of_round = round(commands.collect::<Result<_>>()?, &mut step)?;
        for (at, measured) in order.into_iter().zip(of_round) {
            all[at].push(measured);
        }
        step.done();
    }
    Ok(all)
}

/// This program once more.
fn command(work: &Work) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command.args(["bench", "contender", &serde_json::to_string(work)?]);
    Ok(command)
}

fn round(commands: Vec<(&str, Command)>, step: &mut Step) -> Result<Vec<Measured>> {
    let mut contenders = Vec::new();
    for (name, command) in commands {
        step.detail(&format!("{name} boots"));
        contenders.push(Contender::start(name, command)?);
    }
    step.detail("all in turns");
    let mut onward = true;
    while contenders.iter().any(|contender| !contender.ended) {
        // Forth and back: nobody always follows the same one.
        if onward {
            contenders.iter_mut().try_for_each(Contender::turn)?;
        } else {
            contenders.iter_mut().rev().try_for_each(Contender::turn)?;
        }
        onward = !onward;
    }
    contenders.iter_mut().map(Contender::finish).collect()
}

/// A process that measures one work.
struct Contender<'a> {
    name: &'a str,
    child: Child,
    /// With the time each was written at.
    lines: Receiver<(Instant, String)>,
    /// Its QEMU.
    machines: Vec<u32>,
    /// Of the workload, while it had its turns.
    ran: Duration,
    cpu_before: f64,
    cpu_seconds: f64,
    ended: bool,
}

impl<'a> Contender<'a> {
    /// Boots it, and stops it at the beginning of its workload.
    fn start(name: &'a str, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("measuring {name}: starting its process"))?;
        let output = child.stdout.take().context("it has no output")?;
        let (to, lines) = crossbeam_channel::unbounded();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if to.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        let mut contender = Self {
            name,
            child,
            lines,
            machines: Vec::new(),
            ran: Duration::ZERO,
            cpu_before: 0.0,
            cpu_seconds: 0.0,
            ended: false,
        };
        let began = contender.wait_for(BEGAN)?;
        contender.machines = children(contender.child.id());
        contender.stop(began)?;
        contender.cpu_before = contender.cpu_seconds()?;
        Ok(contender)
    }

    /// Lets it run for a while, or to its end.
    fn turn(&mut self) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.signal(Signal::CONT)?;
        let since = Instant::now();
        match self.lines.recv_timeout(TURN) {
            Err(RecvTimeoutError::Timeout) => self.stop(since),
            Ok((at, line)) if line == ENDED => {
                self.ran += at - since;
                self.cpu_seconds = self.cpu_seconds()? - self.cpu_before;
                self.ended = true;
                Ok(())
            }
            Ok((_, line)) => bail!("measuring {}: unexpected '{line}'", self.name),
            Err(RecvTimeoutError::Disconnected) => self.died(),
        }
    }

    /// It has run since then.
    fn stop(&mut self, since: Instant) -> Result<()> {
        self.signal(Signal::STOP)?;
        self.ran += since.elapsed();
        if self.ran > DEADLINE {
            bail!(
                "measuring {}: no end after {} s",
                self.name,
                DEADLINE.as_secs()
            );
        }
        Ok(())
    }

    /// What it tells in the end.
    fn finish(&mut self) -> Result<Measured> {
        let Ok((_, line)) = self.lines.recv_timeout(DEADLINE) else {
            return self.died();
        };
        let told: Measured = serde_json::from_str(&line)
            .with_context(|| format!("measuring {}: unexpected '{line}'", self.name))?;
        self.child.wait()?;
        Ok(Measured {
            seconds: self.ran.as_secs_f64(),
            cpu_seconds: self.cpu_seconds,
            ..told
        })
    }

    fn wait_for(&mut self, line: &str) -> Result<Instant> {
        match self.lines.recv_timeout(DEADLINE) {
            Ok((at, told)) if told == line => Ok(at),
            Ok((_, told)) => bail!("measuring {}: unexpected '{told}'", self.name),
            Err(RecvTimeoutError::Timeout) => {
                bail!(
                    "measuring {}: its workload does not begin; end what else runs here",
                    self.name
                )
            }
            Err(RecvTimeoutError::Disconnected) => self.died(),
        }
    }

    fn died<T>(&mut self) -> Result<T> {
        let status = self.child.wait()?;
        bail!(
            "measuring {}: it ended before its workload did, with {status}; what it said stands above",
            self.name
        )
    }

    /// To its QEMU and to it.
    fn signal(&self, signal: Signal) -> Result<()> {
        for pid in self.machines.iter().copied().chain([self.child.id()]) {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            rustix::process::kill_process(pid.context("no process")?, signal)
                .with_context(|| format!("measuring {}: its turn", self.name))?;
        }
        Ok(())
    }

    fn cpu_seconds(&self) -> Result<f64> {
        self.machines.iter().map(|pid| cpu_seconds(*pid)).sum()
    }
}

impl Drop for Contender<'_> {
    fn drop(&mut self) {
        // All fail only where it has ended already, which none of its own has that it did not wait for.
        if !self.ended {
            let _ = self.signal(Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `/proc/PID/task/TID/children`, of all its threads.
fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let of_thread = |thread: std::fs::DirEntry| {
        std::fs::read_to_string(thread.path().join("children")).unwrap_or_default()
    };
    let lists = threads.into_iter().flatten().flatten().map(of_thread);
    lists
        .flat_map(|list| {
            let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
            pids.collect::<Vec<u32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::{Measured, round};
    use crate::progress::Step;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn told(events: u64) -> String {
        let measured = Measured {
            events,
            ..Measured::default()
        };
        serde_json::to_string(&measured).expect("it has a JSON")
    }

    /// Works for some turns, in a process of its own as a QEMU is.
    fn works(events: u64) -> Command {
        let work = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done";
        let told = told(events);
        shell(&format!(
            "sh -c 'echo began; {work}; echo ended; sleep 0.3'; echo '{told}'"
        ))
    }

    #[test]
    fn who_has_no_turn_stands() {
        let began = Instant::now();
        let commands = vec![("one", works(1)), ("two", works(2)), ("three", works(3))];
        let round = round(commands, &mut Step::start("a round")).unwrap();
        let events: Vec<u64> = round.iter().map(|run| run.events).collect();
        assert_eq!(events, [1, 2, 3]);
        assert!(round.iter().all(|run| run.cpu_seconds > 0.0));
        // On any number of CPUs.
        let all: f64 = round.iter().map(|run| run.seconds).sum();
        assert!(all < began.elapsed().as_secs_f64());
    }

    #[test]
    fn who_fails_is_named() {
        let error = |script: &str| {
            let commands = vec![("one", works(1)), ("other", shell(script))];
            let failed = round(commands, &mut Step::start("a round")).unwrap_err();
            format!("{failed:#}")
        };
        let ended = error("exit 3");
        assert!(
            ended.starts_with("measuring other: it ended before"),
            "{ended}"
        );
        assert!(ended.contains("exit status: 3"), "{ended}");
        let ended = error("echo began; sleep 0.1; exit 4");
        assert!(ended.contains("exit status: 4"), "{ended}");
        let spoke = error("echo nonsense; exec sleep 60");
        assert_eq!(spoke, "measuring other: unexpected 'nonsense'");
    }
}
