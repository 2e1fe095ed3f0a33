//! Lets a replay pass quickly through what was waiting when it was recorded.
//!
//! A guest that waits executes nothing, and the events of its recording then are the turns of QEMU's main
//! loop (`replay/`, `softmmu/icount.c`): each has to be made once more, and QEMU sleeps before each until a
//! timer is due. Whatever turned the loop when it was recorded, a packet or a question, ended that sleep; in
//! the replay nothing does, and seconds become minutes. So it is asked where it stands, and while it stands
//! there its loop is turned. A machine that stands is asked nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::session::monitor::{Monitor, MonitorError};
use crate::session::moves::Moves;

/// Between two questions to a machine that has just stopped, or that stands at its recording's end.
const REST: Duration = Duration::from_millis(20);

/// Between two questions to one that moves by itself.
const LOOK: Duration = Duration::from_millis(2);

/// Instructions between two questions: a machine that executes fewer is waiting, or about to.
const FEW: u64 = 50_000;

/// Of QEMU's main loop, between two questions to a machine that waits.
const TURNS: usize = 256;

/// Questions in vain after which it stands for another reason, as behind its recording's end: it is left
/// alone but for one at each rest.
const ENOUGH: u32 = 2_000;

/// Pushes until it is dropped, or QEMU has ended.
#[derive(Debug)]
pub(in crate::session) struct Pusher(Moves);

impl Pusher {
    /// # Errors
    /// When no thread can be had.
    pub(in crate::session) fn start(monitor: Arc<Mutex<Monitor>>) -> std::io::Result<Self> {
        let moves = Moves::default();
        let pushed = moves.clone();
        thread::Builder::new()
            .name("pusher".to_owned())
            .spawn(move || push(&monitor, &pushed))?;
        Ok(Self(moves))
    }

    /// Through which it is told that the machine moves, and that it stands.
    pub(in crate::session) const fn moves(&self) -> &Moves {
        &self.0
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn push(monitor: &Mutex<Monitor>, moves: &Moves) {
    let (mut last, mut in_vain) = (None, 0);
    let mut waits = false;
    while moves.wait() {
        let mut asked = monitor.lock().unwrap_or_else(PoisonError::into_inner);
        let turned = match waits {
            true => asked.turn(TURNS),
            false => Ok(()),
        };
        let at = match turned.and_then(|()| position(&mut asked)) {
            Ok(at) => at,
            // A snapshot is being taken or loaded, which takes as long as it takes.
            Err(MonitorError::NoAnswer { .. }) => None,
            Err(_) => return,
        };
        drop(asked);
        let executed = at.zip(last).map(|(at, last)| at.saturating_sub(last));
        in_vain = if executed == Some(0) { in_vain + 1 } else { 0 };
        waits = executed.is_some_and(|executed| executed < FEW) && in_vain < ENOUGH;
        last = at;
        if at.is_none() || in_vain >= ENOUGH {
            thread::sleep(REST);
        } else if !waits {
            thread::sleep(LOOK);
        }
    }
}

/// In instructions; none while the machine is stopped.
fn position(monitor: &mut Monitor) -> Result<Option<u64>, MonitorError> {
    if !monitor.status()?.running {
        return Ok(None);
    }
    let answer = monitor.execute("query-replay", None)?;
    Ok(answer["icount"].as_u64())
}
