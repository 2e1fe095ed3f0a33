//! The arguments of the commands that step, and of what happens beside a step.

use super::location::location;
use super::parse::{Input, WhatFound};
use super::{Beside, Command, Focus, Until};
use crate::origin::Origin;

pub(super) const BESIDE: &[&str] = &["interrupts", "time", "cpus"];

pub(super) fn until(input: &Input<'_>) -> Result<Command, WhatFound> {
    let Some(text) = input.optional() else {
        return Ok(Command::Forward);
    };
    Ok(Command::Until(match text.as_str() {
        "app" => Until::App,
        "kernel" => Until::Kernel,
        _ => match text.parse::<Origin>() {
            Ok(origin) => Until::Origin(origin),
            // `kernel:nowhere` is a mistyped subsystem; `kernel:fs:read` is a location.
            Err(why) if text.starts_with("kernel:") && text.matches(':').count() == 1 => {
                return Err(why);
            }
            Err(_) => Until::Location(location(&text)?),
        },
    }))
}

pub(super) fn focus(input: &Input<'_>) -> Result<Command, WhatFound> {
    Ok(Command::Focus(match input.rest {
        "next" => Some(Focus::Next),
        _ => input.number()?.map(Focus::Vcpu),
    }))
}

pub(super) fn stepping(input: &Input<'_>) -> Result<Command, WhatFound> {
    let mut words = input.rest.split_whitespace();
    let Some(what) = words.next() else {
        return Ok(Command::Stepping(None));
    };
    let beside = match what {
        "interrupts" => Beside::Interrupts,
        "time" => Beside::Time,
        "cpus" => Beside::Cpus,
        other => return Err(format!("'{other}' is not one of {}", BESIDE.join(", "))),
    };
    let on = match (words.next(), words.next()) {
        (Some("on"), None) => true,
        (Some("off"), None) => false,
        _ => return Err(format!("behind '{what}' stands on or off")),
    };
    Ok(Command::Stepping(Some((beside, on))))
}

/// gdb's own name for it: locked, the others stand still.
pub(super) fn scheduler_locking(word: &str) -> Result<Command, WhatFound> {
    let run = match word {
        "off" => true,
        "on" | "step" | "replay" => false,
        other => return Err(format!("'{other}' is not off, on, step or replay")),
    };
    Ok(Command::Stepping(Some((Beside::Cpus, run))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::parse;

    fn check(line: &str, expected: Command) {
        assert_eq!(parse(line).as_ref(), Ok(&expected), "{line}");
    }

    #[test]
    fn steps_and_what_is_beside_them_are_read() {
        check("until", Command::Forward);
        check("until app", Command::Until(Until::App));
        check("stepping", Command::Stepping(None));
        check(
            "stepping interrupts on",
            Command::Stepping(Some((Beside::Interrupts, true))),
        );
        let locked = |run| Command::Stepping(Some((Beside::Cpus, run)));
        check("stepping cpus off", locked(false));
        check("set scheduler-locking off", locked(true));
        check("set scheduler-locking step", locked(false));
        check("vcpu", Command::Focus(None));
        check("thread 1", Command::Focus(Some(Focus::Vcpu(1))));
        check("vcpu next", Command::Focus(Some(Focus::Next)));
        check("step", Command::Step { count: 1 });
    }

    #[test]
    fn mistakes_say_what_is_wanted() {
        for (line, part) in [
            ("stepping time", "on or off"),
            ("stepping time on now", "on or off"),
            (
                "stepping all on",
                "'all' is not one of interrupts, time, cpus",
            ),
            ("set scheduler-locking maybe", "off, on, step"),
            ("vcpu first", "'first'"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.to_string().contains(part), "{line}: {error}");
        }
    }
}
