//! Payloads of a stub's replies, decoded into records. Never panics on any bytes.

use crate::addr::Addr;

use super::hex;
use super::request::TrapKind;
use super::thread::ThreadId;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// An empty reply: the stub does not know the packet.
    #[error("the stub does not know it")]
    Unsupported,
    /// `E22`: QEMU's numbers are Linux's errno (0x16 is written `E22`, 14 `E14`).
    #[error("the stub answers with error {0}")]
    Refused(String),
    #[error("the stub answers '{found}', where {expected} belongs")]
    Unexpected {
        expected: &'static str,
        found: String,
    },
}

fn unexpected(expected: &'static str, payload: &[u8]) -> ReplyError {
    const SHOWN: usize = 60;
    let mut found = payload[..payload.len().min(SHOWN)]
        .escape_ascii()
        .to_string();
    if payload.len() > SHOWN {
        found.push_str("...");
    }
    ReplyError::Unexpected { expected, found }
}

/// An empty payload and an error are told apart from an answer first.
///
/// # Errors
/// When the payload is one of them.
pub fn answer(payload: &[u8]) -> Result<&[u8], ReplyError> {
    match payload {
        [] => Err(ReplyError::Unsupported),
        [b'E', a, b] if hex::digit(*a).is_some() && hex::digit(*b).is_some() => Err(
            ReplyError::Refused(String::from_utf8_lossy(&payload[1..]).into_owned()),
        ),
        [b'E', b'.', text @ ..] => Err(ReplyError::Refused(
            String::from_utf8_lossy(text).into_owned(),
        )),
        _ => Ok(payload),
    }
}

/// # Errors
/// When the reply is not `OK`.
pub fn ok(payload: &[u8]) -> Result<(), ReplyError> {
    match answer(payload)? {
        b"OK" => Ok(()),
        other => Err(unexpected("OK", other)),
    }
}

/// Memory or a register, `len` bytes of it.
///
/// # Errors
/// When the reply is an error, no hexadecimal, or of another length.
pub fn bytes(payload: &[u8], len: Option<usize>) -> Result<Vec<u8>, ReplyError> {
    hex::decode(answer(payload)?)
        .filter(|bytes| len.is_none_or(|len| bytes.len() == len))
        .ok_or_else(|| unexpected("bytes in hexadecimal, as many as were asked for", payload))
}

/// Registers: each byte, or `None` where the stub writes `xx` for "not available".
///
/// # Errors
/// When the reply is an error or no hexadecimal.
pub fn register_bytes(payload: &[u8]) -> Result<Vec<Option<u8>>, ReplyError> {
    let text = answer(payload)?;
    let byte = |pair: &[u8]| match pair {
        b"xx" => Some(None),
        [a, b] => Some(Some(hex::digit(*a)? << 4 | hex::digit(*b)?)),
        _ => None,
    };
    text.chunks(2)
        .map(byte)
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| unexpected("registers in hexadecimal", payload))
}

/// What the stub says it can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supported {
    /// Bytes in the longest packet it takes; hexadecimal on the wire.
    pub packet_size: Option<u64>,
    /// The features answered with `+` or a value.
    pub features: Vec<(String, Option<String>)>,
}

impl Supported {
    /// # Errors
    /// When the reply is an error or no text. An unknown packet is a stub without any feature.
    pub fn decode(payload: &[u8]) -> Result<Self, ReplyError> {
        let text = match answer(payload) {
            Ok(text) => std::str::from_utf8(text).map_err(|_| unexpected("features", text))?,
            Err(ReplyError::Unsupported) => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut supported = Self::default();
        for feature in text.split(';') {
            if let Some((name, value)) = feature.split_once('=') {
                if name == "PacketSize" {
                    supported.packet_size = hex::number(value.as_bytes());
                }
                supported
                    .features
                    .push((name.to_owned(), Some(value.to_owned())));
            } else if let Some(name) = feature.strip_suffix('+') {
                supported.features.push((name.to_owned(), None));
            }
        }
        Ok(supported)
    }

    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|(name, _)| name == feature)
    }
}

/// Why the target stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub cause: StopCause,
    pub thread: Option<ThreadId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// 5 (SIGTRAP): a breakpoint or a step. 2 (SIGINT): asked to stop.
    Signal(u8),
    Watch {
        kind: TrapKind,
        addr: Addr,
    },
    /// The machine is gone, with its exit code.
    Exited(u8),
    /// The machine is gone, by that signal.
    Killed(u8),
}

impl StopCause {
    /// SIGTRAP: a breakpoint, or the end of a step.
    pub const TRAP: Self = Self::Signal(5);
    /// SIGINT: it was asked for.
    pub const INTERRUPT: Self = Self::Signal(2);
}

