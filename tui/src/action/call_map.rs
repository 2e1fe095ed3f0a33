//! What the map of call sites offers.

use debugger::model::Model;

use super::does::below;
use crate::panels::{Effect, PanelId, call_map};
use crate::ui::Ui;

/// Finds the call sites first, where they are not known.
pub(super) fn show(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let wish = call_map::wish(model);
    let mut effects = below(ui, PanelId::CallMap);
    effects.extend(wish.map(|(image, twin)| Effect::Map(image, twin)));
    effects
}

pub(super) fn crossings(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    match ui.panels.call_map.crossings(model, &mut ui.look) {
        Ok(()) => {
            let only = ui.look.crossings.text().to_owned();
            ui.set_focus(PanelId::Classes);
            vec![Effect::Say(format!(
                "only crossings where {only}; / changes it"
            ))]
        }
        Err(why) => vec![Effect::Say(why)],
    }
}
