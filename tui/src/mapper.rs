//! Every place where an image's application leaves its code, found beside what is on the screen.

use std::io;
use std::sync::Arc;

use debugger::event::{Event, Work};
use debugger::session::store;
use debugger::symbols::Symbols;
use debugger::trace::call_map::CallMap;
use debugger::trace::call_sites::call_sites;

use crate::beside::Beside;

#[derive(Debug, Default)]
pub struct Mapper {
    beside: Beside,
}

impl Mapper {
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.beside.is_running()
    }

    /// Starts a thread that decodes the application of the image of that name, or its twin that runs in
    /// ring 3.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(
        &mut self,
        image: String,
        twin: bool,
        tell: impl Fn(Event) + Send + 'static,
    ) -> io::Result<()> {
        self.beside.start("call map", move |_| {
            let work = |finished| {
                Event::Work(Work {
                    name: format!("finding the call sites of {image}"),
                    done: 0,
                    total: 0,
                    finished,
                })
            };
            tell(work(false));
            let found = find(&image, twin);
            tell(work(true));
            tell(match found {
                Ok(map) => Event::Mapped(Arc::new(map)),
                Err(error) => Event::Notice(format!("finding the call sites of {image}: {error}")),
            });
        })
    }
}

fn find(name: &str, twin: bool) -> anyhow::Result<CallMap> {
    let image = store::image(name)?;
    let file = twin.then(|| image.twin());
    let symbols = Symbols::open(&image.vmlinux(), file.as_deref())?;
    Ok(CallMap {
        image: name.to_owned(),
        twin,
        sites: call_sites(&symbols),
    })
}
