//! Breakpoints and watchpoints: from what the user wrote to traps in the target.

use super::book::{Breakpoint, Kind, written};
use super::engine::Engine;
use super::expression;
use super::locate::Stands;
use super::slots::{SLOTS, budget, takes_slot};
use super::target::Trap;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::command::{BreakCommand, Command, Location, LogPart, Only, Which};
use crate::count::either;
use crate::event::{Answer, BreakpointInfo, BreakpointPlace, Event, Failure};
use crate::symbols::Pattern;

const NO_STATE: &str = "this recording holds the machine at both sides of its crossings alone, and at no place of this one";

/// The most functions that one pattern plants at.
const MOST_MATCHES: usize = 200;

impl Engine {
    /// `break`, `tbreak`, `hbreak`
    pub(super) fn set_breakpoint(&mut self, command: &Command) -> Result<Answer, Trouble> {
        let Command::Break {
            location,
            temporary,
            hardware,
            condition,
            only,
            pending,
        } = command
        else {
            return Ok(Answer::Breakpoints(Vec::new()));
        };
        check(condition.as_deref())?;
        self.check_vcpu(only)?;
        let (stands, waits) = match self.locate_stops(location) {
            Ok(stands) => (stands, None),
            Err(Trouble::Failed(failure)) if *pending => (Stands::nowhere(), Some(failure)),
            Err(Trouble::Failed(failure)) => {
                return Err(Trouble::Failed(may_wait(location, failure)));
            }
            Err(other) => return Err(other),
        };
        if let (Location::Crossing(filter), Some(condition)) = (location, condition)
            && waits.is_none()
        {
            self.check_names(filter, condition)?;
        }
        let mut breakpoint = code(location, stands, *hardware);
        if *temporary {
            breakpoint.line = format!("tbreak {}", breakpoint.text);
        }
        breakpoint.temporary = *temporary;
        breakpoint.condition.clone_from(condition);
        breakpoint.only = only.clone();
        if let Some(failure) = waits {
            breakpoint.pending = Some(location.clone());
            breakpoint.note = Some(format!("it waits: {}", failure.found));
        }
        self.plant(breakpoint)
    }

    /// `log`, `dprintf`
    fn set_log(
        &mut self,
        location: &Location,
        parts: &[LogPart],
        (condition, only): (Option<&str>, &Only),
        line: String,
    ) -> Result<Answer, Trouble> {
        check(condition)?;
        self.check_vcpu(only)?;
        for part in parts {
            if let LogPart::Value { expression, .. } = part {
                check(Some(expression))?;
            }
        }
        let stands = self.locate_stops(location)?;
        if let (Location::Crossing(filter), Some(condition)) = (location, condition) {
            self.check_names(filter, condition)?;
        }
        let mut breakpoint = code(location, stands, false);
        breakpoint.line = line;
        breakpoint.condition = condition.map(str::to_owned);
        breakpoint.only = only.clone();
        breakpoint.log = Some(parts.to_vec());
        self.plant(breakpoint)
    }

    /// What is to stop on a vCPU that the target does not have would wait for ever.
    fn check_vcpu(&mut self, only: &Only) -> Result<(), Trouble> {
        match only.vcpu.filter(|_| !self.target.is_file()) {
            Some(vcpu) => self.has_vcpu(vcpu, || format!("planting for cpu{vcpu} alone")),
            None => Ok(()),
        }
    }

