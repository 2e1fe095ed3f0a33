//! The palette: a fuzzy search over actions, commands, symbols, types and files.

use std::fmt;

use debugger::command;
use debugger::session::SymbolNames;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use tui_input::{Input, InputRequest};

use crate::action;
use crate::theme::Theme;
use crate::widgets::cursor::Cursor;
use crate::widgets::{table, text};

/// Rows kept: more than any screen shows.
const KEPT: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// By its place in the action table.
    Action(usize),
    /// By its place in the command table.
    Command(usize),
    Symbol(String),
    Type(String),
    File(String),
}

pub struct Palette {
    input: Input,
    names: SymbolNames,
    found: Vec<Item>,
    cursor: Cursor,
    matcher: Matcher,
}

impl fmt::Debug for Palette {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Palette")
            .field("pattern", &self.input.value())
            .field("found", &self.found.len())
            .finish_non_exhaustive()
    }
}

impl Palette {
    #[must_use]
    pub fn new(names: &SymbolNames) -> Self {
        let mut palette = Self {
            input: Input::default(),
            names: names.clone(),
            found: Vec::new(),
            cursor: Cursor::default(),
            matcher: Matcher::new(Config::DEFAULT),
        };
        palette.search();
        palette
    }

    pub fn edit(&mut self, request: InputRequest) {
        if self.input.handle(request).is_some() {
            self.search();
        }
    }

    pub fn step(&mut self, rows: isize) {
        self.cursor.step(rows, self.found.len(), KEPT);
    }

    #[must_use]
    pub fn marked(&self) -> Option<Item> {
        self.found.get(self.cursor.row(self.found.len())).cloned()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.input.value().is_empty()
    }

    fn search(&mut self) {
        let pattern = Pattern::parse(
            self.input.value(),
            CaseMatching::Smart,
            Normalization::Smart,
        );
        let mut letters = Vec::new();
        let typed = self.input.value();
        let mut score = |name: &str, matcher: &mut Matcher| {
            let points = pattern.score(Utf32Str::new(name, &mut letters), matcher)?;
            Some(points + nearness(name, typed))
        };
        let mut scored: Vec<(u32, usize, Item)> = Vec::new();
        for (i, action) in action::TABLE.iter().enumerate() {
            if let Some(points) = score(action.name, &mut self.matcher) {
                scored.push((points + 2, scored.len(), Item::Action(i)));
            }
        }
        for (i, entry) in command::TABLE.iter().enumerate() {
            if let Some(points) = score(entry.name, &mut self.matcher) {
                scored.push((points + 1, scored.len(), Item::Command(i)));
            }
        }
        // Every symbol of a kernel is no help to somebody who has typed nothing.
        if !self.input.value().is_empty() {
            for name in self.names.all() {
                if let Some(points) = score(name, &mut self.matcher) {
                    scored.push((points, scored.len(), Item::Symbol(name.clone())));
                }
            }
            for name in self.names.types().iter() {
                if let Some(points) = score(name, &mut self.matcher) {
                    scored.push((points, scored.len(), Item::Type(name.clone())));
                }
            }
            for name in self.names.files().iter() {
                if let Some(points) = score(name, &mut self.matcher) {
                    scored.push((points, scored.len(), Item::File(name.clone())));
                }
            }
        }
        // Best first; of equals the shorter symbol, for it is matched by a larger part.
        let length = |item: &Item| match item {
            Item::Symbol(name) | Item::Type(name) | Item::File(name) => name.len(),
            Item::Action(_) | Item::Command(_) => 0,
        };
        scored.sort_by_key(|(points, at, item)| (std::cmp::Reverse(*points), length(item), *at));
        scored.truncate(KEPT);
        self.found = scored.into_iter().map(|(_, _, item)| item).collect();
        self.cursor = Cursor::default();
    }

    /// Draws it over the middle of `area`; where the cursor stands.
    pub fn draw(&self, theme: Theme, area: Rect, buf: &mut Buffer) -> Position {
        let area = super::help::middle(area, 70, 18);
        super::help::clear(area, buf);
        let sign = "search: ";
        let line = Line::from(vec![
            Span::styled(sign, theme.key()),
            Span::raw(self.input.value()),
        ]);
        text::put(buf, area, 0, line);
        let list = table::below_head(area);
        let height = usize::from(list.height);
        let top = self.cursor.top(self.found.len(), height);
        for (row, item) in self.found.iter().skip(top).take(height).enumerate() {
            text::put(buf, list, row, describe(item, theme));
            if top + row == self.cursor.row(self.found.len()) {
                text::paint(buf, list, row, theme.selected(true));
            }
        }
        if self.found.is_empty() {
            text::put(buf, list, 0, Line::styled("nothing fits", theme.dim()));
        }
        let column = text::columns(sign.len() + self.input.visual_cursor());
        Position::new(
            area.x
                .saturating_add(column)
                .min(area.right().saturating_sub(1)),
            area.y,
        )
    }
}

/// What was typed in one piece is what is looked for, wherever else its letters are.
fn nearness(name: &str, typed: &str) -> u32 {
    match typed.len() {
        0 => 0,
        _ if name == typed => 300,
        _ if name.starts_with(typed) => 150,
        _ if name.contains(typed) => 100,
        _ => 0,
    }
}

fn describe(item: &Item, theme: Theme) -> Line<'static> {
    let (kind, name, help) = match item {
        Item::Action(i) => {
            let action = &action::TABLE[*i];
            let key = action.keys.first().copied().unwrap_or("");
            ("key", format!("{} ({key})", action.name), action.help)
        }
        Item::Command(i) => {
            let entry = &command::TABLE[*i];
            (":", entry.usage(), entry.help)
        }
        Item::Symbol(name) => ("symbol", name.clone(), "shown in source and disassembly"),
        Item::Type(name) => ("type", name.clone(), "its members, in the console"),
        Item::File(name) => {
            let end = text::fit_end(name, 30).into_owned();
            ("file", end, "shown from its first line")
        }
    };
    let name = text::fit(&name, 30).into_owned();
    Line::from(vec![
        Span::styled(format!("{kind:<7}"), theme.dim()),
        Span::styled(format!("{name:<30} "), theme.key()),
        Span::styled(help, theme.dim()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str) -> Palette {
        let mut palette = Palette::new(&SymbolNames::default());
        for letter in text.chars() {
            palette.edit(InputRequest::InsertChar(letter));
        }
        palette
    }

    #[test]
    fn a_type_and_a_file_stand_beside_commands_and_symbols() {
        let shown = |item: Item| {
            let line = describe(&item, Theme::new(false));
            line.spans[0].content.trim().to_owned()
        };
        assert_eq!(shown(Item::Type("struct file".to_owned())), "type");
        assert_eq!(shown(Item::File("fs/open.c".to_owned())), "file");
        assert_eq!(shown(Item::Symbol("main".to_owned())), "symbol");
        assert_eq!(shown(Item::Command(0)), ":");
    }

    #[test]
    fn a_name_with_what_was_typed_in_one_piece_is_nearer() {
        let near = |name| nearness(name, "sys_write");
        assert!(near("sys_write") > near("sys_writev"));
        assert!(near("sys_writev") > near("ksys_write"));
        assert!(near("ksys_write") > near("sysctl_writes_strict"));
        assert_eq!(nearness("main", ""), 0);
    }

    #[test]
    fn letters_in_order_find_a_command() {
        let Some(Item::Action(at)) = search("crbk").marked() else {
            panic!("no action found");
        };
        assert_eq!(action::TABLE[at].name, "cross back");
        assert_eq!(search("qqqq").marked(), None);
    }
}
