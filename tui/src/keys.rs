//! Keys by the names they have in the action table: `c`, `Ctrl-P`, `Shift-F11`, `Enter`.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Whose habits the keys follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// Those of the action table alone: gdb's letters, with VS Code's function keys.
    #[default]
    Gdb,
    Nnd,
    Vscode,
}

/// Keys that come before those of the action table, by the action's name.
const PRESETS: &[(Preset, &str, &[&str])] = &[
    (Preset::Nnd, "stepi", &["S"]),
    (Preset::Nnd, "nexti", &["N"]),
    (Preset::Nnd, "interrupt", &["C"]),
    (Preset::Nnd, "up", &["["]),
    (Preset::Nnd, "down", &["]"]),
    (Preset::Vscode, "continue", &["F5"]),
    (Preset::Vscode, "next", &["F10"]),
    (Preset::Vscode, "step", &["F11"]),
    (Preset::Vscode, "finish", &["Shift-F11"]),
    (Preset::Vscode, "stepi", &["Ctrl-F11"]),
    (Preset::Vscode, "nexti", &["Ctrl-F10"]),
    (Preset::Vscode, "break", &["F9"]),
    (Preset::Vscode, "interrupt", &["F6"]),
    (Preset::Vscode, "quit", &["Shift-F5"]),
    (Preset::Vscode, "palette", &["F1"]),
    (Preset::Vscode, "go to", &["Ctrl-G"]),
    (Preset::Vscode, "find", &["Ctrl-F"]),
    (Preset::Vscode, "choose", &["F12"]),
];

impl Preset {
    pub const ALL: [Self; 3] = [Self::Gdb, Self::Nnd, Self::Vscode];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gdb => "gdb",
            Self::Nnd => "nnd",
            Self::Vscode => "vscode",
        }
    }

    /// The preset of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// What it gives an action beside the table's own keys.
    #[must_use]
    pub fn keys(self, action: &str) -> &'static [&'static str] {
        let mut rows = PRESETS.iter();
        rows.find(|(preset, name, _)| *preset == self && *name == action)
            .map_or(&[], |(_, _, keys)| keys)
    }

    /// The action that a key stands for by the preset alone.
    #[must_use]
    pub fn action(self, key: &str) -> Option<&'static str> {
        let mut rows = PRESETS.iter();
        rows.find(|(preset, _, keys)| *preset == self && keys.contains(&key))
            .map(|(_, name, _)| *name)
    }
}

/// Every preset's keys, for the book.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "\n## Presets\n\n`--keys` chooses whose habits the keys follow; these come before the table's own, which stay.\n\n\
         | preset | key | does |\n|---|---|---|\n",
    );
    for (preset, action, keys) in PRESETS {
        let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        text.push_str(&format!(
            "| {} | {} | {action} |\n",
            preset.name(),
            keys.join(" ")
        ));
    }
    text
}

/// The name of a key press; none for keys that have no name here.
#[must_use]
pub fn name(key: &KeyEvent) -> Option<String> {
    let base = match key.code {
        KeyCode::Char(' ') => "Space".to_owned(),
        // A letter carries its own case.
        KeyCode::Char(letter) if key.modifiers.contains(KeyModifiers::CONTROL) => {
            letter.to_uppercase().to_string()
        }
        KeyCode::Char(letter) => letter.to_string(),
        KeyCode::F(number) => format!("F{number}"),
        KeyCode::Enter => "Enter".to_owned(),
        KeyCode::Esc => "Esc".to_owned(),
        KeyCode::Tab => "Tab".to_owned(),
        KeyCode::BackTab => return Some("Shift-Tab".to_owned()),
        KeyCode::Up => "Up".to_owned(),
        KeyCode::Down => "Down".to_owned(),
        KeyCode::Left => "Left".to_owned(),
        KeyCode::Right => "Right".to_owned(),
        KeyCode::PageUp => "PgUp".to_owned(),
        KeyCode::PageDown => "PgDn".to_owned(),
        KeyCode::Home => "Home".to_owned(),
        KeyCode::End => "End".to_owned(),
        KeyCode::Delete => "Delete".to_owned(),
        KeyCode::Backspace => "Backspace".to_owned(),
        _ => return None,
    };
    let mut name = String::new();
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        name.push_str("Ctrl-");
    }
    if key.modifiers.contains(KeyModifiers::ALT) {
        name.push_str("Alt-");
    }
    let is_letter = matches!(key.code, KeyCode::Char(_));
    if key.modifiers.contains(KeyModifiers::SHIFT) && !is_letter {
        name.push_str("Shift-");
    }
    name.push_str(&base);
    // Terminals without their own code for it send Shift-F11 as F23.
    Some(match name.as_str() {
        "F23" => "Shift-F11".to_owned(),
        _ => name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_names_actions_that_there_are_and_each_key_once() {
        for (i, (preset, action, keys)) in PRESETS.iter().enumerate() {
            assert!(
                crate::action::TABLE.iter().any(|one| one.name == *action),
                "{action}"
            );
            for (other, _, others) in &PRESETS[i + 1..] {
                assert!(preset != other || !keys.iter().any(|key| others.contains(key)));
            }
            assert_eq!(preset.action(keys[0]), Some(*action));
            assert_eq!(preset.keys(action), *keys);
        }
        assert_eq!(Preset::Gdb.action("F1"), None);
        assert_eq!(Preset::named("nnd"), Some(Preset::Nnd));
    }

    #[test]
    fn keys_have_the_names_of_the_table() {
        let check = |code, modifiers, expected: &str| {
            assert_eq!(
                name(&KeyEvent::new(code, modifiers)).as_deref(),
                Some(expected)
            );
        };
        check(KeyCode::Char('c'), KeyModifiers::NONE, "c");
        check(KeyCode::Char('X'), KeyModifiers::SHIFT, "X");
        check(KeyCode::Char('p'), KeyModifiers::CONTROL, "Ctrl-P");
        check(KeyCode::F(11), KeyModifiers::SHIFT, "Shift-F11");
        check(KeyCode::F(23), KeyModifiers::NONE, "Shift-F11");
        check(KeyCode::BackTab, KeyModifiers::SHIFT, "Shift-Tab");
    }
}
