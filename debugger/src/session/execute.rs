//! One command → one answer.

use super::course::Course;
use super::engine::Engine;
use super::lines::Calls;
use super::trouble::Trouble;
use crate::addr::AddrRange;
use crate::command::{BreakCommand, Command, Info, help};
use crate::event::{Answer, Event, Failure, Place, Run, Stop, SymbolInfo, TargetInfo, ThreadInfo};
use crate::guest::GIVE_VMLINUX;
use crate::symbols::{Pattern, Symbols};

/// The most symbols shown at once.
const SYMBOLS: usize = 1_000;

impl Engine {
    pub(super) fn execute(&mut self, command: &Command) -> Result<Answer, Trouble> {
        self.target.expect(is_asked_at_each_stop(command));
        if let Some(run) = run_control(command) {
            return self.run_command(run);
        }
        let answer = match self.execute_here(command) {
            Err(Trouble::Failed(failure)) => {
                if sets_breakpoint(command) {
                    self.book.refuse();
                }
                Err(Trouble::Failed(self.explained(failure)))
            }
            other => other,
        }?;
        if is_seen_in_watches(command) {
            self.tell_watched();
        }
        Ok(answer)
    }

    /// A failure at a past stop says that it may be for want of what was not kept.
    fn explained(&self, failure: Failure) -> Failure {
        match self.not_kept() {
            Some(why) if !failure.to_string().contains("'now'") => Failure {
                found: format!("{} ({why})", failure.found),
                ..failure
            },
            _ => failure,
        }
    }

    fn execute_here(&mut self, command: &Command) -> Result<Answer, Trouble> {
        match command {
            Command::Stops { limit } => self.stop_list(*limit).map(Answer::Stops),
            Command::Mark(name) => self.mark(name),
            Command::Marks => self.marks(),
            Command::Look(look) => self.look_at(*look),
            Command::Break { .. } => self.set_breakpoint(command),
            Command::Breaks(change) => self.breaks(change),
            Command::Watch {
                kind,
                expression,
                condition,
                fixed,
            } => {
                self.needs_now("setting a watchpoint")?;
                self.set_watchpoint(*kind, expression, condition.as_deref(), *fixed)
            }
            Command::Condition { number, expression } => {
                self.set_condition(*number, expression.clone())
            }
            Command::Delete { number } => self.delete_some(*number),
            Command::Stepping(change) => self.stepping(*change),
            Command::Focus(focus) => self.focus(*focus),
            Command::Interrupt => Ok(Answer::Done("the target stands still already".to_owned())),
            Command::Why => self.why().map(Answer::Why),
            Command::Backtrace { limit } => self.backtrace(*limit).map(Answer::Backtrace),
            Command::TaskBacktrace { task } => self.task_backtrace(task).map(Answer::Backtrace),
            Command::Tasks { pattern } => self.tasks(pattern.as_deref()).map(Answer::Tasks),
            Command::Frame { n } => self.select(*n).map(Answer::Backtrace),
            Command::Up { count } => self
                .select(self.frame.saturating_add(*count))
                .map(Answer::Backtrace),
            Command::Down { count } => self
                .select(self.frame.saturating_sub(*count))
                .map(Answer::Backtrace),
            Command::Examine { format, expression } => self.examine(*format, expression),
            Command::Find {
                start,
                len,
                pattern,
            } => self.find(start, *len, pattern).map(Answer::Found),
            Command::Print { format, expression } => {
                self.needs_now_to_assign(expression)?;
                self.print(*format, expression).map(Answer::Value)
            }
            Command::Parts { of } => self.parts(of).map(Answer::Parts),
            Command::Display { letter, expression } => self.display(*letter, expression.as_deref()),
            Command::Undisplay { number } => self.undisplay(*number),
            Command::Type {
                expression,
                whole,
                offsets,
            } => self.type_answer(expression, *whole, *offsets),
            Command::Set { target, value } => {
                self.needs_now(&format!("setting {target}"))?;
                self.assign(target, value)
            }
            Command::Disassemble {
                location,
                count,
                syntax,
            } => self
                .disassemble(location.as_ref(), *count, *syntax)
                .map(Answer::Disassembly),
            Command::List { location, count } => {
                self.list(location.as_ref(), *count).map(Answer::Source)
            }
            Command::Info(info) => self.info(info),
            Command::Space { expression } => {
                self.needs_now("reading the page tables")?;
                self.space(expression.as_deref())
            }
            Command::TaskSpace { task } => {
                self.needs_now("reading the page tables")?;
                self.task_space(task).map(Answer::Space)
            }
            Command::Symbols { .. } | Command::Help(_) | Command::Cancel(_) => {
                self.without_target(command).map_err(Trouble::Failed)
            }
            Command::SymbolFile(path) => self.symbol_file(path),
            Command::Complete(line) => self.complete(line),
            Command::Monitor(text) => {
                let output = self.target.monitor(text)?;
                Ok(Answer::Text(output.lines().map(str::to_owned).collect()))
            }
            _ => Err(Trouble::new(
                "carrying out a command",
                "this session cannot do it",
                "'help' lists what it can",
            )),
        }
    }

