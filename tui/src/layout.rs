//! Size → rectangles. Pure, so that mouse and drawing agree.

use std::collections::BTreeMap;

use ratatui::layout::{Constraint, Layout as Split, Rect};

use crate::panels::{PanelId, Screen};

/// Where a panel stands: a rule with its title, and what is below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub id: PanelId,
    /// The rule and the body.
    pub whole: Rect,
    pub body: Rect,
    /// Panels that share the place; empty where it has it to itself.
    pub tabs: &'static [PanelId],
}

/// A border between two parts of an area, which may be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Border {
    pub name: &'static str,
    pub area: Rect,
    /// The first row, or column, of the second part.
    pub line: Rect,
    pub upright: bool,
}

/// Where the user moved borders to: the first part's share in thousandths, by the border's name.
pub type Shares = BTreeMap<String, u16>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub status: Rect,
    pub places: Vec<Place>,
    pub borders: Vec<Border>,
    pub keys: Rect,
}

/// What a layout is of.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub screen: Screen,
    pub focus: PanelId,
    /// The panel that a shared place shows when none of its panels has the focus.
    pub tab: PanelId,
    /// The panel below the crossings while these have the focus.
    pub below: PanelId,
    pub shares: &'a Shares,
}

const BOTTOM: &[PanelId] = &[
    PanelId::Why,
    PanelId::Locals,
    PanelId::Watches,
    PanelId::Breakpoints,
    PanelId::Tasks,
    PanelId::Log,
];

/// What shares a place where the others have one of their own.
const CORNER: &[PanelId] = &[PanelId::Breakpoints, PanelId::Tasks];

/// From here on nearly every Debug panel has a place of its own.
const WIDE: u16 = 120;
const TALL: u16 = 30;
/// Below this, one panel at a time.
const NARROW: u16 = 60;
const LOW: u16 = 16;
/// A part is no smaller, however its border is dragged: a rule and a row.
const LEAST: u16 = 2;

/// Whether a panel shares its place where there is little room.
#[must_use]
pub fn is_shared(panel: PanelId) -> bool {
    BOTTOM.contains(&panel)
}

#[must_use]
pub fn layout(size: Rect, wanted: Wanted<'_>) -> Layout {
    let (status, rest) = top(size, 1);
    let (body, keys) = bottom(rest, 1);
    let Wanted { screen, focus, .. } = wanted;
    let panels = screen.panels();
    let mut cuts = Cuts {
        shares: wanted.shares,
        borders: Vec::new(),
    };
    let tall = body.height >= TALL;
    let places = if size.width < NARROW || size.height < LOW {
        vec![place(focus, body, panels)]
    } else {
        match screen {
            Screen::Debug => debug(body, wanted, &mut cuts),
            Screen::Space => {
                let (strip, rest) = cuts.rows("strip", body, 4);
                let below = if tall { 12 } else { 6 };
                let (table, walk) = cuts.last_rows("address", rest, below);
                vec![
                    place(PanelId::Strip, strip, &[]),
                    place(PanelId::Regions, table, &[]),
                    place(PanelId::Walk, walk, &[]),
                ]
            }
            Screen::Crossings => {
                let shown = match focus {
                    PanelId::Classes => wanted.below,
                    other => other,
                };
                let (name, rows) = match shown {
                    PanelId::Modes => ("modes", 7),
                    _ => ("below crossings", body.height / 2),
                };
                let (table, below) = cuts.last_rows(name, body, rows);
                vec![
                    place(PanelId::Classes, table, &[]),
                    place(shown, below, &[]),
                ]
            }
            Screen::Path if body.width >= WIDE => {
                let (left, right) = match focus {
                    PanelId::Instructions => (PanelId::Ladder, PanelId::Instructions),
                    _ => (PanelId::Tree, PanelId::Ladder),
                };
                let (tree, ladder) = cuts.columns("ladder", body, body.width / 2);
                vec![place(left, tree, &[]), place(right, ladder, &[])]
            }
            Screen::Path => vec![place(focus, body, panels)],
            Screen::Flame if focus == PanelId::Butterfly && body.width >= WIDE && tall => {
                let (picture, ladder) = cuts.last_rows("butterfly", body, body.height / 2);
                vec![
                    place(PanelId::Butterfly, picture, &[]),
                    place(PanelId::Ladder, ladder, &[]),
                ]
            }
            Screen::Flame => vec![place(focus, body, panels)],
            Screen::Timeline => vec![place(PanelId::Timeline, body, &[])],
            Screen::Console => vec![place(PanelId::Serial, body, &[])],
            Screen::Memory => {
                let below = if tall { 8 } else { 5 };
                let (memory, what) = cuts.last_rows("what", body, below);
                vec![
                    place(PanelId::Memory, memory, &[]),
                    place(PanelId::Walk, what, &[]),
                ]
            }
        }
    };
    Layout {
        status,
        places,
        borders: cuts.borders,
        keys,
    }
}

