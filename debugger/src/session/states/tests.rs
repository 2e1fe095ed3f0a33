use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::{Positions, StatesOptions, Stub};
use crate::command::parse;
use crate::crossing::CrossingKind;
use crate::event::{Answer, Event, Failure, Run, Stop, StopReason};
use crate::gdb::hex;
use crate::gdb::packet;
use crate::session::{Handle, Session, trace_file};
use crate::trace::recording::{Head, Machine, Memory, Other, Passed, Side, State, Writer};
use crate::trace::report::Report;

const XML: &str = r#"<target>
    <reg name="rsp" bitsize="64" type="data_ptr"/>
    <reg name="rip" bitsize="64" type="code_ptr"/>
</target>"#;

const STACK: u64 = 0x7000;

/// Entry and exit of three crossings. The program counters are 0x100, 0x200, 0x101, 0x201, 0x102, 0x202.
fn state(number: u64) -> State {
    let exits = number % 2 == 1;
    let pc = 0x100 * (number % 2 + 1) + number / 2;
    let mut memory = Memory::default();
    memory.put(STACK, &[u8::try_from(number).unwrap(); 64]);
    State {
        passed: Passed {
            crossing: number / 2 + 1,
            side: if exits { Side::Exit } else { Side::Entry },
            kind: CrossingKind::Syscall,
            call: "write".to_owned(),
        },
        vcpu: 0,
        others: Vec::new(),
        // The stub did not have the upper half of the stack pointer.
        registers: STACK.to_le_bytes()[..4]
            .iter()
            .copied()
            .map(Some)
            .chain([None; 4])
            .chain(pc.to_le_bytes().map(Some))
            .collect(),
        memory,
    }
}

fn positions(of: fn(u64) -> State) -> Positions {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), of);
    Positions::open(&path, trace_file::open(&path).unwrap(), None).unwrap()
}

fn written(folder: &Path, of: fn(u64) -> State) -> PathBuf {
    let path = folder.join("a.uklrec");
    let mut writer = Writer::begin(Vec::new(), &Head::default()).unwrap();
    let mut memory = Memory::default();
    memory.put(0x100, &[0x90; 64]);
    let machine = Machine {
        documents: [("target.xml".to_owned(), XML.to_owned())].into(),
        of_file: vec![(0x4000, 0x1000)],
        memory,
        ..Machine::default()
    };
    writer.machine(&machine).unwrap();
    (0..6).for_each(|number| writer.state(of(number)).unwrap());
    let report: Report = serde_json::from_str(
        r#"{"schema": 1, "mode": "ukl", "lost": 0, "insns": 0, "events": 0, "engine": "stub", "classes": [], "notes": []}"#,
    )
    .unwrap();
    writer.report(&report).unwrap();
    std::fs::write(&path, writer.finish().unwrap()).unwrap();
    path
}

fn stub() -> Stub {
    Stub::new(positions(state))
}

/// The same by two vCPUs in turn. The other one stands at 0xa0000 and the state's number.
fn by_two(number: u64) -> State {
    let other = Other {
        vcpu: u32::from(number.is_multiple_of(2)),
        registers: [STACK, 0xa_0000 + number]
            .iter()
            .flat_map(|register| register.to_le_bytes().map(Some))
            .collect(),
    };
    State {
        vcpu: 1 - other.vcpu,
        others: vec![other],
        ..state(number)
    }
}

fn ask(stub: &mut Stub, request: &str) -> Vec<String> {
    stub.send(&packet::encode(request.as_bytes()));
    let (items, _) = packet::decode_all(&stub.receive(std::time::Duration::ZERO));
    let text = |item| match item {
        packet::Item::Packet(payload) => Some(String::from_utf8(payload).unwrap()),
        _ => None,
    };
    items.into_iter().filter_map(text).collect()
}

#[track_caller]
fn check(stub: &mut Stub, request: &str, expected: &str) {
    assert_eq!(ask(stub, request), [expected], "{request}");
}

fn monitor(stub: &mut Stub, command: &str) -> String {
    let replies = ask(
        stub,
        &format!(
            "qRcmd,{}",
            String::from_utf8(hex::encode(command.as_bytes())).unwrap()
        ),
    );
    assert_eq!(replies.last().map(String::as_str), Some("OK"));
    let output = replies
        .iter()
        .filter_map(|reply| reply.strip_prefix('O').filter(|rest| *rest != "K"));
    output
        .map(|digits| String::from_utf8(hex::decode(digits.as_bytes()).unwrap()).unwrap())
        .collect()
}

