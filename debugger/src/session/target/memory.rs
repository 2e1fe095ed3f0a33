//! Guest memory: read in batches, kept until the machine runs again.

use std::sync::Arc;

use crate::addr::{Addr, PhysAddr};
use crate::gdb::reply::{self, ReplyError};
use crate::gdb::request::Request;
use crate::space::Root;

use super::lines::{Gap, Lines};
use super::shelf::Shelf;
use super::{Kept, Target, TargetError, refused};

/// The longest read that QEMU 7.2 answers: two digits for each byte, in a packet of 0x1000 bytes.
const SAFE_CHUNK: u64 = 0x7ff;

/// Bytes that are read and kept together. A power of two below [`SAFE_CHUNK`], so that a line never
/// lies in two pages: what cannot be read then starts at a line.
const LINE: u64 = 0x400;

/// Lines kept before all are dropped: 16 MiB.
const MOST_LINES: usize = 16 << 10;

/// `M` and its numbers, before the bytes.
const WRITE_HEADER: u64 = 48;

/// What was read since the machine last stopped.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    pub(super) lines: Lines,
    /// What is read now will be read again at the next stop.
    pub(super) expects: bool,
    /// Counts how often all that was read was forgotten.
    pub(super) epoch: u64,
    /// For other threads.
    pub(super) shelf: Arc<Shelf>,
    /// Bytes a single `m` may ask for.
    chunk: u64,
    /// Bytes of a packet.
    packet: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            lines: Lines::new(LINE),
            expects: false,
            epoch: 0,
            shelf: Arc::default(),
            chunk: SAFE_CHUNK,
            packet: 2 * SAFE_CHUNK + 2,
        }
    }
}

impl Cache {
    /// The machine may be another now.
    pub(super) fn clear(&mut self) {
        self.shelf.clear();
        self.look_through_another();
    }

    /// It is read through another vCPU's page tables from now on.
    pub(super) fn look_through_another(&mut self) {
        self.lines.clear();
        self.epoch += 1;
    }

    /// A stub announces its packet size; QEMU 7.2 answers E22 to `m` for half of it.
    pub(super) fn set_chunk(&mut self, packet_size: Option<u64>) {
        self.packet = packet_size.unwrap_or(0x400).clamp(0x100, 0x2_0000);
        self.chunk = self.packet / 2 - 1;
        let mut len = LINE;
        while len > self.chunk {
            len /= 2;
        }
        self.lines = Lines::new(len);
    }
}

impl Target {
    /// Reads memory through the page tables of the vCPU that stopped, or of the one chosen since.
    ///
    /// # Errors
    /// With the first address that cannot be read.
    pub fn read(&mut self, addr: Addr, bytes: &mut [u8]) -> Result<(), TargetError> {
        if let Some(file) = &self.file {
            return match file.read(addr, bytes) {
                true => Ok(()),
                false => Err(TargetError::NotInFile(addr)),
            };
        }
        if let Some(past) = &self.past {
            return past.read(addr, bytes);
        }
        if self.reads_beside() {
            return self.through_window(addr, bytes);
        }
        self.fetch(&[(addr, bytes.len())])?;
        self.copy(addr, bytes)
    }

    /// Reads many places in one batch; each fails alone.
    pub fn read_many(&mut self, places: &[(Addr, usize)]) -> Vec<Result<Vec<u8>, TargetError>> {
        if self.is_file() || self.past.is_some() || self.reads_beside() {
            let read = |&(addr, len): &(Addr, usize)| {
                let mut bytes = vec![0; len];
                self.read(addr, &mut bytes).map(|()| bytes)
            };
            return places.iter().map(read).collect();
        }
        let fetched = self.fetch(places).map_err(|error| error.to_string());
        let read = |&(addr, len)| {
            if let Err(found) = &fetched {
                let found = found.clone();
                return Err(TargetError::NotRead { addr, found });
            }
            let mut bytes = vec![0; len];
            self.copy(addr, &mut bytes).map(|()| bytes)
        };
        places.iter().map(read).collect()
    }

    /// A few bytes at each of many places, past the cache; `None` where they cannot be read.
    ///
    /// # Errors
    /// When the stub does not answer.
    pub fn probe(
        &mut self,
        places: &[Addr],
        len: usize,
    ) -> Result<Vec<Option<Vec<u8>>>, TargetError> {
        self.needs_machine("looking for the kernel")?;
        let tables = self.tables();
        let peek = |addr: &Addr| {
            let mut bytes = vec![0; len];
            self.peek(*addr, &mut bytes, tables).then_some(bytes)
        };
        let mut read: Vec<_> = places.iter().map(peek).collect();
        let missing = || {
            places
                .iter()
                .enumerate()
                .filter(|(at, _)| read[*at].is_none())
        };
        let requests: Vec<_> = missing()
            .map(|(_, addr)| Request::ReadMemory {
                addr: addr.0,
                len: len as u64,
            })
            .collect();
        if requests.is_empty() {
            return Ok(read);
        }
        let missing: Vec<usize> = missing().map(|(at, _)| at).collect();
        self.read_through(self.selected)?;
        let replies = self.batch(&requests)?;
        for (at, payload) in missing.into_iter().zip(&replies) {
            read[at] = reply::bytes(payload, Some(len)).ok();
        }
        Ok(read)
    }

