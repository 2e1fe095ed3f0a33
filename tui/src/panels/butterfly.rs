//! A call in two modes as a picture: what both execute in the middle, what is removed above, what is added
//! below. The marked row is the ladder's.

use debugger::addr::Insns;
use debugger::model::Model;
use debugger::trace::flame::butterfly::{Band, Butterfly as Picture, Wing};
use debugger::trace::report::{Row, Verdict};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::ladder::{ledger, other_modes};
use super::listing::{find, say};
use super::{Act, Effect, Panel, View};
use crate::difference::Difference;
use crate::look::Look;
use crate::widgets::frames::{self, Place};
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Butterfly {
    /// What both execute takes no room.
    changes: bool,
    /// What takes the whole width.
    zoom: Option<Zoom>,
}

/// A row of one difference: another call's, or one that comes later, has other rows.
#[derive(Debug, PartialEq, Eq)]
struct Zoom {
    what: String,
    sides: [String; 2],
    row: usize,
    symbol: String,
}

impl Zoom {
    fn of(pair: &Difference<'_>, row: usize) -> Option<Self> {
        Some(Self {
            what: pair.what.clone(),
            sides: pair.sides.clone(),
            row,
            symbol: pair.rows.get(row)?.symbol.clone(),
        })
    }
}

/// Lines below the frames: the marked row, why it differs, the ledger.
const BELOW: u16 = 3;

struct Scene<'a> {
    pair: Difference<'a>,
    picture: Picture,
    /// From and to, in instructions.
    shown: (u64, u64),
    /// The marked row.
    row: usize,
    /// Of each band, its first and its number of lines, and the first level that is drawn.
    bands: [(usize, usize, usize); 3],
    body: Rect,
}

impl Butterfly {
    /// Only what differs, or all.
    pub fn switch(&mut self) {
        self.changes = !self.changes;
        self.zoom = None;
    }

    /// Out of the zoom; whether there was one.
    pub fn out(&mut self) -> bool {
        self.zoom.take().is_some()
    }

    fn scene<'a>(&self, model: &'a Model, look: &Look, area: Rect) -> Option<Scene<'a>> {
        let pair = look.difference(model)?;
        let picture = Picture::of(pair.rows, self.changes);
        let row = look.rung.row(pair.rows.len());
        let body = Rect {
            height: area.height.saturating_sub(BELOW),
            ..area
        };
        let zoom = self.zoom.as_ref();
        let zoom = zoom.filter(|zoom| Zoom::of(&pair, zoom.row).as_ref() == Some(*zoom));
        let mut wings = picture.wings.iter();
        let zoomed = wings.find(|wing| zoom.is_some_and(|zoom| zoom.row == wing.row));
        let shown = zoomed.map_or((0, picture.width), |wing| wing.span);
        let bands = bands(&picture, row, usize::from(body.height));
        Some(Scene {
            pair,
            picture,
            shown,
            row,
            bands,
            body,
        })
    }
}

/// Each band gets the lines it needs, and where there are not enough the outer ones a third at most.
fn bands(picture: &Picture, row: usize, height: usize) -> [(usize, usize, usize); 3] {
    let [removed, both, added] = Band::ALL.map(|band| picture.levels(band));
    let third = height / 3;
    let enough = removed + both + added <= height;
    let above = if enough { removed } else { removed.min(third) };
    let below = if enough { added } else { added.min(third) };
    let middle = both.min(height - above - below);
    let mut from = 0;
    let mut bands = [(0, 0, 0); 3];
    for (band, lines) in Band::ALL.into_iter().zip([above, middle, below]) {
        let mut marked = picture
            .wings
            .iter()
            .filter(|wing| wing.row == row && wing.band == band);
        let deep = marked.next().map_or(0, |wing| wing.level + 1);
        bands[band as usize] = (from, lines, deep.saturating_sub(lines));
        from += lines;
    }
    bands
}

impl Scene<'_> {
    /// Where a frame lies, and its solid part.
    fn places(&self, wing: &Wing) -> Option<(Place, Place)> {
        let (first, lines, top) = self.bands[wing.band as usize];
        let level = wing.level.checked_sub(top).filter(|level| *level < lines)?;
        // What is removed stands on the middle.
        let line = match wing.band {
            Band::Removed => first + lines - 1 - level,
            Band::Both | Band::Added => first + level,
        };
        let (from, to) = self.shown;
        let place = |(start, end): (u64, u64)| {
            let start = start.max(from);
            let inside = (start - from, end.clamp(start, to.max(start)) - from);
            Place::new(self.body, line, inside, to - from)
        };
        let is_outside = wing.span.1 <= from && wing.span.0 < from || wing.span.0 >= to;
        if is_outside {
            return None;
        }
        Some((place(wing.span)?, place(wing.solid)?))
    }

    /// The marked row's frame: where it has two, the one of what differs.
    fn marked(&self) -> Option<&Wing> {
        let wings = self
            .picture
            .wings
            .iter()
            .filter(|wing| wing.row == self.row);
        wings.max_by_key(|wing| wing.band != Band::Both)
    }

    fn at(&self, row: usize, column: usize) -> Option<&Wing> {
        let hit = |place: &Place| place.line == row && place.columns().contains(&column);
        let mut wings = self.picture.wings.iter();
        wings.find(|wing| self.places(wing).is_some_and(|(span, _)| hit(&span)))
    }

    /// The frame below the marked one, or above it.
    fn beyond(&self, down: bool) -> Option<usize> {
        let (place, solid) = self.places(self.marked()?)?;
        let mut line = place.line;
        loop {
            line = if down { line + 1 } else { line.checked_sub(1)? };
            if line >= usize::from(self.body.height) {
                return None;
            }
            if let Some(wing) = self.at(line, solid.column) {
                return Some(wing.row);
            }
        }
    }
}

