//! What a query that is being typed may go on with.

use super::field::{FIELDS, Field, Get};
use super::token::KEYWORDS;
use crate::crossing::{CrossingKind, Mode};
use crate::origin::Subsystem;

/// Whole lines that this one may become: the last word is a field, or the value of one.
#[must_use]
pub fn complete(line: &str) -> Vec<String> {
    let between = |letter: &char| letter.is_whitespace() || "()".contains(*letter);
    let mut letters = line.char_indices().rev();
    let start = letters
        .find(|(_, letter)| between(letter))
        .map_or(0, |(at, letter)| at + letter.len_utf8());
    let (before, word) = line.split_at(start);
    let sign = word.find(['=', '~', '<', '>', '!']);
    let found: Vec<String> = match sign {
        None => {
            let fields = FIELDS.iter().map(Field::beginning);
            let fields = fields.filter(|name| name.starts_with(word));
            let keywords = KEYWORDS.map(|keyword| format!("{keyword} "));
            let wanted = |keyword: &String| !word.is_empty() && keyword.starts_with(word);
            fields.chain(keywords.into_iter().filter(wanted)).collect()
        }
        Some(at) => {
            let value = word[at..].trim_start_matches(['=', '~', '<', '>', '!']);
            let head = &word[..word.len() - value.len()];
            let values = Field::named(&word[..at]).map_or_else(Vec::new, Field::known_values);
            let fitting = values.into_iter().filter(|known| known.starts_with(value));
            fitting.map(|known| format!("{head}{known}")).collect()
        }
    };
    found
        .into_iter()
        .map(|word| format!("{before}{word}"))
        .collect()
}

impl Field {
    /// Itself with the sign that mostly follows it.
    fn beginning(&self) -> String {
        let sign = match self.get {
            Get::Flag(_) => "",
            Get::Number(_) | Get::NodeNumber(_) => ">",
            Get::Text(_) | Get::NodeText(_) | Get::UseText(_) => "~",
            Get::Kind(_) | Get::Mode(_) | Get::NodeOrigin(_) | Get::UseTask => "=",
        };
        format!("{}{sign}", self.name)
    }

    fn known_values(&self) -> Vec<String> {
        match self.get {
            Get::Flag(_) => vec!["true".to_owned(), "false".to_owned()],
            Get::Kind(_) => CrossingKind::ALL.map(|kind| kind.name().to_owned()).into(),
            Get::Mode(_) => Mode::ALL.map(|mode| mode.name().to_owned()).into(),
            Get::NodeOrigin(_) => {
                let parts = Subsystem::names().map(|name| format!("kernel:{name}"));
                let others = ["app", "libc", "entry", "kernel", "unknown"];
                others.map(str::to_owned).into_iter().chain(parts).collect()
            }
            _ => Vec::new(),
        }
    }
}
