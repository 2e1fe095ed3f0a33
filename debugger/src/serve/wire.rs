//! The bytes between a client and gdbstub, buffered both ways.
//!
//! gdbstub writes byte by byte, and takes a damaged packet, a `-` or a packet it does not expect for
//! the end of the conversation. Here packets are checked first, replies leave in one piece, and the last
//! one is kept to be sent again.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use gdbstub::conn::Connection;

use super::stream::Stream;
use crate::gdb::packet::{Decoder, Item, PacketError, push};

/// What a client's packets may hold: announced as `PacketSize`.
pub(super) const PACKET: usize = 0x2_0000;

#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    decoder: Decoder,
    items: VecDeque<Item>,
    /// Not sent yet.
    out: Vec<u8>,
    /// As it was sent, from its `$` on.
    last: Vec<u8>,
    pub(super) acknowledges: bool,
    /// What came before the first packet.
    preface: String,
    /// Nothing that is written goes out.
    pub(super) muted: bool,
    buffer: Box<[u8]>,
}

/// `token` and one, in a line.
const LONGEST_PREFACE: usize = 100;

/// What a look at the client came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Packet(Vec<u8>),
    Interrupt,
    Nothing,
    HungUp,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            decoder: Decoder::default(),
            items: VecDeque::new(),
            out: Vec::new(),
            last: Vec::new(),
            acknowledges: true,
            preface: String::new(),
            muted: false,
            buffer: vec![0; 1 << 16].into_boxed_slice(),
        }
    }

    /// Whether it has said this line before anything else.
    pub(super) fn began_with(&self, line: &str) -> bool {
        self.preface.lines().any(|said| said.trim() == line)
    }

    /// The next packet or interrupt. With `wait` it is waited for, else `Nothing` says that there is
    /// none yet.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(super) fn hear(&mut self, wait: bool) -> io::Result<Heard> {
        loop {
            while let Some(item) = self.items.pop_front() {
                match item {
                    Item::Packet(payload) => return Ok(Heard::Packet(payload)),
                    Item::Interrupt => return Ok(Heard::Interrupt),
                    Item::Nak => self.stream.send(&self.last)?,
                    Item::Ack | Item::Notification(_) => {}
                }
            }
            let read = match self.stream.receive(&mut self.buffer, wait) {
                Ok(0) => return Ok(Heard::HungUp),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Heard::Nothing);
                }
                Err(error) => return Err(error),
            };
            for &byte in &self.buffer[..read] {
                match self.decoder.push(byte) {
                    Ok(item) => self.items.extend(item),
                    // Bytes between packets mean nothing but at the very first.
                    Err(PacketError::Junk(byte)) if self.preface.len() < LONGEST_PREFACE => {
                        self.preface.push(char::from(byte));
                    }
                    Err(PacketError::Junk(_)) => {}
                    Err(_) if self.acknowledges => self.stream.send(b"-")?,
                    Err(_) => {}
                }
            }
        }
    }

    /// A reply of our own, in place of whatever was begun.
    pub(super) fn reply(&mut self, payload: &[u8]) -> io::Result<()> {
        self.out.clear();
        if self.acknowledges {
            self.out.push(b'+');
        }
        push(&mut self.out, payload);
        self.send()
    }

    /// A packet that answers nothing: text for the client's user while it waits.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        let mut payload = b"O".to_vec();
        crate::gdb::hex::push(&mut payload, text.as_bytes());
        push(&mut self.out, &payload);
        self.send()
    }

    pub(super) fn send(&mut self) -> io::Result<()> {
        if self.muted {
            self.out.clear();
            return Ok(());
        }
        if self.out.is_empty() {
            return Ok(());
        }
        if let Some(start) = self.out.iter().position(|byte| *byte == b'$') {
            self.last.clear();
            self.last.extend(&self.out[start..]);
        }
        let sent = self.stream.send(&self.out);
        self.out.clear();
        sent
    }
}

/// gdbstub's end of a wire.
#[derive(Clone, Debug)]
pub(super) struct End(pub(super) Rc<RefCell<Wire>>);

impl Connection for End {
    type Error = io::Error;

    fn write(&mut self, byte: u8) -> io::Result<()> {
        self.0.borrow_mut().out.push(byte);
        Ok(())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().out.extend(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().send()
    }
}
