//! One call in two modes, stepped through beside what is on the screen: for its instructions.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use debugger::crossing::Setup;
use debugger::event::{Event, Work};
use debugger::session::instructions::{Side, step_both};
use debugger::session::store;
use debugger::session::stub_trace::Wanted;
use debugger::trace::report::{Class, Pair};

use crate::beside::Beside;

/// The beginning of the name of this work.
const NAME: &str = "stepping through";

/// What is to be stepped through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    call: String,
    a: (Setup, Wanted),
    b: (Setup, Wanted),
}

/// Ends what it has started when it is dropped.
#[derive(Debug, Default)]
pub struct Stepper {
    beside: Beside,
}

impl Wish {
    #[must_use]
    pub fn new(pair: &Pair, a: &Class, b: &Class) -> Self {
        let wanted = |class: &Class| Wanted {
            call: class.call.clone(),
            id: class.id.clone(),
            instructions: class.instructions,
        };
        Self {
            call: pair.call.clone(),
            a: (pair.mode_a.clone(), wanted(a)),
            b: (pair.mode_b.clone(), wanted(b)),
        }
    }
}

impl Stepper {
    /// Whether slow work of that name is a stepper's.
    #[must_use]
    pub fn is_name(work: &str) -> bool {
        work.starts_with(NAME)
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        self.beside.is_running()
    }

    pub fn stop(&self) {
        self.beside.stop();
    }

    /// Starts a thread that boots the image of that name and tells what comes of it as events.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(
        &mut self,
        image: String,
        wish: Wish,
        tell: impl Fn(Event) + Send + 'static,
    ) -> io::Result<()> {
        self.beside.start("step", move |cancel| {
            let name = format!("{NAME} {}", wish.call);
            let work = |finished| {
                Event::Work(Work {
                    name: name.clone(),
                    done: 0,
                    total: 0,
                    finished,
                })
            };
            tell(work(false));
            let found = step(&image, &wish, cancel);
            tell(work(true));
            tell(found.unwrap_or_else(Event::Notice));
        })
    }
}

fn step(image: &str, wish: &Wish, cancel: &AtomicBool) -> Result<Event, String> {
    let image = store::image(image).map_err(|error| error.to_string())?;
    let side = |setup, wanted| Side {
        image: &image,
        setup,
        wanted,
    };
    let (a, b) = (&wish.a, &wish.b);
    let sides = (side(&a.0, &a.1), side(&b.0, &b.1));
    let found = step_both(&wish.call, sides, &|_| true, cancel);
    found
        .map(|found| Event::Stepped(Arc::new(found)))
        .map_err(|error| error.to_string())
}
