//! `uklscope dap` on machines that an editor does not boot itself: a recorded run, which goes back, and one
//! that runs behind somebody's stub.

#[expect(dead_code, reason = "other tests of it need the rest")]
mod dap;

use std::path::Path;
use std::time::Duration;

use debugger::crossing::Mode;
use debugger::qemu::arguments::Machine;
use debugger::session::process::Qemu;
use debugger::session::replay::{RecordOptions, record};
use debugger::session::store;
use serde_json::{Value, json};

use dap::Editor;

/// The frames of the first thread.
fn frames(editor: &mut Editor) -> Vec<Value> {
    let body = editor.ask("stackTrace", json!({"threadId": 1}));
    body["stackFrames"].as_array().expect("frames").clone()
}

fn name(frame: &Value) -> &str {
    frame["name"].as_str().expect("a name")
}

/// Moves, and tells why it stands.
fn moved(editor: &mut Editor, request: &str, arguments: Value) -> Value {
    editor.ask(request, arguments);
    editor.event("stopped")
}

/// How many instructions were executed since the machine's reset.
fn position(editor: &mut Editor) -> u64 {
    let marks = editor.evaluate("marks", "repl", &Value::Null);
    let text = marks["result"].as_str().expect("a text");
    let at = text.split("position ").nth(1).unwrap_or_default();
    let digits = at.chars().take_while(|c| c.is_ascii_digit() || *c == ',');
    let digits: String = digits.filter(char::is_ascii_digit).collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no position in {text}"))
}

