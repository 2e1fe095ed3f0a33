//! What is told of the address space and of the processors' own tables, as lines.

use debugger::event::{
    AddressInfo, CpuValue, GateInfo, InterruptInfo, PageTableEntry, PerCpuInfo, RegionInfo,
    ResidentInfo, SegmentInfo,
};
use debugger::known::Known;

use super::text::{known, name, place, size};

/// A head and a line for each region.
pub(super) fn regions(list: &[RegionInfo]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<33} {:>9} {:<4} {:>9} {:>9} {:>5} {:<15} what",
        "range", "size", "perm", "resident", "dirty", "large", "origin"
    )];
    lines.extend(list.iter().map(region));
    lines
}

fn region(region: &RegionInfo) -> String {
    let there = region.resident.as_ref();
    let bytes =
        |of: fn(&ResidentInfo) -> u64| there.map_or_else(|| "?".to_owned(), |t| size(of(t)));
    format!(
        "{} {:>9} {:<4} {:>9} {:>9} {:>5} {:<15} {}",
        region.range,
        size(region.size),
        region.permissions,
        bytes(|there| there.bytes),
        bytes(|there| there.dirty),
        there.map_or_else(|| "?".to_owned(), large),
        region.origin.to_string(),
        region.what
    )
}

/// Pages of the larger sizes: `3`, `3+1G`.
#[must_use]
pub fn large(there: &ResidentInfo) -> String {
    match (there.pages_2m, there.pages_1g) {
        (0, 0) => "-".to_owned(),
        (large, 0) => large.to_string(),
        (large, huge) => format!("{large}+{huge}G"),
    }
}

/// One level of a walk: `pmd 00b at 0x1234 → 0x…: present, writable`.
#[must_use]
pub fn walk_line(entry: &PageTableEntry) -> String {
    format!(
        "{} {:03x} at {} → {:#018x}: {}",
        entry.level, entry.index, entry.at, entry.entry, entry.meaning
    )
}

pub(super) fn address(info: &AddressInfo) -> Vec<String> {
    let mut lines = vec![place(&info.place)];
    for one in &info.is {
        lines.push(format!("{}: {} ({})", one.kind, one.what, one.because));
    }
    match &info.region {
        Some(found) => lines.push(format!("in {}: {}", found.band, region(found))),
        None => lines.push("in no known region".to_owned()),
    }
    lines.push(format!(
        "physical {}",
        known(&info.physical, ToString::to_string)
    ));
    match &info.walk {
        Known::Yes(walk) => lines.extend(walk.iter().map(walk_line)),
        other => lines.push(format!("page tables {}", known(other, |_| String::new()))),
    }
    lines
}

/// Neighbours whose handler is the same function are one line.
pub(super) fn gates(list: &[GateInfo]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<9} {:<20} {:<14} {:>3} {:>3} {:>4}  handler",
        "vector", "exception", "kind", "dpl", "ist", "cs"
    )];
    let alike = |a: &GateInfo, b: &GateInfo| {
        a.handler.symbol.is_some()
            && a.handler.symbol == b.handler.symbol
            && (&a.kind, a.dpl, a.ist, a.selector) == (&b.kind, b.dpl, b.ist, b.selector)
            && a.exception == b.exception
            && a.vector + 1 == b.vector
    };
    for run in list.chunk_by(alike) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        let vectors = match run.len() {
            1 => format!("{:#04x}", first.vector),
            _ => format!("{:#04x}-{:#04x}", first.vector, last.vector),
        };
        let more = match run.len() {
            1 => String::new(),
            _ => format!(" … {}", name(&last.handler)),
        };
        lines.push(format!(
            "{vectors:<9} {:<20} {:<14} {:>3} {:>3} {:>#4x}  {} {:?} {}{more}",
            first.exception,
            first.kind,
            first.dpl,
            first.ist,
            first.selector,
            first.handler.origin.letter(),
            first.handler.addr,
            name(&first.handler),
        ));
    }
    lines
}

pub(super) fn segments(list: &[SegmentInfo]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<8} {:<14} {:<18} {:>3} {:>18} {:>10}",
        "selector", "name", "kind", "dpl", "base", "limit"
    )];
    for one in list {
        lines.push(format!(
            "{:<#8x} {:<14} {:<18} {:>3} {:>#18x} {:>#10x}",
            one.selector, one.name, one.kind, one.dpl, one.base.0, one.limit
        ));
        lines.extend(one.stacks.iter().map(|stack| format!("         {stack}")));
    }
    lines
}

pub(super) fn interrupts(info: &InterruptInfo) -> Vec<String> {
    let mut lines = Vec::new();
    for cpu in &info.cpus {
        let enabled = match &cpu.enabled {
            Known::Yes(true) => "interrupts are taken",
            Known::Yes(false) => "interrupts are held back",
            Known::Asked => "interrupts: not asked yet",
            Known::No(_) => "taken or held back is not known while it runs",
        };
        let depth = known(&cpu.depth, String::clone);
        lines.push(format!("cpu{}: {enabled}; {depth}", cpu.cpu));
    }
    let heads: Vec<String> = info
        .cpus
        .iter()
        .map(|cpu| format!("cpu{}", cpu.cpu))
        .collect();
    lines.push(format!("{:<24} {}  what", "counter", columns(&heads)));
    for one in &info.counters {
        let counts: Vec<String> = one.by_cpu.iter().map(u64::to_string).collect();
        let line = format!("{:<24} {}  {}", one.name, columns(&counts), one.what);
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn columns(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| format!("{text:>10}")).collect();
    texts.join(" ")
}

/// Side by side where the values are short.
pub(super) fn per_cpu(info: &PerCpuInfo) -> Vec<String> {
    const SHORT: usize = 16;
    let of = info.type_name.as_deref().unwrap_or("unknown type");
    let text = |value: &CpuValue| known(&value.value, String::clone);
    let mut lines = vec![format!("{} ({of})", info.variable)];
    if info
        .values
        .iter()
        .all(|value| text(value).chars().count() <= SHORT)
    {
        let cells = info.values.iter();
        let cells: Vec<String> = cells
            .map(|value| format!("cpu{} {}", value.cpu, text(value)))
            .collect();
        lines.push(cells.join("   "));
        return lines;
    }
    for value in &info.values {
        let at = value
            .addr
            .map(|at| format!(" at {at:?}"))
            .unwrap_or_default();
        lines.push(format!("cpu{}{at}: {}", value.cpu, text(value)));
    }
    lines
}
