//! A user's own table of a kernel's family, in place of the one that the kernel's symbols choose.

use std::path::Path;
use std::sync::Arc;

use crate::event::Failure;
use crate::profile::Profile;

/// # Errors
/// When it cannot be read, or is no such table.
pub(super) fn read(path: &Path) -> Result<Arc<Profile>, Failure> {
    let failed = |found: String| {
        Failure::new(
            format!("reading the profile {}", path.display()),
            found,
            "docs: 'Attaching' tells what a profile has",
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let profile = Profile::parse(&text).map_err(|error| failed(error.to_string()))?;
    Ok(Arc::new(profile))
}
