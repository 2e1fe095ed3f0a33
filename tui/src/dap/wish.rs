//! A breakpoint as an editor wishes it → the command that sets it.

use debugger::command::{BreakCommand, Command, Location, Only, WatchKind, log_parts, parse};

use super::message::Refusal;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) at: At,
    pub(super) condition: Option<String>,
    pub(super) hits: Option<String>,
    pub(super) log: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    Location(Location),
    /// A command that sets it.
    Line(String),
    Watch {
        kind: WatchKind,
        expression: String,
        frame: Option<u32>,
    },
    Nowhere(Refusal),
}

pub(super) fn command(wish: &Wish) -> Result<Command, Refusal> {
    let mut command = match &wish.at {
        At::Nowhere(refusal) => return Err(refusal.clone()),
        At::Watch {
            kind, expression, ..
        } => {
            return Ok(Command::Watch {
                kind: *kind,
                expression: expression.clone(),
                condition: wish.condition.clone(),
                fixed: false,
            });
        }
        At::Line(line) => parse(line)?,
        At::Location(location) => Command::Break {
            location: location.clone(),
            temporary: false,
            hardware: false,
            condition: None,
            only: Only::default(),
            pending: false,
        },
    };
    if let (Command::Break { condition, .. }, Some(wished)) = (&mut command, &wish.condition) {
        *condition = Some(match condition.take() {
            Some(own) => format!("({own}) && ({wished})"),
            None => wished.clone(),
        });
    }
    let (
        Some(text),
        Command::Break {
            location,
            condition,
            only,
            ..
        },
    ) = (&wish.log, &command)
    else {
        return Ok(command);
    };
    let behind = condition
        .as_ref()
        .map_or_else(String::new, |condition| format!(" if {condition}"));
    let parts = log_parts(text).map_err(|found| {
        Refusal::new(
            format!("reading the log message '{text}'"),
            found,
            "write what is to be evaluated in braces: {count} bytes",
        )
    })?;
    Ok(Command::Breaks(BreakCommand::Log {
        location: location.clone(),
        parts,
        condition: condition.clone(),
        only: only.clone(),
        typed: format!("{}{behind}, {text}", written(location)),
    }))
}

/// As it would be typed.
fn written(location: &Location) -> String {
    match location {
        Location::Line {
            file: Some(file),
            line,
        } => format!("{file}:{line}"),
        Location::Addr(at) => format!("*{at:?}"),
        Location::Symbol { name, .. } => name.clone(),
        // None of these is what an editor's log point stands at.
        Location::Line { .. } | Location::Expression(_) | Location::Crossing(_) => "$pc".to_owned(),
    }
}

/// How many hits do not stop yet: `5` stops at the fifth, `> 5` at the sixth.
pub(super) fn hits_to_pass(text: &str) -> Result<u64, Refusal> {
    let trimmed = text.trim();
    let (number, more) = match (trimmed.strip_prefix(">="), trimmed.strip_prefix('>')) {
        (Some(number), _) => (number, 0),
        (None, Some(number)) => (number, 1),
        (None, None) => (trimmed, 0),
    };
    let number: Result<u64, _> = number.trim().parse();
    match number {
        Ok(number) => Ok((number + more).saturating_sub(1)),
        Err(_) => Err(Refusal::new(
            format!("reading the hit count '{text}'"),
            "it is no number",
            "write N or >= N, to stop from the Nth hit on, or > N",
        )),
    }
}

/// The frame and the expression, as one text that the editor keeps.
pub(super) fn data_id(frame: Option<u32>, expression: &str) -> String {
    format!("{}:{expression}", frame.unwrap_or(0))
}

pub(super) fn of_data_id(text: &str) -> (Option<u32>, String) {
    match text.split_once(':') {
        Some((frame, expression)) => (
            frame.parse().ok().filter(|frame| *frame > 0),
            expression.to_owned(),
        ),
        None => (None, text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use debugger::addr::Addr;

    use super::*;

    fn wish(at: At) -> Wish {
        Wish {
            at,
            condition: None,
            hits: None,
            log: None,
        }
    }

    #[test]
    fn hit_counts_are_read() {
        let passed = |text| hits_to_pass(text).ok();
        assert_eq!(passed("1"), Some(0));
        assert_eq!(passed(" 5 "), Some(4));
        assert_eq!(passed(">= 5"), Some(4));
        assert_eq!(passed(">5"), Some(5));
        assert_eq!(passed("0"), Some(0));
        assert_eq!(passed("% 2"), None);
        assert_eq!(passed(""), None);
    }

    #[test]
    fn a_wish_is_a_command() {
        let addr = At::Location(Location::Addr(Addr(16)));
        let mut one = wish(At::Line("break main if n > 1".to_owned()));
        one.condition = Some("n < 9".to_owned());
        let Ok(Command::Break { condition, .. }) = command(&one) else {
            panic!("{one:?}");
        };
        assert_eq!(condition.as_deref(), Some("(n > 1) && (n < 9)"));
        let mut log = wish(addr);
        log.log = Some("{n} calls".to_owned());
        assert!(matches!(
            command(&log),
            Ok(Command::Breaks(BreakCommand::Log { .. }))
        ));
        log.log = Some("{n calls".to_owned());
        assert!(command(&log).is_err());
        assert!(command(&wish(At::Line("break a b".to_owned()))).is_err());
    }

    #[test]
    fn what_is_watched_keeps_its_frame() {
        assert_eq!(
            of_data_id(&data_id(Some(7), "a::b")),
            (Some(7), "a::b".to_owned())
        );
        assert_eq!(of_data_id(&data_id(None, "x")), (None, "x".to_owned()));
    }
}
