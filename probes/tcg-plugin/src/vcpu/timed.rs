//! The callbacks where records are stamped with the host's time, and nothing is counted.

use std::ffi::{c_uint, c_void};
use std::sync::atomic::Ordering;

use wire::Word;
use wire::record::FIRST_SPECIAL;
use wire::ticks::ticks;

use super::{Vcpu, vcpu};
use crate::qemu::Access;

pub extern "C" fn on_record(number: c_uint, data: *mut c_void) {
    // SAFETY: called on the vCPU's own thread, which is in no other callback of ours.
    let vcpu = unsafe { &mut *vcpu(number) };
    vcpu.ticks = ticks();
    vcpu.push_timed(vcpu.ticks, data as u32);
}

/// Where no time is told of it: stamped as the record before, since a look at the clock takes longer than all else.
pub extern "C" fn on_record_untimed(number: c_uint, data: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    vcpu.push_timed(vcpu.ticks, data as u32);
}

impl Vcpu {
    /// The gate lies on a line that nothing else needs: it is looked at where a crossing begins, and holds to its end.
    #[inline]
    fn push_timed(&mut self, stamp: u64, word: u32) {
        if word >= FIRST_SPECIAL || !self.passes {
            self.passes = self.header.gate.load(Ordering::Relaxed) == self.gate;
        }
        match self.passes {
            true => self.ring.push(stamp, word),
            false => self.push_after_gate(stamp, word),
        }
    }
}

/// As [`super::on_left_out`].
pub extern "C" fn on_left_out(number: c_uint, data: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    vcpu.ticks = ticks();
    vcpu.leave_out(vcpu.ticks, data as u32);
}

/// As [`super::on_stack_loaded`].
pub extern "C" fn on_stack_loaded(number: c_uint, access: Access, address: u64, data: *mut c_void) {
    // SAFETY: as above.
    let vcpu = unsafe { &mut *vcpu(number) };
    vcpu.ticks = ticks();
    vcpu.switch(vcpu.ticks, Word(data as u32), access, address);
}
