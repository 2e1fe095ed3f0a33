//! The table as text: for `help`, and for the book.

use std::fmt::Write as _;

use super::CommandError;
use super::entry::{Entry, Group};
use super::parse::find;
use super::table::TABLE;

const GROUPS: &[(Group, &str)] = &[
    (Group::Running, "Running and stepping"),
    (Group::Boundary, "The boundary"),
    (Group::Back, "Back in time"),
    (Group::Breakpoints, "Breakpoints"),
    (Group::Looking, "Looking"),
    (Group::Other, "Other"),
];

const PLACES: &str = "A LOCATION is a symbol (ksys_write), one of several with that name by its origin (app:write, kernel:fs:write) or file (read_write.c:vfs_write), \
a source line (read_write.c:636), or an address (0xffffffff81000000, *main+4).";

/// Lines for `help` and `help COMMAND`.
///
/// # Errors
/// When the topic is no command.
pub fn help(topic: Option<&str>) -> Result<Vec<String>, CommandError> {
    match topic {
        Some(word) => {
            let entry = find(word)?;
            let mut lines = vec![entry.usage(), format!("  {}", entry.help)];
            if !entry.short.is_empty() {
                lines.push(format!("  short: {}", entry.short.join(", ")));
            }
            if entry.arguments.contains("LOCATION") {
                lines.push(format!("  {PLACES}"));
            }
            Ok(lines)
        }
        None => {
            let mut lines = Vec::new();
            for (group, title) in GROUPS {
                lines.push((*title).to_owned());
                for entry in of(*group) {
                    let short = entry.short.first().copied().unwrap_or("");
                    lines.push(format!("  {:<12} {short:<5} {}", entry.name, entry.help));
                }
            }
            Ok(lines)
        }
    }
}

/// The table in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    for (group, title) in GROUPS {
        let _ = write!(
            text,
            "## {title}\n\n| command | short | does |\n|---|---|---|\n"
        );
        for entry in of(*group) {
            let usage = entry.usage().replace('|', "\\|");
            let short: Vec<String> = entry.short.iter().map(|name| format!("`{name}`")).collect();
            let _ = writeln!(text, "| `{usage}` | {} | {} |", short.join(" "), entry.help);
        }
        text.push('\n');
    }
    text.push_str(PLACES);
    text.push('\n');
    text
}

fn of(group: Group) -> impl Iterator<Item = &'static Entry> {
    TABLE.iter().filter(move |entry| entry.group == group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_help_and_in_the_book() {
        let lines = help(None).unwrap().join("\n");
        let book = reference();
        for entry in TABLE {
            assert!(lines.contains(entry.name), "{}", entry.name);
            assert!(book.contains(&format!("`{}", entry.name)), "{}", entry.name);
            assert!(help(Some(entry.name)).is_ok());
        }
        assert!(help(Some("nothing")).is_err());
    }
}
