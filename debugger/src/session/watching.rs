//! Watchpoints: what an expression's value depends on, watched in memory; the old value and the new
//! one at each stop; the end of one on a local variable.

use super::book::{Breakpoint, Kind};
use super::engine::Engine;
use super::expression::{self, Tree, Type, Value};
use super::target::{Trap, TrapKind};
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::command::WatchKind;
use crate::event::{Answer, Event, StopReason};

/// More bytes than these are no variable.
const MOST: u64 = 4096;

/// Bytes that one watchpoint of a stub under TCG is made to cover.
const PIECE: u64 = 128;

/// What a watchpoint looks at, and how it looked last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    text: String,
    value: Value,
    pub(super) shown: String,
    /// The memory of the value itself.
    pieces: Vec<(Addr, u8)>,
    /// What leads to it: pointers, indices. Where they change it lies elsewhere, or is another.
    leading: Vec<(Addr, u8)>,
    /// Registers that lead to it: a change of one is not seen.
    unseen: Vec<String>,
    /// It stands for this memory, whatever the expression means later.
    fixed: bool,
    scope: Option<Scope>,
    /// The page tables' root of the process whose memory it is; none for what all share.
    space: Option<u64>,
}

/// The frame of the local variables an expression uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The stack pointer that the caller has again.
    cfa: Addr,
    /// Where it returns to, as far as that is known.
    returns_to: Option<Addr>,
    function: String,
}

impl Watched {
    /// What is asked of the target.
    pub(super) fn traps(&self, kind: WatchKind) -> Vec<Trap> {
        let wanted = trap_kind(kind);
        let own = self.pieces.iter().map(|piece| (wanted, *piece));
        let leading = self.leading.iter().map(|piece| (TrapKind::Write, *piece));
        let end = self.scope.as_ref().and_then(|scope| scope.returns_to);
        own.chain(leading)
            .map(|(kind, (addr, len))| Trap { kind, addr, len })
            .chain(end.map(Trap::soft))
            .collect()
    }

    /// Whether a stop of this kind at this address is one of its own.
    pub(super) fn covers(&self, kind: WatchKind, trap: TrapKind, at: Addr) -> bool {
        self.traps(kind)
            .iter()
            .any(|one| one.kind == trap && at.wrapping_sub(one.addr.0).0 < u64::from(one.len))
    }

    /// What its user is to know of it.
    fn note(&self) -> Option<String> {
        let end = self.scope.as_ref().map(|scope| match scope.returns_to {
            Some(_) => format!("it ends when {} returns", scope.function),
            None => format!(
                "it is of a frame of {}, whose end is not known: delete it when that has returned",
                scope.function
            ),
        });
        let unseen = (!self.unseen.is_empty()).then(|| {
            let list = self.unseen.join(" and ");
            format!("{list} leads to it, whose changes are not seen")
        });
        let notes: Vec<String> = end.into_iter().chain(unseen).collect();
        Some(notes.join("; ")).filter(|note| !note.is_empty())
    }

    pub(super) fn ends_at(&self, pc: Addr) -> bool {
        self.scope
            .as_ref()
            .is_some_and(|scope| scope.returns_to == Some(pc))
    }

    /// Whether it can be set again in another run.
    pub(super) const fn lasts(&self) -> bool {
        self.scope.is_none()
    }
}

const fn trap_kind(kind: WatchKind) -> TrapKind {
    match kind {
        WatchKind::Write => TrapKind::Write,
        WatchKind::Read => TrapKind::Read,
        WatchKind::Access => TrapKind::Access,
    }
}