const STOP: &str = "T05thread:p01.01;";
const END: &str = "T02thread:p01.01;";

#[test]
fn what_is_not_held_is_unavailable_and_never_zero() {
    let mut stub = stub();
    check(&mut stub, "g", "00700000xxxxxxxx0001000000000000");
    check(&mut stub, "p0", "00700000xxxxxxxx");
    check(&mut stub, "p1", "0001000000000000");
    check(&mut stub, "p9", "");
    check(&mut stub, "m7000,2", "0000");
    check(&mut stub, "m703e,2", "0000");
    // One byte beyond; below; and what only vmlinux could tell, which is not here.
    for request in ["m703f,2", "m6fff,2", "m4000,4", "mffffffffffffffff,2"] {
        check(&mut stub, request, "E.the recording does not hold it");
    }
    // What holds at every state.
    check(&mut stub, "m100,4", "90909090");
    check(&mut stub, "m13e,4", "E.the recording does not hold it");
}

#[test]
fn each_state_has_its_own_registers_and_memory() {
    let mut stub = stub();
    for number in 1..6 {
        check(&mut stub, "vCont;s:p1.1", STOP);
        check(&mut stub, "m7000,1", &format!("{number:02x}"));
        assert_eq!(stub.passed(), Some(state(number).passed));
    }
    // There is none behind the last.
    check(&mut stub, "s", STOP);
    check(&mut stub, "m7000,1", "05");
}

#[test]
fn it_goes_on_to_a_trap_a_position_or_the_end() {
    let mut stub = stub();
    check(&mut stub, "Z0,101,1", "OK");
    check(&mut stub, "vCont;c", STOP);
    check(&mut stub, "p1", "0101000000000000");
    // As QEMU's, it hits it again without a step.
    check(&mut stub, "vCont;c", STOP);
    check(&mut stub, "vCont;s:p1.1", STOP);
    assert_eq!(monitor(&mut stub, "replay_break 4"), "");
    check(&mut stub, "vCont;c", END);
    assert_eq!(
        monitor(&mut stub, "info replay"),
        "Replaying states: instruction count = 4\n"
    );
    assert_eq!(monitor(&mut stub, "replay_delete_break"), "");
    check(&mut stub, "c", END);
    check(&mut stub, "m7000,1", "05");
    assert_eq!(monitor(&mut stub, "loadvm at-2"), "");
    check(&mut stub, "c", STOP);
    check(&mut stub, "z0,101,1", "OK");
    assert_eq!(monitor(&mut stub, "loadvm start"), "");
    check(&mut stub, "c", END);
}

#[test]
fn each_vcpu_has_its_own_registers() {
    let mut stub = Stub::new(positions(by_two));
    check(&mut stub, "qfThreadInfo", "mp01.01,p01.02");
    check(&mut stub, "p1", "0001000000000000");
    check(&mut stub, "Hgp1.2", "OK");
    check(&mut stub, "p1", "00000a0000000000");
    // The one that crosses is the one that stops, and is asked from then on.
    check(&mut stub, "vCont;s:p1.1", "T05thread:p01.02;");
    check(&mut stub, "p1", "0002000000000000");
    check(&mut stub, "Hgp1.1", "OK");
    check(&mut stub, "p1", "01000a0000000000");
    check(&mut stub, "Hgp1.3", "OK");
    check(&mut stub, "g", "E.the recording does not hold it");
}

#[test]
fn nothing_can_be_changed_or_watched() {
    let mut stub = stub();
    for request in ["M7000,1:00", "P1=0000000000000000", "G00"] {
        check(&mut stub, request, "E.a recording cannot be changed");
    }
    for request in ["Z2,7000,8", "Z3,7000,8", "Z4,7000,8"] {
        let said = ask(&mut stub, request).concat();
        assert!(said.starts_with("E."), "{said}");
    }
}

#[test]
fn the_description_comes_in_pieces() {
    let mut stub = stub();
    let mut text = String::new();
    loop {
        let part = ask(
            &mut stub,
            &format!("qXfer:features:read:target.xml:{:x},11", text.len()),
        )
        .concat();
        let (letter, rest) = part.split_at(1);
        text.push_str(rest);
        if letter == "l" {
            break;
        }
    }
    assert_eq!(text, XML);
    check(&mut stub, "qXfer:features:read:other.xml:0,11", "E00");
}

