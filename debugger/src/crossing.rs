//! The words for what passes the boundary, and for how a program is run beside it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How control passed between the application and the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CrossingKind {
    /// The `syscall` instruction and the full entry path, from either ring.
    Syscall,
    /// The call's implementation by a function call, without entry and exit work.
    Bypass,
    /// Any other kernel function, called directly.
    Shortcut,
    Fault,
    Interrupt,
    Signal,
    Start,
    Exit,
}

/// How the same program runs.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// An ordinary ring-3 process on the same kernel: the baseline.
    Linux,
    #[default]
    Ukl,
    Bypass,
    Shortcut,
}

impl CrossingKind {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syscall => "syscall",
            Self::Bypass => "bypass",
            Self::Shortcut => "shortcut",
            Self::Fault => "fault",
            Self::Interrupt => "interrupt",
            Self::Signal => "signal",
            Self::Start => "start",
            Self::Exit => "exit",
        }
    }
}

impl Mode {
    pub const ALL: [Self; 4] = [Self::Linux, Self::Ukl, Self::Bypass, Self::Shortcut];

    /// As on the kernel's command line: `ukl.mode=bypass`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Ukl => "ukl",
            Self::Bypass => "bypass",
            Self::Shortcut => "shortcut",
        }
    }
}

impl fmt::Display for CrossingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no mode: linux, ukl, bypass or shortcut")]
pub struct NoMode(pub String);

impl FromStr for Mode {
    type Err = NoMode;

    fn from_str(text: &str) -> Result<Self, NoMode> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| NoMode(text.to_owned()))
    }
}
