//! `uklscope dap` as an editor uses it, on booted images.

#[expect(dead_code, reason = "other tests of it need the rest")]
mod dap;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use dap::Editor;

/// The number of the first line with this in it.
fn line_of(path: &Path, text: &str) -> u64 {
    let source = std::fs::read_to_string(path).expect("the demo's source");
    let at = source.lines().position(|line| line.contains(text));
    at.expect("the line") as u64 + 1
}

fn names(frames: &Value) -> Vec<&str> {
    let frames = frames["stackFrames"].as_array().expect("frames");
    frames
        .iter()
        .filter_map(|frame| frame["name"].as_str())
        .collect()
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let list = list.as_array().expect("a list");
    let found = list.iter().find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list:?}"))
}

/// How many machines run with this on their kernel's command line.
fn machines(with: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = processes.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
    let is_one = |line: &Vec<u8>| {
        let text = String::from_utf8_lossy(line);
        text.contains("qemu-system") && text.contains(with)
    };
    lines.filter(is_one).count()
}

#[test]
#[ignore = "boots an image"]
fn an_editor_follows_a_call_across_the_boundary_and_back() {
    let mut editor = Editor::start();
    let able = editor.initialize();
    assert_eq!(able["supportsStepInTargetsRequest"], true);
    let marker = format!("dap.test={}", std::process::id());
    editor.launch(json!({"image": "syscalls", "mode": "ukl", "append": marker}));
    assert_eq!(machines(&marker), 1);

    // A function of the kernel with a condition, and a line of the application.
    let set = editor.ask(
        "setFunctionBreakpoints",
        json!({
            "breakpoints": [{"name": "ksys_write", "condition": "count == 1"}],
        }),
    );
    assert_eq!(set["breakpoints"][0]["verified"], true, "{set}");
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demos/syscalls/main.c");
    let main = main.canonicalize().expect("the demo");
    let line = line_of(&main, "bad += getppid() != parent;");
    let set = editor.ask("setBreakpoints", json!({
        "source": {"path": main},
        "breakpoints": [{"line": line, "hitCondition": "3"}, {"line": line, "logMessage": "i is {i}"}],
    }));
    for one in 0..2 {
        assert_eq!(set["breakpoints"][one]["verified"], true, "{set}");
        assert_eq!(set["breakpoints"][one]["line"], line, "{set}");
    }
    let (by_hits, by_function) = (set["breakpoints"][0]["id"].clone(), 1);
    editor.ask("configurationDone", json!({}));
    let stopped = editor.event("stopped");
    assert_eq!(stopped["reason"], "entry");
    let threads = editor.ask("threads", json!({}));
    assert_eq!(threads["threads"][0]["id"], 1, "{threads}");

    let resumed = editor.ask("continue", json!({"threadId": 1}));
    assert_eq!(resumed["allThreadsContinued"], true);
    let stopped = editor.event("stopped");
    assert_eq!(stopped["reason"], "breakpoint");
    assert_eq!(stopped["hitBreakpointIds"], json!([by_hits]));
    assert!(editor.said("i is 1"), "{:?}", editor.output);
    assert!(!editor.said("i is 3"), "{:?}", editor.output);
    let frames = editor.ask("stackTrace", json!({"threadId": 1}));
    let is_main = |frame: &Value| {
        let path = frame["source"]["path"].as_str().unwrap_or_default();
        path.ends_with("demos/syscalls/main.c") && Path::new(path).is_file()
    };
    assert!(is_main(&frames["stackFrames"][0]), "{frames}");
    assert_eq!(frames["stackFrames"][0]["line"], line);
    let i = editor.evaluate("i", "watch", &frames["stackFrames"][0]["id"]);
    assert_eq!(i["result"], "2", "{i}");

    // An inlined function of a header is shown there, not where a copy of it lies.
    let both =
        json!([{"name": "ksys_write", "condition": "count == 1"}, {"name": "__do_sys_getppid"}]);
    let set = editor.ask("setFunctionBreakpoints", json!({"breakpoints": both}));
    assert_eq!(set["breakpoints"][0]["id"], by_function, "it stays");
    editor.ask("continue", json!({"threadId": 1}));
    editor.event("stopped");
    let frames = editor.ask("stackTrace", json!({"threadId": 1}));
    assert_eq!(names(&frames)[0], "kernel:core!get_current (inlined)");
    for frame in frames["stackFrames"].as_array().expect("frames") {
        let source = &frame["source"];
        if let (Some(path), Some(name)) = (source["path"].as_str(), source["name"].as_str()) {
            assert!(path.ends_with(&format!("/{name}")), "{frame}");
        }
    }
    let one = json!([{"name": "ksys_write", "condition": "count == 1"}]);
    editor.ask("setFunctionBreakpoints", json!({"breakpoints": one}));

    editor.ask(
        "setBreakpoints",
        json!({"source": {"path": main}, "breakpoints": []}),
    );
    editor.ask("continue", json!({"threadId": 1}));
    let stopped = editor.event("stopped");
    assert_eq!(stopped["reason"], "function breakpoint", "{stopped}");
    assert_eq!(stopped["hitBreakpointIds"], json!([by_function]));
    let frames = editor.ask(
        "stackTrace",
        json!({"threadId": 1, "startFrame": 0, "levels": 20}),
    );
    let found = names(&frames);
    assert_eq!(found[0], "kernel:fs!ksys_write");
    let ruler = found
        .iter()
        .position(|name| *name == "══ syscall write ══")
        .expect("a ruler");
    let app = found
        .iter()
        .position(|name| *name == "app!main")
        .expect("main");
    assert!(ruler < app, "{found:?}");
    assert_eq!(frames["stackFrames"][ruler]["presentationHint"], "label");
    assert!(is_main(&frames["stackFrames"][app]), "{frames}");
    let kernel = frames["stackFrames"][0]["source"]["path"]
        .as_str()
        .expect("a path");
    assert!(
        Path::new(kernel).is_file() && kernel.ends_with("fs/read_write.c"),
        "{kernel}"
    );

    // Values, by frame.
    let top = &frames["stackFrames"][0]["id"];
    let scopes = editor.ask("scopes", json!({"frameId": top}));
    let locals = editor.open(&named(&scopes["scopes"], "Locals")["variablesReference"]);
    assert_eq!(named(&locals, "count")["value"], "1");
    let registers = editor.open(&named(&scopes["scopes"], "Registers")["variablesReference"]);
    assert_eq!(named(&registers, "rdx")["evaluateName"], "$rdx");
    let crossing = editor.open(&named(&scopes["scopes"], "Crossing")["variablesReference"]);
    assert_eq!(named(&crossing, "call")["value"], "write");
    let changed = editor.ask(
        "setVariable",
        json!({
            "variablesReference": named(&scopes["scopes"], "Registers")["variablesReference"],
            "name": "r11", "value": "0x1234",
        }),
    );
    assert!(
        changed["value"]
            .as_str()
            .is_some_and(|value| value.contains("1234")),
        "{changed}"
    );
    let task = editor.evaluate("$_task", "hover", top);
    let members = editor.open(&task["variablesReference"]);
    assert!(
        named(&members, "comm")["value"]
            .as_str()
            .is_some_and(|comm| comm.contains("ukl"))
    );

    // A number that no row of the stack has, or of a vCPU that is not there.
    for number in [0_u32, 999, 1 << 20, u32::MAX] {
        let refused = editor.refused("scopes", json!({"frameId": number}));
        assert!(refused.contains("no frame of this stop"), "{refused}");
    }
    let typed = json!({"expression": "quit", "context": "repl", "frameId": top});
    let refused = editor.refused("evaluate", typed);
    assert!(refused.contains("Stop or Disconnect"), "{refused}");
    assert!(!refused.contains("expression"), "{refused}");

    // What may follow an arrow; the frame's variables; what is no command is an expression.
    for (text, label) in [
        ("print $_task->com", "print $_task->comm"),
        ("print cou", "print count"),
        ("$_task->com", "$_task->comm"),
    ] {
        let column = text.len() + 1;
        let typed = json!({"text": text, "column": column, "frameId": top});
        let completed = editor.ask("completions", typed);
        let labels = completed["targets"].as_array().expect("a list").iter();
        let labels: Vec<&Value> = labels.map(|one| &one["label"]).collect();
        assert!(labels.contains(&&json!(label)), "{text}: {labels:?}");
    }

    // Bytes and instructions.
    let at = &frames["stackFrames"][0]["instructionPointerReference"];
    let read = editor.ask("readMemory", json!({"memoryReference": at, "count": 4}));
    assert_eq!(read["data"].as_str().map(str::len), Some(8), "{read}");
    let list = editor.ask(
        "disassemble",
        json!({
            "memoryReference": at, "instructionOffset": -20, "instructionCount": 40,
        }),
    );
    let list = list["instructions"].as_array().expect("instructions");
    assert_eq!(list.len(), 40);
    assert_eq!(&list[20]["address"], at, "{list:?}");

    // The boundary's verbs.
    let why = editor.evaluate("why", "repl", top);
    assert!(
        why["result"]
            .as_str()
            .is_some_and(|text| text.contains("write(")),
        "{why}"
    );
    editor.ask("stepIn", json!({"threadId": 1, "targetId": 2}));
    let stopped = editor.event("stopped");
    assert_eq!(stopped["reason"], "step", "{stopped}");
    let frames = editor.ask("stackTrace", json!({"threadId": 1}));
    assert!(names(&frames).contains(&"app!main"));
    assert!(
        !names(&frames)
            .iter()
            .any(|name| name.starts_with("kernel:")),
        "{frames}"
    );
    let before = editor.output.len();
    let crossed = editor.evaluate("cross", "repl", &Value::Null);
    assert!(
        crossed["result"]
            .as_str()
            .is_some_and(|text| text.contains("into the kernel")),
        "{crossed}"
    );
    editor.event("stopped");
    let said = &editor.output[before..];
    assert!(
        !said.contains("into the kernel"),
        "the answer has it: {said}"
    );
    editor.ask(
        "stepOut",
        json!({"threadId": 1, "granularity": "instruction"}),
    );
    editor.event("stopped");
    editor.ask("next", json!({"threadId": 1, "granularity": "instruction"}));
    editor.event("stopped");
    // Where no answer has it, the console has.
    let before = editor.output.len();
    editor.ask("stepIn", json!({"threadId": 1, "targetId": 1}));
    let stopped = editor.event("stopped");
    let why = stopped["description"].as_str().expect("a description");
    let said = &editor.output[before..];
    assert!(
        why.starts_with("syscall") && said.contains(why),
        "{why}: {said}"
    );

    editor.ask("disconnect", json!({}));
    assert!(editor.has_ended(), "the adapter ends with its editor");
    assert_eq!(machines(&marker), 0, "no machine is left");
}

