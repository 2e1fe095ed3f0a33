//! The ring of past stops: what was looked at while the target stood there is kept, at no cost to
//! the target, and every command that only looks works on it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::engine::Engine;
use super::expression;
use super::replay::point::Point;
use super::target::Kept;
use super::trouble::Trouble;
use crate::addr::{Addr, AddrRange};
use crate::command::Look;
use crate::event::{
    Answer, Change, Changed, Event, LookedAt, Looking, NumberedStop, Stop, StopList, Variable,
    Watched,
};
use crate::gdb::registers::display;

/// Stops that are kept, and bytes of memory with all of them.
const MOST: usize = 1_000;
const MOST_BYTES: usize = 32 << 20;

/// Words of the stack whose changes are told.
const WORDS: u64 = 32;

#[derive(Debug, Default)]
pub(super) struct Stops {
    /// Oldest first; the stop that the target stands at is not in it.
    ring: VecDeque<Past>,
    dropped: u64,
    bytes: usize,
    /// The number of the one that is looked at; the machine when none.
    looked_at: Option<u64>,
    /// As it was told last of the innermost frame, at the stop that the target stands at.
    told: Option<Told>,
}

#[derive(Debug)]
struct Past {
    stop: Stop,
    kept: Arc<Kept>,
    told: Option<Told>,
    watched: Vec<Watched>,
    /// Its share of the ring's bytes.
    bytes: usize,
}

/// Variables of a frame, by name.
#[derive(Debug)]
struct Told {
    /// The function, and the stack pointer that its caller will have again.
    frame: (Option<String>, Option<u64>),
    values: BTreeMap<String, String>,
}

impl Stops {
    fn push(&mut self, past: Past) {
        self.bytes += past.bytes;
        self.ring.push_back(past);
        while self.ring.len() > MOST || (self.bytes > MOST_BYTES && self.ring.len() > 1) {
            self.drop_oldest();
        }
    }

    /// What the next one shares with it becomes that one's own.
    fn drop_oldest(&mut self) {
        let Some(oldest) = self.ring.pop_front() else {
            return;
        };
        self.dropped += 1;
        self.bytes -= oldest.bytes;
        if let Some(next) = self.ring.front_mut() {
            self.bytes -= next.bytes;
            next.bytes = next.kept.size();
            self.bytes += next.bytes;
        }
    }

    /// Makes one of them the newest again; gives what it was.
    fn return_to(&mut self, number: u64) -> Option<Stop> {
        self.get(number)?;
        loop {
            let newest = self.newest() - 1;
            let past = self.ring.pop_back()?;
            self.bytes -= past.bytes;
            if newest == number {
                self.told = past.told;
                return Some(past.stop);
            }
        }
    }

    /// The number of the stop that the target stands at.
    fn newest(&self) -> u64 {
        self.dropped + self.ring.len() as u64 + 1
    }

    fn get(&self, number: u64) -> Option<&Past> {
        let index = number.checked_sub(self.dropped + 1)?;
        self.ring.get(usize::try_from(index).ok()?)
    }

    fn looks_at(&self) -> u64 {
        self.looked_at.unwrap_or_else(|| self.newest())
    }

    /// The stop before the one that is looked at.
    fn before(&self) -> Option<&Past> {
        self.get(self.looks_at() - 1)
    }
}

impl Engine {
    /// Keeps what was read at the stop that is about to be left.
    pub(super) fn keep_stop(&mut self) {
        let Some(stop) = self.stop.take() else {
            return;
        };
        let before = self.stops.ring.back().map(|past| &*past.kept);
        let kept = self.target.keep(before);
        let past = Past {
            stop,
            bytes: kept.own_size(),
            kept: Arc::new(kept),
            told: self.stops.told.take(),
            watched: self.watched_now(),
        };
        self.stops.push(past);
    }

    /// Whether the target stands where it stood when [`Target::epoch`](super::target::Target::epoch) was this: it
    /// was not let run, or it replays and was taken back there.
    pub(super) fn still_stands(&mut self, stood: &Stop, epoch: u64) -> bool {
        if self.target.epoch() == epoch {
            return true;
        }
        let then = Point::of(stood).filter(|_| self.vcpu == stood.vcpu);
        then.is_some_and(|then| self.point().is_ok_and(|now| now == then))
    }

