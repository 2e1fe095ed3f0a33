//! Breakpoints at crossings: where they stand, and whether what passes there is meant.

use super::engine::Engine;
use super::expression;
use super::passage::{self, Passage};
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::command::CrossFilter;
use crate::crossing::CrossingKind;
use crate::origin::Origin;

/// How many names an error offers.
const OFFERED: usize = 4;

/// The most calls that are each met where its own work begins.
const MOST_CALLS: usize = 64;

/// A call or a vector that could be meant.
struct Candidate {
    kind: CrossingKind,
    name: String,
    implementation: Option<Addr>,
}

impl Engine {
    /// The first or last instructions of the kernel that such crossings pass; of system calls that are
    /// named the first of their own functions, so that no other call stops there.
    pub(super) fn locate_crossing(&mut self, filter: &CrossFilter) -> Result<Vec<Addr>, Trouble> {
        let doors = self.doors()?;
        let profile = self.profile();
        self.check_call(filter)?;
        let kinds = filter.kinds();
        let asked = |kind: CrossingKind| {
            kinds.contains(&kind) && (!filter.out || kind == CrossingKind::Signal)
        };
        // The number of a system call is known only when it comes.
        let fixed = |kind| !matches!(kind, CrossingKind::Syscall | CrossingKind::Bypass);
        let by_number = |kind| asked(kind) && !fixed(kind);
        // A recording of states is at the way in, and not where the work begins.
        let has_work = !self.target.is_states();
        let work = match has_work && doors.ways_in().any(|(_, door)| by_number(door.kind)) {
            true => self.work_of(filter),
            false => Vec::new(),
        };
        let mut places: Vec<Addr> = doors
            .ways_in()
            .filter(|(_, door)| asked(door.kind) && (work.is_empty() || fixed(door.kind)))
            .filter(|(_, door)| {
                !fixed(door.kind)
                    || door.kind == CrossingKind::Signal
                    || filter.names(&passage::names(&profile, door.kind, &door.name))
                        && self.lies_in(filter, door.implementation)
            })
            .map(|(at, _)| at)
            .collect();
        let leaves = kinds.iter().any(|kind| *kind != CrossingKind::Signal);
        if filter.out && leaves {
            places.extend(doors.out.keys());
        }
        places.extend(work);
        if places.is_empty() {
            let mut there: Vec<&str> = doors.ways_in().map(|(_, door)| door.kind.name()).collect();
            there.sort_unstable();
            there.dedup();
            return Err(Trouble::new(
                format!("stopping at '{}'", filter.typed()),
                "this kernel has no way of that kind between the application and itself",
                format!("it has {}", there.join(", ")),
            ));
        }
        Ok(places)
    }

    /// Where the work of the system calls begins that a filter names; empty where it names none, or too
    /// many.
    fn work_of(&self, filter: &CrossFilter) -> Vec<Addr> {
        if filter.call.is_none() {
            return Vec::new();
        }
        let (candidates, profile) = (self.candidates(filter), self.profile());
        let named = candidates
            .iter()
            .filter(|one| one.kind == CrossingKind::Syscall)
            .filter(|one| filter.names(&passage::names(&profile, one.kind, &one.name)))
            .filter(|one| self.lies_in(filter, one.implementation));
        let work: Option<Vec<Addr>> = named.map(|one| one.implementation).collect();
        work.filter(|work| work.len() <= MOST_CALLS)
            .unwrap_or_default()
    }

    /// Whether a crossing is one of those meant.
    pub(super) fn is_meant(&self, filter: &CrossFilter, passage: &Passage) -> bool {
        let way = filter.out != passage.into_kernel || passage.kind == CrossingKind::Signal;
        let app = if filter.out { filter.to } else { filter.from };
        way && filter.kinds().contains(&passage.kind)
            && filter.names(&passage::names(
                &self.profile(),
                passage.kind,
                &passage.call,
            ))
            && app.is_none_or(|app| app.holds(self.origin(passage.app)))
            && self.lies_in(filter, passage.implementation)
    }

    /// Whether a condition is about something that what passes here does not have.
    pub(super) fn misses_names(&mut self, condition: &str) -> bool {
        let Ok(tree) = expression::parse(condition) else {
            return false;
        };
        let names = tree.names();
        names.into_iter().any(|name| {
            self.passing(name).is_none() && self.is_no_symbol(name) && self.variable(name).is_none()
        })
    }

    fn is_no_symbol(&self, name: &str) -> bool {
        let symbols = self.symbols.as_ref();
        symbols.is_none_or(|symbols| symbols.lookup(name).is_empty())
    }

    /// A name that nothing which may pass has would never be met.
    pub(super) fn check_names(
        &mut self,
        filter: &CrossFilter,
        condition: &str,
    ) -> Result<(), Trouble> {
        let failed = |error| Trouble::expression(condition, &error);
        let tree = expression::parse(condition).map_err(failed)?;
        let beside = ["address", "error_code", "vector"];
        for name in tree.names() {
            // Where a signal's handler is set up, the kernel's function has its own.
            let signal = filter.kinds().contains(&CrossingKind::Signal);
            if beside.contains(&name) || signal || !self.is_no_symbol(name) {
                continue;
            }
            let (candidates, profile) = (self.candidates(filter), self.profile());
            let named = candidates
                .into_iter()
                .filter(|one| filter.names(&passage::names(&profile, one.kind, &one.name)))
                .filter(|one| self.lies_in(filter, one.implementation));
            let calls: Vec<(CrossingKind, String)> =
                named.map(|one| (one.kind, one.name)).collect();
            let known = calls.into_iter().any(|(kind, call)| {
                let parameters = self.prototype(kind, &call);
                parameters.is_some_and(|list| list.iter().any(|one| one.name == name))
            });
            if !known {
                return Err(Trouble::new(
                    format!("stopping at '{}' if '{condition}'", filter.typed()),
                    format!("no call that it chooses has a parameter '{name}'"),
                    "'why' at a stop lists the parameters; 'info functions __do_sys_NAME' tells a call's",
                ));
            }
        }
        Ok(())
    }