impl Stop {
    /// `T05thread:p01.01;`, `T05thread:p01.01;watch:ffff88800010;`, `S05`, `W00`, `X09`.
    ///
    /// # Errors
    /// When the payload is none of these.
    pub fn decode(payload: &[u8]) -> Result<Self, ReplyError> {
        let wrong = || unexpected("a stop", payload);
        let (letter, number, rest) = match payload {
            [letter @ (b'T' | b'S' | b'W' | b'X'), a, b, rest @ ..] => {
                let (Some(a), Some(b)) = (hex::digit(*a), hex::digit(*b)) else {
                    return Err(wrong());
                };
                (*letter, a << 4 | b, rest)
            }
            _ => return Err(answer(payload).err().unwrap_or_else(wrong)),
        };
        let mut stop = Self {
            cause: match letter {
                b'W' => StopCause::Exited(number),
                b'X' => StopCause::Killed(number),
                _ => StopCause::Signal(number),
            },
            thread: None,
        };
        if letter != b'T' {
            return Ok(stop);
        }
        for pair in rest.split(|byte| *byte == b';').filter(|p| !p.is_empty()) {
            let colon = pair.iter().position(|b| *b == b':').ok_or_else(wrong)?;
            let (name, value) = (&pair[..colon], &pair[colon + 1..]);
            let watch = |kind| {
                let addr = hex::number(value).ok_or_else(wrong)?;
                Ok(StopCause::Watch {
                    kind,
                    addr: Addr(addr),
                })
            };
            match name {
                b"thread" => stop.thread = Some(ThreadId::decode(value).ok_or_else(wrong)?),
                b"watch" => stop.cause = watch(TrapKind::Write)?,
                b"rwatch" => stop.cause = watch(TrapKind::Read)?,
                b"awatch" => stop.cause = watch(TrapKind::Access)?,
                // Registers sent along and events of other systems: read when they are wanted.
                _ => {}
            }
        }
        Ok(stop)
    }

    /// The target is gone: nothing more can be asked of it.
    #[must_use]
    pub const fn ended(&self) -> bool {
        matches!(self.cause, StopCause::Exited(_) | StopCause::Killed(_))
    }
}

/// `mp01.01,p01.02` and, at the end, `l`.
///
/// # Errors
/// When the reply is neither.
pub fn threads(payload: &[u8]) -> Result<Option<Vec<ThreadId>>, ReplyError> {
    match answer(payload)? {
        [b'l', ..] => Ok(None),
        [b'm', list @ ..] => list
            .split(|byte| *byte == b',')
            .map(ThreadId::decode)
            .collect::<Option<Vec<_>>>()
            .map(Some)
            .ok_or_else(|| unexpected("a list of threads", payload)),
        _ => Err(unexpected("a list of threads", payload)),
    }
}

/// A part of a document: its bytes, and whether more follow.
///
/// # Errors
/// When the reply is neither `m…` nor `l…`.
pub fn part(payload: &[u8]) -> Result<(&[u8], bool), ReplyError> {
    match answer(payload)? {
        [b'm', part @ ..] => Ok((part, true)),
        [b'l', part @ ..] => Ok((part, false)),
        _ => Err(unexpected("a part of a document", payload)),
    }
}

/// One reply to `qRcmd`: output comes in any number of packets before `OK`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Monitor {
    Output(Vec<u8>),
    Done,
}

impl Monitor {
    /// # Errors
    /// When the reply is an error or no hexadecimal.
    pub fn decode(payload: &[u8]) -> Result<Self, ReplyError> {
        let text = match answer(payload)? {
            b"OK" => return Ok(Self::Done),
            [b'O', text @ ..] => text,
            other => other,
        };
        hex::decode(text)
            .map(Self::Output)
            .ok_or_else(|| unexpected("output in hexadecimal", payload))
    }
}

/// `ENABLE=1,NOIRQ=2,NOTIMER=4`
///
/// # Errors
/// When the reply is no such list.
pub fn step_flag_names(payload: &[u8]) -> Result<Vec<(String, u64)>, ReplyError> {
    let text = answer(payload)?;
    text.split(|byte| *byte == b',')
        .map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let name = String::from_utf8(pair[..equals].to_vec()).ok()?;
            Some((name, hex::number(&pair[equals + 1..])?))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| unexpected("step flags", payload))
}

/// `0x7`, and `0` for `qqemu.PhyMemMode`.
///
/// # Errors
/// When the reply is no number.
pub fn number(payload: &[u8]) -> Result<u64, ReplyError> {
    let text = answer(payload)?;
    hex::number(text.strip_prefix(b"0x").unwrap_or(text))
        .ok_or_else(|| unexpected("a number", payload))
}

/// Every decoder of this file on the same bytes, for a fuzzer.
pub fn decode_any(payload: &[u8]) {
    let _ = ok(payload);
    let _ = bytes(payload, None);
    let _ = register_bytes(payload);
    let _ = Supported::decode(payload);
    let _ = Stop::decode(payload);
    let _ = threads(payload);
    let _ = part(payload);
    let _ = Monitor::decode(payload);
    let _ = step_flag_names(payload);
    let _ = number(payload);
}

#[cfg(test)]
mod tests;
