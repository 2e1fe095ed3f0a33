//! The writing end of a vCPU's ring.
//!
//! The lossless policy makes the guest wait for room. It does not wait for the dead: when the reading
//! process is gone, records are dropped and counted, so that QEMU can end.

use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wire::{Control, Header, Policy, Shape, State};

/// Between two looks at the reader's ring.
const NAP: Duration = Duration::from_micros(20);
/// Between two looks at the reader's life.
const LIFE_CHECK: Duration = Duration::from_millis(200);

/// One vCPU's end. Used by that vCPU's thread alone, but for [`Ring::finish`], which runs when the
/// vCPUs stand still.
#[derive(Debug)]
pub struct Ring {
    /// Where the next record goes.
    next: *mut u64,
    end: *mut u64,
    /// The clock at the chunk's start.
    base: u64,
    start: *mut u64,
    mapping: *mut u8,
    shape: Shape,
    vcpu: u32,
    lost: u64,
    /// Where records go that there is no room for.
    scratch: Box<[u64]>,
    dropping: bool,
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
            mapping,
            shape,
            vcpu,
            lost: 0,
            scratch: vec![0; shape.chunk_records as usize].into_boxed_slice(),
            dropping: false,
        }
    }

    #[inline]
    pub fn push(&mut self, clock: u64, word: u32) {
        if self.next == self.end || clock.wrapping_sub(self.base) >> 32 != 0 {
            self.turn(clock);
        }
        // The low half of the clock.
        let raw = u64::from(word) << 32 | clock & 0xffff_ffff;
        // SAFETY: `next` is below `end`, inside the chunk that is ours until it is published.
        unsafe {
            *self.next = raw;
            self.next = self.next.add(1);
        }
    }

    /// A switch and its addresses, never parted by the end of a chunk.
    pub fn push_switch(&mut self, clock: u64, word: u32, from: u64, to: u64) {
        if (self.end as usize).wrapping_sub(self.next as usize) < 24 {
            self.turn(clock);
        }
        self.push(clock, word);
        for address in [from, to] {
            // SAFETY: there was room for three, and `push` took one.
            unsafe {
                *self.next = address;
                self.next = self.next.add(1);
            }
        }
    }

    /// Hands over what there is of a chunk.
    pub fn flush(&mut self, clock: u64) {
        if self.next != self.start {
            self.turn(clock);
        }
    }

    pub fn finish(&mut self, clock: u64) {
        self.flush(clock);
        let header = self.header();
        header.insns.store(clock, Ordering::Relaxed);
        header
            .state
            .store(State::Finished as u32, Ordering::Release);
    }

    /// Publishes the chunk, waits for room for another one and begins it.
    #[cold]
    fn turn(&mut self, clock: u64) {
        let control = self.control();
        let mut head = control.head.load(Ordering::Relaxed);
        let bytes = (self.next as usize).wrapping_sub(self.start as usize);
        let used = u32::try_from(bytes / wire::layout::RECORD_BYTES).unwrap_or(0);
        if self.dropping {
            self.lost += u64::from(used);
            control.lost.store(self.lost, Ordering::Relaxed);
        } else if used > 0 {
            self.field::<u32>(head, 24).store_plain(used);
            head += 1;
            control.head.store(head, Ordering::Release);
        }
        self.dropping = !self.wait_for_room(head);
        self.begin(head, clock);
    }

    fn begin(&mut self, head: u64, clock: u64) {
        self.base = clock;
        if self.dropping {
            self.start = self.scratch.as_mut_ptr();
        } else {
            self.field::<u64>(head, 0).store_plain(head);
            self.field::<u64>(head, 8).store_plain(clock);
            self.field::<u64>(head, 16).store_plain(self.lost);
            self.field::<u32>(head, 24).store_plain(0);
            self.field::<u32>(head, 28).store_plain(self.vcpu);
            self.start = self.field::<u64>(head, wire::layout::CHUNK_HEADER_BYTES).0;
        }
        self.next = self.start;
        // SAFETY: a chunk and the scratch have that many records.
        self.end = unsafe { self.start.add(self.shape.chunk_records as usize) };
    }

    /// False: there is none, and what comes next is dropped.
    fn wait_for_room(&self, head: u64) -> bool {
        let (control, header) = (self.control(), self.header());
        let full = || head - control.tail.load(Ordering::Acquire) >= u64::from(self.shape.chunks);
        let closed = || header.closed.load(Ordering::Relaxed) != 0;
        if !full() {
            return true;
        }
        if closed() || header.policy == Policy::Flight as u32 {
            return false;
        }
        let began = Instant::now();
        let mut checked = began;
        while full() {
            if closed() {
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

    fn header(&self) -> &Header {
        // SAFETY: the mapping begins with a header and outlives the ring.
        unsafe { &*self.mapping.cast() }
    }

    fn control(&self) -> &'static Control {
        let offset = usize::try_from(self.shape.control_offset(self.vcpu)).unwrap_or(0);
        // SAFETY: inside the mapping, aligned, and its fields are atomics; it is never unmapped.
        unsafe { &*self.mapping.add(offset).cast() }
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
        // SAFETY: in a chunk that the reader does not look at until it is published.
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
