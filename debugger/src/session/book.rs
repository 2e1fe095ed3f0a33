//! The breakpoints and watchpoints as the user knows them: numbers, where they were put, hits.

use super::joined::{Joiner, Wanted};
use super::target::{Trap, TrapKind};
use super::watching::Watched;
use crate::addr::Addr;
use crate::command::{CrossFilter, Location, LogPart, Only, WatchKind, Which};
use crate::event::{BreakpointInfo, BreakpointPlace};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Code { hardware: bool },
    Watch { kind: WatchKind },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Breakpoint {
    pub(super) number: u32,
    /// As the user wrote it.
    pub(super) text: String,
    pub(super) kind: Kind,
    pub(super) places: Vec<Addr>,
    pub(super) temporary: bool,
    pub(super) condition: Option<String>,
    pub(super) hits: u64,
    /// Why it is not in the target.
    pub(super) failed: Option<String>,
    /// Its traps are in the target.
    pub(super) planted: bool,
    pub(super) disabled: bool,
    /// Where nothing had this name when it was set.
    pub(super) pending: Option<Location>,
    pub(super) only: Only,
    /// It stops at crossings: at these.
    pub(super) crossing: Option<CrossFilter>,
    /// Hits that will not stop yet.
    pub(super) ignore: u64,
    /// As the user set it.
    pub(super) ignore_typed: u64,
    pub(super) commands: Vec<String>,
    /// It writes this and does not stop.
    pub(super) log: Option<Vec<LogPart>>,
    pub(super) watched: Option<Watched>,
    /// What else is to be known of it.
    pub(super) note: Option<String>,
    /// Of how it is planted.
    pub(super) how: Vec<String>,
    /// The line that sets it, without its condition.
    pub(super) line: String,
    /// Who has set it; none for whoever opened the session.
    pub(super) owner: Option<Owner>,
}

/// One who has joined, and what it wants the target to stop at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) id: Joiner,
    /// `gdb 1`
    pub(super) name: String,
    pub(super) wanted: Wanted,
}

impl Owner {
    /// What is asked of the target: a watchpoint in pieces that a stub takes.
    fn traps(&self) -> Vec<Trap> {
        let Wanted { kind, addr, len } = self.wanted;
        let piece = |at: u64| Trap {
            kind,
            addr: addr + at,
            len: u8::try_from((len - at).min(PIECE)).unwrap_or(1),
        };
        (0..len).step_by(PIECE_STEP).map(piece).collect()
    }
}

/// Bytes that one trap is made to cover.
const PIECE: u64 = 128;
const PIECE_STEP: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Book {
    list: Vec<Breakpoint>,
    last: u32,
    /// What `$bpnum` is; 0 before the first.
    named: u32,
    /// The last one asked for could not be set: `$bpnum` is none before it.
    refused: bool,
}

impl Book {
    /// Enters one, with the next number.
    pub(super) fn add(&mut self, breakpoint: Breakpoint) -> &Breakpoint {
        self.named = self.last + 1;
        self.refused = false;
        self.add_owned(breakpoint)
    }

