//! What each vCPU keeps for itself, and the callbacks that QEMU makes while it runs.
//!
//! A vCPU's callbacks come from its own thread, one at a time, so its state needs no lock. The states lie
//! on cache lines of their own.

pub mod anew;
pub mod timed;

use std::cell::UnsafeCell;
use std::ffi::{c_uint, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use wire::{Checks, Header, Kind, Word};

use crate::choice::Choice;
use crate::edges::{Edges, Stamps};
use crate::fault::{self, Place};
use crate::left::Left;
use crate::mapping::Mapping;
use crate::plan::Frame;
use crate::qemu::{Access, Both, Clock, OnExecution};
use crate::repeats::{self, Repeats};
use crate::ring::{Ring, Switch};

/// Which count of instructions the stamps are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// One addition per block.
    ByBlock,
    /// One addition per instruction.
    ByInstruction,
    /// By block, and checked against the other at every record.
    Both,
}

/// What most records need comes first, and fits into a cache line.
#[derive(Debug)]
#[repr(C)]
struct Vcpu {
    clock: &'static AtomicU64,
    header: &'static Header,
    /// The gate as it was when something was recorded last; [`NEVER`] while something is left out.
    gate: u32,
    counted: Counted,
    /// The gate was so when a crossing began.
    passes: bool,
    /// The last time that was looked at.
    ticks: u64,
    ring: Ring,
    by_block: &'static AtomicU64,
    by_instruction: &'static AtomicU64,
    checks: &'static Checks,
    edges: Edges,
    left: Left,
    repeats: Repeats,
    /// The opening of it that its records are of.
    opened: u32,
    choice: Choice,
    /// Where the stack pointer of the task being switched from was stored.
    saved_at: u64,
    /// Records since a fault whose place is not known yet, and how many of these there are.
    waiting: [Held; 2],
    waits: usize,
    /// What the CPU has pushed at that fault.
    frame: Frame,
}

/// A record to be written.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    stamp: u64,
    by_instruction: u64,
    word: Word,
}

impl Held {
    const fn stamps(&self) -> Stamps {
        Stamps {
            by_block: self.stamp,
            by_instruction: self.by_instruction,
        }
    }
}

#[derive(Debug)]
#[repr(align(128))]
struct Cell(UnsafeCell<Vcpu>);

/// The first of as many as the mapping has rings. Set before QEMU runs anything, and never changed after.
static VCPUS: AtomicPtr<Cell> = AtomicPtr::new(ptr::null_mut());

/// Switches of tasks, on all vCPUs.
static SWITCHES: AtomicU64 = AtomicU64::new(0);

/// Before anything runs: a state for each of the mapping's rings.
pub fn set_up(mapping: &Mapping, clocks: &'static [Clock], counted: Counted) {
    let cells: Vec<Cell> = (0..mapping.vcpus())
        .zip(clocks)
        .map(|(number, clock)| {
            let choice = Choice::new();
            let mut vcpu = Vcpu {
                clock: &clock.blocks,
                by_block: &clock.blocks,
                by_instruction: &clock.instructions,
                counted,
                passes: false,
                ticks: 0,
                ring: mapping.ring(number),
                header: mapping.header(),
                checks: mapping.checks(),
                edges: Edges::new(mapping.checks()),
                left: Left::default(),
                repeats: Repeats::default(),
                // What is recorded from the first opening on follows nothing that was not.
                gate: if choice.leaves_out() { NEVER } else { 1 },
                opened: 1,
                choice,
                saved_at: 0,
                waiting: [Held::default(); 2],
                waits: 0,
                frame: Frame::Plain,
            };
            vcpu.choose_clock();
            Cell(UnsafeCell::new(vcpu))
        })
        .collect();
    VCPUS.store(cells.leak().as_mut_ptr(), Ordering::Release);
}

/// The state of the vCPU whose thread this is.
#[inline]
fn vcpu(number: c_uint) -> *mut Vcpu {
    // SAFETY: there are as many as the machine has vCPUs at most, which was checked.
    unsafe {
        (*VCPUS.load(Ordering::Relaxed).add(number as usize))
            .0
            .get()
    }
}

impl Vcpu {
    fn choose_clock(&mut self) {
        self.clock = match self.counted {
            Counted::ByInstruction => self.by_instruction,
            Counted::ByBlock | Counted::Both => self.by_block,
        };
    }

    #[inline]
    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// The stamp and the word of packed data. With `BOTH` clocks, compares them.
    #[inline]
    fn unpack<const BOTH: bool>(&mut self, data: *mut c_void) -> (u64, u32) {
        let stamp = stamp(self.clock, data as u64 >> 32);
        if BOTH {
            self.compare(stamp, data);
        }
        (stamp, data as u32)
    }

