//! What was found out about a feature of the protocol.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It does what the protocol's manual says.
    Honoured,
    /// It answers as if it did, and does not.
    Ignored,
    /// It says that it does not know it, or cannot.
    Refused,
    /// The stub does not do it; this debugger does, by other means.
    Emulated,
    /// Not tried, for the reason given.
    Untried,
}

/// What was found out about one feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `vCont;r (range step)`
    pub feature: String,
    pub verdict: Verdict,
    /// What was seen.
    pub found: String,
}

impl Verdict {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
            Self::Emulated => "emulated",
            Self::Untried => "untried",
        }
    }
}

pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn add(
        &mut self,
        feature: impl Into<String>,
        verdict: Verdict,
        found: impl Into<String>,
    ) {
        self.0.push(Finding {
            feature: feature.into(),
            verdict,
            found: found.into(),
        });
    }
}
