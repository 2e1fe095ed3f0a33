//! Clients that are interrupted, killed, that leave, come again, crash, or may not come in: what becomes of
//! the target and of the others.

mod debuggee;
mod peers;

use std::time::{Duration, Instant};

use debugger::crossing::Mode;
use debugger::event::{Event, Run};
use debugger::session::BootOptions;
use peers::{Raw, Served, has};

/// Far beyond what a server needs to see that a client has hung up.
const NOTICED: Duration = Duration::from_secs(60);

/// It calls `getppid` for hours, and nobody but those who join is at it.
fn endless() -> Served {
    let options = BootOptions {
        mode: Some(Mode::Ukl),
        calls: Some(100_000_000),
        ..BootOptions::default()
    };
    Served::unattended("syscalls", options)
}

fn ended(served: &Served) -> String {
    served.until("the machine ends", |event| match event {
        Event::Run(Run::Ended(why)) => Some(why),
        _ => None,
    })
}

#[test]
#[ignore = "boots an image"]
fn lldb_is_interrupted_reads_watches_leaves_comes_again_and_kills() {
    let served = endless();
    let lldb = served.start_lldb(&[
        "continue",
        "register read rip cr3 xmm0",
        "expression unsigned long $was = $rbx",
        "register write rbx 77",
        "register read rbx",
        "register write rbx `$was`",
        "memory read -s8 -fx -c2 $rsp",
        "memory write -s1 `$rsp-64` 0x5a",
        "memory read -s1 -fx -c1 `$rsp-64`",
        "thread list",
        "detach",
    ]);
    served.until_running();
    // Who joins stops it for all.
    drop(Raw::joined(&served.socket));
    let text = peers::said(lldb, "lldb");
    has(
        &text,
        &[
            "stop reason = signal SIGINT",
            "rip = 0x",
            "cr3 = 0x",
            "xmm0 = {0x",
            "rbx = 0x000000000000004d",
            "0x",
            ": 0x5a",
            "* thread #1",
            "detached",
        ],
    );
    // Left alone the machine goes on; lldb comes again, watches, and ends it.
    served.until_running();
    let text = served.lldb(&[
        "breakpoint set -n __x64_sys_getppid",
        "continue",
        "breakpoint delete -f",
        "watchpoint set expression -w write -s 8 -- $rsp-8",
        "continue",
        "watchpoint list",
        "watchpoint delete -f",
        "process kill",
    ]);
    has(
        &text,
        &[
            "stop reason = breakpoint 1.1",
            "stop reason = watchpoint 1",
            "new value: ",
            "exited with status = 9",
        ],
    );
    let why = ended(&served);
    assert!(why.contains("has ended the machine"), "{why}");
}

#[test]
#[ignore = "boots an image"]
fn gdb_that_crashes_leaves_nothing_and_another_joins() {
    let served = endless();
    let mut gdb = served.start_gdb(&["break start_kernel", "watch jiffies_64 if 0", "continue"]);
    served.until_running();
    gdb.kill().expect("it runs");
    peers::said(gdb, "gdb");
    served.until_alone();
    // One that is gone in the middle of a packet, and one in the middle of an answer.
    Raw::joined(&served.socket).write(b"$mffffffff81000000,4");
    served.until_alone();
    Raw::joined(&served.socket).send("mffffffff81000000,10000");
    served.until_alone();
    let text = served.gdb(&[
        "monitor uklscope info breakpoints",
        "break __x64_sys_getppid",
        "continue",
        "detach",
    ]);
    // What a monitor command says goes another way than the rest.
    has(&text, &["Breakpoints(\n    [],"]);
    has(&text, &["Breakpoint 1, ", "detached"]);
}

#[test]
#[ignore = "boots an image"]
fn the_machine_is_ended_by_the_last_client_alone() {
    let served = endless();
    let mut first = Raw::joined(&served.socket);
    let mut second = Raw::joined(&served.socket);
    while served.joined() != ["client 1", "client 2"] {}
    assert_eq!(first.ask("vKill;1"), "E0d", "another is at it");
    assert_eq!(second.ask("D;1"), "OK");
    while served.joined() != ["client 1"] {}
    assert_eq!(first.ask("vKill;1"), "OK");
    let why = ended(&served);
    assert!(why.contains("client 1 has ended the machine"), "{why}");
}

#[test]
#[ignore = "boots an image"]
fn a_bare_connection_that_sends_rubbish_moves_nothing_and_is_in_nobodys_way() {
    let served = Served::at_main("hello", Mode::Ukl, 1);
    let (_server, port) = served.tcp("127.0.0.1:0");
    let mut bare = Raw::connect_tcp(port);
    bare.write(b"GET / HTTP/1.1\r\nHost: box\r\n\r\n");
    bare.write(&[3, b'-', b'+', 0, 255]);
    // A packet in its form, of another checksum; one that is none; and the beginnings of many.
    bare.write(b"$vCont;c#00");
    assert_eq!(bare.byte(), b'-');
    bare.write(b"$D#zz");
    assert_eq!(bare.byte(), b'-');
    bare.write(&[b'$'; 9000]);
    let text = served.gdb(&["p $pc == main", "stepi", "detach"]);
    has(&text, &["$1 = 1", "detached"]);
    // It is heard when it says something after all.
    assert!(bare.ask("?").starts_with('T'));
    assert_eq!(bare.ask("nonsense"), "");
}

#[test]
#[ignore = "boots an image"]
fn where_others_can_connect_a_second_client_needs_the_token() {
    let served = Served::at_main("syscalls", Mode::Ukl, 1);
    let (server, port) = served.tcp("0.0.0.0:0");
    let token = server.token().expect("others can connect");
    let hello = "qSupported:multiprocess+";
    let mut first = Raw::connect_tcp(port);
    assert!(first.ask(hello).contains("PacketSize"));
    for said in [String::new(), "token 00\n".to_owned(), format!("{token}\n")] {
        let mut second = Raw::connect_tcp(port);
        second.write(said.as_bytes());
        assert_eq!(second.ask(hello), "E0d", "{said}");
    }
    let mut second = Raw::connect_tcp(port);
    second.write(format!("token {token}\n").as_bytes());
    assert!(second.ask(hello).contains("PacketSize"));
    // gdb, through a program that says it first.
    let connect = format!(
        "| exec 3<>/dev/tcp/127.0.0.1/{port}; echo token {token} >&3; cat <&3 & exec cat >&3"
    );
    let text = served.gdb_at(&connect, &["p $pc == main", "detach"]);
    has(&text, &["$1 = 1", "detached"]);
    // With nobody inside the next is the first, once the others' hanging up is noticed.
    drop((first, second));
    let end = Instant::now() + NOTICED;
    while !Raw::connect_tcp(port).ask(hello).contains("PacketSize") {
        assert!(Instant::now() < end, "nobody is let in any more");
        std::thread::sleep(Duration::from_millis(10));
    }
}
