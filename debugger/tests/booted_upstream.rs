//! Names as upstream's Unikernel Linux has them, of a machine that runs: an image of ours, told by a copy of its vmlinux
//! whose symbols bear upstream's prefix and mark no boundary. Guest, debug information and build-id are the image's own.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod debuggee;

use std::path::{Path, PathBuf};
use std::time::Duration;

use debuggee::Debuggee;
use debugger::crossing::{CrossingKind, Mode};
use debugger::event::{Answer, Side, StopReason};
use debugger::known::Known;
use debugger::origin::Origin;
use debugger::qemu::arguments::Machine;
use debugger::qemu::image::Image;
use debugger::session::process::Qemu;
use debugger::session::store;
use debugger::session::{AttachOptions, Session};

/// What upstream gives the names of the application and its libc.
const PREFIX: &str = "ukl_";

/// In place of our own patches' names.
const OTHERS: &str = "other_";

/// A symbol's name as upstream would have it.
fn upstream(name: &str, of_app: bool) -> String {
    match name {
        // The program's start has the prefix here too.
        "ukl__start" => name.to_owned(),
        // Entered as a frame of the kernel's own entry, which upstream's is not.
        _ if name.starts_with("ukl_entry_SYSCALL_64") => name[PREFIX.len()..].to_owned() + "_0",
        _ if name.contains("ukl_") && !name.starts_with("__ukl_syscall") => {
            name.replace("ukl_", OTHERS)
        }
        _ if of_app => format!("{PREFIX}{name}"),
        _ => name.to_owned(),
    }
}

/// The image's vmlinux with other names: each symbol is given one at the end of a longer string table.
fn renamed(image: &Image, folder: &Path) -> PathBuf {
    let mut elf = std::fs::read(image.vmlinux()).unwrap();
    let word = |elf: &[u8], at: usize, len: usize| {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(&elf[at..at + len]);
        usize::try_from(u64::from_le_bytes(bytes)).unwrap()
    };
    // ELF-64: section headers of type, offset, size, link; symbols of name, kind, section, value.
    let (headers, size) = (word(&elf, 0x28, 8), word(&elf, 0x3a, 2));
    let count = word(&elf, 0x3c, 2);
    let header = |i: usize| headers + i * size;
    let symbols = (0..count).map(header).find(|at| word(&elf, at + 4, 4) == 2);
    let symbols = symbols.expect("it has a symbol table");
    let strings = header(word(&elf, symbols + 0x28, 4));
    let (first, last) = (word(&elf, symbols + 0x18, 8), word(&elf, symbols + 0x20, 8));
    let (names_at, names_len) = (word(&elf, strings + 0x18, 8), word(&elf, strings + 0x20, 8));
    let mut names = elf[names_at..names_at + names_len].to_vec();
    let name_at = |at: usize| {
        let end = names[at..].iter().position(|byte| *byte == 0).unwrap();
        String::from_utf8(names[at..at + end].to_vec()).unwrap()
    };
    let table: Vec<(usize, String, u64)> = (first..first + last)
        .step_by(24)
        .map(|at| {
            let value = word(&elf, at + 8, 8) as u64;
            (at, name_at(word(&elf, at, 4)), value)
        })
        .collect();
    let place = |name: &str| {
        let mut found = table.iter().filter(|(_, known, _)| known == name);
        found.next().expect(name).2
    };
    let text = place("__ukl_text_start")..place("__ukl_text_end");
    let data = place("__ukl_data_start")..place("__ukl_data_end");
    for (at, name, value) in &table {
        let of_app = !name.is_empty() && (text.contains(value) || data.contains(value));
        let other = upstream(name, of_app);
        if other != *name {
            let offset = u32::try_from(names.len()).unwrap();
            elf[*at..at + 4].copy_from_slice(&offset.to_le_bytes());
            names.extend(other.bytes().chain([0]));
        }
    }
    let end = elf.len() as u64;
    elf[strings + 0x18..strings + 0x20].copy_from_slice(&end.to_le_bytes());
    elf[strings + 0x20..strings + 0x28].copy_from_slice(&(names.len() as u64).to_le_bytes());
    elf.extend(names);
    let path = folder.join("vmlinux");
    std::fs::write(&path, elf).unwrap();
    path
}

#[test]
#[ignore = "boots an image"]
fn upstream_s_names_tell_the_worlds_of_a_running_guest_apart() {
    let image = store::image("syscalls").unwrap_or_else(|error| panic!("{error}"));
    let mut machine = Machine::of(&image, Mode::Ukl, Some(100_000_000));
    machine.stopped_at_start = false;
    let qemu = Qemu::start(&machine).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let vmlinux = renamed(&image, folder.path());
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("mode ukl") {
        seen.extend(qemu.serial().recv_timeout(Duration::from_secs(60)).unwrap());
    }
    let options = AttachOptions {
        vmlinux: Some(vmlinux),
        ..AttachOptions::default()
    };
    let endpoint = qemu.gdb().cloned().unwrap();
    let mut debuggee = Debuggee::opened(Session::attach(endpoint, options)).unwrap();
    let Answer::Text(target) = debuggee.ask("info target") else {
        panic!("what it is comes as text");
    };
    let profile = target.iter().find(|line| line.starts_with("profile: "));
    assert!(profile.unwrap().contains("upstream-ukl"), "{target:#?}");

    debuggee.ask("b __x64_sys_getppid");
    let stop = debuggee.stop("c");
    assert_eq!(stop.place.origin.to_string(), "kernel:core");
    let frames = debuggee.frames();
    let origin = |name: &str| {
        let mut named = frames
            .iter()
            .filter(|frame| frame.place.symbol.as_deref() == Some(name));
        named
            .next()
            .unwrap_or_else(|| panic!("no {name} in {frames:#?}"))
            .place
            .origin
    };
    assert_eq!(origin("main"), Origin::App);
    assert_eq!(origin("getppid"), Origin::Libc);
    let beyond = frames
        .iter()
        .find(|frame| frame.crossing.is_some())
        .unwrap();
    assert_eq!(beyond.crossing, Some(CrossingKind::Syscall));
    assert_eq!(beyond.call.as_deref(), Some("getppid"));

    let Answer::Why(why) = debuggee.ask("why") else {
        panic!("it tells why");
    };
    assert_eq!(
        (why.side, &why.call),
        (Side::Kernel, &Known::Yes("getppid".to_owned()))
    );
    let app = why.app_prototype.yes().unwrap();
    assert_eq!(app, "getppid()");

    debuggee.ask("delete");
    assert!(debuggee.stop("cross back").place.origin.is_app_side());
    for into in [true, false] {
        let stop = debuggee.stop("cross");
        let StopReason::Crossing {
            kind, into_kernel, ..
        } = &stop.reason
        else {
            panic!("{stop:?}");
        };
        assert_eq!((*kind, *into_kernel), (CrossingKind::Syscall, into));
        assert_eq!(stop.place.origin.is_app_side(), !into, "{stop:?}");
    }
    // Both names are the application's, and no more than one function's.
    let (plain, prefixed) = (debuggee.ask("p &app:main"), debuggee.ask("p &ukl_main"));
    let bits = |answer| match answer {
        Answer::Value(value) => value.bits.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(bits(plain), bits(prefixed));
}