impl Engine {
    /// `watch`, `rwatch`, `awatch`
    pub(super) fn set_watchpoint(
        &mut self,
        kind: WatchKind,
        text: &str,
        condition: Option<&str>,
        fixed: bool,
    ) -> Result<Answer, Trouble> {
        let failed = |error| Trouble::expression(text, &error);
        let tree = expression::parse(text).map_err(failed)?;
        if let Some(condition) = condition {
            expression::parse(condition).map_err(|error| Trouble::expression(condition, &error))?;
        }
        if tree.assigns() {
            return Err(Trouble::new(
                format!("watching '{text}'"),
                "it changes what it looks at",
                "'set' and 'print' assign once",
            ));
        }
        let watched = self.looked_at(text, &tree, fixed)?;
        let at = watched.pieces.first().or(watched.leading.first());
        let places = at.map(|(at, _)| *at).into_iter().collect();
        let shown = match fixed {
            true => format!("-location {text}"),
            false => text.to_owned(),
        };
        let mut breakpoint = Breakpoint::new(shown, Kind::Watch { kind }, places);
        breakpoint.condition = condition.map(str::to_owned);
        breakpoint.note = watched.note();
        breakpoint.watched = Some(watched);
        self.plant(breakpoint)
    }

    /// The memory of an expression's value, as traps of this kind.
    pub(super) fn watched_memory(
        &mut self,
        text: &str,
        kind: WatchKind,
    ) -> Result<Vec<Trap>, Trouble> {
        let tree = expression::parse(text).map_err(|error| Trouble::expression(text, &error))?;
        Ok(self.looked_at(text, &tree, true)?.traps(kind))
    }

    /// What an expression's value depends on, as things stand now.
    fn looked_at(&mut self, text: &str, tree: &Tree, fixed: bool) -> Result<Watched, Trouble> {
        let failed = |error| Trouble::expression(text, &error);
        let nowhere = |found: String| {
            Trouble::new(
                format!("watching '{text}'"),
                found,
                "watch a variable, *(TYPE *)ADDRESS, or an address",
            )
        };
        let mut value = expression::evaluate(tree, self).map_err(failed)?;
        let (mut leading, mut unseen) = (Vec::new(), Vec::new());
        if !fixed {
            for part in tree.read_on_the_way() {
                let part = expression::evaluate(part, self).map_err(failed)?;
                unseen.extend(part.register.iter().map(|name| format!("${name}")));
                let size = self.bytes_of(&part);
                // An array is no pointer in memory, and a register cannot be watched.
                if let (Some(at), Some(size @ 1..=8), Some(_)) = (part.at, size, part.bits)
                    && !matches!(part.type_, Type::Function)
                    && let Ok(size) = u8::try_from(size)
                    && !leading.contains(&(at, size))
                {
                    leading.push((at, size));
                }
            }
        }
        let named = !tree.names().is_empty();
        let bare = value.bits.filter(|bits| *bits > 0xffff && !named);
        let pieces = match (value.at, bare) {
            (Some(_), _) if matches!(value.type_, Type::Function) => {
                return Err(nowhere("it is code".to_owned()));
            }
            (Some(at), _) => {
                let size = self.bytes_of(&value).unwrap_or(8).max(1);
                if size > MOST {
                    return Err(nowhere(format!(
                        "it has {size} bytes, more than the {MOST} that are watched"
                    )));
                }
                self.watchable(at, size)
            }
            // A bare address: the word there.
            (None, Some(bits)) => {
                value = self.load(Addr(bits), Type::unsigned_long());
                self.watchable(Addr(bits), 8)
            }
            (None, None) if leading.is_empty() => {
                let register = value
                    .register
                    .clone()
                    .or_else(|| self.register_holding(text));
                return Err(nowhere(match register {
                    Some(register) => format!("it is held in ${register}, not in memory"),
                    None => "it does not lie in memory".to_owned(),
                }));
            }
            (None, None) => Vec::new(),
        };
        let scope = match fixed {
            true => None,
            false => self.scope_of(tree)?,
        };
        let user = |(at, _): &(Addr, u8)| !at.in_kernel_half();
        let space = match pieces.iter().chain(&leading).any(user) {
            true => Some(self.address_space()?),
            false => None,
        };
        let shown = self.watched_text(&value);
        Ok(Watched {
            text: text.to_owned(),
            value,
            shown,
            pieces,
            leading,
            unseen,
            fixed,
            scope,
            space,
        })
    }

    fn bytes_of(&mut self, value: &Value) -> Option<u64> {
        expression::Environment::size_of_value(self, value)
    }

