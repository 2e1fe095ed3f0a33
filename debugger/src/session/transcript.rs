//! The bytes of a conversation as text, so that a session with a stub can be kept and played again
//! without one.
//!
//! ```text
//! > +$qSupported:multiprocess+#c6      sent
//! < +$PacketSize=1000#f1               received
//! ```
//!
//! Bytes that do not print are escaped as in Rust (`\x03`). Neighbouring lines of one direction are one
//! stream: where a read happened to end is not part of the conversation. Lines that begin with `#`
//! are comments.

use std::fmt::Write as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Sent,
    Received,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranscriptError {
    #[error("line {line} of the transcript is '{text}', which is neither '> …' nor '< …'")]
    Line { line: usize, text: String },
    #[error("the transcript has '{expected}' where '{sent}' is sent: record it again")]
    Differs { expected: String, sent: String },
}

/// What passed in one direction, as a transcript has it.
#[must_use]
pub fn lines(direction: Direction, bytes: &[u8]) -> String {
    let mark = match direction {
        Direction::Sent => '>',
        Direction::Received => '<',
    };
    let mut text = String::new();
    // A line for each packet reads better; the reader joins them again.
    for line in bytes.split_inclusive(|byte| *byte == b'#') {
        let _ = writeln!(text, "{mark} {}", line.escape_ascii());
    }
    text
}

/// Collects a conversation.
#[derive(Debug, Default)]
pub struct Recorder {
    runs: Vec<(Direction, Vec<u8>)>,
}

impl Recorder {
    pub fn add(&mut self, direction: Direction, bytes: &[u8]) {
        match self.runs.last_mut() {
            Some((last, run)) if *last == direction => run.extend(bytes),
            _ => self.runs.push((direction, bytes.to_vec())),
        }
    }

    #[must_use]
    pub fn text(&self) -> String {
        let runs = self.runs.iter();
        runs.map(|(direction, run)| lines(*direction, run))
            .collect()
    }
}

/// Plays a conversation's other side.
#[derive(Debug)]
pub struct Player {
    runs: std::collections::VecDeque<(Direction, Vec<u8>)>,
}

impl Player {
    /// # Errors
    /// When a line is no line of a transcript.
    pub fn new(text: &str) -> Result<Self, TranscriptError> {
        Ok(Self {
            runs: runs(text)?.into(),
        })
    }

    /// # Errors
    /// When other bytes were sent when the transcript was made.
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<(), TranscriptError> {
        while !bytes.is_empty() {
            let differs = |expected: &[u8], bytes: &[u8]| TranscriptError::Differs {
                expected: expected.escape_ascii().to_string(),
                sent: bytes.escape_ascii().to_string(),
            };
            match self.runs.front_mut() {
                Some((Direction::Sent, run)) => {
                    let len = run.len().min(bytes.len());
                    if run[..len] != bytes[..len] {
                        return Err(differs(run, bytes));
                    }
                    run.drain(..len);
                    bytes = &bytes[len..];
                    if run.is_empty() {
                        self.runs.pop_front();
                    }
                }
                Some((Direction::Received, run)) => return Err(differs(run, bytes)),
                None => return Err(differs(b"", bytes)),
            }
        }
        Ok(())
    }

    /// What is received now: empty while the transcript waits for something to be sent, `None` at
    /// its end.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        match self.runs.front() {
            Some((Direction::Received, _)) => self.runs.pop_front().map(|(_, run)| run),
            Some((Direction::Sent, _)) => Some(Vec::new()),
            None => None,
        }
    }
}

/// What passed, in order: neighbours never go the same way.
///
/// # Errors
/// When a line is no line of a transcript.
pub fn runs(text: &str) -> Result<Vec<(Direction, Vec<u8>)>, TranscriptError> {
    let mut recorder = Recorder::default();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parsed = match line.split_at_checked(2) {
            Some(("> ", rest)) => unescape(rest).map(|bytes| (Direction::Sent, bytes)),
            Some(("< ", rest)) => unescape(rest).map(|bytes| (Direction::Received, bytes)),
            _ => None,
        };
        let (direction, bytes) = parsed.ok_or_else(|| TranscriptError::Line {
            line: number + 1,
            text: line.to_owned(),
        })?;
        recorder.add(direction, &bytes);
    }
    Ok(recorder.runs)
}

/// Undoes [`slice::escape_ascii`].
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b't' => b'\t',
            b'r' => b'\r',
            b'n' => b'\n',
            b'x' => {
                let digits = [rest.next()?, rest.next()?];
                *crate::gdb::hex::decode(&digits)?.first()?
            }
            quoted @ (b'\\' | b'\'' | b'"') => quoted,
            _ => return None,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_conversation_plays_as_it_was() {
        let mut player = Player::new("# greeting\n> +$?#3f\n< +\n< $T05#b9\n> \\x03\n").unwrap();
        assert_eq!(player.receive(), Some(Vec::new()), "nothing was sent yet");
        player.send(b"+$?").unwrap();
        player.send(b"#3f").unwrap();
        assert_eq!(player.receive().unwrap(), b"+$T05#b9");
        assert!(matches!(
            player.send(b"+"),
            Err(TranscriptError::Differs { .. })
        ));
        player.send(&[3]).unwrap();
        assert_eq!(player.receive(), None);
    }

    #[test]
    fn other_text_is_refused_with_its_line() {
        let error = Player::new("> a\nhello\n").unwrap_err();
        assert!(matches!(error, TranscriptError::Line { line: 2, .. }));
        assert!(Player::new("> \\q\n").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_survive(bytes: Vec<u8>) {
            let mut recorder = Recorder::default();
            recorder.add(Direction::Received, &bytes);
            recorder.add(Direction::Sent, b"x");
            let mut player = Player::new(&recorder.text()).unwrap();
            prop_assert_eq!(player.receive().unwrap(), bytes);
        }
    }
}