    /// Reads much at once, past the cache, in pieces as long as the stub takes. What cannot be read
    /// reads as 0.
    ///
    /// # Errors
    /// When the stub does not answer.
    pub fn read_long(&mut self, addr: Addr, len: usize) -> Result<Vec<u8>, TargetError> {
        self.needs_machine("reading the kernel's memory")?;
        self.read_through(self.selected)?;
        let chunk = usize::try_from(self.memory.chunk).unwrap_or(1);
        let mut bytes = vec![0; len];
        for (i, window) in bytes.chunks_mut(chunk * super::WINDOW).enumerate() {
            let start = addr + (i * chunk * super::WINDOW) as u64;
            let piece = |(i, part): (usize, &[u8])| Request::ReadMemory {
                addr: (start + (i * chunk) as u64).0,
                len: part.len() as u64,
            };
            let requests: Vec<_> = window.chunks(chunk).enumerate().map(piece).collect();
            let replies = self.batch(&requests)?;
            for (part, payload) in window.chunks_mut(chunk).zip(&replies) {
                if let Ok(read) = reply::bytes(payload, Some(part.len())) {
                    part.copy_from_slice(&read);
                }
            }
        }
        Ok(bytes)
    }

    /// Reads physical memory, past every page table. The stub is back in its usual mode afterwards,
    /// whatever comes of the reads: all of it is one batch.
    ///
    /// # Errors
    /// When the stub has no such mode, or nothing is there.
    pub fn read_physical(&mut self, addr: PhysAddr, bytes: &mut [u8]) -> Result<(), TargetError> {
        self.needs_machine("reading physical memory")?;
        // What is memory is read where it lies; firmware and devices only the stub knows.
        if self.peek_physical(addr, bytes) {
            return Ok(());
        }
        let chunk = usize::try_from(self.memory.chunk).unwrap_or(1);
        let mut requests = vec![Request::SetPhysicalMode(true)];
        let mut at = addr.0;
        for part in bytes.chunks(chunk) {
            let len = part.len() as u64;
            requests.push(Request::ReadMemory { addr: at, len });
            at = at.wrapping_add(len);
        }
        requests.push(Request::SetPhysicalMode(false));
        let replies = self.batch(&requests)?;
        let (Some(entered), Some(left)) = (replies.first(), replies.last()) else {
            return Ok(());
        };
        match (reply::ok(entered), reply::ok(left)) {
            (Err(ReplyError::Unsupported), _) => return Err(TargetError::NoPhysicalMode),
            (Err(source), _) => return Err(refused(&requests[0], source)),
            (Ok(()), Err(source)) => return Err(TargetError::StuckPhysical(source)),
            (Ok(()), Ok(())) => {}
        }
        let mut at = addr.0;
        for (part, payload) in bytes.chunks_mut(chunk).zip(&replies[1..]) {
            let read = reply::bytes(payload, Some(part.len())).map_err(|error| {
                TargetError::UnreadablePhysical {
                    addr: PhysAddr(at),
                    found: error.to_string(),
                }
            })?;
            part.copy_from_slice(&read);
            at = at.wrapping_add(part.len() as u64);
        }
        Ok(())
    }

    /// Writes memory and reads it back. QEMU writes through a page that the guest may only read.
    ///
    /// # Errors
    /// Where nothing is mapped, and where other bytes are read back.
    pub fn write(&mut self, addr: Addr, bytes: &[u8]) -> Result<(), TargetError> {
        self.may_change("writing memory")?;
        self.read_through(self.selected)?;
        // Another address may name the same memory: the direct map does.
        self.memory.clear();
        let chunk = usize::try_from((self.memory.packet - WRITE_HEADER) / 2).unwrap_or(1);
        let mut requests = Vec::new();
        let mut at = addr;
        for part in bytes.chunks(chunk) {
            requests.push(Request::WriteMemory {
                addr: at.0,
                bytes: part.to_vec(),
            });
            requests.push(Request::ReadMemory {
                addr: at.0,
                len: part.len() as u64,
            });
            at = at + part.len() as u64;
        }
        let replies = self.batch(&requests)?;
        let mut at = addr;
        for (part, replies) in bytes.chunks(chunk).zip(replies.chunks_exact(2)) {
            reply::ok(&replies[0]).map_err(|error| TargetError::Unwritable {
                addr: at,
                found: error.to_string(),
            })?;
            let found = reply::bytes(&replies[1], Some(part.len())).map_err(|error| {
                TargetError::Unreadable {
                    addr: at,
                    found: error.to_string(),
                }
            })?;
            if let Some(i) = (0..part.len()).find(|&i| part[i] != found[i]) {
                return Err(TargetError::WriteLost {
                    addr: at + i as u64,
                    wrote: part[i],
                    found: found[i],
                });
            }
            at = at + part.len() as u64;
        }
        Ok(())
    }