    /// So that each fits a watchpoint: a debug register takes 1, 2, 4 or 8 bytes at a multiple.
    fn watchable(&self, at: Addr, size: u64) -> Vec<(Addr, u8)> {
        let kvm = self.info.accelerator == "kvm";
        let (mut pieces, mut done) = (Vec::new(), 0);
        while done < size {
            let here = at.wrapping_add(done);
            let len = match kvm {
                true => [8, 4, 2, 1]
                    .into_iter()
                    .find(|len| here.0.is_multiple_of(*len) && *len <= size - done)
                    .unwrap_or(1),
                false => PIECE.min(size - done),
            };
            pieces.push((here, u8::try_from(len).unwrap_or(1)));
            done += len;
        }
        pieces
    }

    /// The selected frame, where the expression uses a variable of it.
    fn scope_of(&mut self, tree: &Tree) -> Result<Option<Scope>, Trouble> {
        let names = tree.names();
        if !names.into_iter().any(|name| self.variable(name).is_some()) {
            return Ok(None);
        }
        let backtrace = self.unwind(None)?;
        let selected = self.selected(&backtrace)?;
        let Some(cfa) = backtrace
            .frames
            .get(selected.level)
            .and_then(|frame| frame.cfa)
        else {
            return Ok(None);
        };
        let caller = backtrace.frames.get(selected.level + 1);
        Ok(Some(Scope {
            cfa,
            returns_to: caller.map(|caller| caller.pc),
            function: selected.place.symbol.unwrap_or_default(),
        }))
    }

    /// The watchpoint there that is to stop. Says what it held and what it holds.
    pub(super) fn watched(
        &mut self,
        trap: TrapKind,
        addr: Addr,
    ) -> Result<Option<StopReason>, Trouble> {
        let mut stops = None;
        for number in self.book.watching(trap, addr) {
            if self.watch_hit(number, addr)? && stops.is_none() {
                stops = Some(StopReason::Watchpoint { number, addr });
            }
        }
        Ok(stops)
    }

    fn watch_hit(&mut self, number: u32, addr: Addr) -> Result<bool, Trouble> {
        let Some(one) = self.book.get(number) else {
            return Ok(false);
        };
        if one.owner.is_some() {
            return self.counts(number);
        }
        let Some(mut watched) = one.watched.clone() else {
            return Ok(false);
        };
        // Another process may have memory at the same address.
        if watched.space.is_some() && watched.space != Some(self.address_space()?) {
            return Ok(false);
        }
        let covers = |(at, len): &(Addr, u8)| addr.wrapping_sub(at.0).0 < u64::from(*len);
        let own = watched.pieces.iter().any(covers);
        let old = watched.shown.clone();
        if watched.leading.iter().any(covers) && !watched.fixed {
            self.follow_anew(number, &mut watched)?;
            if !own && watched.shown == old {
                return Ok(false);
            }
        } else {
            watched.shown = self.watched_text(&watched.value);
        }
        let notice = change_line(number, &watched.text, &old, &watched.shown);
        if let Some(one) = self.book.get_mut(number) {
            one.watched = Some(watched);
        }
        if !self.counts(number)? {
            return Ok(false);
        }
        self.port.send(Event::Notice(notice));
        let due = self
            .book
            .get(number)
            .map(|one| (number, one.commands.clone()));
        self.due.extend(due);
        Ok(true)
    }

