//! One call in two modes, instruction by instruction.

use serde::Serialize;

use crate::addr::Addr;
use crate::crossing::Setup;
use crate::origin::Origin;

/// One operation of each of two runs, stepped through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instructions {
    pub call: String,
    pub mode_a: Setup,
    pub mode_b: Setup,
    /// Whether the stepped operation took the path that was asked for.
    pub same_path_a: bool,
    pub same_path_b: bool,
    /// What they passed through, in the order of addresses.
    pub functions: Vec<Listing>,
}

/// A function that at least one of two operations passed through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    pub symbol: String,
    pub origin: Origin,
    /// Instructions executed in it, by all its calls in the operation.
    pub a: u64,
    pub b: u64,
    /// Instructions of its code that neither operation executed.
    pub idle: u64,
    pub blocks: Vec<Block>,
}

/// Instructions that run one after the other, whenever the first does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Block {
    pub lines: Vec<Line>,
}

impl Block {
    #[must_use]
    pub fn ran(&self) -> bool {
        self.lines.iter().any(|line| line.a + line.b > 0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    pub address: Addr,
    pub text: String,
    /// How often it ran in each operation.
    pub a: u64,
    pub b: u64,
    /// Why it costs more than its count says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expensive: Option<&'static str>,
}
