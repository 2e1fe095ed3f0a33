//! The guest's serial line, as lines of text.

use std::collections::VecDeque;

/// Lines kept: a kernel's whole boot and minutes of a chatty program.
const KEPT_LINES: usize = 20_000;
/// A guest that never ends its line must not fill the memory.
const LONGEST_LINE: usize = 4_096;
const TAB_STOP: usize = 8;

#[derive(Debug, Default)]
pub struct Console {
    lines: VecDeque<String>,
    /// Lines dropped from the front.
    pub dropped: u64,
    open: Vec<u8>,
    escape: Escape,
    returned: bool,
}

/// Where in a terminal's control sequence the line is; such sequences are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Escape {
    #[default]
    None,
    Begun,
    Control,
}

impl Console {
    /// Takes bytes as they come; a character may be split between two pushes.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.byte(byte);
        }
    }

    /// Whole lines, oldest first, then the one that is not ended yet.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = std::borrow::Cow<'_, str>> {
        let open = (!self.open.is_empty()).then(|| String::from_utf8_lossy(&self.open));
        self.lines
            .iter()
            .map(|line| line.as_str().into())
            .chain(open)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len() + usize::from(!self.open.is_empty())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn byte(&mut self, byte: u8) {
        match (self.escape, byte) {
            (Escape::None, 0x1b) => self.escape = Escape::Begun,
            (Escape::None, _) => self.text(byte),
            (Escape::Begun, b'[') => self.escape = Escape::Control,
            (Escape::Begun, _) => self.escape = Escape::None,
            // ECMA-48: a control sequence ends with a byte from 0x40 to 0x7e.
            (Escape::Control, 0x40..=0x7e) => self.escape = Escape::None,
            (Escape::Control, _) => {}
        }
    }

    fn text(&mut self, byte: u8) {
        match byte {
            b'\n' => self.end_line(),
            b'\r' => self.returned = true,
            0x08 => {
                self.open.pop();
            }
            b'\t' => {
                let stop = (self.open.len() / TAB_STOP + 1) * TAB_STOP;
                self.open.resize(stop, b' ');
            }
            0..0x20 | 0x7f => {}
            _ => {
                // A lone carriage return begins the line again; before a line feed it means nothing.
                if std::mem::take(&mut self.returned) {
                    self.open.clear();
                }
                self.open.push(byte);
                if self.open.len() >= LONGEST_LINE {
                    self.end_line();
                }
            }
        }
    }

    fn end_line(&mut self) {
        self.returned = false;
        let line = String::from_utf8_lossy(&self.open).into_owned();
        self.open.clear();
        self.lines.push_back(line);
        if self.lines.len() > KEPT_LINES {
            self.lines.pop_front();
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &[&str]) {
        let mut whole = Console::default();
        whole.push(bytes);
        assert_eq!(whole.lines().collect::<Vec<_>>(), expected);
        let mut split = Console::default();
        for byte in bytes {
            split.push(&[*byte]);
        }
        assert_eq!(split.lines().collect::<Vec<_>>(), expected);
        assert_eq!(split.len(), expected.len());
    }

    #[test]
    fn bytes_become_lines() {
        check(b"", &[]);
        check(b"a\r\nb", &["a", "b"]);
        check(b"a\n\nb\n", &["a", "", "b"]);
        check("µ\n".as_bytes(), &["µ"]);
        check(b"10%\r20%\n", &["20%"]);
        check(b"a\tb", &["a       b"]);
        check(b"\x1b[1;32mok\x1b[0m \x1b7done\n", &["ok done"]);
        check(b"ab\x08c\x07\n", &["ac"]);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut console = Console::default();
        console.push(&[b'x'; 2 * LONGEST_LINE + 1]);
        assert_eq!(console.len(), 3);
    }
}
