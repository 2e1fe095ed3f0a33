use std::fs;

use super::*;

/// A program that stands for QEMU: no image is needed to see how its end is told.
fn machine(folder: &Path, script: &str) -> Machine {
    let program = folder.join("qemu");
    // Written by another process: a file that is open for writing here while some other test forks
    // could not be run.
    let write = r##"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 755 "$2""##;
    let status = Command::new("sh")
        .args(["-c", write, "sh", script])
        .arg(&program)
        .status()
        .unwrap();
    assert!(status.success());
    let kernel = folder.join("kernel");
    fs::write(&kernel, b"").unwrap();
    Machine {
        program,
        ..Machine::new(kernel.clone(), kernel, String::new())
    }
}

#[test]
fn a_missing_program_names_its_package() {
    let folder = tempfile::tempdir().unwrap();
    let mut machine = machine(folder.path(), "");
    machine.program = "/nowhere/qemu".into();
    let error = Qemu::start(&machine).unwrap_err();
    assert!(matches!(error, QemuError::NoProgram { .. }), "{error}");
    assert!(error.to_string().contains("qemu-system-x86"), "{error}");
}

#[test]
fn a_missing_kernel_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut machine = machine(folder.path(), "");
    machine.kernel = folder.path().join("gone");
    let error = Qemu::start(&machine).unwrap_err().to_string();
    assert!(error.contains("no kernel at"), "{error}");
    assert!(error.contains("gone"), "{error}");
}

#[test]
fn a_program_that_ends_at_once_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let script =
        "echo 'qemu: Failed to find an available port: Address already in use' >&2; exit 1";
    let error = Qemu::start(&machine(folder.path(), script)).unwrap_err();
    assert!(matches!(error, QemuError::Died { .. }), "{error}");
    let error = error.to_string();
    assert!(error.contains("exit code 1"), "{error}");
    assert!(error.contains("Address already in use"), "{error}");
    assert!(error.contains("choose another one"), "{error}");
}
