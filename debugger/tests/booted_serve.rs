//! Stock gdb and lldb join a live image: what they do and see, alone.

mod debuggee;
mod peers;
mod qemus;

use std::time::Duration;

use debugger::crossing::Mode;
use debugger::event::{Answer, Event, Run};
use debugger::session::BootOptions;
use peers::{Raw, Served};

fn has(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "no '{part}' in\n{text}");
    }
}

#[test]
#[ignore = "boots an image"]
fn gdb_does_all_it_does_with_a_stub_of_its_own() {
    check_gdb(&Served::at_main("syscalls", Mode::Ukl, 2));
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn gdb_joins_by_other_qemus() {
    for qemu in qemus::others() {
        check_gdb(&Served::at_main_in(&qemu, "syscalls", Mode::Ukl, 2));
    }
}

fn check_gdb(served: &Served) {
    let text = served.gdb(&[
        "info threads",
        "p $pc == main",
        "p/x $cr3 != 0",
        "break ksys_write",
        "continue",
        "backtrace 3",
        "p count",
        "p *buf",
        "stepi",
        "next",
        "watch -location *(unsigned long *)($rsp - 8)",
        "continue",
        "delete",
        "hbreak ksys_write",
        "continue",
        "x/2i $pc",
        "set $rax = 77",
        "p $rax",
        "set $xmm3.v4_int32[1] = 5",
        "p $xmm3.v4_int32[1]",
        "set var *(char *)buf = 'y'",
        "p *buf",
        "thread 2",
        "info registers rip",
        "detach",
    ]);
    has(
        &text,
        &[
            "Thread 1.1 (CPU#0",
            "Thread 1.2 (CPU#1",
            "Breakpoint 1, ksys_write (fd=",
            "#1  0x",
            "in do_syscall_x64",
            "hit Hardware watchpoint 2",
            "Old value = ",
            "Hardware assisted breakpoint 3 at",
            "hit Breakpoint 3, ",
            "<ksys_write",
            "= 77",
            "= 5",
            "= 121 'y'",
            "[Switching to thread 2",
            "detached",
        ],
    );
    assert!(!text.contains("rror"), "{text}");
}

#[test]
#[ignore = "boots an image"]
fn lldb_attaches_breaks_steps_and_detaches() {
    check_lldb(&Served::at_main("syscalls", Mode::Ukl, 1));
}

#[test]
#[ignore = "boots an image in another QEMU"]
fn lldb_joins_by_other_qemus() {
    for qemu in qemus::others() {
        check_lldb(&Served::at_main_in(&qemu, "syscalls", Mode::Ukl, 1));
    }
}

fn check_lldb(served: &Served) {
    let text = served.lldb(&[
        "thread list",
        "register read rip",
        "breakpoint set -n ksys_write",
        "continue",
        "bt 3",
        "thread step-inst",
        "memory region $pc",
        "memory read -s8 -fx -c2 $rsp",
        "register write rax 77",
        "register read rax",
        "watchpoint set expression -w write -s 8 -- $rsp-8",
        "continue",
        "watchpoint delete -f",
        "breakpoint delete -f",
        "process plugin packet monitor uklscope p 6*7",
        "process plugin packet monitor uklscope si",
        "process detach",
    ]);
    has(
        &text,
        &[
            "ksys_write",
            "stop reason = breakpoint 1.1",
            "do_syscall_64",
            "stop reason = instruction step into",
            ") r-x .text",
            "rax = 0x000000000000004d",
            "stop reason = watchpoint 1",
            "lldb does not know that the target has moved",
            "detached",
        ],
    );
}

/// What follows another read is answered without gdbstub, and as it answers.
#[test]
#[ignore = "boots an image"]
fn reads_that_follow_one_another_are_told_as_the_first() {
    let served = Served::at_main("syscalls", Mode::Ukl, 2);
    let mut client = Raw::joined(&served.socket);
    let kernel = 0xffff_ffff_8100_0000_u64;
    let direct = 0xffff_8880_0010_0000_u64;
    let nothing = 0x0000_1234_5678_9000_u64;
    for thread in [1, 2] {
        let mut asked = Vec::new();
        for at in [kernel, direct + 1, nothing, kernel + 0xfff] {
            for len in [0, 1, 7, 0x7ff, 0x1800] {
                asked.push(format!("m{at:x},{len:x}"));
            }
        }
        asked.push("m,".to_owned());
        asked.push(format!("m{kernel:x},40000"));
        // Alone: each behind a choice of the thread.
        let alone: Vec<String> = asked
            .iter()
            .map(|read| {
                assert_eq!(client.ask(&format!("Hgp1.{thread}")), "OK");
                client.ask(read)
            })
            .collect();
        let together: Vec<String> = asked.iter().map(|read| client.ask(read)).collect();
        assert_eq!(together, alone, "thread {thread}");
        assert_eq!(alone[3].len(), 2 * 0x7ff);
        assert!(alone[11].starts_with('E'), "{}", alone[11]);
    }
    // What was written is read.
    let at = format!("m{direct:x},4");
    let before = client.ask(&at);
    assert_eq!(client.ask(&at), before);
    let other = match before.as_str() {
        "01020304" => "04030201",
        _ => "01020304",
    };
    assert_eq!(client.ask(&format!("M{direct:x},4:{other}")), "OK");
    assert_eq!([client.ask(&at), client.ask(&at)], [other, other]);
    assert_eq!(client.ask(&format!("M{direct:x},4:{before}")), "OK");
}

#[test]
#[ignore = "boots an image"]
fn our_commands_answer_in_gdb() {
    let served = Served::at_main("syscalls", Mode::Ukl, 1);
    let text = served.gdb(&[
        "break ksys_write",
        "continue",
        "monitor uklscope why",
        "monitor uklscope bt",
        "monitor uklscope info breakpoints",
        "monitor uklscope cross back",
        "maintenance flush register-cache",
        "p $rax == 1",
        "monitor uklscope nonsense",
        "monitor uklscope",
        "monitor info status",
    ]);
    has(
        &text,
        &[
            "call: Yes(\n",
            "\"write\"",
            "symbol: Some(\n",
            "\"main\"",
            "owner: Some(\n",
            "\"gdb 1\"",
            "gdb does not know that the target has moved",
            "$1 = 1",
            "no command has this name",
            "carries out a command of uklscope",
            "VM status: paused",
        ],
    );
}

#[test]
#[ignore = "boots an image"]
fn a_running_target_is_interrupted_left_and_joined_again() {
    let served = Served::unattended(
        "syscalls",
        BootOptions {
            mode: Some(Mode::Ukl),
            calls: Some(100_000_000),
            ..BootOptions::default()
        },
    );
    let mut client = Raw::joined(&served.socket);
    client.send("vCont;c");
    std::thread::sleep(Duration::from_millis(100));
    client.write(&[0x03]);
    assert!(client.stop().starts_with("T02thread:p01.01;"), "SIGINT");
    // Left by gdb's rule the machine goes on; who joins stops it.
    assert_eq!(client.ask("D;1"), "OK");
    served.until_running();
    let text = served.gdb(&["p $rip != 0", "detach"]);
    has(&text, &["= 1", "detached"]);
    served.until_running();
    let text = served.gdb(&["p $rip != 0", "kill"]);
    has(&text, &["killed"]);
    let why = served.until("the machine ends", |event| match event {
        Event::Run(Run::Ended(why)) => Some(why),
        _ => None,
    });
    assert!(why.contains("gdb 3 has ended the machine"), "{why}");
}

#[test]
#[ignore = "boots an image"]
fn what_is_no_packet_or_no_request_is_answered_and_the_conversation_goes_on() {
    let served = Served::at_main("syscalls", Mode::Ukl, 1);
    let mut client = Raw::connect(&served.socket);
    // Damaged: asked for again. Not understood: said again.
    client.write(b"noise$qSupported#00");
    assert_eq!(client.byte(), b'-');
    assert!(client.ask("qSupported:multiprocess+").contains("swbreak+"));
    client.write(b"-");
    assert!(client.receive().contains("swbreak+"));
    drop(client);
    let mut client = Raw::joined(&served.socket);
    let rip = client.ask("p10");
    for malformed in [
        "m",
        "mzz,4",
        "m0,ffffffff",
        "Hg-1",
        "vCont;s",
        "vCont;x",
        "vCont;s:zz",
        "P10",
        "G00",
        "Z0,zz,1",
        "z0,1234,1",
        "Z2,ffffffff81000000,ffffff",
        "qRcmd,zz",
        "H",
        "vKill",
        "D;zz",
        "vCont;c:p1.7",
        "p9999",
        "Mffffffff81000000,2:1",
        "X1,2:",
    ] {
        let answer = client.ask(malformed);
        assert!(answer.starts_with('E'), "{malformed}: {answer}");
    }
    for unknown in ["", "vFoo", "Z9,1,1", "qC"] {
        assert_eq!(client.ask(unknown), "", "{unknown}");
    }
    assert_eq!(client.ask("p10"), rip, "nothing was changed");
    assert_eq!(client.ask("T5"), "E01");
    assert_eq!(client.ask("Hgp1.1"), "OK");
}

#[test]
#[ignore = "boots an image"]
fn a_long_read_is_one_packet_and_what_is_not_mapped_is_an_error() {
    let mut served = Served::at_main("syscalls", Mode::Ukl, 1);
    let Answer::Value(start) = served.debuggee.ask("p &_text") else {
        panic!("an address was asked for");
    };
    let start = start.bits.expect("it is a number");
    let mut client = Raw::joined(&served.socket);
    let text = client.ask(&format!("m{start:x},8000"));
    assert_eq!(text.len(), 0x1_0000);
    assert_eq!(client.ask("m10,8"), "E0e");
}
