//! The callbacks of what QEMU executes anew: instructions that repeat themselves, and blocks that it left in their middle.

use std::ffi::{c_uint, c_void};
use std::sync::atomic::Ordering;

use super::{Counted, take, vcpu};
use crate::fault;
use crate::qemu::Access;
use crate::repeats;

/// An instruction that repeats itself is begun, for the first time or for further rounds.
pub extern "C" fn on_repeats(number: c_uint, at: *mut c_void) {
    // SAFETY: called on the vCPU's own thread, which is in no other callback of ours.
    let vcpu = unsafe { &mut *vcpu(number) };
    if vcpu.repeats.goes_on(at as u64, vcpu.now(), 1) {
        if vcpu.counted != Counted::ByInstruction {
            take(vcpu.by_block, 1);
        }
        // The addition comes behind this call.
        if vcpu.counted != Counted::ByBlock {
            take(vcpu.by_instruction, 1);
        }
    }
}

/// Further rounds are begun of an instruction that was counted by what led to it, where each instruction is counted. Told
/// by the clock and by what was seen to interrupt it, not by where it lies.
pub extern "C" fn on_further_rounds(number: c_uint, at: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    let (at, now) = (at as u64, vcpu.now());
    // The block itself adds nothing.
    let own = u64::from(vcpu.counted == Counted::ByInstruction);
    if vcpu.repeats.goes_on(at, now, own) {
        take(vcpu.by_instruction, 1);
    } else if repeats::resumes(at) {
        take(vcpu.by_instruction, 1);
        vcpu.repeats.begun(at, now.wrapping_sub(own));
    }
}

/// The last instruction of a block that leads to one that repeats itself, at `at`, where each instruction is counted.
pub extern "C" fn on_leads(number: c_uint, at: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    let now = vcpu.now();
    vcpu.repeats.led_to(at as u64, now);
}

/// A block of one instruction is executed, which another one was seen to hold too.
pub extern "C" fn on_alone(number: c_uint, _data: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    vcpu.left.begun(vcpu.by_block.load(Ordering::Relaxed));
}

/// Such an instruction accesses memory; `at`: where it lies. `LEADS`: the repeating instruction behind it stays counted.
pub extern "C" fn on_access_alone<const LEADS: bool>(
    number: c_uint,
    access: Access,
    to: u64,
    at: *mut c_void,
) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    let at = at as u64;
    let by_block = vcpu.counted != Counted::ByInstruction;
    // Blocks are counted in one of the ways only.
    let rest = u64::from(fault::rest(at)) * u64::from(by_block);
    let now = vcpu.by_block.load(Ordering::Relaxed);
    let behind = vcpu
        .left
        .accessed(now, rest.saturating_sub(u64::from(LEADS)));
    if behind > 0 {
        vcpu.checks.left.fetch_add(1, Ordering::Relaxed);
        take(vcpu.by_block, behind);
    } else if fault::overwrites(access, to, at) && vcpu.left.overwrote(now, rest) {
        vcpu.checks.left.fetch_add(1, Ordering::Relaxed);
        take(vcpu.by_block, rest);
        if vcpu.counted != Counted::ByBlock {
            take(vcpu.by_instruction, 1);
        }
    }
}
