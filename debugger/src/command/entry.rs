//! What the table of commands has a row of.

use super::Command;
use super::parse::{Input, WhatFound};

/// The heading a command stands under in help and the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Running,
    Boundary,
    /// In time: of a replay.
    Back,
    Breakpoints,
    Looking,
    Other,
}

/// What an argument may begin with, for completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completes {
    Nothing,
    Symbols,
    /// Symbols, and registers behind a `$`.
    Expressions,
    Words(&'static [&'static str]),
    WordsAndSymbols(&'static [&'static str]),
    Commands,
}

#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub name: &'static str,
    /// Abbreviations that hold even where another command begins so.
    pub short: &'static [&'static str],
    /// The arguments' form: `LOCATION [if CONDITION]`.
    pub arguments: &'static str,
    /// One line.
    pub help: &'static str,
    pub group: Group,
    pub(super) completes: Completes,
    pub(super) read: fn(&Input<'_>) -> Result<Command, WhatFound>,
}

impl Entry {
    /// `break [LOCATION] [if CONDITION]`
    #[must_use]
    pub fn usage(&self) -> String {
        format!("{} {}", self.name, self.arguments)
            .trim_end()
            .to_owned()
    }
}
