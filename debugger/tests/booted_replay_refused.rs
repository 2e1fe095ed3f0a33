//! A recorded run is of the QEMU that it was recorded with: no other is started on it.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod debuggee;
mod qemus;
mod recorded;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use debuggee::Debuggee;
use debugger::crossing::Mode;
use debugger::session::replay::{MANIFEST, RecordedRun};
use debugger::session::trace::TraceOptions;
use debugger::session::trace_keep::trace_and_keep;
use debugger::session::{ReplayOptions, Session};

fn recorded(folder: &Path, qemu: Option<&PathBuf>) {
    recorded::syscalls(folder, Mode::Ukl, 10, qemu);
}

/// Which QEMU it is of.
fn version(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join(MANIFEST)).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("qemu = "));
    line.unwrap().trim_matches('"').to_owned()
}

/// Neither replayed nor traced: both versions are told, and what to do.
fn check_refused(folder: &Path, qemu: Option<&PathBuf>, here: &str) {
    let told = format!(
        "replaying: it was recorded with QEMU {}, this is {here}; record the run again, or name that QEMU with \
         UKLSCOPE_QEMU",
        version(folder)
    );
    let options = ReplayOptions {
        qemu: qemu.cloned(),
        ..ReplayOptions::default()
    };
    let session = Session::replay(folder.to_owned(), options);
    let refused = Debuggee::opened(session).err();
    assert_eq!(refused.as_ref(), Some(&told));
    let run = RecordedRun::open(folder).unwrap();
    let options = TraceOptions {
        qemu: qemu.cloned(),
        ..TraceOptions::of(run.clone())
    };
    let refused = trace_and_keep(&run.image, &options, &Arc::default(), &mut |_| {});
    assert_eq!(refused.err(), Some(told));
}

#[test]
#[ignore = "boots an image"]
fn a_recording_of_another_qemu_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    recorded(&folder, None);
    let here = version(&folder);
    let manifest = folder.join(MANIFEST);
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace(&here, "0.1.2")).unwrap();
    check_refused(&folder, None, &here);
}

#[test]
#[ignore = "boots an image"]
fn a_run_that_is_open_is_not_opened_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    recorded(&folder, None);
    let open = || Debuggee::opened(Session::replay(folder.clone(), ReplayOptions::default()));
    let first = open().unwrap_or_else(|why| panic!("{why}"));
    let told = format!(
        "opening the recorded run {}: it is open elsewhere, and its snapshots are one replay's at a time; close that \
         one, or open a copy of the folder",
        folder.display()
    );
    assert_eq!(open().err(), Some(told));
    drop(first);
    assert!(open().is_ok());
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn recordings_are_refused_by_other_qemus() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    recorded(&folder, None);
    for (number, qemu) in qemus::others().iter().enumerate() {
        let other = root.path().join(number.to_string());
        recorded(&other, Some(qemu));
        let same = version(&other) == version(&folder);
        assert!(
            !same,
            "{} is the version that all is tested with",
            qemu.display()
        );
        check_refused(&folder, Some(qemu), &version(&other));
        check_refused(&other, None, &version(&folder));
    }
}
