//! Moves between states: what steps an instruction elsewhere goes to the next one here.

use crate::command::Back;
use crate::event::{Stop, StopReason};
use crate::session::engine::Engine;
use crate::session::execute::RunCommand;
use crate::session::trouble::Trouble;
use crate::trace::recording::Side;

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
                    "this recording holds the machine at both sides of its crossings, and nothing in between",
                    "'reverse-cross' goes back to the side before; 'uklscope record' keeps a whole run",
                )));
            }
            _ => return None,
        };
        let crosses = matches!(
            run,
            RunCommand::Cross | RunCommand::CrossBack | RunCommand::OverKernel
        ) || matches!(run, RunCommand::Back(Back::Cross));
        Some(self.go_by_states(&moves, crosses))
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
