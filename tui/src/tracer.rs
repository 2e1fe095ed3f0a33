//! Traced runs of an image, beside the session that is on the screen.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use debugger::crossing::Setup;
use debugger::event::{Event, Run, TraceNews, Work};
use debugger::qemu::image::Image;
use debugger::session::BootOptions;
use debugger::session::replay::RecordedRun;
use debugger::session::trace::TraceOptions;
use debugger::session::trace_compare::compare;
use debugger::session::trace_keep::trace_and_keep;

use crate::beside::Beside;
use crate::panels::Traced;

/// The beginning of the name of this work.
const NAME: &str = "tracing";

/// Ends what it has started when it is dropped.
#[derive(Debug)]
pub struct Tracer {
    image: Image,
    options: TraceOptions,
    beside: Beside,
}

impl Tracer {
    /// Traces in the mode that the session's guest runs in.
    #[must_use]
    pub fn new(image: Image, options: &BootOptions) -> Self {
        let mode = options.mode.unwrap_or(image.manifest.default_mode);
        Self {
            image,
            options: TraceOptions {
                calls: options.calls,
                profile: options.profile.clone(),
                ..TraceOptions::new(mode)
            },
            beside: Beside::default(),
        }
    }

    /// Traces the recorded run that the session replays, as often as it is asked for.
    #[must_use]
    pub fn of(run: RecordedRun, profile: Option<PathBuf>) -> Self {
        Self {
            image: run.image.clone(),
            options: TraceOptions {
                profile,
                ..TraceOptions::of(run)
            },
            beside: Beside::default(),
        }
    }

    /// Which runs it can trace: a recorded one has its own mode.
    #[must_use]
    pub const fn runs(&self) -> &'static [Traced] {
        match self.options.recorded {
            Some(_) => &[Traced::ThisMode],
            None => &[Traced::ThisMode, Traced::EachMode],
        }
    }

    /// Whether slow work of that name is a tracer's.
    #[must_use]
    pub fn is_name(work: &str) -> bool {
        work.starts_with(NAME)
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        self.beside.is_running()
    }

    /// Asks the run that goes on to end; what it has seen so far is still told.
    pub fn stop(&self) {
        self.beside.stop();
    }

    /// Stops recording while the guest runs on, or goes on with it.
    pub fn turn(&self) {
        self.options.switch.turn();
    }

    /// Starts a thread that tells its news as events.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(
        &mut self,
        which: Traced,
        tell: impl Fn(Event) + Send + 'static,
    ) -> io::Result<()> {
        let (image, options) = (self.image.clone(), self.options.clone());
        self.beside.start("trace", move |cancel| {
            let result = match which {
                Traced::ThisMode => one(&image, &options, cancel, &tell),
                Traced::EachMode if options.recorded.is_some() => {
                    Err("tracing each mode: a recorded run has one; t traces it".to_owned())
                }
                Traced::EachMode => each(&image, &options, cancel, &tell),
            };
            if let Err(error) = result {
                tell(Event::Run(Run::Ended(error)));
            }
        })
    }
}

fn one(
    image: &Image,
    options: &TraceOptions,
    cancel: &Arc<AtomicBool>,
    tell: &impl Fn(Event),
) -> Result<(), String> {
    let name = format!("{NAME} {}", options.setup);
    tell(work(&name, (0, 0), false));
    let kept = trace_and_keep(image, options, cancel, &mut |event| tell(event));
    tell(work(&name, (0, 0), true));
    tell(Event::Recorded(Arc::new(kept?)));
    Ok(())
}

fn each(
    image: &Image,
    options: &TraceOptions,
    cancel: &AtomicBool,
    tell: &impl Fn(Event),
) -> Result<(), String> {
    let modes: Vec<Setup> = image
        .manifest
        .modes
        .iter()
        .map(|mode| (*mode).into())
        .collect();
    let mut now: Option<Setup> = None;
    let mut news = |mode: &Setup, event: Event| {
        if now.as_ref() != Some(mode) {
            now = Some(mode.clone());
            let done = modes.iter().position(|one| one == mode).unwrap_or(0);
            tell(work(NAME, (done as u64, modes.len() as u64), false));
        }
        tell(event);
    };
    tell(work(NAME, (0, modes.len() as u64), false));
    let compared = compare(image, &modes, options, None, cancel, &mut news);
    tell(work(NAME, (1, 1), true));
    let (comparison, _) = compared.map_err(|error| error.to_string())?;
    if let Some(own) = comparison
        .runs
        .iter()
        .find(|report| report.mode == options.setup)
    {
        tell(Event::Trace(TraceNews {
            events: own.events,
            report: Arc::new(own.clone()),
            events_per_s: 0.0,
            running: false,
            recording: false,
        }));
    }
    tell(Event::Compared(Arc::new(comparison)));
    Ok(())
}

fn work(name: &str, (done, total): (u64, u64), finished: bool) -> Event {
    Event::Work(Work {
        name: name.to_owned(),
        done,
        total,
        finished,
    })
}