fn debug(body: Rect, wanted: Wanted<'_>, cuts: &mut Cuts<'_>) -> Vec<Place> {
    let Wanted { focus, tab, .. } = wanted;
    let shown = |tabs: &'static [PanelId]| {
        let candidates = [focus, tab];
        let found = candidates.into_iter().find(|id| tabs.contains(id));
        found.unwrap_or(tabs[0])
    };
    if body.width >= WIDE && body.height >= TALL {
        let (upper, log) = cuts.last_rows("wide console", body, body.height / 5);
        let (code, rest) = cuts.columns("wide code", upper, upper.width * 2 / 5);
        let (stack, side) = cuts.columns("wide stack", rest, rest.width / 2);
        let (source, disassembly) = cuts.rows("wide source", code, code.height / 2);
        let (backtrace, registers) = cuts.rows("wide backtrace", stack, stack.height / 2);
        let (why, rest) = cuts.rows("wide why", side, 8);
        let (locals, rest) = cuts.rows("wide locals", rest, rest.height * 2 / 5);
        let (watches, corner) = cuts.rows("wide watches", rest, rest.height / 2);
        return vec![
            place(PanelId::Source, source, &[]),
            place(PanelId::Disassembly, disassembly, &[]),
            place(PanelId::Backtrace, backtrace, &[]),
            place(PanelId::Registers, registers, &[]),
            place(PanelId::Why, why, &[]),
            place(PanelId::Locals, locals, &[]),
            place(PanelId::Watches, watches, &[]),
            place(shown(CORNER), corner, CORNER),
            place(PanelId::Log, log, &[]),
        ];
    }
    // Room for what is looked at: a tree of values, a long answer.
    let (upper, tabs) = match BOTTOM.contains(&focus) {
        true => cuts.last_rows("tabs in focus", body, body.height / 2),
        false => cuts.last_rows("tabs", body, (body.height / 4).max(5)),
    };
    let (code, stack) = cuts.columns("code", upper, upper.width * 5 / 8);
    let (source, disassembly) = cuts.rows("source", code, code.height * 5 / 9);
    let (backtrace, registers) = cuts.rows("backtrace", stack, stack.height * 5 / 9);
    vec![
        place(PanelId::Source, source, &[]),
        place(PanelId::Disassembly, disassembly, &[]),
        place(PanelId::Backtrace, backtrace, &[]),
        place(PanelId::Registers, registers, &[]),
        place(shown(BOTTOM), tabs, BOTTOM),
    ]
}

fn place(id: PanelId, whole: Rect, tabs: &'static [PanelId]) -> Place {
    // A panel beside another has a line at its left.
    let (_, inner) = left(whole, u16::from(whole.x > 0));
    let (_, body) = top(inner, 1);
    Place {
        id,
        whole,
        body,
        tabs: if tabs.len() > 1 { tabs } else { &[] },
    }
}

/// Divides areas, and notes the borders.
struct Cuts<'a> {
    shares: &'a Shares,
    borders: Vec<Border>,
}

