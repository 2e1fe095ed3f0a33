//! Whether QEMU's vCPU has worked, as the host's kernel tells it. QEMU itself is asked by turning its main loop, and a
//! recording keeps each turn: one that was asked all the time while its guest waited is replayed as slowly.

use std::path::PathBuf;
use std::time::Duration;

use crate::session::monitor::{Monitor, MonitorError};

/// On a CPU of the host, and more than a guest needs that wakes up to see that nothing is to be done.
const SOME: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Worked {
    /// The thread's first number there: nanoseconds on a CPU (Linux' `Documentation/scheduler/sched-stats.rst`).
    file: Option<PathBuf>,
    told: Duration,
}

impl Worked {
    /// # Errors
    /// When QEMU does not answer.
    pub(super) fn of(monitor: &mut Monitor) -> Result<Self, MonitorError> {
        let vcpus = monitor.execute("query-cpus-fast", None)?;
        let thread = vcpus[0]["thread-id"].as_u64();
        Ok(Self {
            file: thread.map(|thread| PathBuf::from(format!("/proc/{thread}/schedstat"))),
            told: Duration::ZERO,
        })
    }

    /// Whether it has, since this was last answered with yes. A host that does not tell makes it yes.
    pub(super) fn again(&mut self) -> bool {
        let Some(now) = self.now() else {
            return true;
        };
        let some = now.saturating_sub(self.told) >= SOME;
        if some {
            self.told = now;
        }
        some
    }

    fn now(&self) -> Option<Duration> {
        let text = std::fs::read_to_string(self.file.as_ref()?).ok()?;
        let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
        Some(Duration::from_nanos(nanoseconds))
    }
}