impl Panel for Butterfly {
    fn title(&self, view: View<'_>) -> String {
        let Some(Difference {
            what,
            sides: [a, b],
            ..
        }) = view.look.difference(view.model)
        else {
            return "butterfly".to_owned();
        };
        let only = if self.changes {
            ", only what differs"
        } else {
            ""
        };
        format!("butterfly of {what}: {a} → {b}{only}")
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let Some(scene) = self.scene(model, look, area) else {
            return Vec::new();
        };
        let len = scene.pair.rows.len();
        let to = match act {
            Act::Step(rows) => scene.beyond(*rows > 0),
            Act::Side(rows) => Some(scene.row.saturating_add_signed(*rows)),
            Act::Page(pages) => {
                let differs = |row: &Row| row.verdict != Verdict::Same;
                let rows = scene.pair.rows;
                match pages {
                    0.. => (scene.row + 1..len).find(|at| differs(&rows[*at])),
                    _ => (0..scene.row).rev().find(|at| differs(&rows[*at])),
                }
            }
            Act::Home => Some(0),
            Act::End => Some(len.saturating_sub(1)),
            Act::Enter => {
                let marked = scene.marked();
                self.zoom = marked.and_then(|wing| Zoom::of(&scene.pair, wing.row));
                None
            }
            Act::Click(row, column) => scene.at(*row, *column).map(|wing| wing.row),
            Act::Find(needle) => {
                let name = |at: usize| scene.pair.rows[at].symbol.clone();
                match find(scene.row, len, needle, name) {
                    Some(found) => Some(found),
                    None => return vec![Effect::Say(format!("'{needle}' is in neither path"))],
                }
            }
            Act::Zoom { .. } => None,
        };
        if let Some(to) = to {
            look.rung.go(to, len, usize::from(area.height).max(1));
        }
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(scene) = self.scene(view.model, view.look, area) else {
            return say(&other_modes(view), view, area, buf);
        };
        for wing in &scene.picture.wings {
            let Some((span, solid)) = scene.places(wing) else {
                continue;
            };
            let row = &scene.pair.rows[wing.row];
            let label = format!("{} {}", sign(wing.band, row), row.symbol);
            let style = view.theme.band(wing.band);
            frames::put(
                buf,
                scene.body,
                span,
                &label,
                style.add_modifier(Modifier::DIM),
            );
            if solid.width > 0 {
                frames::mark(buf, scene.body, solid, view.theme.solid(wing.band));
            }
        }
        for wing in scene
            .picture
            .wings
            .iter()
            .filter(|wing| wing.row == scene.row)
        {
            if let Some((span, _)) = scene.places(wing) {
                frames::mark(buf, scene.body, span, view.theme.selected(view.focused));
            }
        }
        let below = Rect {
            y: scene.body.bottom(),
            height: area.height - scene.body.height,
            ..area
        };
        if let Some(row) = scene.pair.rows.get(scene.row) {
            text::put(buf, below, 0, about(row, view));
            let why = row.why().unwrap_or_default();
            text::put(
                buf,
                below,
                1,
                Line::styled(why.to_owned(), view.theme.dim()),
            );
        }
        text::put(buf, below, 2, ledger(&scene.pair, view));
    }
}

/// Without colour a frame says by a sign in which band it is.
const fn sign(band: Band, row: &Row) -> char {
    match (band, row.verdict) {
        (Band::Removed, _) => '−',
        (Band::Added, _) => '+',
        (Band::Both, Verdict::Moved) => '~',
        (Band::Both, _) => row.origin.letter(),
    }
}

fn about(row: &Row, view: View<'_>) -> Line<'static> {
    let verdict = match row.verdict {
        Verdict::Same => "the same",
        Verdict::Removed => "removed",
        Verdict::Added => "added",
        Verdict::Moved => "moved to another caller",
        Verdict::Cost => "the same, at another cost",
    };
    let name = format!("{} {} ", row.origin.letter(), row.symbol);
    let own = format!("own {} → {}, {verdict}", Insns(row.a), Insns(row.b));
    Line::from(vec![
        Span::styled(name, view.theme.origin(row.origin)),
        Span::raw(own),
    ])
}
