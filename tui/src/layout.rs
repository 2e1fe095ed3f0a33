//! Size → rectangles. Pure, so that mouse and drawing agree.

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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub status: Rect,
    pub places: Vec<Place>,
    pub keys: Rect,
}

const BOTTOM: &[PanelId] = &[
    PanelId::Why,
    PanelId::Locals,
    PanelId::Breakpoints,
    PanelId::Log,
];

/// From here on every Debug panel has a place of its own.
const WIDE: u16 = 120;
const TALL: u16 = 30;
/// Below this, one panel at a time.
const NARROW: u16 = 60;
const LOW: u16 = 16;

/// The layout of a screen; `tab` is the panel that a shared place shows when none of its panels
/// has the focus.
#[must_use]
pub fn layout(size: Rect, screen: Screen, focus: PanelId, tab: PanelId) -> Layout {
    let (status, rest) = top(size, 1);
    let (body, keys) = bottom(rest, 1);
    let panels = screen.panels();
    let places = if size.width < NARROW || size.height < LOW {
        vec![place(focus, body, panels)]
    } else {
        match screen {
            Screen::Debug => debug(body, focus, tab),
            Screen::Space => {
                let (strip, rest) = top(body, 4);
                let (table, walk) = bottom(rest, if body.height >= TALL { 12 } else { 6 });
                vec![
                    place(PanelId::Strip, strip, &[]),
                    place(PanelId::Regions, table, &[]),
                    place(PanelId::Walk, walk, &[]),
                ]
            }
            Screen::Crossings => {
                let (id, rows) = match focus {
                    PanelId::Requests => (focus, body.height / 2),
                    _ => (PanelId::Modes, 7),
                };
                let (table, below) = bottom(body, rows);
                vec![place(PanelId::Classes, table, &[]), place(id, below, &[])]
            }
            Screen::Path if body.width >= WIDE => {
                let (tree, ladder) = left(body, body.width / 2);
                vec![
                    place(PanelId::Tree, tree, &[]),
                    place(PanelId::Ladder, ladder, &[]),
                ]
            }
            Screen::Path => vec![place(focus, body, panels)],
            Screen::Console => vec![place(PanelId::Serial, body, &[])],
            Screen::Memory => {
                let (memory, what) = bottom(body, if body.height >= TALL { 8 } else { 5 });
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
        keys,
    }
}

fn debug(body: Rect, focus: PanelId, tab: PanelId) -> Vec<Place> {
    if body.width >= WIDE && body.height >= TALL {
        let (upper, log) = bottom(body, body.height / 5);
        let (code, rest) = left(upper, upper.width * 2 / 5);
        let (stack, side) = left(rest, rest.width / 2);
        let (source, disassembly) = top(code, code.height / 2);
        let (backtrace, registers) = top(stack, stack.height / 2);
        let (why, rest) = top(side, 8);
        let (locals, breakpoints) = top(rest, rest.height * 2 / 3);
        return vec![
            place(PanelId::Source, source, &[]),
            place(PanelId::Disassembly, disassembly, &[]),
            place(PanelId::Backtrace, backtrace, &[]),
            place(PanelId::Registers, registers, &[]),
            place(PanelId::Why, why, &[]),
            place(PanelId::Locals, locals, &[]),
            place(PanelId::Breakpoints, breakpoints, &[]),
            place(PanelId::Log, log, &[]),
        ];
    }
    let shown = if BOTTOM.contains(&focus) { focus } else { tab };
    let (upper, tabs) = bottom(body, (body.height / 4).max(5));
    let (code, stack) = left(upper, upper.width * 5 / 8);
    let (source, disassembly) = top(code, code.height * 5 / 9);
    let (backtrace, registers) = top(stack, stack.height * 5 / 9);
    vec![
        place(PanelId::Source, source, &[]),
        place(PanelId::Disassembly, disassembly, &[]),
        place(PanelId::Backtrace, backtrace, &[]),
        place(PanelId::Registers, registers, &[]),
        place(shown, tabs, BOTTOM),
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
            width in 0u16..260, height in 0u16..90, screen in 0usize..6, focus in 0usize..8,
        ) {
            let size = Rect::new(0, 0, width, height);
            let screen = Screen::ALL[screen];
            let focus = screen.panels()[focus % screen.panels().len()];
            let layout = layout(size, screen, focus, PanelId::Why);
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
}