    /// Enters one that `$bpnum` does not mean.
    pub(super) fn add_owned(&mut self, mut breakpoint: Breakpoint) -> &Breakpoint {
        self.last += 1;
        breakpoint.number = self.last;
        self.list.push(breakpoint);
        // Just pushed.
        &self.list[self.list.len() - 1]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Breakpoint> {
        self.list.iter()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Breakpoint> {
        self.list.iter().find(|one| one.number == number)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Breakpoint> {
        self.list.iter_mut().find(|one| one.number == number)
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Breakpoint> {
        let at = self.list.iter().position(|one| one.number == number)?;
        Some(self.list.remove(at))
    }

    pub(super) fn numbers(&self) -> Vec<u32> {
        self.list.iter().map(|one| one.number).collect()
    }

    /// Those that nobody who joined has set.
    pub(super) fn own_numbers(&self) -> Vec<u32> {
        let own = self.list.iter().filter(|one| one.owner.is_none());
        own.map(|one| one.number).collect()
    }

    /// Notes that one could not be set.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    /// The number of the breakpoint that is meant; none where the last one could not be set, or
    /// none was set yet.
    pub(super) fn number(&self, which: Which) -> Option<u32> {
        match which {
            Which::Number(number) => Some(number),
            Which::Last => Some(self.named).filter(|last| *last > 0 && !self.refused),
        }
    }

    /// Breakpoints that stand at this instruction.
    pub(super) fn at(&self, pc: Addr) -> Vec<u32> {
        let here = |one: &&Breakpoint| {
            matches!(one.kind, Kind::Code { .. }) && one.planted && one.places.contains(&pc)
        };
        self.list
            .iter()
            .filter(here)
            .map(|one| one.number)
            .collect()
    }

    /// The watchpoints whose trap of this kind covers this address.
    pub(super) fn watching(&self, trap: TrapKind, addr: Addr) -> Vec<u32> {
        let covers = |one: &&Breakpoint| match (&one.kind, &one.watched) {
            (Kind::Watch { .. }, None) => one.planted && one.covers(trap, addr),
            (Kind::Watch { kind }, Some(watched)) => {
                one.planted && watched.covers(*kind, trap, addr)
            }
            _ => false,
        };
        let found = self.list.iter().filter(covers);
        found.map(|one| one.number).collect()
    }

    /// The watchpoints on a frame's variables whose frame returns to this instruction.
    pub(super) fn ending_at(&self, pc: Addr) -> Vec<u32> {
        let ends = |one: &&Breakpoint| {
            let watched = one.watched.as_ref();
            one.planted && watched.is_some_and(|watched| watched.ends_at(pc))
        };
        let found = self.list.iter().filter(ends);
        found.map(|one| one.number).collect()
    }

    /// Whether something of the user's stops at this instruction, or may.
    pub(super) fn stands_at(&self, pc: Addr) -> bool {
        !self.at(pc).is_empty() || !self.ending_at(pc).is_empty()
    }
}

impl Breakpoint {
    pub(super) fn new(text: String, kind: Kind, places: Vec<Addr>) -> Self {
        let command = match &kind {
            Kind::Code { hardware: true } => "hbreak",
            Kind::Code { hardware: false } => "break",
            Kind::Watch { kind } => watch_command(*kind),
        };
        Self {
            number: 0,
            line: format!("{command} {text}"),
            text,
            kind,
            places,
            temporary: false,
            condition: None,
            hits: 0,
            failed: None,
            planted: false,
            disabled: false,
            pending: None,
            only: Only::default(),
            crossing: None,
            ignore: 0,
            ignore_typed: 0,
            commands: Vec::new(),
            log: None,
            watched: None,
            note: None,
            how: Vec::new(),
            owner: None,
        }
    }

    pub(super) fn is_of(&self, id: Joiner) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.id == id)
    }

    pub(super) fn is_for(&self, id: Joiner, wanted: Wanted) -> bool {
        let same = |owner: &Owner| owner.id == id && owner.wanted == wanted;
        self.owner.as_ref().is_some_and(same)
    }

    fn covers(&self, trap: TrapKind, at: Addr) -> bool {
        let within = |one: &Trap| at.wrapping_sub(one.addr.0).0 < u64::from(one.len);
        self.traps()
            .iter()
            .any(|one| one.kind == trap && within(one))
    }

    /// What it asks of the target.
    pub(super) fn traps(&self) -> Vec<Trap> {
        let code = |kind| {
            let trap = move |&addr: &Addr| Trap { kind, addr, len: 1 };
            self.places.iter().map(trap).collect()
        };
        if let Some(owner) = &self.owner {
            return match self.kind {
                // Planted otherwise than it was asked for.
                Kind::Code { hardware: true } => code(TrapKind::Hard),
                _ => owner.traps(),
            };
        }
        match (&self.kind, &self.watched) {
            (Kind::Code { hardware: false }, _) => code(TrapKind::Soft),
            (Kind::Code { hardware: true }, _) => code(TrapKind::Hard),
            (Kind::Watch { kind }, Some(watched)) => watched.traps(*kind),
            (Kind::Watch { .. }, None) => Vec::new(),
        }
    }

    pub(super) fn info(&self, place: impl FnMut(&Addr) -> BreakpointPlace) -> BreakpointInfo {
        let only = self.only.typed();
        BreakpointInfo {
            number: self.number,
            location: self.text.clone(),
            places: self.places.iter().map(place).collect(),
            temporary: self.temporary,
            condition: self.condition.clone(),
            hits: self.hits,
            state: self.state(),
            kind: match self.kind {
                _ if self.log.is_some() => "log point",
                _ if self.crossing.is_some() => "crossing",
                Kind::Code { .. } => "breakpoint",
                Kind::Watch { kind } => watch_command(kind),
            },
            typed: self.typed(),
            enabled: !self.disabled,
            ignore: self.ignore,
            only: Some(only.trim().to_owned()).filter(|only| !only.is_empty()),
            commands: self.commands.clone(),
            value: self.watched.as_ref().map(|watched| watched.shown.clone()),
            note: Some(self.notes().join("; ")).filter(|note| !note.is_empty()),
            owner: self.owner.as_ref().map(|owner| owner.name.clone()),
        }
    }

    fn notes(&self) -> Vec<String> {
        self.note.iter().chain(&self.how).cloned().collect()
    }

    fn state(&self) -> String {
        match (&self.failed, &self.pending) {
            _ if self.disabled => "disabled".to_owned(),
            (Some(why), _) => format!("failed: {why}"),
            (None, Some(_)) => "pending".to_owned(),
            (None, None) if self.owner.is_some() && !self.planted => {
                "lifted until it runs on".to_owned()
            }
            (None, None) => "planted".to_owned(),
        }
    }

    /// The lines that set it up again; `$bpnum` is the number it gets then.
    fn typed(&self) -> Vec<String> {
        if self.owner.is_some() {
            return Vec::new();
        }
        // The frame of a local variable is not there in another run.
        if self
            .watched
            .as_ref()
            .is_some_and(|watched| !watched.lasts())
        {
            return Vec::new();
        }
        // A log point's line holds them already.
        let (condition, only) = match (&self.condition, &self.log) {
            (_, Some(_)) => (String::new(), String::new()),
            (Some(condition), None) => (format!(" if {condition}"), self.only.typed()),
            (None, None) => (String::new(), self.only.typed()),
        };
        let pending = match self.pending {
            Some(_) => " pending",
            None => "",
        };
        let mut lines = vec![format!("{}{only}{pending}{condition}", self.line)];
        if self.ignore_typed > 0 {
            lines.push(format!("ignore $bpnum {}", self.ignore_typed));
        }
        if !self.commands.is_empty() {
            lines.push(format!("commands $bpnum {}", self.commands.join("; ")));
        }
        if self.disabled {
            lines.push("disable $bpnum".to_owned());
        }
        lines
    }
}

const fn watch_command(kind: WatchKind) -> &'static str {
    match kind {
        WatchKind::Write => "watch",
        WatchKind::Read => "rwatch",
        WatchKind::Access => "awatch",
    }
}

/// A location as it would be typed.
pub(super) fn written(location: &Location) -> String {
    match location {
        Location::Addr(addr) => format!("*{:#x}", addr.0),
        Location::Expression(text) => format!("*{text}"),
        Location::Symbol { name, origin: None } => name.clone(),
        Location::Symbol {
            name,
            origin: Some(origin),
        } => format!("{origin}:{name}"),
        Location::Line {
            file: Some(file),
            line,
        } => format!("{file}:{line}"),
        Location::Line { file: None, line } => line.to_string(),
        Location::Crossing(filter) => filter.typed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, parse};

    fn breakpoint(kind: Kind, places: &[u64]) -> Breakpoint {
        let places = places.iter().copied().map(Addr).collect();
        Breakpoint {
            planted: true,
            ..Breakpoint::new("x".to_owned(), kind, places)
        }
    }

    #[test]
    fn it_can_be_set_up_again_from_what_it_says() {
        let mut one = breakpoint(Kind::Code { hardware: false }, &[1]);
        assert_eq!(one.typed(), ["break x"]);
        one.condition = Some("$rdi == 1".to_owned());
        one.only.vcpu = Some(1);
        one.ignore_typed = 5;
        one.ignore = 2;
        one.commands = vec!["bt".to_owned(), "c".to_owned()];
        one.disabled = true;
        assert_eq!(
            one.typed(),
            [
                "break x cpu 1 if $rdi == 1",
                "ignore $bpnum 5",
                "commands $bpnum bt; c",
                "disable $bpnum"
            ]
        );
        for line in one.typed() {
            assert!(parse(&line).is_ok(), "{line}");
        }
        assert_eq!(one.info(|_| BreakpointPlace::default()).state, "disabled");
    }

    #[test]
    fn what_is_not_planted_stops_nothing() {
        let mut book = Book::default();
        book.add(breakpoint(Kind::Code { hardware: false }, &[1]));
        if let Some(one) = book.get_mut(1) {
            one.planted = false;
        }
        assert!(book.at(Addr(1)).is_empty());
        assert_eq!(book.number(Which::Last), Some(1));
    }

    #[test]
    fn what_follows_a_breakpoint_that_could_not_be_set_is_not_for_the_one_before() {
        let mut book = Book::default();
        let code = Kind::Code { hardware: false };
        assert_eq!(book.number(Which::Last), None);
        book.add(breakpoint(code.clone(), &[1]));
        book.refuse();
        assert_eq!(book.number(Which::Last), None);
        assert_eq!(book.number(Which::Number(1)), Some(1));
        book.add(breakpoint(code, &[2]));
        assert_eq!(book.number(Which::Last), Some(2));
    }

    #[test]
    fn numbers_are_never_used_twice() {
        let mut book = Book::default();
        let code = Kind::Code { hardware: false };
        assert_eq!(book.add(breakpoint(code.clone(), &[1, 2])).number, 1);
        assert_eq!(book.add(breakpoint(code.clone(), &[2])).number, 2);
        assert_eq!(book.at(Addr(2)), [1, 2]);
        assert!(book.remove(2).is_some());
        assert!(book.remove(2).is_none());
        assert_eq!(book.add(breakpoint(code, &[3])).number, 3);
        assert_eq!(book.at(Addr(2)), [1]);
    }

    #[test]
    fn a_location_is_written_as_it_was_read() {
        for text in ["*0x10", "*main+4", "app:write", "tcp.c:5", "7", "main"] {
            let Ok(Command::Break { location, .. }) = parse(&format!("b {text}")) else {
                panic!("{text}");
            };
            assert_eq!(written(&location), text);
        }
    }
}
