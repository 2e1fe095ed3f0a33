//! Named stretches: sections of the image, the application in it, stacks, per-CPU areas.

use super::Live;
use crate::addr::{Addr, AddrRange, Insns};
use crate::origin::Origin;
use crate::symbols::{Section, Symbols};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) range: AddrRange,
    pub(super) what: String,
    pub(super) origin: Origin,
}

/// Without overlaps, by address. What is more particular is given first and holds.
pub(super) fn marks(symbols: &Symbols, live: &Live) -> Vec<Mark> {
    let mut marks = Vec::new();
    let boundary = symbols.boundary();
    let mut add = |range: AddrRange, what: String, origin| {
        if !range.is_empty() {
            put(
                &mut marks,
                Mark {
                    range,
                    what,
                    origin,
                },
            );
        }
    };
    if boundary.has_app() {
        let text = &boundary.app_text;
        let main = symbols
            .lookup("main")
            .iter()
            .any(|symbol| text.contains(symbol.addr));
        let what = match main {
            true => ".ukl.text: the application and its libc; main",
            false => ".ukl.text: the application and its libc",
        };
        for range in text.iter() {
            add(range, counted(symbols, what, range), Origin::App);
        }
        // Mode linux runs the twin in its place, with data of its own.
        if symbols.twin_sections().is_empty() {
            let what = ".ukl.data: the application's and its libc's data";
            for range in boundary.app_data.iter() {
                add(range, counted(symbols, what, range), Origin::App);
            }
        }
    }
    let entry = boundary.entry_text;
    let what = ".entry.text: ways in and out";
    add(entry, counted(symbols, what, entry), Origin::Entry);
    if let Some(task) = &live.current {
        add(
            task.stack,
            format!("kernel stack of {}", task.label()),
            Origin::kernel_source("kernel/sched/"),
        );
        if let Some(heap) = task.heap {
            add(heap, format!("heap of {}", task.label()), Origin::App);
        }
    }
    for task in &live.tasks {
        add(
            task.stack,
            format!("kernel stack of {}", task.label()),
            Origin::kernel_source("kernel/sched/"),
        );
    }
    for (cpu, area) in live.cpu_areas.iter().enumerate() {
        add(
            *area,
            format!("own area of CPU {cpu}"),
            Origin::kernel_source(""),
        );
    }
    for section in symbols.sections() {
        if in_guest(section) && section.range.start.in_kernel_half() {
            let what = section_text(symbols, section);
            let origin = section_origin(symbols, section);
            add(section.range, what, origin);
        }
    }
    for section in symbols.twin_sections() {
        if in_guest(section) {
            let what = section_text(symbols, section);
            add(section.range, what, Origin::App);
        }
    }
    if let Some(sp) = live.app_sp.filter(|sp| !sp.in_kernel_half()) {
        let owner = live.current.as_ref().map(super::Task::label);
        let owner = owner.unwrap_or_else(|| "the application".to_owned());
        if let Some(range) = mapping_of(live, sp) {
            add(range, format!("stack of {owner}"), Origin::App);
        }
    }
    marks
}

/// The mapped range around the application's stack pointer.
fn mapping_of(live: &Live, sp: Addr) -> Option<AddrRange> {
    let mappings = live.mappings.as_ref()?;
    let mut found = mappings.ranges.iter().map(|mapped| mapped.range);
    found.find(|range| range.contains(sp))
}

/// Inserts what is not covered yet.
fn put(marks: &mut Vec<Mark>, mark: Mark) {
    let mut pieces = Vec::new();
    cut(mark.range, marks, |range, taken| {
        if taken.is_none() {
            pieces.push(Mark {
                range,
                ..mark.clone()
            });
        }
    });
    marks.extend(pieces);
    marks.sort_by_key(|mark| mark.range.start);
}

/// Splits a range where marks begin and end; each piece with the mark that covers it.
pub(super) fn cut<'m>(
    range: AddrRange,
    marks: &'m [Mark],
    mut each: impl FnMut(AddrRange, Option<&'m Mark>),
) {
    let mut at = range.start;
    let first = marks.partition_point(|mark| mark.range.end <= at);
    for mark in &marks[first..] {
        if mark.range.start >= range.end {
            break;
        }
        if mark.range.start > at {
            each(AddrRange::new(at, mark.range.start), None);
            at = mark.range.start;
        }
        let end = mark.range.end.min(range.end);
        each(AddrRange::new(at, end), Some(mark));
        at = end;
    }
    if at < range.end {
        each(AddrRange::new(at, range.end), None);
    }
}

fn in_guest(section: &Section) -> bool {
    section.allocated && !section.range.is_empty()
}

fn section_text(symbols: &Symbols, section: &Section) -> String {
    let freed = section.name.starts_with(".init") || section.name.starts_with(".exit");
    let text = counted(symbols, &section.name, section.range);
    match freed {
        true => format!("{text}, freed after boot"),
        false => text,
    }
}

fn section_origin(symbols: &Symbols, section: &Section) -> Origin {
    match symbols.origin(section.range.start) {
        Origin::Kernel(_) | Origin::Unknown => Origin::kernel_source(""),
        other => other,
    }
}

fn counted(symbols: &Symbols, what: &str, range: AddrRange) -> String {
    let count = symbols.count_in(range) as u64;
    match count {
        0 => what.to_owned(),
        count => format!(
            "{what}, {}",
            crate::count::counted(Grouped(count), "symbol")
        ),
    }
}

/// Numbers are grouped as counts of instructions are.
struct Grouped(u64);

impl std::fmt::Display for Grouped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Insns(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(start: u64, end: u64, what: &str) -> Mark {
        Mark {
            range: AddrRange::new(Addr(start), Addr(end)),
            what: what.to_owned(),
            origin: Origin::App,
        }
    }

    #[test]
    fn the_particular_holds_against_the_general() {
        let mut marks = Vec::new();
        put(&mut marks, mark(20, 30, "app"));
        put(&mut marks, mark(10, 40, "text"));
        let seen: Vec<_> = marks
            .iter()
            .map(|m| (m.range.start.0, m.range.end.0, m.what.as_str()))
            .collect();
        assert_eq!(seen, [(10, 20, "text"), (20, 30, "app"), (30, 40, "text")]);
    }

    #[test]
    fn ranges_are_cut_at_marks() {
        let marks = [mark(10, 20, "a"), mark(20, 25, "b")];
        let mut seen = Vec::new();
        cut(AddrRange::new(Addr(5), Addr(30)), &marks, |range, mark| {
            seen.push((range.start.0, range.end.0, mark.map(|m| m.what.clone())));
        });
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(
            seen,
            [
                (5, 10, None),
                (10, 20, name("a")),
                (20, 25, name("b")),
                (25, 30, None)
            ]
        );
    }
}
