//! Stops at the first crossing that a query holds for.

use std::collections::BTreeMap;

use super::Fold;
use super::report::Variant;
use crate::crossing::Setup;
use crate::trace::query::{Crossing, Query};
use crate::trace::report::{Class, Use};

#[derive(Debug)]
pub(super) struct Trigger {
    query: Query,
    mode: Setup,
    /// By ending: undisturbed, and with something cut out.
    known: Vec<[Option<Answer>; 2]>,
    /// The crossing.
    pub(super) by: Option<Class>,
}

#[derive(Debug)]
enum Answer {
    /// For each crossing that ends there.
    Always(bool),
    /// It depends on who made it.
    ByWhom(Box<Class>),
}

/// A crossing that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) end: usize,
    pub(super) cut: bool,
    pub(super) task: u32,
    pub(super) place: u32,
}

impl Trigger {
    pub(super) const fn new(query: Query, mode: Setup) -> Self {
        Self {
            query,
            mode,
            known: Vec::new(),
            by: None,
        }
    }
}

impl Fold {
    /// Takes nothing more after the first crossing that the query holds for. To it a class is that one
    /// crossing.
    #[must_use]
    pub fn with_trigger(mut self, query: Query, mode: Setup) -> Self {
        self.trigger = Some(Trigger::new(query, mode));
        self
    }

    /// That crossing, once it has come.
    #[must_use]
    pub fn triggered(&self) -> Option<&Class> {
        self.trigger.as_ref()?.by.as_ref()
    }

    /// Looks whether the crossing is the one.
    pub(super) fn pull(&mut self, mut trigger: Trigger, ended: Ended) -> Trigger {
        if trigger.known.len() <= ended.end {
            trigger.known.resize_with(ended.end + 1, || [None, None]);
        }
        let cut = usize::from(ended.cut);
        let known = &mut trigger.known[ended.end][cut];
        if known.is_none() {
            let Some(class) = self.only(ended.end, cut) else {
                return trigger;
            };
            *known = Some(if trigger.query.asks_by_whom() {
                Answer::ByWhom(Box::new(class))
            } else {
                let crossing = Crossing::alone(&trigger.mode, &class);
                Answer::Always(trigger.query.holds(crossing))
            });
        }
        let holds = match known {
            None => false,
            Some(Answer::Always(holds)) => *holds,
            Some(Answer::ByWhom(class)) => {
                let made = Use {
                    class: class.id.clone(),
                    site: None,
                    task: ended.task,
                    count: 1,
                    instructions: class.instructions,
                };
                let site = self.uses.site(ended.place);
                let crossing = Crossing::made_by(&trigger.mode, class, &made, site);
                trigger.query.holds(crossing)
            }
        };
        if holds {
            trigger.by = self.only(ended.end, cut);
        }
        trigger
    }

    /// The class of one crossing alone.
    fn only(&self, ending: usize, cut: usize) -> Option<Class> {
        let learnt = self.shapes.endings.get(ending)?;
        let variant = Variant {
            count: 1,
            ending,
            of_ending: 1,
        };
        self.class(
            learnt.class,
            cut,
            1,
            &BTreeMap::from([(learnt.total, variant)]),
        )
    }
}

#[cfg(test)]
mod tests {
    use wire::Kind::{InterruptEntry, Iret};

    use super::super::tests::{Tape, functions};
    use super::*;
    use crate::crossing::Mode;

    /// Two reads, the second interrupted. How many records are taken, and of which call the trigger was.
    fn check(query: &str, stops: bool, interrupted: bool) {
        let mut tape = Tape::in_app();
        tape.read_up().read_down();
        let first = tape.raw.len();
        tape.read_up();
        tape.after(10, InterruptEntry, "asm_sysvec_apic_timer_interrupt");
        tape.after(10, Iret, "asm_sysvec_apic_timer_interrupt");
        tape.read_down();
        let both = tape.raw.len();
        tape.read_up().read_down();
        let query = query.parse().unwrap();
        let mut fold = Fold::new(functions()).with_trigger(query, Mode::Bypass.into());
        let taken = fold.take(0, 0, &tape.raw);
        let expected = match (stops, interrupted) {
            (false, _) => tape.raw.len(),
            (true, false) => first,
            (true, true) => both,
        };
        assert_eq!(taken, expected);
        let by = fold.triggered().cloned();
        assert_eq!(
            by.as_ref().map(|class| class.interrupted),
            stops.then_some(interrupted)
        );
        if stops {
            assert_eq!(fold.take(0, 0, &tape.raw[taken..]), 0, "it stands still");
            assert_eq!(by.as_ref().map(|class| class.call.as_str()), Some("read"));
        }
    }

    #[test]
    fn nothing_is_taken_after_the_crossing_that_it_is_about() {
        check("call=read", true, false);
        check("call=read interrupted=true", true, true);
        check("insns>1000000", false, false);
        check("call=write", false, false);
        check("node=vfs_read own>0", true, false);
        check("call=read task<100", true, false);
        check("call=read task>100", false, false);
    }
}
