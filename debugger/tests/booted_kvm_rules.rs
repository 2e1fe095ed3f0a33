//! Breakpoints where the stub keeps KVM's rules: played between us and QEMU under TCG. KVM itself was
//! not seen at work.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod debuggee;
mod kvm_rules;

use std::os::unix::net::UnixListener;
use std::time::Duration;

use debuggee::Debuggee;
use debugger::crossing::Mode;
use debugger::event::{Answer, BreakpointInfo, StopReason};
use debugger::qemu::arguments::Machine;
use debugger::session::process::Qemu;
use debugger::session::store;
use debugger::session::target::Endpoint;
use debugger::session::{AttachOptions, Session};

fn set(debuggee: &mut Debuggee, line: &str) -> BreakpointInfo {
    match debuggee.ask(line) {
        Answer::Breakpoints(list) => list.into_iter().next().unwrap(),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
#[ignore = "boots an image"]
fn four_debug_registers_are_budgeted_and_an_unmapped_page_gets_one_by_itself() {
    let image = store::image("syscalls").unwrap();
    let mut machine = Machine::of(&image, Mode::Ukl, Some(100_000_000));
    machine.stopped_at_start = false;
    let qemu = Qemu::start(&machine).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("mode ukl") {
        seen.extend(qemu.serial().recv_timeout(Duration::from_secs(60)).unwrap());
    }
    let Some(Endpoint::Unix(stub)) = qemu.gdb().cloned() else {
        panic!("its stub has a socket");
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("stub");
    let listener = UnixListener::bind(&socket).unwrap();
    let rules = std::thread::spawn(move || kvm_rules::between(&listener, &stub));
    let options = AttachOptions {
        vmlinux: Some(image.vmlinux()),
        ..AttachOptions::default()
    };
    let mut debuggee = Debuggee::opened(Session::attach(Endpoint::Unix(socket), options)).unwrap();
    let Answer::Text(target) = debuggee.ask("info target") else {
        panic!("the target was asked for");
    };
    assert!(
        target.contains(&"accelerator: kvm".to_owned()),
        "{target:?}"
    );

    // What is mapped takes none of them.
    let one = set(&mut debuggee, "b ksys_read if 0");
    assert_eq!((one.state.as_str(), one.note), ("planted", None));
    // What is not mapped is refused as software and goes to a debug register.
    let two = set(&mut debuggee, "b *0x7f0000000000");
    assert_eq!(two.state, "planted");
    let note = two.note.unwrap();
    assert!(
        note.starts_with("by a debug register: as a software breakpoint")
            && note.ends_with("1 of 4 debug registers is in use"),
        "{note}"
    );
    // Nobody writes the banner.
    for (line, used) in [
        ("watch -location *(long *)&linux_banner", "2 of 4"),
        ("hb __x64_sys_getppid", "3 of 4"),
        ("watch jiffies if 0", "4 of 4"),
    ] {
        let one = set(&mut debuggee, line);
        assert_eq!(one.state, "planted", "{line}");
        assert!(
            one.note.as_deref().unwrap().starts_with(used),
            "{line}: {one:?}"
        );
    }
    let fifth = set(&mut debuggee, "awatch jiffies");
    assert!(
        fifth
            .state
            .starts_with("failed: all 4 debug registers are in use"),
        "{fifth:?}"
    );
    let reads = set(&mut debuggee, "rwatch jiffies");
    assert!(reads.state.contains("'awatch' stops at reads"), "{reads:?}");

    // The hardware breakpoint stops, and what was left over finds room when another goes.
    let stop = debuggee.stop("c");
    assert_eq!(stop.reason, StopReason::Breakpoint { number: 4 });
    debuggee.ask("delete 4");
    let fifth = set(&mut debuggee, "enable 6");
    assert_eq!(fifth.state, "planted", "{fifth:?}");
    let stop = debuggee.stop("c");
    assert!(
        matches!(stop.reason, StopReason::Watchpoint { number: 6, .. }),
        "{stop:?}"
    );

    // Sixteen bytes are two registers: none is left for them.
    debuggee.ask("delete 6");
    let wide = set(&mut debuggee, "watch -location init_task.cpus_mask");
    assert!(
        matches!(wide.state.as_str(), "planted") || wide.state.contains("debug registers"),
        "{wide:?}"
    );
    drop(debuggee);
    drop(qemu);
    rules.join().unwrap();
}
