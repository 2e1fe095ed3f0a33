//! Why a command was not carried out to its end.

use super::expression::ExpressionError;
use super::target::TargetError;
use crate::event::Failure;

/// What was tried, where the target has gone.
pub(super) const ASKING: &str = "asking the target";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Ended(Ending),
    /// Whoever asked has left.
    #[error("the session is being closed")]
    Quit,
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// How a target has ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Ending {
    pub why: String,
    /// With what code, where the guest has switched its machine off.
    pub exited: Option<u8>,
}

impl Ending {
    /// What is gone otherwise.
    pub(crate) const fn gone(why: String) -> Self {
        Self { why, exited: None }
    }

    pub(crate) const fn exited(why: String, code: u8) -> Self {
        let exited = Some(code);
        Self { why, exited }
    }
}

impl Trouble {
    pub(super) fn new(
        tried: impl Into<String>,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::Failed(Failure::new(tried, found, next))
    }

    pub(super) fn expression(text: &str, error: &ExpressionError) -> Self {
        let next = match error {
            ExpressionError::Homonyms { .. } => "write one of them with its origin, as app:NAME",
            ExpressionError::NoName(_) => "'symbols PATTERN' finds names",
            ExpressionError::NoMachine(_) => "boot an image or attach to a stub",
            ExpressionError::NoRegister(_) => "'info registers' lists them",
            ExpressionError::Unreadable { .. } => "'space ADDRESS' tells what is mapped there",
            _ => "'help print' says what an expression is",
        };
        Self::new(format!("evaluating '{text}'"), error.to_string(), next)
    }

    /// As an answer.
    pub(super) fn failure(self, tried: &str) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Ended(end) => Failure::new(tried, end.why, "open the target again"),
            Self::Quit => Failure::new(tried, "the session is being closed", "open it again"),
        }
    }
}

impl From<TargetError> for Trouble {
    fn from(error: TargetError) -> Self {
        let text = error.to_string();
        match error {
            TargetError::Ended { .. }
            | TargetError::Link(_)
            | TargetError::LinkWhile { .. }
            | TargetError::Wire { .. }
            | TargetError::NoStub { .. }
            | TargetError::NoAnswer { .. } => Self::Ended(Ending::gone(text)),
            _ => Self::Failed(failure_of(&text)),
        }
    }
}

/// Takes a message of the form "what was tried: what was found; the next step" apart.
pub(super) fn failure_of(text: &str) -> Failure {
    let (tried, rest) = text.split_once(": ").unwrap_or((ASKING, text));
    let (found, next) = rest
        .rsplit_once("; ")
        .unwrap_or((rest, "'info target' says what is known of it"));
    Failure::new(tried, found, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_apart_at_its_joints() {
        let text = "reading memory at 0x0: nothing is mapped there (E14); 'space 0x0' shows it";
        assert_eq!(failure_of(text).to_string(), text);
        assert_eq!(failure_of("odd").found, "odd");
    }
}
