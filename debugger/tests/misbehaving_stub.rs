//! Things that listen and are no good stub: each ends in one clear error, soon, and in no panic.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use debugger::addr::Addr;
use debugger::event::Vcpu;
use debugger::gdb::packet;
use debugger::session::target::{Endpoint, Target, TargetError, Trap};

const PATIENCE: Duration = Duration::from_millis(300);

/// What a stub says to each payload: everything it sends, framing included.
type Answer = fn(&str) -> Option<Vec<u8>>;

fn framed(payload: &str) -> Vec<u8> {
    let mut bytes = b"+".to_vec();
    bytes.extend(packet::encode(payload.as_bytes()));
    bytes
}

/// As QEMU 7.2 on a machine with one vCPU and two registers, stopped at 0x1000.
fn good(payload: &str) -> Option<Vec<u8>> {
    let reply = match payload {
        "?" => "T05thread:p01.01;",
        "vCont?" => "vCont;c;C;s;S",
        "qfThreadInfo" => "mp01.01",
        "qsThreadInfo" => "l",
        "qqemu.sstepbits" => "ENABLE=1,NOIRQ=2,NOTIMER=4",
        "qqemu.sstep" => "0x7",
        "g" => "00100000000000000020000000000000",
        "Qqemu.sstep=7" | "Hgp1.1" | "D;1" => "OK",
        _ if payload.starts_with("qSupported") => {
            "PacketSize=1000;qXfer:features:read+;vContSupported+;multiprocess+"
        }
        _ if payload.starts_with("qXfer") => {
            r#"l<target><reg name="rip" bitsize="64" type="code_ptr"/><reg name="rsp" bitsize="64"/></target>"#
        }
        _ if payload.starts_with('Z') || payload.starts_with('z') => "OK",
        _ if payload.starts_with('m') => "E14",
        _ => "",
    };
    Some(framed(reply))
}

/// Listens, and answers each request until the answer is `None`: then it hangs up.
fn stub(folder: &tempfile::TempDir, answer: Answer) -> Endpoint {
    slow_stub(folder, answer, |_| Duration::ZERO)
}

/// How long a stub thinks about each payload, once it has acknowledged it.
type Thinks = fn(&str) -> Duration;

fn slow_stub(folder: &tempfile::TempDir, answer: Answer, thinks: Thinks) -> Endpoint {
    let path = folder.path().join("stub");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        serve(stream, answer, thinks);
    });
    Endpoint::Unix(path)
}

fn serve(mut stream: UnixStream, answer: Answer, thinks: Thinks) {
    let mut decoder = packet::Decoder::default();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        for byte in &buffer[..read] {
            let Ok(Some(packet::Item::Packet(payload))) = decoder.push(*byte) else {
                continue;
            };
            let payload = String::from_utf8_lossy(&payload);
            let Some(bytes) = answer(&payload) else {
                return;
            };
            let (ack, reply) = bytes.split_at(bytes.len().min(1));
            if stream.write_all(ack).is_err() {
                return;
            }
            thread::sleep(thinks(&payload));
            if stream.write_all(reply).is_err() {
                return;
            }
        }
    }
}

/// Connects to a stub that fails on the way.
#[track_caller]
fn check(answer: Answer, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let error = Target::connect(&stub(&folder, answer), PATIENCE).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

/// Connects to one that fails later.
fn connect(folder: &tempfile::TempDir, answer: Answer) -> Target {
    Target::connect(&stub(folder, answer), Duration::from_secs(5)).unwrap()
}

#[test]
fn a_good_one_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let mut target = connect(&folder, good);
    assert_eq!(target.pc(Vcpu(0)).unwrap(), Addr(0x1000));
    assert_eq!(target.registers(Vcpu(0)).unwrap().sp(), Some(Addr(0x2000)));
    target.insert(Trap::soft(Addr(0x10))).unwrap();
    let error = target.read(Addr(0x18), &mut [0; 4]).unwrap_err();
    assert!(error.to_string().contains("at 0x18"), "{error}");
    target.detach().unwrap();
}

#[test]
fn another_service_is_shown_by_what_it_says() {
    check(
        |_| Some(b"220 mail.example ESMTP\r\n".to_vec()),
        "'220 mail.example ESMTP",
    );
    check(|_| Some(vec![b'x'; 10_000]), "it is no gdb stub");
}

#[test]
fn one_that_says_nothing_is_not_waited_for() {
    check(|_| Some(Vec::new()), "another debugger may be attached");
    check(
        |payload| match payload {
            "vCont?" => Some(Vec::new()),
            _ => good(payload),
        },
        "asking the stub 'vCont?': no answer",
    );
}

/// A busy host is no reason to give up: what counts is that it has taken the question.
#[test]
fn one_that_is_at_work_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let slow = slow_stub(&folder, good, |payload| match payload {
        "vCont?" => 2 * PATIENCE,
        _ => Duration::ZERO,
    });
    let mut target = Target::connect(&slow, PATIENCE).unwrap();
    assert_eq!(target.pc(Vcpu(0)).unwrap(), Addr(0x1000));
}