    /// Counts a block whose length the data have; the clock before and after.
    #[inline]
    fn begin_block(&self, data: *mut c_void) -> (u64, u64) {
        let before = self.now();
        let after = before.wrapping_add(data as u64 >> 32 & 0xffff);
        self.clock.store(after, Ordering::Relaxed);
        (before, after)
    }

    fn compare(&mut self, by_block: u64, data: *mut c_void) {
        let held = self.hold(data);
        let stamps = Stamps {
            by_block,
            ..held.stamps()
        };
        self.edges.end(stamps, held.word);
    }

    fn hold(&self, data: *mut c_void) -> Held {
        let packed = data as u64;
        Held {
            stamp: stamp(self.clock, packed >> 32),
            by_instruction: stamp(self.by_instruction, packed >> 48),
            #[expect(clippy::cast_possible_truncation, reason = "a packed field")]
            word: Word(packed as u32),
        }
    }

    /// Told no earlier than `earliest`.
    fn record(&mut self, held: Held, earliest: u64) {
        if self.counted == Counted::Both {
            self.edges.end(held.stamps(), held.word);
        }
        self.push(held.stamp.max(earliest), held.word.0);
    }

    /// The clock in the instruction that was executed last before what waits.
    fn before_last(&self) -> u64 {
        let stamp = self.waiting[0].stamp;
        match self.counted {
            Counted::ByBlock | Counted::Both => stamp,
            // It counts behind what looks at it.
            Counted::ByInstruction => stamp.wrapping_sub(1),
        }
    }

    /// Takes back what was counted and not executed, and writes what waited for that.
    fn settle(&mut self, place: Place) {
        let last = self.ring.last();
        let place = match last {
            // By instructions no more than the one that faulted is taken back.
            Some(last) if self.counted != Counted::ByInstruction => {
                place.within(self.waiting[0].stamp.saturating_sub(last))
            }
            _ => place,
        };
        let mut led_to = 0;
        let rest = match place {
            Place::Between => 0,
            Place::Repeating(at) => {
                repeats::interrupted(at);
                led_to = u64::from(self.repeats.is_only_led_to());
                0
            }
            Place::Inside(rest) => {
                if rest.ambiguous && self.counted != Counted::ByInstruction {
                    self.checks.ambiguous.fetch_add(1, Ordering::Relaxed);
                }
                u64::from(rest.insns)
            }
            Place::Unknown => {
                self.checks.unplaced.fetch_add(1, Ordering::Relaxed);
                0
            }
        };
        if self.frame != Frame::Interrupt || place == Place::Unknown {
            self.checks.faults.fetch_add(1, Ordering::Relaxed);
        }
        // The instruction that faulted was counted when it was begun; one that was only led to, by blocks alone.
        let begun = rest.min(1).wrapping_sub(led_to);
        if self.counted != Counted::ByInstruction {
            take(self.by_block, rest);
        }
        if self.counted != Counted::ByBlock {
            take(self.by_instruction, begun);
        }
        let by_stamp = match self.counted {
            Counted::ByBlock | Counted::Both => rest,
            Counted::ByInstruction => begun,
        };
        let waiting = std::mem::take(&mut self.waiting);
        for held in waiting.iter().take(std::mem::take(&mut self.waits)) {
            let held = Held {
                stamp: held.stamp.wrapping_sub(by_stamp),
                by_instruction: held.by_instruction.wrapping_sub(begun),
                word: held.word,
            };
            // A call or a return that faults was recorded as if it were done.
            self.record(held, last.unwrap_or(0));
        }
    }
}

impl Vcpu {
    /// Records what is to be recorded. Nearly nothing where the gate is as it was.
    #[inline]
    fn push(&mut self, stamp: u64, word: u32) {
        if self.header.gate.load(Ordering::Relaxed) == self.gate {
            self.ring.push(stamp, word);
        } else {
            // The last thing to do: nothing has to be kept over the call, and nothing is unwound from it.
            self.push_after_gate(stamp, word);
        }
    }

    #[cold]
    #[inline(never)]
    extern "C" fn push_after_gate(&mut self, stamp: u64, word: u32) {
        if self.records(stamp, word) {
            self.ring.push(stamp, word);
        }
    }

    /// As [`Vcpu::push`], two of one block.
    #[inline]
    fn push_both(&mut self, before: u64, start: Word, after: u64, end: Word) {
        if self.header.gate.load(Ordering::Relaxed) == self.gate && self.ring.has_two(before) {
            self.ring.put(before, start.0);
            self.ring.put(after, end.0);
        } else {
            self.push_one_by_one(before, start, after, end);
        }
    }

    #[cold]
    #[inline(never)]
    extern "C" fn push_one_by_one(&mut self, before: u64, start: Word, after: u64, end: Word) {
        self.push(before, start.0);
        self.push(after, end.0);
    }