    /// `rbreak`
    fn set_pattern(&mut self, text: &str) -> Result<Answer, Trouble> {
        let tried = || format!("planting at every function like {text}");
        let symbols = self.symbols_or(tried)?;
        let pattern = Pattern::new(text);
        let mut places: Vec<Addr> = symbols
            .functions()
            .filter(|function| pattern.matches(function.name))
            .map(|function| function.addr)
            .collect();
        places.sort_unstable();
        places.dedup();
        let found = places.len();
        if found == 0 {
            return Err(Trouble::new(
                tried(),
                "no function has this in its name",
                "'symbols PATTERN' finds names",
            ));
        }
        places.truncate(MOST_MATCHES);
        let kind = Kind::Code { hardware: false };
        let mut breakpoint = Breakpoint::new(text.to_owned(), kind, places);
        breakpoint.line = format!("rbreak {text}");
        if found > MOST_MATCHES {
            breakpoint.note = Some(format!(
                "{found} functions match; it stands at the first {MOST_MATCHES}"
            ));
        }
        self.plant(breakpoint)
    }

    pub(super) fn plant(&mut self, mut breakpoint: Breakpoint) -> Result<Answer, Trouble> {
        if !breakpoint.places.is_empty() && !self.target.comes_to(&breakpoint.places) {
            breakpoint.note = Some(NO_STATE.to_owned());
        }
        let number = self.book.add(breakpoint).number;
        self.arm(number)?;
        let info = self.breakpoint_info(number);
        Ok(Answer::Breakpoints(info.into_iter().collect()))
    }

    /// Puts a breakpoint's traps into the target, all or none, and notes what became of it.
    pub(super) fn arm(&mut self, number: u32) -> Result<(), Trouble> {
        let Some(one) = self.book.get(number) else {
            return Ok(());
        };
        if one.planted || one.disabled || one.pending.is_some() {
            return Ok(());
        }
        let mut kind = one.kind.clone();
        let mut wanted = one.traps();
        let mut hard = one.clone();
        hard.kind = Kind::Code { hardware: true };
        let mut outcome = self.insert_all(&wanted)?;
        let mut note = None;
        // Under KVM a software breakpoint is written through the page tables.
        if let (Err(why), Kind::Code { hardware: false }) = (&outcome, &kind) {
            let instead = hard.traps();
            if self.insert_all(&instead)?.is_ok() {
                note = Some(format!(
                    "by a debug register: as a software breakpoint {why}"
                ));
                (kind, wanted) = (hard.kind, instead);
                outcome = Ok(());
            }
        }
        let slots = self.slots_note(&wanted);
        if let Some(one) = self.book.get_mut(number) {
            one.planted = outcome.is_ok();
            one.failed = outcome.err();
            one.kind = kind;
            one.how = [note, slots].into_iter().flatten().collect();
        }
        Ok(())
    }

    /// The inner error is why the target, or the budget of debug registers, refuses them.
    fn insert_all(&mut self, wanted: &[Trap]) -> Result<Result<(), String>, Trouble> {
        if self.info.accelerator == "kvm"
            && let Err(why) = budget(self.standing(), wanted)
        {
            return Ok(Err(format!("{why}; {}", why.next())));
        }
        let mut planted = Vec::new();
        for &trap in wanted {
            if let Err(error) = self.target.insert(trap) {
                let found = match Trouble::from(error) {
                    Trouble::Failed(failure) => failure.found,
                    other => return Err(other),
                };
                for trap in planted {
                    self.target.remove(trap)?;
                }
                return Ok(Err(found));
            }
            planted.push(trap);
        }
        Ok(Ok(()))
    }

    fn standing(&self) -> Vec<Trap> {
        let traps = self.target.traps();
        traps.into_iter().map(|planted| planted.trap).collect()
    }

    fn slots_note(&self, wanted: &[Trap]) -> Option<String> {
        let kvm = self.info.accelerator == "kvm" && wanted.iter().any(takes_slot);
        let used = kvm.then(|| budget(self.standing(), &[]).unwrap_or(SLOTS))?;
        Some(format!(
            "{used} of {SLOTS} debug registers {} in use",
            either(used, "is", "are")
        ))
    }

    /// Takes a breakpoint's traps out of the target.
    pub(super) fn disarm(&mut self, number: u32) -> Result<(), Trouble> {
        let Some(one) = self.book.get_mut(number) else {
            return Ok(());
        };
        if !std::mem::take(&mut one.planted) {
            return Ok(());
        }
        for trap in one.traps() {
            self.target.remove(trap)?;
        }
        Ok(())
    }

