//! `uklscope exec`: the debugger's commands without a screen.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use crossbeam_channel::RecvTimeoutError;
use debugger::addr::Insns;
use debugger::command::{Command, background, parse};
use debugger::count::{counted, either};
use debugger::event::{Answer, Event, Failure, RequestId, Run, Watched};
use serde_json::{Map, Value, json};

use super::session::{Open, Opened};
use super::{text, value_text};
use crate::Usage;

#[derive(Debug, clap::Args)]
pub struct ExecArgs {
    #[command(flatten)]
    pub on: Opened,
    /// A command; may be given many times.
    #[arg(short, long = "command", value_name = "CMD")]
    pub commands: Vec<String>,
    /// A file of commands, one a line; they come after those of -c.
    #[arg(short = 'x', long, value_name = "SCRIPT")]
    pub script: Option<PathBuf>,
}

/// Between two looks at whether Ctrl-C was pressed.
const SLICE: Duration = Duration::from_millis(20);

/// Carries out the commands in turn.
///
/// # Errors
/// When the target cannot be opened or a command fails.
pub fn run(args: &ExecArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let commands = commands(args)?;
    let handle = args.on.open()?;
    let mut console = Console {
        handle,
        signals: Signals::caught(),
        under_way: false,
        interrupted: false,
        serial: args.on.serial,
        runs: false,
        background: Vec::new(),
        watched: Vec::new(),
    };
    console.until_open()?;
    let count = commands.len();
    for (done, (line, command)) in (1..).zip(commands) {
        if background(&line).is_some() {
            console.start(&line, command)?;
            continue;
        }
        let answers = console.ask(&line, command)?;
        for told in &answers {
            told.print(json, out)?;
        }
        out.flush()?;
        if console.interrupted {
            bail!(
                "{line}: interrupted, it stands {}; {} of {} {} carried out",
                standing(answers.last().map(|told| &told.answer)),
                done,
                counted(count, "command"),
                either(done, "was", "were")
            );
        }
    }
    Ok(())
}

/// Where, after this answer: a command that does not move the target leaves it where it was.
fn standing(answer: Option<&Answer>) -> String {
    let Some(Answer::Stopped(stop)) = answer else {
        return "where it was".to_owned();
    };
    match stop.position {
        Some(position) => format!("at position {}", Insns(position)),
        None => format!("at {} {}", stop.place.addr, text::name(&stop.place)),
    }
}

/// What is to be done, read before anything is booted.
fn commands(args: &ExecArgs) -> anyhow::Result<Vec<(String, Command)>> {
    let mut lines = args.commands.clone();
    if let Some(script) = &args.script {
        let text = std::fs::read_to_string(script)
            .with_context(|| format!("reading the script {}", script.display()))?;
        let is_command = |line: &&str| !line.is_empty() && !line.starts_with('#');
        lines.extend(
            text.lines()
                .map(str::trim)
                .filter(is_command)
                .map(str::to_owned),
        );
    }
    if lines.is_empty() {
        return Err(Usage(
            "carrying out commands: none was given; give -c COMMAND or -x SCRIPT".to_owned(),
        )
        .into());
    }
    lines
        .into_iter()
        .map(|line| match parse(&line) {
            Ok(command) => Ok((line, command)),
            Err(error) => Err(Usage(Failure::from(error).to_string()).into()),
        })
        .collect()
}

/// An answer and what it is to.
struct Told {
    line: String,
    answer: Answer,
    /// The target ran when it was read.
    live: bool,
    /// Of a stop: what is shown at each.
    watched: Vec<Watched>,
}

