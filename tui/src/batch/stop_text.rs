//! Past stops as lines of text.

use debugger::count::{counted, either};
use debugger::event::{Changed, LookedAt, NumberedStop, StopList};

use super::text::{file_line, name, reason, size};

/// One line for each stop, the one that is looked at marked.
pub(super) fn stops(stops: &StopList) -> Vec<String> {
    let newest = stops.dropped + stops.kept;
    let mut lines = Vec::new();
    if stops.dropped > 0 {
        lines.push(format!(
            "{} {} no longer kept",
            counted(stops.dropped, "older one"),
            either(stops.dropped, "is", "are")
        ));
    }
    for one in &stops.list {
        let mark = if one.number == stops.looked_at {
            '▶'
        } else {
            ' '
        };
        let stands = if one.number == newest {
            "  (the target stands here)"
        } else {
            ""
        };
        lines.push(format!("{mark}{}{stands}", line(one)));
    }
    lines.push(format!(
        "{} kept, with {} of memory",
        stops.kept,
        size(stops.bytes)
    ));
    lines
}

/// Where it is, and what is other than before.
pub(super) fn looking(at: &LookedAt) -> Vec<String> {
    let looking = &at.looking;
    let head = if looking.is_back() {
        format!("past stop {} of {}", looking.at.number, looking.newest)
    } else {
        format!("the target stands here, at stop {}", looking.newest)
    };
    let mut lines = vec![format!("{head}: {}", line(&looking.at).trim_start())];
    for change in &at.changed {
        let of = match change.of {
            Changed::Register => "",
            Changed::Stack => "stack ",
            Changed::Local => "local ",
        };
        lines.push(format!(
            "* {of}{} {} → {}",
            change.name, change.before, change.after
        ));
    }
    lines
}

/// `  12 step +1  cpu0 a ffffffff81601510 main+0x4  main.c:153`
fn line(one: &NumberedStop) -> String {
    let stop = &one.stop;
    let stepped = match stop.stepped {
        Some(count) => format!(" +{count}"),
        None => String::new(),
    };
    let place = &stop.place;
    let at = file_line(place.file.as_deref(), place.line);
    let text = format!(
        "{:>4} {}{stepped}  cpu{} {} {} {}  {at}",
        one.number,
        reason(&stop.reason),
        stop.vcpu.0,
        place.origin.letter(),
        place.addr,
        name(place)
    );
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use debugger::addr::{Addr, Insns};
    use debugger::event::{Change, Looking, Place, Stop, StopReason, Vcpu};
    use debugger::origin::Origin;

    use super::*;

    fn stop(number: u64) -> NumberedStop {
        NumberedStop {
            number,
            stop: Stop {
                reason: StopReason::Step,
                vcpu: Vcpu(0),
                place: Place {
                    addr: Addr(0xffff_ffff_8160_1514),
                    symbol: Some("main".to_owned()),
                    offset: 4,
                    origin: Origin::App,
                    file: Some("main.c".to_owned()),
                    line: Some(153),
                },
                stepped: Some(Insns(1)),
                passed: 0,
                position: None,
                note: None,
            },
        }
    }

    #[test]
    fn the_list_says_where_the_target_stands_and_what_is_gone() {
        let list = StopList {
            list: vec![stop(1001), stop(1002)],
            looked_at: 1001,
            kept: 1000,
            dropped: 2,
            bytes: 2048,
        };
        assert_eq!(
            stops(&list),
            [
                "2 older ones are no longer kept",
                "▶1001 step +1  cpu0 a ffffffff81601514 main+0x4  main.c:153",
                " 1002 step +1  cpu0 a ffffffff81601514 main+0x4  main.c:153  (the target stands here)",
                "1000 kept, with 2 K of memory",
            ]
        );
    }

    #[test]
    fn a_turn_tells_what_changed() {
        let change = |of, name: &str| Change {
            of,
            name: name.to_owned(),
            before: "0x1".to_owned(),
            after: "0x2".to_owned(),
        };
        let mut at = LookedAt {
            looking: Looking {
                at: stop(12),
                newest: 40,
            },
            changed: vec![
                change(Changed::Register, "rax"),
                change(Changed::Local, "fd"),
            ],
        };
        assert_eq!(
            looking(&at),
            [
                "past stop 12 of 40: 12 step +1  cpu0 a ffffffff81601514 main+0x4  main.c:153",
                "* rax 0x1 → 0x2",
                "* local fd 0x1 → 0x2",
            ]
        );
        at.looking.newest = 12;
        assert!(looking(&at)[0].starts_with("the target stands here, at stop 12:"));
    }
}
