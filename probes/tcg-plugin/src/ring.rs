//! The writing end of a vCPU's ring.
//!
//! The lossless policy makes the guest wait for room. It does not wait for the dead: when the reading
//! process is gone, records are dropped and counted, so that QEMU can end. The flight policy takes the
//! room of the oldest records.

use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wire::layout::{CHUNK_HEADER_BYTES, RECORD_BYTES, SEQUENCE_OFFSET, USED_OFFSET};
use wire::record::SWITCH_NUMBERS;
use wire::{Control, Header, Policy, Shape, Taken, Word};

/// More instructions than any block has.
const LONGEST_BLOCK: u64 = 1 << 16;
/// Between two looks at the reader's ring.
const NAP: Duration = Duration::from_micros(20);
/// Between two looks at the reader's life.
const LIFE_CHECK: Duration = Duration::from_millis(200);

/// One vCPU's end. Used by that vCPU's thread alone, but for [`Ring::finish`], which runs when the
/// vCPUs stand still.
#[derive(Debug)]
#[repr(C)]
pub struct Ring {
    /// Where the next record goes.
    next: *mut u64,
    end: *mut u64,
    /// The clock at the chunk's start.
    base: u64,
    start: *mut u64,
    /// The chunk's number, once one was begun.
    chunk: u64,
    mapping: *mut u8,
    shape: Shape,
    vcpu: u32,
    lost: u64,
    /// Behind the numbers of the last switch.
    switched: *mut u64,
    /// Where records go that there is no room for.
    scratch: Box<[u64]>,
    dropping: bool,
}

/// A switch of tasks, as it is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Switch {
    pub word: Word,
    /// Where the stack pointers of the two tasks lie.
    pub from: u64,
    pub to: u64,
}

impl Ring {
    /// # Safety
    /// `mapping` is a mapping of that shape, as long as the ring is used.
    #[must_use]
    pub unsafe fn new(mapping: *mut u8, shape: Shape, vcpu: u32) -> Self {
        Self {
            next: ptr::null_mut(),
            end: ptr::null_mut(),
            base: 0,
            start: ptr::null_mut(),
            chunk: 0,
            mapping,
            shape,
            vcpu,
            lost: 0,
            switched: ptr::null_mut(),
            scratch: vec![0; shape.chunk_records as usize].into_boxed_slice(),
            dropping: false,
        }
    }

    #[inline]
    pub fn push(&mut self, clock: u64, word: u32) {
        if self.next == self.end || clock.wrapping_sub(self.base) >> 32 != 0 {
            return self.push_to_next_chunk(clock, word);
        }
        self.put(clock, word);
    }

    /// Whether two more records have room in the chunk, the first at `clock`, the other within a block of it.
    #[inline]
    #[must_use]
    pub fn has_two(&self, clock: u64) -> bool {
        let room = (self.end as usize).wrapping_sub(self.next as usize);
        room >= 2 * RECORD_BYTES && clock.wrapping_sub(self.base) < (1 << 32) - LONGEST_BLOCK
    }

    /// The last thing that [`Ring::push`] does, so that nothing has to be kept over the call. Of C's, since nothing is
    /// unwound to the caller then.
    #[cold]
    #[inline(never)]
    extern "C" fn push_to_next_chunk(&mut self, clock: u64, word: u32) {
        self.turn(clock);
        self.put(clock, word);
    }

    /// Where there is room.
    #[inline]
    pub fn put(&mut self, clock: u64, word: u32) {
        // The low half of the clock.
        let raw = u64::from(word) << 32 | clock & 0xffff_ffff;
        // SAFETY: `next` is below `end`, inside the chunk that is ours until it is taken.
        unsafe {
            *self.next = raw;
            self.next = self.next.add(1);
        }
    }

    /// A switch, never parted by the end of a chunk, and readable at once: `order` counts the switches of
    /// all vCPUs, and the reader passes no switch by whose number is not the next one. The number is taken
    /// when there is room for it: nobody waits for room while others wait for its number.
    pub fn push_switch(&mut self, clock: u64, switch: Switch, order: &AtomicU64) {
        let room = (self.end as usize).wrapping_sub(self.next as usize) / RECORD_BYTES;
        if room < 1 + SWITCH_NUMBERS {
            self.turn(clock);
        }
        self.push(clock, switch.word.0);
        let number = order.fetch_add(1, Ordering::AcqRel);
        for whole in [switch.from, switch.to, number] {
            // SAFETY: there was room for all, and `push` took one.
            unsafe {
                *self.next = whole;
                self.next = self.next.add(1);
            }
        }
        self.switched = self.next;
        self.publish();
    }

