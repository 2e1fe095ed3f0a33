//! The source around the program counter, or around where the user went.

use debugger::command::{Command, Location};
use debugger::event::{BreakpointInfo, DisassemblyLine, SourceWindow};
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::held::Held;
use super::listing::{explain, find};
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::theme::Theme;
use crate::widgets::cursor::centred;
use crate::widgets::highlight::{Highlighter, Language};
use crate::widgets::text;

/// Lines asked for at a time: scrolling within them asks nothing.
const WINDOW: u32 = 300;
/// Columns of the line's number and its marks: a click there sets a breakpoint.
const GUTTER: usize = 7;

#[derive(Debug, Default)]
pub struct Source {
    held: Option<Held<Place>>,
    /// Each line's instructions stand below it.
    pub inline: bool,
}

/// What stands in a row of the panel.
#[derive(Clone, Copy)]
enum Row<'a> {
    Line(u32, &'a str),
    Instruction(u32, &'a DisassemblyLine),
}

impl Row<'_> {
    const fn line(&self) -> u32 {
        match self {
            Self::Line(line, _) | Self::Instruction(line, _) => *line,
        }
    }
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

    /// The line that sets a breakpoint at the marked line, or removes the one there.
    #[must_use]
    pub fn toggle(&self, model: &Model) -> Option<String> {
        let window = model.source.yes()?;
        let line = self.line(model, window);
        Some(match breakpoint_at(model, &window.file, line) {
            Some(one) => format!("delete {}", one.number),
            None => format!("break {}:{line}", window.file),
        })
    }

    fn place<'a>(&'a self, model: &Model) -> Option<&'a Place> {
        self.held.as_ref().and_then(|held| held.get(model))
    }

    fn line(&self, model: &Model, window: &SourceWindow) -> u32 {
        let count = u32::try_from(window.lines.len()).unwrap_or(u32::MAX);
        let last = window.first.saturating_add(count.saturating_sub(1));
        self.place(model)
            .and_then(|place| place.line)
            .unwrap_or(window.line)
            .clamp(window.first, last)
    }

    /// The rows in sight, such that the marked line stands near the middle.
    fn rows<'a>(
        &self,
        model: &'a Model,
        window: &'a SourceWindow,
        marked: u32,
        height: usize,
    ) -> Vec<Row<'a>> {
        let instructions = self
            .inline
            .then(|| model.disassembly.yes())
            .flatten()
            .map_or(&[][..], Vec::as_slice);
        let mut rows = Vec::new();
        let mut at = 0;
        for (number, line) in (window.first..).zip(&window.lines) {
            if number == marked {
                at = rows.len();
            }
            rows.push(Row::Line(number, line));
            let here = |one: &&DisassemblyLine| {
                one.place.line == Some(number) && one.place.file.as_ref() == Some(&window.file)
            };
            let below = instructions.iter().filter(here);
            rows.extend(below.map(|one| Row::Instruction(number, one)));
        }
        let top = centred(at, rows.len(), height);
        rows.into_iter().skip(top).take(height).collect()
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

