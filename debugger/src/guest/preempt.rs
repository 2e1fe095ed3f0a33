//! How deep a CPU is in what must not be preempted.

use super::{GuestError, Struct, read_word};
use crate::addr::Addr;
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

/// Of the CPU whose own area is at `base`: a variable of its own up to 6.1 and from 6.15, a field of
/// `pcpu_hot` between.
pub fn preempt_count(
    symbols: &Symbols,
    base: Addr,
    memory: &mut Memory<'_>,
) -> Result<u32, GuestError> {
    let name = "__preempt_count";
    let at = match symbols.address_of(name) {
        Some(offset) => base.wrapping_add(offset.0),
        None => {
            let name = "pcpu_hot";
            let hot = symbols
                .address_of(name)
                .ok_or(GuestError::NoSymbol { name })?;
            let of = Struct::named(symbols, "struct pcpu_hot")?;
            let (field, _) = of.field(symbols, "preempt_count")?;
            base.wrapping_add(hot.0.wrapping_add(field))
        }
    };
    let word = read_word(name, at, memory)? & 0xffff_ffff;
    Ok(u32::try_from(word).unwrap_or(0))
}
