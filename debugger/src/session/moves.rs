//! Whether a machine moves, for a thread that has work to do only while it does.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Told by whoever lets the machine move. It is taken to move until somebody tells that it stands.
#[derive(Clone, Debug)]
pub(super) struct Moves(Arc<(Mutex<State>, Condvar)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Moves,
    Stands,
    /// Nobody is to wait any more.
    Over,
}

impl Default for Moves {
    fn default() -> Self {
        Self(Arc::new((Mutex::new(State::Moves), Condvar::new())))
    }
}

impl Moves {
    pub(super) fn tell(&self, moves: bool) {
        let state = match moves {
            true => State::Moves,
            false => State::Stands,
        };
        self.set(state);
    }

    pub(super) fn end(&self) {
        self.set(State::Over);
    }

    fn set(&self, state: State) {
        let (now, changed) = &*self.0;
        let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != state && *now != State::Over {
            *now = state;
            changed.notify_all();
        }
    }

    /// Until it moves; `false` when it is over.
    pub(super) fn wait(&self) -> bool {
        let (now, changed) = &*self.0;
        let now = now.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = |state: &mut State| *state == State::Stands;
        let now = changed.wait_while(now, stands);
        *now.unwrap_or_else(PoisonError::into_inner) == State::Moves
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_waits_for_a_move_is_woken_by_it_and_by_the_end() {
        let moves = Moves::default();
        assert!(moves.wait(), "nobody has told that it stands");
        moves.tell(false);
        let (to, from) = crossbeam_channel::unbounded();
        let waiting = moves.clone();
        let thread = thread::spawn(move || {
            while waiting.wait() {
                waiting.tell(false);
                to.send(()).unwrap();
            }
        });
        assert!(from.is_empty());
        for _ in 0..2 {
            moves.tell(true);
            from.recv().unwrap();
        }
        moves.end();
        moves.tell(false);
        thread.join().unwrap();
        assert!(from.is_empty(), "it was not woken in between");
    }
}