    /// What can be answered while the target runs.
    pub(super) fn without_target(&self, command: &Command) -> Result<Answer, Failure> {
        match command {
            Command::Help(topic) => Ok(Answer::Text(help(topic.as_deref())?)),
            Command::Symbols { pattern } => match &self.symbols {
                Some(symbols) => Ok(Answer::Symbols(matching(symbols, pattern))),
                None => Err(Failure::new(
                    format!("looking for symbols like {pattern}"),
                    "no vmlinux was given",
                    GIVE_VMLINUX,
                )),
            },
            _ => Err(Failure::new(
                "giving up work",
                "no such work is under way",
                "'interrupt' stops a command that runs",
            )),
        }
    }

    /// Lets the target run, and again where the breakpoint that stopped it says so.
    pub(super) fn run_command(&mut self, run: RunCommand) -> Result<Answer, Trouble> {
        self.joining.moves();
        let outcome = self.run_to_its_end(run);
        self.tell_waiting(&outcome);
        outcome
    }

    fn run_to_its_end(&mut self, run: RunCommand) -> Result<Answer, Trouble> {
        self.leave_from_here()?;
        self.interrupted = false;
        let mut run = run;
        loop {
            self.due.clear();
            let stop = self.run_once(run)?;
            let next = self.carry_out()?.as_ref().and_then(run_control);
            self.attend()?;
            match next {
                Some(next) if !self.interrupted => run = next,
                _ => return Ok(Answer::Stopped(stop)),
            }
        }
    }

    fn run_once(&mut self, run: RunCommand) -> Result<Stop, Trouble> {
        self.course = Course::default();
        self.course.ahead = true;
        let stood = self.stop.clone();
        let epoch = self.target.epoch();
        self.keep_stop();
        self.port.send(Event::Run(Run::Running));
        let stop = match self.move_between_states(&run) {
            Some(stop) => stop,
            None => self.move_by(run),
        };
        match stop {
            Ok(stop) => {
                self.resolve_pending()?;
                self.read_ahead()?;
                self.port.send(Event::Run(Run::Stopped(stop.clone())));
                self.target.expect(true);
                self.tell_watched();
                self.target.expect(false);
                Ok(stop)
            }
            Err(Trouble::Failed(failure)) => {
                // It stands somewhere all the same: where it was, or where the step failed.
                let unmoved = stood.filter(|stood| self.still_stands(stood, epoch));
                let stop = match unmoved.and_then(|_| self.take_stop_back()) {
                    Some(stop) => Ok(stop),
                    None => self.stopped(crate::event::StopReason::Interrupted),
                };
                if let Ok(stop) = stop {
                    self.port.send(Event::Run(Run::Stopped(stop)));
                    self.tell_watched();
                }
                Err(Trouble::Failed(failure))
            }
            Err(other) => Err(other),
        }
    }