#[test]
#[ignore = "boots an image"]
fn what_is_wrong_is_answered_and_nothing_is_lost_of_it() {
    let mut editor = Editor::start();
    let early = editor.refused("threads", json!({}));
    assert!(early.contains("nothing is debugged"), "{early}");
    editor.raw(b"no header\r\nContent-Length: 3\r\n\r\n{]}Content-Length: 2\r\n\r\n[]");
    let unknown = editor.refused("flyToTheMoon", json!({}));
    assert!(unknown.contains("does not know it"), "{unknown}");
    assert!(
        editor.said("no header") && editor.said("reading a message"),
        "{:?}",
        editor.output
    );
    editor.initialize();
    let mode = editor.refused("launch", json!({"image": "syscalls", "mode": "fast"}));
    assert!(mode.contains("'fast'"), "{mode}");
    let image = editor.refused("launch", json!({"image": "no-such-image"}));
    assert!(image.contains("no-such-image"), "{image}");
    let address = editor.refused("attach", json!({"address": "localhost:1"}));
    assert!(address.contains("localhost:1"), "{address}");
    editor.launch(json!({"image": "syscalls", "mode": "linux", "modes": 1, "stopOnEntry": false}));
    assert!(editor.said("'modes' is no option"), "{:?}", editor.output);
    let set = editor.ask("setFunctionBreakpoints", json!({
        "breakpoints": [{"name": "no_such_function"}, {"name": "ksys_read", "hitCondition": "often"}],
    }));
    for one in 0..2 {
        assert_eq!(set["breakpoints"][one]["verified"], false, "{set}");
        assert!(set["breakpoints"][one]["message"].is_string(), "{set}");
    }
    // A box that is ticked: a crossing with a filter.
    let set = editor.ask("setExceptionBreakpoints", json!({
        "filters": [], "filterOptions": [{"filterId": "syscall", "condition": "call=write if len == 64"}],
    }));
    assert_eq!(set["breakpoints"][0]["verified"], false, "{set}");
    let set = editor.ask(
        "setExceptionBreakpoints",
        json!({
            "filters": [], "filterOptions": [{"filterId": "syscall", "condition": "call=write"}],
        }),
    );
    assert_eq!(set["breakpoints"][0]["verified"], true, "{set}");
    editor.ask("configurationDone", json!({}));
    editor.event("stopped");
    let why = editor.evaluate("why", "repl", &Value::Null);
    assert!(
        why["result"]
            .as_str()
            .is_some_and(|text| text.contains("write")),
        "{why}"
    );
    let stale = editor.refused("variables", json!({"variablesReference": 99}));
    assert!(stale.contains("a stop that is past"), "{stale}");
    let bad = editor.refused("stackTrace", json!({"threadId": "one"}));
    assert!(bad.contains("reading the arguments of stackTrace"), "{bad}");
    let word = editor.refused(
        "evaluate",
        json!({"expression": "no_such_word", "context": "repl"}),
    );
    assert!(word.contains("no_such_word"), "{word}");

    // It runs to its end, and is paused on its way.
    editor.ask("setExceptionBreakpoints", json!({"filters": []}));
    editor.ask("continue", json!({"threadId": 1}));
    let running = editor.refused("stackTrace", json!({"threadId": 1}));
    assert!(running.contains("pause it first"), "{running}");
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demos/syscalls/main.c");
    let main = main.canonicalize().expect("the demo");
    let line = line_of(&main, "syscalls: FAILED");
    let source = json!({"path": main});
    let set = editor.ask(
        "setBreakpoints",
        json!({"source": source, "breakpoints": [{"line": line}]}),
    );
    assert_eq!(set["breakpoints"][0]["verified"], true, "{set}");
    editor.ask("pause", json!({"threadId": 1}));
    assert_eq!(editor.event("stopped")["reason"], "pause");
    editor.ask("continue", json!({"threadId": 1}));
    editor.event_within("terminated", Duration::from_secs(60));
    editor.ask("disconnect", json!({}));
    assert!(editor.has_ended());
}
