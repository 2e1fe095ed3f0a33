//! One backtrace over both worlds, with a ruler at each crossing.

use debugger::command::Command;
use debugger::event::Frame;
use debugger::model::{Model, Slot, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::listing::{explain, find, moved};
use super::{Act, Effect, Panel, View};
use crate::batch::text as words;
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

/// More frames than any sound stack has in this kernel's 16 KiB.
const LIMIT: u32 = 100;

#[derive(Debug, Default)]
pub struct Backtrace {
    cursor: Cursor,
    /// The stop and frame the cursor was last at; it follows the selected frame else.
    seen: Option<(u64, u32)>,
}

/// A row: a frame, or the ruler before one.
enum Row<'a> {
    Frame(&'a Frame),
    Ruler(&'a Frame),
}

fn rows(frames: &[Frame]) -> Vec<Row<'_>> {
    frames
        .iter()
        .flat_map(|frame| {
            let ruler = frame.crossing.map(|_| Row::Ruler(frame));
            ruler.into_iter().chain([Row::Frame(frame)])
        })
        .collect()
}

/// The stopped CPU's, or those of the task that was chosen.
fn frames<'a>(model: &'a Model, look: &Look) -> &'a Slot<Vec<Frame>> {
    match look.task(model) {
        Some(_) => &model.task_frames,
        None => &model.frames,
    }
}

impl Backtrace {
    fn cursor(&self, model: &Model, rows: &[Row<'_>], height: usize) -> Cursor {
        let mut cursor = self.cursor;
        if self.seen != Some((model.run.stops, model.selected_frame)) {
            let selected = rows.iter().position(
                |row| matches!(row, Row::Frame(frame) if frame.n == model.selected_frame),
            );
            cursor.go(selected.unwrap_or(0), rows.len(), height);
        }
        cursor
    }
}

impl Panel for Backtrace {
    fn title(&self, view: View<'_>) -> String {
        if let Some(task) = view.look.task(view.model) {
            return format!("another task: {}", task.label);
        }
        match view.model.frames.yes() {
            Some(frames) => format!("backtrace {}", frames.len()),
            None => "backtrace".to_owned(),
        }
    }

    fn wants(&self, view: View<'_>, _area: Rect) -> Vec<(Topic, Command)> {
        let limit = Some(LIMIT);
        let mut wants = vec![(Topic::Backtrace, Command::Backtrace { limit })];
        if let Some(task) = view.look.task(view.model) {
            let task = task.name.clone();
            wants.push((Topic::TaskStack, Command::TaskBacktrace { task }));
        }
        wants
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let Some(frames) = frames(model, look).yes() else {
            return Vec::new();
        };
        let rows = rows(frames);
        let height = usize::from(area.height).max(1);
        let mut cursor = self.cursor(model, &rows, height);
        let mut effects = Vec::new();
        if let Act::Find(needle) = act {
            let name = |at: usize| match rows[at] {
                Row::Frame(frame) => words::name(&frame.place),
                Row::Ruler(frame) => frame.call.clone().unwrap_or_default(),
            };
            match find(cursor.row(rows.len()), rows.len(), needle, name) {
                Some(found) => cursor.go(found, rows.len(), height),
                None => effects.push(Effect::Say(format!("no frame of '{needle}'"))),
            }
        } else {
            moved(&mut cursor, act, rows.len(), area);
        }
        self.cursor = cursor;
        self.seen = Some((model.run.stops, model.selected_frame));
        if matches!(act, Act::Enter | Act::Click(..))
            && let Some(Row::Frame(frame) | Row::Ruler(frame)) = rows.get(cursor.row(rows.len()))
        {
            if look.task(model).is_some() {
                // Another task's frame cannot be selected; its place can be looked at.
                effects.push(Effect::Go(format!("*{:?}", frame.place.addr)));
            } else if frame.n != model.selected_frame {
                effects.push(Effect::Type(format!("frame {}", frame.n)));
            }
        }
        effects
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let shown = frames(view.model, view.look);
        let Some(frames) = shown.yes() else {
            return explain(&shown.value, view, area, buf);
        };
        let rows = rows(frames);
        let height = usize::from(area.height);
        let cursor = self.cursor(view.model, &rows, height);
        let top = cursor.top(rows.len(), height);
        for (row, what) in rows.iter().skip(top).take(height).enumerate() {
            match what {
                Row::Frame(frame) => draw_frame(frame, view, area, row, buf),
                Row::Ruler(frame) => draw_ruler(frame, view, area, row, buf),
            }
            if top + row == cursor.row(rows.len()) && view.focused {
                text::paint(buf, area, row, view.theme.selected(true));
            }
        }
    }
}

fn draw_frame(frame: &Frame, view: View<'_>, area: Rect, row: usize, buf: &mut Buffer) {
    let theme = view.theme;
    let fresh = view.model.is_fresh(frames(view.model, view.look));
    let origin = theme.origin(frame.place.origin);
    let own = view.look.task(view.model).is_none();
    let chosen = if own && frame.n == view.model.selected_frame {
        "▶"
    } else {
        " "
    };
    let name_style = if fresh { origin } else { theme.dim() };
    let at = match (&frame.place.file, frame.place.line) {
        (Some(file), Some(line)) => {
            let file = file.rsplit('/').next().unwrap_or(file);
            format!("{file}:{line}")
        }
        _ => String::new(),
    };
    let width = usize::from(area.width);
    let name = match &frame.place.symbol {
        Some(symbol) if frame.inlined => format!("{symbol} (inlined)"),
        Some(symbol) => symbol.clone(),
        None => words::name(&frame.place),
    };
    // A frame that is not certain says so by a mark; `backtrace` in the command line says why.
    let name = name + words::doubt(frame);
    let head = format!("{}{chosen}{:>2} ", frame.place.origin.letter(), frame.n);
    // The name matters more than the file: what is left goes to the latter, at the right.
    let left = width.saturating_sub(head.chars().count() + name.chars().count() + 1);
    let at = if left >= 5 {
        text::fit_end(&at, left)
    } else {
        "".into()
    };
    let pad = match at.is_empty() {
        true => 0,
        false => left.saturating_sub(at.chars().count()) + 1,
    };
    let spans = vec![
        Span::styled(head, origin),
        Span::styled(name, name_style),
        Span::raw(" ".repeat(pad)),
        Span::styled(at.into_owned(), theme.dim()),
    ];
    text::put(buf, area, row, Line::from(spans));
}

fn draw_ruler(frame: &Frame, view: View<'_>, area: Rect, row: usize, buf: &mut Buffer) {
    let kind = frame.crossing.map_or("", |kind| kind.name());
    let call = frame.call.as_deref().unwrap_or("");
    let label = format!("══ {kind} {call} ").replace("  ", " ");
    let rest = usize::from(area.width).saturating_sub(label.chars().count());
    let line = format!("{label}{}", "═".repeat(rest));
    text::put(buf, area, row, Line::styled(line, view.theme.crossing()));
}