impl Told {
    fn print(&self, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
        if json {
            let mut document = document(&self.line, &self.answer, self.live)?;
            if !self.watched.is_empty() {
                document["watched"] = serde_json::to_value(&self.watched)?;
            }
            writeln!(out, "{document}")?;
            return Ok(());
        }
        if self.live {
            writeln!(out, "live, while the target runs:")?;
        }
        let watched = value_text::watched(&self.watched);
        for line in text::lines(&self.answer).into_iter().chain(watched) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

/// One JSON document: the answer's own field beside the command.
fn document(line: &str, answer: &Answer, live: bool) -> anyhow::Result<Value> {
    let mut document = Map::new();
    document.insert("schema".to_owned(), json!(1));
    document.insert("command".to_owned(), json!(line));
    if live {
        document.insert("live".to_owned(), json!(true));
    }
    match serde_json::to_value(answer)? {
        Value::Object(fields) => document.extend(fields),
        other => {
            document.insert("answer".to_owned(), other);
        }
    }
    Ok(Value::Object(document))
}

struct Console {
    handle: Open,
    signals: Signals,
    under_way: bool,
    /// Ctrl-C has ended a command where it was.
    interrupted: bool,
    serial: bool,
    /// The target does, as it has said last.
    runs: bool,
    /// What goes on while others are asked.
    background: Vec<(RequestId, String)>,
    /// As of the last stop.
    watched: Vec<Watched>,
}

impl Console {
    /// Waits until the target stands where the commands begin.
    fn until_open(&mut self) -> anyhow::Result<()> {
        loop {
            match self.event("opening the target")? {
                Event::Run(Run::Stopped(_)) => return Ok(()),
                Event::Run(Run::Ended(why)) => bail!("{why}"),
                _ => {}
            }
        }
    }

    /// Lets the target run and does not wait until it stops.
    fn start(&mut self, line: &str, command: Command) -> anyhow::Result<()> {
        let id = self.handle.send(command);
        while !self.runs {
            if let Event::Answer(answered, Err(failure)) = self.event(line)?
                && answered == id
            {
                bail!("{failure}");
            }
        }
        self.background.push((id, line.to_owned()));
        Ok(())
    }

    /// The answer, behind those that came meanwhile to what goes on in the background.
    fn ask(&mut self, line: &str, command: Command) -> anyhow::Result<Vec<Told>> {
        let memory_alone = command.needs_memory_alone();
        let id = self.handle.send(command);
        self.under_way = true;
        let mut told = Vec::new();
        loop {
            let Event::Answer(answered, result) = self.event(line)? else {
                continue;
            };
            let at = self.background.iter().position(|(id, _)| *id == answered);
            let line = match at {
                Some(at) => self.background.remove(at).1,
                None if answered == id => line.to_owned(),
                None => continue,
            };
            let answer = result.map_err(|failure| anyhow!("{failure}"))?;
            let watched = match answer {
                Answer::Stopped(_) => self.watched.clone(),
                _ => Vec::new(),
            };
            told.push(Told {
                watched,
                line,
                answer,
                live: self.runs && at.is_none() && memory_alone,
            });
            if answered == id {
                self.under_way = false;
                self.count("");
                return Ok(told);
            }
        }
    }

    /// The counter of a command under way, on a terminal: one line that is written over.
    fn count(&mut self, text: &str) {
        let mut out = std::io::stderr();
        if out.is_terminal() {
            let _ = write!(out, "\r\x1b[K{text}");
            let _ = out.flush();
        }
    }

    /// The next event; what is for the reader's eyes alone goes to standard error.
    fn event(&mut self, doing: &str) -> anyhow::Result<Event> {
        loop {
            let interrupt = self.signals.interrupt.swap(false, Ordering::Relaxed);
            if interrupt && self.under_way && !self.interrupted {
                // The command ends where it is and is answered; a second Ctrl-C leaves at once.
                self.interrupted = true;
                self.handle.send(Command::Interrupt);
            } else if interrupt || self.signals.end.load(Ordering::Relaxed) {
                self.handle.quit();
                bail!("{doing}: interrupted; the target is let go");
            }
            let event = match self.handle.events.recv_timeout(SLICE) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{doing}: the session has ended without a word; run it again")
                }
            };
            match &event {
                Event::Notice(text) => {
                    let _ = writeln!(std::io::stderr(), "uklscope: {text}");
                }
                Event::Said {
                    breakpoint,
                    line,
                    answer,
                } => {
                    let mut out = std::io::stderr();
                    let _ = writeln!(out, "uklscope: breakpoint {breakpoint}: {line}");
                    match answer {
                        Ok(answer) => {
                            for line in super::text::lines(answer) {
                                let _ = writeln!(out, "    {line}");
                            }
                        }
                        Err(failure) => {
                            let _ = writeln!(out, "    {failure}");
                        }
                    }
                }
                Event::Run(run) => self.runs = matches!(run, Run::Running | Run::Stopping),
                Event::Progress(progress) => self.count(&super::text::progress(progress)),
                Event::Watched(watched) => self.watched.clone_from(watched),
                Event::Serial(bytes) if self.serial => {
                    let _ = std::io::stderr().write_all(bytes);
                }
                _ => {}
            }
            return Ok(event);
        }
    }
}

#[derive(Default)]
struct Signals {
    /// Ctrl-C
    interrupt: Arc<AtomicBool>,
    /// The request to end.
    end: Arc<AtomicBool>,
}

impl Signals {
    fn caught() -> Self {
        let signals = Self::default();
        for (signal, flag) in [
            (signal_hook::consts::SIGINT, &signals.interrupt),
            (signal_hook::consts::SIGTERM, &signals.end),
        ] {
            // Without the handler the signal ends us, and QEMU with us.
            let _ = signal_hook::flag::register(signal, Arc::clone(flag));
        }
        signals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use debugger::addr::Addr;
    use debugger::event::{Frame, Place, Stop, StopReason, Vcpu};

    #[test]
    fn where_an_interrupted_command_has_left_the_target_is_told() {
        let mut stop = Stop::new(
            StopReason::Interrupted,
            Vcpu(0),
            Place {
                addr: Addr(0x40),
                symbol: Some("idle".to_owned()),
                ..Place::default()
            },
        );
        let at = |stop: &Stop| standing(Some(&Answer::Stopped(stop.clone())));
        assert_eq!(at(&stop), "at 0000000000000040 idle");
        stop.position = Some(181_686_948);
        assert_eq!(at(&stop), "at position 181,686,948");
        let looked = Answer::Done(String::new());
        assert_eq!(standing(Some(&looked)), "where it was");
    }

    #[test]
    fn an_answer_is_one_document_beside_its_command() {
        let frame = Frame {
            n: 0,
            place: Place {
                symbol: Some("ksys_write".to_owned()),
                ..Place::default()
            },
            found_by: "registers",
            ..Frame::default()
        };
        let document = document("bt", &Answer::Backtrace(vec![frame]), false).unwrap();
        assert_eq!(document["schema"], 1);
        assert_eq!(document["command"], "bt");
        assert_eq!(document["frames"][0]["symbol"], "ksys_write");
        assert_eq!(document["frames"][0]["crossing"], Value::Null);
        assert_eq!(document["frames"][0]["origin"], "unknown");
    }
}
