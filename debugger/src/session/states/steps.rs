//! Moves between states: what steps an instruction elsewhere goes to the next one here.

use crate::command::{Back, Until};
use crate::event::{Stop, StopReason};
use crate::origin::Origin;
use crate::session::engine::Engine;
use crate::session::execute::RunCommand;
use crate::session::trouble::Trouble;
use crate::trace::recording::Side;

const NOTHING_BETWEEN: &str =
    "this recording holds the machine at both sides of its crossings, and nothing in between";

/// Which way, and how many states.
enum Moves {
    On(u64),
    Back(u64),
}

impl Engine {
    /// The stop at the state that a command goes to. None: it is carried out as on any machine.
    pub(in crate::session) fn move_between_states(
        &mut self,
        run: &RunCommand,
    ) -> Option<Result<Stop, Trouble>> {
        self.target.passed()?;
        let moves = match run {
            RunCommand::Instructions { count, .. }
            | RunCommand::Lines { count, .. }
            | RunCommand::Back(Back::Instructions { count } | Back::Lines { count, .. })
                if *count == 0 =>
            {
                Moves::On(0)
            }
            RunCommand::Instructions { count, .. } | RunCommand::Lines { count, .. } => {
                Moves::On(*count)
            }
            RunCommand::Within(_)
            | RunCommand::Forward
            | RunCommand::Cross
            | RunCommand::CrossBack
            | RunCommand::OverKernel => Moves::On(1),
            RunCommand::Back(Back::Instructions { count } | Back::Lines { count, .. }) => {
                Moves::Back(*count)
            }
            RunCommand::Back(Back::Cross) => Moves::Back(1),
            RunCommand::Back(Back::Finish | Back::Written(_) | Back::Crossed(_)) => {
                return Some(Err(Trouble::new(
                    "going back within a crossing",
                    NOTHING_BETWEEN,
                    "'reverse-cross' goes back to the side before; 'uklscope record' keeps a whole run",
                )));
            }
            RunCommand::Until(goal) => return Some(self.until_state(goal)),
            // Out of the way into the kernel is to the application; no other frame's return is held.
            RunCommand::Finish if self.frame == 0 && self.stands_in_kernel() => Moves::On(1),
            RunCommand::Finish => return Some(Err(not_held("running until the frame returns"))),
            RunCommand::Continue
            | RunCommand::ContinueAlone
            | RunCommand::Back(Back::Continue | Back::To(_)) => return None,
        };
        let crosses = matches!(
            run,
            RunCommand::Cross | RunCommand::CrossBack | RunCommand::OverKernel | RunCommand::Finish
        ) || matches!(run, RunCommand::Back(Back::Cross));
        Some(self.go_by_states(&moves, crosses))
    }

    fn stands_in_kernel(&mut self) -> bool {
        self.pc().is_ok_and(|pc| !self.is_app(pc))
    }

    /// `until`: on to the first state there.
    fn until_state(&mut self, goal: &Until) -> Result<Stop, Trouble> {
        let places = match goal {
            Until::Location(location) => self.locate_stops(location)?.places,
            _ => Vec::new(),
        };
        let held = match goal {
            Until::Location(_) => self.target.comes_to(&places),
            Until::Origin(origin) => *origin == Origin::Entry || origin.is_app_side(),
            Until::App | Until::Kernel => true,
        };
        if !held {
            return Err(not_held("running to a place"));
        }
        let mut leaves = matches!(goal, Until::Location(_));
        loop {
            let pc = self.pc()?;
            let is_there = match goal {
                Until::App => self.is_app(pc),
                Until::Kernel => !self.is_app(pc),
                Until::Origin(origin) => self.origin(pc) == *origin,
                Until::Location(_) => places.contains(&pc) && !leaves,
            };
            leaves = false;
            let at = self.target.position()?;
            let reason = match (is_there, at >= self.last_position()) {
                (true, _) => StopReason::Arrived,
                (false, true) => StopReason::End,
                (false, false) if self.seek(at + 1)? => {
                    self.attend()?;
                    match self.interrupted {
                        true => StopReason::Interrupted,
                        false => continue,
                    }
                }
                (false, false) => StopReason::Interrupted,
            };
            self.course.note = self.target.passed().map(|passed| passed.to_string());
            return self.stopped(reason);
        }
    }

    fn go_by_states(&mut self, moves: &Moves, crosses: bool) -> Result<Stop, Trouble> {
        let at = self.target.position()?;
        let end = self.last_position();
        let (to, beyond) = match moves {
            Moves::On(count) => (at.saturating_add(*count).min(end), *count > end - at),
            Moves::Back(count) => (at.saturating_sub(*count), *count > at),
        };
        let reason = match (self.seek(to)?, beyond, moves) {
            (false, ..) => StopReason::Interrupted,
            (_, true, Moves::On(_)) => StopReason::End,
            (_, true, Moves::Back(_)) => StopReason::Beginning,
            (_, false, _) => StopReason::Step,
        };
        let passed = self.target.passed();
        let reason = match (reason, passed) {
            (StopReason::Step, Some(passed)) if crosses => StopReason::Crossing {
                kind: passed.kind,
                call: passed.call,
                into_kernel: passed.side == Side::Entry,
            },
            (reason, passed) => {
                self.course.note = passed.as_ref().map(ToString::to_string);
                reason
            }
        };
        self.stopped(reason)
    }
}

/// Going on to where no state is.
fn not_held(tried: &str) -> Trouble {
    Trouble::new(
        tried,
        NOTHING_BETWEEN,
        "'cross' goes on to the next side; 'uklscope record' keeps a whole run",
    )
}
