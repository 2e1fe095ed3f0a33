//! How deep a CPU is in what must not be preempted.

use super::{GuestError, in_each_cpu, read_word};
use crate::addr::Addr;
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

/// Of the CPU whose own area is at `base`.
pub fn preempt_count(
    symbols: &Symbols,
    base: Addr,
    memory: &mut Memory<'_>,
) -> Result<u32, GuestError> {
    let name = "__preempt_count";
    let at = base.wrapping_add(in_each_cpu(symbols, name, "preempt_count")?);
    let word = read_word(name, at, memory)? & 0xffff_ffff;
    Ok(u32::try_from(word).unwrap_or(0))
}
