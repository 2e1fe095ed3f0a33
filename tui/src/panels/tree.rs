//! One class's path: the tree of calls with own and total instructions.

use std::collections::BTreeSet;

use debugger::addr::Insns;
use debugger::count::{counted, either};
use debugger::model::Model;
use debugger::trace::query::{At, Crossing, Query};
use debugger::trace::report::{Class, Node};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::listing::{find, moved, say};
use super::{Act, Effect, Panel, Screen, View};
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Tree {
    /// The class that the rest is of; another's path is seen from its beginning, with nothing folded.
    of: String,
    cursor: Cursor,
    /// Folded nodes, each as the child numbers that lead to it.
    folded: BTreeSet<Vec<usize>>,
}

struct Row<'a> {
    node: &'a Node,
    path: Vec<usize>,
    /// The filter holds for it; else it stands there for what it calls.
    meant: bool,
}

impl Tree {
    /// What is not folded and, where there is a filter, what it holds for, with all callers.
    fn rows<'a>(&self, class: &'a Class, model: &Model, look: &Look) -> Vec<Row<'a>> {
        let (all, callers) = flat(class, model, look.functions.query());
        let mut kept: Vec<bool> = all.iter().map(|row| row.meant).collect();
        for (at, caller) in callers.iter().enumerate().skip(1).rev() {
            kept[*caller] |= kept[at];
        }
        let mut hidden = vec![false; all.len()];
        for at in 1..all.len() {
            let caller = callers[at];
            hidden[at] = hidden[caller] || self.is_folded(class, &all[caller].path);
        }
        let shown = kept.into_iter().zip(hidden);
        let rows = all.into_iter().zip(shown);
        rows.filter(|(_, (kept, hidden))| *kept && !hidden)
            .map(|(row, _)| row)
            .collect()
    }

    fn is_folded(&self, class: &Class, path: &[usize]) -> bool {
        self.of == class.id && self.folded.contains(path)
    }

    fn cursor(&self, class: &Class) -> Cursor {
        match self.of == class.id {
            true => self.cursor,
            false => Cursor::default(),
        }
    }

    fn fold(&mut self, row: &Row<'_>, fold: bool) {
        if fold && !row.node.children.is_empty() {
            self.folded.insert(row.path.clone());
        } else {
            self.folded.remove(&row.path);
        }
    }
}

/// Every function in the order of execution, and the row of each one's caller.
fn flat<'a>(class: &'a Class, model: &Model, query: &Query) -> (Vec<Row<'a>>, Vec<usize>) {
    let report = model.crossings.report();
    let meant =
        |at: At<'_>| report.is_none_or(|report| query.holds_at(Crossing::of(report, class), at));
    let (mut rows, mut callers) = (Vec::new(), Vec::new());
    // A stack of its own: a path may be deep.
    let mut left = vec![(&class.path, Vec::new(), 0)];
    while let Some((node, path, caller)) = left.pop() {
        let own = rows.len();
        for (i, child) in node.children.iter().enumerate().rev() {
            let mut path: Vec<usize> = path.clone();
            path.push(i);
            left.push((child, path, own));
        }
        let depth = path.len() as u64;
        rows.push(Row {
            node,
            meant: meant(At { node, depth }),
            path,
        });
        callers.push(caller);
    }
    (rows, callers)
}

impl Panel for Tree {
    fn title(&self, view: View<'_>) -> String {
        let Some(class) = view.look.class(view.model) else {
            return "path".to_owned();
        };
        let one = match view.look.one() {
            Some(_) => ", this one crossing",
            None => "",
        };
        let title = format!("path of {} {}{one}", class.kind, class.call);
        let filter = &view.look.functions;
        if filter.query().is_empty() {
            return title;
        }
        let (all, _) = flat(class, view.model, filter.query());
        let meant = all.iter().filter(|row| row.meant);
        let (count, own) = meant.fold((0, 0), |(n, sum), row| (n + 1, sum + row.node.own));
        format!(
            "{title}{}: {count} of {}, {} of {} own",
            filter.title(),
            counted(all.len(), "function"),
            counted(Insns(own), "instruction"),
            either(count, "its", "their")
        )
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let Some(class) = look.class(model) else {
            return if *act == Act::Enter {
                vec![Effect::Show(Screen::Crossings)]
            } else {
                Vec::new()
            };
        };
        if self.of != class.id {
            *self = Self {
                of: class.id.clone(),
                ..Self::default()
            };
        }
        let rows = self.rows(class, model, look);
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
        let rows = self.rows(class, view.model, view.look);
        if rows.is_empty() {
            let words = "no function of the path is as the filter wants; / changes it, Esc there removes it";
            return say(words, view, area, buf);
        }
        let height = usize::from(area.height);
        let width = usize::from(area.width);
        let cursor = self.cursor(class);
        let top = cursor.top(rows.len(), height);
        for (row, what) in rows.iter().skip(top).take(height).enumerate() {
            let node = what.node;
            let mark = match (node.children.is_empty(), self.is_folded(class, &what.path)) {
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
            let (colour, plain) = match what.meant {
                true => (view.theme.origin(node.origin), Style::default()),
                false => (view.theme.dim(), view.theme.dim()),
            };
            let line = Line::from(vec![
                Span::styled(format!("{head:<room$} "), colour),
                Span::styled(figures, plain),
            ]);
            text::put(buf, area, row, line);
            if top + row == cursor.row(rows.len()) {
                text::paint(buf, area, row, view.theme.selected(view.focused));
            }
        }
    }
}
