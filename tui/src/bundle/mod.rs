//! Bundles: what a bug report or a lesson needs, in one file.
//!
//! A front end's matter: what is packed are files that the session's room writes, and what the screen keeps.

pub mod format;
mod open;
mod pack;

use std::path::Path;

pub use open::{UnpackArgs, open, target, unpack};
pub use pack::{BundleArgs, pack};

/// By which such a file is known.
pub const EXTENSION: &str = "bundle";

/// Whether it is one, by its name.
#[must_use]
pub fn is_one(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == EXTENSION)
}
