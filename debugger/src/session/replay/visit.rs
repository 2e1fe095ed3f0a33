//! Taking the machine back to a stop of the past, as it was then: a machine that replays can.

use super::point::Point;
use crate::session::engine::Engine;
use crate::session::trouble::Trouble;

impl Engine {
    /// Not while others have joined: it would move under them, and they see what was kept.
    pub(in crate::session) fn may_visit(&self) -> bool {
        self.replay.is_some() && !self.joining.has_joined()
    }

    /// Goes there without a word; where that is interrupted, it stays where it was.
    pub(in crate::session) fn visit(&mut self, to: Point) -> Result<(), Trouble> {
        let from = self.point()?;
        if from == to {
            return Ok(());
        }
        self.joining.moves();
        self.interrupted = false;
        if self.seek(to)? {
            return Ok(());
        }
        self.interrupted = false;
        self.seek(from)?;
        Err(Trouble::new(
            format!("going to position {}", crate::addr::Insns(to.position)),
            "it was interrupted",
            "ask for it again",
        ))
    }
}
