//! The breakpoints and watchpoints as the user knows them: numbers, where they were put, hits.

use crate::addr::Addr;
use crate::command::{Location, WatchKind};
use crate::event::{BreakpointInfo, Place};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Code { hardware: bool },
    Watch { kind: WatchKind, len: u8 },
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
}

#[derive(Debug, Default)]
pub(super) struct Book {
    list: Vec<Breakpoint>,
    last: u32,
}

impl Book {
    /// Enters one, with the next number.
    pub(super) fn add(&mut self, mut breakpoint: Breakpoint) -> &Breakpoint {
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

    /// Breakpoints that stand at this instruction.
    pub(super) fn at(&self, pc: Addr) -> Vec<u32> {
        let here =
            |one: &&Breakpoint| matches!(one.kind, Kind::Code { .. }) && one.places.contains(&pc);
        self.list
            .iter()
            .filter(here)
            .map(|one| one.number)
            .collect()
    }

    /// The watchpoint that covers this address.
    pub(super) fn watching(&self, addr: Addr) -> Option<u32> {
        let covers = |one: &&Breakpoint| match one.kind {
            Kind::Watch { len, .. } => one
                .places
                .iter()
                .any(|start| addr.wrapping_sub(start.0).0 < u64::from(len)),
            Kind::Code { .. } => false,
        };
        self.list.iter().find(covers).map(|one| one.number)
    }
}

impl Breakpoint {
    pub(super) fn info(&self, place: impl FnMut(&Addr) -> Place) -> BreakpointInfo {
        BreakpointInfo {
            number: self.number,
            location: self.text.clone(),
            places: self.places.iter().map(place).collect(),
            temporary: self.temporary,
            condition: self.condition.clone(),
            hits: self.hits,
            state: match &self.failed {
                None => "planted".to_owned(),
                Some(why) => format!("failed: {why}"),
            },
            kind: match self.kind {
                Kind::Code { .. } => "breakpoint",
                Kind::Watch { kind, .. } => match kind {
                    WatchKind::Write => "watch",
                    WatchKind::Read => "rwatch",
                    WatchKind::Access => "awatch",
                },
            },
        }
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, parse};

    fn breakpoint(kind: Kind, places: &[u64]) -> Breakpoint {
        Breakpoint {
            number: 0,
            text: "x".to_owned(),
            kind,
            places: places.iter().copied().map(Addr).collect(),
            temporary: false,
            condition: None,
            hits: 0,
            failed: None,
        }
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
    fn a_watchpoint_covers_its_bytes() {
        let mut book = Book::default();
        let kind = Kind::Watch {
            kind: WatchKind::Write,
            len: 8,
        };
        book.add(breakpoint(kind, &[0x1000]));
        assert_eq!(book.watching(Addr(0x1007)), Some(1));
        assert_eq!(book.watching(Addr(0x1008)), None);
        assert_eq!(book.watching(Addr(0xfff)), None);
        assert!(book.at(Addr(0x1000)).is_empty());
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