    /// Whether the function that does the work lies in the part of the kernel that is asked for.
    fn lies_in(&self, filter: &CrossFilter, implementation: Option<Addr>) -> bool {
        let kernel = if filter.out { filter.from } else { filter.to };
        let origin = implementation.map_or(Origin::Unknown, |at| self.origin(at));
        kernel.is_none_or(|kernel| kernel.holds(origin))
    }

    /// A name that no call has would wait for ever.
    fn check_call(&self, filter: &CrossFilter) -> Result<(), Trouble> {
        let (candidates, profile) = (self.candidates(filter), self.profile());
        let tried = || format!("stopping at '{}'", filter.typed());
        let named: Vec<&Candidate> = candidates
            .iter()
            .filter(|one| filter.names(&passage::names(&profile, one.kind, &one.name)))
            .collect();
        if let (Some(call), []) = (&filter.call, named.as_slice()) {
            let mut near: Vec<&str> = candidates
                .iter()
                .map(|one| one.name.as_str())
                .filter(|name| name.contains(call.trim_matches('*')) || close(name, call))
                .collect();
            near.sort_by_key(|name| (name.len(), *name));
            near.dedup();
            near.truncate(OFFERED);
            let next = match near.as_slice() {
                [] => "'why' and 'info functions __do_sys_*' tell the calls' names".to_owned(),
                near => format!("similar: {}", near.join(", ")),
            };
            return Err(Trouble::new(
                tried(),
                format!("no call or vector is named '{call}'"),
                next,
            ));
        }
        let inside = |one: &&Candidate| self.lies_in(filter, one.implementation);
        if filter.kinds() != [CrossingKind::Signal] && !named.iter().any(inside) {
            let mut origins: Vec<String> = named
                .iter()
                .filter_map(|one| one.implementation)
                .map(|at| self.origin(at).to_string())
                .collect();
            origins.sort_unstable();
            origins.dedup();
            return Err(Trouble::new(
                tried(),
                "none of these calls does its work in that part of the kernel",
                format!("it is done in {}", origins.join(", ")),
            ));
        }
        Ok(())
    }

    /// All that could pass, by the kinds that are meant.
    fn candidates(&self, filter: &CrossFilter) -> Vec<Candidate> {
        let kinds = filter.kinds();
        let mut list = Vec::new();
        let (Some(symbols), Some(doors)) = (&self.symbols, &self.doors) else {
            return list;
        };
        let profile = self.profile();
        let by_number = [CrossingKind::Syscall, CrossingKind::Bypass];
        if kinds.iter().any(|kind| by_number.contains(kind)) {
            list.extend(symbols.calls().map(|(number, name)| Candidate {
                kind: CrossingKind::Syscall,
                name,
                implementation: symbols.call_implementation(number),
            }));
        }
        list.extend(
            doors
                .ways_in()
                .filter(|(_, door)| kinds.contains(&door.kind) && !by_number.contains(&door.kind))
                .map(|(_, door)| Candidate {
                    kind: door.kind,
                    name: passage::names(&profile, door.kind, &door.name)
                        .pop()
                        .unwrap_or_default(),
                    implementation: door.implementation,
                }),
        );
        list
    }

    /// `syscall write(fd = 1, count = 13), made in bench_write (main.c:69)`
    pub(super) fn passing_line(&mut self, passage: &Passage) -> Result<String, Trouble> {
        let mut line = format!("{} {}", passage.kind, passage.call);
        if !passage.into_kernel {
            let result = self.register("rax")?;
            line.push_str(&format!(
                " goes back to the application with {}",
                crate::crossing::errors::answer(result)
            ));
            return Ok(line);
        }
        if passage.is_call() {
            let arguments = self.short_arguments(passage);
            line.push_str(&format!("({arguments})"));
        }
        for (name, bits) in &passage.beside {
            line.push_str(&format!(", {name} {bits:#x}"));
        }
        if let Some(caller) = self.application_caller()? {
            line.push_str(&format!(", in {caller}"));
        }
        Ok(line)
    }

    /// The innermost frame of the application proper: `bench_write (main.c:69)`.
    fn application_caller(&mut self) -> Result<Option<String>, Trouble> {
        let frames = self.frames(None)?;
        let own = frames
            .iter()
            .find(|frame| frame.place.origin == Origin::App);
        Ok(own.map(|frame| {
            let place = &frame.place;
            let name = place.symbol.clone();
            let name = name.unwrap_or_else(|| format!("{:#x}", place.addr.0));
            match (&place.file, place.line) {
                (Some(file), Some(line)) => {
                    let file = file.rsplit('/').next().unwrap_or_default();
                    format!("{name} ({file}:{line})")
                }
                _ => name,
            }
        }))
    }
}

/// Whether two names differ by one letter, or by two that have changed places.
fn close(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same..], &b[same..]);
    let end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (a, b) = (&a[..a.len() - end], &b[..b.len() - end]);
    a.len() <= 1 && b.len() <= 1 || a.len() == 2 && b.len() == 2 && a[0] == b[1] && a[1] == b[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_close() {
        for (a, b) in [
            ("write", "wriet"),
            ("write", "wrte"),
            ("read", "reads"),
            ("read", "rend"),
        ] {
            assert!(close(a, b), "{a} {b}");
        }
        assert!(!close("read", "write"));
        assert!(!close("send", "recv"));
    }
}