    /// The clock of the last record; `None`: there is none.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        if self.next == self.start {
            return None;
        }
        let numbers = if self.next == self.switched {
            SWITCH_NUMBERS
        } else {
            0
        };
        // SAFETY: a chunk that was begun has a record, and a switch's numbers lie behind it.
        let raw = unsafe { *self.next.sub(1 + numbers) };
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        let since = (raw as u32).wrapping_sub(self.base as u32);
        Some(self.base.wrapping_add(since.into()))
    }

    /// Lets the reader have what there is of a chunk.
    pub fn publish(&mut self) {
        if !self.dropping && !self.start.is_null() {
            let used = self.shared(self.chunk, USED_OFFSET);
            used.store(self.filled(), Ordering::Release);
        }
    }

    /// The last records.
    pub fn finish(&mut self) {
        self.publish();
        if self.dropping {
            self.count_lost(self.filled());
            self.next = self.start;
        }
    }

    fn filled(&self) -> u32 {
        let bytes = (self.next as usize).wrapping_sub(self.start as usize);
        u32::try_from(bytes / RECORD_BYTES).unwrap_or(0)
    }

    fn count_lost(&mut self, records: u32) {
        self.lost += u64::from(records);
        self.control().lost.store(self.lost, Ordering::Release);
    }

    /// Finishes the chunk, sees to room for another one and begins it.
    fn turn(&mut self, clock: u64) {
        if self.dropping {
            self.count_lost(self.filled());
        } else if !self.start.is_null() {
            self.publish();
            self.chunk += 1;
            self.control().head.store(self.chunk, Ordering::Release);
        }
        self.dropping = !self.has_room();
        self.begin(clock);
    }

    fn begin(&mut self, clock: u64) {
        self.base = clock;
        if self.dropping {
            self.start = self.scratch.as_mut_ptr();
        } else {
            let chunk = self.chunk;
            self.shared(chunk, USED_OFFSET).store(0, Ordering::Relaxed);
            self.field::<u64>(chunk, 8).store_plain(clock);
            self.field::<u64>(chunk, 16).store_plain(self.lost);
            self.field::<u32>(chunk, 28).store_plain(self.vcpu);
            // After the count: a reader that finds this number finds this chunk's records.
            self.sequence(chunk).store(chunk, Ordering::Release);
            self.start = self.field::<u64>(chunk, CHUNK_HEADER_BYTES).0;
        }
        self.next = self.start;
        // SAFETY: a chunk and the scratch have that many records.
        self.end = unsafe { self.start.add(self.shape.chunk_records as usize) };
    }

    /// False: there is no room, and what comes next is dropped.
    fn has_room(&mut self) -> bool {
        let closed = self.header().closed.load(Ordering::Relaxed) != 0;
        if closed {
            false
        } else if self.header().policy == Policy::Flight as u32 {
            self.make_room();
            true
        } else {
            self.wait_for_room()
        }
    }

    fn is_full(&self, taken: Taken) -> bool {
        self.chunk - taken.chunks >= u64::from(self.shape.chunks)
    }

    fn taken(&self) -> Taken {
        Taken::unpack(self.control().tail.load(Ordering::Acquire))
    }

    /// Drops the oldest chunk where there is no room.
    fn make_room(&mut self) {
        let mut taken = self.taken();
        while self.is_full(taken) {
            let next = Taken {
                chunks: taken.chunks + 1,
                records: 0,
            };
            let used = self.shared(taken.chunks, USED_OFFSET);
            let left = used.load(Ordering::Relaxed).saturating_sub(taken.records);
            // The reader may be as quick.
            let mine = self.control().tail.compare_exchange(
                taken.pack(),
                next.pack(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if mine.is_ok() {
                self.count_lost(left);
            }
            taken = self.taken();
        }
    }

    fn wait_for_room(&self) -> bool {
        if !self.is_full(self.taken()) {
            return true;
        }
        let (control, header) = (self.control(), self.header());
        let began = Instant::now();
        let mut checked = began;
        while self.is_full(self.taken()) {
            if header.closed.load(Ordering::Relaxed) != 0 {
                return false;
            }
            std::thread::sleep(NAP);
            if checked.elapsed() > LIFE_CHECK {
                checked = Instant::now();
                if !is_alive(header.reader) {
                    header.closed.store(1, Ordering::Relaxed);
                    return false;
                }
            }
        }
        let waited = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        control.waits.fetch_add(1, Ordering::Relaxed);
        control.waited_ns.fetch_add(waited, Ordering::Relaxed);
        true
    }

    fn header(&self) -> &'static Header {
        // SAFETY: the mapping begins with a header and is never unmapped.
        unsafe { &*self.mapping.cast() }
    }

    fn control(&self) -> &'static Control {
        let offset = usize::try_from(self.shape.control_offset(self.vcpu)).unwrap_or(0);
        // SAFETY: inside the mapping, aligned, and its fields are atomics; it is never unmapped.
        unsafe { &*self.mapping.add(offset).cast() }
    }

    fn shared(&self, chunk: u64, offset: usize) -> &AtomicU32 {
        // SAFETY: inside the mapping and aligned; the reader only loads it.
        unsafe { &*self.field::<AtomicU32>(chunk, offset).0 }
    }

    fn sequence(&self, chunk: u64) -> &AtomicU64 {
        // SAFETY: as above.
        unsafe { &*self.field::<AtomicU64>(chunk, SEQUENCE_OFFSET).0 }
    }

    fn field<T>(&self, chunk: u64, offset: usize) -> Field<T> {
        let chunk = usize::try_from(self.shape.chunk_offset(self.vcpu, chunk)).unwrap_or(0);
        // SAFETY: inside the chunk, which lies inside the mapping; aligned by the layout.
        Field(unsafe { self.mapping.add(chunk + offset).cast() })
    }
}

/// A place in a chunk that is ours.
struct Field<T>(*mut T);

impl<T> Field<T> {
    fn store_plain(self, value: T) {
        // SAFETY: in a chunk that the reader does not look at until it finds records there.
        unsafe { self.0.write(value) }
    }
}

fn is_alive(process: u32) -> bool {
    let Some(process) = i32::try_from(process)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    else {
        return true;
    };
    // A process we may not signal is alive.
    rustix::process::test_kill_process(process) != Err(rustix::io::Errno::SRCH)
}

/// The atomics of the shared header are what this build's are.
const _: () = assert!(size_of::<AtomicU64>() == 8 && size_of::<AtomicU32>() == 4);