    /// The stop that [`Self::keep_stop`] has kept last, as nothing was left.
    pub(super) fn take_stop_back(&mut self) -> Option<Stop> {
        self.stop = self.stops.return_to(self.stops.newest() - 1);
        self.frame = 0;
        self.stop.clone()
    }

    /// Reads in one batch what was shown of the stop before: it will be asked for again.
    pub(super) fn read_ahead(&mut self) -> Result<(), Trouble> {
        match self.stops.ring.back() {
            Some(before) => Ok(self.target.read_ahead(&before.kept)?),
            None => Ok(()),
        }
    }

    /// `stops`: the newest of them.
    pub(super) fn stop_list(&self, limit: Option<u32>) -> Result<StopList, Trouble> {
        let now = self.stands("listing the stops")?;
        let stops = &self.stops;
        let numbers = stops.dropped + 1..;
        let all: Vec<NumberedStop> = numbers
            .zip(stops.ring.iter().map(|past| &past.stop).chain([now]))
            .map(|(number, stop)| NumberedStop {
                number,
                stop: stop.clone(),
            })
            .collect();
        let limit = limit.map_or(all.len(), |limit| usize::try_from(limit).unwrap_or(1));
        Ok(StopList {
            kept: all.len() as u64,
            list: all[all.len().saturating_sub(limit)..].to_vec(),
            looked_at: stops.looks_at(),
            dropped: stops.dropped,
            bytes: stops.bytes as u64,
        })
    }

    /// `past`, `back`, `forward`, `now`
    pub(super) fn look_at(&mut self, look: Look) -> Result<Answer, Trouble> {
        self.stands("looking at a past stop")?;
        let (newest, here) = (self.stops.newest(), self.stops.looks_at());
        let number = match look {
            Look::Here => here,
            Look::Now => newest,
            Look::At(number) => number,
            Look::Back(count) => here.saturating_sub(count),
            Look::Forward(_) if here == newest => {
                return Err(Trouble::new(
                    "looking at a later stop",
                    "the target stands at the newest",
                    "'continue' and the steps go on",
                ));
            }
            Look::Forward(count) => here.saturating_add(count).min(newest),
        };
        if number == newest {
            self.look_now()?;
        } else if number != here {
            self.look_back_at(number)?;
        }
        let changed = self.changes();
        Ok(Answer::Looking(LookedAt {
            looking: self.looking()?,
            changed,
        }))
    }

    fn look_back_at(&mut self, number: u64) -> Result<(), Trouble> {
        let Some(past) = self.stops.get(number) else {
            let (oldest, newest) = (self.stops.dropped + 1, self.stops.newest());
            let found = match self.stops.dropped {
                _ if oldest == newest => "there is no stop before this one".to_owned(),
                0 => format!("there are stops 1 to {newest}"),
                dropped => format!(
                    "stops {oldest} to {newest} are kept; the {dropped} before them are not any more"
                ),
            };
            return Err(Trouble::new(
                format!("looking at stop {number}"),
                found,
                "'stops' lists them",
            ));
        };
        let (vcpu, kept) = (past.stop.vcpu, Arc::clone(&past.kept));
        match Point::of(&past.stop).filter(|_| self.may_visit()) {
            Some(point) => {
                self.target.look_at_machine();
                self.visit(point)?;
            }
            None => self.target.look_at(number, kept),
        }
        self.vcpu = vcpu;
        self.stops.looked_at = Some(number);
        self.frame = 0;
        self.tell_looking();
        Ok(())
    }

    /// Back to where the target stands, or stood last.
    pub(super) fn look_now(&mut self) -> Result<(), Trouble> {
        if self.stops.looked_at.is_none() {
            return Ok(());
        }
        self.target.look_at_machine();
        if let Some(point) = self.stop.as_ref().and_then(Point::of) {
            self.visit(point)?;
        }
        self.stops.looked_at = None;
        if let Some(stop) = &self.stop {
            self.vcpu = stop.vcpu;
        }
        self.frame = 0;
        self.tell_looking();
        Ok(())
    }

    /// The target is moved: from the stop that is looked at, where the machine was taken back to it, and
    /// from where it stands else. What came after that stop is not the past any more.
    pub(super) fn leave_from_here(&mut self) -> Result<(), Trouble> {
        let Some(number) = self.visited() else {
            return self.look_now();
        };
        self.stops.looked_at = None;
        if let Some(stop) = self.stops.return_to(number) {
            self.stop = Some(stop);
        }
        self.tell_looking();
        Ok(())
    }

