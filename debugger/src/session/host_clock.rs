//! The host's time stamp counter, as the clock of a trace.

use std::time::{Duration, Instant};

use wire::ticks::ticks;

use crate::trace::times::{Clock, Cost, Unit};

/// Long beside a look at both clocks, which takes less than a microsecond.
const LOOK: Duration = Duration::from_millis(20);

/// Looks for a while at how fast it counts.
pub(super) fn host_clock() -> Clock {
    let (began, from) = (Instant::now(), ticks());
    std::thread::sleep(LOOK);
    let (took, counted) = (began.elapsed(), ticks().wrapping_sub(from));
    let khz = counted as f64 / (took.as_secs_f64() * 1e3);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some millions"
    )]
    Clock {
        unit: Unit::Ns,
        tsc_khz: khz as u32,
        cost: Cost::default(),
        about: "the host's time stamp counter: how long emulation took, with recording it"
            .to_owned(),
    }
}