    fn move_by(&mut self, run: RunCommand) -> Result<Stop, Trouble> {
        match run {
            RunCommand::Continue => self.run_on(),
            RunCommand::ContinueAlone => {
                self.course.alone = true;
                self.run_on()
            }
            RunCommand::Within(range) => self.step_within(range),
            RunCommand::Instructions { count, over } => self.step_instructions(count, over),
            RunCommand::Lines { count, calls } => self.step_lines(count, calls),
            RunCommand::Finish => self.finish(),
            RunCommand::Until(goal) => self.until(&goal),
            RunCommand::Forward => self.step_forward(),
            RunCommand::Cross => self.cross(),
            RunCommand::CrossBack => self.cross_back(),
            RunCommand::OverKernel => self.over_kernel(),
            RunCommand::Back(back) => self.go_back(&back),
        }
    }

    fn delete_some(&mut self, number: Option<u32>) -> Result<Answer, Trouble> {
        let numbers = number.map_or_else(|| self.book.own_numbers(), |number| vec![number]);
        for &number in &numbers {
            self.refuse_anothers(number, "deleting")?;
            self.delete(number)?;
        }
        Ok(Answer::Done(match numbers.as_slice() {
            [] => "there are no breakpoints".to_owned(),
            [one] => format!("breakpoint {one} is deleted"),
            several => format!("{} breakpoints are deleted", several.len()),
        }))
    }

    fn info(&mut self, info: &Info) -> Result<Answer, Trouble> {
        match info {
            Info::Registers => self.all_registers().map(Answer::Registers),
            Info::Locals => self.variables(false).map(Answer::Variables),
            Info::Arguments => self.variables(true).map(Answer::Variables),
            Info::Breakpoints => Ok(Answer::Breakpoints(self.all_breakpoints())),
            Info::Threads => self.threads().map(Answer::Threads),
            Info::Symbol(text) => self.info_symbol(text),
            Info::Line(location) => {
                let at = match location {
                    Some(location) => self.locate(location)?[0],
                    None => self.selected_place()?.addr,
                };
                Ok(self.line_sentence(at))
            }
            Info::Frame => self.frame_info(),
            Info::Functions(pattern) => self.functions_like(pattern),
            Info::Types(pattern) => self.types_like(pattern),
            Info::Control => self.control_state(),
            Info::Idt => self.gates().map(Answer::Idt),
            Info::Gdt => self.segments().map(Answer::Gdt),
            Info::Interrupts => self.interrupts().map(Answer::Interrupts),
            Info::PerCpu(variable) => self.on_each_cpu(variable).map(Answer::PerCpu),
            Info::Vmas { task } => self.vmas(task.as_deref()).map(Answer::Space),
            Info::Target => Ok(Answer::Text(self.target_lines())),
        }
    }

    fn info_symbol(&mut self, text: &str) -> Result<Answer, Trouble> {
        let at = self.address(text)?;
        let place = self.place(at);
        let Some(symbol) = &place.symbol else {
            return Err(Trouble::new(
                format!("naming {:#x}", at.0),
                "no symbol covers it",
                "'space ADDRESS' tells what is mapped there",
            ));
        };
        let offset = match place.offset {
            0 => String::new(),
            offset => format!(" + {offset}"),
        };
        Ok(Answer::Done(format!(
            "{symbol}{offset} is at {:#x}, origin {}",
            at.0, place.origin
        )))
    }

    fn line_sentence(&self, at: crate::addr::Addr) -> Answer {
        let place = self.place(at);
        let range = self
            .symbols
            .as_ref()
            .and_then(|symbols| symbols.line_range(at));
        Answer::Done(match (&place.file, place.line, range) {
            (Some(file), Some(line), Some(range)) => format!(
                "line {line} of {file} starts at {:#x} and ends at {:#x}",
                range.start.0, range.end.0
            ),
            (Some(file), Some(line), None) => {
                format!("line {line} of {file} is at {:#x}", at.0)
            }
            _ => format!("no line is known of {:#x}", at.0),
        })
    }

    fn threads(&mut self) -> Result<Vec<ThreadInfo>, Trouble> {
        let mut list = Vec::new();
        for vcpu in self.target.vcpus()? {
            let registers = self.target.registers(vcpu)?;
            let place = registers
                .pc()
                .map_or_else(Place::default, |pc| self.place(pc));
            list.push(ThreadInfo {
                vcpu,
                current: vcpu == self.vcpu,
                state: self.target.vcpu_state(vcpu)?,
                place,
            });
        }
        Ok(list)
    }

