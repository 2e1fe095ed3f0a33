//! Framing: `$payload#checksum`, its escapes and runs, and the single bytes between packets.
//!
//! ```text
//! + ack   - nak   0x03 interrupt
//! $ m f f ... # c 4      checksum: sum of the bytes between $ and #, modulo 256, two digits
//! % S t o p : ... # x x  a notification: never acknowledged
//! }  then byte ^ 0x20    an escaped byte
//! b * c                  byte b, and (c - 29) more of it
//! ```
//!
//! Source: "Remote Protocol: Overview" in gdb's manual. QEMU sends neither escapes nor runs; other
//! stubs do.

use super::hex;

/// The longest payload that is believed: a stub that sends more is not speaking this protocol.
pub const LONGEST: usize = 4 << 20;

pub const INTERRUPT: u8 = 0x03;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A payload with escapes and runs undone.
    Packet(Vec<u8>),
    Notification(Vec<u8>),
    Ack,
    Nak,
    Interrupt,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    #[error("a packet's checksum is {found:02x} where its bytes sum to {sum:02x}")]
    Checksum { found: u8, sum: u8 },
    #[error("a packet ends in '{}' where two hexadecimal digits belong", .0.escape_ascii())]
    NoChecksum(Vec<u8>),
    #[error("a packet ends within an escape")]
    Escape,
    #[error("a packet repeats a byte it does not have, or {0:#04x} times")]
    Run(u8),
    #[error("a packet is longer than {LONGEST} bytes")]
    TooLong,
    #[error("byte {0:#04x} lies between packets")]
    Junk(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    Payload,
    FirstDigit,
    SecondDigit(u8),
}

/// Takes bytes as they come, one at a time, and gives what they make up.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// As sent, with escapes and runs.
    raw: Vec<u8>,
    sum: u8,
    notification: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            state: State::Between,
            raw: Vec::new(),
            sum: 0,
            notification: false,
        }
    }
}

impl Decoder {
    /// # Errors
    /// When the byte ends a packet that is damaged, or belongs to none. The decoder goes on with
    /// the next byte.
    pub fn push(&mut self, byte: u8) -> Result<Option<Item>, PacketError> {
        match self.state {
            State::Between => match byte {
                b'$' | b'%' => {
                    self.begin(byte);
                    Ok(None)
                }
                b'+' => Ok(Some(Item::Ack)),
                b'-' => Ok(Some(Item::Nak)),
                INTERRUPT => Ok(Some(Item::Interrupt)),
                other => Err(PacketError::Junk(other)),
            },
            State::Payload => match byte {
                b'#' => {
                    self.state = State::FirstDigit;
                    Ok(None)
                }
                // No payload holds a bare '$': the packet before was cut off.
                b'$' => {
                    self.begin(byte);
                    Ok(None)
                }
                _ if self.raw.len() == LONGEST => {
                    self.state = State::Between;
                    Err(PacketError::TooLong)
                }
                _ => {
                    self.raw.push(byte);
                    self.sum = self.sum.wrapping_add(byte);
                    Ok(None)
                }
            },
            State::FirstDigit => {
                self.state = State::SecondDigit(byte);
                Ok(None)
            }
            State::SecondDigit(first) => {
                self.state = State::Between;
                self.end([first, byte]).map(Some)
            }
        }
    }

    /// Whether a packet has begun and not ended.
    #[must_use]
    pub fn within_packet(&self) -> bool {
        self.state != State::Between
    }

    /// The bytes of the unfinished packet, as sent.
    #[must_use]
    pub fn unfinished(&self) -> &[u8] {
        &self.raw
    }

    fn begin(&mut self, byte: u8) {
        self.state = State::Payload;
        self.raw.clear();
        self.sum = 0;
        self.notification = byte == b'%';
    }

    fn end(&mut self, digits: [u8; 2]) -> Result<Item, PacketError> {
        let (Some(high), Some(low)) = (hex::digit(digits[0]), hex::digit(digits[1])) else {
            return Err(PacketError::NoChecksum(digits.to_vec()));
        };
        let found = high << 4 | low;
        if found != self.sum {
            return Err(PacketError::Checksum {
                found,
                sum: self.sum,
            });
        }
        let payload = expand(&self.raw)?;
        self.raw.clear();
        Ok(if self.notification {
            Item::Notification(payload)
        } else {
            Item::Packet(payload)
        })
    }
}

/// Undoes escapes and runs.
fn expand(raw: &[u8]) -> Result<Vec<u8>, PacketError> {
    let mut payload = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'}' => payload.push(bytes.next().ok_or(PacketError::Escape)? ^ 0x20),
            b'*' => {
                // The count is a printable character: 32 stands for 3 more.
                let count = bytes.next().unwrap_or(0);
                let (Some(repeated), 32..=126) = (payload.last().copied(), count) else {
                    return Err(PacketError::Run(count));
                };
                payload.resize(payload.len() + usize::from(count - 29), repeated);
                if payload.len() > LONGEST {
                    return Err(PacketError::TooLong);
                }
            }
            _ => payload.push(byte),
        }
    }
    Ok(payload)
}

