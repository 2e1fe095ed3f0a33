//! A tree of values that is opened node by node: what locals and watches have in common.
//!
//! Nodes are known by their expressions, so that they stay open from stop to stop; only what is in
//! sight is asked for.

use std::collections::{BTreeMap, BTreeSet};

use debugger::command::PartsOf;
use debugger::event::Part;
use debugger::known::Known;
use debugger::model::{Model, Path, Values};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::View;
use super::listing::{find, moved};
use super::{Act, Effect};
use crate::batch::text as words;
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

/// Parts of one node that are rows at first; the row below them gives as many more.
const MANY: u64 = 1_000;
/// Deeper than anybody opens by hand.
const DEEPEST: usize = 64;
/// In the order the key goes through them; the type's own way comes first.
const LETTERS: [Option<char>; 6] = [None, Some('x'), Some('d'), Some('t'), Some('c'), Some('a')];

#[derive(Debug, Default)]
pub struct Tree {
    cursor: Cursor,
    open: BTreeSet<Path>,
    letters: BTreeMap<Path, char>,
    /// How many parts are rows, where more than at first.
    more: BTreeMap<Path, u64>,
}

/// What a tree stands on.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub values: &'a Values,
    /// The function whose variables they are; empty for what hangs on none.
    pub scope: String,
    /// None where it is not known yet.
    pub roots: Vec<Option<Part>>,
    pub generation: u64,
    pub stop: u64,
    /// Whether what is shown is true at this stop.
    pub fresh: bool,
}

/// A row of the tree.
#[derive(Debug)]
pub(super) struct Row<'a> {
    depth: usize,
    pub kind: Kind<'a>,
    /// Of which it is a part; none for a root.
    parent: Option<Path>,
    /// Among the parent's parts, or the roots.
    index: u64,
    /// How its numbers are written.
    letter: Option<char>,
    /// How the parent's other parts are.
    others: Option<char>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind<'a> {
    Part(&'a Part, Path),
    /// Not told yet.
    Pending,
    /// So many more.
    More(u64),
}

impl Row<'_> {
    /// Among the roots, for one of them.
    pub(super) const fn root(&self) -> Option<u64> {
        match self.parent {
            None => Some(self.index),
            Some(_) => None,
        }
    }
}

impl<'a> Ground<'a> {
    /// All rows, of all that is open.
    pub(super) fn rows(&'a self, tree: &Tree) -> Vec<Row<'a>> {
        let mut rows = Vec::new();
        for (i, root) in (0..).zip(&self.roots) {
            self.push(tree, &mut rows, (0, root.as_ref()), (None, i), None);
        }
        rows
    }

    fn push(
        &'a self,
        tree: &Tree,
        rows: &mut Vec<Row<'a>>,
        (depth, part): (usize, Option<&'a Part>),
        (parent, index): (Option<Path>, u64),
        others: Option<char>,
    ) {
        let path = part.map(|part| (self.scope.clone(), part.expression.clone()));
        let own = path.as_ref().and_then(|path| tree.letters.get(path));
        let letter = own.copied().or(others);
        rows.push(Row {
            depth,
            kind: match (part, &path) {
                (Some(part), Some(path)) => Kind::Part(part, path.clone()),
                _ => Kind::Pending,
            },
            parent,
            index,
            letter,
            others,
        });
        let (Some(part), Some(path)) = (part, path) else {
            return;
        };
        if !part.opens || depth >= DEEPEST || !tree.open.contains(&path) {
            return;
        }
        let below = |kind, index| Row {
            depth: depth + 1,
            kind,
            parent: Some(path.clone()),
            index,
            letter,
            others: letter,
        };
        let node = self.values.node(&path).filter(|node| node.total > 0);
        let Some(node) = node else {
            rows.push(below(Kind::Pending, 0));
            return;
        };
        let limit = tree.more.get(&path).copied().unwrap_or(MANY);
        for i in 0..node.total.min(limit) {
            let place = (Some(path.clone()), i);
            self.push(tree, rows, (depth + 1, node.part(i)), place, letter);
        }
        if node.total > limit {
            rows.push(below(Kind::More(node.total - limit), limit));
        }
    }

    /// What the rows in sight lack as of this stop.
    pub(super) fn lacks(&self, tree: &Tree, height: usize) -> Vec<PartsOf> {
        let rows = self.rows(tree);
        let top = tree.cursor.top(rows.len(), height);
        let mut asked: Vec<PartsOf> = Vec::new();
        for row in rows.iter().skip(top).take(height) {
            if let Some(parent) = &row.parent
                && !matches!(row.kind, Kind::More(_))
            {
                let node = self.values.node(parent);
                let knows = node.is_some_and(|node| {
                    node.knows(row.index, row.others, self.generation)
                        || node.total == 0 && node.is_known(row.others, self.generation)
                });
                if !knows {
                    want(&mut asked, &parent.1, row.others, row.index);
                }
            }
            if let Kind::Part(part, path) = &row.kind
                && row.letter != row.others
                && !tree.is_open(part, path)
            {
                let node = self.values.node(path);
                if !node.is_some_and(|node| node.is_known(row.letter, self.generation)) {
                    asked.push(PartsOf {
                        expression: Some(part.expression.clone()),
                        letter: row.letter,
                        from: 0,
                        count: 0,
                    });
                }
            }
        }
        asked
    }

    /// The value of a row as it is shown.
    fn value<'b>(&'b self, row: &Row<'_>, part: &'b Part, path: &Path) -> &'b Known<String> {
        if row.letter == row.others {
            return &part.value;
        }
        match self.values.node(path) {
            Some(node) if node.of().expression == part.expression => &node.of().value,
            _ => &part.value,
        }
    }
}

