//! Keys by the names they have in the action table: `c`, `Ctrl-P`, `Shift-F11`, `Enter`.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

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