    /// The past stop that the machine itself was taken back to.
    fn visited(&self) -> Option<u64> {
        self.stops.looked_at.filter(|_| !self.target.looks_back())
    }

    fn tell_looking(&mut self) {
        if let Ok(looking) = self.looking() {
            self.port.send(Event::Looking(looking));
        }
        self.tell_watched();
    }

    fn looking(&self) -> Result<Looking, Trouble> {
        let number = self.stops.looks_at();
        let stop = match self.stops.get(number) {
            Some(past) => &past.stop,
            None => self.stands("looking at a stop")?,
        };
        Ok(Looking {
            at: NumberedStop {
                number,
                stop: stop.clone(),
            },
            newest: self.stops.newest(),
        })
    }

    fn stands(&self, tried: &str) -> Result<&Stop, Trouble> {
        self.stop.as_ref().ok_or_else(|| {
            Trouble::new(
                tried,
                "no machine has stopped yet",
                "boot an image or attach to a stub",
            )
        })
    }

    /// What only holds of the machine is not done while a past stop is looked at.
    pub(super) fn needs_now(&self, tried: &str) -> Result<(), Trouble> {
        match self.stops.looked_at.filter(|_| self.target.looks_back()) {
            None => Ok(()),
            Some(number) => Err(Trouble::new(
                tried,
                format!("stop {number} is past, and the target stands elsewhere"),
                "'now' returns to where it stands",
            )),
        }
    }

    /// An expression that assigns changes the machine.
    pub(super) fn needs_now_to_assign(&self, text: &str) -> Result<(), Trouble> {
        match expression::parse(text) {
            Ok(tree) if tree.assigns() => self.needs_now(&format!("evaluating '{text}'")),
            _ => Ok(()),
        }
    }

    /// Why something is not known at a past stop, beside what was found.
    pub(super) fn not_kept(&self) -> Option<String> {
        let number = self.stops.looked_at.filter(|_| self.target.looks_back())?;
        Some(format!(
            "of stop {number} only what was looked at then is kept"
        ))
    }

    /// A register at the stop before the one that is looked at.
    pub(super) fn register_before(&self, name: &str) -> Option<Vec<u8>> {
        let registers = self.stops.before()?.kept.registers(self.vcpu)?;
        registers.bytes(registers.description().register(name)?)
    }

    /// A watch expression as it was told at the stop before.
    pub(super) fn watched_before(&self, number: u32) -> Option<&Watched> {
        let mut watched = self.stops.before()?.watched.iter();
        watched.find(|one| one.number == number)
    }

    /// Where these bytes are not what they were at the stop before.
    pub(super) fn changed_bytes(&self, at: Addr, bytes: &[u8]) -> Vec<AddrRange> {
        let Some(before) = self.stops.before() else {
            return Vec::new();
        };
        let mut ranges: Vec<AddrRange> = Vec::new();
        for (here, byte) in (0..).map(|i: u64| at + i).zip(bytes) {
            let mut old = [0];
            if !before.kept.read(here, &mut old) || old[0] == *byte {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.end == here => last.end = here + 1,
                _ => ranges.push(AddrRange::new(here, here + 1)),
            }
        }
        ranges
    }

    /// Marks the variables of the innermost frame that are not what they were at the stop before,
    /// if that was in the same frame, and keeps them for the next.
    pub(super) fn mark_changed(&mut self, list: &mut [Variable]) {
        if self.frame > 0 {
            return;
        }
        let symbol = self.pc().ok().and_then(|pc| self.place(pc).symbol);
        let frame = (symbol, self.cfa());
        let known = self.stops.before().and_then(|past| past.told.as_ref());
        for variable in list.iter_mut() {
            variable.changed = known
                .filter(|told| told.frame == frame)
                .and_then(|told| told.values.get(&variable.name))
                .zip(variable.value.yes())
                .is_some_and(|(before, now)| before != now);
        }
        if self.stops.looked_at.is_none() {
            let values = list
                .iter()
                .filter_map(|one| Some((one.name.clone(), one.value.yes()?.clone())));
            self.stops.told = Some(Told {
                frame,
                values: values.collect(),
            });
        }
    }