impl Cuts<'_> {
    /// The first part has so many rows, unless the user moved the border.
    fn rows(&mut self, name: &'static str, area: Rect, rows: u16) -> (Rect, Rect) {
        let rows = self.length(name, area.height, rows);
        let (first, second) = top(area, rows);
        self.note(name, area, top(second, 1).0, false);
        (first, second)
    }

    /// As [`Self::rows`], but by the second part's.
    fn last_rows(&mut self, name: &'static str, area: Rect, rows: u16) -> (Rect, Rect) {
        self.rows(name, area, area.height - rows.min(area.height))
    }

    fn columns(&mut self, name: &'static str, area: Rect, columns: u16) -> (Rect, Rect) {
        let columns = self.length(name, area.width, columns);
        let (first, second) = left(area, columns);
        self.note(name, area, left(second, 1).0, true);
        (first, second)
    }

    fn length(&self, name: &str, whole: u16, usual: u16) -> u16 {
        match self.shares.get(name) {
            Some(share) => {
                let most = whole.saturating_sub(LEAST).max(LEAST.min(whole));
                let length = u32::from(whole) * u32::from(*share) / 1000;
                u16::try_from(length)
                    .unwrap_or(whole)
                    .clamp(LEAST.min(most), most)
            }
            None => usual,
        }
    }

    fn note(&mut self, name: &'static str, area: Rect, line: Rect, upright: bool) {
        self.borders.push(Border {
            name,
            area,
            line,
            upright,
        });
    }
}

impl Border {
    /// The share that puts the border at a column or row of the screen.
    #[must_use]
    pub fn share_at(&self, column: u16, row: u16) -> u16 {
        let (at, start, whole) = match self.upright {
            true => (column, self.area.x, self.area.width),
            false => (row, self.area.y, self.area.height),
        };
        let length = at.clamp(start, start.saturating_add(whole)) - start;
        // Rounded up, so that the border comes to stand where it was put.
        let share = (u32::from(length) * 1000).div_ceil(u32::from(whole.max(1)));
        u16::try_from(share).unwrap_or(1000)
    }
}

fn top(area: Rect, rows: u16) -> (Rect, Rect) {
    let [first, rest] =
        Split::vertical([Constraint::Length(rows), Constraint::Fill(1)]).areas(area);
    (first, rest)
}

fn bottom(area: Rect, rows: u16) -> (Rect, Rect) {
    top(area, area.height - rows.min(area.height))
}

fn left(area: Rect, columns: u16) -> (Rect, Rect) {
    let [first, rest] =
        Split::horizontal([Constraint::Length(columns), Constraint::Fill(1)]).areas(area);
    (first, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_fill_the_screen_and_do_not_overlap(
            width in 0u16..260, height in 0u16..90, screen in 0..Screen::ALL.len(), focus in 0usize..10,
            moved in prop::collection::vec((0usize..8, 0u16..1100), 0..6),
        ) {
            let size = Rect::new(0, 0, width, height);
            let screen = Screen::ALL[screen];
            let focus = screen.panels()[focus % screen.panels().len()];
            let mut shares = Shares::new();
            let wanted = |shares: &Shares| {
                layout(size, Wanted { screen, focus, tab: PanelId::Why, below: PanelId::Modes, shares })
            };
            let mut layout = wanted(&shares);
            for (which, share) in moved {
                if let Some(border) = layout.borders.get(which) {
                    shares.insert(border.name.to_owned(), share);
                    layout = wanted(&shares);
                }
            }
            let area = |rect: Rect| u32::from(rect.width) * u32::from(rect.height);
            let rects = layout.places.iter().map(|place| place.whole);
            let rects: Vec<Rect> = rects.chain([layout.status, layout.keys]).collect();
            prop_assert_eq!(rects.iter().map(|rect| area(*rect)).sum::<u32>(), area(size));
            for (i, a) in rects.iter().enumerate() {
                for b in &rects[i + 1..] {
                    prop_assert_eq!(area(a.intersection(*b)), 0, "{:?} {:?}", a, b);
                }
            }
            for place in &layout.places {
                prop_assert_eq!(area(place.whole.intersection(place.body)), area(place.body));
            }
            prop_assert!(layout.places.iter().any(|place| place.id == focus), "the focus is seen");
        }
    }

    #[test]
    fn a_border_comes_to_stand_where_it_is_put() {
        let mut shares = Shares::new();
        let wanted = |shares: &Shares| {
            let wanted = Wanted {
                screen: Screen::Debug,
                focus: PanelId::Source,
                tab: PanelId::Why,
                below: PanelId::Modes,
                shares,
            };
            layout(Rect::new(0, 0, 80, 24), wanted)
        };
        let border = |shares: &Shares| {
            let layout = wanted(shares);
            let found = layout.borders.iter().find(|border| border.name == "code");
            *found.unwrap()
        };
        for column in 5..75 {
            let share = border(&shares).share_at(column, 9);
            shares.insert("code".to_owned(), share);
            assert_eq!(border(&shares).line.x, column);
        }
    }
}