/// Adds one part to what is asked of its whole.
fn want(asked: &mut Vec<PartsOf>, expression: &str, letter: Option<char>, index: u64) {
    let same =
        |one: &&mut PartsOf| one.expression.as_deref() == Some(expression) && one.letter == letter;
    match asked.iter_mut().find(same) {
        Some(one) => {
            let end = (one.from + one.count).max(index + 1);
            one.from = one.from.min(index);
            one.count = end - one.from;
        }
        None => asked.push(PartsOf {
            expression: Some(expression.to_owned()),
            letter,
            from: index,
            count: 1,
        }),
    }
}

impl Tree {
    fn is_open(&self, part: &Part, path: &Path) -> bool {
        part.opens && self.open.contains(path)
    }

    /// The first row in sight.
    pub(super) fn top(&self, len: usize, height: usize) -> usize {
        self.cursor.top(len, height)
    }

    /// The value of the marked row, and how its numbers are written.
    pub(super) fn marked(&self, ground: &Ground<'_>) -> Option<(Part, Option<char>)> {
        let rows = ground.rows(self);
        let row = rows.get(self.cursor.row(rows.len()))?;
        match &row.kind {
            Kind::Part(part, path) => {
                let value = ground.value(row, part, path).clone();
                let part = Part {
                    value,
                    ..(*part).clone()
                };
                Some((part, row.letter))
            }
            Kind::Pending | Kind::More(_) => None,
        }
    }

    /// Which root the marked row belongs to.
    pub(super) fn root(&self, ground: &Ground<'_>) -> Option<usize> {
        let rows = ground.rows(self);
        let at = self.cursor.row(rows.len());
        let above = rows.iter().take(at + 1);
        above
            .filter(|row| row.parent.is_none())
            .count()
            .checked_sub(1)
    }

    /// Writes the marked value's numbers in the next way.
    pub(super) fn next_letter(&mut self, ground: &Ground<'_>) {
        let rows = ground.rows(self);
        let Some(row) = rows.get(self.cursor.row(rows.len())) else {
            return;
        };
        let Kind::Part(_, path) = &row.kind else {
            return;
        };
        let at = LETTERS.iter().position(|letter| *letter == row.letter);
        let next = LETTERS[at.map_or(0, |at| (at + 1) % LETTERS.len())];
        match next {
            Some(letter) => self.letters.insert(path.clone(), letter),
            None => self.letters.remove(path),
        };
    }

    pub(super) fn act(&mut self, act: &Act, ground: &Ground<'_>, area: Rect) -> Vec<Effect> {
        let rows = ground.rows(self);
        let height = usize::from(area.height).max(1);
        let at = self.cursor.row(rows.len());
        match act {
            Act::Find(needle) => {
                let name = |at: usize| match &rows[at].kind {
                    Kind::Part(part, _) => {
                        format!("{} {}", part.name, words::known(&part.value, String::clone))
                    }
                    Kind::Pending | Kind::More(_) => String::new(),
                };
                return match find(at, rows.len(), needle, name) {
                    Some(found) => {
                        self.cursor.go(found, rows.len(), height);
                        Vec::new()
                    }
                    None => vec![Effect::Say(format!("'{needle}' is in no row that is open"))],
                };
            }
            Act::Enter => return self.enter(rows.get(at)),
            Act::Side(by) => {
                if let Some(to) = self.side(&rows, at, *by) {
                    self.cursor.go(to, rows.len(), height);
                }
            }
            Act::Click(row, column) => {
                let clicked = self.cursor.top(rows.len(), height) + row;
                let mark = rows.get(clicked).map_or(0, |row| 2 * row.depth);
                self.cursor.go(clicked, rows.len(), height);
                // Its mark, or the row once more.
                if clicked < rows.len() && (*column <= mark + 1 || clicked == at) {
                    self.toggle(&rows[clicked]);
                }
            }
            _ => {
                moved(&mut self.cursor, act, rows.len(), area);
            }
        }
        Vec::new()
    }

    fn enter(&mut self, row: Option<&Row<'_>>) -> Vec<Effect> {
        let Some(row) = row else {
            return Vec::new();
        };
        match &row.kind {
            Kind::Part(part, _) if !part.opens => vec![Effect::Edit(assignment(part))],
            _ => {
                self.toggle(row);
                Vec::new()
            }
        }
    }

