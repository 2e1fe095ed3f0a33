//! The guest's shell: busybox, from Debian's package of the static program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::apt;
use super::command::{logged, remove, tool};
use super::places::{Store, folder};

const PACKAGE: &str = "busybox-static";

/// The package's file, fetched once.
///
/// # Errors
/// When it cannot be fetched.
pub(super) fn package(store: &Store) -> Result<PathBuf> {
    apt::program(store, PACKAGE)
}

/// The program in it.
///
/// # Errors
/// When it cannot be unpacked.
pub(super) fn program(package: &Path, part: &Path, log: &Path) -> Result<Vec<u8>> {
    let unpacked = part.join(PACKAGE);
    folder(&unpacked)?;
    let mut dpkg = tool("dpkg-deb");
    dpkg.arg("--extract").arg(package).arg(&unpacked);
    logged(
        dpkg,
        &format!("unpacking {}", package.display()),
        log,
        |_| {},
    )?;
    let path = unpacked.join("bin/busybox");
    let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    remove(&unpacked)?;
    Ok(bytes)
}
