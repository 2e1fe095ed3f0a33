//! THE table of actions: it feeds the keys, the key line, the help and the book.

mod call_map;
mod does;
mod table;
mod values;

use std::fmt::Write as _;

use debugger::model::Model;

use crate::keys::Preset;
use crate::panels::listing::is_recording;
use crate::panels::{Effect, PanelId, Screen, Traced};
use crate::ui::Ui;

pub use does::go_to;
pub use table::TABLE;

#[derive(Clone, Copy, Debug)]
pub struct Action {
    pub name: &'static str,
    /// Keys that hold in the scope.
    pub keys: &'static [&'static str],
    /// Keys that hold on every screen.
    pub anywhere: &'static [&'static str],
    /// On the key line; empty where it is not to stand there.
    pub short: &'static str,
    pub help: &'static str,
    pub scope: Scope,
    /// When the key line offers it.
    pub when: When,
    pub run: fn(&mut Ui, &Model) -> Vec<Effect>,
}

/// What has to be so for an action to be of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    Stopped,
    Running,
    /// While slow work is under way.
    Working,
    /// While a past stop is looked at.
    LookingBack,
    /// While a machine stands that replays a recorded run.
    Replaying,
    /// Where such a run of what is on the screen can be traced.
    Traceable(Traced),
    /// Where there is code, or a clock, to go to.
    Placed,
}

impl When {
    #[must_use]
    pub fn holds(self, ui: &Ui, model: &Model) -> bool {
        match self {
            Self::Always => true,
            Self::Stopped => model.run.answers(),
            Self::Running => model.run.is_running(),
            Self::Working => model.works.latest().is_some(),
            Self::LookingBack => model.past.is_some(),
            Self::Replaying => {
                let stop = model.run.last_stop.as_ref();
                model.run.answers() && stop.is_some_and(|stop| stop.position.is_some())
            }
            Self::Traceable(which) => ui.traceable.contains(&which),
            Self::Placed => ui.screen == Screen::Timeline || !is_recording(model),
        }
    }
}

impl Action {
    const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    /// All its keys, those of the preset first.
    pub fn all_keys(&self, preset: Preset) -> impl Iterator<Item = &'static str> + use<> {
        let first = preset.keys(self.name);
        let own = self.keys.iter().chain(self.anywhere);
        first
            .iter()
            .chain(own.filter(move |key| !first.contains(key)))
            .copied()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Everywhere,
    Screen(Screen),
    /// Panels with trees of values.
    Values,
    Panel(PanelId),
}

/// The scopes whose keys hold there, the nearest first.
pub fn scopes(screen: Screen, panel: PanelId) -> impl Iterator<Item = Scope> {
    let values = Scope::Values.has(panel).then_some(Scope::Values);
    let outer = [Scope::Screen(screen), Scope::Everywhere];
    let inner = std::iter::once(Scope::Panel(panel)).chain(values);
    inner.chain(outer)
}

/// The action a key stands for: the preset's, then the nearest scope's.
#[must_use]
pub fn find(key: &str, preset: Preset, screen: Screen, panel: PanelId) -> Option<&'static Action> {
    if let Some(name) = preset.action(key) {
        let mut actions = TABLE.iter();
        return actions.find(|action| action.name == name);
    }
    scopes(screen, panel)
        .find_map(|scope| {
            TABLE
                .iter()
                .find(|action| action.scope == scope && action.keys.contains(&key))
        })
        .or_else(|| TABLE.iter().find(|action| action.anywhere.contains(&key)))
}

/// What the key line may offer, the nearest scope first.
pub fn offered(
    preset: Preset,
    screen: Screen,
    panel: PanelId,
) -> impl Iterator<Item = &'static Action> {
    scopes(screen, panel).flat_map(move |scope| {
        TABLE.iter().filter(move |action| {
            action.scope == scope
                && !action.short.is_empty()
                && action
                    .all_keys(preset)
                    .next()
                    .and_then(|key| find(key, preset, screen, panel))
                    .is_some_and(|found| found.name == action.name)
        })
    })
}

/// The table in Markdown, with the debugger's commands after it.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from("# Keys\n\n| key | where | does |\n|---|---|---|\n");
    for action in TABLE {
        let keys: Vec<String> = action
            .keys
            .iter()
            .chain(action.anywhere)
            .map(|key| format!("`{key}`"))
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            keys.join(" "),
            action.scope.name(),
            action.help
        );
    }
    text.push_str(&crate::keys::reference());
    text
}

impl Scope {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "everywhere",
            Self::Screen(screen) => screen.name(),
            Self::Values => "locals, watches",
            Self::Panel(panel) => panel.name(),
        }
    }

    /// Whether its keys hold in a panel; those of a screen or of all hold in none of their own.
    #[must_use]
    pub fn has(self, panel: PanelId) -> bool {
        match self {
            Self::Panel(own) => own == panel,
            Self::Values => matches!(panel, PanelId::Locals | PanelId::Watches),
            Self::Everywhere | Self::Screen(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use debugger::command;

    use super::*;

    #[test]
    fn no_key_stands_for_two_actions_of_one_scope() {
        for (i, a) in TABLE.iter().enumerate() {
            for b in &TABLE[i + 1..] {
                let same = a.scope == b.scope && a.keys.iter().any(|key| b.keys.contains(key));
                assert!(!same, "{} and {}", a.name, b.name);
                assert!(!a.anywhere.iter().any(|key| b.anywhere.contains(key)));
            }
        }
    }

    #[test]
    fn an_action_is_known_by_its_name() {
        let names: BTreeSet<&str> = TABLE.iter().map(|action| action.name).collect();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn the_nearest_scope_holds() {
        let name =
            |key, screen, panel| find(key, Preset::Gdb, screen, panel).map(|action| action.name);
        let vscode = find("F12", Preset::Vscode, Screen::Console, PanelId::Serial);
        assert_eq!(vscode.map(|action| action.name), Some("choose"));
        assert_eq!(name("/", Screen::Debug, PanelId::Source), Some("find"));
        assert_eq!(
            name("/", Screen::Crossings, PanelId::Classes),
            Some("filter")
        );
        assert_eq!(
            name("F5", Screen::Console, PanelId::Serial),
            Some("continue")
        );
        assert_eq!(name("c", Screen::Console, PanelId::Serial), None);
    }

    #[test]
    fn what_an_action_types_is_a_command() {
        for line in [
            "continue",
            "next",
            "step",
            "finish",
            "stepi",
            "nexti",
            "cross",
            "cross back",
            "over kernel",
            "reverse-continue",
            "reverse-next",
            "reverse-step",
            "reverse-finish",
            "reverse-stepi",
            "reverse-cross",
            "until app",
            "until a.c:1",
            "until *0xffffffff81000000",
            "vcpu next",
            "up",
            "down",
            "back",
            "forward",
            "now",
            "delete 1",
            "break a.c:1",
            "break *0xffffffff81000000",
            "interrupt",
            "cancel reading symbols",
            "frame 2",
            "print $rip",
            "list *0xffffffff81000000",
            "space main",
        ] {
            assert!(command::parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn the_book_lists_every_key() {
        let book = reference();
        for action in TABLE {
            for key in action.keys.iter().chain(action.anywhere) {
                assert!(book.contains(&format!("`{key}`")), "{key}");
            }
        }
    }
}
