//! Memory in bytes and as text, from any expression.

use debugger::addr::Addr;
use debugger::command::{Command, Format, bytes};
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::listing::explain;
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::widgets::text;

/// How far a search goes.
const REACH: u64 = 4 << 20;
/// Columns that a row needs behind its bytes to tell what its words point at.
const NOTE: usize = 24;

#[derive(Debug)]
pub struct Memory {
    top: Top,
    /// Bytes behind the first one in sight.
    cursor: usize,
    sought: Option<Sought>,
    /// Where pointers were followed from.
    back: Vec<Addr>,
}

#[derive(Clone, Debug)]
enum Top {
    /// Follows what it says from stop to stop.
    Expression(String),
    At(Addr),
}

#[derive(Clone, Debug)]
struct Sought {
    start: Addr,
    pattern: Vec<u8>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            top: Top::Expression("$rsp".to_owned()),
            cursor: 0,
            sought: None,
            back: Vec::new(),
        }
    }
}

impl Memory {
    /// Shows what an expression gives.
    pub fn go(&mut self, expression: &str) {
        self.top = Top::Expression(expression.to_owned());
        self.cursor = 0;
        self.sought = None;
    }

    /// The marked byte's address.
    #[must_use]
    pub fn marked(&self, model: &Model) -> Option<Addr> {
        if let Some(found) = self.found(model) {
            return found;
        }
        self.top(model).map(|top| top + self.cursor as u64)
    }

    /// The bytes from the marked one on, as far as they are in sight.
    #[must_use]
    pub fn bytes<'a>(&self, model: &'a Model) -> &'a [u8] {
        let dump = model.memory.yes();
        let at = self.marked(model);
        dump.zip(at)
            .and_then(|(dump, at)| {
                let skip = usize::try_from(at.0.checked_sub(dump.addr.0)?).ok()?;
                dump.bytes.get(skip..)
            })
            .unwrap_or_default()
    }

    /// Back to where a pointer was followed.
    pub fn back(&mut self) {
        if let Some(at) = self.back.pop() {
            self.top = Top::At(at);
            self.cursor = 0;
            self.sought = None;
        }
    }

    /// The commands that write these bytes at the marked one: whole words where they fit.
    ///
    /// # Errors
    /// Why there is nothing to write.
    pub fn writes(&self, model: &Model, typed: &str) -> Result<Vec<String>, String> {
        let at = self
            .marked(model)
            .ok_or("nothing is shown to be written over")?;
        let all = bytes(typed)?;
        let mut lines = Vec::new();
        let mut done = 0;
        while done < all.len() {
            let left = &all[done..];
            let (size, name) = match left.len() {
                8.. => (8, "unsigned long"),
                4.. => (4, "unsigned int"),
                _ => (1, "unsigned char"),
            };
            let mut word = [0; 8];
            word[..size].copy_from_slice(&left[..size]);
            let value = u64::from_le_bytes(word);
            let to = at.0 + done as u64;
            lines.push(format!("set *({name} *){to:#x} = {value:#x}"));
            done += size;
        }
        Ok(lines)
    }

    /// Where a search has led; none while there is no search or no answer to it.
    fn found(&self, model: &Model) -> Option<Option<Addr>> {
        let sought = self.sought.as_ref()?;
        let found = model.found.yes()?;
        let is_answer = found.start == sought.start && found.pattern == sought.pattern;
        is_answer.then(|| found.places.first().map(|place| place.addr))
    }

    fn top(&self, model: &Model) -> Option<Addr> {
        if let Some(Some(found)) = self.found(model) {
            return Some(Addr(found.0 & !0xf));
        }
        match &self.top {
            Top::At(at) => Some(*at),
            Top::Expression(_) => model.memory.yes().map(|dump| dump.addr),
        }
    }

    fn move_to(&mut self, model: &Model, by: i64, area: Rect) {
        let (Some(top), Some(at)) = (self.top(model), self.marked(model)) else {
            return;
        };
        let per_row = i64::try_from(per_row(area)).unwrap_or(8);
        let rows = i64::from(area.height.max(1));
        let offset = i64::try_from(at.0.wrapping_sub(top.0)).unwrap_or(0) + by;
        let row = offset.div_euclid(per_row);
        let scroll = match row {
            ..0 => row,
            _ if row >= rows => row - rows + 1,
            _ => 0,
        };
        self.sought = None;
        self.cursor = usize::try_from(offset - scroll * per_row).unwrap_or(0);
        if scroll != 0 || matches!(self.top, Top::At(_)) {
            self.top = Top::At(Addr(top.0.wrapping_add_signed(scroll * per_row)));
        }
    }
}

const fn per_row(area: Rect) -> usize {
    if area.width >= 17 + 16 * 4 { 16 } else { 8 }
}

fn is_noted(area: Rect) -> bool {
    usize::from(area.width) >= 17 + per_row(area) * 4 + NOTE
}

impl Panel for Memory {
    fn title(&self, view: View<'_>) -> String {
        let from = match &self.top {
            Top::Expression(text) => format!(" from {text}"),
            Top::At(_) => String::new(),
        };
        if self.sought.is_some() {
            return match self.found(view.model) {
                None => "memory: looking".to_owned(),
                Some(None) => format!("memory: not found within {} MiB", REACH >> 20),
                Some(Some(at)) => format!("memory: found at {at}"),
            };
        }
        match self.marked(view.model) {
            Some(at) => format!("memory{from} at {at}"),
            None => format!("memory{from}"),
        }
    }

