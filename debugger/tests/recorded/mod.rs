//! Recorded runs of the image `syscalls`.

use std::path::{Path, PathBuf};

use debugger::crossing::Mode;
use debugger::session::replay::{RecordOptions, Recorded, record};
use debugger::session::store::Store;

/// One by the QEMU that is named, else by the installed one; with what the guest wrote.
pub(crate) fn syscalls(
    folder: &Path,
    mode: Mode,
    calls: u64,
    qemu: Option<&PathBuf>,
) -> (Recorded, String) {
    let image = Store::open()
        .and_then(|store| store.image("syscalls"))
        .unwrap_or_else(|error| panic!("{error}"));
    let options = RecordOptions {
        mode: Some(mode),
        calls: Some(calls),
        qemu: qemu.cloned(),
        ..RecordOptions::default()
    };
    let mut serial = Vec::new();
    let recorded = record(
        &image,
        &options,
        folder,
        &mut |_| (),
        &mut || false,
        &mut |bytes| serial.extend_from_slice(bytes),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    (recorded, String::from_utf8_lossy(&serial).into_owned())
}
