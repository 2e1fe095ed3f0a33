//! Work on a thread beside the screen, which can be asked to end and does not outlive it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long the work, which ends the guest it has booted, may take to end with the screen.
const FAREWELL: Duration = Duration::from_secs(4);

/// Asked to end, and waited for, when it is dropped.
#[derive(Debug, Default)]
pub struct Beside {
    /// Set to end the work that goes on.
    cancel: Option<Arc<AtomicBool>>,
}

impl Beside {
    #[must_use]
    pub fn is_running(&self) -> bool {
        // The thread's own end of it is gone when the work has ended by itself.
        self.cancel
            .as_ref()
            .is_some_and(|cancel| Arc::strong_count(cancel) > 1)
    }

    /// Asks the work that goes on to end.
    pub fn stop(&self) {
        if let Some(cancel) = &self.cancel {
            cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Starts the work; it is to look at what it is given, which is set when it is to end.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(
        &mut self,
        name: &str,
        work: impl FnOnce(&Arc<AtomicBool>) + Send + 'static,
    ) -> io::Result<()> {
        let cancel = Arc::new(AtomicBool::new(false));
        self.cancel = Some(Arc::clone(&cancel));
        let run = move || work(&cancel);
        thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop();
        let until = Instant::now() + FAREWELL;
        while self.is_running() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
    }
}