    /// Looks again for what pending breakpoints wait for: symbols may have been added.
    pub(super) fn resolve_pending(&mut self) -> Result<(), Trouble> {
        let waiting: Vec<(u32, Location)> = self
            .book
            .iter()
            .filter_map(|one| Some((one.number, one.pending.clone()?)))
            .collect();
        for (number, location) in waiting {
            let stands = match self.locate_stops(&location) {
                Ok(stands) => stands,
                Err(Trouble::Failed(_)) => continue,
                Err(other) => return Err(other),
            };
            if let Some(one) = self.book.get_mut(number) {
                one.places = stands.places;
                one.pending = None;
                one.note = stands.note;
                let notice = format!("breakpoint {number}: {} is known now", one.text);
                self.port.send(Event::Notice(notice));
            }
            self.arm(number)?;
        }
        Ok(())
    }

    pub(super) fn breakpoint_info(&self, number: u32) -> Option<BreakpointInfo> {
        let breakpoint = self.book.get(number)?;
        let mut info = breakpoint.info(|at| BreakpointPlace {
            place: self.place(*at),
            inlined_in: self.inlined_in(*at, &breakpoint.text),
        });
        if breakpoint.planted && info.note.is_none() {
            info.note = self.unmapped(breakpoint);
        }
        Some(info)
    }

    /// The caller of the copy that stands at an address: of the named function, or of the innermost one
    /// where a line was named.
    fn inlined_in(&self, at: Addr, location: &str) -> Option<String> {
        let frames = self.symbols.as_ref()?.frames(at);
        let name = location.rsplit(':').next().unwrap_or(location);
        let is_line = name.parse::<u32>().is_ok();
        let copy = frames
            .iter()
            .position(|frame| frame.inlined && (is_line || frame.function == name))?;
        frames.get(copy + 1).map(|caller| caller.function.clone())
    }

    pub(super) fn all_breakpoints(&self) -> Vec<BreakpointInfo> {
        self.book
            .numbers()
            .into_iter()
            .filter_map(|number| self.breakpoint_info(number))
            .collect()
    }

    /// What one who joined has set, it alone changes.
    pub(super) fn refuse_anothers(&self, number: u32, doing: &str) -> Result<(), Trouble> {
        let Some(owner) = self.book.get(number).and_then(|one| one.owner.as_ref()) else {
            return Ok(());
        };
        Err(Trouble::new(
            format!("{doing} breakpoint {number}"),
            format!("{} has set it", owner.name),
            "it takes it away itself, at the latest when it leaves",
        ))
    }

    /// A stub under TCG plants where nothing is mapped, and what is planted there waits.
    fn unmapped(&self, breakpoint: &Breakpoint) -> Option<String> {
        use super::breakpoints::TrapState;
        let wanted = breakpoint.traps();
        let unmapped = self.target.traps().into_iter().any(|planted| {
            planted.state == TrapState::Planted { mapped: false } && wanted.contains(&planted.trap)
        });
        unmapped.then(|| "nothing was mapped there when it was planted".to_owned())
    }