/// As [`state`], with the entries in the kernel's half.
fn into_the_kernel(number: u64) -> State {
    let mut state = state(number);
    if state.passed.side == Side::Entry {
        let pc = 0xffff_ffff_8100_0000 + number;
        state.registers[8..].copy_from_slice(&pc.to_le_bytes().map(Some));
    }
    state
}

fn event(session: &Handle) -> Event {
    session
        .events
        .recv_timeout(Duration::from_secs(60))
        .unwrap()
}

fn opened(folder: &Path) -> Handle {
    let path = written(folder, into_the_kernel);
    let session = Session::states(path, StatesOptions::default());
    while !matches!(event(&session), Event::Run(Run::Stopped(_))) {}
    session
}

fn answer(session: &mut Handle, line: &str) -> Result<Answer, Failure> {
    let id = session.send(parse(line).unwrap());
    loop {
        match event(session) {
            Event::Answer(answered, answer) if answered == id => return answer,
            _ => {}
        }
    }
}

#[track_caller]
fn stop(session: &mut Handle, line: &str) -> Stop {
    match answer(session, line) {
        Ok(Answer::Stopped(stop)) => stop,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn until_and_finish_go_to_the_next_state_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = opened(folder.path());
    for (line, to) in [
        ("until kernel", 0),
        ("until app", 1),
        ("until kernel", 2),
        ("finish", 3),
        ("until *0xffffffff81000004", 4),
        ("until app", 5),
    ] {
        assert_eq!(stop(&mut session, line).position, Some(to), "{line}");
    }
    assert_eq!(stop(&mut session, "until kernel").reason, StopReason::End);
    // What lies between is not there to be run to.
    for line in ["finish", "until *0xffffffff81000001", "until kernel:fs"] {
        let error = answer(&mut session, line).unwrap_err().to_string();
        assert!(error.contains("nothing in between"), "{line}: {error}");
    }
}

#[test]
fn a_breakpoint_at_no_state_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = opened(folder.path());
    for (line, expected) in [("b *0xffffffff81000002", false), ("b *0x1234", true)] {
        let Ok(Answer::Breakpoints(list)) = answer(&mut session, line) else {
            panic!("{line}");
        };
        let note = list[0].note.clone().unwrap_or_default();
        assert_eq!(note.contains("at no place of this one"), expected, "{note}");
    }
}

#[test]
fn a_breakpoint_of_a_vcpu_that_is_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = opened(folder.path());
    assert!(answer(&mut session, "b *0xffffffff81000002 cpu 0").is_ok());
    for line in [
        "b *0xffffffff81000002 cpu 9",
        "log *0xffffffff81000002 cpu 1, here",
    ] {
        let error = answer(&mut session, line).unwrap_err().to_string();
        assert!(error.contains("there is one, cpu0"), "{line}: {error}");
    }
}

/// What fails before the machine has moved leaves the stop as it was, and makes no other.
#[test]
fn what_fails_at_once_keeps_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = opened(folder.path());
    answer(&mut session, "b *0xffffffff81000002").unwrap();
    let there = stop(&mut session, "c");
    assert_eq!(there.reason, StopReason::Breakpoint { number: 1 });
    for line in [
        "until nosuch",
        "advance nosuch.c:3",
        "rfin",
        "written nosuch",
    ] {
        let id = session.send(parse(line).unwrap());
        let mut stands = None;
        loop {
            match event(&session) {
                Event::Run(Run::Stopped(stop)) => stands = Some(stop),
                Event::Answer(answered, answer) if answered == id => {
                    assert!(answer.is_err(), "{line}");
                    break;
                }
                _ => {}
            }
        }
        assert_eq!(stands.as_ref(), Some(&there), "{line}");
    }
    let Ok(Answer::Stops(stops)) = answer(&mut session, "stops") else {
        panic!("stops");
    };
    let reasons: Vec<_> = stops.list.into_iter().map(|one| one.stop.reason).collect();
    assert_eq!(reasons, [StopReason::Beginning, there.reason]);
}

proptest! {
    #[test]
    fn any_request_is_answered_once(request in "\\PC{0,30}", hard in "[a-zA-Z?]{1,3}[0-9a-f,:;]{0,40}") {
        let mut stub = stub();
        for request in [request, hard] {
            stub.send(&packet::encode(request.as_bytes()));
            let received = stub.receive(std::time::Duration::ZERO);
            let (items, _) = packet::decode_all(&received);
            let packets = items.iter().filter(|item| matches!(item, packet::Item::Packet(_)));
            let count = packets.count();
            prop_assert!(count == 1 || request == "k" || request.starts_with("qRcmd,"), "{}", request);
        }
    }
}