    fn target_lines(&self) -> Vec<String> {
        let TargetInfo {
            name,
            mode,
            accelerator,
            vcpus,
            lacks,
            found,
        } = &self.info;
        let mut lines = vec![
            format!("target: {name}"),
            format!(
                "mode: {}",
                mode.map_or_else(|| "unknown".to_owned(), |mode| mode.to_string())
            ),
            format!("accelerator: {accelerator}"),
            format!("vCPUs: {vcpus}"),
            format!("steps: {}", self.beside_a_step()),
        ];
        lines.extend(found.iter().map(ToString::to_string));
        lines.extend(lacks.iter().map(|lack| format!("lacks: {lack}")));
        lines
    }
}

/// The commands that let the target run.
#[derive(Clone)]
pub(super) enum RunCommand {
    Continue,
    /// The vCPU in focus, while the others stand still.
    ContinueAlone,
    /// Instructions until one lies outside of these.
    Within(AddrRange),
    Instructions {
        count: u64,
        over: bool,
    },
    Lines {
        count: u64,
        calls: Calls,
    },
    Finish,
    Until(crate::command::Until),
    /// As `next`, and not back into a loop.
    Forward,
    Cross,
    CrossBack,
    OverKernel,
    Back(crate::command::Back),
}

/// Whether a command gives `$bpnum` a new meaning.
const fn sets_breakpoint(command: &Command) -> bool {
    matches!(
        command,
        Command::Break { .. }
            | Command::Watch { .. }
            | Command::Breaks(BreakCommand::Log { .. } | BreakCommand::Pattern(_))
    )
}

/// What a screen shows of each stop.
fn is_asked_at_each_stop(command: &Command) -> bool {
    matches!(
        command,
        Command::Why
            | Command::Backtrace { .. }
            | Command::Disassemble { .. }
            | Command::List { .. }
            | Command::Parts { .. }
            | Command::Info(Info::Registers | Info::Locals | Info::Arguments)
    )
}

/// Whether what is shown at each stop may be another after it: another frame's, or assigned to.
const fn is_seen_in_watches(command: &Command) -> bool {
    matches!(
        command,
        Command::Set { .. }
            | Command::Print { .. }
            | Command::Frame { .. }
            | Command::Up { .. }
            | Command::Down { .. }
    )
}

/// Whether a command lets the target run.
#[must_use]
pub fn runs(command: &Command) -> bool {
    run_control(command).is_some()
}

fn run_control(command: &Command) -> Option<RunCommand> {
    Some(match command {
        Command::Continue => RunCommand::Continue,
        Command::StepInstruction { count } => RunCommand::Instructions {
            count: *count,
            over: false,
        },
        Command::NextInstruction { count } => RunCommand::Instructions {
            count: *count,
            over: true,
        },
        Command::Step { count } => RunCommand::Lines {
            count: *count,
            calls: Calls::Into,
        },
        Command::Next { count } => RunCommand::Lines {
            count: *count,
            calls: Calls::Over,
        },
        Command::Finish => RunCommand::Finish,
        Command::Forward => RunCommand::Forward,
        Command::Until(goal) => RunCommand::Until(goal.clone()),
        Command::Cross => RunCommand::Cross,
        Command::CrossBack => RunCommand::CrossBack,
        Command::OverKernel => RunCommand::OverKernel,
        Command::Back(back) => RunCommand::Back(back.clone()),
        _ => return None,
    })
}

fn matching(symbols: &Symbols, pattern: &str) -> Vec<SymbolInfo> {
    let pattern = Pattern::new(pattern);
    symbols
        .matching(&pattern)
        .take(SYMBOLS)
        .map(|symbol| {
            let place = symbol.kind.is_address().then(|| symbols.place(symbol.addr));
            let homonyms = symbols.lookup(symbol.name).len().saturating_sub(1);
            SymbolInfo {
                name: symbol.name.to_owned(),
                addr: symbol.addr,
                size: symbol.size,
                origin: symbol.origin,
                line: place.as_ref().and_then(|place| place.line),
                file: place
                    .and_then(|place| place.file)
                    .or_else(|| symbol.file.map(str::to_owned)),
                homonyms: u32::try_from(homonyms).unwrap_or(u32::MAX),
            }
        })
        .collect()
}