    fn records(&mut self, stamp: u64, word: u32) -> bool {
        let gate = self.header.gate.load(Ordering::Relaxed);
        gate == self.gate || self.gate_was_moved(gate, stamp, word)
    }

    fn gate_was_moved(&mut self, gate: u32, stamp: u64, word: u32) -> bool {
        let kind = Word(word).kind();
        if self.choice.leaves_out() && self.choice.leaves_out_record(kind) {
            return false;
        }
        if !is_open(gate) {
            // Who runs is followed all the time.
            return matches!(kind, Some(Kind::Switch | Kind::TaskStart));
        }
        if self.opened != gate {
            self.opened = gate;
            self.ring.push(stamp, Word::new(Kind::Resume, gate).0);
        }
        self.look_again();
        true
    }

    /// Whether the next record is written depends on what it is, or on the gate alone.
    const fn look_again(&mut self) {
        self.passes = false;
        self.gate = if self.choice.leaves_out() {
            NEVER
        } else {
            self.opened
        };
    }

    /// Of a call that has begun and that nobody asked for.
    fn leave_out(&mut self, stamp: u64, word: u32) {
        if !self.choice.leaves_out() && self.records(stamp, word) {
            self.ring.push(stamp, word);
            self.checks.calls_left_out.fetch_add(1, Ordering::Relaxed);
            self.choice.leave_call_out();
            self.look_again();
        }
    }

    /// To the task whose stack pointer is read at that address.
    fn switch(&mut self, stamp: u64, word: Word, access: Access, to: u64) {
        let from = std::mem::take(&mut self.saved_at);
        let switch = Switch { word, from, to };
        if self.records(stamp, word.0) {
            self.ring.push_switch(stamp, switch, &SWITCHES);
        }
        self.choice.switch(access, from, to);
        self.look_again();
        self.tell_left_out();
    }

    fn tell_left_out(&mut self) {
        let records = self.choice.take_records();
        if records > 0 {
            let all = &self.checks.records_left_out;
            all.fetch_add(records, Ordering::Relaxed);
        }
    }
}

/// What the gate never is: it is counted up by one.
const NEVER: u32 = u32::MAX;

const fn is_open(gate: u32) -> bool {
    gate & 1 == 1
}

/// The clock is ahead of it by the low half of a word.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a packed field")]
fn stamp(clock: &AtomicU64, ahead: u64) -> u64 {
    let ahead = i64::from(ahead as u16 as i16);
    clock
        .load(Ordering::Relaxed)
        .wrapping_sub(ahead.cast_unsigned())
}

/// How many instructions the clocks are ahead of a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    pub by_block: i16,
    pub by_instruction: i16,
}

/// A word, and how many instructions the clocks are ahead of the stamp: the data of a callback.
#[must_use]
pub fn pack(word: Word, ahead: Ahead, counted: Counted) -> u64 {
    let first = match counted {
        Counted::ByBlock | Counted::Both => ahead.by_block,
        Counted::ByInstruction => ahead.by_instruction,
    };
    let ahead = [first, ahead.by_instruction].map(|ahead| u64::from(ahead.cast_unsigned()));
    u64::from(word.0) | ahead[0] << 32 | ahead[1] << 48
}

/// QEMU counts a vCPU's instructions there.
pub fn count_at(number: c_uint, clock: Both<&'static AtomicU64>) {
    // SAFETY: called on the vCPU's own thread.
    let vcpu = unsafe { &mut *vcpu(number) };
    (vcpu.by_block, vcpu.by_instruction) = (clock.blocks, clock.instructions);
    vcpu.choose_clock();
}

/// What counts where QEMU itself cannot.
pub const COUNT: Both<OnExecution> = Both {
    blocks: on_block,
    instructions: on_instruction,
};

extern "C" fn on_block(number: c_uint, by: *mut c_void) {
    // SAFETY: as above.
    add(unsafe { (*vcpu(number)).by_block }, by as u64);
}

extern "C" fn on_instruction(number: c_uint, by: *mut c_void) {
    // SAFETY: as above.
    add(unsafe { (*vcpu(number)).by_instruction }, by as u64);
}

fn take(clock: &AtomicU64, by: u64) {
    // As there.
    let now = clock.load(Ordering::Relaxed);
    clock.store(now.wrapping_sub(by), Ordering::Relaxed);
}

#[inline]
fn add(clock: &AtomicU64, by: u64) {
    // Nobody else writes it: no locked addition is needed.
    let now = clock.load(Ordering::Relaxed);
    clock.store(now.wrapping_add(by), Ordering::Relaxed);
}