#[test]
fn one_that_hangs_up_is_told() {
    check(|_| None, "closed the connection");
    check(
        |payload| {
            if payload == "?" { None } else { good(payload) }
        },
        "asking the stub '?'",
    );
}

#[test]
fn half_an_answer_is_shown() {
    check(
        |_| Some(b"+$PacketSi".to_vec()),
        "only the beginning of one came, 'PacketSi'",
    );
}

#[test]
fn damaged_answers_are_given_up() {
    check(
        |_| Some(b"+$OK#00$OK#00$OK#00".to_vec()),
        "checksum is 00 where its bytes sum to 9a",
    );
}

#[test]
fn wrong_answers_are_quoted() {
    check(|_| Some(framed("E01")), "answers with error 01");
    check(
        |payload| match payload {
            "qfThreadInfo" => Some(framed("")),
            _ => good(payload),
        },
        "asking the stub 'qfThreadInfo': the stub does not know it",
    );
    check(
        |payload| match payload {
            "?" => Some(framed("hello")),
            _ => good(payload),
        },
        "answers 'hello', where a stop belongs",
    );
    check(
        |payload| match payload {
            _ if payload.starts_with("qXfer") => Some(framed("l<target>")),
            _ => good(payload),
        },
        "target.xml",
    );
    check(
        |payload| match payload {
            "qqemu.sstep" => Some(framed("0x1")),
            _ => good(payload),
        },
        "setting the step flags to 0x7: they read 0x1",
    );
    check(
        |payload| match payload {
            "qfThreadInfo" => Some(framed("l")),
            _ => good(payload),
        },
        "the target has 0",
    );
}

#[test]
fn one_that_dies_in_the_middle_of_a_batch_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut target = connect(&folder, |payload| match payload {
        "m800,400" => None,
        _ => good(payload),
    });
    let places: Vec<_> = (0..8).map(|i| (Addr(i * 0x400), 4)).collect();
    for read in target.read_many(&places) {
        let error = read.unwrap_err();
        assert!(matches!(error, TargetError::NotRead { .. }), "{error}");
    }
    let error = target.step(Vcpu(0)).unwrap_err();
    assert!(matches!(error, TargetError::Ended { .. }), "{error}");
}

#[test]
fn a_stub_without_qemus_own_packets_is_used_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut target = connect(&folder, |payload| {
        if payload.contains("qemu") {
            Some(framed(""))
        } else {
            good(payload)
        }
    });
    assert!(target.step_flags().yes().is_none());
    let error = target
        .read_physical(debugger::addr::PhysAddr(0), &mut [0])
        .unwrap_err();
    assert!(matches!(error, TargetError::NoPhysicalMode), "{error}");
}

#[test]
fn a_write_that_does_not_stay_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut target = connect(&folder, |payload| match payload {
        "M1000,2:aabb" | "P0=0500000000000000" => Some(framed("OK")),
        "m1000,2" => Some(framed("aacc")),
        "p0" => Some(framed("0400000000000000")),
        _ => good(payload),
    });
    let error = target.write(Addr(0x1000), &[0xaa, 0xbb]).unwrap_err();
    assert!(error.to_string().contains("at 0x1001"), "{error}");
    assert!(error.to_string().contains("0xcc"), "{error}");
    let error = target.set_register(Vcpu(0), "rip", 5).unwrap_err();
    assert!(error.to_string().contains("0x0000000000000004"), "{error}");
}

/// What is asked of a stub never says more than it announced, whatever it can be made to send.
#[test]
fn nothing_is_sent_that_was_not_announced() {
    let folder = tempfile::tempdir().unwrap();
    let mut target = connect(&folder, |payload| {
        let reverse = ["bs", "bc"].contains(&payload);
        let condition = payload.starts_with('Z') && payload.contains(';');
        let long = payload
            .strip_prefix('m')
            .and_then(|rest| rest.split_once(','))
            .is_some_and(|(_, len)| u64::from_str_radix(len, 16).unwrap() > 0x7ff);
        if reverse || condition || long || payload.starts_with("QStartNoAckMode") {
            return None;
        }
        match payload {
            _ if payload.starts_with("vCont;s") => Some(framed("T05thread:p01.01;")),
            _ => good(payload),
        }
    });
    target.insert(Trap::soft(Addr(0x1000))).unwrap();
    target.step(Vcpu(0)).unwrap();
    for len in [1, 0x7ff, 0x800, 0x10000] {
        let error = target.read(Addr(0), &mut vec![0; len]).unwrap_err();
        assert!(matches!(error, TargetError::Unreadable { .. }), "{error}");
        let _ = target.read_physical(debugger::addr::PhysAddr(0), &mut vec![0; len]);
    }
    target.pc(Vcpu(0)).unwrap();
}
