//! Reads of memory that follow one another.
//!
//! A debugger that looks around sends one `m` after the other. gdbstub knows which thread is meant and answers the
//! first; it writes its reply digit by digit, which takes longer than all else of a round trip. Those that follow are
//! answered here, with the same bytes, until anything but a read comes.

use gdbstub::common::Tid;

use super::machine::{Machine, vcpu};
use crate::addr::Addr;
use crate::gdb::hex;
use crate::session::joined::{Ask, Given};

/// The thread whose memory is read, as gdbstub last said it.
#[derive(Debug, Default)]
pub(super) struct Reading(Option<Tid>);

impl Reading {
    pub(super) const fn of(&mut self, tid: Tid) {
        self.0 = Some(tid);
    }

    /// Another request than a read may mean another thread.
    pub(super) fn heard(&mut self, payload: &[u8]) {
        if !payload.starts_with(b"m") {
            self.0 = None;
        }
    }
}

impl Machine {
    /// The reply to a read that follows another one. None: gdbstub is to answer it, with its errors.
    pub(super) fn read_on(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let tid = self.reading.0.filter(|_| !self.runs)?;
        let (addr, len) = asked(payload)?;
        let read = Ask::Read {
            vcpu: vcpu(tid),
            addr,
            len,
        };
        match self.joined.ask(read) {
            Ok(Given::Memory(bytes)) if bytes.len() == len && len > 0 => Some(hex::encode(&bytes)),
            _ => None,
        }
    }
}

/// `mADDR,LENGTH`
fn asked(payload: &[u8]) -> Option<(Addr, usize)> {
    let numbers = payload.strip_prefix(b"m")?;
    let comma = numbers.iter().position(|byte| *byte == b',')?;
    let addr = hex::number(&numbers[..comma])?;
    let len = hex::number(&numbers[comma + 1..])?;
    Some((Addr(addr), usize::try_from(len).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_an_address_and_a_length() {
        assert_eq!(
            asked(b"mffffffff81000000,7ff"),
            Some((Addr(0xffff_ffff_8100_0000), 0x7ff))
        );
        for other in [
            &b"m"[..],
            b"m,",
            b"m1",
            b"m1,",
            b"m,1",
            b"m1,2,3",
            b"M1,2:00",
            b"mx,1",
        ] {
            assert_eq!(asked(other), None, "{}", other.escape_ascii());
        }
    }
}
