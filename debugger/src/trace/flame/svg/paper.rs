//! The few shapes of SVG that the pictures are made of.

use std::fmt::Write as _;

use super::{HEIGHT, LETTER};

const STYLE: &str = "\
text{font:11px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#222;white-space:pre}\
.heading{font-weight:bold;font-size:13px}.key{font-weight:bold}.note{fill:#555}\
rect{stroke:#fff;stroke-width:.5}g:hover rect{stroke:#000;stroke-width:1}\
.app{fill:#8fce8f}.libc{fill:#86cfd6}.entry{fill:#dba2d8}.kernel{fill:#f0c76a}.unknown{fill:#d5d5d5}\
.removed{fill:#e8897b}.both{fill:#d9d4c8}.added{fill:#8fbfe8}.spans{fill-opacity:.3}\
text.same{fill:#777}text.gone{fill:#b3261e;text-decoration:line-through}text.new{fill:#1558a8}\
text.moved{fill:#7a5a00}text.cost{fill:#8a2be2}";

pub(super) struct Paper {
    text: String,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Paper {
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let title = escaped(title);
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect width=\"100%\" height=\"100%\" style=\"fill:#fff\"/>\n"
        );
        Self { text }
    }

    pub(super) fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }

    pub(super) fn words(&mut self, x: f64, y: f64, class: &str, words: &str) {
        let words = escaped(words);
        self.line(&format!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" xml:space=\"preserve\">{words}</text>"
        ));
    }

    pub(super) fn frame(&mut self, place: &Rect, class: &str, label: &str, title: &str) {
        let rect = rect(place, class);
        let label = written(place, label);
        let title = escaped(title);
        self.line(&format!("<g><title>{title}</title>{rect}{label}</g>"));
    }

    /// A frame that is solid in part only.
    pub(super) fn wing(
        &mut self,
        span: &Rect,
        solid: &Rect,
        class: &str,
        label: &str,
        title: &str,
    ) {
        let spans = rect(span, &format!("{class} spans"));
        let solid = rect(solid, &format!("{class} solid"));
        let label = written(span, label);
        let title = escaped(title);
        self.line(&format!(
            "<g><title>{title}</title>{spans}{solid}{label}</g>"
        ));
    }

    fn line(&mut self, line: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

fn rect(place: &Rect, class: &str) -> String {
    let Rect {
        x,
        y,
        width,
        height,
    } = place;
    format!(
        "<rect class=\"{class}\" x=\"{x:.4}\" y=\"{y}\" width=\"{width:.4}\" height=\"{height}\"/>"
    )
}

/// As much of a label as there is room for; nothing below three letters.
fn written(place: &Rect, label: &str) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of letters, no less than 0 and no more than a line has"
    )]
    let room = ((place.width - 4.0) / LETTER).max(0.0) as usize;
    if room < 3 {
        return String::new();
    }
    let mut label: String = match label.chars().count() <= room {
        true => label.to_owned(),
        false => label.chars().take(room - 1).chain(['…']).collect(),
    };
    label = escaped(&label);
    let (x, y) = (place.x + 2.0, place.y + HEIGHT - 5.0);
    format!("<text x=\"{x:.2}\" y=\"{y}\">{label}</text>")
}

/// What XML 1.0 does not allow in a text, escaped or at all, becomes `?`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            control if control < ' ' => out.push('?'),
            other => out.push(other),
        }
    }
    out
}