    /// What is asked of breakpoints beside setting a plain one.
    pub(super) fn breaks(&mut self, command: &BreakCommand) -> Result<Answer, Trouble> {
        match command {
            BreakCommand::Log {
                location,
                parts,
                condition,
                only,
                typed,
            } => {
                // The two commands are told apart by the quote behind the location.
                let quoted = typed
                    .split_once(',')
                    .is_some_and(|(_, text)| text.trim_start().starts_with('"'));
                let name = if quoted { "dprintf" } else { "log" };
                let line = format!("{name} {typed}");
                self.set_log(location, parts, (condition.as_deref(), only), line)
            }
            BreakCommand::Pattern(text) => self.set_pattern(text),
            BreakCommand::Ignore { which, count } => self.change(*which, |one| {
                one.ignore = *count;
                one.ignore_typed = *count;
            }),
            BreakCommand::Commands { which, lines } => {
                self.change(*which, |one| one.commands.clone_from(lines))
            }
            BreakCommand::Enable { which, on } => {
                let numbers = match which {
                    Some(which) => vec![self.number_of(*which)?],
                    None => self.book.own_numbers(),
                };
                let mut infos = Vec::new();
                for number in numbers {
                    self.change(Which::Number(number), |one| one.disabled = !on)?;
                    match on {
                        true => self.arm(number)?,
                        false => self.disarm(number)?,
                    }
                    infos.extend(self.breakpoint_info(number));
                }
                Ok(Answer::Breakpoints(infos))
            }
        }
    }

    fn number_of(&self, which: Which) -> Result<u32, Trouble> {
        self.book.number(which).ok_or_else(|| {
            Trouble::new(
                "changing breakpoint $bpnum",
                "the last breakpoint asked for could not be set, or there was none yet",
                "'info breakpoints' lists them; give a number",
            )
        })
    }

    fn change(
        &mut self,
        which: Which,
        edit: impl FnOnce(&mut Breakpoint),
    ) -> Result<Answer, Trouble> {
        let number = self.number_of(which)?;
        self.refuse_anothers(number, "changing")?;
        let Some(breakpoint) = self.book.get_mut(number) else {
            return Err(Trouble::new(
                format!("changing breakpoint {number}"),
                "there is none of this number",
                "'info breakpoints' lists them",
            ));
        };
        edit(breakpoint);
        let info = self.breakpoint_info(number);
        Ok(Answer::Breakpoints(info.into_iter().collect()))
    }

    /// `condition`
    pub(super) fn set_condition(
        &mut self,
        number: u32,
        condition: Option<String>,
    ) -> Result<Answer, Trouble> {
        check(condition.as_deref())?;
        let filter = self.book.get(number).and_then(|one| one.crossing.clone());
        if let (Some(filter), Some(condition)) = (filter, &condition) {
            self.check_names(&filter, condition)?;
        }
        self.change(Which::Number(number), |one| one.condition = condition)
    }

    /// Takes a breakpoint out of the book and the target.
    pub(super) fn delete(&mut self, number: u32) -> Result<(), Trouble> {
        if self.book.get(number).is_none() {
            return Err(Trouble::new(
                format!("deleting breakpoint {number}"),
                "there is none of this number",
                "'info breakpoints' lists them",
            ));
        }
        self.disarm(number)?;
        self.book.remove(number);
        Ok(())
    }
}

/// A breakpoint in code, as yet without traps.
fn code(location: &Location, stands: Stands, hardware: bool) -> Breakpoint {
    let places = stands.places;
    // Written down as the address it was: what the expression gives later is another matter.
    let text = match (location, places.first()) {
        (Location::Expression(_), Some(first)) => format!("*{:#x}", first.0),
        (other, _) => written(other),
    };
    let mut breakpoint = Breakpoint::new(text, Kind::Code { hardware }, places);
    breakpoint.note = stands.note;
    if let Location::Crossing(filter) = location {
        breakpoint.crossing = Some(filter.clone());
    }
    breakpoint
}

fn check(text: Option<&str>) -> Result<(), Trouble> {
    let Some(text) = text else {
        return Ok(());
    };
    expression::parse(text)
        .map(|_| ())
        .map_err(|error| Trouble::expression(text, &error))
}

/// A name that is not known yet may be waited for, where that is asked for.
fn may_wait(location: &Location, failure: Failure) -> Failure {
    match location {
        Location::Symbol { .. } | Location::Line { file: Some(_), .. }
            if failure.found.starts_with("no ") =>
        {
            let name = written(location);
            Failure {
                next: format!("{}; 'break {name} pending' waits for it", failure.next),
                ..failure
            }
        }
        _ => failure,
    }
}
