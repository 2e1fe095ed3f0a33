//! What each vCPU keeps for itself, and the callbacks that QEMU makes while it runs.
//!
//! A vCPU's callbacks come from its own thread, one at a time, so its state needs no lock. The states lie
//! on cache lines of their own.

use std::cell::UnsafeCell;
use std::ffi::{c_uint, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use wire::{Header, Kind, Word};

use crate::mapping::Mapping;
use crate::ring::{Ring, Switch};

/// A vCPU's instructions executed, where QEMU does not keep the count itself.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Clock(pub AtomicU64);

#[derive(Debug)]
struct Vcpu {
    clock: &'static AtomicU64,
    ring: Ring,
    header: &'static Header,
    /// The opening of the gate that its records are of.
    gate: u32,
    /// Where the stack pointer of the task being switched from was stored.
    saved_at: u64,
}

#[derive(Debug)]
#[repr(align(128))]
struct Cell(UnsafeCell<Vcpu>);

/// The first of as many as the mapping has rings. Set before QEMU runs anything, and never changed after.
static VCPUS: AtomicPtr<Cell> = AtomicPtr::new(ptr::null_mut());

/// Switches of tasks, on all vCPUs.
static SWITCHES: AtomicU64 = AtomicU64::new(0);

/// Before anything runs: a state for each of the mapping's rings.
pub fn set_up(mapping: &Mapping, clocks: &'static [Clock]) {
    let cells: Vec<Cell> = (0..mapping.vcpus())
        .zip(clocks)
        .map(|(number, clock)| {
            Cell(UnsafeCell::new(Vcpu {
                clock: &clock.0,
                ring: mapping.ring(number),
                header: mapping.header(),
                // What is recorded from the first opening on follows nothing that was not.
                gate: 1,
                saved_at: 0,
            }))
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
    #[inline]
    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// The stamp and the word of packed data.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "packed fields")]
    fn unpack(&self, data: *mut c_void) -> (u64, u32) {
        let packed = data as u64;
        let ahead = i64::from((packed >> 32) as u16 as i16);
        (
            self.now().wrapping_sub(ahead.cast_unsigned()),
            packed as u32,
        )
    }
}

impl Vcpu {
    /// Whether to record. Nearly nothing where the gate is as it was.
    #[inline]
    fn records(&mut self, stamp: u64, word: u32) -> bool {
        let gate = self.header.gate.load(Ordering::Relaxed);
        gate == self.gate || self.gate_was_moved(gate, stamp, word)
    }

    #[cold]
    fn gate_was_moved(&mut self, gate: u32, stamp: u64, word: u32) -> bool {
        let kind = Word(word).kind();
        if !is_open(gate) {
            // Who runs is followed all the time.
            return matches!(kind, Some(Kind::Switch | Kind::TaskStart));
        }
        self.gate = gate;
        self.ring.push(stamp, Word::new(Kind::Resume, gate).0);
        true
    }
}

const fn is_open(gate: u32) -> bool {
    gate & 1 == 1
}

/// A word, and how many instructions the clock is ahead of the stamp: the data of a callback.
#[must_use]
pub fn pack(word: Word, ahead: i16) -> u64 {
    u64::from(word.0) | u64::from(ahead.cast_unsigned()) << 32
}

/// QEMU counts a vCPU's instructions there.
pub fn count_at(number: c_uint, clock: &'static AtomicU64) {
    // SAFETY: called on the vCPU's own thread.
    unsafe { (*vcpu(number)).clock = clock };
}

pub extern "C" fn on_count(number: c_uint, by: *mut c_void) {
    // SAFETY: as above.
    let clock = unsafe { (*vcpu(number)).clock };
    // Nobody else writes it: no locked addition is needed.
    let now = clock.load(Ordering::Relaxed);
    clock.store(now.wrapping_add(by as u64), Ordering::Relaxed);
}

pub extern "C" fn on_record(number: c_uint, data: *mut c_void) {
    // SAFETY: called on the vCPU's own thread, which is in no other callback of ours.
    let vcpu = unsafe { &mut *vcpu(number) };
    let (stamp, word) = vcpu.unpack(data);
    if vcpu.records(stamp, word) {
        vcpu.ring.push(stamp, word);
    }
}

/// Starts recording, or stops it, on all vCPUs.
pub extern "C" fn on_gate(number: c_uint, open: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
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

pub extern "C" fn on_stack_saved(number: c_uint, _info: u32, address: u64, _data: *mut c_void) {
    // SAFETY: as above.
    unsafe { (*vcpu(number)).saved_at = address };
}

pub extern "C" fn on_stack_loaded(number: c_uint, _info: u32, address: u64, data: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    let (stamp, word) = vcpu.unpack(data);
    let switch = Switch {
        word: Word(word),
        from: std::mem::take(&mut vcpu.saved_at),
        to: address,
    };
    if vcpu.records(stamp, word) {
        vcpu.ring.push_switch(stamp, switch, &SWITCHES);
    }
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
        insns += vcpu.now();
    }
    insns
}
