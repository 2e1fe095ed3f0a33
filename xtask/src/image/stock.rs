//! A kernel as Debian ships it, for the tests that attach to a machine which nobody has prepared: its `vmlinuz`, and an
//! initramfs whose only program reads for ever.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::command::{logged, output, remove, tool};
use super::places::{Key, Store, entries, folder, repository, write_whole};
use super::{KEY, apt, cpio, up_to_date};
use crate::progress;

/// Depends on the package of the kernel that is current; the kernels' own names change with each.
const CURRENT: &str = "linux-image-cloud-amd64";

/// Part of the key: change it when the code here makes something else of the same inputs.
const RECIPE: &str = "1";

/// Fetches and unpacks the kernel where it is not there yet.
///
/// # Errors
/// When it cannot be fetched or unpacked, or its program does not assemble.
pub(crate) fn prepare(store: &Store) -> Result<()> {
    let _lock = store.lock()?;
    let current = apt::program(store, CURRENT)?;
    let package = apt::program(store, &kernel_of(&current)?)?;
    let source = repository().join("debugger/tests/fixtures/stock_init.S");
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    let key = Key::default().text(RECIPE).text(&name).file(&source)?;
    let (key, home) = (key.finish(), store.stock());
    if up_to_date(&home, &key) {
        return Ok(());
    }
    progress::say(&format!("Unpacking {name}"));
    folder(&home)?;
    remove(&home.join(KEY))?;
    let log = home.join("build.log");
    let kernel = kernel_in(&package, &home, &log)?;
    let place = home.join("vmlinuz");
    fs::rename(&kernel, &place)
        .with_context(|| format!("moving {} to {}", kernel.display(), place.display()))?;
    remove(&home.join(UNPACKED))?;
    write_whole(&home.join("initrd.gz"), &initrd(&source, &home, &log)?)?;
    write_whole(&home.join(KEY), key.as_bytes())
}

/// What the package of the current kernel depends on: `linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)`.
fn kernel_of(current: &Path) -> Result<String> {
    let what = format!("reading what {} depends on", current.display());
    let mut dpkg = tool("dpkg-deb");
    dpkg.arg("--field").arg(current).arg("Depends");
    let depends = output(dpkg, &what)?;
    let name = depends.split([' ', ',', '\n']).next().unwrap_or_default();
    anyhow::ensure!(
        name.starts_with("linux-image-"),
        "{what}: '{}' names no kernel first",
        depends.trim()
    );
    Ok(name.to_owned())
}

const UNPACKED: &str = "unpacked";

fn kernel_in(package: &Path, home: &Path, log: &Path) -> Result<PathBuf> {
    let unpacked = home.join(UNPACKED);
    remove(&unpacked)?;
    folder(&unpacked)?;
    let what = format!("unpacking {}", package.display());
    let mut dpkg = tool("dpkg-deb");
    dpkg.arg("--extract").arg(package).arg(&unpacked);
    logged(dpkg, &what, log, |_| {})?;
    let boot = entries(&unpacked.join("boot"))?;
    let is_kernel = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("vmlinuz-")
    };
    boot.into_iter()
        .find(is_kernel)
        .with_context(|| format!("{what}: there is no boot/vmlinuz in it"))
}

fn initrd(source: &Path, home: &Path, log: &Path) -> Result<Vec<u8>> {
    let program = home.join("init");
    let mut gcc = tool("gcc");
    gcc.args(["-nostdlib", "-static", "-o"]).arg(&program);
    gcc.arg(source);
    logged(gcc, "building the init of Debian's kernel", log, |_| {})?;
    let init = fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
    let mut archive = cpio::Archive::default();
    archive.directory("/dev");
    archive.character_device("/dev/console", 0o600, 5, 1);
    archive.character_device("/dev/zero", 0o666, 1, 5);
    archive.file("/init", 0o755, &init);
    archive.finish().context("packing the initramfs")
}
