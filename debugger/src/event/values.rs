//! Values as trees: what one consists of, one level at a time.

use serde::Serialize;

use crate::addr::Addr;
use crate::known::Known;

/// A value and some of its parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parts {
    /// The function whose frame it was evaluated in.
    pub function: Option<String>,
    /// The whole; of a frame's variables nothing but the function's name.
    pub of: Part,
    /// Which of them the first in `parts` is.
    pub from: u64,
    /// How many it has.
    pub total: u64,
    pub parts: Vec<Part>,
}

/// One value within a larger one, or a variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Part {
    /// Within the whole: `comm`, `[3]`, `*`.
    pub name: String,
    /// What gives it anywhere in the frame: `file->f_path.dentry`.
    pub expression: String,
    pub type_name: Option<String>,
    pub value: Known<String>,
    /// It has parts of its own.
    pub opens: bool,
    pub address: Option<Addr>,
    /// Bytes, where known.
    pub size: Option<u64>,
    /// Of the innermost frame's variables: it is not what it was at the stop before.
    pub changed: bool,
}
