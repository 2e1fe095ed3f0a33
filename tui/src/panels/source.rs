//! The source around the program counter, or around where the user went.

use debugger::command::{Command, Location};
use debugger::event::SourceWindow;
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::held::Held;
use super::listing::{explain, find};
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::widgets::cursor::centred;
use crate::widgets::text;

/// Lines asked for at a time: scrolling within them asks nothing.
const WINDOW: u32 = 300;

#[derive(Debug, Default)]
pub struct Source {
    held: Option<Held<Place>>,
}

#[derive(Clone, Debug)]
struct Place {
    /// Asked for, when the user left the window around the program counter.
    around: Option<Location>,
    /// The marked line; the window's own when none.
    line: Option<u32>,
}

impl Source {
    /// Shows another place until the next stop.
    pub fn go(&mut self, model: &Model, location: Location) {
        let line = match &location {
            Location::Line { line, .. } => Some(*line),
            _ => None,
        };
        self.held = Some(Held::new(
            model,
            Place {
                around: Some(location),
                line,
            },
        ));
    }

    /// `file:line` of the marked line.
    #[must_use]
    pub fn marked(&self, model: &Model) -> Option<String> {
        let window = model.source.yes()?;
        Some(format!("{}:{}", window.file, self.line(model, window)))
    }

    fn place<'a>(&'a self, model: &Model) -> Option<&'a Place> {
        self.held.as_ref().and_then(|held| held.get(model))
    }

    fn line(&self, model: &Model, window: &SourceWindow) -> u32 {
        let count = u32::try_from(window.lines.len()).unwrap_or(u32::MAX);
        let last = window.first.saturating_add(count.saturating_sub(1));
        self.place(model)
            .and_then(|place| place.line)
            .or(window.current)
            .unwrap_or(window.first + count / 2)
            .clamp(window.first, last)
    }

    fn hold(&mut self, model: &Model, window: &SourceWindow, line: u32) {
        let count = u32::try_from(window.lines.len()).unwrap_or(u32::MAX);
        let end = window.first.saturating_add(count);
        let known = self.place(model).and_then(|place| place.around.clone());
        let outside = line < window.first || line >= end;
        let around = if outside && count >= WINDOW / 2 {
            Some(Location::Line {
                file: Some(window.file.clone()),
                line: line.max(1),
            })
        } else {
            known
        };
        let line = Some(line.max(1));
        self.held = Some(Held::new(model, Place { around, line }));
    }
}

/// The breakpoint's number at a line, by the end of the file's path: DWARF may name a longer one.
pub fn breakpoint_at(model: &Model, file: &str, line: u32) -> Option<u32> {
    let same = |other: &str| other.ends_with(file) || file.ends_with(other);
    let list = model.breakpoints.yes()?;
    list.iter()
        .find(|one| {
            one.places
                .iter()
                .any(|place| place.line == Some(line) && place.file.as_deref().is_some_and(same))
        })
        .map(|one| one.number)
}

impl Panel for Source {
    fn title(&self, view: View<'_>) -> String {
        match view.model.source.yes() {
            Some(window) => format!("source {}", short(&window.file)),
            None => "source".to_owned(),
        }
    }

    fn wants(&self, view: View<'_>, _area: Rect) -> Vec<(Topic, Command)> {
        let location = self
            .place(view.model)
            .and_then(|place| place.around.clone());
        let list = Command::List {
            location,
            count: WINDOW,
        };
        vec![
            (Topic::Source, list),
            (
                Topic::Breakpoints,
                Command::Info(debugger::command::Info::Breakpoints),
            ),
        ]
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        let Some(window) = model.source.yes() else {
            return Vec::new();
        };
        let line = self.line(model, window);
        let height = i64::from(area.height.max(1));
        let by = |rows: i64| {
            let to = i64::from(line).saturating_add(rows).max(1);
            u32::try_from(to).unwrap_or(u32::MAX)
        };
        let to = match act {
            Act::Step(rows) => by(i64::try_from(*rows).unwrap_or(0)),
            Act::Page(views) => by(i64::try_from(*views).unwrap_or(0).saturating_mul(height)),
            Act::Home => window.first,
            Act::End => by(i64::from(WINDOW)),
            Act::Click(row, _) => {
                let top = top(window, line, area);
                by(i64::from(top) + i64::try_from(*row).unwrap_or(0) - i64::from(line))
            }
            Act::Find(needle) => {
                let from = usize::try_from(line - window.first).unwrap_or(0);
                let found = find(from, window.lines.len(), needle, |at| {
                    window.lines[at].clone()
                });
                let Some(found) = found else {
                    return vec![Effect::Say(format!("'{needle}' is not in {}", window.file))];
                };
                window.first + u32::try_from(found).unwrap_or(0)
            }
            Act::Side(_) | Act::Enter => return Vec::new(),
        };
        self.hold(model, window, to);
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(window) = view.model.source.yes() else {
            return explain(&view.model.source.value, view, area, buf);
        };
        let marked = self.line(view.model, window);
        let held = self
            .place(view.model)
            .is_some_and(|place| place.line.is_some());
        let fresh = view.model.is_fresh(&view.model.source);
        let top = top(window, marked, area);
        let skip = usize::try_from(top - window.first).unwrap_or(0);
        let shown = (top..).zip(window.lines.iter().skip(skip));
        for (row, (number, line)) in shown.take(usize::from(area.height)).enumerate() {
            let current = window.current == Some(number) && fresh;
            let style = match (fresh, current) {
                (false, _) => view.theme.dim(),
                (true, true) => view.theme.current(),
                (true, false) => ratatui::style::Style::new(),
            };
            let breakpoint = match breakpoint_at(view.model, &window.file, number) {
                Some(_) => Span::styled("●", view.theme.alarm()),
                None => Span::raw(" "),
            };
            let arrow = if current { "▶" } else { " " };
            let spans = vec![
                Span::styled(format!("{number:>5}"), view.theme.dim()),
                breakpoint,
                Span::styled(arrow, view.theme.origin(window.origin)),
                Span::styled(untab(line), style),
            ];
            text::put(buf, area, row, Line::from(spans));
            if number == marked && held {
                text::paint(buf, area, row, view.theme.selected(view.focused));
            }
        }
    }
}

/// A file outside the kernel's tree is named by its whole path: its end says most.
fn short(file: &str) -> &str {
    if !file.starts_with('/') {
        return file;
    }
    let cut = file.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    &file[cut..]
}

fn top(window: &SourceWindow, line: u32, area: Rect) -> u32 {
    let row = usize::try_from(line.saturating_sub(window.first)).unwrap_or(0);
    let top = centred(row, window.lines.len(), usize::from(area.height));
    window.first + u32::try_from(top).unwrap_or(0)
}

/// Kernel sources are indented by tabs of eight; four are enough in a narrow panel.
fn untab(line: &str) -> String {
    line.replace('\t', "    ")
}
