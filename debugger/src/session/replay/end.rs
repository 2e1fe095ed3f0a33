//! No step leads behind the recording's end: the few events that lie there do not move the machine far, and it
//! stands still without a word where they end.

use super::Replay;
use crate::session::engine::Engine;
use crate::session::target::STEP_TRIES;
use crate::session::trouble::Trouble;

impl Engine {
    /// Before a step: whether the recording ends here.
    pub(in crate::session) fn at_the_end(&mut self) -> Result<bool, Trouble> {
        let Some(replay) = &mut self.replay else {
            return Ok(false);
        };
        if replay.steps() {
            return Ok(false);
        }
        let at = self.target.position()?;
        Ok(self.replay.as_mut().is_some_and(|replay| {
            replay.stands(at);
            !replay.steps() && replay.end.is_some_and(|end| at >= end)
        }))
    }
}

impl Replay {
    /// Where it is now.
    pub(in crate::session) fn stands(&mut self, at: u64) {
        self.sure = match self.end {
            // A step is tried more than once where it seems to have done nothing.
            Some(end) => end.saturating_sub(at) / u64::from(STEP_TRIES),
            None => u64::MAX,
        };
    }

    /// It moves by more than a step: how far, nobody has told.
    pub(super) const fn runs(&mut self) {
        self.sure = 0;
    }

    /// Whether a step surely ends before the recording does.
    fn steps(&mut self) -> bool {
        let sure = self.sure > 0;
        self.sure = self.sure.saturating_sub(1);
        sure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_anew_before_steps_may_come_to_the_end() {
        let mut replay = Replay::to(1_000);
        assert!(!replay.steps(), "where it stands was not told");
        replay.stands(900);
        let sure = (0..100).take_while(|_| replay.steps()).count();
        assert_eq!(sure, 25, "each may be four instructions");
        replay.stands(999);
        assert!(!replay.steps());
        replay.stands(1_500);
        assert!(!replay.steps());
        replay.stands(0);
        replay.runs();
        assert!(!replay.steps());
        // One whose end is not known has none.
        let mut endless = Replay::default();
        endless.stands(u64::MAX);
        assert!(endless.steps());
    }
}
