//! What can be asked of a vmlinux alone, without a machine.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::Path;
use std::time::{Duration, Instant};

use debugger::command::parse;
use debugger::event::{Answer, Event, Failure, Run};
use debugger::session::{Handle, Session};

fn open() -> Handle {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/two_worlds.elf");
    Session::inspect(file)
}

fn ask(handle: &mut Handle, line: &str) -> Result<Answer, Failure> {
    let id = handle.send(parse(line).unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Event::Answer(of, answer) = handle.events.recv_deadline(deadline).unwrap()
            && of == id
        {
            return answer;
        }
    }
}

fn lines(handle: &mut Handle, line: &str) -> Vec<String> {
    match ask(handle, line) {
        Ok(Answer::Text(lines)) => lines,
        Ok(Answer::Done(sentence)) => vec![sentence],
        Ok(Answer::Value(value)) => vec![value.text],
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn types_are_written_out() {
    let mut handle = open();
    let plain = lines(&mut handle, "ptype struct point");
    assert_eq!(plain.first().unwrap(), "struct point {");
    assert_eq!(plain.last().unwrap(), "}");
    let placed = lines(&mut handle, "ptype/o struct point");
    assert!(placed[1].starts_with("/*       0 |"), "{placed:?}");
    assert!(placed.iter().any(|line| line.contains("bytes in all")));
    let declared = lines(&mut handle, "ptype ksys_write");
    assert!(declared[0].contains("ksys_write("), "{declared:?}");
    let functions = lines(&mut handle, "info functions ksys_");
    assert_eq!(functions[0], "File fs/read_write.c:");
    assert!(functions[1].ends_with(");"), "{functions:?}");
    assert!(lines(&mut handle, "info types poin").contains(&"struct point".to_owned()));
}

#[test]
fn code_lines_and_sizes_need_no_machine() {
    let mut handle = open();
    let line = lines(&mut handle, "info line ksys_write");
    assert!(line[0].contains("fs/read_write.c"), "{line:?}");
    let Ok(Answer::Disassembly(code)) = ask(&mut handle, "disas ksys_write") else {
        panic!("no code");
    };
    assert!(!code.is_empty() && code.iter().all(|line| !line.current));
    let size: u64 = lines(&mut handle, "p sizeof(struct point)")[0]
        .parse()
        .unwrap();
    assert!(size > 0);
    let next = format!("p/x (struct point *)0x1000 + 1 == 0x1000 + {size}");
    assert_eq!(lines(&mut handle, &next), ["0x1"]);
}

#[test]
fn members_are_completed_by_the_type_of_the_value() {
    let mut handle = open();
    let mut completed = |line: &str| lines(&mut handle, &format!("complete {line}"));
    let of = |value: &str| ["x", "flag", "name", "inner"].map(|name| format!("p {value}{name}"));
    assert_eq!(completed("p origin_point."), of("origin_point."));
    assert_eq!(completed("p 1+origin_point.fl"), ["p 1+origin_point.flag"]);
    assert_eq!(
        completed("display origin_point.inner.t"),
        ["display origin_point.inner.text"]
    );
    // It points at nothing, and its type is only declared where it stands.
    assert_eq!(completed("p pointed->"), of("pointed->"));
    assert_eq!(
        completed("b ksys_write if pointed->n"),
        ["b ksys_write if pointed->name"]
    );
    assert_eq!(completed("p ksys_wr"), ["p ksys_write"]);
    assert_eq!(completed("p origin_point.z"), [""; 0]);
    for (line, found) in [
        ("p nowhere->", "has no members"),
        ("p origin_point.x.", "has no members"),
        ("p nothing->", "no symbol or variable"),
        ("p (origin_point.x=1).", "it changes what it shows"),
    ] {
        let failure = ask(&mut handle, &format!("complete {line}")).unwrap_err();
        assert!(failure.to_string().contains(found), "{line}: {failure}");
    }
}

#[test]
fn what_needs_a_machine_says_so_and_the_session_goes_on() {
    let mut handle = open();
    for line in [
        "continue",
        "stepi",
        "bt",
        "info registers",
        "info threads",
        "p $rip",
        "why",
    ] {
        let failure = ask(&mut handle, line).unwrap_err().to_string();
        assert!(failure.contains("no machine runs"), "{line}: {failure}");
        assert!(failure.contains("attach to a stub"), "{line}: {failure}");
    }
    for (line, found) in [
        ("ptype struct nothing", "no type of this name"),
        ("ptype nothing", "named nothing"),
        ("info functions no_such_name", "there are none"),
        ("info line nothing.c:3", "a file of this name"),
        ("info line main.c:3000", "that line or one behind it"),
        ("disas nothing", "no symbol has this name"),
        ("p sizeof(struct nothing)", "not known"),
        ("x/4x 0x10", "vmlinux holds nothing there"),
    ] {
        let failure = ask(&mut handle, line).unwrap_err().to_string();
        assert!(failure.contains(found), "{line}: {failure}");
    }
    assert!(!lines(&mut handle, "info target").is_empty());
}

#[test]
fn a_file_that_is_no_vmlinux_ends_the_session_with_the_reason() {
    let handle = Session::inspect("/nonexistent/vmlinux".into());
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let event = handle.events.recv_deadline(deadline).unwrap();
        if let Event::Run(Run::Ended(why)) = event {
            assert!(why.contains("/nonexistent/vmlinux"), "{why}");
            return;
        }
    }
}
