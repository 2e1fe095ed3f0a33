//! How control came to this side of the boundary.

use debugger::command::Command;
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::listing::{explain, moved};
use super::{Act, Effect, Panel, View};
use crate::batch::text as words;
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Why {
    cursor: Cursor,
}

fn lines(model: &Model, width: usize) -> Vec<String> {
    let Some(why) = model.why.yes() else {
        return Vec::new();
    };
    let mut lines: Vec<String> = text::wrap(&short(&why.sentences.join(" ")), width);
    for line in words::prototypes(why) {
        lines.extend(text::wrap(&line, width));
    }
    for argument in &why.arguments {
        lines.extend(argument.lines());
    }
    lines
}

impl Panel for Why {
    fn title(&self, _view: View<'_>) -> String {
        "why".to_owned()
    }

    fn wants(&self, _view: View<'_>, _area: Rect) -> Vec<(Topic, Command)> {
        vec![(Topic::Why, Command::Why)]
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        let len = lines(model, usize::from(area.width)).len();
        moved(&mut self.cursor, act, len, area);
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        explain(&view.model.why.value, view, area, buf);
        let lines = lines(view.model, usize::from(area.width));
        let style = if view.model.is_fresh(&view.model.why) {
            ratatui::style::Style::new()
        } else {
            view.theme.dim()
        };
        let height = usize::from(area.height);
        let top = self.cursor.top(lines.len(), height);
        for (row, line) in lines.iter().skip(top).take(height).enumerate() {
            text::put(buf, area, row, Line::styled(line.as_str(), style));
        }
    }
}

/// Files outside the kernel's tree without their folders, `(…/write.c:6)`: room is scarce, and the
/// command `why` tells them.
fn short(text: &str) -> String {
    let word = |word: &str| match word.strip_prefix("(/") {
        Some(path) => format!("(…/{}", path.rsplit('/').next().unwrap_or(path)),
        None => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_told_by_its_end() {
        assert_eq!(
            short("to write (/a/b/write.c:6). So"),
            "to write (…/write.c:6). So"
        );
        assert_eq!(short("at (fs/open.c:6)"), "at (fs/open.c:6)");
    }
}
