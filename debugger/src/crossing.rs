//! The words for what passes the boundary, and for how a program is run beside it.

pub mod errors;

use std::collections::BTreeMap;
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

/// A part of a path, from a crossing's entry to its return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Entry,
    EntryWork,
    Dispatch,
    /// Between the application's memory and the kernel's.
    Copy,
    Service,
    ExitWork,
    Exit,
}

/// What part of a path a function's own instructions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseRule {
    /// Entry up to its first call, exit from then on: the assembly at both ends of a path.
    BothEnds,
    /// All of them, and those of what it calls.
    #[serde(untagged)]
    Whole(Phase),
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

/// A mode, and options of the kernel's beside it: `ukl+ret` runs mode `ukl` with `ukl.ret=1`,
/// `bypass+bypass_limit=8` runs `bypass` with `ukl.bypass_limit=8`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Setup {
    pub mode: Mode,
    /// `ret`, `bypass_limit=8`, in the order given.
    pub options: Vec<String>,
}

/// What a request of a server is: the table `[request]` of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    /// The calls, by system call or by shortcut, whose return begins a turn of a server's thread:
    /// `epoll_pwait`, `recvfrom`, `tcp_recvmsg`.
    pub turn: Vec<String>,
    /// Functions of the application, and what kind of request a call of each is: `getCommand`, `GET`.
    pub kinds: BTreeMap<String, String>,
}

impl CrossingKind {
    pub const ALL: [Self; 8] = [
        Self::Syscall,
        Self::Bypass,
        Self::Shortcut,
        Self::Fault,
        Self::Interrupt,
        Self::Signal,
        Self::Start,
        Self::Exit,
    ];

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

impl From<Mode> for Setup {
    fn from(mode: Mode) -> Self {
        Self {
            mode,
            options: Vec::new(),
        }
    }
}

/// The mode alone, without options.
impl PartialEq<Mode> for Setup {
    fn eq(&self, mode: &Mode) -> bool {
        self.mode == *mode && self.options.is_empty()
    }
}

impl Setup {
    /// Whether an option is given, and not as 0.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        let given = self.options.iter().rev().find_map(|given| {
            let (name, value) = given.split_once('=').unwrap_or((given, "1"));
            (name == option).then_some(value)
        });
        given.is_some_and(|value| value != "0")
    }

    /// For the kernel's command line, after its mode: `ukl.ret=1 ukl.bypass_limit=8`.
    #[must_use]
    pub fn append(&self) -> Option<String> {
        let words = self.options.iter().map(|option| {
            if option.contains('=') {
                format!("ukl.{option}")
            } else {
                format!("ukl.{option}=1")
            }
        });
        let words: Vec<_> = words.collect();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.mode.name().to_owned();
        for option in &self.options {
            text.push('+');
            text.push_str(option);
        }
        f.pad(&text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSetup {
    #[error(transparent)]
    Mode(#[from] NoMode),
    #[error("'{0}' is no option of the kernel's: write it as in ukl+ret, or bypass+bypass_limit=8")]
    Option(String),
}

impl FromStr for Setup {
    type Err = NoSetup;

    fn from_str(text: &str) -> Result<Self, NoSetup> {
        let mut parts = text.split('+');
        let mode = parts.next().unwrap_or_default().parse()?;
        let word = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let options = parts.map(|option| {
            let fits = match option.split_once('=') {
                Some((name, value)) => word(name) && word(value),
                None => word(option),
            };
            if fits && !option.starts_with("mode") {
                Ok(option.to_owned())
            } else {
                Err(NoSetup::Option(option.to_owned()))
            }
        });
        Ok(Self {
            mode,
            options: options.collect::<Result<_, _>>()?,
        })
    }
}

impl Serialize for Setup {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Setup {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_may_carry_options_of_the_kernel() {
        let check = |text: &str, append: Option<&str>| {
            let setup: Setup = text.parse().unwrap();
            assert_eq!(setup.to_string(), text);
            assert_eq!(setup.append().as_deref(), append, "{text}");
        };
        check("ukl", None);
        check("ukl+ret", Some("ukl.ret=1"));
        check(
            "bypass+bypass_limit=8+ret",
            Some("ukl.bypass_limit=8 ukl.ret=1"),
        );
        assert!("ukl+ret".parse::<Setup>().unwrap() != Mode::Ukl);
        let has = |text: &str, option| text.parse::<Setup>().unwrap().has(option);
        assert!(has("ukl+ret", "ret") && has("ukl+ret=0+ret=1", "ret"));
        assert!(!has("ukl+ret=0", "ret") && !has("ukl+ret", "re") && !has("ukl", "ret"));
        for wrong in ["", "fast", "ukl+", "ukl+ret=", "ukl+a b", "ukl+mode=linux"] {
            assert!(wrong.parse::<Setup>().is_err(), "{wrong}");
        }
    }
}
