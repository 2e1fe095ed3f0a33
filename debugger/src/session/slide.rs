//! Where the running kernel lies: how far KASLR has moved it from where vmlinux was linked.

use std::time::{Duration, Instant};

use super::target::{Target, TargetError};
use crate::addr::{Addr, Slide};
use crate::symbols::Symbols;

/// The kernel is moved by whole large pages (`CONFIG_PHYSICAL_ALIGN`).
const STEP: u64 = 2 << 20;

/// The room for the image where it may be moved: `KERNEL_IMAGE_SIZE` with `CONFIG_RANDOMIZE_BASE`.
const ROOM: u64 = 1 << 30;

/// What the first gate of the interrupt descriptor table leads to: once the kernel's own is loaded,
/// and before that.
const FIRST_GATE: [&str; 2] = ["asm_exc_divide_error", "early_idt_handler_array"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) slide: Slide,
    pub(super) by: &'static str,
    pub(super) took: Duration,
}

/// The interrupt descriptor table's address, of which only QEMU's monitor tells.
pub(super) fn interrupt_table(target: &mut Target) -> Option<Addr> {
    let text = target.monitor("info registers").ok()?;
    // `IDT=     fffffe0000000000 00000fff`
    let rest = text.lines().find_map(|line| line.strip_prefix("IDT="))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Where the first gate leads: a place in the kernel's entry code, which is mapped for ring 3 too.
pub(super) fn first_handler(target: &mut Target) -> Option<Addr> {
    let table = interrupt_table(target)?;
    let gate = target.probe(&[table], 16).ok()?.pop()??;
    // offset 15..0 │ selector 16 │ flags 16 │ offset 31..16 │ offset 63..32 │ 0
    let byte = |at: usize| gate.get(at).copied().unwrap_or(0);
    let order = [
        byte(0),
        byte(1),
        byte(6),
        byte(7),
        byte(8),
        byte(9),
        byte(10),
        byte(11),
    ];
    Some(Addr(u64::from_le_bytes(order)))
}

/// The slide with which the guest has the build-id of vmlinux where vmlinux says, or of a vmlinux
/// without one, that its first interrupt gate leads to.
pub(super) fn find(target: &mut Target, symbols: &Symbols) -> Result<Option<Found>, TargetError> {
    let began = Instant::now();
    let found = |slide, by| {
        Some(Found {
            slide,
            by,
            took: began.elapsed(),
        })
    };
    let note = symbols.build_id_note();
    if let Some(slide) = by_gate(target, symbols) {
        let holds = match &note {
            Some((at, bytes)) => note_at(target, &[slide.moved(*at)], bytes)?.is_some(),
            None => true,
        };
        if holds {
            return Ok(found(slide, "the interrupt table"));
        }
    }
    let Some((at, bytes)) = note else {
        return Ok(None);
    };
    Ok(scan(target, at, &bytes)?.and_then(|slide| found(slide, "the build-id")))
}

fn by_gate(target: &mut Target, symbols: &Symbols) -> Option<Slide> {
    let handler = first_handler(target)?;
    let slides = FIRST_GATE.iter().filter_map(|name| {
        let linked = symbols.slide().linked(symbols.address_of(name)?);
        Some(Slide(handler - linked))
    });
    slides
        .into_iter()
        .find(|slide| slide.0 < ROOM && slide.0.is_multiple_of(STEP))
}

/// Looks for a note at every place that it may have been moved to.
pub(super) fn scan(
    target: &mut Target,
    note: Addr,
    bytes: &[u8],
) -> Result<Option<Slide>, TargetError> {
    let places: Vec<Addr> = candidates().map(|slide| slide.moved(note)).collect();
    let found = note_at(target, &places, bytes)?;
    Ok(found.map(|at| Slide(at - note)))
}

/// Every slide there may be, none first.
pub(super) fn candidates() -> impl Iterator<Item = Slide> {
    (0..ROOM / STEP).map(|step| Slide(step * STEP))
}

fn note_at(
    target: &mut Target,
    places: &[Addr],
    bytes: &[u8],
) -> Result<Option<Addr>, TargetError> {
    let read = target.probe(places, bytes.len())?;
    let mut held = places.iter().zip(&read);
    let same = held.find(|(_, read)| read.as_deref() == Some(bytes));
    Ok(same.map(|(at, _)| *at))
}