/// The breakpoint at a line, by the end of the file's path: DWARF may name a longer one.
fn breakpoint_at<'a>(model: &'a Model, file: &str, line: u32) -> Option<&'a BreakpointInfo> {
    let same = |other: &str| other.ends_with(file) || file.ends_with(other);
    let list = model.breakpoints.yes()?;
    list.iter().find(|one| {
        one.places
            .iter()
            .map(|at| &at.place)
            .any(|place| place.line == Some(line) && place.file.as_deref().is_some_and(same))
    })
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
        vec![(Topic::Source, list)]
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
                let rows = self.rows(model, window, line, usize::from(area.height));
                rows.get(*row).map_or(line, Row::line)
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
            Act::Side(_) | Act::Enter | Act::Zoom { .. } => return Vec::new(),
        };
        self.hold(model, window, to);
        match act {
            Act::Click(_, column) if *column < GUTTER => {
                self.toggle(model).map(Effect::Type).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(window) = view.model.source.yes() else {
            return explain(&view.model.source.value, view, area, buf);
        };
        let marked = self.line(view.model, window);
        let held = self.place(view.model).is_some();
        let fresh = view.model.is_fresh(&view.model.source);
        let rows = self.rows(view.model, window, marked, usize::from(area.height));
        let mut highlighter = highlighter(window, rows.first().map_or(window.first, Row::line));
        for (row, shown) in rows.into_iter().enumerate() {
            let (number, line) = match shown {
                Row::Line(number, line) => (number, line),
                Row::Instruction(_, one) => {
                    text::put(buf, area, row, instruction(one, fresh, view.theme));
                    continue;
                }
            };
            let parts = highlighter.line(line);
            let current = window.current == Some(number) && fresh;
            let style = match (fresh, current) {
                (false, _) => view.theme.dim(),
                (true, true) => view.theme.current(),
                (true, false) => ratatui::style::Style::new(),
            };
            let breakpoint = match breakpoint_at(view.model, &window.file, number) {
                Some(one) if one.state == "planted" => Span::styled("●", view.theme.alarm()),
                // It does not stop there as things are.
                Some(_) => Span::styled("○", view.theme.alarm()),
                None if waits(&view.look.waiting, &window.file, number) => {
                    Span::styled("○", view.theme.alarm())
                }
                None => Span::raw(" "),
            };
            let arrow = if current { "▶" } else { " " };
            let mut spans = vec![
                Span::styled(format!("{number:>5}"), view.theme.dim()),
                breakpoint,
                Span::styled(arrow, view.theme.origin(window.origin)),
            ];
            if fresh {
                spans.extend(coloured(line, &parts, style, view.theme));
            } else {
                spans.push(Span::styled(untab(line), style));
            }
            text::put(buf, area, row, Line::from(spans));
            if number == marked && held {
                text::paint(buf, area, row, view.theme.selected(view.focused));
            }
        }
    }
}

/// Whether a breakpoint of the last run waits to be set there.
fn waits(waiting: &[String], file: &str, number: u32) -> bool {
    let at = format!("{file}:{number}");
    waiting.iter().any(|line| {
        let mut words = line.split(' ').skip(1);
        words.next() == Some(&at)
    })
}

/// A file outside the kernel's tree is named by its whole path: its end says most.
fn short(file: &str) -> &str {
    if !file.starts_with('/') {
        return file;
    }
    let cut = file.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    &file[cut..]
}

/// One that stands at a line: a comment may have begun above.
fn highlighter(window: &SourceWindow, first: u32) -> Highlighter {
    let lines = || window.lines.iter().map(String::as_str);
    let mut highlighter = Highlighter::new(Language::of(&window.file), lines());
    let above = usize::try_from(first - window.first).unwrap_or(0);
    for line in lines().take(above) {
        highlighter.line(line);
    }
    highlighter
}

fn coloured(
    line: &str,
    parts: &[(std::ops::Range<usize>, crate::widgets::highlight::Token)],
    style: Style,
    theme: Theme,
) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    let mut at = 0;
    for (range, token) in parts {
        spans.push(Span::styled(untab(&line[at..range.start]), style));
        let coloured = style.patch(theme.token(*token));
        spans.push(Span::styled(untab(&line[range.clone()]), coloured));
        at = range.end;
    }
    spans.push(Span::styled(untab(&line[at..]), style));
    spans
}

fn instruction(one: &DisassemblyLine, fresh: bool, theme: Theme) -> Line<'static> {
    let mark = if one.current && fresh { "▶" } else { " " };
    let origin = theme.origin(one.place.origin);
    Line::from(vec![
        Span::styled(
            format!("      {mark} {} ", one.place.origin.letter()),
            origin,
        ),
        Span::styled(one.place.addr.to_string(), theme.dim()),
        Span::styled(
            format!(" {:<6} {}", one.mnemonic, one.operands),
            theme.dim(),
        ),
    ])
}

/// Kernel sources are indented by tabs of eight; four are enough in a narrow panel.
fn untab(line: &str) -> String {
    line.replace('\t', "    ")
}