    /// All that is known to be other than at the stop before.
    fn changes(&mut self) -> Vec<Change> {
        let mut changes = self.changed_registers();
        changes.extend(self.changed_words());
        let locals = self.variables(false).unwrap_or_default();
        let told = self.stops.before().and_then(|past| past.told.as_ref());
        for variable in locals.into_iter().filter(|one| one.changed) {
            let before = told.and_then(|told| told.values.get(&variable.name));
            let (Some(before), Some(after)) = (before.cloned(), variable.value.yes().cloned())
            else {
                continue;
            };
            changes.push(Change {
                of: Changed::Local,
                name: variable.name,
                before,
                after,
            });
        }
        changes
    }

    fn changed_registers(&mut self) -> Vec<Change> {
        let Ok(registers) = self.registers() else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        for (register, now) in registers.iter() {
            let before = self.register_before(&register.name);
            if let (Some(before), Some(now)) = (before, now)
                && before != now
            {
                changes.push(Change {
                    of: Changed::Register,
                    name: register.name.clone(),
                    before: display(&before),
                    after: display(&now),
                });
            }
        }
        changes
    }

    fn changed_words(&mut self) -> Vec<Change> {
        let (Ok(sp), Some(before)) = (self.sp(), self.stops.before()) else {
            return Vec::new();
        };
        let before = Arc::clone(&before.kept);
        let mut changes = Vec::new();
        for at in (0..WORDS).filter_map(|i| sp.checked_add(i * 8)).map(Addr) {
            let mut old = [0; 8];
            if !before.read(at, &mut old) {
                continue;
            }
            let (old, Ok(now)) = (u64::from_le_bytes(old), self.word(at)) else {
                continue;
            };
            if old != now {
                changes.push(Change {
                    of: Changed::Stack,
                    name: format!("{at:?}"),
                    before: format!("{old:#x}"),
                    after: format!("{now:#x}"),
                });
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Place, StopReason, Vcpu};

    fn past(kept: Kept) -> Past {
        Past {
            stop: Stop {
                reason: StopReason::Step,
                vcpu: Vcpu(0),
                place: Place::default(),
                stepped: None,
                passed: 0,
                position: None,
                note: None,
            },
            bytes: kept.own_size(),
            kept: Arc::new(kept),
            told: None,
            watched: Vec::new(),
        }
    }

    #[test]
    fn the_oldest_drop_out_and_what_they_shared_stays_counted() {
        let mut stops = Stops::default();
        assert_eq!((stops.newest(), stops.looks_at()), (1, 1));
        let mut before: Option<Arc<Kept>> = None;
        for i in 0..3 {
            // One line is the same at each stop, one is another.
            let lines = [(0, [7; 4]), (8, [i; 4])];
            let one = past(Kept::of(&lines, before.as_deref()));
            before = Some(Arc::clone(&one.kept));
            stops.push(one);
        }
        assert_eq!((stops.bytes, stops.newest()), (8 + 4 + 4, 4));
        stops.drop_oldest();
        assert_eq!((stops.bytes, stops.newest()), (8 + 4, 4));
        assert!(stops.get(1).is_none() && stops.get(2).is_some());
        assert!(stops.get(4).is_none(), "it is the machine");
        stops.looked_at = Some(2);
        assert!(stops.before().is_none());
        stops.looked_at = Some(3);
        let mut bytes = [0; 4];
        assert!(
            stops
                .before()
                .is_some_and(|past| past.kept.read(Addr(8), &mut bytes))
        );
        assert_eq!(bytes, [1; 4]);
    }

    #[test]
    fn what_came_after_a_stop_that_was_returned_to_is_gone() {
        let mut stops = Stops::default();
        for _ in 0..4 {
            stops.push(past(Kept::of(&[(0, [0; 4])], None)));
        }
        assert_eq!((stops.newest(), stops.bytes), (5, 16));
        assert!(stops.return_to(5).is_none(), "it is the machine");
        assert!(stops.return_to(2).is_some());
        assert_eq!((stops.newest(), stops.bytes), (2, 4));
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let mut stops = Stops::default();
        for _ in 0..MOST + 5 {
            stops.push(past(Kept::of(&[], None)));
        }
        assert_eq!((stops.ring.len(), stops.dropped), (MOST, 5));
        let mut large = past(Kept::of(&[(0, [0; 4])], None));
        large.bytes = MOST_BYTES + 1;
        stops.push(large);
        assert_eq!(stops.ring.len(), 1, "the newest stays, however large");
    }
}