    fn toggle(&mut self, row: &Row<'_>) {
        match &row.kind {
            Kind::Part(part, path) if part.opens => {
                if !self.open.remove(path) {
                    self.open.insert(path.clone());
                }
            }
            Kind::More(_) => {
                if let Some(parent) = &row.parent {
                    self.more.insert(parent.clone(), row.index + MANY);
                }
            }
            Kind::Part(..) | Kind::Pending => {}
        }
    }

    /// Opens to the right, closes to the left; on to the first part, or up to the whole.
    fn side(&mut self, rows: &[Row<'_>], at: usize, by: isize) -> Option<usize> {
        let row = rows.get(at)?;
        if let Kind::Part(part, path) = &row.kind
            && part.opens
        {
            match (by > 0, self.open.contains(path)) {
                (true, false) => {
                    self.open.insert(path.clone());
                    return None;
                }
                (true, true) => return Some(at + 1),
                (false, true) => {
                    self.open.remove(path);
                    return None;
                }
                (false, false) => {}
            }
        }
        if by > 0 {
            return None;
        }
        rows[..at].iter().rposition(|above| above.depth < row.depth)
    }

    pub(super) fn draw(&self, ground: &Ground<'_>, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let rows = ground.rows(self);
        let height = usize::from(area.height);
        let top = self.cursor.top(rows.len(), height);
        let roots = ground.roots.iter().flatten();
        let longest = roots.map(|root| root.name.chars().count()).max();
        let name_width = longest.unwrap_or(0).min(20);
        for (at, row) in rows.iter().skip(top).take(height).enumerate() {
            text::put(buf, area, at, self.line(ground, row, name_width, view));
            if view.focused && top + at == self.cursor.row(rows.len()) {
                text::paint(buf, area, at, view.theme.selected(true));
            }
        }
    }

    fn line(
        &self,
        ground: &Ground<'_>,
        row: &Row<'_>,
        name_width: usize,
        view: View<'_>,
    ) -> Line<'static> {
        let theme = view.theme;
        let indent = "  ".repeat(row.depth);
        let (part, path) = match &row.kind {
            Kind::Part(part, path) => (*part, path),
            Kind::Pending => {
                let node = row
                    .parent
                    .as_ref()
                    .and_then(|path| ground.values.node(path));
                let why = match node.map(|node| &node.of().value) {
                    Some(Known::No(why)) => why.as_str(),
                    _ => "…",
                };
                return Line::styled(format!("{indent}  {why}"), theme.dim());
            }
            Kind::More(count) => {
                return Line::styled(format!("{indent}▸ … {count} more"), theme.dim());
            }
        };
        let value = ground.value(row, part, path);
        // At a past stop what was shown last is no measure: the session marks what it has kept.
        let is_back = view.model.past.is_some();
        let changed =
            part.changed || !is_back && ground.values.is_changed(path, row.letter, ground.stop);
        let fresh = ground.fresh
            && row.parent.as_ref().is_none_or(|parent| {
                let node = ground.values.node(parent);
                node.is_some_and(|node| node.knows(row.index, row.others, ground.generation))
            });
        let style = match (fresh && value.yes().is_some(), changed) {
            (false, _) => theme.dim(),
            (true, true) => theme.changed(),
            (true, false) => Style::new(),
        };
        let mark = match (part.opens, self.open.contains(path)) {
            (false, _) => " ",
            (true, false) => "▸",
            (true, true) => "▾",
        };
        let name = match row.depth {
            0 => format!("{:<name_width$}", part.name),
            _ => part.name.clone(),
        };
        let shown = match value {
            Known::No(why) => format!("<{why}>"),
            known => words::known(known, String::clone),
        };
        let changed = if changed && fresh { "*" } else { "" };
        let letter = match row.letter {
            Some(letter) => format!("/{letter} "),
            None => String::new(),
        };
        let type_name = part.type_name.as_deref().unwrap_or("");
        Line::from(vec![
            Span::styled(format!("{indent}{mark} "), theme.dim()),
            Span::styled(format!("{name} "), theme.key()),
            Span::styled(letter, theme.dim()),
            Span::styled(format!("{shown}{changed}"), style),
            Span::styled(format!("  {type_name}"), theme.dim()),
        ])
    }
}

/// The line that assigns to a value, to be finished by hand.
pub(super) fn assignment(part: &Part) -> String {
    format!("set var {} = ", part.expression)
}

/// Whether the target stands, so that what is shown may be asked for.
pub(super) fn ground<'a>(
    model: &'a Model,
    values: &'a Values,
    scope: &str,
    roots: Vec<Option<Part>>,
) -> Ground<'a> {
    Ground {
        values,
        scope: scope.to_owned(),
        roots,
        generation: model.run.generation,
        stop: model.run.stops,
        fresh: model.run.answers(),
    }
}