pub extern "C" fn on_record<const BOTH: bool>(number: c_uint, data: *mut c_void) {
    // SAFETY: called on the vCPU's own thread, which is in no other callback of ours.
    let vcpu = unsafe { &mut *vcpu(number) };
    let (stamp, word) = vcpu.unpack::<BOTH>(data);
    vcpu.push(stamp, word);
}

/// As [`on_record`], at the start of a block that nothing else counts, of which `data` has the length. `AFTER`: the stamp
/// counts the block.
pub extern "C" fn on_first_record<const BOTH: bool, const AFTER: bool>(
    number: c_uint,
    data: *mut c_void,
) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    let (before, after) = vcpu.begin_block(data);
    let stamp = if AFTER { after } else { before };
    if BOTH {
        vcpu.compare(stamp, data);
    }
    vcpu.push(stamp, data as u32);
}

/// At the start of a block that nothing else counts and that is executed to its end: the record of its start, and that of
/// its end, of which `data` has the kind.
pub extern "C" fn on_whole<const BOTH: bool>(number: c_uint, data: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    let (before, after) = vcpu.begin_block(data);
    let start = Word(data as u32);
    let end = start.of_kind((data as u64 >> 48) as u32);
    if BOTH {
        let executed = vcpu.by_instruction.load(Ordering::Relaxed);
        for (by_block, word) in [(before, start), (after, end)] {
            let by_instruction = executed.wrapping_add(by_block.wrapping_sub(before));
            let stamps = Stamps {
                by_block,
                by_instruction,
            };
            vcpu.edges.end(stamps, word);
        }
    }
    vcpu.push_both(before, start, after, end);
}

/// A fault's handler, or an interrupt's, is entered. `FRAME`: of [`Frame::ALL`].
pub extern "C" fn on_fault<const FRAME: usize>(number: c_uint, data: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    if vcpu.waits > 0 {
        vcpu.settle(Place::Unknown);
    }
    vcpu.frame = Frame::ALL[FRAME];
    vcpu.waiting[0] = vcpu.hold(data);
    vcpu.waits = 1;
}

/// What a handler calls first is entered.
pub extern "C" fn on_framed(number: c_uint, data: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    let held = vcpu.hold(data);
    if vcpu.waits == 1 {
        vcpu.waiting[1] = held;
        vcpu.waits = 2;
    } else {
        vcpu.record(held, 0);
    }
}

/// The first push after a fault, or after an interrupt, of which nothing waits.
pub extern "C" fn on_pushed(number: c_uint, access: Access, pushed: u64, _data: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    if vcpu.waits > 0 {
        // The return address of a call lies between.
        let own = vcpu.waits as u64;
        let repeating = vcpu.repeats.under_way(vcpu.before_last());
        let place = fault::place(access, pushed, own, vcpu.frame, repeating);
        vcpu.settle(place);
    }
}

pub extern "C" fn on_unpushed(number: c_uint, _data: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    if vcpu.waits > 0 {
        vcpu.settle(Place::Unknown);
    }
}

/// Starts recording, or stops it, on all vCPUs.
pub extern "C" fn on_gate(number: c_uint, open: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    vcpu.passes = false;
    let gate = vcpu.header.gate.load(Ordering::Relaxed);
    let wanted = !open.is_null();
    if is_open(gate) != wanted {
        // Another vCPU, or the debugger, may be as quick.
        let _ = vcpu.header.gate.compare_exchange(
            gate,
            gate.wrapping_add(1),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        vcpu.ring.publish();
    }
}

/// A call that nobody asked for has begun.
pub extern "C" fn on_left_out(number: c_uint, data: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    let (stamp, word) = vcpu.unpack::<false>(data);
    vcpu.leave_out(stamp, word);
}

pub extern "C" fn on_stack_saved(
    number: c_uint,
    _access: Access,
    address: u64,
    _data: *mut c_void,
) {
    // SAFETY: as above.
    unsafe { (*vcpu(number)).saved_at = address };
}

pub extern "C" fn on_stack_loaded<const BOTH: bool>(
    number: c_uint,
    access: Access,
    address: u64,
    data: *mut c_void,
) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    let (stamp, word) = vcpu.unpack::<BOTH>(data);
    vcpu.switch(stamp, Word(word), access, address);
}

/// A vCPU that sleeps should not sit on what it recorded.
pub fn rest(number: c_uint) {
    // SAFETY: as above.
    unsafe { (*vcpu(number)).ring.publish() };
}

/// Hands over the last records of all; returns the instructions executed in all.
pub fn finish(vcpus: u32) -> u64 {
    let mut insns = 0;
    for number in 0..vcpus {
        // SAFETY: the vCPUs stand still, QEMU ends.
        let vcpu = unsafe { &mut *vcpu(number) };
        vcpu.ring.finish();
        vcpu.tell_left_out();
        insns += vcpu.now();
    }
    insns
}
