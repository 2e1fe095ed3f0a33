//! The clock of records that are to tell time: the host's time stamp counter.

/// Read without an instruction that serialises: it may be some instructions early.
#[inline]
#[must_use]
pub fn ticks() -> u64 {
    // SAFETY: every processor of this architecture has it, and whatever it says is a number.
    unsafe { core::arch::x86_64::_rdtsc() }
}
