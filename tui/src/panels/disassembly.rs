//! The instructions of the selected frame's function, or of where the user went.

use debugger::command::{Command, Location, Syntax};
use debugger::event::DisassemblyLine;
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::held::Held;
use super::listing::{explain, find, moved};
use super::{Act, Effect, Panel, View};
use crate::batch::text::goes;
use crate::look::Look;
use crate::widgets::arrows::{self, Jump};
use crate::widgets::cursor::{Cursor, centred};
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Disassembly {
    at: Option<Held<Location>>,
    cursor: Option<Held<Cursor>>,
    pub att: bool,
}

impl Disassembly {
    pub fn go(&mut self, model: &Model, location: Location) {
        self.at = Some(Held::new(model, location));
        self.cursor = None;
    }

    /// Between Intel's and AT&T's way of writing.
    pub const fn switch_syntax(&mut self) {
        self.att = !self.att;
    }

    #[must_use]
    pub fn marked<'a>(&self, model: &'a Model) -> Option<&'a DisassemblyLine> {
        let list = model.disassembly.yes()?;
        list.get(self.row(model, list))
    }

    /// The line that sets a breakpoint at the marked instruction, or removes the one there.
    #[must_use]
    pub fn toggle(&self, model: &Model) -> Option<String> {
        let line = self.marked(model)?;
        Some(match line.breakpoint {
            Some(number) => format!("delete {number}"),
            None => format!("break *{:?}", line.place.addr),
        })
    }

    fn cursor(&self, model: &Model) -> Option<Cursor> {
        self.cursor
            .as_ref()
            .and_then(|held| held.get(model))
            .copied()
    }

    fn row(&self, model: &Model, list: &[DisassemblyLine]) -> usize {
        let current = || list.iter().position(|line| line.current).unwrap_or(0);
        self.cursor(model)
            .map_or_else(current, |cursor| cursor.row(list.len()))
    }

    fn top(&self, model: &Model, list: &[DisassemblyLine], height: usize) -> usize {
        match self.cursor(model) {
            Some(cursor) => cursor.top(list.len(), height),
            None => centred(self.row(model, list), list.len(), height),
        }
    }
}

impl Panel for Disassembly {
    fn title(&self, view: View<'_>) -> String {
        let name = self
            .marked(view.model)
            .and_then(|line| line.place.symbol.as_deref());
        match name {
            Some(name) => format!("disassembly {name}"),
            None => "disassembly".to_owned(),
        }
    }

    fn wants(&self, view: View<'_>, _area: Rect) -> Vec<(Topic, Command)> {
        let location = self.at.as_ref().and_then(|held| held.get(view.model));
        let command = Command::Disassemble {
            location: location.cloned(),
            count: 0,
            syntax: if self.att { Syntax::Att } else { Syntax::Intel },
        };
        vec![(Topic::Disassembly, command)]
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        let Some(list) = model.disassembly.yes() else {
            return Vec::new();
        };
        let height = usize::from(area.height).max(1);
        let mut cursor = self.cursor(model).unwrap_or_else(|| {
            // Begin where the view stands, so that the first key moves one row.
            let mut cursor = Cursor::default();
            let row = self.row(model, list);
            let top = centred(row, list.len(), height);
            cursor.go((top + height).saturating_sub(1), list.len(), height);
            cursor.go(top, list.len(), height);
            cursor.go(row, list.len(), height);
            cursor
        });
        if let Act::Find(needle) = act {
            let row = |at: usize| format!("{} {}", list[at].mnemonic, list[at].operands);
            match find(cursor.row(list.len()), list.len(), needle, row) {
                Some(found) => cursor.go(found, list.len(), height),
                None => return vec![Effect::Say(format!("'{needle}' is not in this function"))],
            }
        } else if *act == Act::Enter {
            // Follow a branch or call.
            let target = list
                .get(cursor.row(list.len()))
                .and_then(|line| line.target.as_ref());
            if let Some(target) = target {
                self.go(model, Location::Addr(target.addr));
                return Vec::new();
            }
        } else if !moved(&mut cursor, act, list.len(), area) {
            return Vec::new();
        }
        self.cursor = Some(Held::new(model, cursor));
        match act {
            Act::Click(_, column) if *column < GUTTER => {
                self.toggle(model).map(Effect::Type).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(list) = view.model.disassembly.yes() else {
            return explain(&view.model.disassembly.value, view, area, buf);
        };
        let height = usize::from(area.height);
        let fresh = view.model.is_fresh(&view.model.disassembly);
        let marked = self.row(view.model, list);
        let top = self.top(view.model, list, height);
        let jumps = jumps(list);
        let lanes = if jumps.is_empty() { 0 } else { LANES };
        let mut arrows = arrows::columns(&jumps, top, height, lanes.max(1)).into_iter();
        for (row, line) in list.iter().skip(top).take(height).enumerate() {
            let arrow = arrows.next().filter(|_| lanes > 0);
            text::put(buf, area, row, spans(line, arrow, fresh, view));
            if top + row == marked && self.cursor(view.model).is_some() {
                text::paint(buf, area, row, view.theme.selected(view.focused));
            }
        }
    }
}

/// Columns of the origin, the address and the mark: a click there sets a breakpoint.
const GUTTER: usize = 19;
/// Columns for arrows.
const LANES: usize = 3;

/// The jumps that stay within the list, by their rows.
fn jumps(list: &[DisassemblyLine]) -> Vec<Jump> {
    let row_of = |line: &DisassemblyLine| {
        let target = line.target.as_ref()?.addr;
        list.binary_search_by_key(&target, |line| line.place.addr)
            .ok()
    };
    list.iter()
        .enumerate()
        .filter(|(_, line)| is_jump(&line.mnemonic))
        .filter_map(|(from, line)| row_of(line).map(|to| Jump { from, to }))
        .collect()
}

fn is_jump(mnemonic: &str) -> bool {
    mnemonic.starts_with('j') || mnemonic.starts_with("loop")
}

fn spans(
    line: &DisassemblyLine,
    arrow: Option<String>,
    fresh: bool,
    view: View<'_>,
) -> Line<'static> {
    let theme = view.theme;
    let style = match (fresh, line.current) {
        (false, _) => theme.dim(),
        (true, true) => theme.current(),
        (true, false) => Style::new(),
    };
    let origin = theme.origin(line.place.origin);
    let mark = match (line.current && fresh, line.breakpoint) {
        (true, _) => Span::styled("▶", origin),
        (false, Some(_)) => Span::styled("●", theme.alarm()),
        (false, None) => Span::raw(" "),
    };
    let mut spans = vec![
        Span::styled(format!("{} ", line.place.origin.letter()), origin),
        Span::styled(line.place.addr.to_string(), theme.dim()),
        mark,
    ];
    spans.extend(arrow.map(|arrow| Span::styled(arrow, theme.rule())));
    spans.push(Span::styled(format!("{:<6} ", line.mnemonic), style));
    match &line.target {
        Some(target) => {
            spans.push(Span::styled(
                format!("{} ", target.origin.letter()),
                theme.origin(target.origin),
            ));
            spans.push(Span::styled(
                line.operands.clone(),
                theme.origin(target.origin),
            ));
        }
        None => spans.push(Span::styled(line.operands.clone(), style)),
    }
    if let Some(goes) = goes(line).filter(|_| fresh) {
        spans.push(Span::styled(format!(" {goes}"), theme.dim()));
    }
    if let Some(kind) = line.crossing {
        spans.push(Span::styled(format!(" ══ {kind}"), theme.crossing()));
    }
    Line::from(spans)
}