/// The packet around a payload, escaped; runs are never made.
#[must_use]
pub fn encode(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(payload.len() + 4);
    push(&mut packet, payload);
    packet
}

/// Appends [`encode`]'s bytes.
pub fn push(output: &mut Vec<u8>, payload: &[u8]) {
    output.push(b'$');
    let start = output.len();
    let is_special = |byte: &u8| matches!(byte, b'$' | b'#' | b'}' | b'*');
    for part in payload.split_inclusive(is_special) {
        match part.split_last() {
            Some((last, before)) if is_special(last) => {
                output.extend_from_slice(before);
                output.extend([b'}', last ^ 0x20]);
            }
            _ => output.extend_from_slice(part),
        }
    }
    let sum = output[start..]
        .iter()
        .fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    output.push(b'#');
    hex::push(output, &[sum]);
}

/// Decodes anything, for a fuzzer: the items, and how many errors there were.
#[must_use]
pub fn decode_all(bytes: &[u8]) -> (Vec<Item>, usize) {
    let mut decoder = Decoder::default();
    let mut errors = 0;
    let mut items = Vec::new();
    for byte in bytes {
        match decoder.push(*byte) {
            Ok(item) => items.extend(item),
            Err(_) => errors += 1,
        }
    }
    (items, errors)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(input: &[u8], expected: &[Result<Item, PacketError>]) {
        let mut decoder = Decoder::default();
        let found: Vec<_> = input
            .iter()
            .filter_map(|byte| decoder.push(*byte).transpose())
            .collect();
        assert_eq!(found, expected, "{}", input.escape_ascii());
    }

    fn packet(payload: &[u8]) -> Result<Item, PacketError> {
        Ok(Item::Packet(payload.to_vec()))
    }

    #[test]
    fn packets_and_the_bytes_between_them() {
        check(b"$OK#9a", &[packet(b"OK")]);
        check(b"+$#00-", &[Ok(Item::Ack), packet(b""), Ok(Item::Nak)]);
        check(b"\x03", &[Ok(Item::Interrupt)]);
        check(
            b"%Stop:T05#99",
            &[Ok(Item::Notification(b"Stop:T05".to_vec()))],
        );
        // As QEMU 7.2 greets a client that attaches to a running machine.
        check(b"$T02thread:01;#04", &[packet(b"T02thread:01;")]);
    }

    #[test]
    fn escapes_and_runs_are_undone() {
        check(b"$}\x03}\x04}]}\x0a#62", &[packet(b"#$}*")]);
        check(b"$0* #7a", &[packet(b"0000")]);
        check(b"$x*~#20", &[packet(&[b'x'; 98])]);
    }

    #[test]
    fn damage_is_told_and_left_behind() {
        let sum = |found, sum| Err(PacketError::Checksum { found, sum });
        check(b"$OK#9b$OK#9a", &[sum(0x9b, 0x9a), packet(b"OK")]);
        check(b"$OK#zz", &[Err(PacketError::NoChecksum(b"zz".to_vec()))]);
        check(b"$}#7d", &[Err(PacketError::Escape)]);
        check(b"$*a#8b", &[Err(PacketError::Run(b'a'))]);
        check(b"$a*\x1f#aa", &[Err(PacketError::Run(0x1f))]);
        check(
            b"hi",
            &[Err(PacketError::Junk(b'h')), Err(PacketError::Junk(b'i'))],
        );
        // The first packet was cut off by the second.
        check(b"$T05thr$OK#9a", &[packet(b"OK")]);
    }

    proptest! {
        #[test]
        fn a_payload_survives(payload: Vec<u8>) {
            let (items, errors) = decode_all(&encode(&payload));
            prop_assert_eq!(errors, 0);
            prop_assert_eq!(items, vec![Item::Packet(payload)]);
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let (items, _) = decode_all(&bytes);
            prop_assert!(items.len() <= bytes.len());
        }

        /// Whatever comes before, a whole packet after a '$' is found.
        #[test]
        fn junk_before_a_packet_does_not_hide_it(junk: Vec<u8>, payload: Vec<u8>) {
            let mut bytes = junk.clone();
            // Ends a checksum that the junk may have begun.
            bytes.extend(b"$#00");
            bytes.extend(b"$#00");
            bytes.extend(encode(&payload));
            let (items, _) = decode_all(&bytes);
            prop_assert_eq!(items.last(), Some(&Item::Packet(payload)));
        }
    }
}