    /// Reads the lines that these places need and that are not kept yet.
    fn fetch(&mut self, places: &[(Addr, usize)]) -> Result<(), TargetError> {
        if self.memory.lines.read.len() > MOST_LINES {
            self.memory.clear();
        }
        let lines = &mut self.memory.lines;
        let mut starts: Vec<u64> = Vec::new();
        for &(addr, bytes) in places {
            for start in lines.starts(addr, bytes) {
                lines.asked.insert(start);
                if self.memory.expects {
                    lines.expected.insert(start);
                }
                if !lines.read.contains_key(&start) {
                    starts.push(start);
                }
            }
        }
        starts.sort_unstable();
        starts.dedup();
        self.fetch_lines(starts)
    }

    /// Whether what is read from here on will be read again at the next stop: then that stop
    /// reads it at once ([`Self::read_ahead`]). What somebody looks at by hand will not: it may be
    /// a device's memory, where each read does something.
    pub const fn expect(&mut self, expects: bool) {
        self.memory.expects = expects;
    }

    /// Reads in one batch what is expected to be read, by what was at the stop before.
    ///
    /// # Errors
    /// When the stub does not answer.
    pub fn read_ahead(&mut self, before: &Kept) -> Result<(), TargetError> {
        let read = &self.memory.lines.read;
        let expected = before.expected().filter(|start| !read.contains_key(start));
        let starts: Vec<u64> = expected.collect();
        self.fetch_lines(starts)
    }

    fn fetch_lines(&mut self, mut starts: Vec<u64>) -> Result<(), TargetError> {
        let len = self.memory.lines.len;
        let tables = self.tables();
        starts.retain(|start| !self.peek_line(*start, tables));
        if starts.is_empty() {
            return Ok(());
        }
        self.read_through(self.selected)?;
        let requests: Vec<_> = starts
            .iter()
            .map(|&addr| Request::ReadMemory { addr, len })
            .collect();
        let replies = self.batch(&requests)?;
        for (start, payload) in starts.into_iter().zip(&replies) {
            self.take_line(start, payload);
        }
        Ok(())
    }

    /// A line from shared memory, without a packet: of the kernel's half, or through page tables.
    pub(super) fn peek_line(&mut self, start: u64, tables: Option<Root>) -> bool {
        let mut bytes = vec![0; usize::try_from(self.memory.lines.len).unwrap_or(0)];
        let peeked = self.peek(Addr(start), &mut bytes, tables);
        if peeked {
            self.memory.lines.read.insert(start, Ok(bytes.into()));
        }
        peeked
    }

    /// Keeps what the stub said to the request for one line.
    pub(super) fn take_line(&mut self, start: u64, payload: &[u8]) {
        let lines = &mut self.memory.lines;
        let line = reply::bytes(payload, usize::try_from(lines.len).ok())
            .map(Arc::from)
            .map_err(|error| Arc::from(error.to_string()));
        lines.read.insert(start, line);
    }

    /// Copies from the lines that [`Self::fetch`] left.
    fn copy(&self, addr: Addr, bytes: &mut [u8]) -> Result<(), TargetError> {
        let copied = self.memory.lines.copy(addr, bytes);
        copied.map_err(|(addr, gap)| match gap {
            Gap::Unreadable(found) if self.link.is_replayed() => {
                TargetError::NotRead { addr, found }
            }
            gap => TargetError::Unreadable {
                addr,
                found: match gap {
                    Gap::NotRead => "it was not read".to_owned(),
                    Gap::Unreadable(found) => found,
                    Gap::End => "the address space ends before it".to_owned(),
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_the_announced_packet_size() {
        let check = |packet, chunk, line| {
            let mut cache = Cache::default();
            cache.set_chunk(packet);
            assert_eq!((cache.chunk, cache.lines.len), (chunk, line));
        };
        check(Some(0x1000), 0x7ff, 0x400);
        check(Some(0x2_0000), 0xffff, 0x400);
        check(Some(0x200), 0xff, 0x80);
        check(None, 0x1ff, 0x100);
        check(Some(u64::MAX), 0xffff, 0x400);
    }
}