    fn wants(&self, view: View<'_>, area: Rect) -> Vec<(Topic, Command)> {
        let expression = match (self.found(view.model), &self.top) {
            (Some(Some(at)), _) => format!("{:#x}", at.0 & !0xf),
            (_, Top::At(at)) => format!("{:#x}", at.0),
            (_, Top::Expression(text)) => text.clone(),
        };
        let count = u32::try_from(per_row(area)).unwrap_or(8) * u32::from(area.height.max(1));
        let examine = |count, unit, letter| Command::Examine {
            format: Format {
                count,
                unit,
                letter,
            },
            expression: expression.clone(),
        };
        let mut wants = vec![(Topic::Memory, examine(count, 1, 'x'))];
        if is_noted(area) {
            wants.push((Topic::Words, examine(count / 8, 8, 'a')));
        }
        if let Some(sought) = &self.sought {
            let find = Command::Find {
                start: format!("{:#x}", sought.start.0),
                len: REACH,
                pattern: sought.pattern.clone(),
            };
            wants.push((Topic::Found, find));
        }
        if let Some(at) = self.marked(view.model) {
            let expression = Some(format!("{:#x}", at.0));
            wants.push((Topic::Address, Command::Space { expression }));
        }
        wants
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        let row = i64::try_from(per_row(area)).unwrap_or(8);
        let height = i64::from(area.height.max(1));
        let signed = |number: isize| i64::try_from(number).unwrap_or(0);
        match act {
            Act::Step(rows) => self.move_to(model, signed(*rows) * row, area),
            Act::Page(views) => self.move_to(model, signed(*views) * row * height, area),
            Act::Side(bytes) => self.move_to(model, signed(*bytes), area),
            Act::Home => self.cursor = 0,
            Act::End => self.cursor = per_row(area) * usize::from(area.height.max(1)) - 1,
            Act::Click(at, column) => {
                let byte = column.saturating_sub(17) / 3;
                self.cursor = at * per_row(area) + byte.min(per_row(area) - 1);
                self.sought = None;
            }
            Act::Enter => {
                let Some(word) = self.bytes(model).first_chunk::<8>() else {
                    return vec![Effect::Say("no whole word is in sight here".to_owned())];
                };
                self.back.extend(self.marked(model));
                self.top = Top::At(Addr(u64::from_le_bytes(*word)));
                self.cursor = 0;
                self.sought = None;
            }
            Act::Zoom { .. } => {}
            Act::Find(needle) => {
                let Some(at) = self.marked(model) else {
                    return Vec::new();
                };
                // Bytes where it reads as such, else the text itself.
                let is_bytes = needle.contains(' ') || needle.starts_with("0x");
                let pattern = match bytes(needle) {
                    Ok(pattern) if is_bytes || needle.starts_with('"') => pattern,
                    _ => needle.clone().into_bytes(),
                };
                self.top = Top::At(self.top(model).unwrap_or(at));
                self.sought = Some(Sought {
                    start: at + 1,
                    pattern,
                });
            }
        }
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(dump) = view.model.memory.yes() else {
            return explain(&view.model.memory.value, view, area, buf);
        };
        let fresh = view.model.is_fresh(&view.model.memory);
        let marked = self.marked(view.model);
        let per_row = per_row(area);
        let notes = match view.model.words.yes() {
            Some(words) if words.addr == dump.addr && is_noted(area) => {
                notes(&words.lines, per_row / 8)
            }
            _ => Vec::new(),
        };
        for (row, bytes) in dump.bytes.chunks(per_row).enumerate() {
            let at = dump.addr + (row * per_row) as u64;
            let changed = |at| dump.changed.iter().any(|range| range.contains(at));
            let mut line = bytes_line(at, bytes, marked, fresh, changed, view);
            if let Some(note) = notes.get(row) {
                line.push_span(Span::styled(format!("  {note}"), view.theme.dim()));
            }
            text::put(buf, area, row, line);
        }
    }
}

fn bytes_line(
    at: Addr,
    bytes: &[u8],
    marked: Option<Addr>,
    fresh: bool,
    changed: impl Fn(Addr) -> bool,
    view: View<'_>,
) -> Line<'static> {
    let theme = view.theme;
    let mut spans = vec![Span::styled(format!("{at} "), theme.dim())];
    let plain = if fresh { Style::new() } else { theme.dim() };
    let style = |i: usize, byte: u8| {
        if marked == Some(at + i as u64) {
            theme.selected(view.focused)
        } else if fresh && changed(at + i as u64) {
            theme.changed()
        } else if byte == 0 {
            theme.dim()
        } else {
            plain
        }
    };
    for (i, byte) in bytes.iter().enumerate() {
        spans.push(Span::styled(format!("{byte:02x}"), style(i, *byte)));
        spans.push(Span::raw(" "));
    }
    for (i, byte) in bytes.iter().enumerate() {
        let letter = match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        };
        spans.push(Span::styled(letter.to_string(), style(i, *byte)));
    }
    Line::from(spans)
}

/// The names that words point at, `<ksys_write+4>`, of so many words in a row: the lines of `x/a` have
/// two each.
fn notes(lines: &[String], in_row: usize) -> Vec<String> {
    let words = lines.iter().flat_map(|line| line.split('\t').skip(1));
    let name = |word: &str| word.find('<').map(|at| word[at..].to_owned());
    let names: Vec<Option<String>> = words.map(name).collect();
    let row = |row: &[Option<String>]| {
        let names: Vec<&str> = row.iter().flatten().map(String::as_str).collect();
        names.join(" ")
    };
    names.chunks(in_row.max(1)).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_in_the_row_of_its_word() {
        let line = |line: &str| line.to_owned();
        let lines = [line("0x10:\t0x1 <a>\t0x2"), line("0x20:\t0x3\t0x4 <b+4>")];
        assert_eq!(notes(&lines, 2), ["<a>", "<b+4>"]);
        assert_eq!(notes(&lines, 1), ["<a>", "", "", "<b+4>"]);
    }
}