fn recorded(folder: &Path) {
    let image = store::image("syscalls").unwrap_or_else(|error| panic!("{error}"));
    let options = RecordOptions {
        mode: Some(Mode::Ukl),
        calls: Some(3),
        ..RecordOptions::default()
    };
    record(
        &image,
        &options,
        folder,
        &mut |_| (),
        &mut || false,
        &mut |_| {},
    )
    .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
#[ignore = "boots an image"]
fn an_editor_goes_back_in_a_recorded_run() {
    let root = tempfile::tempdir().expect("a folder");
    let run = root.path().join("run");
    recorded(&run);
    let mut editor = Editor::start();
    let able = editor.ask("initialize", json!({"supportsProgressReporting": true}));
    assert_eq!(able["supportsStepBack"], Value::Null, "of a replay alone");
    editor.launch(json!({"replay": run}));
    let able = editor.event("capabilities");
    assert_eq!(able["capabilities"]["supportsStepBack"], true);
    let began = editor.event("progressStart");
    assert_eq!(began["cancellable"], false, "{began}");
    assert_eq!(
        editor.event("progressEnd")["progressId"],
        began["progressId"]
    );
    let set = editor.ask(
        "setFunctionBreakpoints",
        json!({"breakpoints": [{"name": "ksys_write", "condition": "count == 1"}]}),
    );
    assert_eq!(set["breakpoints"][0]["verified"], true, "{set}");
    editor.ask("configurationDone", json!({}));
    editor.event("stopped");

    // An instruction back and on again is where it was.
    let there = moved(&mut editor, "continue", json!({"threadId": 1}));
    assert_eq!(there["reason"], "function breakpoint", "{there}");
    let first = position(&mut editor);
    let by_instruction = json!({"threadId": 1, "granularity": "instruction"});
    let back = moved(&mut editor, "stepBack", by_instruction.clone());
    assert_eq!(back["reason"], "step", "{back}");
    assert_eq!(position(&mut editor), first - 1);
    assert_ne!(name(&frames(&mut editor)[0]), "kernel:fs!ksys_write");
    moved(&mut editor, "stepIn", by_instruction);
    assert_eq!(position(&mut editor), first);
    assert_eq!(name(&frames(&mut editor)[0]), "kernel:fs!ksys_write");

    // The second call, back to the first, and out to the application that made it.
    moved(&mut editor, "continue", json!({"threadId": 1}));
    assert!(position(&mut editor) > first);
    let there = moved(&mut editor, "reverseContinue", json!({"threadId": 1}));
    assert_eq!(there["reason"], "function breakpoint", "{there}");
    assert_eq!(position(&mut editor), first);
    moved(&mut editor, "stepIn", json!({"threadId": 1, "targetId": 2}));
    let stack = frames(&mut editor);
    let is_app =
        |frame: &Value| name(frame).starts_with("app!") || name(frame).starts_with("libc!");
    assert!(is_app(&stack[0]), "{stack:?}");
    let out = position(&mut editor);
    assert!(out > first, "the call is executed by then");
    let crossed = editor.evaluate("reverse-cross", "repl", &Value::Null);
    editor.event("stopped");
    assert!(position(&mut editor) < out, "{crossed}");

    // What was, was.
    let stack = frames(&mut editor);
    let at = &stack[0]["instructionPointerReference"];
    let read = editor.ask("readMemory", json!({"memoryReference": at, "count": 4}));
    let again = json!({"memoryReference": at, "data": read["data"]});
    let refused = editor.refused("writeMemory", again);
    assert!(
        refused.contains("replay") || refused.contains("record"),
        "{refused}"
    );
    let refused = editor.refused("exceptionInfo", json!({"threadId": 1}));
    assert!(refused.contains("this stop is none"), "{refused}");

    // To the machine's reset, beyond which nothing is.
    editor.ask("setFunctionBreakpoints", json!({"breakpoints": []}));
    let begins = moved(&mut editor, "reverseContinue", json!({"threadId": 1}));
    assert_eq!(begins["description"], "the recording begins here");
    assert_eq!(position(&mut editor), 0);
    editor.ask("disconnect", json!({}));
    assert!(editor.has_ended());
}

/// A machine of somebody else's, which runs the application.
fn running() -> Qemu {
    let image = store::image("syscalls").unwrap_or_else(|error| panic!("{error}"));
    let mut machine = Machine::of(&image, Mode::Ukl, Some(100_000_000));
    machine.stopped_at_start = false;
    let qemu = Qemu::start(&machine).expect("QEMU starts");
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("mode ukl") {
        let more = qemu.serial().recv_timeout(Duration::from_secs(90));
        seen.extend(more.expect("the application tells its mode"));
    }
    qemu
}

#[test]
#[ignore = "boots an image"]
fn an_editor_joins_a_machine_that_runs_and_lets_it_go() {
    let qemu = running();
    let address = qemu.gdb().expect("it has a stub").to_string();
    let image = store::image("syscalls").unwrap_or_else(|error| panic!("{error}"));
    let attach = json!({"address": address, "vmlinux": image.vmlinux()});
    let mut editor = Editor::start();
    editor.ask("initialize", json!({"supportsProgressReporting": true}));
    editor.ask("attach", attach.clone());
    editor.event("initialized");
    let began = editor.event("progressStart");
    assert_eq!(
        editor.event("progressEnd")["progressId"],
        began["progressId"]
    );

    // A box that is ticked is an exception, and says which crossing it is.
    let getppid = json!([{"filterId": "syscall", "condition": "call=getppid"}]);
    let set = editor.ask(
        "setExceptionBreakpoints",
        json!({"filters": [], "filterOptions": getppid}),
    );
    assert_eq!(set["breakpoints"][0]["verified"], true, "{set}");
    editor.ask("configurationDone", json!({}));
    assert_eq!(editor.event("stopped")["reason"], "entry");
    let there = moved(&mut editor, "continue", json!({"threadId": 1}));
    assert_eq!(there["reason"], "exception", "{there}");
    let info = editor.ask("exceptionInfo", json!({"threadId": 1}));
    assert_eq!(info["exceptionId"], "syscall", "{info}");
    let told = info["description"].as_str().expect("a description");
    assert!(told.contains("getppid"), "{info}");
    let stack = info["details"]["stackTrace"].as_str().expect("a stack");
    assert!(stack.contains("bench_getppid"), "{info}");
    let other = editor.refused("exceptionInfo", json!({"threadId": 2}));
    assert!(other.contains("ask of thread 1"), "{other}");
    editor.ask("setExceptionBreakpoints", json!({"filters": []}));

    // Bytes below the stack are written, and read as they were written.
    let sp = editor.evaluate("(unsigned long)$rsp - 128", "watch", &Value::Null);
    let digits = sp["result"].as_str().expect("a number");
    let below = format!("{:#x}", digits.parse::<u64>().expect(digits));
    for (data, length) in [("AAECAwQFBgcICQo=", 11), ("/////////w==", 7), ("", 0)] {
        let wrote = editor.ask(
            "writeMemory",
            json!({"memoryReference": below, "data": data}),
        );
        assert_eq!(wrote["bytesWritten"], length, "{wrote}");
        let read = editor.ask(
            "readMemory",
            json!({"memoryReference": below, "count": length}),
        );
        assert_eq!(read["data"], data);
    }
    let refused = editor.refused(
        "writeMemory",
        json!({"memoryReference": "0x10", "data": "AA=="}),
    );
    assert!(
        refused.contains("0x10") || refused.contains("10"),
        "{refused}"
    );
    let refused = editor.refused(
        "writeMemory",
        json!({"memoryReference": below, "data": "?"}),
    );
    assert!(refused.contains("base64"), "{refused}");

    // What takes long is shown, and ends where it is when the editor wishes it.
    let steps = json!({"expression": "stepi 100000000", "context": "repl"});
    let id = editor.begin("evaluate", steps);
    let began = editor.event("progressStart");
    assert_eq!(began["cancellable"], true, "{began}");
    let wrong = editor.refused("cancel", json!({"progressId": "none"}));
    assert!(wrong.contains("under way"), "{wrong}");
    editor.ask("cancel", json!({"progressId": began["progressId"]}));
    editor.event("progressEnd");
    assert_eq!(editor.event("stopped")["reason"], "pause");
    assert_eq!(editor.ending(id)["success"], true);

    // It runs on without us, and can be joined again.
    editor.ask("disconnect", json!({}));
    assert!(editor.has_ended());
    let mut editor = Editor::start();
    editor.initialize();
    editor.ask("attach", attach);
    editor.event("initialized");
    let list = editor.evaluate("info breakpoints", "repl", &Value::Null);
    assert!(
        !list["result"]
            .as_str()
            .unwrap_or("planted")
            .contains("planted"),
        "{list}"
    );
    editor.ask("disconnect", json!({}));
}
