//! Breakpoints on crossings, which editors show as exceptions to stop at: a box to tick each.

use serde_json::{Value, json};

/// Name, what the box says, and the filter of `break cross`.
pub(super) const FILTERS: &[(&str, &str, &str)] = &[
    ("syscall", "Crossings: system calls", "kind=syscall"),
    ("bypass", "Crossings: bypass calls", "kind=bypass"),
    (
        "shortcut",
        "Crossings: shortcuts into the kernel",
        "kind=shortcut",
    ),
    ("fault", "Crossings: faults", "kind=fault"),
    ("interrupt", "Crossings: interrupts", "kind=interrupt"),
    ("signal", "Crossings: signals", "kind=signal"),
];

pub(super) fn filters() -> Vec<Value> {
    FILTERS
        .iter()
        .map(|(filter, label, _)| {
            json!({
                "filter": filter,
                "label": label,
                "supportsCondition": true,
                "conditionDescription": "call=write to=kernel:net if len > 1000",
            })
        })
        .collect()
}

/// The filter that this command sets.
pub(super) fn filter_of(line: &str) -> Option<&'static str> {
    let kind = line.strip_prefix("break cross ")?.split(' ').next()?;
    let found = FILTERS.iter().find(|(_, _, own)| *own == kind);
    found.map(|(name, ..)| *name)
}

/// The command that sets it, with what was typed as its condition.
pub(super) fn command(filter: &str, condition: Option<&str>) -> Option<String> {
    let (_, _, kind) = FILTERS.iter().find(|(name, ..)| *name == filter)?;
    let condition = condition.unwrap_or_default();
    Some(
        format!("break cross {kind} {condition}")
            .trim_end()
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use debugger::command::parse;

    #[test]
    fn each_is_a_command() {
        for (filter, ..) in FILTERS {
            for condition in [None, Some("if len > 1000"), Some("call=write if fd == 1")] {
                let line = command(filter, condition).unwrap();
                assert!(parse(&line).is_ok(), "{line}: {:?}", parse(&line));
                assert_eq!(filter_of(&line), Some(*filter));
            }
        }
        assert_eq!(command("uncaught", None), None);
        assert_eq!(filter_of("break cross call=write"), None);
    }
}
