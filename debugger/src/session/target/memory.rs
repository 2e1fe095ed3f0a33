//! Guest memory: read in batches, kept until the machine runs again.

use std::collections::BTreeMap;

use crate::addr::{Addr, PhysAddr};
use crate::gdb::reply::{self, ReplyError};
use crate::gdb::request::Request;

use super::{Target, TargetError, refused};

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
    /// By the address of the line's first byte; what the stub said where it cannot be read.
    lines: BTreeMap<u64, Result<Box<[u8]>, String>>,
    /// Bytes a single `m` may ask for.
    chunk: u64,
    /// Bytes of a packet.
    packet: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            chunk: SAFE_CHUNK,
            packet: 2 * SAFE_CHUNK + 2,
        }
    }
}

impl Cache {
    pub(super) fn clear(&mut self) {
        self.lines.clear();
    }

    /// A stub announces its packet size; QEMU 7.2 answers E22 to `m` for half of it.
    pub(super) fn set_chunk(&mut self, packet_size: Option<u64>) {
        self.packet = packet_size.unwrap_or(0x400).clamp(0x100, 0x2_0000);
        self.chunk = self.packet / 2 - 1;
    }

    fn line(&self) -> u64 {
        let mut line = LINE;
        while line > self.chunk {
            line /= 2;
        }
        line
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
        if self.reads_beside() {
            return self.through_window(addr, bytes);
        }
        if addr.in_kernel_half() && self.peek(addr, bytes) {
            return Ok(());
        }
        self.fetch(&[(addr, bytes.len())])?;
        self.copy(addr, bytes)
    }

    /// Reads many places in one batch; each fails alone.
    pub fn read_many(&mut self, places: &[(Addr, usize)]) -> Vec<Result<Vec<u8>, TargetError>> {
        if self.is_file() || self.reads_beside() {
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
        self.read_through(self.selected)?;
        let requests: Vec<_> = places
            .iter()
            .map(|addr| Request::ReadMemory {
                addr: addr.0,
                len: len as u64,
            })
            .collect();
        let replies = self.batch(&requests)?;
        let bytes = |payload: &Vec<u8>| reply::bytes(payload, Some(len)).ok();
        Ok(replies.iter().map(bytes).collect())
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
        self.needs_machine("writing memory")?;
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
        let len = self.memory.line();
        if self.memory.lines.len() > MOST_LINES {
            self.memory.clear();
        }
        let mut starts: Vec<u64> = Vec::new();
        for &(addr, bytes) in places {
            starts.extend(
                lines(addr, bytes, len).filter(|start| !self.memory.lines.contains_key(start)),
            );
        }
        starts.sort_unstable();
        starts.dedup();
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
            let line = reply::bytes(payload, usize::try_from(len).ok())
                .map(Vec::into_boxed_slice)
                .map_err(|error| error.to_string());
            self.memory.lines.insert(start, line);
        }
        Ok(())
    }

    /// Copies from the lines that [`Self::fetch`] left.
    fn copy(&self, addr: Addr, bytes: &mut [u8]) -> Result<(), TargetError> {
        let len = self.memory.line();
        let mut done = 0;
        for start in lines(addr, bytes.len(), len) {
            let at = addr + done as u64;
            let unreadable = |found: &str| TargetError::Unreadable {
                addr: at,
                found: found.to_owned(),
            };
            let line = match self.memory.lines.get(&start) {
                Some(Ok(line)) => line,
                Some(Err(found)) => return Err(unreadable(found)),
                None => return Err(unreadable("it was not read")),
            };
            let skip = usize::try_from(at.0 - start).unwrap_or(0);
            let part = (line.len() - skip).min(bytes.len() - done);
            bytes[done..done + part].copy_from_slice(&line[skip..skip + part]);
            done += part;
        }
        if done < bytes.len() {
            return Err(TargetError::Unreadable {
                addr: addr + done as u64,
                found: "the address space ends before it".to_owned(),
            });
        }
        Ok(())
    }
}

/// The first addresses of the lines of `len` bytes that hold these bytes; stops at the end of the
/// address space.
fn lines(addr: Addr, bytes: usize, len: u64) -> impl Iterator<Item = u64> {
    let first = addr.0 & !(len - 1);
    let count = match bytes {
        0 => 0,
        _ => (addr.0 - first).saturating_add(bytes as u64).div_ceil(len),
    };
    (0..count).map_while(move |i| first.checked_add(i.checked_mul(len)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cover_what_is_asked_for() {
        let check = |addr, bytes, expected: &[u64]| {
            let found: Vec<_> = lines(Addr(addr), bytes, 0x400).collect();
            assert_eq!(found, expected, "{addr:#x} {bytes}");
        };
        check(0x1000, 0, &[]);
        check(0x1000, 1, &[0x1000]);
        check(0x13ff, 1, &[0x1000]);
        check(0x13ff, 2, &[0x1000, 0x1400]);
        check(0x1400, 0x801, &[0x1400, 0x1800, 0x1c00]);
        check(u64::MAX, 1, &[u64::MAX - 0x3ff]);
        check(u64::MAX, 9, &[u64::MAX - 0x3ff]);
    }

    #[test]
    fn chunks_follow_the_announced_packet_size() {
        let check = |packet, chunk, line| {
            let mut cache = Cache::default();
            cache.set_chunk(packet);
            assert_eq!((cache.chunk, cache.line()), (chunk, line));
        };
        check(Some(0x1000), 0x7ff, 0x400);
        check(Some(0x2_0000), 0xffff, 0x400);
        check(Some(0x200), 0xff, 0x80);
        check(None, 0x1ff, 0x100);
        check(Some(u64::MAX), 0xffff, 0x400);
    }
}
