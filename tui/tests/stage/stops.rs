//! A stop of the past that is looked at.

use debugger::addr::Insns;
use debugger::event::{Event, Looking, NumberedStop, Stop, StopReason, Vcpu};
use debugger::origin::Origin;

use super::facts::place;

/// The twelfth of forty: in the application, while the target stands in the kernel.
pub(crate) fn past() -> Event {
    Event::Looking(Looking {
        at: NumberedStop {
            number: 12,
            stop: Stop {
                reason: StopReason::Step,
                vcpu: Vcpu(0),
                place: place(
                    0xffff_ffff_8160_1060,
                    "main",
                    "syscalls.c",
                    131,
                    Origin::App,
                ),
                stepped: Some(Insns(1)),
                passed: 0,
                position: None,
                note: None,
            },
        },
        newest: 40,
    })
}

/// Where the target stands is looked at again.
pub(crate) fn now() -> Event {
    let Event::Looking(mut looking) = past() else {
        unreachable!("it is one");
    };
    looking.at.number = looking.newest;
    Event::Looking(looking)
}
