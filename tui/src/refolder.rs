//! The crossings of recordings that were not written to their end, folded of their records beside the screen.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use debugger::event::{Event, Work};

use crate::beside::Beside;
use crate::open;

/// The name of this work.
const NAME: &str = "folding what was written";

/// Ends what it has started when it is dropped.
#[derive(Debug, Default)]
pub struct Refolder {
    beside: Beside,
}

impl Refolder {
    /// Whether slow work of that name is a refolder's.
    #[must_use]
    pub fn is_name(work: &str) -> bool {
        work == NAME
    }

    pub fn stop(&self) {
        self.beside.stop();
    }

    /// Starts a thread that reads the files once more and tells what they say as events.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(
        &mut self,
        files: Vec<PathBuf>,
        tell: impl Fn(Event) + Send + 'static,
    ) -> io::Result<()> {
        self.beside.start("refold", move |cancel| {
            tell(work((0, 0), false));
            let found = fold(&files, cancel, &tell);
            tell(work((0, 0), true));
            found
                .unwrap_or_else(|why| vec![Event::Notice(why)])
                .into_iter()
                .for_each(tell);
        })
    }
}

fn fold(
    files: &[PathBuf],
    cancel: &AtomicBool,
    tell: &impl Fn(Event),
) -> Result<Vec<Event>, String> {
    let mut told = 0;
    let read = open::read(files, &mut |stored| {
        stored.refold_while(&mut |done, all| {
            let percent = done.saturating_mul(100) / all.max(1);
            if percent != told {
                told = percent;
                tell(work((done, all), false));
            }
            !cancel.load(Ordering::Relaxed)
        });
    });
    let read = read.map_err(|error| format!("{error:#}"))?;
    if cancel.load(Ordering::Relaxed) {
        return Err(
            "the crossings were not folded: 'uklscope report FILE' makes them of the records"
                .to_owned(),
        );
    }
    Ok(read.crossings())
}

fn work((done, total): (u64, u64), finished: bool) -> Event {
    Event::Work(Work {
        name: NAME.to_owned(),
        done,
        total,
        finished,
    })
}
