//! The protocol's framing, without input and output: bytes go in, bodies come out.
//!
//! ```text
//! Content-Length: 71\r\n
//! \r\n
//! {"seq":1,"type":"request","command":"initialize", …}
//! ```
//! <https://microsoft.github.io/debug-adapter-protocol/overview#base-protocol>

/// A longer body is no editor's: a request holds a file's breakpoints at most.
const LONGEST_BODY: usize = 16 << 20;

/// A longer line is no header.
const LONGEST_LINE: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("'{0}' is no header of a message; it is passed over")]
    NoHeader(String),
    #[error("a length of '{0}' bytes is none that a message has; it is passed over")]
    BadLength(String),
}

/// What has come and is not read yet. As an iterator it gives the bodies that are whole, until more bytes have
/// come; behind an error the next line is read as a header.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Read up to here.
    at: usize,
    /// Of the body that follows the headers.
    length: Option<usize>,
    in_body: bool,
}

impl Frames {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }
}

impl Iterator for Frames {
    type Item = Result<Vec<u8>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = &self.bytes[self.at..];
            if self.in_body {
                let length = self.length.unwrap_or(0);
                let body = rest.get(..length)?.to_vec();
                self.at += length;
                (self.length, self.in_body) = (None, false);
                return Some(Ok(body));
            }
            let line = match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.at += end + 1;
                    &rest[..end]
                }
                None if rest.len() > LONGEST_LINE => {
                    self.at = self.bytes.len();
                    rest
                }
                None => return None,
            };
            match header(line) {
                Ok(Header::Length(length)) => self.length = Some(length),
                Ok(Header::Type) => {}
                Ok(Header::End) => self.in_body = self.length.is_some(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

enum Header {
    Length(usize),
    /// Of the content, which is always JSON.
    Type,
    End,
}

fn header(line: &[u8]) -> Result<Header, FrameError> {
    let text = String::from_utf8_lossy(&line[..line.len().min(LONGEST_LINE)]);
    let text = text.trim();
    if text.is_empty() {
        return Ok(Header::End);
    }
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    let value = value.trim();
    match name.trim().to_ascii_lowercase().as_str() {
        "content-length" => match value.parse() {
            Ok(length) if length <= LONGEST_BODY => Ok(Header::Length(length)),
            _ => Err(FrameError::BadLength(start_of(value))),
        },
        "content-type" => Ok(Header::Type),
        _ => Err(FrameError::NoHeader(start_of(text))),
    }
}

fn start_of(text: &str) -> String {
    text.chars().take(60).collect()
}

/// A message as it is sent.
#[must_use]
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(frames: &mut Frames) -> Vec<Result<Vec<u8>, FrameError>> {
        frames.collect()
    }

    #[test]
    fn what_is_no_message_is_told_and_the_next_one_is_read() {
        let mut frames = Frames::default();
        frames.push(b"hello\nContent-Length: x\r\n\r\n{\"a\":1}\ncontent-length:2\r\nContent-Type: y\r\n\r\n{}");
        let found = all(&mut frames);
        assert_eq!(
            found,
            [
                Err(FrameError::NoHeader("hello".to_owned())),
                Err(FrameError::BadLength("x".to_owned())),
                Err(FrameError::NoHeader("{\"a\":1}".to_owned())),
                Ok(b"{}".to_vec()),
            ]
        );
        frames.push(&[b'x'; LONGEST_LINE + 1]);
        assert_eq!(all(&mut frames).len(), 1);
        assert!(frames.bytes.len() - frames.at == 0, "it is not kept");
    }

    proptest! {
        #[test]
        fn what_is_framed_is_read_however_it_is_cut(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
            cut in 1_usize..50,
        ) {
            let sent: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in sent.chunks(cut) {
                frames.push(piece);
                found.extend(all(&mut frames));
            }
            let bodies: Vec<_> = bodies.into_iter().map(Ok).collect();
            prop_assert_eq!(found, bodies);
        }

        #[test]
        fn any_bytes_are_read_and_a_message_behind_them_too(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            // Digits behind a length would be of a body that never comes.
            let bytes: Vec<u8> = bytes.into_iter().filter(|byte| *byte != b':').collect();
            let mut frames = Frames::default();
            frames.push(&bytes);
            all(&mut frames);
            frames.push(b"\n");
            frames.push(&framed(b"{}"));
            prop_assert_eq!(all(&mut frames).pop(), Some(Ok(b"{}".to_vec())));
        }
    }
}
