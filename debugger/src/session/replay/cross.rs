//! Back across the boundary: to the last crossing, and to the one that something was set in.

use std::collections::HashMap;

use super::search::{Found, Users};
use crate::addr::Addr;
use crate::crossing::CrossingKind;
use crate::event::StopReason;
use crate::session::doors::Doors;
use crate::session::engine::Engine;
use crate::session::target::Trap;
use crate::session::trouble::Trouble;

/// A bypassed call that comes back by IRET passes its stub's `ret` on the way: one crossing, where so few
/// instructions lie between.
const ONE_WAY_OUT: u64 = 4;

/// The crossings of a stretch of the way, oldest first.
#[derive(Debug)]
struct Crossings {
    /// Those of one task alone, by the top of its stack in the kernel.
    only: Option<Addr>,
    /// Where the last of them was passed: the next stretch looked through lies before this one.
    at: u64,
    last: Last,
    /// How each task that is in the kernel came there.
    inside: HashMap<Option<Addr>, Inside>,
    /// Who left the kernel last, and where.
    left: Option<(Option<Addr>, u64)>,
}

/// The last crossing so far.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Last {
    found: Found,
    into_kernel: bool,
    /// `syscall write`
    what: String,
}

impl Last {
    const NONE: Self = Self {
        found: Found::Nothing,
        into_kernel: false,
        what: String::new(),
    };
}

#[derive(Clone, Debug)]
enum Inside {
    Asked {
        /// What leads to another way in.
        jumps_on: bool,
    },
    /// For an interrupt: as `cross` does, its crossings are passed over unless control is between them.
    Interrupt { before: Last },
}

impl Crossings {
    fn of(only: Option<Addr>) -> Self {
        Self {
            only,
            at: 0,
            last: Last::NONE,
            inside: HashMap::new(),
            left: None,
        }
    }

    /// Something passes at this position.
    fn begin(&mut self, position: u64) {
        if position < self.at {
            *self = Self::of(self.only);
        }
        self.at = position;
    }

    fn enters(&mut self, task: Option<Addr>, kind: CrossingKind, jumps_on: bool, what: String) {
        if let Some(Inside::Asked { jumps_on: true }) = self.inside.get(&task) {
            // Behind the door that led to it.
            self.inside.insert(task, Inside::Asked { jumps_on: false });
            return;
        }
        let (inside, to) = match kind {
            CrossingKind::Interrupt => (
                Inside::Interrupt {
                    before: self.last.clone(),
                },
                self.at,
            ),
            // What faults is not executed.
            CrossingKind::Fault => (Inside::Asked { jumps_on }, self.at),
            _ => (Inside::Asked { jumps_on }, self.at.saturating_sub(1)),
        };
        self.inside.insert(task, inside);
        self.last = Last {
            found: Found::at(to),
            into_kernel: true,
            what,
        };
    }

    fn leaves(&mut self, task: Option<Addr>, kind: CrossingKind, what: String) {
        let left = self.left.replace((task, self.at));
        let is_one = |(who, at): (Option<Addr>, u64)| who == task && self.at - at <= ONE_WAY_OUT;
        let found = match self.inside.remove(&task) {
            Some(Inside::Interrupt { before }) if kind == CrossingKind::Fault => {
                self.last = before;
                return;
            }
            // By an interrupt, or by a fault: what came before tells.
            None if kind == CrossingKind::Fault => Found::Unsure,
            _ if left.is_some_and(is_one) => return,
            _ => Found::at(self.at),
        };
        self.last = Last {
            found,
            into_kernel: false,
            what,
        };
    }
}

impl Engine {
    /// `reverse-cross`: to the last instruction before the last crossing. Interrupts are passed over, as by
    /// `cross`.
    pub(super) fn back_to_crossing(&mut self) -> Result<StopReason, Trouble> {
        const TRIED: &str = "going back to the last crossing";
        let found = self.last_crossing(None)?;
        self.found(found, TRIED, "nothing has crossed the boundary before")
    }

    /// `crossed`: to the application's call, or its instruction that faulted, in which the expression
    /// was written last.
    pub(super) fn back_to_setting(&mut self, expression: &str) -> Result<StopReason, Trouble> {
        let reason = self.back_to_write(expression)?;
        if reason != StopReason::Arrived {
            return Ok(reason);
        }
        let pc = self.pc()?;
        if self.is_app(pc) {
            self.course.note = Some(format!(
                "the application itself writes {expression}, by the next instruction"
            ));
            return Ok(reason);
        }
        if let Err(Trouble::Failed(_)) = self.app_frame() {
            self.course.note = Some(format!(
                "the next instruction writes {expression}, for the kernel itself: no crossing lies under it"
            ));
            return Ok(reason);
        }
        let task = self.task_stack();
        let found = self.last_crossing(task)?;
        let tried = format!("going back to the crossing that has set {expression}");
        self.found(found, &tried, "its way into the kernel was not found")
    }

