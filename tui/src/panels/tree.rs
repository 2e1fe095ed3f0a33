//! One class's path: the tree of calls with own and total instructions.

use std::collections::BTreeSet;

use debugger::addr::Insns;
use debugger::model::Model;
use debugger::trace::report::Node;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::listing::{find, moved, say};
use super::{Act, Effect, Panel, Screen, View};
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Tree {
    cursor: Cursor,
    /// Folded nodes, each as the child numbers that lead to it.
    folded: BTreeSet<Vec<usize>>,
}

struct Row<'a> {
    node: &'a Node,
    path: Vec<usize>,
}

impl Tree {
    fn rows<'a>(&self, root: &'a Node) -> Vec<Row<'a>> {
        let mut rows = Vec::new();
        // A stack of its own: a path may be deep.
        let mut left = vec![Row {
            node: root,
            path: Vec::new(),
        }];
        while let Some(row) = left.pop() {
            if !self.folded.contains(&row.path) {
                for (i, child) in row.node.children.iter().enumerate().rev() {
                    let mut path = row.path.clone();
                    path.push(i);
                    left.push(Row { node: child, path });
                }
            }
            rows.push(row);
        }
        rows
    }

    fn fold(&mut self, row: &Row<'_>, fold: bool) {
        if fold && !row.node.children.is_empty() {
            self.folded.insert(row.path.clone());
        } else {
            self.folded.remove(&row.path);
        }
    }
}

impl Panel for Tree {
    fn title(&self, view: View<'_>) -> String {
        match view.look.class(view.model) {
            Some(class) => format!("path of {} {}", class.kind, class.call),
            None => "path".to_owned(),
        }
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let Some(class) = look.class(model) else {
            return if *act == Act::Enter {
                vec![Effect::Show(Screen::Crossings)]
            } else {
                Vec::new()
            };
        };
        let rows = self.rows(&class.path);
        let at = self.cursor.row(rows.len());
        let height = usize::from(area.height).max(1);
        match act {
            Act::Enter => {
                if let Some(row) = rows.get(at) {
                    let fold = !self.folded.contains(&row.path);
                    self.fold(row, fold);
                }
            }
            Act::Side(columns) => {
                if let Some(row) = rows.get(at) {
                    self.fold(row, *columns < 0);
                }
            }
            Act::Find(needle) => {
                match find(at, rows.len(), needle, |at| rows[at].node.symbol.clone()) {
                    Some(found) => self.cursor.go(found, rows.len(), height),
                    None => return vec![Effect::Say(format!("'{needle}' is not on this path"))],
                }
            }
            _ => {
                moved(&mut self.cursor, act, rows.len(), area);
            }
        }
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(class) = view.look.class(view.model) else {
            let words = "no crossing is marked; 3 shows them, Enter there comes here";
            return say(words, view, area, buf);
        };
        let rows = self.rows(&class.path);
        let height = usize::from(area.height);
        let width = usize::from(area.width);
        let top = self.cursor.top(rows.len(), height);
        for (row, what) in rows.iter().skip(top).take(height).enumerate() {
            let node = what.node;
            let mark = match (node.children.is_empty(), self.folded.contains(&what.path)) {
                (true, _) => ' ',
                (false, true) => '▸',
                (false, false) => '▾',
            };
            let times = match node.calls {
                0 | 1 => String::new(),
                n => format!(" ×{n}"),
            };
            let figures = format!(
                "{:>7} {:>8}",
                Insns(node.own).to_string(),
                Insns(node.total).to_string()
            );
            let indent = what.path.len().min(width / 3);
            let head = format!(
                "{} {}{mark}{}{times}",
                node.origin.letter(),
                " ".repeat(indent),
                node.symbol
            );
            let room = width.saturating_sub(figures.chars().count() + 1);
            let head = text::fit(&head, room).into_owned();
            let line = Line::from(vec![
                Span::styled(format!("{head:<room$} "), view.theme.origin(node.origin)),
                Span::raw(figures),
            ]);
            text::put(buf, area, row, line);
            if top + row == self.cursor.row(rows.len()) {
                text::paint(buf, area, row, view.theme.selected(view.focused));
            }
        }
    }
}
