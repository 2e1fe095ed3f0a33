//! Attaching to a machine that nobody has prepared: a kernel as Debian ships it, moved by KASLR, whose vmlinux is not
//! there. All that is known of it is what its memory says.

mod debuggee;

use std::time::Duration;

use debuggee::Debuggee;
use debugger::event::{Answer, Frame, StopReason};
use debugger::qemu::arguments::Machine;
use debugger::session::process::Qemu;
use debugger::session::store::{self, STOCK, Store};
use debugger::session::{AttachOptions, Session};

/// What its only program says before it begins to read.
const READS: &str = "init reads";

/// Far more than the boot takes.
const BOOT: Duration = Duration::from_secs(120);

/// Until its program reads.
fn booted() -> Qemu {
    let store = Store::open().unwrap_or_else(|error| panic!("{error}"));
    let folder = store.root().join(STOCK);
    let kernel = folder.join("vmlinuz");
    assert!(
        kernel.is_file(),
        "looking for Debian's kernel: there is no {}; fetch it with 'cargo xtask image --stock'",
        kernel.display()
    );
    let append = "console=ttyS0 panic=-1 no_timer_check".to_owned();
    let mut machine = Machine::new(kernel, folder.join("initrd.gz"), append);
    machine.memory_mib = 512;
    machine.smp = 2;
    machine.stopped_at_start = false;
    let qemu = Qemu::start(&machine).expect("QEMU starts");
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains(READS) {
        let more = qemu.serial().recv_timeout(BOOT);
        said.extend(more.unwrap_or_else(|error| {
            panic!("no '{READS}': {error}\n{}", String::from_utf8_lossy(&said))
        }));
    }
    qemu
}

fn names(frames: &[Frame]) -> Vec<&str> {
    let named = frames.iter();
    named
        .filter_map(|frame| frame.place.symbol.as_deref())
        .collect()
}

#[test]
#[ignore = "boots an image"]
fn a_distribution_s_kernel_is_known_by_its_memory_alone() {
    let qemu = booted();
    let endpoint = qemu.gdb().cloned().expect("it has a stub");
    let options = AttachOptions {
        // Whatever is installed here: names from a file are another test's.
        debug_files: "/nonexistent".into(),
        ..AttachOptions::default()
    };
    let mut debuggee = Debuggee::opened(Session::attach(endpoint.clone(), options))
        .unwrap_or_else(|why| panic!("{why}"));
    let Answer::Text(found) = debuggee.ask("info target") else {
        panic!("what it is comes as text");
    };
    let fact = |name: &str| {
        let mut lines = found.iter().filter_map(|line| line.strip_prefix(name));
        lines
            .next()
            .unwrap_or_else(|| panic!("no {name} in {found:#?}"))
    };
    assert!(
        fact("KASLR: ").contains("by the kernel's own names"),
        "{found:#?}"
    );
    assert!(fact("kernel: ").contains("-cloud-amd64"), "{found:#?}");
    assert!(fact("profile: ").starts_with("linux"), "{found:#?}");
    let known: usize = fact("names: ").split(' ').next().unwrap().parse().unwrap();
    assert!(known > 50_000, "{known}");

    debuggee.ask("b vfs_read");
    let stop = debuggee.stop("c");
    assert_eq!(stop.reason, StopReason::Breakpoint { number: 1 });
    assert_eq!(stop.place.symbol.as_deref(), Some("vfs_read"));
    assert_eq!(stop.place.offset, 0);
    let frames = debuggee.frames();
    let chain = names(&frames);
    let mut rest = chain.iter();
    for caller in ["vfs_read", "ksys_read", "do_syscall_64", "entry_SYSCALL_64"] {
        assert!(
            rest.any(|name| name.starts_with(caller)),
            "no {caller} in {chain:?}"
        );
    }
    // The program in ring 3: its frame is the last, behind the boundary.
    let last = frames.last().unwrap();
    assert!(!last.place.addr.in_kernel_half(), "{last:?}");
    assert_eq!(last.call.as_deref(), Some("read"));
    // What needs types says which file would tell.
    let failure = debuggee.try_ask("tasks").unwrap_err();
    assert!(failure.found.contains("no vmlinux was given"), "{failure}");
    assert!(failure.next.contains("'file VMLINUX'"), "{failure}");
    for line in ["info types task", "ptype struct task_struct", "info vmas"] {
        let failure = debuggee.try_ask(line).unwrap_err();
        assert!(failure.found.contains("no types are known"), "{failure}");
    }

    // Another kernel's vmlinux is refused, with the id that is this one's.
    let id = fact("build-id: ");
    drop(debuggee);
    let other = store::image("syscalls").unwrap_or_else(|error| panic!("{error}"));
    let options = AttachOptions {
        vmlinux: Some(other.vmlinux()),
        ..AttachOptions::default()
    };
    let Err(why) = Debuggee::opened(Session::attach(endpoint, options)) else {
        panic!("it is another kernel's");
    };
    assert!(why.contains(&other.manifest.build_id), "{why}");
    assert!(why.contains(id), "{why}, not {id}");
}