    fn last_crossing(&mut self, only: Option<Addr>) -> Result<Found, Trouble> {
        let doors = self.doors()?;
        let ways = doors
            .into
            .keys()
            .chain(
                doors
                    .unasked
                    .iter()
                    .filter_map(|(at, door)| (door.kind == CrossingKind::Interrupt).then_some(at)),
            )
            .chain(doors.out.keys());
        let traps: Vec<Trap> = ways.map(|at| Trap::soft(*at)).collect();
        let space = self.app_space()?;
        let mut crossings = Crossings::of(only);
        let pc = self.pc()?;
        let here = match doors.way_in(pc) {
            Some(_) => self.passes(&doors, space, &mut crossings)?,
            None => None,
        };
        let found = match here {
            // Control has just come in.
            Some(Found::At(to)) if self.seek(to)? => Found::At(to),
            Some(Found::At(_)) => Found::Interrupted,
            _ => self.last_before(&traps, Users::Passed, &mut |engine, _| {
                engine.passes(&doors, space, &mut crossings)
            })?,
        };
        if let Found::At(_) = found {
            let Last {
                into_kernel, what, ..
            } = crossings.last;
            let does = if into_kernel { "enters" } else { "leaves" };
            self.course.note = Some(format!("the next instruction {does} the kernel: {what}"));
        }
        Ok(found)
    }

    /// What the crossing under the program counter is to the search, if one is there.
    fn passes(
        &mut self,
        doors: &Doors,
        space: Option<u64>,
        crossings: &mut Crossings,
    ) -> Result<Option<Found>, Trouble> {
        let pc = self.pc()?;
        let (into, from) = match (doors.way_in(pc), doors.out.get(&pc)) {
            (Some(door), _) => (Some(door), door.from),
            (None, Some(from)) => (None, *from),
            (None, None) => return Ok(None),
        };
        if !self.comes_from_app(from, space)? {
            return Ok(None);
        }
        let task = self.task_stack();
        if crossings.only.is_some() && crossings.only != task {
            return Ok(None);
        }
        crossings.begin(self.target.position()?);
        match into {
            Some(door) => {
                let call = match self.entered(door)? {
                    StopReason::Crossing { call, .. } => call,
                    _ => door.name.clone(),
                };
                let what = format!("{} {call}", door.kind);
                crossings.enters(task, door.kind, door.jumps_on, what);
            }
            None => {
                let (kind, call) = self.leaving(pc)?;
                crossings.leaves(task, kind, format!("{kind} {call}"));
            }
        }
        Ok(Some(crossings.last.found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: Option<Addr> = Some(Addr(1));

    fn passing(list: &[(u64, bool, CrossingKind)]) -> Found {
        let mut crossings = Crossings::of(None);
        for (position, into, kind) in list {
            crossings.begin(*position);
            match into {
                true => crossings.enters(TASK, *kind, false, String::new()),
                false => crossings.leaves(TASK, *kind, String::new()),
            }
        }
        crossings.last.found
    }

    #[test]
    fn the_last_way_in_or_out_is_gone_back_to() {
        use CrossingKind::{Fault, Syscall};
        assert_eq!(passing(&[]), Found::Nothing);
        assert_eq!(passing(&[(10, true, Syscall)]), Found::at(9));
        assert_eq!(
            passing(&[(10, true, Syscall), (90, false, Syscall)]),
            Found::at(90)
        );
        assert_eq!(passing(&[(10, true, Fault)]), Found::at(10));
        assert_eq!(
            passing(&[(10, true, Fault), (90, false, Fault)]),
            Found::at(90)
        );
    }

    #[test]
    fn interrupts_that_were_returned_from_are_passed_over() {
        use CrossingKind::{Fault, Interrupt, Syscall};
        let before = [(10, true, Syscall), (90, false, Syscall)];
        let within: Vec<_> = before.into_iter().chain([(100, true, Interrupt)]).collect();
        assert_eq!(passing(&within), Found::at(100));
        let over: Vec<_> = within.into_iter().chain([(300, false, Fault)]).collect();
        assert_eq!(passing(&over), Found::at(90));
        // Whose beginning lies before what was looked through.
        assert_eq!(passing(&[(300, false, Fault)]), Found::Unsure);
        assert_eq!(
            passing(&[(300, false, Fault), (400, true, Syscall)]),
            Found::at(399)
        );
    }

    #[test]
    fn what_is_passed_in_two_steps_is_one_crossing() {
        use CrossingKind::Bypass;
        let mut crossings = Crossings::of(None);
        crossings.begin(10);
        crossings.enters(TASK, Bypass, true, String::new());
        crossings.begin(12);
        crossings.enters(TASK, Bypass, false, String::new());
        assert_eq!(crossings.last.found, Found::at(9));
        crossings.begin(90);
        crossings.leaves(TASK, Bypass, String::new());
        crossings.begin(92);
        crossings.leaves(TASK, Bypass, String::new());
        assert_eq!(crossings.last.found, Found::at(90));
        // An earlier stretch is looked through.
        crossings.begin(5);
        assert_eq!(crossings.last.found, Found::Nothing);
    }
}
