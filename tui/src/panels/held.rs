//! A place the user went to by hand: it holds until the target stops anew or another frame is chosen.

use debugger::model::Model;

#[derive(Clone, Debug)]
pub struct Held<T> {
    stops: u64,
    frame: u32,
    what: T,
}

impl<T> Held<T> {
    pub(crate) fn new(model: &Model, what: T) -> Self {
        Self {
            stops: model.run.stops,
            frame: model.selected_frame,
            what,
        }
    }

    pub(crate) fn get(&self, model: &Model) -> Option<&T> {
        let holds = self.stops == model.run.stops && self.frame == model.selected_frame;
        holds.then_some(&self.what)
    }
}