    /// What leads to the value has changed: finds it again, in its frame, and watches it there.
    fn follow_anew(&mut self, number: u32, watched: &mut Watched) -> Result<(), Trouble> {
        match self.found_anew(watched) {
            Ok(found) => {
                let moved = found.pieces != watched.pieces || found.leading != watched.leading;
                let scope = watched.scope.take();
                *watched = Watched { scope, ..found };
                if moved {
                    self.disarm(number)?;
                    if let Some(one) = self.book.get_mut(number) {
                        let at = watched.pieces.first().or(watched.leading.first());
                        one.places = at.map(|(at, _)| *at).into_iter().collect();
                        one.watched = Some(watched.clone());
                    }
                    self.arm(number)?;
                }
                Ok(())
            }
            Err(Trouble::Failed(failure)) => {
                watched.shown = format!("<{}>", failure.found);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    fn found_anew(&mut self, watched: &Watched) -> Result<Watched, Trouble> {
        let failed = |error| Trouble::expression(&watched.text, &error);
        let tree = expression::parse(&watched.text).map_err(failed)?;
        self.frame = match &watched.scope {
            Some(scope) => self.frame_at(scope)?,
            None => 0,
        };
        let found = self.looked_at(&watched.text, &tree, false);
        self.frame = 0;
        found
    }

    /// Which frame of the stack is now the one of a watchpoint's locals.
    fn frame_at(&mut self, scope: &Scope) -> Result<u32, Trouble> {
        let backtrace = self.unwind(None)?;
        let shown = self
            .symbols
            .as_ref()
            .map_or_else(Vec::new, |symbols| symbols.shown_frames(&backtrace));
        let at = shown.iter().position(|frame| {
            let cfa = backtrace
                .frames
                .get(frame.level)
                .and_then(|frame| frame.cfa);
            cfa == Some(scope.cfa) && frame.place.symbol.as_deref() == Some(&*scope.function)
        });
        at.and_then(|at| u32::try_from(at).ok()).ok_or_else(|| {
            Trouble::new(
                "looking for the frame of a watchpoint",
                format!("the frame of {} is not found on the stack", scope.function),
                "'backtrace' shows the frames",
            )
        })
    }

    /// The watchpoint whose frame has returned just now: it is over, and gone.
    pub(super) fn scope_ended(&mut self, pc: Addr) -> Result<Option<StopReason>, Trouble> {
        let mut stops = None;
        for number in self.book.ending_at(pc) {
            let watched = self.book.get(number).and_then(|one| one.watched.clone());
            let Some((watched, scope)) = watched.and_then(|watched| {
                let scope = watched.scope.clone()?;
                Some((watched, scope))
            }) else {
                continue;
            };
            let sp = Addr(self.sp()?);
            if sp != scope.cfa
                || watched.space.is_some() && watched.space != Some(self.address_space()?)
            {
                continue;
            }
            self.delete(number)?;
            self.port.send(Event::Notice(format!(
                "watchpoint {number}: {} has returned, with it {} is gone; the watchpoint is deleted",
                scope.function, watched.text
            )));
            stops = Some(StopReason::WatchpointScope { number });
        }
        Ok(stops)
    }

    /// What a watchpoint looks at, as it is now.
    fn watched_text(&mut self, value: &Value) -> String {
        if let Some(typed) = &value.typed
            && let Ok(text) = self.typed_text(typed)
        {
            return text;
        }
        let now = match value.at {
            Some(at) => self.load(at, value.type_.clone()),
            None => value.clone(),
        };
        expression::print(&now, self)
    }
}

fn change_line(number: u32, text: &str, old: &str, new: &str) -> String {
    if old == new {
        format!("watchpoint {number}: {text} is {new}, as before")
    } else {
        format!("watchpoint {number}: {text} was {old}, is {new}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchpoint_says_old_and_new() {
        assert_eq!(change_line(1, "x", "1", "2"), "watchpoint 1: x was 1, is 2");
        assert_eq!(
            change_line(1, "x", "1", "1"),
            "watchpoint 1: x is 1, as before"
        );
    }

    #[test]
    fn it_covers_its_own_bytes_and_what_leads_to_them() {
        let watched = Watched {
            text: "p->x".to_owned(),
            value: Value::of(0, Type::int()),
            shown: "0".to_owned(),
            pieces: vec![(Addr(0x1000), 8)],
            leading: vec![(Addr(0x2000), 8)],
            unseen: Vec::new(),
            fixed: false,
            scope: Some(Scope {
                cfa: Addr(0x3000),
                returns_to: Some(Addr(0x4000)),
                function: "f".to_owned(),
            }),
            space: None,
        };
        let covers = |trap, at| watched.covers(WatchKind::Read, trap, Addr(at));
        assert!(covers(TrapKind::Read, 0x1007));
        assert!(!covers(TrapKind::Read, 0x1008));
        assert!(!covers(TrapKind::Write, 0x1000), "of another kind");
        assert!(covers(TrapKind::Write, 0x2000));
        assert!(watched.ends_at(Addr(0x4000)));
        assert_eq!(watched.traps(WatchKind::Read).len(), 3);
    }
}
